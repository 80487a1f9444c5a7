"""A folder of other programs' results: what is taken, what is said of the rest, and what changed sample by sample."""

import csv
import json
import os
import time

import pytest
from openpyxl import load_workbook

from tests.commands import run
from tests.servers import JudgeServer
from tests.workflows.test_adopted import data_of, judged_file, log_of

# Right answer, option D, reply; then the kit's letter and why it is not ours.
CASES = (
    ("A", "", "A", None, None),
    ("B", "", "No", "none", "answer in words missed"),
    ("B", "", "A blurry image, so B.", "A", "letter taken from the article A"),
    ("A", "", "I cannot tell, be it B or not.", "B", "letter where there is no answer"),
    ("C", "", "Not B: the answer is C", "B", "another letter taken"),
    ("C", "", "Failed to obtain answer: error C.", "C", "letter in a message of failure"),
)


def choice_rows():
    return [(answer, d, reply) for answer, d, reply, *_ in CASES]


def write_choices(folder, stem="Some_VLM_MedqbenchMCQ_test", d_in_file=True):
    path = folder / f"{stem}.tsv"
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out, delimiter="\t")
        table.writerow(["index", "question", "A", "B", "C", "D", "answer", "modality", "prediction"])
        for index, (answer, d, reply) in enumerate(choice_rows()):
            table.writerow([index, "Which?", "Yes", "No", "Maybe", d, answer, "CT", reply])
    return path


