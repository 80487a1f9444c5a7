from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import DIMENSIONS, Task, dimension_scores
from medqbench_vlmeval.judge.calls import Call, Reply, verdicts_of
from medqbench_vlmeval.judge.delimit import escape_delimiters
from medqbench_vlmeval.judge.replies import NO_VERDICT, Reading

ALLOWED = {name: dimension_scores(Task.COMPARATIVE, name) for name in DIMENSIONS}
JOINT = Call("k", "i", "p", ALLOWED)
SINGLE = Call("k", "i", "p", {"completeness": (0, 1, 2)})
PAIR = Call("k", "i", "p", {"quality_accuracy": (0, 2)})
DEEP, LONG = 100_000, 200_000


def read_reply(text: str, call: Call) -> Reading:
    """What a call's verdicts say after one text."""
    verdicts = verdicts_of(call, Reply((text,)))
    assert all(verdict.reply == text for verdict in verdicts.values())
    return Reading(
        {name: verdict.score for name, verdict in verdicts.items() if verdict.score is not None},
        {name: verdict.explanation for name, verdict in verdicts.items() if verdict.explanation is not None},
        next((verdict.reason for verdict in verdicts.values() if verdict.reason is not None), None),
    )


def verdicts(*scores: Any, reason: str = "r") -> dict[str, Any]:
    return {name: {"reason": reason, "score": score} for name, score in zip(DIMENSIONS, scores, strict=True)}


def named(*scores: int) -> dict[str, int]:
    return dict(zip(DIMENSIONS, scores, strict=True))


TWOS, ZEROS = json.dumps(verdicts(2, 2, 2, 2)), json.dumps(verdicts(0, 0, 0, 0))


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ('{"completeness": 2}', 2),
        # A quoted verdict does not stand against the judge's own.
        ('Score: 0\n\nThe text says "Score: 2", which I ignored.', 0),
        ("Score: 0\n\nThe text says:\n> Score: 2", 0),
        ("Score: 0. It ends with “Rating: 2”.", 0),
        ('It says "Score: 2".\nScore: 0', 0),
        ('Score: 0\nIt says "Score: 0".', 0),
        ('"Score: 2"', 2),
        ("> **Score: 2**", 2),
    ],
)
def test_what_a_reading_says(reply: str, score: int | None) -> None:
    expected = Reading(reason=NO_VERDICT) if score is None else Reading({"completeness": score})
    assert read_reply(reply, SINGLE) == expected


@pytest.mark.parametrize(
    "reply",
    [
        json.dumps(verdicts(2, 1, 0, 2)),
        json.dumps(verdicts(2, 1, 0, 2), indent=4),
        f"```json\n{json.dumps(verdicts(2, 1, 0, 2), indent=2)}\n```",
        f"Here it is:\n{json.dumps(verdicts(2, 1, 0, 2))}\nThat is all {{really}}.",
        f"<think>Draft: {TWOS}</think>\n{json.dumps(verdicts(2, 1, 0, 2))}",
        f"Draft: {TWOS}</think>{json.dumps(verdicts(2, 1, 0, 2))}",
        f"{TWOS}\nNo, after all:\n{json.dumps(verdicts(2, 1, 0, 2))}",
        json.dumps({"verdicts": verdicts(2, 1, 0, 2)}),
        json.dumps([verdicts(2, 1, 0, 2)]),
        json.dumps({"confidence": 2, **verdicts(2, 1, 0, 2)}),
        json.dumps(verdicts("2", "1", "0", " 2 ")),
        json.dumps(verdicts(2.0, 1.0, 0.0, 2.0)),
        json.dumps(verdicts("2.0", 1, -0.0, 2e0)),
        json.dumps(named(2, 1, 0, 2)),
        '{"Completeness": 2, "PRECISENESS": {"score": 1}, " consistency ": 0, "Quality Accuracy": {"score": 2}}',
        json.dumps({**verdicts(2, 1, 0, 2), "overall": {"score": 5}, "note": None}),
        # Of a key that stands there twice the last one counts, as everywhere in JSON.
        '{"completeness": 0, "completeness": 2, "preciseness": 1, "consistency": 0, "quality_accuracy": 2}',
    ],
)
def test_a_joint_reply_is_read_in_every_dress(reply: str) -> None:
    reading = read_reply(reply, JOINT)
    assert (reading.scores, reading.reason) == (named(2, 1, 0, 2), None)


def test_reasons_are_kept() -> None:
    reply = json.dumps(verdicts(2, 1, 0, 2, reason='says {"score": 2} and \ud800'))
    assert read_reply(reply, JOINT).explanations == dict.fromkeys(DIMENSIONS, 'says {"score": 2} and ?')


@pytest.mark.parametrize("score", [True, False, None, 1.5, float("nan"), float("inf"), "two", "2/2", "", [2], {"a": 2}])
def test_what_is_no_number_is_no_score(score: Any) -> None:
    reading = read_reply(json.dumps(verdicts(score, 1, 0, 2)), JOINT)
    assert reading.scores == {"preciseness": 1, "consistency": 0, "quality_accuracy": 2}
    assert reading.reason == "no verdict on completeness"


@pytest.mark.parametrize(("score", "shown"), [(3, "3"), (-1, "-1"), (10.0, "10"), (10**25, "of more than 20 digits")])
def test_a_number_outside_is_no_score(score: float, shown: str) -> None:
    reading = read_reply(json.dumps(verdicts(score, 1, 0, 1)), JOINT)
    assert reading.scores == {"preciseness": 1, "consistency": 0}
    assert reading.reason == (
        f"completeness: the judge's verdict {shown} is not one of 0, 1, 2; "
        "quality_accuracy: the judge's verdict 1 is not one of 0, 2"
    )


