"""Findings that compare groups, with values worked out by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.scoring.intervals import METHOD
from tests.scoring.finding_data import described, group, perception, question, reasoning


def asked(n, right, per_image, **axes):
    return [question(right(i), image=f"{i // per_image}.png", text="x" * (3 + i % 2), **axes) for i in range(n)]


def width(finding):
    return finding.cell.high - finding.cell.low


def test_gap_to_human_by_hand():
    finding = perception(group(20, 10)).findings["gap_to_human"]
    # Wilson for 10 of 20 is 29.93 to 70.07; each less 82.50.
    assert (finding.cell.value, finding.unit, finding.cell.n, finding.cell.few) == (-32.5, "points", 20, False)
    assert finding.cell.interval == pytest.approx((-52.57, -12.43), abs=0.01)
    assert finding.statement == (
        "Overall, 50.00%, is 32.50 points below the 82.50% of human experts (95% interval -52.57 to -12.43); theirs is "
        "of the test split, which these samples are not."
    )
    near = perception(group(40, 33)).findings["gap_to_human"]
    assert near.cell.value == 0
    assert near.statement.startswith("No evidence of a gap to human experts: Overall is 82.50%, theirs 82.50%")
    assert "its own uncertainty is not published" in near.details.facts["note"]


def test_questions_on_one_image_are_no_evidence_of_a_gap_to_human():
    # 300 questions on two images, one with all right and one with all but 20%: Wilson alone would see a gap.
    two = perception(group(150, 150, image="a.png") + group(150, 30, image="b.png")).findings["gap_to_human"]
    assert two.cell.high < 0
    assert two.statement.startswith("No evidence")
    gap = perception(asked(30, lambda i: i % 2 == 0, 30)).findings["gap_to_human"]
    assert gap.statement.startswith("No evidence of a gap")
    assert "no interval, as too few images are behind it with those on one image taken together" in gap.statement
    assert gap.cell.few


def test_all_wrong_is_evidence_of_a_gap_to_human_where_images_are_many():
    finding = perception(asked(60, lambda _: False, 2)).findings["gap_to_human"]
    assert finding.statement.startswith("Overall, 0.00%, is 82.50 points below the 82.50% of human experts")
    # Thirty images, all wrong: Wilson's interval of 0 of 30 ends at 11.35%.
    assert finding.details.clustered == pytest.approx((-82.5, -71.149), abs=0.001)
    assert not finding.cell.few
    # Where no two questions share an image, Wilson's interval decides alone.
    alone = perception(asked(10, lambda i: i % 2 == 0, 1)).findings["gap_to_human"]
    assert alone.cell.high < 0 < alone.details.clustered[1]
    assert alone.statement.startswith("Overall, 50.00%, is 32.50 points below")


def test_severity_profile_by_hand():
    rows = group(20, 8, severity="mild") + group(10, 9, severity="none") + group(10, 7, severity="severe")
    rows += group(3, 3, severity="moderate") + group(5, 5)
    finding = perception(rows).findings["severity_profile"]
    assert finding.cell.value == pytest.approx(40 - 80)
    assert finding.cell.low < -40 < finding.cell.high < 0
    assert (finding.cell.n, finding.method) == (40, METHOD)
    cells = finding.details.groups
    expected = {"none": 90, "mild": 40, "moderate": 100, "severe": 70}
    assert {name: cell.value for name, cell in cells.items()} == expected
    assert {name for name, cell in cells.items() if cell.few} == {"moderate"}
    assert finding.statement.startswith("Mild degradation is 40.00 points lower than none and severe together (95%")
    assert finding.statement.endswith("By severity: none 90.00%, mild 40.00%, moderate 100.00%, severe 70.00%.")
    even = perception(group(20, 10, severity="mild") + group(20, 11, severity="severe")).findings["severity_profile"]
    assert even.cell.low < 0 < even.cell.high
    assert even.statement.startswith(
        "No evidence that mild degradation differs from none and severe together: a difference of -5.00 points"
    )


def test_modality_gap_takes_the_choice_into_account():
    rows = group(20, 18, modality="CT") + group(20, 8, modality="MRI") + group(9, 0, modality="Fundus")
    two = perception(rows).findings["modality_gap"]
    assert (two.cell.value, two.cell.n, two.method) == (50, 40, METHOD)
    assert two.details.compared == (("CT",), ("MRI",))
    assert set(two.details.groups) == {"CT", "MRI", "Fundus"}
    assert two.statement.startswith("CT (90.00%) is 50.00 points above MRI (40.00%); 95% interval ")
    three = perception(rows + group(20, 12, modality="Endoscopy")).findings["modality_gap"]
    assert three.cell.value == 50
    assert "level 98.33% as the pair is one of 3 (Bonferroni)" in three.method
    assert three.statement.endswith("widened for the choice among 3 pairs.")
    assert width(three) > width(two)


def test_equal_groups_stand_by_name_and_groups_without_spread_have_no_interval():
    tied = perception(group(10, 5, modality="b") + group(10, 5, modality="a")).findings["modality_gap"]
    assert (tied.cell.value, tied.details.compared) == (0, (("a",), ("b",)))
    rows = [*asked(20, lambda _: True, 1, modality="CT"), *asked(20, lambda _: False, 1, modality="MRI")]
    alone = [(replace(row[0], images=(Path(f"/i/{i}.png"),)), *row[1:]) for i, row in enumerate(rows)]
    sure = perception(alone).findings["modality_gap"]
    # All resamples say 100: an interval of no width would be a claim that so few samples cannot make.
    assert (sure.cell.value, sure.cell.interval) == (100, None)
    assert sure.statement == (
        "It cannot be told whether CT (100.00%) and MRI (0.00%) differ: a difference of 100.00 points; no interval, "
        "as the samples do not vary."
    )
    shared = [(replace(row[0], images=(Path("/i/one.png"),)), *row[1:]) for row in rows]
    unsure = perception(shared).findings["modality_gap"]
    assert unsure.statement.endswith("no interval, as too few images are behind it.")
    assert unsure.method == "none: too few images are behind it"


def test_scope_has_a_fixed_sign_and_hostile_names_stay_names():
    rows = group(10, 2, scope="general") + group(10, 9, scope="modality-specific")
    finding = perception(rows).findings["general_vs_specific"]
    assert finding.cell.value == pytest.approx(-70)
    assert finding.statement.startswith("general (20.00%) is 70.00 points below modality-specific (90.00%)")
    name = "=cmd|' /C calc'!A0\n\x1b[31m" + "x" * 500
    finding = perception(group(12, 11, source=name) + group(12, 2, source="authentic")).findings["image_source"]
    assert finding.details.compared == ((name,), ("authentic",))
    assert "\n" not in finding.statement
    assert len(finding.statement) < 300


def test_shared_images_widen_an_interval():
    alone = perception(group(40, 30, modality="CT") + group(40, 20, modality="MRI")).findings["modality_gap"]
    rows = [question(at < 30, modality="CT", image=f"c{at // 4}.png") for at in range(40)]
    rows += [question(at < 20, modality="MRI", image=f"m{at // 4}.png") for at in range(40)]
    shared = perception(rows).findings["modality_gap"]
    assert shared.cell.value == alone.cell.value
    assert width(shared) > 1.5 * width(alone)
    assert (shared.details.n_clusters, alone.details.n_clusters) == (20, 80)
    few = [question(at % 3 > 0, modality="CT" if at < 20 else "MRI", image=f"{at // 8}.png") for at in range(40)]
    assert perception(few).findings["modality_gap"].cell.few is True  # 40 questions, five images


def test_weakest_dimension_by_hand():
    rows = [described((0, 1, 2, 2))] * 10 + [described((1, 1, 2, 1))] * 10
    finding = reasoning(rows).findings["weakest_dimension"]
    assert (finding.cell.value, finding.cell.n, finding.unit) == (-0.5, 20, "score")
    assert finding.cell.low < -0.5 < finding.cell.high < 0
    assert finding.details.compared == (("Completeness",), ("Preciseness",))
    means = {name: cell.value for name, cell in finding.details.groups.items()}
    assert means == {"Completeness": 0.5, "Preciseness": 1.0, "Consistency": 2.0, "Quality Accuracy": 1.5}
    assert finding.statement.startswith("Completeness is the weakest dimension: 0.500, and Preciseness next ")
    even = [described((1, 1, 2, 2))] * 6 + [described((0, 1, 2, 2))] * 5 + [described((2, 1, 2, 2))] * 5
    tied = reasoning(even).findings["weakest_dimension"]
    assert tied.cell.value == 0
    assert "no evidence that it is lower than" in tied.statement
    gappy = [*rows, *[described((None, 1, 2, 2))] * 4]
    assert reasoning(gappy).findings["weakest_dimension"].cell.n == 20
    pairs = reasoning([described((0, 1, 2, 2), task=Task.COMPARATIVE)] * 10).findings["weakest_dimension"]
    assert pairs.details.facts["note"].startswith("Of pairs, Quality Accuracy is 0 or 2 only")


def test_coarse_and_fine_pairs_by_hand():
    rows = [described((2, 2, 2, at % 2 * 2), task=Task.COMPARATIVE, difficulty="coarse-grained") for at in range(10)]
    rows += [described((1, 1, 1, at % 2 * 2), task=Task.COMPARATIVE, difficulty="fine-grained") for at in range(10)]
    finding = reasoning(rows).findings["coarse_vs_fine"]
    assert (finding.cell.value, finding.unit, finding.cell.n) == (3, "score", 20)
    assert finding.statement.startswith("coarse-grained (7.000) is 3.000 above fine-grained (4.000); 95% interval ")
    assert "coarse_vs_fine" not in reasoning([described(1)] * 10).not_found


def test_overall_of_a_group_is_the_sum_of_means_as_in_the_tables():
    rows = [described((2, 2, 2, None), severity="mild")] * 2 + [described(at % 3, severity="mild") for at in range(12)]
    rows += [described(at % 2, severity="severe") for at in range(12)]
    finding = reasoning(rows).findings["severity_profile"]
    mild = 3 * (4 + 12) / 14 + 12 / 12
    assert finding.details.groups["mild"].value == pytest.approx(mild)
    assert (finding.cell.value, finding.cell.n) == (pytest.approx(mild - 2), 24)
