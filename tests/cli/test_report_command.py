"""'medqbench report' as a user meets it."""

import json
from base64 import b64encode

import pytest
from openpyxl import load_workbook

from medqbench_vlmeval.files import json_object, sha256_of, write_json, write_jsonl
from tests.commands import run
from tests.make import choice, scored
from tests.report.page_runs import data_of

STEM = "m_MedQBench_Perception"


@pytest.fixture(scope="module")
def really_scored(tmp_path_factory):
    """A run as 'medqbench score' leaves it: 6 of 12 questions right, all of MRI and none of CT."""
    from medqbench_vlmeval.workflows import Request, evaluate

    folder = tmp_path_factory.mktemp("scored")
    predictions = folder / f"{STEM}.jsonl"
    write_jsonl(
        predictions,
        [
            {"index": i, "question": "Which degradation?", "A": "Noise", "B": "Blur", "answer": "AB"[i % 2]}
            | {"modality": ("MRI", "CT")[i % 2], "question_type": "What", "prediction": "A"}
            for i in range(12)
        ],
    )
    evaluate(Request(predictions, "m", "MedQBench_Perception", folder))
    return folder


@pytest.mark.slow
def test_a_summary_and_a_workbook(capsys, really_scored, tmp_path):
    before = {path: sha256_of(path) for path in really_scored.iterdir()}
    code, out, err = run(capsys, "report", really_scored, "--out", tmp_path / "new" / "out", "--verbose")
    assert (code, err) == (0, "")
    path = tmp_path / "new" / "out" / f"{STEM}_report.xlsx"
    folder = path.parent
    assert out.splitlines()[-1] == str(folder / "report.html")
    assert "50.00" in out
    assert "- Modality gap: " not in out  # six samples a modality are too few
    assert "Not found: " in out
    written = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert {path.name, f"{STEM}_card.md", "report.html", "tables/perception.tex", "figures/captions.md"} <= written
    assert "runs.xlsx" not in written
    assert {line for line in out.splitlines() if line.startswith(str(folder))} == {
        str(folder / name) for name in written
    }
    assert {path: sha256_of(path) for path in really_scored.iterdir()} == before
    book, scored_book = (load_workbook(file) for file in (path, really_scored / path.name))
    assert book.sheetnames == scored_book.sheetnames
    for name in book.sheetnames:
        assert list(book[name].iter_rows(values_only=True)) == list(scored_book[name].iter_rows(values_only=True))


def test_one_run_is_a_headline_three_findings_and_a_path(capsys, really_scored, tmp_path):
    code, out, _ = run(capsys, "report", really_scored, "--out", tmp_path)
    lines = out.splitlines()
    assert code == 0
    assert [line.split()[0] for line in lines[:5]] == ["m", "Measure", "Overall", "Yes-or-No", "What"]
    assert "By modality" not in out
    # All replies say A, which is right in half: an error in each other one, no answer missing.
    findings = [line for line in lines if line.startswith("- ")]
    assert len(findings) == 3
    assert findings[0].startswith("- Letter bias: ")
    assert lines[-4:] == [*findings, str(tmp_path / "report.html")]


@pytest.mark.slow
def test_many_runs_are_one_ranked_table_whose_equals_share_a_rank(capsys, tmp_path):
    rights = {"Org/Best": 3, "Second-A": 2, "Second-B": 2, "Org/Last": 0}
    for name, right in rights.items():
        scored(tmp_path / name, [choice(str(i), i < right) for i in range(4)], name)
    code, out, _ = run(capsys, "report", *(tmp_path / name for name in rights), "--out", tmp_path / "out")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "MedQ-Bench Perception: 4 runs"
    at = lines[1].split().index("Overall")
    ranked = [[*line.split()[:2], line.split()[at]] for line in lines[2:6]]
    assert ranked == [
        ["1", "Org/Best", "75.00"], ["2", "Second-A", "50.00"], ["2", "Second-B", "50.00"], ["4", "Org/Last", "0.00"],
    ]  # fmt: skip
    assert "! all 4 own rows: not comparable with the published rows" in out
    assert sum(line.startswith("- ") for line in lines) <= 3
    assert lines[-1] == str(tmp_path / "out" / "report.html")


@pytest.mark.slow
def test_json_is_all_that_is_printed(capsys, really_scored, tmp_path):
    code, out, err = run(capsys, "report", really_scored / f"{STEM}_score.json", "--out", tmp_path, "--json")
    assert (code, err) == (0, "")
    everything = json.loads(out)
    (entry,) = everything["runs"]
    assert (everything["page"], everything["workbook"]) == (str(tmp_path / "report.html"), None)
    assert (entry["model"], entry["dataset"], entry["Overall"], entry["n"]) == ("m", "MedQBench_Perception", 50.0, 12)
    assert entry["modality"] == {"CT": 0.0, "MRI": 100.0}
    low, high = entry["intervals"]["Overall"]
    assert low < 50 < high
    assert entry["workbook"] == str(tmp_path / f"{STEM}_report.xlsx")
    assert entry["score_file"] == str(really_scored / f"{STEM}_score.json")
    assert "perception" in entry["findings"]


