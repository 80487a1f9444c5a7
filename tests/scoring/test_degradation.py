"""The drop from L0 and the calibration of stated confidence, with values worked out by hand."""

import json
import random
from dataclasses import replace

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.report.card import run_card
from medqbench_vlmeval.report.figures.plots import figures_of
from medqbench_vlmeval.report.run_tables import run_summary
from medqbench_vlmeval.report.table import Table
from medqbench_vlmeval.runs.result import result_from_json
from medqbench_vlmeval.scoring.findings.degradation import calibration, drops, pairs_of
from medqbench_vlmeval.scoring.intervals import newcombe, share_cell
from medqbench_vlmeval.types import PredictionStatus, Sample
from medqbench_vlmeval.workflows.compare import compare_runs
from medqbench_vlmeval.workflows.report import with_originals
from tests.make import choice, degraded_run, make_run, score_of

LINES = {"question": "Which organ?", "options": {"A": "Liver", "B": "Lung"}, "answer": "A", "modality": "CT"}


def asked(index, severity, **fields):
    return Sample(index, Task.DEGRADATION, **{**LINES, "severity": severity, **fields})


def four_images():
    """Four clean images, each at L1 and L2, and what is right: in points L1 loses 25 and L2 loses 50."""
    right = {"L0": (1, 1, 1, 0), "L1": (1, 0, 1, 0), "L2": (0, 0, 1, 0)}
    rows = [(degree, image) for degree in right for image in range(4)]
    samples = [
        asked(f"{degree}-{image}", degree, pair=f"clean {image}", category=None if degree == "L0" else "noise")
        for degree, image in rows
    ]
    return samples, [100.0 * right[degree][image] for degree, image in rows]


def by_name(contrasts):
    return {
        (axis, name, degree): group.measures
        for axis, groups in contrasts.items()
        for name, by_degree in groups.items()
        for degree, group in by_degree.items()
    }


def overall(contrasts, degree):
    return contrasts["Overall"]["Overall"][degree]


def test_a_paired_drop_is_the_mean_difference_with_one_clean_image_a_cluster():
    contrasts, findings = drops(*four_images())
    rows = by_name(contrasts)
    # L1 less L0: 0, -100, 0, 0. Sum of squares 3 * 25² + 75² = 7500, over 4 * 3 it is 25²; 3.182446 * 25 = 79.56.
    first = rows["Overall", "Overall", "L1"]
    assert {name: cell.value for name, cell in first.items()} == {"L0": 75, "accuracy": 50, "difference": -25}
    assert first["difference"].interval == (-100, pytest.approx(54.5612, abs=1e-4))
    # L2: -100, -100, 0, 0. 4 * 50² / 12 = 28.8675²; half 91.8693.
    assert rows["Overall", "Overall", "L2"]["difference"].interval == (-100, pytest.approx(41.8693, abs=1e-4))
    # Both: the sums of images are -100, -200, 0, 0, and less 2 means of -37.5 -25, -125, 75, 75.
    # 4/3 * 27500 / 8² = 23.9357²; half 76.1740.
    both = rows["Overall", "Overall", "L1 and L2"]["difference"]
    assert (both.value, both.n, both.few) == (-37.5, 8, True)
    assert overall(contrasts, "L1 and L2").counts == {"n": 8, "n_clusters": 4}
    assert both.interval == (-100, pytest.approx(38.6740, abs=1e-4))
    assert rows["category", "noise", "L2"] == rows["modality", "CT", "L2"]
    assert findings["degradation_drop"].details.facts["how"] == (
        "Paired: 8 of 8 degraded rows could be paired with their L0 row (8 by the column of pairs)."
    )
    drop = findings["degradation_drop"]
    assert drop.cell.value == -37.5
    assert drop.statement.startswith("No evidence that accuracy at L1 and L2 differs from that at L0: ")
    assert {name: cell.value for name, cell in drop.details.groups.items()} == {"L0": 75, "L1": 50, "L2": 25}
    assert [cell.n for cell in drop.details.groups.values()] == [4, 4, 4]
    assert findings["worst_category"] == "fewer than two groups of category with 10 samples or more"


def test_the_order_of_rows_decides_nothing():
    samples, right = four_images()
    order = random.Random(3).sample(range(12), 12)
    assert drops([samples[at] for at in order], [right[at] for at in order]) == drops(samples, right)