def read_changes(folder):
    with next(folder.rglob("*_changes.csv")).open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def test_every_sample_that_the_kit_reads_otherwise_is_told_with_the_reason(tmp_path, capsys):
    path = write_choices(tmp_path)
    code, out, err = run(capsys, "score", path, "--out", tmp_path / "scored", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["reasons"] == dict.fromkeys((why for *_, why in CASES if why), 1)
    # Right by the kit: the first, and the message of failure that names C; by us four of six.
    assert (found["theirs"]["Overall"], found["ours"]["Overall"]) == (pytest.approx(100 / 3), pytest.approx(400 / 6))
    rows = read_changes(tmp_path / "scored")
    expected = [(str(index), theirs, why) for index, (*_, theirs, why) in enumerate(CASES) if why]
    assert [(row["index"], row["theirs"], row["why"]) for row in rows] == expected
    assert rows[0]["reply"] == "No"
    assert run(capsys, "score", path, "--out", tmp_path / "scored")[1].count("letter taken from the article A") == 1


def test_the_kits_own_score_file_goes_before_what_is_worked_out(tmp_path, capsys):
    path = write_choices(tmp_path)
    path.with_name(f"{path.stem}_score.json").write_text('{"overall_accuracy": 0.25, "correct": 1}')
    found = json.loads(run(capsys, "score", path, "--out", tmp_path / "scored", "--json")[1])
    assert found["theirs"] == {"Overall": 25.0}


def test_an_option_that_the_kit_did_not_show_is_told(tmp_path, capsys):
    path = write_choices(tmp_path)
    data = tmp_path / "qa.tsv"
    lines = [["index", "question", "A", "B", "C", "D", "answer", "modality"]]
    lines += [
        [str(index), "Which?", "Yes", "No", "Maybe", "None" if index == 1 else "", answer, "CT"]
        for index, (answer, *_) in enumerate(choice_rows())
    ]
    data.write_text("\n".join(map("\t".join, lines)), encoding="utf-8")
    found = json.loads(run(capsys, "score", path, "--data", data, "--out", tmp_path / "scored", "--json")[1])
    change = next(change for change in found["changes"] if "not shown" in change["reason"])
    assert (change["index"], change["ours"]) == ("1", "D. None")


def work_folder(folder):
    """A work folder as api mode and git HEAD leave it, with what else lies in such folders."""
    model = folder / "work" / "Some_VLM"
    for time_, suffix in (("T20260101-000000", ".early"), ("T20260102-000000", "")):
        path = write_choices(model / time_)
        os.utime(path, (time.time() - (100 if suffix else 0),) * 2)
    (model / "Some_VLM_MedqbenchMCQ_test.tsv").symlink_to("T20260102-000000/Some_VLM_MedqbenchMCQ_test.tsv")
    judged_file(model, [(2.0, 2.0, 2.0, 2.0)])
    write_choices(model / "previous")
    write_choices(model, "Some_VLM_MMBench")
    (model / "half_MedqbenchMCQ_dev.xlsx").write_bytes(b"PK\x03\x04 half")
    (model / "empty_MedqbenchMCQ_dev.tsv").write_text("index\tprediction\n")
    (model / "~$x_MedqbenchMCQ_dev.xlsx").write_bytes(b"lock")
    (model / "x_MedqbenchMCQ_dev.pkl").write_bytes(b"pickled")
    outside = write_choices(folder / "outside", "other_MedqbenchMCQ_dev")
    (model / "other_MedqbenchMCQ_dev.tsv").symlink_to(outside)
    (model / "loop_MedqbenchMCQ_dev.tsv").symlink_to("loop_MedqbenchMCQ_dev.tsv")
    (model / "half_MedqbenchMCQ_dev.tsv").write_text("index")
    return folder / "work"


def test_a_work_folder_is_imported_once_and_says_what_it_left(tmp_path, capsys):
    work = work_folder(tmp_path)
    before = {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}
    code, out, err = run(capsys, "import", work, "--json")
    assert code == 1
    assert "Not scored: 3 of these benchmarks' files" in err
    found = json.loads(out)
    names = {of["file"].rpartition("/")[2]: of for of in found["imported"]}
    assert {*names} == {"Some_VLM_MedqbenchMCQ_test.tsv", "Some_VLM_MedqbenchCaption_test.tsv"}
    assert {of["model"] for of in names.values()} == {"Some_VLM"}
    failed = {path.rpartition("/")[2]: why for path, why in found["failed"].items()}
    assert "not a whole .xlsx file" in failed["half_MedqbenchMCQ_dev.xlsx"]
    assert "no rows" in failed["empty_MedqbenchMCQ_dev.tsv"]
    left = {path.replace(f"{work}/Some_VLM/", ""): why for path, why in found["passed_over"].items()}
    assert {name: why.split(",")[0].split(" as ")[0] for name, why in left.items()} == {
        "Some_VLM_MMBench.tsv": "its name ends in no dataset of these benchmarks",
        "T20260101-000000/Some_VLM_MedqbenchMCQ_test.tsv": "an earlier run of the same name",
        "loop_MedqbenchMCQ_dev.tsv": "a lock of a spreadsheet program",
        "other_MedqbenchMCQ_dev.tsv": "a link out of the folder",
        "x_MedqbenchMCQ_dev.pkl": "a pickle file",
        "~$x_MedqbenchMCQ_dev.xlsx": "a lock of a spreadsheet program",
    }
    assert all(path.read_bytes() == content for path, content in before.items())
    results = work / "medqbench"
    assert json.loads((results / "leaderboard" / "leaderboard.json").read_text("utf-8"))["runs"]
    book = load_workbook(next(results.rglob("*NoReference*_report.xlsx")), read_only=True)
    cells = {str(cell) for sheet in book for row in sheet.iter_rows(values_only=True) for cell in row}
    assert "gpt-4o (kit's own class)" in cells
    assert run(capsys, "import", work, "--judge", "rules")[0] == 1
    assert run(capsys, "import", work)[0] == 1, "what the kit's judge said is taken again"
    state = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    code, out, err = run(capsys, "import", work, "--out", tmp_path / "elsewhere")
    assert code == 1
    assert f"Results and leaderboard: {tmp_path / 'elsewhere'}" in out
    assert "medqbench/" not in out, "results of an earlier import are not told as files that were not taken"
    assert f"{work}/Some_VLM/empty_MedqbenchMCQ_dev.tsv has a header but no rows." in " ".join(out.split())
    assert run(capsys, "import", work)[0] == 1
    assert {path: path.read_bytes() for path in results.rglob("*") if path.is_file()} == state


def test_logs_are_imported_on_the_data_that_fits_and_others_are_passed_over(tmp_path, capsys):
    logs = tmp_path / "logs"
    logs.mkdir()
    path = log_of(logs, False)
    path.with_name("20251201_120000_samples_mmmu_val.jsonl").write_text(
        json.dumps({"doc_id": 900, "input": "What?", "target": "x", "filtered_resps": "y"})
    )
    code, out, err = run(capsys, "import", logs, "--data", data_of(tmp_path), "--out", tmp_path / "out", "--json")
    assert code == 0, err
    found = json.loads(out)
    (of,) = found["imported"]
    # Its metric says that all are wrong; ours reads all three.
    assert (of["model"], of["scored_by"], of["theirs"], of["ours"]["Overall"]) == (
        "some-org/Some_VLM",
        "lmms-eval",
        {"Overall": 0.0},
        100.0,
    )
    assert of["reasons"] == {"the reply read by lmms-eval's task": 3}
    # Without the data the log's rows are known by their place alone; what was scored on the data is not taken for it.
    code, _, err = run(capsys, "import", logs, "--out", tmp_path / "out")
    assert code == 1
    assert "the right answer" in err or "columns" in err
    assert [name.rpartition("_samples_")[2] for name in found["passed_over"]] == ["mmmu_val.jsonl"]


def test_a_folder_without_such_files_is_refused(tmp_path, capsys):
    write_choices(tmp_path, "Some_VLM_MMBench")
    for folder, said in ((tmp_path, "no file of the kit's own classes"), (tmp_path / "absent", "is no folder")):
        code, _, err = run(capsys, "import", folder, "--out", tmp_path / "out")
        assert (code, said in err) == (2, True), err


@pytest.mark.slow
def test_what_was_scored_in_part_or_by_another_protocol_is_not_taken_for_the_whole(tmp_path, capsys):
    path, out = judged_file(tmp_path, [(2.0, 2.0, 2.0, 2.0)] * 3), tmp_path / "out"
    assert run(capsys, "score", path, "--limit", "1", "--out", out)[0] == 0
    (of,) = json.loads(run(capsys, "import", tmp_path, "--out", out, "--json")[1])["imported"]
    score = next(out.glob("*_score.json"))
    assert (of["ours"]["Overall"], json.loads(score.read_text("utf-8"))["n"]) == (8.0, 3)
    with JudgeServer("Score: 1") as server:
        judge = ["--judge", "j", "--judge-base-url", server.base_url, "--out", out, "--json"]
        for protocol in ("rubric", "official"):
            code, _, err = run(capsys, "import", tmp_path, *judge, "--protocol", protocol)
            assert code == 0, err
            assert json.loads(score.read_text("utf-8"))["settings"]["protocol"]["name"] == protocol


def test_a_folder_that_cannot_be_read_is_told(tmp_path, capsys, monkeypatch):
    write_choices(tmp_path / "work")
    closed, scandir = write_choices(tmp_path / "work" / "closed").parent, os.scandir

    def guarded(place):
        if os.fspath(place) == str(closed):
            raise PermissionError(13, "Permission denied", str(closed))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", guarded)
    code, out, err = run(capsys, "import", tmp_path / "work", "--out", tmp_path / "out", "--json")
    assert code == 0, err
    assert json.loads(out)["passed_over"] == {str(closed): "a folder that cannot be read"}


def test_two_formats_of_one_run_are_not_written_over_each_other(tmp_path, capsys):
    path = write_choices(tmp_path / "work")
    with path.open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source, delimiter="\t"))
    path.with_suffix(".json").write_text(json.dumps(rows), encoding="utf-8")
    code, out, _ = run(capsys, "import", tmp_path / "work", "--json")
    assert code == 1
    (why,) = json.loads(out)["failed"].values()
    assert "takes the same name of results" in why
