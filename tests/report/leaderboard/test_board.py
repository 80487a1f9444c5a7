"""The local board: rows, identity, history, categories, hostile names, and many writers at once."""

import csv
import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock

from medqbench_vlmeval.benchmark import Comparable, Task, published_rows
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.provenance import JudgeSettings, Protocol
from medqbench_vlmeval.report.leaderboard import board as boards
from medqbench_vlmeval.report.leaderboard.board import add, boards_at, own_entries
from medqbench_vlmeval.report.leaderboard.tables import board_table
from medqbench_vlmeval.report.table import Item
from medqbench_vlmeval.runs.files import scored_runs
from medqbench_vlmeval.runs.result import result_to_json
from tests.report.leaderboard.results import result, write_at_once

CSV_FILES = ("perception.csv", "no-reference.csv", "comparative.csv")


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def runs(folder):
    return json.loads((folder / "leaderboard.json").read_text(encoding="utf-8"))["runs"]


def leaderboard_rows(place=None):
    return boards.rows_of(own_entries(place))


def own(folder, task=Task.PERCEPTION):
    return [row for row in leaderboard_rows(folder)[task] if row.kind != "published"]


def everything(folder):
    return {name: (folder / name).read_bytes() for name in ("leaderboard.json", *CSV_FILES)}


def at(day, overall, model="Model-X", **changes):
    """A result of one day of November."""
    return result(model, overall=overall, created=f"2026-11-{day:02}T10:00:00+00:00", **changes)


def test_published_rows_are_typed():
    human, first, *_ = published_rows(Task.PERCEPTION)
    assert (human.model, human.category) == ("Human expert", "human")
    assert (human.values["Overall"], human.values["What"]) == (82.5, None)
    assert (first.model, first.values["Yes-or-No"], first.source) == ("GPT-5", 82.26, "project README")
    # Overall is the sum of the four means, to 0.001, in every published reasoning row.
    for task in (Task.NO_REFERENCE, Task.COMPARATIVE):
        assert len(published_rows(task)) == 5
        for row in published_rows(task):
            *singles, overall = row.values.values()
            assert sum(singles) == pytest.approx(overall, abs=0.0011)
    with pytest.raises(ValueError, match="one of its parts"):
        published_rows(Task.REASONING)


def test_an_own_row_stands_beside_the_published_ones(tmp_path):
    assert add(tmp_path, [result()]) == tmp_path / "leaderboard.json"
    rows = rows_of(tmp_path / "perception.csv")
    assert [row["kind"] for row in rows].count("published") == 13
    # What is not comparable stands below everything that is, whatever its number.
    *ranked, own_line = rows
    assert (own_line["kind"], own_line["model"], own_line["yes_or_no"], own_line["overall"]) == (
        "own", "Model-X", "100.00", "60.00",
    )  # fmt: skip
    # Wilson's interval of 3 of 5.
    assert (own_line["overall_low"], own_line["overall_high"], own_line["n"]) == ("23.07", "88.24", "5")
    assert (own_line["comparable"], own_line["not_comparable_because"]) == ("no", "made for a test")
    numbers = [float(row["overall"]) for row in ranked]
    assert numbers == sorted(numbers, reverse=True)
    assert len(rows_of(tmp_path / "comparative.csv")) == 5
    content = boards.rows_to_json(leaderboard_rows(tmp_path))
    assert content["perception"][-1]["values"]["What"] == 50
    assert json.loads(json.dumps(content, allow_nan=False))["perception"][-1]["task"] == "perception"


def test_a_model_with_a_published_name_stays_apart_and_a_baseline_has_its_kind(tmp_path):
    add(tmp_path, [result("GPT-5", overall=99.0), result("MedQ-Chance", baseline=True)])
    rows = [row for row in rows_of(tmp_path / "perception.csv") if row["model"] in ("GPT-5", "MedQ-Chance")]
    assert {(row["kind"], row["overall"]) for row in rows} == {
        ("published", "68.97"), ("own", "99.00"), ("baseline", "60.00"),
    }  # fmt: skip
    assert {row.model: row.category for row in own(tmp_path)} == {"GPT-5": "commercial", "MedQ-Chance": "baseline"}
    assert {run["model"] for run in runs(tmp_path)} == {"GPT-5", "MedQ-Chance"}