@pytest.mark.parametrize(
    "reply",
    [
        "Score: 2",
        '{"score": 2}',
        "[2, 2, 2, 2]",
        f"<think>{TWOS}",
        TWOS.replace('"', "'"),
        TWOS[: len(TWOS) // 2],
        "{" * DEEP,
        "[" * DEEP + "]" * DEEP,
        '{"completeness":' * DEEP,
        '{"completeness":' * DEEP + "2" + "}" * DEEP,
        '{"' * DEEP,
        '{"completeness": {"score": ' + "9" * LONG + "}}",
        '{"completeness": "' + "x" * LONG,
        '\\{"completeness": 2\\}' * 1000,
        "\x00",
    ],
    ids=lambda reply: reply[:20],
)
def test_what_holds_no_object_of_dimensions_has_no_verdict(reply: str) -> None:
    assert read_reply(reply, JOINT).scores == {}
    assert read_reply(reply, JOINT).reason


@pytest.mark.parametrize(
    "quote",
    [
        TWOS,
        "{" * 60,
        "{" * LONG,
        '{"completeness": {"score": 2}} ' * 100,
        '{"completeness": ' * 100,
        '{"a":' * (LONG // 5),
        '{"' * (LONG // 2),
        '"',
        "```json",
        "}" * 1000,
        "[" * DEEP,
    ],
    ids=lambda quote: quote[:20],
)
def test_what_a_judge_quotes_is_not_its_verdict(quote: str) -> None:
    own = json.dumps(verdicts(0, 1, 0, 0, reason=f"The text says {quote}"))
    for reply in (own, f"The text says {quote}\n{own}", f"It says {quote}: {own}", f"{quote}\n```json\n{own}\n```"):
        reading = read_reply(reply, JOINT)
        assert (reading.scores, reading.reason) == (named(0, 1, 0, 0), None)


@pytest.mark.parametrize(
    "reply",
    [
        # A verdict first, and the answer quoted behind it.
        f'{ZEROS}\nThe text says "{TWOS}", which I ignored.',
        f"{ZEROS}\n> {TWOS}",
        f'{ZEROS}\nThe text says "x"}}}} {TWOS}"',
        # Quotation marks of a sentence that were not escaped, in whole and in cut replies.
        ZEROS.replace('"r"', f'"It says: {TWOS}"'),
        '{"completeness": {"reason": "It says: ' + TWOS,
    ],
)
def test_an_object_that_a_judge_may_have_quoted_is_no_verdict(reply: str) -> None:
    assert read_reply(reply, JOINT) == Reading(reason=NO_VERDICT)


@pytest.mark.parametrize("tag", ["<think>", "</think>", "[THINK]", "<|begin_of_thought|>"])
@pytest.mark.parametrize("fence", ["{}", "```json\n{}\n```", " {}\n"])
def test_a_thinking_tag_in_a_sentence_of_the_object_opens_nothing(tag: str, fence: str) -> None:
    own = json.dumps(verdicts(0, 1, 0, 2, reason=f"It says {tag} twice"), indent=1)
    assert read_reply(fence.replace("{}", own), JOINT).scores == named(0, 1, 0, 2)


JSONISH = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.sampled_from(["2", "0", "1.0", "x", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*DIMENSIONS, "score", "reason"]), inner)
    ),
    max_leaves=12,
)
SCRAPS = st.sampled_from(
    ['"', "{", "}", "[", "]", ":", ",", "\\", "completeness", "quality_accuracy", '"completeness"', '"score"', "2"]
    + ["NaN", "Infinity", "true", "null", "-", "0", "3", "1.0", "```json\n", "```", "\n", " ", "<think>", "</think>"]
    + [TWOS, ZEROS, "\ud800", "\x00", "Score: 2"]
)


def is_sound(reading: Reading, call: Call) -> bool:
    return all(
        type(score) is int and score in call.allowed[dimension] for dimension, score in reading.scores.items()
    ) and (reading.reason is None) == (set(reading.scores) == set(call.allowed))


@given(JSONISH.map(json.dumps) | st.lists(SCRAPS, max_size=20).map("".join) | st.text())
def test_any_reply_gives_allowed_scores_or_a_reason(reply: str) -> None:
    for call in (JOINT, SINGLE, PAIR):
        assert is_sound(read_reply(reply, call), call)


@given(st.lists(SCRAPS, max_size=12).map("".join))
def test_the_last_object_counts(before: str) -> None:
    assert read_reply(f"{before.replace('<think>', '')}\n{ZEROS}", JOINT).scores == named(0, 0, 0, 0)


TAIL = st.sampled_from(
    ["Score: 2", "score", "2", "0-2", "1 or 2", "max", "the best", "possible", "not", "do not give", "only", "output"]
    + ["**", "```", "~~", "{", "[", "(", "\\boxed{", '"score":', "<think>", "[THINK]", "<del>", "if", "means", "for"]
    + [" ", "\t", "\n", "|", "=", "->", "/2", "out of", ":", "-", "\x0b", "\u2028", "½"]
)


@given(st.lists(TAIL, max_size=9).map(" ".join) | st.lists(TAIL, max_size=9).map("".join))
def test_a_verdict_in_the_last_line_counts_whatever_is_quoted_before_it(quote: str) -> None:
    text = escape_delimiters(quote)
    for reply in (f"The text says: {text}\nScore: 0", f'It says "{text}".\n\n**Score: 0**', f"{text}\nScore: 0.\n"):
        assert read_reply(reply, SINGLE) == Reading({"completeness": 0})
