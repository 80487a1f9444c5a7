"""Places where a reply gives its answer in words: 'Answer: B', 'I choose B'. ``find`` asks all finders."""

from __future__ import annotations

import re
from collections.abc import Iterator

from medqbench_vlmeval.answers.abroad import abroad
from medqbench_vlmeval.answers.changes import at_the_end, changed, changed_abroad, contrasted, singled_out
from medqbench_vlmeval.answers.claim import LETTER_THERE, QUESTIONED, STRONG, WEAK, Claim, rejected
from medqbench_vlmeval.answers.conclusions import concluded, named, right, ticked
from medqbench_vlmeval.answers.elimination import remaining
from medqbench_vlmeval.answers.guesses import behind_arrow, guessed
from medqbench_vlmeval.answers.markup import OPEN
from medqbench_vlmeval.answers.optionset import OptionSet
from medqbench_vlmeval.answers.payload import letter_at, read, read_whole
from medqbench_vlmeval.answers.supposed import may_suppose, supposed

_KEYWORD = re.compile(
    r"(?<![A-Za-z])(?:answer|ans|choice|option|letter|selection|verdict|conclusion|response|prediction|guess"
    r"|decision|pick"
    r"|final grade|judg(?:e)?ment|solution|result|correction|description|match|classification|assessment|rating"
    r"|output|best|correct|choose|chosen|sol|level|category|class|severity|quality|grade|label"
    r"|degradation)(?![A-Za-z])[\"']?",
    re.IGNORECASE,
)


_COLON_ONLY = frozenset(
    {
        "correct",
        "choose",
        "chosen",
        "sol",
        "level",
        "category",
        "class",
        "severity",
        "quality",
        "grade",
        "label",
        "degradation",
    }
)


_KEY_BRIDGE = re.compile(
    r"(?:\s*\([^()\n]{0,40}\))?"
    r"(?:(?P<words>[^.\n:;?!=→]{0,60}?)(?:(?<![A-Za-z])(?:is|be|was|becomes|remains)(?![A-Za-z])\s*(?:therefore"
    r"|thus|then|clearly)?\s*[:\-]*|[:=→]+|\s-+>?)|\s*->|[ \t]*\?|[ \t]*(?=\n)|\.\s+(?=[A-Z](?![A-Za-z0-9]))"
    r"|\s*>)\s*",
    re.IGNORECASE,
)


_QUIET_KEYS = (
    frozenset({"result", "description", "output", "classification", "assessment", "rating", "match", "best"})
    | _COLON_ONLY
)


_DIRECT = re.compile(r"[ \t]*(?=[(\[\"']?[A-Z](?![A-Za-z0-9]))")


_UNSURE = re.compile(
    r"\b(?:not|cannot|can't|isn't|won't|wouldn't|could|might|may|either|if|whether|between|incorrect|wrong|n't"
    r"|never|than|one of|rul\w+ out|exclude|eliminate|discard|doubt\w*|least|avoid)\b|n't",
    re.IGNORECASE,
)


_SUPPOSED_IF = re.compile(
    r"\b(?:if|whether|assuming|suppose|supposing|unless|incorrect|wrong|(?<!at )least|worst|nothing"
    r"|don't think|not sure|unsure|possible"
    r"|could be that)(?: [\w']+){0,4} \Z",
    re.IGNORECASE,
)


_ASKED = re.compile(r"(?:^|[.\n!?]\s*)(?:is|could|would|can|might|should) (?:[\w']+ ){0,4}\Z", re.IGNORECASE)


_VERB = re.compile(
    r"(?:(?<![A-Za-z])(?:I|we|I'd|I'll|I'm|we'd|let's|let us|let me|me|would"
    r"|will)(?![A-Za-z']))(?P<words>(?:(?!\bbut\b)[^.\n;:?!]){0,40}?)"
    r"(?<![A-Za-z])(?:choose|chose|choosing|select|pick|go with|going with|went with|opt for|opting for|settle on"
    r"|settling on|answer|go for|going for|vote(?: for)?|say|guess"
    r"|lean towards?|leaning towards?|conclude|think|believe|pick option|answered|selected|stick with"
    r"|stay(?:ing)? with|end(?:ed)? up with)(?![A-Za-z])"
    r"(?:\s+(?:that|with))?\s*:?\s*",
    re.IGNORECASE,
)


