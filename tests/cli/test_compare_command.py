"""'medqbench compare' as a user meets it."""

import io
import json

import pytest

from medqbench_vlmeval.cli.main import main
from medqbench_vlmeval.files import sha256_of, write_jsonl
from tests.commands import run
from tests.make import choice, judged, scored

OPTIONS = {"A": "Noise", "B": "Blur", "C": "Ghosting"}


@pytest.fixture
def runs(tmp_path):
    return [scored(tmp_path, [choice(str(i), i < n) for i in range(12)], model) for model, n in (("A", 9), ("B", 3))]


def test_a_table_and_its_files(capsys, runs, tmp_path):
    before = [sha256_of(path) for path in runs]
    code, out, err = run(capsys, "compare", *runs, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert out.startswith("Perception: a = A, b = B\n")
    assert "75.00% against 25.00% on 12 samples: difference +50.00 points" in out
    assert out.splitlines()[-2:] == [str(tmp_path / "out" / name) for name in ("compare.json", "compare.xlsx")]
    assert [sha256_of(path) for path in runs] == before
    written = json.loads((tmp_path / "out" / "compare.json").read_text(encoding="utf-8"))
    code, out, _ = run(capsys, "compare", *runs, "--json")
    assert code == 0
    printed = json.loads(out)
    assert {**printed, "disagreements": written["disagreements"]} == written
    cell = printed["parts"][0]["pairs"][0]["overall"]
    assert (cell["p"], cell["only_a"], cell["difference"]) == (2 / 64, 6, 50.0)
    assert [row["index"] for row in written["disagreements"]] == ["3", "4", "5", "6", "7", "8"]
    assert written["disagreements"][0]["extracted"] == {"A": "A", "B": "B"}
    assert written["disagreements"][0]["scores"] == {"A": 1.0, "B": 0.0}
    _, out, _ = run(capsys, "compare", *runs, "--json", "--seed", 5)
    assert json.loads(out)["seed"] == 5


def test_runs_that_were_really_scored(capsys, tmp_path):
    """Two models' questions and descriptions, scored by the command and compared by folder."""
    for model, letter, level in (("one", "A", "good"), ("two", "B", "reject")):
        folder = tmp_path / model
        folder.mkdir()
        questions, descriptions = (folder / f"{model}_MedQBench_{part}.jsonl" for part in ("Perception", "Reasoning"))
        rows = [
            {"index": i, "question": "Which degradation?", **OPTIONS, "answer": "ABC"[i % 3], "modality": "CT"}
            | {"question_type": "What", "prediction": letter}
            for i in range(12)
        ]
        write_jsonl(questions, rows)
        words = "The image is sharp. The quality of this image is {}."
        described = {"task": "no-reference", "question": "Q", "description": words.format("good")}
        texts = {**described, "prediction": words.format(level)}
        write_jsonl(descriptions, [{"index": f"NoReference:{i}", **texts} for i in range(3)])
        for path in (questions, descriptions):
            assert run(capsys, "score", path, "--out", folder, "--judge", "rules", "--json")[::2] == (0, "")
    _, out, _ = run(capsys, "compare", tmp_path / "one", tmp_path / "two", "--json")
    quality = json.loads(out)["parts"][1]["pairs"][0]["axes"]["dimension"]["Quality Accuracy"]
    assert (quality["a"], quality["b"], quality["no_interval"]) == (2.0, 0.0, "all differences are equal")
    code, out, err = run(
        capsys, "compare", tmp_path / "one", tmp_path / "two" / "two_MedQBench_Perception.jsonl", "--json"
    )
    assert (code, err) == (0, "")
    result = json.loads(out)
    cell = result["parts"][0]["pairs"][0]["overall"]
    # Each letter is right in four of twelve, never in the same.
    assert (cell["a"], cell["b"], cell["only_a"], cell["only_b"], cell["p"]) == (400 / 12, 400 / 12, 4, 4, 1.0)
    assert result["runs"][0]["results"][0]["protocol"] == "choice-extraction"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["nowhere_score.json", "x"], "nowhere_score.json does not exist"),
        (["no*here"], "No scored run matches"),
        ([], "RUN RUN"),
    ],
)
def test_bad_input_is_exit_code_2(capsys, tmp_path, words, text):
    code, out, err = run(capsys, "compare", *(tmp_path / word for word in words), "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert text in err
    assert not (tmp_path / "out").exists()


def test_a_cut_file_is_named_with_its_line(capsys, runs):
    samples = runs[0].with_name("A_MedQBench_Perception_samples.jsonl")
    samples.write_text(samples.read_text(encoding="utf-8")[:-40], encoding="utf-8")
    code, _, err = run(capsys, "compare", *runs)
    assert code == 2
    assert f"{samples}, line 12: not a whole JSON object" in err
    assert len(err.splitlines()) == 1
    code, _, err = run(capsys, "compare", runs[1], runs[1])
    assert code == 2
    assert "needs two runs or more, and this is one" in err


def test_a_folder_of_any_depth_a_glob_and_several_files_are_the_same_runs(capsys, runs, tmp_path):
    whole = run(capsys, "compare", *runs, "--json")
    assert whole[0] == 0
    assert run(capsys, "compare", tmp_path.parent / tmp_path.name, "--json") == whole
    assert run(capsys, "compare", tmp_path / "*_score.json", "--json") == whole
    assert run(capsys, "compare", *sorted(tmp_path.glob("*_s*")), "--json") == whole


def test_a_job_fails_where_a_model_got_plainly_worse(capsys, runs, tmp_path):
    """B has 3 of 12 right where A has 9: 50 points less, p 2/64, and 2/32 as one of two; C has 8."""
    a, b = runs
    c = scored(tmp_path, [choice(str(i), i < 8) for i in range(12)], "C")
    summary, against_a = tmp_path / "summary.md", ("--baseline", "A", "--fail-under")
    failed = "medqbench: Below the baseline A: B: perception -50.00 points, tolerated are {} (p {}).\n"
    for words, text in (
        ((b, *against_a, -2), failed.format("-2.00", "0.0312")),
        ((b, *against_a, 0), failed.format("0.00", "0.0312")),
        ((b, *against_a, -50), ""),
        ((b, c, *against_a, -10), ""),
        ((b, c, *against_a, -10, "--strict"), failed.format("-10.00", "0.0625")),
    ):
        code, out, err = run(capsys, "compare", a, *words, "--markdown", summary)
        assert (code, err) == (int(bool(text)), text), words
        assert out.splitlines()[-1] == str(summary)  # said before the job fails
        said = "Failed: B: perception" if text else "Passed: nothing is below --fail-under"
        assert summary.read_text("utf-8").splitlines()[4].startswith(said)
        assert "- not comparable with the published rows: A, B" in summary.read_text("utf-8")
    code, out, err = run(capsys, "compare", b, "--baseline", a, "--markdown", "-")
    assert (code, err) == (0, "")
    assert "| B | A | 12 | 25.00 | 75.00 | -50.00 |" in out
    assert "| worse |" in out


def test_descriptions_are_gated_in_percent_of_their_scale(capsys, tmp_path):
    """-0.5 of 8 points is -6.25%."""
    scores = {"A": (2, 2, 2, 2), "B": (2, 2, 2, 1)}
    for model, of_model in scores.items():
        rows = [judged(str(i), of_model if i % 2 else scores["A"]) for i in range(40)]
        scored(tmp_path, rows, model, "MedQBench_Reasoning")
    for limit, code in ((-6, 1), (-6.3, 0)):
        assert run(capsys, "compare", tmp_path, "--baseline", "A", "--fail-under", limit)[0] == code


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--fail-under", -2], "and a --baseline"),
        (["--fail-under", 1, "--baseline", "A"], "--fail-under takes 0 or a number below it"),
        (["--fail-under", "nan", "--baseline", "A"], "--fail-under takes 0 or a number below it"),
        (["--baseline", "Q"], "--baseline Q is none of the models (A, B), and no place: Q does not exist"),
        (["--markdown", __file__], "is no summary of 'compare'; choose another file, or '--markdown - >>"),
    ],
)
def test_what_a_baseline_and_a_limit_cannot_be(capsys, runs, words, text):
    code, out, err = run(capsys, "compare", *runs, *words)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert text in err


