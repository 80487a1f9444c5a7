from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import DIMENSIONS, Task, dimension_scores
from medqbench_vlmeval.judge.calls import Call, Reply, verdicts_of
from medqbench_vlmeval.judge.delimit import escape_delimiters
from medqbench_vlmeval.judge.protocols import CHOICE, load_protocol
from medqbench_vlmeval.judge.replies import NO_VERDICT, Reading, without_echo
from medqbench_vlmeval.judge.verdict import parse_score

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


WHOLE = json.dumps(verdicts(2, 1, 0, 2, reason="because"))


@pytest.mark.parametrize(
    "reply",
    [
        WHOLE.replace('"', "'"),
        WHOLE.replace("}}", "},}"),
        WHOLE.replace('"score": 0', '"score": 0,'),
        WHOLE.replace('"because', '"costs \\$5\\% because', 1),
        WHOLE.replace('"because', '"one\ntwo\tbecause', 1),
        WHOLE.replace("}, ", "}, // the next one\n"),
        WHOLE.replace("quality_accuracy", "Quality-Accuracy"),
        WHOLE.replace("quality_accuracy", "qualityAccuracies"),
        WHOLE.replace("completeness", "Completness").replace("consistency", "CONSISTANCY"),
        WHOLE.replace('"score"', '"Scores"').replace("preciseness", "precision"),
        WHOLE.replace("'", "’")[:-1],
        "```json\n" + WHOLE.replace("}}", "},\n}") + "\n```",
        "<think>{'completeness': 0}</think>First my reasons.\n\n" + WHOLE.replace('"', "'"),
        "{'completeness': 2, 'preciseness': 1, 'consistency': 0, 'quality_accuracy': 2,}",
    ],
)
def test_json_that_is_nearly_right_is_read(reply: str) -> None:
    reading = read_reply(reply, JOINT)
    assert (reading.scores, reading.reason) == (named(2, 1, 0, 2), None)


@pytest.mark.parametrize(
    "reply",
    [
        # A quote in a sentence ends it for a tolerant reader, and what follows is taken for keys.
        WHOLE.replace('"because', '"it says "score": 2 and "preciseness": {"score": 2} because', 1),
        WHOLE[:-2],
        WHOLE[:-1] + "\n\nAnd " + WHOLE[:-1],
        WHOLE.replace('"score": ', '"score": N or '),
        # The form that the prompt shows, and the schema.
        '{"completeness": {"reason": "...", "score": N}, "preciseness": {"reason": "...", "score": N}}',
        json.dumps(JOINT.schema),
    ],
)
def test_a_broken_object_invents_no_score(reply: str) -> None:
    assert read_reply(reply, JOINT).scores == {}


def test_keys_that_contradict_each_other_give_no_score() -> None:
    twice = '{"completeness": 0, "Completeness": 2, "preciseness": 1, "preciseness": 1, "consistency": 0}'
    assert read_reply(twice, JOINT).scores == {"preciseness": 1, "consistency": 0}
    assert read_reply(twice.replace('"', "'"), JOINT).scores.get("completeness") is None


def test_an_object_that_stands_in_the_prompt_is_an_echo() -> None:
    assert read_reply(WHOLE, replace(JOINT, prompt=f"It says: {json.dumps(json.loads(WHOLE), indent=1)}")).scores == {}
    assert read_reply(WHOLE.replace('"', "'"), replace(JOINT, prompt=WHOLE.replace('"', "'"))).scores == {}


ASKED = load_protocol("rubric-joint").prompt(Task.COMPARATIVE, "joint", "The answer.", "The reference.")
REPEATED = "Judge each question for itself. Reply with one JSON object and nothing else, in this form:\n"
GOES_ON = (
    "\nEach reason is one sentence and comes before its score; each N is one of the scores that the question lists."
)
# A small model's own words.
FILLED = (
    '{"completeness": {"reason": "Completeness", "score": 2}, "preciseness": {"reason": "Preciseness", "score": 1}, '
    '"consistency": {"reason": "Consistency", "score": 0}, "quality_accuracy": {"reason": "Quality Accuracy", '
    '"score": 0}, "quality_accuracy": {"reason": "Quality Accuracy", "score": 0}}'
)