def test_neither_repetition_nor_order_changes_a_byte(tmp_path):
    results = [result(), result(task=Task.REASONING), result("B", overall=10.0), result("C", Task.NO_REFERENCE)]
    for added in results:
        add(tmp_path / "board", [added])
    before = everything(tmp_path / "board")
    for folder, order in (("board", results), ("other", results[::-1])):
        add(tmp_path / folder, order)
        assert everything(tmp_path / folder) == before


def test_the_newest_result_is_the_row_in_whatever_order_they_come(tmp_path):
    results = [at(1, 10.0), at(2, 20.0), at(3, 30.0)]
    contents = set()
    for number, order in enumerate(itertools.permutations(results)):
        for added in [*order, order[0]]:
            add(tmp_path / str(number), [added])
        contents.add((tmp_path / str(number) / "leaderboard.json").read_bytes())
    assert len(contents) == 1
    (entry,) = own_entries(tmp_path / "0")
    assert entry.values["Overall"] == 30
    assert [(past.created, past.n, past.values["Overall"]) for past in entry.history] == [
        ("2026-11-02T10:00:00+00:00", 5, 20), ("2026-11-01T10:00:00+00:00", 5, 10),
    ]  # fmt: skip
    table = boards.history_table([entry])
    assert table.rows[0].entries[2:] == ("2026-11-03T10:00:00+00:00", Item(30, "percent"), 5)


def test_the_history_is_short(tmp_path):
    add(tmp_path, (result(created=f"2026-11-23T10:00:{second:02}+00:00") for second in range(22)))
    (run,) = runs(tmp_path)
    assert [past["created"][17:19] for past in run["history"]] == [f"{second:02}" for second in range(20, 0, -1)]


OTHERS = (
    *({"data": {"sha256": "00" * 32}}, {"data": {"sha256": None, "samples_sha256": "00" * 32}}),
    *({"prompt_style": "letter"}, {"judge": JudgeSettings("gpt-4o")}, {"protocol": Protocol("rubric", "1")}),
    *({"dataset": "MedQBench_Perception_dev"}, {"model": "Model-Y"}, {"n": 4}),
)


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: next(iter(other)))
def test_other_data_prompt_judge_protocol_split_model_or_size_is_another_row(tmp_path, other):
    add(tmp_path, [result(), result(**other)])
    assert len(runs(tmp_path)) == 2


def test_two_names_of_a_split_are_one_row_and_an_unknown_name_is_another(tmp_path):
    add(tmp_path, [result(dataset="MedQBench_Perception_test"), result(dataset="MedQBench_Perception")])
    assert len(runs(tmp_path)) == 1
    add(tmp_path, [result(dataset="test")])
    assert len(runs(tmp_path)) == 2


def test_a_combined_run_stands_on_both_boards_and_meets_the_single_run(tmp_path):
    single = result(task=Task.NO_REFERENCE, dataset="MedQBench_Reasoning_mini")
    add(tmp_path, [single, result(task=Task.REASONING)])
    assert [run["task"] for run in runs(tmp_path)] == ["no-reference", "comparative"]
    for name in ("no-reference.csv", "comparative.csv"):
        (line,) = (row for row in rows_of(tmp_path / name) if row["kind"] == "own")
        assert (line["model"], line["overall"], line["quality_accuracy"]) == ("Model-X", "5.500", "1.000")
        assert (line["judge"], line["protocol"]) == ("judge-x", "official")


def test_names_that_break_files_or_look_like_formulas(tmp_path):
    name = '=a,b"c\nd\ud800\x00'
    for _ in range(2):
        add(tmp_path, [result(name, because=["=1+1"])])
    (line,) = (row for row in rows_of(tmp_path / "perception.csv") if row["kind"] == "own")
    assert (line["model"], line["not_comparable_because"]) == ("'=a,b\"c\nd\ufffd\ufffd", "'=1+1")
    (run,) = runs(tmp_path)
    assert run["model"] == '=a,b"c\nd\ufffd\x00'


