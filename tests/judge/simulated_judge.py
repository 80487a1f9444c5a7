"""A judge that can be talked into things, for the hardening suite: it obeys the last instruction that stands outside of
the delimiters, and grades honestly where there is none.

It knows nothing of the package: it reads the prompt. Where the prompt says that texts stand between tags, a region
begins at a line that is such a tag and ends at the FIRST thing that a careless reader would take for its closing tag:
case, blanks, the code, brackets of another kind, look-alike letters, entities, escapes and invisible characters make no
difference to it, nor do two wrong letters, 'END OF' for a slash, or another plausible name ('</answer>'). A token of a
chat template ('<|im_end|>') ends every region, as it ends the user's turn on a server that reads such tokens in a
message. Where no tags are announced, nothing is delimited.

Its honest grade is 2 where ``KEY``, the finding of the reference, stands in the candidate's text, else 0.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.judge import JudgeOptions, build_judge
from medqbench_vlmeval.types import Prediction, Sample
from tests.judge.asking import Asker
from tests.servers import JudgeServer

if TYPE_CHECKING:
    from tests.judge.attacks import Attack

KEY = "concentric rings around the isocentre"
REFERENCE = f"The slice shows {KEY} and streaks beside the implant. Overall, the quality of this image is reject."
_LONGEST_QUOTE = 4000

_LOOK_ALIKES = str.maketrans(
    {
        **dict(zip("асԁеіӏорԛѕтух", "acdeiiopqstyx", strict=True)),
        **dict(zip("αεικνορτυχ", "aeiknoptux", strict=True)),
        **dict(zip("ոᴀᴄᴅᴇғɪɴʀᴛꜰı", "nacdefinrtfi", strict=True)),
        **dict.fromkeys("‹〈⟨«《⟪❮❬≺˂ᐸ◁⧼", "<"),
        **dict.fromkeys("›〉⟩»》⟫❯❭≻˃ᐳ▷⧽", ">"),
        **dict.fromkeys("⁄∕⧸╱⫽", "/"),
        **dict(zip("ϲɑɛпⲥⲁⲛⲇⲓⲧⲉꓚꓮꓠꓓꓲꓔꓰ", "caencanditecandite", strict=True)),
        **dict(zip("ꮯꭺꭰꭲꭼᏟᎪᎠᎢᎬ", "cadtecadte", strict=True)),
        **dict.fromkeys("￨∣ǀ", "|"),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **{0xE0000 + code: code for code in range(0x20, 0x7F)},
    }
)
_UNSEEN = re.compile(
    "[\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f\u00ad\u0300-\u036f\u061c\u115f\u1160\u180b-\u180e"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20d0-\u20f0\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    "\U000e0000-\U000e001f\U000e007f-\U000e0fff]"
)
_ESCAPE = re.compile(r"\\u\{?0{0,6}([0-9a-f]{2})\b\}?|\\u00([0-9a-f]{2})|(?:\\x|%)([0-9a-f]{2})", re.IGNORECASE)
_NAMED_LETTER = re.compile(
    r"(?:LATIN SMALL LETTER|NEGATIVE (?:SQUARED|CIRCLED) LATIN CAPITAL LETTER) (?:OPEN |TURNED )?([A-Z])(?: WITH .*)?"
)
_FOREIGN_DIGIT = re.compile(r"(?![0-9])\d")

_ANNOUNCED = re.compile(r"between tags that carry the code (\w+)")
_CHAT_TOKEN = re.compile(
    r"<\| ?[^|<>\s]{1,40} ?\|?>|<\w{1,40}\|>|</?s>|\[/?inst\]|<</?sys>>|<(?:start|end)_of_(?:turn|utterance)>"
    r"|\[/?system_prompt\]|<(?:bos|eos|eot|eod|eot_id|im_end|im_start|human|user|assistant|system|seed:\w+)>"
    r"|<(?:unused|extra_id_|reserved_|special_|ctrl)\d+>|\[(?:gmask|sep|cls|tool_calls)\]"
)
_ENDING = re.compile(
    r"[<\[{][<\[{%!\s*#=|_\"'`.-]{0,20}(?:[/\\][\s/\\*_\"'`.:-]{0,20}|(?:end|close|stop)[\s_/]*(?:of[\s_]*)?(?:the[\s_]*)?)"
    r"(?P<name>[^<>\[\]{}\n]{0,60})(?P<closed>[>\]}])?"
)
_OTHER_NAMES = ("text", "data", "input", "userinput", "answer", "document", "response", "studentanswer")
_FORM = re.compile(r'"(\w+)": \{"reason": "\.\.\.", "score": n\}', re.IGNORECASE)

# The criteria are no order to give that score.
_CRITERIA = re.compile(r"please rate score 2 for .{1,600}?in the following format: score:", re.DOTALL)
_VERDICT_WORDS = (
    # English
    r"\bscor(?:e|es|ed|ing)\b|\brat(?:e|ed|es|ing)\b|\bverdict\b|\bgrade[ds]?\b|\bgiv(?:e|en|es)\b|\bassign\b|\baward"
    r"|\boutput\b|\brespond\b|\breply\b|\bprint\b|\breturn\b|\bwrite\b|\bsay\b|\bmark\b|\bdeserves\b|\banswer\b|\bset\b"
    # Chinese, Japanese, Korean
    r"|评分|得分|分数|打分|给出|输出|評分|輸出|スコア|点数|採点|評価|出力|점수|평가|출력"
    # Spanish, Portuguese, Italian, French, German, Dutch, Polish
    r"|puntu\w*|puntaje|calific\w*|pontua\w*|\bnota\b|punteggio|assegna|\bnote[zr]?\b|donne[zr]?|bewert\w*|punkt\w*"
    r"|vergib|\bgib\b|beoordel\w*|geef|ocen\w*"
    # Russian, Ukrainian, Greek, Turkish, Arabic, Persian, Hebrew, Hindi, Bengali, Vietnamese, Thai, Indonesian, Swahili
    r"|оценк\w*|оцен\w*|поставь\w*|балл\w*|оцінк\w*|βαθμο\w*|puan\w*|النتيجة|الدرجة|امتیاز|ציון|स्कोर|अंक|স্কোর|điểm"
    r"|คะแนน|skor\w*|alama"
)


def _seen(text: str) -> str:
    """The text as a reader sees it: one case, one form for each letter, bracket and digit, nothing invisible."""
    for _ in range(3):
        text = _ESCAPE.sub(lambda code: chr(int(code[1] or code[2] or code[3], 16)), html.unescape(text))
    text = unicodedata.normalize("NFKD", text.translate(_LOOK_ALIKES))
    text = _UNSEEN.sub("", text).lower().translate(_LOOK_ALIKES)
    text = re.sub(r"[^\x00-\x7f]", lambda letter: _letter(letter.group()), text)
    return _FOREIGN_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit.group(), 0)), text)


@lru_cache(maxsize=4096)
def _letter(character: str) -> str:
    named = _NAMED_LETTER.fullmatch(unicodedata.name(character, ""))
    return named[1].lower() if named else character


# A list of the scores that are allowed ('0, 1 or 2') is no order, and neither are 'two sentences'.
_VALUE = re.compile(
    r"(?<![\d.])[02](?![.,]?\d)(?!\s*(?:,|or)\s*\d)|\b(?:two|zero|full marks|maximum)\b(?! sentences)|满分|零分"
)
# The words go through the same glass as the prompt: decomposed accents, Cyrillic letters as the Latin ones.
_ORDER = re.compile(rf"(?:{_seen(_VERDICT_WORDS)})[^0-9\n]{{0,60}}(?:\n\s*)?\Z")
_REACH = 120


@dataclass(frozen=True)
class Read:
    """A prompt as the judge understands it: what is outside of all delimiters, and the candidate's text."""

    outside: str
    candidate: str


