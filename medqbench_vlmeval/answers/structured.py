"""Answers as data: an object that says of every option whether it is the one, or how likely it is."""

from __future__ import annotations

import re

from medqbench_vlmeval.answers.optionset import OptionSet
from medqbench_vlmeval.answers.payload import SEVERAL, Reading, read_whole
from medqbench_vlmeval.answers.selected import selected

_WHOLE = re.compile(r"\s*(?:```[A-Za-z]*\s*)?[{\[].*[}\]]\s*(?:```)?\s*\Z", re.DOTALL)
_JUDGED = (
    r"(?:is_)?(?:correct|right|true|present|selected|chosen|applies|match|value|answer|score|probability|prob"
    r"|confidence|likelihood)"
)
_VALUE = r"(?P<value>true|false|null|none|\d{1,3}(?:\.\d{1,12})?(?![\w.])%?|\"[^\"\n]{0,80}\"|'[^'\n]{0,80}')"
_PAIR = re.compile(
    rf"(?P<quote>[\"']?)(?P<key>\w[^\"'{{}}\[\],:\n]{{0,60}})(?P=quote)\s*:\s*"
    rf"(?:\{{\s*[\"']{_JUDGED}[\"']\s*:\s*)?{_VALUE}",
    re.IGNORECASE,
)
_ENTRY = re.compile(
    r"[\"'](?:option|letter|choice|label|id|name|key)[\"']\s*:\s*[\"'](?P<key>[^\"'\n]{1,60})[\"']\s*,\s*"
    rf"(?:[\"']text[\"']\s*:\s*[\"'][^\"'\n]{{0,60}}[\"']\s*,\s*)?[\"']{_JUDGED}[\"']\s*:\s*{_VALUE}",
    re.IGNORECASE,
)
# {"id": "A", "text": "Noise"}: an option as it was given
_ID = re.compile(
    r"[\"'](?:id|letter|label|choice|option|key)[\"']\s*:\s*[\"']([A-Z])[\"']\s*,\s*[\"'](?:text|label|description|value|name"
    r"|content)[\"']\s*:",
    re.IGNORECASE,
)
_YES = frozenset({"yes", "true", "correct", "right", "✓", "✔", "✅"})
_NO = frozenset({"no", "false", "incorrect", "wrong", "", "✗", "✘", "❌"})
_LONGEST = 2_000


def structured(text: str, options: OptionSet) -> Reading | None:
    """Read a reply that is one object with a boolean or a probability for each option.

    One true value, a one-hot vector or a probability over one half is an answer. Two true values, none, a tie and an
    object that repeats the options are none.
    """
    if len(text) > _LONGEST or not _WHOLE.match(text):
        return None
    if (named := selected(text, options)) is not None:
        return named
    values: dict[str, str] = {}
    for found in list(_ENTRY.finditer(text)) or list(_PAIR.finditer(text)):
        letter = _option(found["key"], options)
        if letter is None:
            continue
        if values.setdefault(letter, found["value"].lower()) != found["value"].lower():
            return Reading(None, SEVERAL)
    if not values:
        return (
            Reading(None, "options listed") if len({e[1] for e in _ID.finditer(text)} & options.letters) > 1 else None
        )
    if set(values.values()) <= {"true", "false", "null", "none"}:
        right = [letter for letter, value in values.items() if value == "true"]
        return Reading(right[0]) if len(right) == 1 else Reading(None, SEVERAL)
    if set(values) != options.letters:
        return None
    if all(value[0] in "\"'" for value in values.values()):
        told = {letter: read_whole(value, options) for letter, value in values.items()}
        echo = all(reading is not None and reading.letter == letter for letter, reading in told.items())
        if echo:
            return Reading(None, "options listed")
        right = [letter for letter, value in values.items() if value.strip("\"' .") in _YES]
        plain = options.yes is None and all(value.strip("\"' .") in _YES | _NO for value in values.values())
        return Reading(right[0]) if plain and len(right) == 1 else Reading(None, SEVERAL)
    if all(value[0].isdigit() for value in values.values()):
        return _likeliest({letter: float(value.rstrip("%")) for letter, value in values.items()})
    return None


def _option(key: str, options: OptionSet) -> str | None:
    if len(key) == 1:
        return key if key in options.letters else None
    reading = read_whole(key, options)
    return reading.letter if reading is not None else None


def _likeliest(scores: dict[str, float]) -> Reading:
    """The option with more than half of a distribution (over 1 or 100); other scores cannot be compared."""
    total = sum(scores.values())
    best = max(scores, key=lambda letter: scores[letter])
    if (abs(total - 1) <= 0.03 or abs(total - 100) <= 3) and scores[best] > total / 2:
        return Reading(best)
    return Reading(None, SEVERAL)