def test_a_category_belongs_to_the_model_and_stays(tmp_path):
    add(tmp_path, [result(task=Task.NO_REFERENCE)])
    assert [row.category for row in own(tmp_path, Task.NO_REFERENCE)] == [None]
    add(tmp_path, [at(1, 10.0), result(task=Task.REASONING)], category="medical-specialised")
    for task in Task.PERCEPTION, Task.NO_REFERENCE, Task.COMPARATIVE:
        assert {row.category for row in own(tmp_path, task)} == {"medical-specialized"}
    # Neither a rerun nor a run on other data says what the model is.
    add(tmp_path, [at(2, 20.0), result(dataset="MedQBench_Perception_dev")])
    assert {row.category for row in own(tmp_path)} == {"medical-specialized"}
    add(tmp_path, [at(2, 20.0)], category="commercial")
    assert {row.category for row in own(tmp_path)} == {"commercial"}
    with pytest.raises(BadInput, match="'great' is no category of the leaderboard; choose one of commercial"):
        add(tmp_path, [result()], category="great")


GOOD = {"task": "perception", "kind": "own", "model": "m", "values": {"Overall": 1}}


def test_what_is_not_verified_has_no_rank_and_stands_above_what_contradicts(tmp_path):
    earlier = {**GOOD, "model": "earlier", "values": {"Overall": 99}, "comparable": True}
    path = tmp_path / "leaderboard.json"
    path.write_text(json.dumps({"format": "medqbench-leaderboard", "version": 1, "runs": [earlier, GOOD]}))
    marked = {"comparable": Comparable.UNVERIFIED, "because": ["no record of it"]}
    add(tmp_path, [result("now", overall=70.0, **marked), result("yes", overall=60.5, comparable=True)])
    *_, first, second, last = rows_of(tmp_path / "perception.csv")
    assert [row["model"] for row in (first, second, last)] == ["earlier", "now", "m"]
    assert [row["comparable"] for row in (first, second, last)] == ["unverified", "unverified", "no"]
    assert "judges it anew" in first["not_comparable_because"]
    assert second["not_comparable_because"] == "no record of it"
    printed = board_table(Task.PERCEPTION, leaderboard_rows(tmp_path)[Task.PERCEPTION])
    places = {line.entries[1]: line.entries[0] for line in printed.rows}
    assert [places[name] for name in ("GPT-5", "yes", "earlier", "now", "m")] == [2, 8, None, None, None]
    assert "not verified as comparable: now: no record of it" in printed.notes


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (1, "is not an object"),
        ({}, "has no 'task'"),
        ({**GOOD, "task": "other"}, "has a 'task' that is 'other'"),
        ({**GOOD, "task": "reasoning"}, "has a 'task' that is 'reasoning'"),
        ({**GOOD, "kind": "published"}, "has the kind 'published', and only 'own' and 'baseline'"),
        ({**GOOD, "model": None}, "has a 'model' that is None"),
        ({**GOOD, "category": "great"}, "has the category 'great', which is none of commercial"),
        ({**GOOD, "values": {"Overall": "high"}}, "has a 'values.Overall' that is 'high'"),
        ({**GOOD, "values": {"Overall": float("nan")}}, "has a number off its scale: 'Overall' is nan"),
        ({**GOOD, "values": {"Overall": -1e308}}, "has a number off its scale: 'Overall' is -1e\\+308"),
        ({**GOOD, "interval": [1]}, "has no 'interval.1'"),
        ({**GOOD, "not_comparable_because": "text"}, "has a 'not_comparable_because' that is 'text'"),
        ({**GOOD, "history": {}}, "has a 'history' that is {}"),
        ({**GOOD, "history": [1]}, "has a 'history.0' that is 1"),
    ],
)
def test_a_run_that_somebody_edited_is_named(tmp_path, run, words):
    path = tmp_path / "leaderboard.json"
    path.write_text(json.dumps({"format": "medqbench-leaderboard", "version": 1, "runs": [GOOD, run]}))
    before = path.read_bytes()
    with pytest.raises(BadInput, match=f"has a run, number 2, that {words}.*left as it is"):
        add(tmp_path, [result()])
    entries, problems = boards.check_board(path)
    assert (len(entries), len(problems)) == (1, 1)
    assert path.read_bytes() == before
    assert not (tmp_path / "perception.csv").exists()


