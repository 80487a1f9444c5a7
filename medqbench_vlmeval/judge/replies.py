"""A model's reply to a call -> what it says: a score in words (:mod:`.verdict`), scores of several dimensions in one
JSON object, or the letter in an extractor's last line."""

from __future__ import annotations

import difflib
import json
import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from medqbench_vlmeval.answers.plain import spoken_text, without_thoughts
from medqbench_vlmeval.benchmark import DIMENSIONS
from medqbench_vlmeval.judge.protocols import CHOICE, choices, number_of
from medqbench_vlmeval.judge.verdict import parse_score, plain_verdict, whole_number, whole_object, without_quotations

NO_COMPLETION = "the server's reply is no chat completion"
EMPTY = "the judge's reply is empty"
NO_VERDICT = "no verdict in the judge's reply"
EMPTY_EXTRACTION = "the extractor's reply is empty"
NO_LETTER = "no valid last line in the extractor's reply"

# The line that ends an extractor's reply.
_LABELLED = re.compile(
    r"[\s:(#-]{0,8}(?:(?:my|the) )?(?:final )?answer\s?(?:is\b|:)[\s:]{0,8}(?P<answer>.*)", re.IGNORECASE
)
# As they look without markup: '<|im_end|>' has become '<:im_end:>'.
_TOKENS = r"(?:</[a-z]{1,10}>\s?|<:\w{1,40}:>\s?|<(?:eos|im_end|end_of_turn)>\s?){0,3}"
_OPENED = r"\s?(?:boxed: )?[\s:(]{0,4}"
_CHOICE = rf"(?P<choice>[A-Z]|NONE)[\s:).!]{{0,6}}{_TOKENS}"
_BARE = re.compile(_OPENED + _CHOICE)
_ANSWER = re.compile(f"{_OPENED}(?:option )?{_CHOICE}", re.IGNORECASE | re.ASCII)
_QUOTED_LINES = re.compile(r'"[^"]*"|“[^”]*”|```[^`]*```')

# Objects are looked for at so many opening braces of a kind, the last ones of a reply: each may take a look at the
# whole rest of it.
_MOST_OBJECTS = 50
_BRACE = re.compile(r"\{")
# Inside of a JSON string a quote is escaped: no sentence of a judge's, whatever it quotes, holds this.
_NAMES = "|".join(DIMENSIONS).replace("_", "[ _]")
_SPEAKING_BRACE = re.compile(rf'\{{\s{{0,50}}"\s{{0,5}}(?:{_NAMES})', re.IGNORECASE)
# Keys behind an object are those of another one, which was not closed around it or not understood.
_GOES_ON = re.compile(rf'"(?:score|{_NAMES})"\s{{0,5}}:', re.IGNORECASE)
_REASON = re.compile(r'"reason"\s{0,5}:\s{0,5}"', re.IGNORECASE)
_SCORE_KEY = re.compile(r'"score"\s{0,5}:', re.IGNORECASE)
_LONGEST_NUMBER = 20
# Keys by their letters alone; what is nearly one of them is misspelt.
_KEYS = {name.replace("_", ""): name for name in (*DIMENSIONS, "score", "reason")}
_KEYS |= {"precision": "preciseness", "accuracy": "quality_accuracy"}
_NEARLY, _LONGEST_KEY = 0.8, 40
_WRITTEN_SCORE = re.compile(r"(?i)\bscores?[\"'“”’]?\s{0,5}:\s{0,5}[\"'“”‘]?(-?[\w.]{1,20})")
_MENDED_BEHIND = re.compile(r"[\s`;]*")
_MOST_MENDED = 20_000

# An echo repeats so many words of the prompt in a row, and is found by pieces of it.
_ECHO_PIECE, _SHORTEST_ECHO = 4, 6
_ECHO_WORD = re.compile(r"\w+")
_UNIT_END = re.compile(r"\n|(?<=[.!?。])\s")


@dataclass(frozen=True)
class Reading:
    """What one text says: allowed scores by dimension, sentences on them, and why some are missing."""

    scores: Mapping[str, int] = field(default_factory=dict)
    explanations: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None


def read_reply(text: str | None, allowed: Mapping[str, Sequence[int]], prompt: str = "") -> Reading:
    """The verdicts in a reply to one call (None where the server sent no chat completion). ``allowed`` has the scores
    of each dimension; of several the reply is to be one JSON object. What the reply repeats of its prompt is no
    verdict."""
    if text is None:
        return Reading(reason=NO_COMPLETION)
    if not text.strip():
        return Reading(reason=EMPTY_EXTRACTION if CHOICE in allowed else EMPTY)
    if len(allowed) > 1:
        return _read_object(text, allowed, prompt)
    ((dimension, scores),) = allowed.items()
    text = without_echo(text, prompt)
    if dimension == CHOICE:
        return _read_choice(text, scores)
    score = parse_score(text)
    if score is None:
        return Reading(reason=NO_VERDICT)
    return Reading({dimension: score}) if score in scores else Reading(reason=_not_allowed(score, scores))


