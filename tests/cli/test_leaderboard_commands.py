"""``medqbench leaderboard`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medqbench_vlmeval.benchmark import Task, published_rows
from medqbench_vlmeval.runs.result import result_to_json
from medqbench_vlmeval.types import Result
from tests.commands import run
from tests.report.leaderboard.results import result

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with a perception and a combined run of one model."""
    folder = tmp_path / "runs"
    folder.mkdir()
    save(folder, result())
    save(folder, result(task=Task.REASONING))
    return folder


def save(folder: Path, scored: Result) -> None:
    path = folder / f"{scored.model}_{scored.dataset}_score.json"
    path.write_text(json.dumps(result_to_json(scored)), encoding="utf-8")


def test_a_folder_is_added_shown_and_removed(capsys: Capture, work: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    code, out, _ = run(capsys, "leaderboard", "add", work, "--board", board, "--category", "open-source")
    assert (code, out.strip()) == (0, str(board / "leaderboard.json"))
    newer = result(overall=80.0, created="2026-12-01T10:00:00+00:00")
    save(work, newer)
    run(capsys, "leaderboard", "add", work, "--board", board)
    code, out, _ = run(capsys, "leaderboard", "show", board, "--history")
    assert code == 0
    assert all(words in out for words in ("History of own rows", "80.00", "60.00", "GPT-5"))
    code, out, _ = run(capsys, "leaderboard", "show", board, "--history", "--json")
    content = json.loads(out)
    _, one, _ = run(capsys, "leaderboard", "show", board, "--history", "--task", "comparative")
    assert [line for line in one.splitlines() if line.startswith("MedQ-Bench")] == ["MedQ-Bench Reasoning, comparative"]
    assert "History of own rows" not in one  # it has no past
    code, _, err = run(capsys, "leaderboard", "show", board, "--task", "vision")
    assert (code, "choose one of perception, no-reference, comparative" in err) == (2, True)
    (own,) = (row for row in content["perception"] if row["kind"] == "own")
    assert (own["category"], own["values"]["Overall"]) == ("open-source", 80)
    assert [past["values"]["Overall"] for past in content["history"][0]["results"]] == [80, 60]
    code, _, err = run(capsys, "leaderboard", "remove", "Model-X", "--board", board)
    assert (code, "3 rows of" in err) == (2, True)
    before = (board / "leaderboard.json").read_bytes()
    for wrong, words in (("Model-Z", "Own models: Model-X"), ("GPT-5", "published rows cannot be removed")):
        code, _, err = run(capsys, "leaderboard", "remove", wrong, "--board", board)
        assert (code, words in err) == (2, True)
    code, _, err = run(capsys, "leaderboard", "remove", "Model-X", "--board", board, "--dataset", "other")
    assert (code, "No own row" in err, (board / "leaderboard.json").read_bytes() == before) == (2, True, True)
    code, out, _ = run(capsys, "leaderboard", "remove", "Model-X", "--board", board, "--dataset", newer.dataset)
    assert (code, "removed: Model-X, perception" in out) == (0, True)
    assert (board / "leaderboard.json.bak").read_bytes() == before
    code, out, _ = run(capsys, "leaderboard", "remove", "Model-X", "--board", board, "--all", "--json")
    content = json.loads(out)
    assert (code, [row["task"] for row in content["removed"]]) == (0, ["no-reference", "comparative"])
    assert content["backup"] == str(board / "leaderboard.json.bak")
    _, out, _ = run(capsys, "leaderboard", "show", board, "--json")
    kinds = [row["kind"] for row in json.loads(out)["perception"]]
    assert kinds == ["published"] * len(published_rows(Task.PERCEPTION))


def test_runs_are_merged_into_a_file(capsys: Capture, work: Path, tmp_path: Path) -> None:
    file = tmp_path / "OpenVLM.json"
    code, out, err = run(capsys, "leaderboard", "export", work, "--openvlm", file, "--model", "Mine")
    assert code == 0
    assert out.splitlines()[-1] == str(file)
    assert "not comparable with the published rows" in err
    tasks = ("Perception", "Reasoning_NoReference", "Reasoning_Comparative")
    members = json.loads(file.read_text(encoding="utf-8"))["results"]["Mine"]
    assert list(members) == ["META", *(f"MedQBench_{task}_mini" for task in tasks)]
    code, out, _ = run(capsys, "leaderboard", "export", work, "--openvlm", file, "--model", "Mine")
    assert (code, out.splitlines()[-1]) == (0, f"{file} (unchanged)")
    board = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**board, "time": "20200101000000"}), encoding="utf-8")
    code, out, _ = run(capsys, "leaderboard", "export", work, "--openvlm", file, "--model", "Mine", "--update-time")
    assert (code, out.splitlines()[-1]) == (0, f"the file before: {file}.bak")


