"""Levels taken for other levels, and kinds of error."""

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.scoring.findings import perception_error_kinds, reasoning_error_kinds
from medqbench_vlmeval.scoring.findings.errors import level_choice
from medqbench_vlmeval.types import Answer, Judged, Prediction, PredictionStatus, Sample
from tests.scoring.finding_data import FIRST, SECOND, described, group, level, perception, question, reasoning

SEVERITY = {"A": "None", "B": "Mild", "C": "Severe"}
QUALITY = {"A": "Good", "B": "Usable", "C": "Reject"}


def how(answer, letter, options=SEVERITY):
    return question(True, options, answer, letter, question_type="How")


@pytest.mark.parametrize(
    ("texts", "scale", "levels"),
    [
        (("None", "Mild", "Severe"), "severity", "none mild severe"),
        (("Severe degradation", "No degradation", "Slight"), "severity", "severe none mild"),
        (("Good", "Usable", "Reject"), "quality", "good usable reject"),
        (("Good quality", "Rejected"), "quality", "good reject"),
        (("Low", "Moderate", "High"), None, ""),  # of what is not said
        (("Mild", "Slight", "Severe"), None, ""),  # two options are one level
        (("Good", "Not usable", "Reject"), None, ""),
        (("Mild blur", "Severe noise", "Motion"), None, ""),
        (("Mild",), None, ""),
    ],
)
def test_options_that_are_levels(texts, scale, levels):
    options = dict(zip("ABCD", texts, strict=False))
    samples = [Sample("1", Task.PERCEPTION, "?", options, letter, question_type="How") for letter in options]
    choices = [level_choice(sample, Answer(None, "refusal")) for sample in samples]
    assert [choice and (choice.scale, choice.right) for choice in choices] == (
        [(scale, name) for name in levels.split()] if scale else [None] * len(options)
    )


def test_level_confusion_by_hand():
    rows = [how("B", "B")] * 4 + [how("B", "C")] * 3 + [how("B", "A")] * 1 + [how("C", "A")] * 2 + [how("A", "A")] * 5
    rows += [how("B", "A", QUALITY)] * 2 + [(*how("B", "B")[:2], Answer(None, "refusal"))] * 2
    rows += [question(False)] * 7
    finding = perception(rows).findings["level_confusion"]
    # 17 answered, 8 of them with another level.
    assert (finding.cell.value, finding.cell.n) == (pytest.approx(800 / 17), 17)
    details = finding.details
    assert details.scales == {
        "severity": {
            "none": {"none": 5, "mild": 0, "severe": 0},
            "mild": {"none": 1, "mild": 4, "severe": 3},
            "severe": {"none": 2, "mild": 0, "severe": 0},
        },
        "quality": {"usable": {"good": 2, "usable": 0}},
    }
    mistakes = [
        (mistake.right, mistake.chosen, mistake.share.counts["count"], mistake.share.n) for mistake in details.mistakes
    ]
    assert mistakes == [
        ("mild", "severe", 3, 8),
        ("usable", "good", 2, 2),
        ("severe", "none", 2, 2),
        ("mild", "none", 1, 8),
    ]
    kinds = {name: cell.counts["count"] for name, cell in details.kinds.items()}
    assert kinds == {"adjacent level": 6, "opposite level": 2, "worse than right": 3, "better than right": 5}
    assert details.facts["n_without_level"] == 2
    assert finding.statement.startswith("Of 17 answered How questions on a level, 8 (47.06%, 95% interval ")
    assert finding.statement.endswith("took one level for another, most often mild for severe: 3 of 8.")


def test_levels_that_descriptions_state():
    rows = [described(1, level("good"), level("usable"))] * 6 + [described(1, level("reject"), level("reject"))] * 6
    rows += [described(1, "A lung.", level("good")), described(1, level("good"), "A lung.")]
    finding = reasoning(rows).findings["level_confusion"]
    assert (finding.cell.value, finding.cell.n, finding.details.facts["n_without_level"]) == (50, 12, 1)
    assert finding.statement.endswith("most often usable for good: 6 of 6.")


@pytest.mark.parametrize(
    ("answer", "letter", "options", "kind"),
    [
        ("A", "A", SEVERITY, []),
        ("A", "B", SEVERITY, ["adjacent level"]),
        ("C", "A", SEVERITY, ["opposite level"]),
        ("A", "B", {"A": "Mild", "B": "Severe"}, ["adjacent level"]),
        ("A", "B", {"A": "Blur", "B": "Noise"}, ["wrong answer"]),
        ("A", None, SEVERITY, ["no answer"]),
    ],
)
def test_error_kinds_of_choices(answer, letter, options, kind):
    sample = Sample("1", Task.PERCEPTION, "?", options, answer, question_type="How")
    assert perception_error_kinds(sample, Prediction("1", "x"), Answer(letter, "r")) == kind
    lost = Prediction("1", "x", PredictionStatus.MISSING)
    assert perception_error_kinds(sample, lost, Answer(None, "r")) == ["no reply"]


@pytest.mark.parametrize(
    ("row", "kinds"),
    [
        (described(2), []),
        (described((0, 2, 2, 2)), ["incomplete description"]),
        (described((0.5, 0.4, 0, 2)), ["incomplete description", "imprecise description", "inconsistent"]),
        (described((2 / 3, 1, 1, 0)), []),
        (described(2, level("usable")), ["adjacent level"]),
        (described(2, level("reject")), ["opposite level"]),
        (described((0, 2, 2, 0), "A lung."), ["no conclusion", "incomplete description"]),
        (described(2, "A lung.", "A lung."), []),
        (described(2, FIRST, SECOND, Task.COMPARATIVE), ["wrong preference"]),
        (described(2, "Both images are of comparable quality.", SECOND, Task.COMPARATIVE), ["wrong preference"]),
    ],
)
def test_error_kinds_of_descriptions(row, kinds):
    assert reasoning_error_kinds(*row) == kinds


def test_error_kinds_are_counted():
    rows = [described(2)] * 6 + [described((0, 2, 2, 2), level("usable"))] * 4
    lost = described(2)
    rows.append((lost[0], Prediction("?", "", PredictionStatus.INFERENCE_FAILED), Judged("?", {}, "inference failed")))
    finding = reasoning(rows).findings["error_kinds"]
    assert (finding.cell.value, finding.cell.n) == (pytest.approx(500 / 11), 11)
    counts = {kind: cell.counts["count"] for kind, cell in finding.details.kinds.items()}
    assert counts == {"adjacent level": 4, "incomplete description": 4, "no reply": 1}
    assert "medical knowledge cannot be told" in finding.details.facts["not_told"]
    single = perception(group(12, 11)).findings["error_kinds"]
    assert " shows an error that can be told" in single.statement