def _not_allowed(score: int, allowed: Sequence[int]) -> str:
    number = str(score) if abs(score) < 10**_LONGEST_NUMBER else f"of more than {_LONGEST_NUMBER} digits"
    return f"the judge's verdict {number} is not one of {', '.join(map(str, allowed))}"


def _read_choice(reply: str, allowed: Sequence[int]) -> Reading:
    letter = parse_choice(reply)
    if letter is None:
        return Reading(reason=NO_LETTER)
    if (number := number_of(letter)) not in allowed:
        return Reading(reason=f"the extractor's answer {letter} is not one of {choices(allowed)}")
    return Reading({CHOICE: number})


def without_echo(reply: str, prompt: str) -> str:
    """A reply without the sentences and lines that begin as a repetition of its prompt. One that begins in the judge's
    own words stays, whatever it goes on to quote ('Score: 2 - the same conclusion')."""
    words = [word[0] for word in _ECHO_WORD.finditer(prompt.lower())]
    pieces = {tuple(words[at : at + _ECHO_PIECE]) for at in range(len(words) - _ECHO_PIECE + 1)}
    said = list(_ECHO_WORD.finditer(reply))
    echoed: set[int] = set()  # where the words of echoes start
    run = 0  # how many words, up to the one at hand, follow each other in the prompt
    for at in range(_ECHO_PIECE, len(said) + 1):
        if tuple(word[0].lower() for word in said[at - _ECHO_PIECE : at]) not in pieces:
            run = 0
            continue
        run = run + 1 if run else _ECHO_PIECE
        if run >= _SHORTEST_ECHO:
            echoed.update(word.start() for word in said[at - (run if run == _SHORTEST_ECHO else 1) : at])
    if not echoed:
        return reply
    ends = [*(stop.end() for stop in _UNIT_END.finditer(reply)), len(reply)]
    units = zip([0, *ends], ends, strict=False)
    # A line break in its place: what follows begins a line of its own.
    return "".join("\n" if _is_echo(reply, start, end, echoed) else reply[start:end] for start, end in units)


def _is_echo(reply: str, start: int, end: int, echoed: Set[int]) -> bool:
    places = [word.start() for word in _ECHO_WORD.finditer(reply, start, end)]
    n = sum(place in echoed for place in places)
    # A line as short as 'Score: 2' may follow a repetition by chance.
    return n >= _ECHO_PIECE and places[0] in echoed and n > len(places) / 2


def _read_object(reply: str, allowed: Mapping[str, Sequence[int]], prompt: str) -> Reading:
    """The last JSON object of a reply that speaks of any of the dimensions, else a broken one mended. None counts where
    it stands inside of a line and another, at the beginning of one, says something else; nor inside of a sentence of a
    broken object; nor one of the prompt, or that repeats its frame (see :func:`_fills_frame`)."""
    text, whole = whole_object(reply)
    # An object that is all of the reply has no thoughts around it; a tag in its sentences is only spoken about.
    if whole is None:
        text = without_thoughts(reply) or ""
    speaking = [entry for entry in _objects(text) if set(entry[2]) & set(allowed)]
    if not speaking:
        entries, written = _mended(text)
        return (
            _read_entries(entries, allowed)
            if entries and not (_stands_in(written, prompt) or _fills_frame(text, written, prompt))
            else Reading(reason=NO_VERDICT)
        )
    start, end, last = speaking[0]
    if _stands_in(text[start:end], prompt) or _fills_frame(text, text[start:end], prompt):
        return Reading(reason=NO_VERDICT)
    reading = _read_entries(last, allowed)
    # A sentence goes on where no score has followed the last reason that began before the object.
    reason = max((reason.end() for reason in _REASON.finditer(text, 0, start)), default=None)
    in_sentence = reason is not None and not _SCORE_KEY.search(text, reason, start)
    if in_sentence or _GOES_ON.search(text, end):
        return Reading(reason=NO_VERDICT)
    if not _begins_line(text, start):
        own = next((entries for at, _, entries in speaking[1:] if _begins_line(text, at)), last)
        if _read_entries(own, allowed).scores != reading.scores:
            return Reading(reason=NO_VERDICT)
    return reading


def _stands_in(written: str, prompt: str) -> bool:
    """Whether the prompt, an answer in it for instance, holds the same object."""
    return "".join(written.split()) in "".join(prompt.split())