def test_a_board_is_validated(capsys: Capture, work: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    run(capsys, "leaderboard", "add", work, "--board", board)
    file = board / "leaderboard.json"
    code, out, _ = run(capsys, "leaderboard", "validate", board)
    assert (code, out.strip()) == (0, f"{file}: in order (own runs: 3).")
    file.write_text(file.read_text(encoding="utf-8").replace('"kind": "own"', '"kind": "published"', 1))
    code, out, err = run(capsys, "leaderboard", "validate", file)
    assert (code, "It has a run, number 1, that has the kind 'published'" in out) == (2, True)
    assert "has 1 problem(s)" in err
    code, out, _ = run(capsys, "leaderboard", "validate", file, "--json")
    content = json.loads(out)
    assert (code, content["file"], len(content["problems"]), content["runs"]) == (2, str(file), 1, 2)


def test_tables_of_a_board_and_of_runs_without_one(capsys: Capture, work: Path, tmp_path: Path) -> None:
    run(capsys, "leaderboard", "add", work, "--board", tmp_path / "board")
    paths = [tmp_path / "t.csv", tmp_path / "t.md", tmp_path / "t.html"]
    options = ["--csv", paths[0], "--markdown", paths[1], "--html", paths[2]]
    contents = []
    for place in (tmp_path / "board", work):
        code, out, _ = run(capsys, "leaderboard", "export", place, *options)
        assert (code, out.split()) == (0, [str(path) for path in paths])
        contents.append([path.read_bytes() for path in paths])
    assert contents[0] == contents[1]
    run(capsys, "leaderboard", "export", work, "--markdown", paths[1], "--task", "comparative")
    assert paths[1].read_text(encoding="utf-8").count("###") == 1
    run(capsys, "leaderboard", "export", work, "--markdown", paths[1], "--task", "reasoning")
    assert paths[1].read_text(encoding="utf-8").count("###") == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--openvlm, --csv, --markdown or --html"),
        (["--model", "A", "--csv", "t.csv"], "belong to --openvlm"),
        (["--csv", "t.csv", "--markdown", "./t.csv"], "name one file"),
        (["--csv", "t.csv", "--openvlm", "t.csv"], "name one file"),
        (["--csv", "t.csv", "--task", "vision"], "'vision' has no board; choose one of perception"),
    ],
)
def test_options_that_do_not_go_together(
    capsys: Capture, work: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(work)
    code, _, err = run(capsys, "leaderboard", "export", work, *arguments)
    assert (code, words in err) == (2, True)
    assert not (work / "t.csv").exists()


def test_nothing_is_written_where_one_file_cannot_be(capsys: Capture, work: Path, tmp_path: Path) -> None:
    readme, file = tmp_path / "README.md", tmp_path / "board.json"
    readme.write_text("# Mine\n", encoding="utf-8")
    code, _, err = run(capsys, "leaderboard", "export", work, "--openvlm", file, "--markdown", readme)
    assert (code, "medqbench leaderboard: begin" in err) == (2, True)
    assert not file.exists()
    hollow = tmp_path / "hollow_score.json"
    hollow.write_text('{"task": "perception", "model": "M"}', encoding="utf-8")
    code, _, err = run(capsys, "leaderboard", "add", hollow, "--board", tmp_path / "board")
    assert (code, "hollow_score.json: '" in err and "edited by hand" in err) == (2, True)
    (work / "half_samples.jsonl").write_text("{}\n", encoding="utf-8")
    for command in (["add", work, "--board", tmp_path / "board"], ["export", work, "--openvlm", file]):
        code, _, err = run(capsys, "leaderboard", *command)
        assert (code, "'half_score.json' is not in" in err) == (2, True)
    assert not (tmp_path / "board").exists()
    code, _, err = run(capsys, "leaderboard", "validate", readme)
    assert (code, "is not JSON" in err) == (2, True)
