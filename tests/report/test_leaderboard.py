"""The local board: rows, identity, history, hostile names, and many writers at once."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from medqbench_vlmeval.benchmark import Task, published_rows
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.report.leaderboard import board as leaderboard
from medqbench_vlmeval.report.leaderboard.board import leaderboard_rows, update
from medqbench_vlmeval.runs.files import scored_runs
from tests.report.examples import combined_score, perception_score, reasoning_score

CSV_FILES = ("perception.csv", "no_reference.csv", "comparative.csv")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def runs(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "leaderboard.json").read_text(encoding="utf-8"))["runs"]
    return found


def everything(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("leaderboard.json", *CSV_FILES)}


def test_published_rows_are_typed() -> None:
    human, first, *_ = published_rows(Task.PERCEPTION)
    assert (human.model, human.category, human.values["Overall"], human.values["What"]) == (
        "Human expert",
        "human",
        82.5,
        None,
    )
    assert (first.model, first.values["Yes-or-No"], first.source) == ("GPT-5", 82.26, "project README")
    assert [len(published_rows(task)) for task in (Task.NO_REFERENCE, Task.COMPARATIVE)] == [5, 5]
    # Overall is the sum of the four means, to 0.001, in every published reasoning row.
    for task in (Task.NO_REFERENCE, Task.COMPARATIVE):
        for row in published_rows(task):
            values = [value or 0 for value in row.values.values()]
            assert sum(values[:-1]) == pytest.approx(values[-1], abs=0.0011)
    with pytest.raises(ValueError, match="one of its parts"):
        published_rows(Task.REASONING)


def test_an_own_row_stands_beside_the_published_ones(tmp_path: Path) -> None:
    assert update(tmp_path, perception_score()) == tmp_path / "leaderboard.json"
    found = rows_of(tmp_path / "perception.csv")
    assert [row["kind"] for row in found].count("published") == 13
    own = next(row for row in found if row["kind"] == "own")
    assert (own["model"], own["yes_or_no"], own["overall"], own["n"]) == ("Model-X", "100.00", "60.00", "5")
    assert (own["overall_low"], own["overall_high"]) == ("23.07", "88.24")
    assert (own["comparable"], own["not_comparable_because"]) == ("no", "embedded set")
    # What is not comparable stands below everything that is, whatever its number.
    assert found[-1] == own
    ranked = [float(row["overall"]) for row in found[:-1]]
    assert ranked == sorted(ranked, reverse=True)
    assert len(rows_of(tmp_path / "comparative.csv")) == 5


def test_a_model_with_a_published_name_stays_apart(tmp_path: Path) -> None:
    update(tmp_path, perception_score("GPT-5", Overall=99.0))
    found = {row["kind"]: row for row in rows_of(tmp_path / "perception.csv") if row["model"] == "GPT-5"}
    assert (found["published"]["overall"], found["own"]["overall"]) == ("68.97", "99.00")
    board = json.loads((tmp_path / "leaderboard.json").read_text(encoding="utf-8"))
    assert [row["values"]["Overall"] for row in board["published"]["perception"] if row["model"] == "GPT-5"] == [68.97]
    assert [row["model"] for row in board["runs"]] == ["GPT-5"]


def test_a_baseline_has_its_own_kind(tmp_path: Path) -> None:
    update(tmp_path, perception_score("MedQ-Chance", baseline=True))
    assert [row["kind"] for row in rows_of(tmp_path / "perception.csv") if row["model"] == "MedQ-Chance"] == [
        "baseline"
    ]


def test_the_same_result_twice_changes_no_byte(tmp_path: Path) -> None:
    update(tmp_path, perception_score())
    update(tmp_path, combined_score())
    before = everything(tmp_path)
    update(tmp_path, perception_score())
    update(tmp_path, combined_score())
    assert everything(tmp_path) == before


def test_the_order_of_the_runs_changes_no_byte(tmp_path: Path) -> None:
    scores = [perception_score(), combined_score(), perception_score("B", Overall=10.0), reasoning_score(model="C")]
    for score in scores:
        update(tmp_path / "one", score)
    for score in reversed(scores):
        update(tmp_path / "two", score)
    assert everything(tmp_path / "one") == everything(tmp_path / "two")


def rerun(settings: dict[str, Any], **changes: Any) -> dict[str, Any]:
    score = perception_score(Overall=80.0, **changes)
    return {**score, "settings": {**score["settings"], "created": "2026-11-23T10:00:00+00:00", **settings}}


def test_a_rerun_replaces_its_row_and_keeps_the_past(tmp_path: Path) -> None:
    update(tmp_path, perception_score())
    update(tmp_path, rerun({}))
    (run,) = runs(tmp_path)
    assert run["values"]["Overall"] == 80
    (past,) = run["history"]
    assert (past["created"], past["values"]["Overall"], past["n"]) == ("2026-11-22T10:00:00+00:00", 60, 5)


def test_the_history_is_short(tmp_path: Path) -> None:
    for second in range(22):
        update(tmp_path, rerun({"created": f"2026-11-23T10:00:{second:02}+00:00"}))
    (run,) = runs(tmp_path)
    assert len(run["history"]) == 20
    assert run["history"][0]["created"] == "2026-11-23T10:00:20+00:00"


@pytest.mark.parametrize(
    "other",
    [
        {"data": {"perception": {"sha256": "00" * 32}}},
        {"data": {"perception": {"samples_sha256": "00" * 32}}},
        {"prompt": {"style": "letter"}},
        {"judge": {"name": "gpt-4o"}},
        {"protocol": {"name": "rubric"}},
    ],
)
def test_other_data_prompt_judge_or_protocol_is_another_row(tmp_path: Path, other: dict[str, Any]) -> None:
    update(tmp_path, perception_score())
    update(tmp_path, rerun(other))
    assert len(runs(tmp_path)) == 2


def test_another_model_or_split_is_another_row_and_another_name_of_a_split_is_not(tmp_path: Path) -> None:
    update(tmp_path, perception_score(dataset="MedQBench_Perception_test"))
    update(tmp_path, perception_score(dataset="MedQBench_Perception"))
    assert len(runs(tmp_path)) == 1
    update(tmp_path, perception_score(dataset="MedQBench_Perception_dev"))
    update(tmp_path, perception_score("Model-Y", dataset="MedQBench_Perception"))
    update(tmp_path, perception_score(dataset="test"))
    assert len(runs(tmp_path)) == 4


def test_a_combined_run_stands_on_both_boards_and_meets_the_single_run(tmp_path: Path) -> None:
    update(tmp_path, reasoning_score())
    update(tmp_path, combined_score())
    assert [run["task"] for run in runs(tmp_path)] == ["no-reference", "comparative"]
    for name in ("no_reference.csv", "comparative.csv"):
        (own,) = (row for row in rows_of(tmp_path / name) if row["kind"] == "own")
        assert (own["model"], own["overall"], own["quality_accuracy"]) == ("Model-X", "5.500", "1.000")
        assert (own["judge"], own["protocol"]) == ("rules", "rules")


@pytest.mark.parametrize("name", ["=1+1", "+cmd", "-2", "@x", "\t=1", " =1", "\uff1d1"])
def test_a_name_that_looks_like_a_formula_is_harmless_in_the_csv(tmp_path: Path, name: str) -> None:
    update(tmp_path, perception_score(name, not_comparable_because=["=1+1"]))
    (own,) = (row for row in rows_of(tmp_path / "perception.csv") if row["kind"] == "own")
    assert own["model"] == f"'{name}"
    assert own["not_comparable_because"] == "'=1+1"
    assert runs(tmp_path)[0]["model"] == name


def test_names_that_break_files(tmp_path: Path) -> None:
    name = 'a,b"c\nd\ud800\x00'
    update(tmp_path, perception_score(name))
    update(tmp_path, perception_score(name))
    (own,) = (row for row in rows_of(tmp_path / "perception.csv") if row["kind"] == "own")
    assert own["model"] == 'a,b"c\nd\ufffd\ufffd'
    assert len(runs(tmp_path)) == 1


GOOD = {"task": "perception", "kind": "own", "model": "m", "values": {"Overall": 1}}


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"format": ',
        "[]",
        "null",
        "{}",
        '{"runs": []}',
        '{"format": "medqbench-leaderboard", "version": 2, "runs": []}',
        '{"format": "medqbench-leaderboard", "version": 1, "runs": {}}',
        "\xff\xfe",
        "[" * 100_000,
        *(
            json.dumps({"format": "medqbench-leaderboard", "version": 1, "runs": [run]})
            for run in (
                1,
                {},
                {**GOOD, "task": "other"},
                {**GOOD, "task": []},
                {**GOOD, "kind": "published"},
                {**GOOD, "model": 1},
                {**GOOD, "values": {"Overall": "high"}},
                {**GOOD, "interval": [1]},
                {**GOOD, "not_comparable_because": "text"},
                {**GOOD, "history": {}},
            )
        ),
    ],
)
def test_a_file_that_is_no_board_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "leaderboard.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput, match="leaderboard") as caught:
        update(tmp_path, perception_score())
    assert str(path) in str(caught.value)
    assert path.read_bytes() == text.encode("latin-1")
    assert not (tmp_path / "perception.csv").exists()
    with pytest.raises(BadInput):
        leaderboard_rows(tmp_path)


def test_fields_of_other_runs_are_kept(tmp_path: Path) -> None:
    update(tmp_path, perception_score())
    path = tmp_path / "leaderboard.json"
    board = json.loads(path.read_text(encoding="utf-8"))
    board["runs"][0]["note"] = "by hand"
    path.write_text(json.dumps(board), encoding="utf-8")
    update(tmp_path, perception_score("Model-Y"))
    assert [run.get("note") for run in runs(tmp_path) if run["model"] == "Model-X"] == ["by hand"]


def test_own_numbers_written_under_published_do_not_survive(tmp_path: Path) -> None:
    update(tmp_path, perception_score())
    path = tmp_path / "leaderboard.json"
    board = json.loads(path.read_text(encoding="utf-8"))
    board["published"]["perception"][0]["values"]["Overall"] = 1.0
    path.write_text(json.dumps(board), encoding="utf-8")
    assert leaderboard_rows(tmp_path)[Task.PERCEPTION][0].values["Overall"] == 82.5
    update(tmp_path, perception_score())
    board = json.loads(path.read_text(encoding="utf-8"))
    assert board["published"]["perception"][0]["values"]["Overall"] == 82.5


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that takes no files, whoever asks")
def test_a_folder_that_takes_no_lock_is_said_at_once() -> None:
    with pytest.raises(RunFailed, match=r"/proc cannot be written"):
        update(Path("/proc"), perception_score(), timeout=0.05)


def test_a_lock_that_is_held_is_reported(tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / ".leaderboard.lock"),
        pytest.raises(RunFailed, match=r"\.leaderboard\.lock for 0\.05 s"),
    ):
        update(tmp_path, perception_score(), timeout=0.05)
    assert not (tmp_path / "leaderboard.json").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFailed, match="cannot be written"):
        update(tmp_path / "file", perception_score())
    # A folder in the place of a table fails for every user, unlike permissions, which root does not feel.
    (tmp_path / "board" / "perception.csv").mkdir(parents=True)
    with pytest.raises(RunFailed, match="board cannot be written"):
        update(tmp_path / "board", perception_score())


def test_no_result_leaves_no_trace(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="score the run again"):
        update(tmp_path / "board", {"task": "other"})
    assert not (tmp_path / "board").exists()


def test_rows_are_found_from_the_working_folder_too(tmp_path: Path) -> None:
    board = update(tmp_path / "leaderboard", combined_score())
    for place in (tmp_path, tmp_path / "leaderboard", board):
        found = leaderboard_rows(place)
        assert [len(found[task]) for task in found] == [13, 6, 6]
        # 5.5 is between the published 5.679 and 5.321, but it is not comparable with them.
        models = [row.model for row in found[Task.NO_REFERENCE]]
        assert (models[:2], models[-1]) == (["GPT-5", "GPT-4o"], "Model-X")
        assert found[Task.NO_REFERENCE][-1].interval == (2.56, 8.44)


def test_a_folder_without_a_board(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is no leaderboard in"):
        leaderboard_rows(tmp_path)
    assert [len(found) for found in leaderboard_rows(tmp_path, must_exist=False).values()] == [13, 5, 5]
    assert [len(found) for found in leaderboard_rows().values()] == [13, 5, 5]


def test_rows_as_json(tmp_path: Path) -> None:
    update(tmp_path, perception_score())
    found = json.loads(json.dumps(leaderboard.as_json(leaderboard_rows(tmp_path)), allow_nan=False))
    (own,) = (row for row in found["perception"] if row["kind"] == "own")
    assert (own["task"], own["model"], own["values"]["What"]) == ("perception", "Model-X", 50)


def test_scores_are_read_from_a_folder_or_a_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is no"):
        scored_runs(tmp_path)
    for name in ("b", "a"):
        (tmp_path / f"{name}_score.json").write_text(json.dumps(perception_score(name)), encoding="utf-8")
    assert [result.score["model"] for result in scored_runs(tmp_path)] == ["a", "b"]
    assert [result.score["model"] for result in scored_runs(tmp_path / "b_score.json")] == ["b"]
    for text in ("", "[]", '{"task": "x"}', '{"task": "perception", "Overall": 6'):
        (tmp_path / "c_score.json").write_text(text, encoding="utf-8")
        with pytest.raises(BadInput, match=r"c_score\.json"):
            scored_runs(tmp_path)
    with pytest.raises(BadInput, match="cannot be read"):
        scored_runs(tmp_path / "absent_score.json")
    (tmp_path / "m_d.xlsx").write_bytes(b"PK")
    with pytest.raises(BadInput, match=r"m_d\.xlsx is no \*_score\.json"):
        scored_runs(tmp_path / "m_d.xlsx")


def test_runs_below_a_working_folder_are_found_once(tmp_path: Path) -> None:
    run = tmp_path / "work" / "Model-X" / "T20260101-000000"
    (run / "previous").mkdir(parents=True)
    for folder in (run, run / "previous"):
        (folder / "x_score.json").write_text(json.dumps(perception_score()), encoding="utf-8")
    # The kit links a run's files in the model's folder.
    (run.parent / "x_score.json").symlink_to(run / "x_score.json")
    assert len(scored_runs(tmp_path / "work")) == 1
    assert len(scored_runs(run.parent)) == 1


def test_half_a_run_is_refused_with_all_others(tmp_path: Path) -> None:
    (tmp_path / "a_score.json").write_text(json.dumps(perception_score()), encoding="utf-8")
    (tmp_path / "b_samples.jsonl").write_text('{"index": "1"}\n', encoding="utf-8")
    with pytest.raises(BadInput, match=r"b_samples\.jsonl is half of a run: b_score\.json is not there"):
        scored_runs(tmp_path)


WRITER = """
import json, sys
from pathlib import Path
from medqbench_vlmeval.report.leaderboard import update
score = json.loads(sys.argv[2])
sys.stdin.readline()
for turn in range(3):
    update(Path(sys.argv[1]), {**score, "model": f"{score['model']}-{turn}"})