def test_an_unwritable_folder_is_a_failed_run(capsys, runs, tmp_path):
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    code, _, err = run(capsys, "compare", *runs, "--out", tmp_path / "out")
    assert code == 1
    assert "cannot be written" in err


def test_json_in_a_terminal_of_another_encoding(capsys, tmp_path, monkeypatch):
    """What cp1252 cannot say is escaped, and stays what it was."""
    paths = [scored(tmp_path, [choice("1", True)], model) for model in ("\u6a21\u578b", "B")]
    with capsys.disabled():
        out = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
        monkeypatch.setattr("sys.stdout", out)
        with pytest.raises(SystemExit):
            main(["compare", *map(str, paths), "--json"])
        out.flush()
    printed = out.buffer.getvalue().decode("cp1252")
    assert json.loads(printed)["runs"][0]["label"] == "\u6a21\u578b"


def test_runs_of_one_name_are_told_apart_by_their_folders(capsys, tmp_path):
    paths = [scored(tmp_path / name, [choice("1", True)], "M") for name in ("one", "two")]
    _, out, _ = run(capsys, "compare", *paths)
    assert out.splitlines()[:2] == [f"M #1: {paths[0]}", f"M #2: {paths[1]}"]


def test_names_that_are_too_long(capsys, runs):
    code, _, err = run(capsys, "compare", "a" * 300, runs[0])
    assert (code, len(err.splitlines())) == (2, 1)
    code, _, err = run(capsys, "compare", *runs, "--out", "a" * 300)
    assert (code, len(err.splitlines())) == (1, 1)