def _fills_frame(text: str, written: str, prompt: str) -> bool:
    """Whether an object stands in the words around the prompt's form, as one that repeats the prompt fills it in."""
    frame = deque(_SPEAKING_BRACE.finditer(prompt), 1)
    if not frame:
        return False
    before, _, behind = text.rpartition(written)
    asked_before, asked_behind = prompt[: frame[0].start()], prompt[frame[0].start() :].partition("\n")[2]
    pairs = (
        (_near_words(before)[-_SHORTEST_ECHO:], _near_words(asked_before)[-_SHORTEST_ECHO:]),
        (_near_words(behind)[:_SHORTEST_ECHO], _near_words(asked_behind)[:_SHORTEST_ECHO]),
    )
    return any(said == asked and len(said) == _SHORTEST_ECHO for said, asked in pairs)


def _near_words(text: str) -> list[str]:
    # A fence names its language.
    return [word for word in _ECHO_WORD.findall(text.lower()) if word != "json"]


def _mended(text: str) -> tuple[Mapping[str, object], str]:
    """The entries of the one object, no valid JSON, with which a reply ends, and how it is written."""
    start, end = text.find("{"), text.rfind("}") + 1
    written = text[start:end]
    if start < 0 or not written or len(written) > _MOST_MENDED or not _MENDED_BEHIND.fullmatch(text, end):
        return {}, written
    from json_repair import loads

    try:
        value = loads(written, skip_json_loads=True, strict=True)
    except (ValueError, RecursionError):
        return {}, written
    entries = _named(value.items()) if isinstance(value, dict) else {}
    entries = {key: _named(entry.items()) if isinstance(entry, dict) else entry for key, entry in entries.items()}
    scores = [whole_number(entry.get("score") if isinstance(entry, dict) else entry) for entry in entries.values()]
    found = [whole_number(score[1]) for score in _WRITTEN_SCORE.finditer(written)]
    # Where scores differ a sentence with quotes in it may have been taken for keys.
    bare = not found and not any(isinstance(entry, dict) for entry in entries.values())
    return (entries if bare or scores == found else {}), written


def _read_entries(entries: Mapping[str, Any], allowed: Mapping[str, Sequence[int]]) -> Reading:
    scores, explanations, wrong = {}, {}, []
    for dimension, values in allowed.items():
        entry = entries.get(dimension)
        score = whole_number(entry.get("score") if isinstance(entry, dict) else entry)
        if isinstance(entry, dict) and isinstance(reason := entry.get("reason"), str):
            # Lone surrogates, which no file can hold, become question marks.
            explanations[dimension] = reason.encode("utf-8", errors="replace").decode("utf-8")
        if score is None:
            wrong.append(f"no verdict on {dimension}")
        elif score not in values:
            wrong.append(f"{dimension}: {_not_allowed(score, values)}")
        else:
            scores[dimension] = score
    return Reading(scores, explanations, "; ".join(wrong) or None)


def _named(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """An object by our names, however its keys spell them; what is there twice and differs is None."""
    entries: dict[str, Any] = {}
    for key, value in pairs:
        name = _name(key)
        entries[name] = value if entries.get(name, value) == value else None
    return entries


def _name(key: str) -> str:
    near = difflib.get_close_matches(re.sub(r"[\W\d_]+", "", key[:_LONGEST_KEY].lower()), _KEYS, 1, _NEARLY)
    return _KEYS[near[0]] if near else key


def _begins_line(text: str, at: int) -> bool:
    return not text[text.rfind("\n", 0, at) + 1 : at].strip(" \t`json")


def _objects(text: str) -> list[tuple[int, int, dict[str, Any]]]:
    """JSON objects in a text, keys by our names, with their places; the last first, one inside another after it."""
    decoder = json.JSONDecoder(object_pairs_hook=_named)
    braces = [brace for kind in (_BRACE, _SPEAKING_BRACE) for brace in deque(kind.finditer(text), _MOST_OBJECTS)]
    objects = []
    for start in {brace.start() for brace in braces}:
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            objects.append((start, end, value))
    return sorted(objects, key=lambda entry: (entry[1], -entry[0]), reverse=True)


def parse_choice(reply: str) -> str | None:
    """The letter that a reply names in its last line, in upper case, or 'NONE'; None where there is no valid one."""
    spoken = spoken_text(reply)
    last = None if spoken is None else _last(plain_verdict(spoken))
    if spoken is None or last is None:
        return None
    # What a quotation says last is the words of somebody else where the extractor's own are others.
    own = _last(plain_verdict(_QUOTED_LINES.sub(" ", without_quotations(spoken))))
    choice = _choice(last)
    return choice if own is None or not re.search(r"\w", own) or _choice(own) == choice else None


def _last(text: str) -> str | None:
    """What the last answer line holds behind its label, None where there is no such line."""
    lines = [line for line in text.split("\n") if re.search(r"\w", line)]
    if not lines:
        return None
    if _BARE.fullmatch(lines[-1]):
        return lines[-1]
    labelled = next((match for line in reversed(lines) if (match := _LABELLED.fullmatch(line))), None)
    return labelled["answer"] if labelled else None


def _choice(answer: str) -> str | None:
    match = _ANSWER.fullmatch(answer)
    return match["choice"].upper() if match else None