_BELIEFS = re.compile(
    r"(?:say|guess|think|believe|conclude|lean\w*(?: towards?)?)(?:\s+that)?\s*:?\s*\Z", re.IGNORECASE
)


def find(text: str, options: OptionSet) -> list[Claim]:
    """All claims of ``text`` in the order in which they stand."""
    claims = [claim for finder in _FINDERS for claim in finder(text, options)]
    if may_suppose(text):
        claims = [claim for claim in claims if claim.rule in _UNCONDITIONAL or not supposed(text, claim.position)]
    claims.sort(key=lambda claim: (claim.position, claim.weight))
    return claims


def _skip_to_letter(text: str, start: int) -> int:
    while start < len(text) and text[start] in " \t\n([\"'":
        start += 1
    return start


def _boxed(text: str, options: OptionSet) -> Iterator[Claim]:
    """An answer in a box, a tag or ``<|begin_of_box|>`` marks."""
    position = text.find(OPEN)
    while position != -1:
        start = position + 1
        end = text.find("\ue001", start)
        inside = text[start : end if end != -1 else start + 300]
        if OPEN not in inside:
            reading = read(inside, options) if inside.strip() else None
            if reading is None and len(inside) < 200:
                reading = read_whole(inside, options)
            if reading is not None:
                yield Claim(position, reading, STRONG, "marked answer")
        position = text.find(OPEN, start)


def _keyed(text: str, options: OptionSet) -> Iterator[Claim]:
    """'Answer: B', 'the correct answer is B', '{"answer": "B"}', 'Answer' above a line with B."""
    for key in _KEYWORD.finditer(text):
        word = key[0].lower().strip("\"'")
        bridge = _KEY_BRIDGE.match(text, key.end())
        if _ASKED.search(text, max(0, key.start() - 40), key.start()):
            continue
        direct = _DIRECT.match(text, key.end()) if bridge is None or word in ("option", "choice", "letter") else None
        if direct is not None and word in ("answer", "ans"):
            reading = letter_at(text, _skip_to_letter(text, direct.end()), options)
            if reading is not None and not rejected(text, direct.end(), reading):
                yield Claim(key.start(), reading, STRONG, "stated answer")
            continue
        if bridge is None or (word in _COLON_ONLY and bridge[0].strip()[-1:] not in (":", "=")):
            continue
        if word == "best" and (bridge["words"] or "").strip() and bridge[0].strip()[-1:] not in (":", "="):
            continue
        if bridge[0].lstrip().startswith(".") and word not in ("answer", "ans"):
            continue
        if _UNSURE.search(bridge["words"] or "") or (
            word != "choose" and _SUPPOSED_IF.search(text, max(0, key.start() - 50), key.start())
        ):
            continue
        if word in ("option", "choice", "letter") and LETTER_THERE.match((bridge["words"] or "").strip()):
            continue
        start = bridge.end()
        reading = read(text[start : start + 300], options, allow_text=word not in ("option", "letter"))
        if reading is None or rejected(text, start, reading):
            continue
        if QUESTIONED.match(text[start : start + 60]) and "\n" not in text[start : start + 10]:
            continue
        yield Claim(key.start(), reading, WEAK if word in _QUIET_KEYS else STRONG, "stated answer")


def _chosen(text: str, options: OptionSet) -> Iterator[Claim]:
    """'I would choose B', "let's go with B", 'I think it is B'."""
    for found in _VERB.finditer(text):
        if _UNSURE.search(found["words"]):
            continue
        reading = read(text[found.end() : found.end() + 300], options)
        if reading is None or rejected(text, found.end(), reading):
            continue
        if QUESTIONED.match(text[found.end() : found.end() + 40]):
            continue
        weight = WEAK if _BELIEFS.search(found[0]) else STRONG
        yield Claim(found.start(), reading, weight, "chosen answer")


_UNCONDITIONAL = frozenset({"marked answer", "ticked option", "guessed answer"})
_FINDERS = (
    _boxed,
    _keyed,
    abroad,
    _chosen,
    concluded,
    right,
    ticked,
    named,
    remaining,
    changed,
    changed_abroad,
    singled_out,
    contrasted,
    at_the_end,
    guessed,
    behind_arrow,
)
