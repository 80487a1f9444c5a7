"""The board beyond adding: order of results, categories, rows that contradict each other, removing, read-only files."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.report.leaderboard.board import (
    add,
    leaderboard_rows,
    own_entries,
    print_histories,
    remove,
    update,
)
from medqbench_vlmeval.report.leaderboard.openvlm import check
from medqbench_vlmeval.report.standings import Row
from tests.report.examples import combined_score, perception_score, reasoning_score


def at(day: int, overall: float, **changes: Any) -> dict[str, Any]:
    """A result of one day of November."""
    score = perception_score(Overall=overall, **changes)
    return {**score, "settings": {**score["settings"], "created": f"2026-11-{day:02}T10:00:00+00:00"}}


def own(folder: Path, task: Task = Task.PERCEPTION) -> list[Row]:
    return [row for row in leaderboard_rows(folder)[task] if row.kind != "published"]


def test_the_newest_result_is_the_row_in_whatever_order_they_come(tmp_path: Path) -> None:
    results = [at(1, 10.0), at(2, 20.0), at(3, 30.0)]
    boards = set()
    for number, order in enumerate(itertools.permutations(results)):
        folder = tmp_path / str(number)
        for score in [*order, order[0]]:
            update(folder, score)
        boards.add((folder / "leaderboard.json").read_bytes())
    assert len(boards) == 1
    (entry,) = own_entries(tmp_path / "0")
    assert entry["values"]["Overall"] == 30
    assert [past["values"]["Overall"] for past in entry["history"]] == [20, 10]


def test_a_category_belongs_to_the_model_and_stays(tmp_path: Path) -> None:
    update(tmp_path, reasoning_score())
    assert [row.category for row in own(tmp_path, Task.NO_REFERENCE)] == [None]
    add(tmp_path, [at(1, 10.0), combined_score()], category="medical-specialised")
    for task in Task.PERCEPTION, Task.NO_REFERENCE, Task.COMPARATIVE:
        assert [row.category for row in own(tmp_path, task)] == ["medical-specialized"]
    # Neither a rerun nor a run on other data says what the model is.
    update(tmp_path, at(2, 20.0))
    update(tmp_path, perception_score(dataset="MedQBench_Perception_dev"))
    assert {row.category for row in own(tmp_path)} == {"medical-specialized"}
    add(tmp_path, [at(2, 20.0)], category="commercial")
    assert {row.category for row in own(tmp_path)} == {"commercial"}


def test_a_board_that_was_edited_by_hand_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    update(tmp_path, at(1, 10.0))
    file = tmp_path / "leaderboard.json"
    board = json.loads(file.read_text(encoding="utf-8"))
    board["runs"][0] |= {"comparable": True, "protocol": ["official"], "history": [{"values": [1], "created": "then"}]}
    file.write_text(json.dumps(board), encoding="utf-8")
    assert [row.protocol for row in own(tmp_path)] == ["['official']"]
    print_histories(own_entries(tmp_path))
    assert "then" in capsys.readouterr().out


def test_categories_that_are_known_without_being_told(tmp_path: Path) -> None:
    add(tmp_path, [perception_score("GPT-5"), perception_score("MedQ-Chance", baseline=True)])
    assert {row.model: row.category for row in own(tmp_path)} == {"GPT-5": "commercial", "MedQ-Chance": "baseline"}
    with pytest.raises(BadInput, match="'great' is no category of the leaderboard; choose one of commercial"):
        add(tmp_path, [perception_score()], category="great")


def comparable(model: str, sha: str, **data: Any) -> dict[str, Any]:
    score = perception_score(model, comparable=True, not_comparable_because=[], Overall=60.0)
    return {**score, "settings": {**score["settings"], "data": {"perception": {"sha256": sha * 32, "n": 5, **data}}}}


def test_rows_that_cannot_all_be_of_the_published_data(tmp_path: Path) -> None:
    add(tmp_path, [comparable("A", "aa"), comparable("B", "aa"), comparable("C", "cc")])
    found = {row.model: row for row in own(tmp_path)}
    assert [found[name].comparable for name in "ABC"] == [True, True, False]
    assert found["C"].not_comparable_because == (
        "other data (cccccccc) than the comparable rows of this board (aaaaaaaa)",
    )
    assert leaderboard_rows(tmp_path)[Task.PERCEPTION][-1].model == "C"
    # What came from the hub is the published data, however few rows say so.
    add(tmp_path, [comparable("D", "cc", revision="1234")])
    assert {row.model for row in own(tmp_path) if row.comparable} == {"C", "D"}


def test_one_table_in_two_files_is_the_same_data(tmp_path: Path) -> None:
    samples = {"samples_sha256": "ee" * 32}
    alone = {"sha256": None, **samples}
    add(tmp_path, [comparable("A", "aa", **samples), comparable("B", "bb", **samples), comparable("C", "", **alone)])
    assert [row.comparable for row in own(tmp_path)] == [True, True, True]


def test_other_templates_of_the_same_protocol(tmp_path: Path) -> None:
    def judged(model: str, templates: str, protocol: str = "official") -> dict[str, Any]:
        score = reasoning_score(model=model, comparable=True, not_comparable_because=[])
        return {**score, "settings": {**score["settings"], "protocol": {"name": protocol, "sha256": templates * 32}}}

    add(tmp_path, [judged("A", "aa"), judged("B", "aa"), judged("C", "cc"), judged("D", "dd", "official-5")])
    found = {row.model: row.comparable for row in own(tmp_path, Task.NO_REFERENCE)}
    assert found == {"A": True, "B": True, "C": False, "D": True}


def test_removing_a_row_keeps_the_board_before(tmp_path: Path) -> None:
    update(tmp_path, perception_score("B"))
    board = update(tmp_path, combined_score("A"))
    before = board.read_bytes()
    for wrong, words in (("C", "Own models: B, A"), ("GPT-5", "published rows cannot be removed"), ("A", "2 rows")):
        with pytest.raises(BadInput, match=words):
            remove(tmp_path, wrong)
        assert board.read_bytes() == before
    with pytest.raises(BadInput, match="No own row"):
        remove(tmp_path, "A", dataset="other")
    backup, removed = remove(tmp_path, "A", every=True)
    assert (backup.read_bytes(), [entry["task"] for entry in removed]) == (before, ["no-reference", "comparative"])
    assert [entry["model"] for entry in own_entries(tmp_path)] == ["B"]
    _, removed = remove(tmp_path, "B", judge=None)
    assert [entry["model"] for entry in removed] == ["B"]
    assert own(tmp_path) == []


@pytest.mark.parametrize("name", ["leaderboard.json", "comparative.csv"])
def test_a_read_only_board_is_left_alone(tmp_path: Path, name: str) -> None:
    update(tmp_path, perception_score())
    before = (tmp_path / "leaderboard.json").read_bytes()
    (tmp_path / name).chmod(0o444)
    with pytest.raises(RunFailed, match="read-only"):
        update(tmp_path, perception_score("Model-Y"))
    assert (tmp_path / "leaderboard.json").read_bytes() == before


def test_every_problem_of_a_board_is_found(tmp_path: Path) -> None:
    path = update(tmp_path, perception_score())
    assert (check(path).problems, check(path).models, check(path).results) == ((), 1, 1)
    board = json.loads(path.read_text(encoding="utf-8"))
    board["runs"] += [{**board["runs"][0], "category": "great"}, {**board["runs"][0], "model": None}]
    path.write_text(json.dumps(board), encoding="utf-8")
    assert check(path).problems == (
        "It has a run, number 2, that has the category 'great', which is none of commercial, open-source, "
        "medical-specialized, human, baseline.",
        "It has a run, number 3, that has no model's name.",
    )
    with pytest.raises(BadInput, match=r"number 2.*and 1 more.*left as it is"):
        update(tmp_path, perception_score("Model-Y"))