@pytest.mark.slow
def test_runs_of_one_name_each_get_a_workbook(capsys, tmp_path):
    scores = [scored(tmp_path / name, [choice("1", True)]) for name in ("first", "second")]
    code, out, _ = run(capsys, "report", *scores, "--out", tmp_path / "out", "--verbose")
    assert code == 0
    stem = "Model-X_MedQBench_Perception_report.xlsx"
    assert sorted(path.name for path in (tmp_path / "out").glob("*.xlsx")) == [stem, "runs.xlsx", f"second_{stem}"]
    assert str(tmp_path / "out" / f"second_{stem}") in out
    third = scored(tmp_path / "third" / "second", [choice("1", True)])
    assert run(capsys, "report", tmp_path / "first", *scores, third, "--out", tmp_path / "more")[0] == 0
    names = [stem, "runs.xlsx", f"second_2_{stem}", f"second_{stem}"]
    assert sorted(path.name for path in (tmp_path / "more").glob("*.xlsx")) == names


@pytest.mark.slow
def test_several_runs_are_compared_and_too_many_are_not(capsys, tmp_path, monkeypatch):
    for model in "ab":
        scored(tmp_path, [choice("1", model == "a")], model)
    code, out, _ = run(capsys, "report", tmp_path, "--out", tmp_path / "out")
    assert code == 0
    assert "too many" not in out
    (told,) = data_of(tmp_path / "out" / "report.html")["compared"]
    assert [(one["label"], one["value"]) for one in told["runs"]] == [("a", 100.0), ("b", 0.0)]
    assert "Samples, perception" in load_workbook(tmp_path / "out" / "runs.xlsx").sheetnames
    monkeypatch.setattr("medqbench_vlmeval.workflows.report.MOST_COMPARED", 1)
    _, out, _ = run(capsys, "report", tmp_path / "*_score.json", "--out", tmp_path / "out")
    assert "2 runs are too many to compare each two; name 1, or use 'compare'." in out
    assert data_of(tmp_path / "out" / "report.html")["compared"] == []


@pytest.mark.slow
def test_the_workbook_of_another_run_is_not_replaced(capsys, tmp_path):
    for name in ("one", "other"):
        scored(tmp_path / name, [choice("1", name == "one")])
    code, out, err = run(capsys, "report", tmp_path / "one", "--out", tmp_path / "other")
    assert (code, out) == (2, "")
    assert "is the workbook of another run" in err
    assert not list((tmp_path / "other").glob("*.xlsx"))
    # A run's own workbook may be written anew.
    assert run(capsys, "report", tmp_path / "one", "--out", tmp_path / "one")[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["report.html", "runs.xlsx"])
def test_files_of_other_programs_are_not_replaced(capsys, tmp_path, name):
    scores = [scored(tmp_path / folder, [choice("1", True)]) for folder in ("one", "other")]
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine", encoding="utf-8")
    code, text, err = run(capsys, "report", *scores, "--out", out)
    assert (code, text) == (2, "")
    assert str(out / name) in err
    assert (out / name).read_text(encoding="utf-8") == "mine"
    assert len(list(out.iterdir())) == 1
    (out / name).unlink()
    # What this package wrote before is written anew.
    assert [run(capsys, "report", *scores, "--out", out)[0] for _ in range(2)] == [0, 0]


def test_what_is_not_whole_is_said_in_a_line(capsys, tmp_path):
    score = scored(tmp_path / "run", [choice("1", True)])
    write_json(score, {name: value for name, value in json_object(score).items() if name != "Overall"})
    for words in (f"{score}: 'Overall' is missing; the file was edited by hand", f"without '{score.stem[:-6]}_samples"):
        code, out, err = run(capsys, "report", tmp_path / "run", "--out", tmp_path / "out", "--json")
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert words in err
        assert not (tmp_path / "out").exists()
        score.with_name(score.name.replace("_score.json", "_samples.jsonl")).unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("words", "text"), [([], "--out"), (["--out", "x"], "PATH..."), (["a" * 300, "--out", "x"], "too long")]
)
def test_words_that_are_missing_or_too_long(capsys, words, text):
    code, out, err = run(capsys, "report", *(words or ["y"]))
    assert (code, out) == (2, "")
    assert text in err