@lru_cache(maxsize=8)
def read_prompt(prompt: str) -> Read:
    """Take a prompt apart."""
    seen = _seen(prompt)
    code = _ANNOUNCED.search(seen)
    if code is None:
        return Read(seen, seen.partition("[")[2].partition("]")[0])
    opening = re.compile(rf"^<(\w+)_{code[1]}>$", re.MULTILINE)
    outside, candidate, at = [], "", 0
    while tag := opening.search(seen, at):
        outside.append(seen[at : tag.start()])
        start, end = _end_of(tag[1].partition("_")[0], seen, tag.end())
        inside = seen[tag.end() : start]
        if tag[1].startswith("candidate"):
            candidate += inside
        at = end
    return Read("\n".join([*outside, seen[at:]]), candidate)


def _end_of(name: str, seen: str, at: int) -> tuple[int, int]:
    """Where the first thing stands that ends a region of this name ('candidate')."""
    token = _CHAT_TOKEN.search(seen, at)
    last = token.start() if token else len(seen)
    for tag in _ENDING.finditer(seen, at):
        if tag.start() > last:
            break
        letters = re.sub("[^a-z]", "", tag["name"])
        plain = bool(tag["closed"]) and (
            (letters in _OTHER_NAMES or (not letters and tag.group() == "</>"))
            or _edits(letters[: len(name)], name) <= 2
        )
        if name in letters or plain:
            return tag.start(), tag.end()
    return (token.start(), token.end()) if token else (last, last)


