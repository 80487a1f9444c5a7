"""The command line as a user meets it: outputs, exit codes, one-sentence errors."""

import csv
import json
import os
import subprocess
import sys

import pytest

from tests.commands import run
from tests.make import write_reasoning
from tests.servers import JudgeServer


@pytest.fixture
def predictions(tmp_path):
    path = tmp_path / "Model-X_MedQBench_Perception_mini.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(["index", "question", "A", "B", "answer", "modality", "prediction"])
        table.writerow([1, "Is there noise?", "Yes", "No", "A", "CT", "Yes"])
        table.writerow([2, "Is there blur?", "Yes", "No", "A", "MRI", "B"])
        table.writerow([3, "Is there motion?", "Yes", "No", "B", "MRI", "I cannot tell."])
    return path


def test_score_writes_results_named_after_model_and_dataset(capsys, predictions, tmp_path):
    code, out, err = run(capsys, "score", predictions, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert "33.33" in out
    assert "not comparable" in out
    score = json.loads((tmp_path / "out" / "Model-X_MedQBench_Perception_mini_score.json").read_text())
    assert (score["model"], score["n"], score["n_correct"], score["n_unanswered"]) == ("Model-X", 3, 1, 1)
    assert (tmp_path / "out" / "Model-X_MedQBench_Perception_mini_report.xlsx").exists()
    assert (tmp_path / "out" / "leaderboard" / "leaderboard.json").exists()


def test_score_json_is_json_alone(capsys, predictions, tmp_path):
    code, out, _ = run(capsys, "score", predictions, "--out", tmp_path / "out", "--json", "--model", "a/b")
    result = json.loads(out)
    assert code == 0
    assert result["Overall"] == pytest.approx(100 / 3)
    assert result["modality"] == {"CT": 100.0, "MRI": 0.0}
    assert result["files"]["score"].endswith("a--b_MedQBench_Perception_mini_score.json")
    # Wilson's 95% interval of 1 of 3, and of 1 of 1.
    assert result["intervals"]["Overall"] == pytest.approx([6.149, 79.234], abs=0.001)
    assert result["intervals"]["modality"]["CT"] == pytest.approx([20.654, 100], abs=0.001)
    assert result["intervals"]["level"] == 0.95


def test_score_with_a_data_file_takes_answers_from_it(capsys, predictions, tmp_path):
    data = tmp_path / "mine.tsv"
    data.write_text(
        "index\tquestion\tA\tB\tanswer\timage_path\n"
        "1\tIs there noise?\tYes\tNo\tB\tx.png\n"
        "2\tIs there blur?\tYes\tNo\tB\tx.png\n"
        "3\tIs there motion?\tYes\tNo\tB\tx.png\n",
        encoding="utf-8",
    )
    code, out, _ = run(capsys, "score", predictions, "--data", data, "--out", tmp_path / "out", "--json")
    assert code == 0
    # The data says B three times; the file's own answer column said A, A, B.
    assert json.loads(out)["Overall"] == pytest.approx(100 / 3)
    (score,) = (tmp_path / "out").glob("*_score.json")
    assert json.loads(score.read_text())["settings"]["data"]["perception"]["path"] == str(data)


@pytest.mark.slow
def test_score_reads_named_columns_of_the_data_or_of_the_predictions(capsys, predictions, tmp_path):
    own = predictions.read_text().replace("answer", "gold standard").replace("prediction", "Antwort")
    predictions.write_text(own.replace("modality", "Geraet"))
    words = ("score", predictions, "--json", "--out")
    named = ("--columns", "answer=Gold_Standard,prediction=Antwort,modality=Geraet")
    code, out, err = run(capsys, *words, tmp_path / "alone", *named)
    assert (code, err, json.loads(out)["modality"]) == (0, "", {"CT": 100.0, "MRI": 0.0})
    (score,) = (tmp_path / "alone").glob("*_score.json")
    assert json.loads(score.read_text())["settings"]["data"]["perception"]["columns"]["named"] == ["answer", "modality"]
    data = tmp_path / "mine.tsv"
    lines = [
        line.rsplit(",", 1)[0] for line in own.replace("modality", "Feld").replace("gold standard", "x").splitlines()
    ]
    data.write_text("\n".join(lines).replace(",", "\t"))
    named = ("--columns", "prediction=Antwort,answer=x,modality=Feld")
    code, out, err = run(capsys, *words, tmp_path / "with", "--data", data, *named)
    assert (code, err, json.loads(out)["modality"]) == (0, "", {"CT": 100.0, "MRI": 0.0})
    code, _, err = run(
        capsys, *words, tmp_path / "not", "--data", data, "--columns", "prediction=Antwort,answer=x,modality=Fell"
    )
    assert code == 2
    assert "mine.tsv: the column 'Fell', named for 'modality', is not there. Did you mean 'Feld'?" in err


def test_a_judge_that_scores_all_alike_is_named_on_the_terminal(capsys, tmp_path, judge_cache):
    path = write_reasoning(tmp_path / "m_d.tsv", {str(i): f"text {i}" for i in range(14)})
    words = ["--out", tmp_path / "out", "--judge", "j", "--protocol", "rubric"]
    with JudgeServer("Score: 2") as server:
        code, out, _ = run(capsys, "score", path, *words, "--judge-base-url", server.base_url)
    assert code == 0
    said = " ".join(out.split())
    assert "! the judge gives 100.00% of 14 samples the same scores (Completeness 2, Preciseness 2" in said
    (numbers,) = (tmp_path / "out").glob("*_score.json")
    finding = json.loads(numbers.read_text())["findings"]["same_scores"]
    assert "come with a chance of 4.4%." in finding["statement"]  # 0.8 to the power of 14


def test_score_with_a_judge_server(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDQBENCH_JUDGE_KEY", "sk-canary-env")
    path = write_reasoning(tmp_path / "m_MedQBench_Reasoning_NoReference.tsv", {i: f"text {i}" for i in range(8)})
    with JudgeServer("Score: 2", gather=16) as server:
        code, out, err = run(
            capsys, "score", path, "--judge", "gpt-4o", "--judge-base-url", server.base_url, "--judge-nproc", 16,
            "--protocol", "rubric", "--out", tmp_path / "out", "--json",
        )  # fmt: skip
        assert server.max_in_flight == 16
        headers = {name.lower(): text for name, text in server.requests[0].headers.items()}
        assert headers["authorization"] == "Bearer sk-canary-env"
    assert (code, err) == (0, "")
    assert json.loads(out)["Overall"] == 8
    for file in (tmp_path / "out").rglob("*"):
        assert file.is_dir() or b"sk-canary" not in file.read_bytes(), file


HEAD = "index,question,A,B,answer,prediction\n"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.xlsx", None, "does not exist"),
        ("empty.csv", b"", "empty"),
        ("head.csv", HEAD.encode(), "no rows"),
        ("columns.csv", b"index,answer\n1,A\n", "prediction"),
        ("twice.csv", f"{HEAD}1,Q,Yes,No,A,A\n1,Q,Yes,No,A,A\n".encode(), "1"),
        ("cut.xlsx", b"PK\x03\x04 not a workbook", "cut.xlsx"),
        ("cut.json", b'[{"index": 1, "predic', "cut.json"),
        ("x.pkl", b"\x80\x04.", "pickle"),
        ("answer.csv", f"{HEAD}1,Q,Yes,No,D,A\n".encode(), "row 1"),
        ("x.parquet", b"PAR1", "x.parquet"),
    ],
)
def test_bad_prediction_files(capsys, tmp_path, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    code, out, err = run(capsys, "score", path, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert err.startswith("medqbench: ")
    assert words in err
    assert path.name in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_bad_options(capsys, predictions, tmp_path):
    out = tmp_path / "out"
    code, _, err = run(capsys, "score", predictions, "--data", "nowhere.tsv", "--out", out)
    assert (code, "nowhere.tsv" in err) == (2, True)
    reasoning = write_reasoning(tmp_path / "m_d.tsv", {1: "good"})
    code, _, err = run(capsys, "score", reasoning, "--out", out)
    assert (code, "--judge" in err) == (2, True)
    code, _, err = run(capsys, "score", reasoning, "--judge", "j", "--protocol", "oficial", "--out", out)
    assert (code, "Did you mean 'official'" in err) == (2, True)
    code, _, err = run(capsys, "score", reasoning, "--judge", "j", "--judge-args", "{", "--out", out)
    assert (code, "--judge-args" in err) == (2, True)
    # Port 9 of this machine is closed.
    address = "http://127.0.0.1:9/v1"
    options = ("--judge-base-url", address, "--judge-retry", "0", "--protocol", "rubric")
    code, _, err = run(capsys, "score", reasoning, "--judge", "j", *options, "--out", out)
    assert (code, address in err, len(err.strip().splitlines())) == (1, True, 1)


@pytest.mark.slow
def test_official_protocol_without_a_kit_names_the_ways_out(tmp_path):
    path = write_reasoning(tmp_path / "m_d.tsv", {1: "good"})
    code = (
        "import importlib.util as u, sys\n"
        "found = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'vlmeval' else found(name, *a)\n"
        "from medqbench_vlmeval.cli.main import main\n"
        "main(sys.argv[1:])\n"
    )
    judge = ["--judge", "j", "--judge-base-url", "http://127.0.0.1:9/v1"]
    arguments = ["score", str(path), *judge, "--out", str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "rubric" in done.stderr
    assert "[kit]" in done.stderr
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "--data", "x"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "git checkout" in " ".join(done.stderr.split())


@pytest.mark.slow
def test_debug_shows_the_traceback(tmp_path):
    command = [sys.executable, "-m", "medqbench_vlmeval", "--debug", "score", "absent.csv", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "Traceback" in done.stderr


def test_doctor_names_kit_datasets_and_what_is_missing(capsys):
    code, out, _ = run(capsys, "doctor", "--quick", "--json")
    findings = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert findings["MedQBench_Perception_mini"]["state"] == "ok"
    assert "VLMEvalKit" in findings
    assert "MedQBench_Reasoning_Comparative_test" in findings


def test_data_info_tells_columns_and_counts(capsys):
    code, out, _ = run(capsys, "data", "info", "MedQBench_Perception_mini", "--json")
    (part,) = json.loads(out)["parts"].values()
    assert code == 0
    assert part["counts"]["question_type"] == {"Yes-or-No": 25, "What": 25, "How": 25}
    assert part["source"]["columns"]["read"]["severity"] == "severity"
    code, out, _ = run(capsys, "data", "info", "MedQBench_Reasoning_mini")
    assert code == 0
    assert "Fundus" in out


def test_data_info_of_two_files_tells_what_they_share(capsys, tmp_path):
    rows = [f"{i}\tIs it?\tYes\tNo\tA\tx{i}.png" for i in range(4)]
    for name, some in (("x_dev", rows[:3]), ("x_test", rows[2:])):
        text = "\n".join(["index\tquestion\tA\tB\tanswer\timage_path", *some])
        (tmp_path / f"{name}.tsv").write_text(text, encoding="utf-8")
    dev, test = tmp_path / "x_dev.tsv", tmp_path / "x_test.tsv"
    code, out, err = run(capsys, "data", "info", test, dev, "--json")
    first, second = json.loads(out)
    assert (code, err) == (0, "")
    assert [repeat["samples"] for repeat in first["repeats"]] == [["x_test: 2", "x_dev: 2"]] * 2
    assert [repeat["what"][:10] for repeat in first["repeats"]] == ["same quest", "same image"]
    assert (first["others"], second["name"], second["repeats"]) == (["x_dev"], "x_dev", [])
    # Of one file the other split beside it is looked at, too.
    code, out, _ = run(capsys, "data", "info", test)
    assert "What stands twice in x_test or x_dev" in out
    assert "same image in several files" in out
    dev.unlink()
    code, out, _ = run(capsys, "data", "info", test)
    assert out.splitlines()[-1] == "Nothing stands twice in x_test"


def test_leaderboard_show_has_the_published_rows(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "leaderboard", "show")
    assert code == 0
    for words in ("GPT-5", "68.97", "Human expert", "82.50", "5.679", "6.338"):
        assert words in out
    code, _, err = run(capsys, "leaderboard", "show", "nowhere")
    assert (code, "nowhere" in err) == (2, True)


@pytest.mark.slow
def test_a_pipe_that_closes_early_is_no_traceback():
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "medqbench_vlmeval", "leaderboard", "show"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait(timeout=60)
