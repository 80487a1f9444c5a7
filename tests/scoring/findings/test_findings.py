"""All findings together: which are there, that order decides nothing, and that intervals hold their values."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.scoring.findings import Findings, perception_findings, reasoning_findings
from medqbench_vlmeval.types import PredictionStatus
from tests.scoring.finding_data import described, group, perception, question, reasoning, unanswered

PERCEPTION = {
    "gap_to_human",
    "severity_profile",
    "level_confusion",
    "modality_gap",
    "general_vs_specific",
    "image_source",
    "letter_bias",
    "yes_bias",
    "no_answer",
    "length_against_score",
    "error_kinds",
    "failure_groups",
}


def test_what_the_data_does_not_support_is_absent_with_its_reason():
    result = perception([*group(10, 4, modality="CT"), *group(3, 1, severity="mild", scope="general")])
    assert {*result.findings, *result.not_found} == PERCEPTION
    assert result.not_found == {
        "failure_groups": "no group of 10 samples or more on any axis",
        "general_vs_specific": "fewer than 10 general and modality-specific samples",
        "image_source": "the data does not say the source",
        "length_against_score": "all replies are of the same length",
        "level_confusion": "fewer than 10 answered How questions on a level",
        "modality_gap": "fewer than two groups of modality with 10 samples or more",
        "severity_profile": "only 3 samples with mild degradation",
    }
    tiny = perception(group(2, 1))
    assert tiny.findings["gap_to_human"].cell.few is True
    assert {"no_answer", "letter_bias", "yes_bias", "error_kinds"} <= set(tiny.not_found)
    assert perception_findings([], [], []) == reasoning_findings([], [], []) == Findings({}, {})


def run(seed, n=60):
    draw = random.Random(seed)
    names = {"modality": ["CT", "MRI", None], "severity": ["none", "mild", "severe"], "scope": ["general", None]}
    rows = []
    for at in range(n):
        axes = {axis: draw.choice(values) for axis, values in names.items()}
        options = draw.choice([{"A": "Good", "B": "Usable", "C": "Reject"}, {"A": "No", "B": "Yes"}])
        right, text = draw.random() < 0.6, "y" * draw.randrange(30)
        answer = draw.choice(list(options))
        rows.append(question(right, options, answer, text=text, image=f"{at // 2}.png", question_type="How", **axes))
    return [*rows, *[unanswered("refusal")] * 3, unanswered("inference failed", PredictionStatus.INFERENCE_FAILED)]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_rows_changes_no_digit(seed):
    replies = ["good", "x" * 40, "reject."] * 12
    judged = [
        described((at % 3, 1 / 3 * (at % 4), 2, at % 2), reply, modality="CT" if at % 5 else "MRI", severity=severity)
        for at, (reply, severity) in enumerate(zip(replies, ["mild", "none"] * 18, strict=True))
    ]
    for find, rows in ((perception, run(seed)), (reasoning, judged)):
        assert repr(find(random.Random(seed).sample(rows, len(rows)))) == repr(find(rows))


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from(["CT", "=1+1", ""]), st.text(max_size=9)), min_size=1, max_size=40
    )
)
def test_every_interval_holds_its_value(rows):
    result = perception([question(right, modality=name, text=text) for right, name, text in rows])
    assert {*result.findings, *result.not_found} == PERCEPTION
    for finding in result.findings.values():
        assert finding.statement.endswith(".")
        if finding.cell.interval is not None:
            assert finding.cell.low - 1e-9 <= finding.cell.value <= finding.cell.high + 1e-9