def test_newcombes_interval_is_that_of_his_paper():
    # 56 of 70 less 48 of 80 (Newcombe 1998, table II, row a, method 10).
    assert newcombe(share_cell(56, 70), share_cell(48, 80)) == pytest.approx((5.24, 33.39), abs=5e-3)
    assert newcombe(share_cell(10, 10), share_cell(0, 10))[1] == 100


def test_rows_that_cannot_be_paired_are_compared_as_two_samples():
    samples = [asked(f"clean {n}", "L0") for n in range(80)] + [asked(f"bad {n}", "L1") for n in range(70)]
    right = [100.0 * (n < 48) for n in range(80)] + [100.0 * (n < 56) for n in range(70)]
    contrasts, findings = drops(samples, right)
    row = overall(contrasts, "L1").measures
    assert (row["L0"].value, row["accuracy"].value, row["difference"].n) == (60, 80, 150)
    assert row["difference"].interval == pytest.approx((5.24, 33.39), abs=5e-3)
    assert "Unpaired, as fewer than 80% could be: 0 of 70" in findings["degradation_drop"].statement
    assert findings["degradation_drop"].statement.startswith("Accuracy at L1 is 20.00 points higher than at L0")
    assert findings["worst_category"] == "the drop is not paired"
    # Ten questions an image: the bootstrap draws images, and the interval is wider.
    of_images = [replace(of, image_refs=(f"{of.severity}-{n % 10}.png",)) for n, of in enumerate(samples)]
    right = [100.0 * (n % 10 < (6 if of.severity == "L0" else 8)) for n, of in enumerate(of_images)]
    shared = overall(drops(of_images, right)[0], "L1")
    difference = shared.measures["difference"]
    assert (difference.value, shared.counts["n_clusters"]) == (pytest.approx(20), 20)
    assert difference.high - difference.low > 60


def test_an_unpaired_group_is_set_beside_l0_rows_of_its_modalities():
    samples = [asked(f"c{n}", "L0", modality=name) for name in ("CT", "MRI") for n in range(2)]
    samples += [asked(f"d{n}", "L1", degradation="sparse_view", question="Else?") for n in range(2)]
    row = by_name(drops(samples, [100, 100, 0, 0, 0, 0])[0])["degradation", "sparse_view", "L1"]
    assert (row["L0"].value, row["L0"].n, row["difference"].value) == (100, 2, -100)


@pytest.mark.parametrize(
    ("clean", "degraded", "rule"),
    [
        ([{}], [{"pair": "c0"}], "the column of pairs"),
        ([{"pair": "7"}], [{"pair": "7"}], "the column of pairs"),
        # No pair asks two questions, and what names its pair is paired by nothing else.
        ([{"question": "Which view?"}], [{"pair": "c0"}], None),
        ([{}], [{"pair": "gone"}], None),
        # An image of several questions: the one that is asked, whatever the options' order.
        ([{"pair": "7"}, {"pair": "7", "question": "Which view?"}], [{"pair": "7"}], "the column of pairs"),
        ([{}], [{"pair": "c0", "options": {"A": "Lung", "B": "Liver"}, "answer": "B"}], "the column of pairs"),
        ([{}], [{"pair": "c0", "answer": "B"}], None),
        ([{"image_refs": ("good/1.png",)}], [{"image_refs": ("L1/1.png",)}], "image name"),
        ([{"image_refs": ("g/1.png",)}, {"image_refs": ("g/2.png",)}], [{"image_refs": ("b/2.png",)}], "image name"),
        ([{"modality": "MRI", "image_refs": ("1.png",)}], [{"image_refs": ("1.png",)}], None),
        ([{}], [{}], "question alone"),
        ([{}], [{"source": "elsewhere"}], None),
        # Two L0 rows that ask the same: none, unless one is of the same type.
        ([{}, {}], [{}], None),
        ([{"degradation": "blur"}, {"degradation": "noise"}], [{"degradation": "blur"}], "question alone"),
        # Two degraded rows of one type and degree that ask the same are of two images.
        ([{}], [{"degradation": "blur"}, {"degradation": "blur"}], None),
        ([{}], [{"degradation": "blur"}, {"degradation": "noise"}], "question alone"),
        ([{"severity": "L1"}], [{}], None),
    ],
)  # fmt: skip
def test_only_what_is_safe_is_paired(clean, degraded, rule):
    samples = [asked(f"c{n}", "L0") for n, _ in enumerate(clean)] + [
        asked(f"d{n}", "L1") for n, _ in enumerate(degraded)
    ]
    samples = [replace(sample, **fields) for sample, fields in zip(samples, [*clean, *degraded], strict=True)]
    found = pairs_of(samples)
    assert {of for _, of in found.values()} == ({rule} if rule else set())
    if rule:
        assert set(found) == set(range(len(clean), len(samples)))