def test_an_unwritable_folder_is_a_failed_run(capsys, tmp_path):
    score = scored(tmp_path, [choice("1", True)])
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    for out_folder in (tmp_path / "out", tmp_path / ("a" * 300)):
        code, out, err = run(capsys, "report", score, "--out", out_folder)
        assert (code, out) == (1, "")
        assert "cannot be written" in err


@pytest.mark.slow
def test_replies_are_data(capsys, tmp_path):
    replies = ["=1+1", "x" * 40_000, "\x1b[2J\u202e", "@SUM(A1)\r\nline"]
    rows = [choice(str(i), True, text=words) for i, words in enumerate(replies)]
    score = scored(tmp_path, rows, "=cmd|' /C calc'!A0\x1b[31m")
    code, out, _ = run(capsys, "report", score, "--out", tmp_path / "out")
    assert code == 0
    assert "\x1b" not in out
    (path,) = (tmp_path / "out").glob("*.xlsx")
    cells = [cell for sheet in load_workbook(path) for row in sheet.iter_rows() for cell in row]
    assert {cell.data_type for cell in cells} <= {"s", "n", "b"}
    values = [cell.value for cell in cells]
    assert "=1+1" in values
    assert any(isinstance(value, str) and "40,000 characters in all, whole text in" in value for value in values)


def _with_images(folder):
    """A data file of two questions, one image in base64 and one as a path, and predictions that name none."""
    from tests.report.page_runs import image_bytes

    (folder / "scans").mkdir()
    (folder / "scans" / "two.png").write_bytes(image_bytes((2, 2, 2)))
    encoded = b64encode(image_bytes((1, 1, 1))).decode()
    head = "index\tquestion\tA\tB\tanswer"
    lines = ["1\tOne?\tYes\tNo\tA", "2\tTwo?\tYes\tNo\tB"]
    pictures = (f"{encoded}\t", "\tscans/two.png")
    rows = "\n".join(f"{line}\t{picture}" for line, picture in zip(lines, pictures, strict=True))
    (folder / "data.tsv").write_text(f"{head}\timage\timage_path\n{rows}\n", "utf-8")
    (folder / f"{STEM}.tsv").write_text("\n".join([f"{head}\tprediction", *(f"{line}\tA" for line in lines)]), "utf-8")
    return folder / "data.tsv", folder / f"{STEM}.tsv"


@pytest.mark.slow
def test_score_with_data_keeps_its_images_for_the_report(capsys, tmp_path, monkeypatch):
    data, predictions = _with_images(tmp_path)
    monkeypatch.setenv("LMUData", str(tmp_path / "LMU"))
    assert run(capsys, "score", predictions, "--data", data, "--out", tmp_path / "run")[0] == 0
    code, out, _ = run(capsys, "report", tmp_path / "run", "--out", tmp_path / "out")
    assert code == 0
    # The path's image lies where the data file is, and nowhere that a report knows of.
    command = f"medqbench report {tmp_path / 'run'} --out {tmp_path / 'out'} --data FILE"
    assert f"1 of 2 images are not on this machine; '{command}'" in " ".join(out.split())
    assert len(list((tmp_path / "out" / "images").iterdir())) == 1
    code, out, _ = run(capsys, "report", tmp_path / "run", "--out", tmp_path / "out", "--data", data)
    assert (code, "not on this machine" in out) == (0, False)
    assert (tmp_path / "out" / "images" / "two.png").samefile(tmp_path / "scans" / "two.png")
    assert len(list((tmp_path / "out" / "images").iterdir())) == 2


@pytest.mark.slow
def test_report_data_supplies_images_that_the_results_do_not_name(capsys, tmp_path, monkeypatch):
    data, predictions = _with_images(tmp_path)
    monkeypatch.setenv("LMUData", str(tmp_path / "LMU"))
    assert run(capsys, "score", predictions, "--out", tmp_path / "run")[0] == 0
    assert not list((tmp_path / "LMU").rglob("*.png"))
    code, out, err = run(capsys, "report", tmp_path / "run", "--out", tmp_path / "out", "--data", data, "--json")
    assert (code, err, json.loads(out)["warning"]) == (0, "", None)
    assert len(list((tmp_path / "out" / "images").iterdir())) == 2
    # Data whose questions are others' give no image.
    data.write_text(data.read_text("utf-8").replace("One?", "Uno?").replace("Two?", "Due?"), "utf-8")
    assert run(capsys, "report", tmp_path / "run", "--out", tmp_path / "new", "--data", data)[0] == 0
    assert not (tmp_path / "new" / "images").exists()


def test_a_wrong_kind_of_images_is_said(capsys, really_scored, tmp_path):
    code, _, err = run(capsys, "report", really_scored, "--out", tmp_path, "--images", "some")
    assert code == 2
    assert "full, thumbnails, none" in err
