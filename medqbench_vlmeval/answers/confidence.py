"""The confidence that a reply states, as a number: 'Confidence: 85%'. Words ('quite sure') are never guessed at."""

from __future__ import annotations

import re

from medqbench_vlmeval.answers import plain

_STEMS = ("confiden", "certain", "sure")
_FOREIGN = r"置信度|自信度|信心|确信度|確信度|把握"
_PERCENT = r"(?:%|per ?cent\b|pct\b)"
# Without a unit no part of one may follow, and behind either no second number that makes it a range.
_NUMBER = (
    r"(?<![\d.,])(?P<number>\d{1,3}(?:[.,]\d{1,6})?|\.\d{1,6})(?!\d|[.,]\d)"
    rf"(?:[ \t]*(?P<percent>{_PERCENT})|[ \t]*(?:/|out of)[ \t]*(?P<of>\d{{1,3}})(?!\d|[.,]\d)"
    rf"|(?![ \t]*(?:{_PERCENT}|/|out of)))(?![ \t]*(?:[-–—~±]|\+/?-|to\b|or\b)[ \t]*\d)"
)
_SCALE = (
    r"(?:[ \t]*[(\[](?:[01](?:\.0)?[ \t]*%?[ \t]*(?:[-–—]|to)[ \t]*(?P<scale>\d{1,3})(?:\.0)?)?[^()\[\]\n]{0,30}[)\]])?"
)
_LABELLED = re.compile(
    rf"(?i)(?:(?<![a-z])confidence(?:[ \t_-]*(?:level|score|rating|percentage|percent))?|{_FOREIGN}){_SCALE}[\"']?"
    r"[ \t]*(?:[:=：]|is\b|of\b|at\b|[-–—](?=[ \t]))?[ \t\"']*(?:(?:about|approximately|around|roughly)\b|[~≈])?"
    rf"[ \t]*{_NUMBER}"
)
_SPOKEN = re.compile(
    rf"(?i){_NUMBER}[ \t]*(?:confiden(?:t|ce)|sure|certain(?:ty)?)\b(?![ \t]+(?:interval|limit|bound))"
)
# 'Not entirely 100% sure', 'less than 50% sure': the number is not what is stated.
_NOT = re.compile(
    r"(?i)(?:\b(?:not|never|cannot|without|than|least|most|over|above|under|below|up to)|n['’]t)[ \t]+"
    r"(?:(?!but\b)[a-z]+[ \t]+){0,2}\Z"
)


def read_confidence(reply: str) -> float | None:
    """The confidence in percent (0-100) that a reply to a multiple-choice question states, None where it is unclear.
    Read are '85%', '85/100', '8.5 out of 10' and '0.85' beside the word. Unclear are numbers without a unit from 1 to
    10, whose scale is not said, ranges, and several values, unless the last line is a statement of its own."""
    if not (plain.may_say(reply, _STEMS) or re.search(_FOREIGN, reply)):
        return None
    answer = plain.split_thoughts(plain.own_turn(plain.clean(reply)))[0].replace("<confidence>", "confidence: ")
    text = plain.plain_answer(plain.readable(answer)).translate({ord(plain.OPEN): " ", ord(plain.CLOSE): " "})
    spoken = [match for match in _SPOKEN.finditer(text) if match["percent"] or match["of"]]
    spoken = [match for match in spoken if not _NOT.search(text, max(0, match.start() - 60), match.start())]
    # 'Confidence: 85% sure' is one statement.
    values = {match.start("number"): _percent(match) for match in [*spoken, *_LABELLED.finditer(text)]}
    if len(set(values.values())) > 1:
        alone = _LABELLED.match(text.rstrip().rpartition("\n")[2].strip())
        return _percent(alone) if alone else None
    return next(iter(values.values()), None)


def _percent(match: re.Match[str]) -> float | None:
    number = float(match["number"].replace(",", "."))
    whole = match["of"] or (match.groupdict().get("scale") if not match["percent"] else None)
    if whole is not None:
        value = 100 * number / int(whole) if int(whole) else -1.0
    elif match["percent"] or number == 0 or number > 10:
        value = number
    else:
        value = 100 * number if number <= 1 and not match["number"].isdigit() else -1.0
    return round(value, 6) if 0 <= value <= 100 else None