def test_one_row_a_degree_everything_wrong_and_no_l0():
    samples = [asked("a", "L0"), asked("b", "L1"), asked("c", "L2")]
    contrasts, findings = drops(samples, [0.0, 0.0, 0.0])
    changes = {name: group.measures["difference"] for name, group in contrasts["Overall"]["Overall"].items()}
    assert {name: (of.value, of.interval) for name, of in changes.items()} == dict.fromkeys(
        ("L1", "L2", "L1 and L2"), (0, None)
    )
    assert "no interval, as too few images are behind it" in findings["degradation_drop"].statement
    assert drops(samples[1:], [0.0, 0.0]) == ({}, {"degradation_drop": "no row is of L0"})
    assert drops(samples[:1], [0.0]) == ({}, {"degradation_drop": "no row is of L1 or L2"})
    assert drops([asked("a", "blurred"), asked("b", None)], [0.0, 0.0])[0] == {}


def test_the_category_that_costs_most_is_set_beside_the_one_that_costs_least():
    samples, right = [], []
    for image in range(24):
        samples.append(asked(f"clean {image}", "L0"))
        samples += [
            asked(f"{name} {image}", "L2", pair=f"clean {image}", category=name) for name in ("motion", "noise")
        ]
        # Motion turns 18 of 24 wrong, noise 6: -75 and -25.
        right += [100.0, 100.0 * (image >= 18), 100.0 * (image >= 6)]
    worst = drops(samples, right)[1]["worst_category"]
    assert (worst.cell.value, worst.unit) == (50, "points")
    assert worst.statement.startswith(
        "noise (-25.00 points) is 50.00 points above motion (-75.00 points); 95% interval"
    )


def test_the_expected_calibration_error_of_two_bins():
    # Five say 90 and three of them are right, five say 100 and are: half of 30 points.
    samples = [asked(str(n), f"L{n % 2}") for n in range(12)]
    right = [100.0] * 3 + [0.0] * 2 + [100.0] * 5 + [0.0] * 2
    contrasts, finding = calibration(samples, right, [90.0] * 5 + [100.0] * 5 + [None] * 2)
    assert finding.cell.value == pytest.approx(15)
    # sqrt(2/pi * 5 * 90 * 10) / 10 = 5.352
    assert "of a calibrated model about 5.35 points by chance" in finding.statement
    assert "10 of 12 replies (83.33%) state a confidence." in finding.statement
    rows = by_name(contrasts)
    assert [name for _, name, _ in rows] == ["Overall", "L0", "L1", "80-90", "90-100"]
    values = [tuple(cell.value for cell in of.values()) for of in rows.values()]
    assert (values[0], values[3], values[4]) == ((80, 95, 15), (60, 90, 30), (100, 100, 0))
    assert "whose formula is not known" in finding.details.facts["note"]


def test_calibration_takes_ten_replies():
    samples = [asked(str(n), None) for n in range(9)]
    assert calibration(samples, [100.0] * 9, [80.0] * 9) == ({}, "only 9 replies state a confidence")
    assert calibration(samples, [100.0] * 9, [None] * 9) == ({}, None)
    bins = calibration([*samples, asked("9", None)], [0.0] * 10, [0.0] * 9 + [100.0])[0]["stated confidence"]
    assert list(bins) == ["0-10", "90-100"]