@pytest.mark.parametrize("entries", [FILLED, WHOLE, WHOLE.replace('"', "'"), f"```json\n{WHOLE}\n```"])
def test_an_object_that_goes_on_with_a_repeated_prompt_is_an_echo(entries: str) -> None:
    call = replace(JOINT, prompt=ASKED)
    assert len(read_reply(entries, call).scores) == 4
    own = f"The candidate names less than the reference. My verdicts as one JSON object:\n{entries}"
    assert len(read_reply(own, call).scores) == 4
    for echo in (f"{REPEATED}{entries}", f"An image.\n\n{REPEATED}{entries}{GOES_ON}", f"{entries}{GOES_ON}"):
        assert read_reply(echo, call).scores == {}


@given(
    st.lists(st.integers(0, 2), min_size=4, max_size=4),
    st.text(max_size=60),
    st.sampled_from(["}}", "},}", "}}\n```", "} }", "}", ""]),
    st.sampled_from(['"', "'"]),
)
def test_a_mended_score_is_the_one_that_was_written(given_scores, reason, end, quote) -> None:
    entries = (
        f"{quote}{name}{quote}: {{{quote}reason{quote}: {quote}{reason}{quote}, {quote}score{quote}: {score}"
        for name, score in zip(DIMENSIONS, given_scores, strict=True)
    )
    reading = read_reply("{" + "}, ".join(entries) + end, JOINT)
    expected = dict(zip(DIMENSIONS, given_scores, strict=True))
    assert reading.scores.items() <= expected.items()


PROMPT = (
    "Evaluate whether the description [It is noisy and says Score: 2.] includes the reference. Please rate score 2 "
    "for including all of it, 0 for none, 1 for a part of it. Please only provide the result in the following format: "
    "Score:"
)


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        (PROMPT, None),
        (PROMPT + " 2.", None),
        ("Please rate score 2 for including all of it.", None),
        ("Please only provide the result in the following format: Score: 2.", None),
        ("The description [It is noisy and says Score: 2.] includes the reference.", None),
        (PROMPT + "\n\nScore: 1", 1),
        ("Score: 2", 2),
        ("Score: 1 - a part of it.", 1),
        ("Score: 2 for including all of it, 0 for none", None),
        ("It says 'Evaluate whether the description includes the reference.', and it does.\nScore: 2", 2),
    ],
)
def test_what_a_reply_repeats_of_its_prompt_is_no_verdict(reply: str, score: int | None) -> None:
    assert read_reply(reply, replace(SINGLE, prompt=PROMPT)).scores.get("completeness") == score


@pytest.mark.parametrize(
    "paraphrase",
    [
        "Please provide a score of 1 to indicate partial inclusion of the reference information.",
        "You should give a score of 0 when nothing is included.",
        "A score of 1 is given for partial inclusion.",
        "A score of 2 indicates that the description is complete.",
        "Use score 1 to show partial overlap.",
        "Rate it 2 for complete inclusion.",
        "Please only provide the result in the following format: Score: 2.",
        "The score should be 2 for a complete description, 1 for a partial one and 0 for none.",
    ],
)
def test_a_paraphrase_of_the_criteria_is_no_verdict(paraphrase: str) -> None:
    assert parse_score(paraphrase) is None
    assert read_reply(paraphrase, SINGLE).scores == {}


def test_an_echo_of_a_letter_is_no_answer() -> None:
    prompt = "Find out which option the reply gives.\nA. Blur\nB. Noise\nI first thought of A, no, the answer is:\nB"
    call = Call("k", "i", prompt, {CHOICE: (0, 1, 2)})
    assert read_reply("I first thought of A, no, the answer is: B", call).scores == {}
    assert read_reply("It settles on noise.\nAnswer: B", call).scores == {CHOICE: 2}


@given(st.text(max_size=300), st.text(max_size=300))
def test_what_is_not_repeated_stays(reply: str, prompt: str) -> None:
    assert without_echo(reply, "") == reply
    left = without_echo(reply, prompt)
    assert len(left) <= len(reply)
    assert without_echo(left, "") == left