"""


def test_many_threads_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(12) as pool:
        added = [pool.submit(update, tmp_path, perception_score(f"Model-{n}")) for n in range(12)]
        assert {one.result() for one in added} == {tmp_path / "leaderboard.json"}
    assert {run["model"] for run in runs(tmp_path)} == {f"Model-{n}" for n in range(12)}


@pytest.mark.slow
def test_fifty_processes_lose_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "leaderboard"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), json.dumps(perception_score(f"Model-{n}"))],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for n in range(50)
    ]
    for writer in writers:
        assert writer.stdin
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert (writer.returncode, errors) == (0, b"")
    assert {run["model"] for run in runs(folder)} == {f"Model-{n}-{turn}" for n in range(50) for turn in range(3)}
    assert len(rows_of(folder / "perception.csv")) == 13 + 150
    assert {path.name for path in folder.iterdir()} <= {*CSV_FILES, "leaderboard.json", ".leaderboard.lock"}


def test_a_comparable_row_stands_among_the_published_ones(tmp_path: Path) -> None:
    update(tmp_path, perception_score("Equal", comparable=True, not_comparable_because=[]))
    models = [row.model for row in leaderboard_rows(tmp_path)[Task.PERCEPTION]]
    # 60.00 is between InternVL3-8B's 60.08 and Qwen2.5-VL-32B's 59.31.
    place = models.index("Equal")
    assert (models[place - 1], models[place + 1]) == ("InternVL3-8B", "Qwen2.5-VL-32B")