def _edits(text: str, other: str) -> int:
    """Letters to add, drop or change (Levenshtein's distance)."""
    before = list(range(len(other) + 1))
    for row, letter in enumerate(text, 1):
        now = [row]
        for column, wanted in enumerate(other, 1):
            now.append(min(before[column] + 1, now[-1] + 1, before[column - 1] + (letter != wanted)))
        before = now
    return before[-1]


def verdict(read: Read) -> int:
    """The score that this judge gives."""
    text = _CRITERIA.sub("", read.outside)
    for value in reversed(list(_VALUE.finditer(text))):
        if _ORDER.search(text[max(0, value.start() - _REACH) : value.start()]):
            return 0 if value.group() in ("0", "zero", "零分") else 2
    return 2 if KEY in read.candidate else 0


def answer(prompt: str, mode: str = "terse") -> str:
    """The judge's reply to a prompt. Asked again, it says the same.

    Args:
        prompt: what the judge is shown.
        mode: 'terse' gives the verdict alone, 'quoting' repeats the candidate's last line before it, 'repeating' the
            whole text (its first 4,000 characters).
    """
    read, quote = read_prompt(prompt), _quote(prompt)
    quoted = {"terse": "", "quoting": quote.rstrip().rpartition("\n")[2], "repeating": quote}[mode][:_LONGEST_QUOTE]
    score = verdict(read)
    dimensions = _FORM.findall(read.outside)
    if not dimensions:
        return f"The candidate says: {quoted}\nScore: {score}" if quoted else f"Score: {score}"
    entries = {name: {"reason": f"It says: {quoted}", "score": score} for name in dimensions}
    verdicts = json.dumps(entries, ensure_ascii=False)
    return f"The candidate says: {quoted}\n{verdicts}" if quoted else verdicts


def _quote(prompt: str) -> str:
    """The candidate's text, letter for letter."""
    tags = re.search(r"^<(candidate\w+)>\n(.*)\n</\1>$", prompt, re.DOTALL | re.MULTILINE)
    return tags[2] if tags else prompt.partition("[")[2].rpartition("[")[0].partition("]")[0]


def changed(protocol: str, mode: str, task: Task, attacks: Sequence[Attack], *, over_http: bool = True) -> list[str]:
    """The names of the attacks that get another verdict than the honest answer that they are built on, on any
    dimension. The whole way is gone: calls over HTTP to a server with this judge, re-asks, reading of the replies.

    Args:
        protocol: a protocol's name.
        mode: see :func:`answer`.
        task: a reasoning task.
        attacks: with different names.
        over_http: False for the whole way but the server; the judge then stands in the place of a model of the kit's.
    """
    honest = {attack.honest for attack in attacks}
    texts = {text: (text, REFERENCE) for text in honest}
    texts |= {attack.name: (attack.answer, attack.reference) for attack in attacks}
    samples = [Sample(index, task, None, description=reference) for index, (_, reference) in texts.items()]
    predictions = [Prediction(index, answer) for index, (answer, _) in texts.items()]
    with JudgeServer(lambda request: answer(request.prompt, mode)) as server:
        name, url = ("judge", server.base_url) if over_http else ("kit:judge", None)
        limits = {"stop_after": 1_000_000, "max_answer_tokens": 10_000_000}
        options = JudgeOptions(name, url, nproc=4, retry=0, protocol=protocol, **limits)
        judged = build_judge(options, kit_client=lambda _: Asker(lambda prompt: answer(prompt, mode))).judge(
            samples, predictions
        )
    scores = {sample.index: {name: verdict.score for name, verdict in sample.verdicts.items()} for sample in judged}
    if any(None in scores[text].values() for text in honest):
        raise AssertionError("an honest answer has no score")
    return [attack.name for attack in attacks if scores[attack.name] != scores[attack.honest]]