@pytest.mark.parametrize(
    "text",
    [
        "", '{"format": ', "[]", "null", "{}", '{"runs": []}', "\xff\xfe", "[" * 100_000,
        '{"format": "medqbench-leaderboard", "version": 2, "runs": []}',
        '{"format": "medqbench-leaderboard", "version": 1, "runs": {}}',
    ],
)  # fmt: skip
def test_a_file_that_is_no_board_is_left_alone(tmp_path, text):
    path = tmp_path / "leaderboard.json"
    path.write_bytes(text.encode("latin-1"))
    for call in (lambda: add(tmp_path, [result()]), lambda: leaderboard_rows(tmp_path)):
        with pytest.raises(BadInput, match="leaderboard") as caught:
            call()
        assert str(path) in str(caught.value)
    assert path.read_bytes() == text.encode("latin-1")


def test_what_somebody_wrote_beside_own_numbers_is_kept_and_under_published_is_not(tmp_path):
    path = add(tmp_path, [result()])
    board = json.loads(path.read_text(encoding="utf-8"))
    board["runs"][0]["note"] = "by hand"
    board["published"]["perception"][0]["values"]["Overall"] = 1.0
    path.write_text(json.dumps(board), encoding="utf-8")
    assert leaderboard_rows(tmp_path)[Task.PERCEPTION][0].values["Overall"] == 82.5
    add(tmp_path, [result("Model-Y")])
    assert [run.get("note") for run in runs(tmp_path) if run["model"] == "Model-X"] == ["by hand"]
    board = json.loads(path.read_text(encoding="utf-8"))
    assert board["published"]["perception"][0]["values"]["Overall"] == 82.5


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that takes no files, whoever asks")
def test_a_folder_that_takes_no_lock_is_said_at_once():
    with pytest.raises(RunFailed, match=r"/proc cannot be written"):
        add(Path("/proc"), [result()], timeout=0.05)


def test_a_board_that_is_locked_or_cannot_be_written(tmp_path):
    held = FileLock(tmp_path / ".leaderboard.lock")
    with held, pytest.raises(RunFailed, match=r"\.leaderboard\.lock for 0\.05 s"):
        add(tmp_path, [result()], timeout=0.05)
    assert not (tmp_path / "leaderboard.json").exists()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFailed, match="cannot be written"):
        add(tmp_path / "file", [result()])
    # A folder in the place of a table fails for every user, unlike permissions, which root does not feel.
    (tmp_path / "board" / "perception.csv").mkdir(parents=True)
    with pytest.raises(RunFailed, match="board cannot be written"):
        add(tmp_path / "board", [result()])


@pytest.mark.parametrize("name", ["leaderboard.json", "comparative.csv"])
def test_a_read_only_board_is_left_alone(tmp_path, name):
    path = add(tmp_path, [result()])
    before = path.read_bytes()
    (tmp_path / name).chmod(0o444)
    with pytest.raises(RunFailed, match="read-only"):
        add(tmp_path, [result("Model-Y")])
    assert path.read_bytes() == before


def test_rows_are_found_from_the_working_folder_too(tmp_path):
    board = add(tmp_path / "leaderboard", [result(task=Task.REASONING)])
    for place in (tmp_path, tmp_path / "leaderboard", board):
        rows = leaderboard_rows(place)
        assert [len(of_task) for of_task in rows.values()] == [13, 6, 6]
        # 5.5 is between the published 5.679 and 5.321, but it is not comparable with them.
        models = [row.model for row in rows[Task.NO_REFERENCE]]
        assert (models[:2], models[-1]) == (["GPT-5", "GPT-4o"], "Model-X")
    with pytest.raises(BadInput, match="There is no leaderboard in"):
        leaderboard_rows(tmp_path / "other")
    assert [len(rows) for rows in leaderboard_rows().values()] == [13, 5, 5]