def test_results_hold_it_and_old_ones_are_read():
    run = degraded_run()
    content = score_of(run)
    assert result_from_json(content) == run.result
    assert content["drops"]["Overall"]["Overall"]["L1"]["measures"]["difference"]["value"] == pytest.approx(-100 / 3)
    assert list(content["groups"]["category_x_severity"]) == ["noise", "unknown"]
    for change, words in (({"measures": {}}, "lacks a measure"), ({"counts": {"n": 1}}, "'n_clusters'")):
        wrong = json.loads(json.dumps(content))
        wrong["drops"]["Overall"]["Overall"]["L1"] |= change
        with pytest.raises(BadInput, match=words):
            result_from_json(wrong)
    wrong = json.loads(json.dumps(content))
    wrong["drops"]["category"]["noise"]["L1"]["measures"]["difference"]["low"] = -101
    with pytest.raises(BadInput, match="'difference' is 101, and its scale"):
        result_from_json(wrong)
    for name in ("drops", "calibration"):
        del content[name]
    old = result_from_json(content)[Task.DEGRADATION]
    assert (old.drops, old.calibration) == ({}, {})


def test_terminal_and_card_show_the_drop_and_the_calibration():
    run = degraded_run()
    shown = {table.title: table for table in run_summary(run.result) if isinstance(table, Table)}
    assert [str(row.entries[1]) for row in shown["Drop from L0"].rows if row.only is None] == 3 * ["Overall"] + 3 * [
        "noise"
    ]
    assert shown["Calibration"].rows[0].entries[5].value == pytest.approx(90 - 100 * 23 / 36)
    card = run_card(run.result)
    assert "Drop from L0" in card and "| noise | L2 |" in card


def test_a_reply_that_is_not_there_states_no_confidence():
    lost = choice("lost", None, text="Confidence: 90%", status=PredictionStatus.INFERENCE_FAILED)
    run = make_run([lost, *(choice(str(n), text="A. Confidence: 80%") for n in range(10))])
    assert run.result[Task.PERCEPTION].findings["calibration"].details.facts["how"].startswith("10 of 11 replies")
    assert run.result[Task.PERCEPTION].drops == {}
    assert json.dumps(score_of(run))


def test_a_report_on_both_files_has_the_drop_from_the_originals(tmp_path):
    def run(dataset, degrees, style="official"):
        answered = [
            choice(f"{n}{degree}", right, task=Task.DEGRADATION, question=f"Question {n}?", severity=degree or None)
            for n in range(10)
            for degree, right in degrees(n).items()
        ]  # fmt: skip
        return make_run(answered, tmp_path, dataset=dataset, settings={"prompt_style": style})

    good = run("MedQDeg_good_test", lambda n: {"": True})
    bad = run("MedQDeg_simulate_test", lambda n: {"L1": n > 1, "L2": n > 4})
    assert bad.result[Task.DEGRADATION].not_found["degradation_drop"] == "no row is of L0"
    part = with_originals([bad, good])[0].result[Task.DEGRADATION]
    # 8 of 10 and 5 of 10 of what was all right.
    assert overall(part.drops, "L1 and L2").measures["difference"].value == pytest.approx(-35)
    drop = part.findings["degradation_drop"]
    assert "20 by question alone" in drop.statement
    assert drop.statement.endswith("L0 is MedQDeg_good_test, originals by its name.")
    assert "degradation_drop" not in part.not_found
    other = make_run([choice()], model="Other")
    assert with_originals([bad, other]) == [bad, other]
    asked_otherwise = run("MedQDeg_good_test", lambda n: {"": False}, "letter")
    assert with_originals([bad, asked_otherwise]) == [bad, asked_otherwise]
    assert with_originals([bad, good, asked_otherwise])[0].result[Task.DEGRADATION].drops == part.drops


def test_an_axis_with_a_value_a_row_is_no_axis_and_no_figure():
    answered = [
        choice(
            f"{n}{degree}", task=Task.DEGRADATION, severity=degree, pair=f"{n}L0", category=f"c {n}", question=f"{n}?"
        )
        for n in range(101)
        for degree in ("L0", "L1")
    ]
    run = make_run(answered, dataset="MedQDeg_mini")
    assert set(run.result[Task.DEGRADATION].drops) == {"Overall", "modality"}
    assert "category_degradation" not in {figure.name for figure in figures_of([run.result])}


def test_two_models_are_compared_with_all_degrees_of_a_clean_image_together(tmp_path):
    runs = [degraded_run(tmp_path / name, model=name) for name in "ab"]
    (pair,) = compare_runs(runs).parts[0].pairs
    # 36 rows of 12 clean images.
    assert (pair.overall.cell.n, pair.overall.cell.n_clusters) == (36, 12)
