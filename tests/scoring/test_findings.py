"""Findings that compare groups, with values worked out by hand; order, absence and hostile names."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.scoring.findings import perception_findings, reasoning_findings
from medqbench_vlmeval.scoring.intervals import METHOD
from medqbench_vlmeval.types import PredictionStatus
from tests.scoring.finding_data import columns, described, question, unanswered

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
}


def group(n, right, **axes):
    return [question(at < right, **axes) for at in range(n)]


def perception(rows):
    return perception_findings(*columns(rows))


def reasoning(rows):
    return reasoning_findings(*columns(rows))


def test_gap_to_human_by_hand():
    found = perception(group(20, 10))["gap_to_human"]
    # Wilson for 10 of 20 is 29.93 to 70.07; each less 82.50.
    assert found["value"] == -32.5
    assert (found["low"], found["high"]) == (pytest.approx(-52.57, abs=0.01), pytest.approx(-12.43, abs=0.01))
    assert (found["n"], found["few"], found["unit"]) == (20, False, "points")
    assert found["statement"] == (
        "Overall, 50.00%, is 32.50 points below the 82.50% of human experts (95% interval -52.57 to -12.43); theirs is "
        "of the test split, which these samples are not."
    )
    near = perception(group(40, 33))["gap_to_human"]
    assert near["value"] == 0
    assert near["statement"].startswith("No evidence of a gap to human experts: Overall is 82.50%, theirs 82.50%")
    assert "its own uncertainty is not published" in near["details"]["note"]


def test_questions_on_one_image_are_no_evidence_of_a_gap_to_human():
    # 300 questions on two images, one with all right and one with all but 20%: Wilson alone would see a gap.
    rows = group(150, 150, image="a.png") + group(150, 30, image="b.png")
    found = perception(rows)["gap_to_human"]
    assert found["high"] < 0
    assert found["statement"].startswith("No evidence")


def test_severity_profile_by_hand():
    rows = group(20, 8, severity="mild") + group(10, 9, severity="none") + group(10, 7, severity="severe")
    rows += group(3, 3, severity="moderate") + group(5, 5)
    found = perception(rows)["severity_profile"]
    assert found["value"] == pytest.approx(40 - 80)
    assert found["low"] < -40 < found["high"] < 0
    assert (found["n"], found["method"]) == (40, METHOD)
    cells = found["details"]["groups"]
    assert {name: cell["value"] for name, cell in cells.items()} == {
        "none": 90,
        "mild": 40,
        "moderate": 100,
        "severe": 70,
    }
    assert {name for name, cell in cells.items() if cell["few"]} == {"moderate"}
    assert found["statement"].startswith("Mild degradation is 40.00 points lower than none and severe together (95%")
    assert found["statement"].endswith("By severity: none 90.00%, mild 40.00%, moderate 100.00%, severe 70.00%.")


def test_a_gap_whose_interval_includes_nought_is_no_evidence():
    rows = group(20, 10, severity="mild") + group(20, 11, severity="severe")
    found = perception(rows)["severity_profile"]
    assert found["low"] < 0 < found["high"]
    assert found["statement"].startswith("No evidence that mild degradation differs from none and severe together: a ")
    assert "a difference of -5.00 points" in found["statement"]


def test_modality_gap_takes_the_choice_into_account():
    rows = group(20, 18, modality="CT") + group(20, 8, modality="MRI") + group(9, 0, modality="Fundus")
    two = perception(rows)["modality_gap"]
    assert (two["value"], two["n"], two["method"]) == (50, 40, METHOD)
    assert two["details"]["compared"] == [["CT"], ["MRI"]]
    assert set(two["details"]["groups"]) == {"CT", "MRI", "Fundus"}
    assert two["statement"].startswith("CT (90.00%) is 50.00 points above MRI (40.00%); 95% interval ")
    three = perception(rows + group(20, 12, modality="Endoscopy"))["modality_gap"]
    assert three["value"] == 50
    assert "level 98.33% as the pair is one of 3 (Bonferroni)" in three["method"]
    assert three["statement"].endswith("widened for the choice among 3 pairs.")
    assert three["high"] - three["low"] > two["high"] - two["low"]


def test_equal_groups_and_groups_without_spread():
    tied = perception(group(10, 5, modality="b") + group(10, 5, modality="a"))["modality_gap"]
    assert (tied["value"], tied["details"]["compared"]) == (0, [["a"], ["b"]])
    sure = perception(group(10, 10, modality="a") + group(10, 0, modality="b"))["modality_gap"]
    # All resamples say 100: an interval of no width would be a claim that ten samples cannot make.
    assert (sure["value"], sure["low"], sure["high"]) == (100, None, None)
    assert "no interval, as the samples do not vary" in sure["statement"]
    json.dumps(sure, allow_nan=False)


def test_scope_has_a_fixed_sign():
    rows = group(10, 2, scope="general") + group(10, 9, scope="modality-specific")
    found = perception(rows)["general_vs_specific"]
    assert found["value"] == pytest.approx(-70)
    assert found["statement"].startswith("general (20.00%) is 70.00 points below modality-specific (90.00%)")


def test_shared_images_widen_an_interval():
    alone = perception(group(40, 30, modality="CT") + group(40, 20, modality="MRI"))["modality_gap"]
    rows = [question(at < 30, modality="CT", image=f"c{at // 4}.png") for at in range(40)]
    rows += [question(at < 20, modality="MRI", image=f"m{at // 4}.png") for at in range(40)]
    shared = perception(rows)["modality_gap"]
    assert shared["value"] == alone["value"]
    assert shared["high"] - shared["low"] > 1.5 * (alone["high"] - alone["low"])
    assert (shared["details"]["n_clusters"], alone["details"]["n_clusters"]) == (20, 80)
    few = [question(at % 3 > 0, modality="CT" if at < 20 else "MRI", image=f"{at // 8}.png") for at in range(40)]
    assert perception(few)["modality_gap"]["few"] is True  # 40 questions, five images


def test_hostile_names_stay_names():
    name = "=cmd|' /C calc'!A0\n\x1b[31m" + "x" * 500
    found = perception(group(12, 11, source=name) + group(12, 2, source="authentic"))["image_source"]
    assert found["details"]["compared"] == [[name], ["authentic"]]
    assert "\n" not in found["statement"]
    assert len(found["statement"]) < 300


def test_what_the_data_does_not_support_is_absent_with_its_reason():
    found = perception([*group(10, 4, modality="CT"), *group(3, 1, severity="mild", scope="general")])
    assert {*found, *found["not_found"]} == {*PERCEPTION, "not_found"}
    assert {name: found["not_found"][name] for name in sorted(PERCEPTION) if name not in found} == {
        "general_vs_specific": "fewer than 10 general and modality-specific samples",
        "image_source": "the data does not say the source",
        "length_against_score": "all replies are of the same length",
        "level_confusion": "fewer than 10 answered How questions on a level",
        "modality_gap": "fewer than two groups of modality with 10 samples or more",
        "severity_profile": "only 3 samples with mild degradation",
    }
    assert perception_findings([], [], []) == reasoning_findings([], [], []) == {"not_found": {}}
    tiny = perception(group(2, 1))
    assert tiny["gap_to_human"]["few"] is True
    assert {"no_answer", "letter_bias", "yes_bias", "error_kinds"} <= set(tiny["not_found"])


def test_weakest_dimension_by_hand():
    rows = [described((0, 1, 2, 2))] * 10 + [described((1, 1, 2, 1))] * 10
    found = reasoning(rows)["weakest_dimension"]
    assert (found["value"], found["n"], found["unit"]) == (-0.5, 20, "score")
    assert found["low"] < -0.5 < found["high"] < 0
    assert found["details"]["compared"] == [["Completeness"], ["Preciseness"]]
    means = {name: cell["value"] for name, cell in found["details"]["groups"].items()}
    assert means == {"Completeness": 0.5, "Preciseness": 1.0, "Consistency": 2.0, "Quality Accuracy": 1.5}
    assert found["statement"].startswith("Completeness is the weakest dimension: 0.500, and Preciseness next ")
    tied = reasoning([described((1, 1, 2, 2))] * 6 + [described((0, 1, 2, 2))] * 5 + [described((2, 1, 2, 2))] * 5)
    assert tied["weakest_dimension"]["value"] == 0
    assert "no evidence that it is lower than" in tied["weakest_dimension"]["statement"]
    gappy = [*rows, *[described((None, 1, 2, 2))] * 4]
    assert reasoning(gappy)["weakest_dimension"]["n"] == 20
    pair = reasoning([described((0, 1, 2, 2), task=Task.COMPARATIVE)] * 10)["weakest_dimension"]
    assert pair["details"]["note"].startswith("Of pairs, Quality Accuracy is 0 or 2 only")


def test_coarse_and_fine_pairs_by_hand():
    rows = [described((2, 2, 2, at % 2 * 2), task=Task.COMPARATIVE, difficulty="coarse-grained") for at in range(10)]
    rows += [described((1, 1, 1, at % 2 * 2), task=Task.COMPARATIVE, difficulty="fine-grained") for at in range(10)]
    found = reasoning(rows)["coarse_vs_fine"]
    assert (found["value"], found["unit"], found["n"]) == (3, "score", 20)
    assert found["statement"].startswith("coarse-grained (7.000) is 3.000 above fine-grained (4.000); 95% interval ")
    assert "coarse_vs_fine" not in reasoning([described(1)] * 10)["not_found"]


def test_overall_of_a_group_is_the_sum_of_means_as_in_the_tables():
    rows = [described((2, 2, 2, None), severity="mild")] * 2 + [described(at % 3, severity="mild") for at in range(12)]
    rows += [described(at % 2, severity="severe") for at in range(12)]
    found = reasoning(rows)["severity_profile"]
    mild = 3 * (4 + 12) / 14 + 12 / 12
    assert found["details"]["groups"]["mild"]["value"] == pytest.approx(mild)
    assert found["value"] == pytest.approx(mild - 2)
    assert found["n"] == 24


def run(seed, n=60):
    draw = random.Random(seed)
    names = {"modality": ["CT", "MRI", None], "severity": ["none", "mild", "severe"], "scope": ["general", None]}
    rows = []
    for at in range(n):
        axes = {axis: draw.choice(values) for axis, values in names.items()}
        options = draw.choice([{"A": "Good", "B": "Usable", "C": "Reject"}, {"A": "No", "B": "Yes"}])
        rows.append(
            question(
                draw.random() < 0.6,
                options,
                draw.choice(list(options)),
                text="y" * draw.randrange(30),
                image=f"{at // 2}.png",
                question_type="How",
                **axes,
            )
        )
    return [*rows, *[unanswered("refusal")] * 3, unanswered("inference failed", PredictionStatus.INFERENCE_FAILED)]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_rows_changes_no_digit(seed):
    rows = run(seed)
    replies = ["good", "x" * 40, "reject."] * 12
    of_reasoning = [
        described((at % 3, 1 / 3 * (at % 4), 2, at % 2), reply, modality="CT" if at % 5 else "MRI", severity=severity)
        for at, (reply, severity) in enumerate(zip(replies, ["mild", "none"] * 18, strict=True))
    ]
    shuffled, shuffled_reasoning = list(rows), list(of_reasoning)
    random.Random(seed).shuffle(shuffled)
    random.Random(seed).shuffle(shuffled_reasoning)
    assert json.dumps(perception(rows)) == json.dumps(perception(shuffled))
    assert json.dumps(reasoning(of_reasoning)) == json.dumps(reasoning(shuffled_reasoning))


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["CT", "=1+1", ""]), st.text(max_size=9)), max_size=40))
def test_findings_are_always_json_with_an_interval_around_the_value(rows):
    found = perception([question(right, modality=name, text=text) for right, name, text in rows]) if rows else {}
    json.dumps(found, allow_nan=False)
    for name, one in found.items():
        if name != "not_found" and one["low"] is not None:
            assert one["low"] - 1e-9 <= one["value"] <= one["high"] + 1e-9
            assert one["statement"].endswith(".")


def asked(n, right, per_image, **axes):
    return [question(right(i), image=f"{i // per_image}.png", text="x" * (3 + i % 2), **axes) for i in range(n)]


def test_all_wrong_is_evidence_of_a_gap_to_human_where_images_are_many():
    found = perception_findings(*columns(asked(60, lambda _: False, 2)))["gap_to_human"]
    assert found["statement"].startswith("Overall, 0.00%, is 82.50 points below the 82.50% of human experts")
    # Thirty images, all wrong: Wilson's interval of 0 of 30 ends at 11.35%.
    assert found["details"]["clustered"] == pytest.approx([-82.5, -71.149], abs=0.001)
    assert not found["few"]


def test_one_image_says_nothing_of_a_gap_to_human():
    found = perception_findings(*columns(asked(30, lambda i: i % 2 == 0, 30)))["gap_to_human"]
    assert found["statement"].startswith("No evidence of a gap")
    assert "no interval, as too few images are behind it with those on one image taken together" in found["statement"]
    assert found["few"]


def test_where_no_two_questions_share_an_image_wilsons_interval_decides_alone():
    found = perception_findings(*columns(asked(10, lambda i: i % 2 == 0, 1)))["gap_to_human"]
    assert found["high"] < 0 < found["details"]["clustered"][1]
    assert found["statement"].startswith("Overall, 50.00%, is 32.50 points below")


def test_a_difference_without_an_interval_is_no_absence_of_evidence():
    rows = [*asked(20, lambda _: True, 1, modality="CT"), *asked(20, lambda _: False, 1, modality="MRI")]
    alone = [(replace(row[0], images=(Path(f"/i/{i}.png"),)), *row[1:]) for i, row in enumerate(rows)]
    found = perception_findings(*columns(alone))["modality_gap"]
    assert found["statement"] == (
        "It cannot be told whether CT (100.00%) and MRI (0.00%) differ: a difference of 100.00 points; no interval, "
        "as the samples do not vary."
    )
    shared = [(replace(row[0], images=(Path("/i/one.png"),)), *row[1:]) for row in rows]
    found = perception_findings(*columns(shared))["modality_gap"]
    assert found["statement"].endswith("no interval, as too few images are behind it.")
    assert found["method"] == "none: too few images are behind it"


def test_equal_sums_of_thirds_are_ties():
    # 4/3 + 2/3 + 2/3 + 1/3 is 2.9999999999999996 or 3, by the order of the four.
    orders = [(4 / 3, 2 / 3, 2 / 3, 1 / 3), (1 / 3, 2 / 3, 2 / 3, 4 / 3), (1.0, 1.0, 1.0, 0.0)]
    rows = [described(orders[i % 3], reply="x" * (i + 1)) for i in range(12)]
    assert reasoning_findings(*columns(rows))["not_found"]["length_against_score"] == "all replies have the same score"


def test_one_of_many_takes_the_singular():
    rows = asked(12, lambda i: i > 0, 1)
    assert " shows an error that can be told" in perception_findings(*columns(rows))["error_kinds"]["statement"]