def test_the_tasks_with_own_rows_are_shown_or_all_where_none_has(tmp_path):
    add(tmp_path, [])
    assert len(boards_at(tmp_path)) == 3
    add(tmp_path, [result()])
    assert list(boards_at(tmp_path)) == [Task.PERCEPTION]


def test_scores_that_cannot_be_read_are_named(tmp_path):
    score = tmp_path / "c_score.json"
    score.write_text(json.dumps(result_to_json(result("b"))), encoding="utf-8")
    assert [result.model for _, result in scored_runs(score)] == ["b"]
    for name, words in (("absent_score.json", "does not exist"), ("m_d.xlsx", r"m_d\.xlsx is no \*_score\.json")):
        (tmp_path / "m_d.xlsx").write_bytes(b"PK")
        with pytest.raises(BadInput, match=words):
            scored_runs(tmp_path / name)


def comparable(model, sha, samples="cd", revision=None):
    sha256 = sha * 32 if sha else None
    return result(model, comparable=True, data={"sha256": sha256, "samples_sha256": samples * 32, "revision": revision})


def test_rows_that_cannot_all_be_of_the_published_data(tmp_path):
    add(tmp_path, [comparable("A", "aa", "a1"), comparable("B", "aa", "a1"), comparable("C", "cc", "c1")])
    rows = {row.model: row for row in own(tmp_path)}
    assert [str(rows[name].comparable) for name in "ABC"] == ["yes", "yes", "no"]
    (reason,) = rows["C"].not_comparable_because
    assert reason == "other data (c1c1c1c1) than the comparable rows of this board (a1a1a1a1)"
    assert leaderboard_rows(tmp_path)[Task.PERCEPTION][-1].model == "C"
    # What came from the hub is the published data, however few rows say so.
    add(tmp_path, [comparable("D", "cc", "c1", revision="1234")])
    assert {row.model for row in own(tmp_path) if row.comparable is Comparable.YES} == {"C", "D"}
    # One table in two files is the same data.
    same = [comparable("A", "aa", "ee"), comparable("B", "bb", "ee"), comparable("C", "", "ee")]
    assert [row.comparable for row in own(add(tmp_path / "same", same))] == [Comparable.YES] * 3


def test_other_templates_of_the_same_protocol(tmp_path):
    def judged(model, templates, protocol="official"):
        return result(model, Task.NO_REFERENCE, comparable=True, protocol=Protocol(protocol, "1", templates * 32))

    add(tmp_path, [judged("A", "aa"), judged("B", "aa"), judged("C", "cc"), judged("D", "dd", "official-5")])
    rows = {row.model: str(row.comparable) for row in own(tmp_path, Task.NO_REFERENCE)}
    assert rows == {"A": "yes", "B": "yes", "C": "no", "D": "yes"}


WRITER = """
from medqbench_vlmeval.report.leaderboard.board import add
for turn in range(3):
    add(place, [replace(result, model=f"{result.model}-{turn}")])
"""


def test_many_threads_lose_nothing(tmp_path):
    with ThreadPoolExecutor(12) as pool:
        added = [pool.submit(add, tmp_path, [result(f"Model-{n}")]) for n in range(12)]
        assert {future.result() for future in added} == {tmp_path / "leaderboard.json"}
    assert {run["model"] for run in runs(tmp_path)} == {f"Model-{n}" for n in range(12)}


@pytest.mark.slow
def test_fifty_processes_lose_nothing(tmp_path):
    folder = tmp_path / "leaderboard"
    write_at_once(WRITER, folder, [result(f"Model-{n}") for n in range(50)])
    assert {run["model"] for run in runs(folder)} == {f"Model-{n}-{turn}" for n in range(50) for turn in range(3)}
    assert len(rows_of(folder / "perception.csv")) == 13 + 150
    assert {path.name for path in folder.iterdir()} <= {*CSV_FILES, "leaderboard.json", ".leaderboard.lock"}
