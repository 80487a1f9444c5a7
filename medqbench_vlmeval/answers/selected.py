"""The value of the key that holds the answer, in an object that repeats the options beside it."""

from __future__ import annotations

import re

from medqbench_vlmeval.answers import mentions
from medqbench_vlmeval.answers.optionset import OptionSet
from medqbench_vlmeval.answers.payload import SEVERAL, Reading, read, read_whole

_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[{}\[\]]')
_QUOTED = r"[\"'](?P<{}>[^\"'\n]{{1,80}})[\"']"
# {"result": {...}}: the object that matters is inside another one.
_WRAPPED = re.compile(
    r"\s*(?:```[A-Za-z]*\s*)?(?:\{\s*\"(?:result|response|output|data)\"\s*:\s*(?=\{)|\[\s*(?=\{))", re.IGNORECASE
)
_KEY = re.compile(
    r"[\"'](?:(?:final|correct|best|my|the|model|predicted|user)[_ ])?"
    r"(?:selected|selection|choice|answer|pick|picked|chosen|prediction|predicted|decision|verdict|response|result"
    r"|final|correct)(?:[_ ](?:option|answer|choice|letter|label|text|value|key|id))?[\"']\s*:\s*"
    rf"(?:{_QUOTED.format('told')}|\[\s*{_QUOTED.format('alone')}\s*\]"
    rf"|\{{\s*[\"'](?:letter|option|label|id|choice|key|answer)[\"']\s*:\s*{_QUOTED.format('inner')})",
    re.IGNORECASE,
)


def selected(text: str, options: OptionSet) -> Reading | None:
    """The one answer told by keys such as 'selected' and 'final_answer' of the outermost object, if any."""
    if '"' not in text:
        text = text.replace("'", '"')
    depths = _depths(text)
    depth = 2 if _WRAPPED.match(text) else 1
    letters = set()
    for found in _KEY.finditer(text):
        if depths[found.start()] != depth:
            continue
        said = found["told"] or found["alone"] or found["inner"]
        reading = read_whole(said, options)
        if reading is None:  # 'A. Noise', 'Yes, there is noise'
            reading = read(said, options)
        if reading is None and len(texts := mentions.affirmed(said, options)) == 1:
            reading = Reading(texts.pop())
        if reading is not None:
            letters.add(reading.letter)
    if not letters:
        return None
    return Reading(letters.pop()) if len(letters) == 1 else Reading(None, SEVERAL)


def _depths(text: str) -> list[int]:
    """How many brackets are open at each character, those inside strings not counted."""
    depths, position, depth = [0] * len(text), 0, 0
    for token in _TOKEN.finditer(text):
        depths[position : token.start()] = [depth] * (token.start() - position)
        position = token.start()
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token[0], 0)
    depths[position:] = [depth] * (len(text) - position)
    return depths
