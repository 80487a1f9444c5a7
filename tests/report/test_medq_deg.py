"""MedQ-Deg on boards, cards, tables and in comparisons: under its own name, ranked within its own data."""

import json

import pytest

from medqbench_vlmeval.benchmark import Comparable, Task, benchmarks, title_of
from medqbench_vlmeval.report.card import run_card
from medqbench_vlmeval.report.compare_tables import compare_markdown
from medqbench_vlmeval.report.leaderboard.openvlm import merge
from medqbench_vlmeval.report.leaderboard.tables import board_table
from medqbench_vlmeval.report.paper import paper_table
from medqbench_vlmeval.report.standings import by_overall, own_row, ranks
from medqbench_vlmeval.types import SampleRow
from medqbench_vlmeval.workflows.compare import compare_runs
from tests.make import choice, make_run

AXES = [
    ("L0", None, "none"),
    ("L1", "noise", "low_dose"),
    ("L2", "noise", "low_dose"),
    ("L2", "motion", "object_movement"),
]


def deg_run(right, folder=None, dataset="MedQDeg_simulate_test", comparable=Comparable.UNVERIFIED, **named):
    """Four questions, the first ``right`` of which are answered rightly."""
    answered = [
        choice(
            str(at),
            at < right,
            task=Task.DEGRADATION,
            question_type=None,
            severity=degree,
            category=of,
            degradation=kind,
        )
        for at, (degree, of, kind) in enumerate(AXES)
    ]
    return make_run(answered, folder, dataset=dataset, comparable=comparable, **named)


def rows_of(*runs):
    return by_overall([own_row(task) for run in runs for task in run.result.tasks])


def test_titles():
    assert title_of(Task.DEGRADATION) == "MedQ-Deg"
    assert title_of(Task.PERCEPTION) == "MedQ-Bench Perception"
    assert benchmarks([Task.DEGRADATION, Task.DEGRADATION]) == "MedQ-Deg"
    assert benchmarks([Task.PERCEPTION, Task.DEGRADATION]) == "MedQ-Bench and MedQ-Deg"


def test_own_rows_are_ranked_within_their_data_and_what_is_not_comparable_has_no_place():
    rows = rows_of(
        deg_run(1, model="C"),
        deg_run(3, model="A"),
        deg_run(1, model="B"),
        deg_run(4, model="G", dataset="MedQDeg_good_test"),
        deg_run(4, model="S", comparable=Comparable.NO),
    )
    places = {row.model: place for row, place in zip(rows, ranks(rows), strict=True)}
    assert places == {"G": 1, "A": 1, "B": 2, "C": 2, "S": None}
    assert [row.model for row in rows] == ["G", "A", "B", "C", "S"]
    board = board_table(Task.DEGRADATION, rows)
    assert board.title == "MedQ-Deg"
    assert [column.head for column in board.columns][3:7] == ["Overall", "L0", "L1", "L2"]


def test_openvlm_keeps_each_datasets_own_name(tmp_path):
    for dataset in ("MedQDeg_simulate_test", "MedQDeg_good_dev", "MedQDeg_mini", "custom"):
        run = deg_run(2, dataset=dataset)
        merge(tmp_path / "o.json", [(tmp_path, run.result)])
    members = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))["results"]["Model-X"]
    assert [*members][1:] == ["MedQDeg_simulate_test", "MedQDeg_good_dev", "MedQDeg_mini", "MedQDeg_custom"]
    values = members["MedQDeg_simulate_test"]
    assert (values["Overall"], values["L0"], values["L1"], values["L2"]) == (50, 100, 100, 0)


def test_card_and_paper_table_name_the_benchmark_and_its_repository():
    run = deg_run(2)
    card = run_card(run.result)
    assert "# Model-X on MedQ-Deg\n" in card
    assert "type: jiyaoliufd/MedQ-DEG-Bench" in card
    assert "MedQ-Bench" not in card
    assert paper_table([run.result], Task.DEGRADATION).title == "MedQ-Deg (percent of questions)"


def test_compared_by_degree_and_category(tmp_path):
    runs = [deg_run(right, tmp_path / name, model=name).paths.score for right, name in ((1, "a"), (3, "b"))]
    comparison = compare_runs(runs)
    assert {*comparison.parts[0].pairs[0].axes} == {"modality", "severity", "category"}
    assert "## MedQ-Deg: models compared" in compare_markdown(comparison)


@pytest.mark.parametrize("said", [None, 85.0])
def test_a_frame_of_samples_has_category_and_confidence(said):
    pytest.importorskip("pandas")
    text = "Answer: A" if said is None else f"Answer: A\nConfidence: {said:g}%"
    run = make_run([choice("1", True, text=text, task=Task.DEGRADATION, category="noise")], dataset="MedQDeg_mini")
    assert all(isinstance(row, SampleRow) for row in run.rows)
    record = run.to_frame().iloc[0]
    assert (record["category"], record["confidence"]) == ("noise", said)
