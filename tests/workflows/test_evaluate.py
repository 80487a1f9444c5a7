"""One evaluation, with real files, a real server and every way in which it can go wrong."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from openpyxl import load_workbook

from medqbench_vlmeval.benchmark import parse_dataset_name
from medqbench_vlmeval.data import load_dataset
from medqbench_vlmeval.errors import BadInput, JudgeError, RunFailed
from medqbench_vlmeval.files import sha256_of
from medqbench_vlmeval.judge.cache import ReplyCache
from medqbench_vlmeval.report.run_tables import run_summary
from medqbench_vlmeval.runs.files import read_runs
from medqbench_vlmeval.workflows import Request, evaluate
from tests.make import ON_RECORD, SHARP, score_of, write_reasoning
from tests.servers import JudgeServer, Sent, refusal


def request_for(path, **options):
    values = {"prediction_file": path, "model": "m", "dataset": "MedQBench_Reasoning_NoReference_mini"}
    return Request(**{**values, "out": path.parent, **options})


def evaluate_with(server, path, judge=None, **options):
    """Evaluate with the judge of a server."""
    settings = {"model": "j", "api_base": server.base_url, "protocol": "rubric", **(judge or {})}
    return evaluate(request_for(path, judge=settings, **options))


def n_kept(cache):
    with ReplyCache(cache) as store:
        return store.info().n


def rows_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("data", [None, "MedQBench_Perception_mini"])
def test_a_run_is_what_its_files_give_back(tmp_path, data):
    sample_set = load_dataset(parse_dataset_name("MedQBench_Perception_mini"), images=True)
    path = tmp_path / "M_MedQBench_Perception_mini.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(["index", "question", *"ABCD", "answer", "image_path", "prediction"])
        for sample in sample_set.samples[:6]:
            options = [sample.options.get(letter, "") for letter in "ABCD"]
            table.writerow([sample.index, sample.question, *options, sample.answer, *sample.images, "A"])
    dataset, known = "MedQBench_Perception_mini", sample_set if data else None
    run = evaluate(Request(path, "M", dataset, tmp_path, sample_set=known))
    (read,) = read_runs([tmp_path])
    assert (read.result, read.rows) == (run.result, run.rows)
    # Where an image lies on somebody's disk is nobody's business: no folder gets into a result file.
    assert run.rows[0].sample.image_refs == (sample_set.samples[0].images[0].name,)
    sheet = load_workbook(tmp_path / "M_MedQBench_Perception_mini_report.xlsx")["Samples"]
    texts = [str(cell.value) for row in sheet.iter_rows() for cell in row]
    assert sample_set.samples[0].images[0].name in texts
    assert not any(str(sample_set.samples[0].images[0].parent) in text for text in texts)


def test_the_prediction_file_stays_as_it_was(tmp_path):
    replies = {"1": SHARP, "2": "It is bad. The quality of this image is reject."}
    path = write_reasoning(tmp_path / "m_d.tsv", replies)
    before = sha256_of(path), path.stat().st_mtime_ns
    result = evaluate(request_for(path, judge={"model": "rules"}, leaderboard=tmp_path / "leaderboard"))
    assert (sha256_of(path), path.stat().st_mtime_ns) == before
    assert score_of(result)["Quality Accuracy"] == 1.0
    written = {f"m_d_{name}" for name in ("score.json", "samples.jsonl", "report.xlsx")}
    assert {file.name for file in tmp_path.iterdir()} == {"m_d.tsv", "leaderboard", *written}
    assert not any("rules" not in reason for reason in score_of(result)["not_comparable_because"][1:])


def test_samples_hold_prompt_hash_and_raw_reply(tmp_path):
    path = write_reasoning(tmp_path / "m_d.tsv", {"1": SHARP})
    with JudgeServer("I think it is fine.\n**Score:** 2") as server:
        evaluate_with(server, path)
    (row,) = rows_of(tmp_path / "m_d_samples.jsonl")
    verdict = row["verdicts"]["completeness"]
    assert verdict["reply"] == "I think it is fine.\n**Score:** 2"
    assert len(verdict["prompt_sha256"]) == 64
    assert len({entry["prompt_sha256"] for entry in row["verdicts"].values()}) == 4
    assert (row["score"], row["unscored"]) == (8, None)


@pytest.mark.needs_kit
def test_failed_judgements_are_unscored_and_counted(tmp_path):
    def reply(request):
        if "second" in request.prompt and "consistency" in request.prompt.lower():
            return "I would rather not say."
        return "Score: 1"

    path = write_reasoning(tmp_path / "m_d.tsv", {"1": "first", "2": "second", "3": "Failed to obtain answer via API."})
    with JudgeServer(reply) as server:
        score = score_of(evaluate_with(server, path, {"protocol": "official"}))
    assert (score["n"], score["n_scored"], score["n_unscored"], score["n_inference_failed"]) == (3, 1, 2, 1)
    assert score["Completeness"] == 1.0
    assert any("unscored" in reason for reason in score["not_comparable_because"])
    unscored = {row["index"]: row["unscored"] for row in rows_of(tmp_path / "m_d_samples.jsonl")}
    assert unscored["1"] is None
    assert "no verdict" in unscored["2"]
    assert unscored["3"] == "inference failed"


def test_without_any_reply_nothing_is_scored_or_written(tmp_path):
    failures = {"1": "Failed to obtain answer via API. status 500: busy (id req-12ab34cd56ef)", "2": ""}
    path = write_reasoning(tmp_path / "m_d.tsv", {**failures, "3": SHARP})
    board = tmp_path / "leaderboard"
    evaluate(request_for(path, judge={"model": "rules"}, leaderboard=board))
    write_reasoning(path, {**failures, "3": "Failed to obtain answer via API. status 500: busy (id req-98fe76dc54ba)"})
    before = {file: sha256_of(file) for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(RunFailed) as error:
        evaluate(request_for(path, judge={"model": "rules"}, leaderboard=board))
    assert "None of the 3 samples of m on" in str(error.value)
    assert "2 x status 500: busy (id req-12ab34cd56ef); 1 x an empty reply" in str(error.value)
    assert {file: sha256_of(file) for file in tmp_path.rglob("*") if file.is_file()} == before


def test_failures_stand_in_the_result_by_reason_and_in_each_row(tmp_path):
    texts = ["Failed to obtain answer via API. status 429: slow down"] * 2 + ["Fail to obtain answer via API.", SHARP]
    path = write_reasoning(tmp_path / "m_d.tsv", {str(at): text for at, text in enumerate(texts)})
    run = evaluate(request_for(path, judge={"model": "rules"}))
    reasons = {"status 429: slow down": 2, "no reason on record": 1}
    assert score_of(run)["inference_failures"] == reasons
    assert [row.get("failure") for row in rows_of(run.paths.samples)] == [
        *[next(iter(reasons))] * 2,
        *list(reasons)[1:],
        None,
    ]
    (read,) = read_runs([tmp_path])
    assert (read.result, read.rows) == (run.result, run.rows)
    shown = "\n".join(str(line) for line in run_summary(run.result))
    assert "! inference failed: status 429: slow down (2)" in shown


def test_nothing_scored_fails_the_run_keeps_the_replies_and_enters_no_board(tmp_path):
    path = write_reasoning(tmp_path / "m_d.tsv", {"1": SHARP})
    with JudgeServer("no idea") as server, pytest.raises(RunFailed, match="None of the 1 no-reference samples"):
        evaluate_with(server, path, leaderboard=tmp_path / "leaderboard")
    assert not (tmp_path / "leaderboard").exists()
    score = json.loads((tmp_path / "m_d_score.json").read_text(encoding="utf-8"))
    assert score["Overall"] is None
    assert rows_of(tmp_path / "m_d_samples.jsonl")[0]["verdicts"]["completeness"]["reply"] == "no idea"


def test_a_refused_key_stops_at_once_without_showing_it(tmp_path):
    path = write_reasoning(tmp_path / "m_d.tsv", {str(i): f"text {i}" for i in range(50)})
    secret = "sk-canary-4711"
    with JudgeServer(refusal(401, f"Incorrect API key provided: {secret}")) as server:
        with pytest.raises(JudgeError) as caught:
            evaluate_with(server, path, {"key": secret, "nproc": 4})
        assert len(server.requests) <= 4
    assert secret not in str(caught.value)
    assert "Incorrect API key" in str(caught.value)


def test_another_judge_does_not_write_over_paid_verdicts(tmp_path):
    path = write_reasoning(tmp_path / "m_d.tsv", {"1": SHARP})
    with JudgeServer("Score: 1") as server:
        evaluate_with(server, path)
    evaluate(request_for(path, judge={"model": "rules"}))
    evaluate(request_for(path, judge={"model": "rules"}))
    assert rows_of(tmp_path / "m_d_samples.jsonl")[0]["verdicts"]["completeness"]["judge"] == "rules"
    archived = list((tmp_path / "previous").glob("m_d_samples_*.jsonl"))
    assert [rows_of(file)[0]["verdicts"]["completeness"]["reply"] for file in archived] == ["Score: 1"]


def test_a_second_run_pays_nothing_again(tmp_path):
    path = write_reasoning(tmp_path / "m_d.tsv", {"1": SHARP, "2": "other"})
    cache = tmp_path / "cache"
    with JudgeServer("Score: 2") as server:
        first = score_of(evaluate_with(server, path, cache=cache))
        assert len(server.requests) == 8
        second = score_of(evaluate_with(server, path, cache=cache))
        assert len(server.requests) == 8
        # Another model, protocol or parameter is another question.
        evaluate_with(server, path, {"model": "k"}, cache=cache)
        evaluate_with(server, path, {"temperature": 1}, cache=cache)
        assert len(server.requests) == 24
    assert first["Overall"] == second["Overall"] == 8
    assert (second["usage"]["calls"], second["usage"]["this_run"]["calls"]) == (8, 0)


RUN = """
import signal, sys
# A suite that runs in the background hands down an ignored signal.
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from medqbench_vlmeval.workflows import Request, evaluate
path, url = Path(sys.argv[1]), sys.argv[2]
judge = {"model": "j", "api_base": url, "protocol": "rubric", "nproc": 4}
evaluate(Request(prediction_file=path, model="m", dataset="MedQBench_Reasoning_NoReference", out=path.parent,
                 judge=judge, cache=path.parent / "cache"))
"""


def test_results_that_cannot_be_written_are_an_error_and_predictions_stay(tmp_path):
    path = write_reasoning(tmp_path / "m_d.tsv", {"1": SHARP})
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    with pytest.raises(RunFailed, match=r"blocked"):
        evaluate(request_for(path, judge={"model": "rules"}, out=blocked / "x"))
    assert path.exists()


def test_predictions_of_another_dataset_are_refused(tmp_path):
    path = tmp_path / "m_d.csv"
    path.write_text("index,prediction\nq-1,A\n", encoding="utf-8")
    samples = load_dataset(parse_dataset_name("MedQBench_Perception_mini"), images=False)
    with pytest.raises(BadInput, match="q-1"):
        evaluate(request_for(path, sample_set=samples))


def test_missing_predictions_count_as_wrong_and_are_named(tmp_path):
    samples = load_dataset(parse_dataset_name("MedQBench_Perception_mini"), images=False)
    first = samples.samples[0]
    path = tmp_path / "m_d.csv"
    path.write_text(f"index,prediction\n{first.index},{first.answer}\n", encoding="utf-8")
    score = score_of(evaluate(request_for(path, sample_set=samples, dataset="MedQBench_Perception_mini")))
    n = len(samples.samples)
    assert (score["n"], score["n_correct"], score["n_missing"], score["n_unanswered"]) == (n, 1, n - 1, n - 1)


def test_hostile_replies_pass_through_whole(tmp_path):
    hostile = {
        "1": "=cmd|' /C calc'!A0",
        "2": "x" * 100_000 + "\x0b\x00 \u202e B",
        "3": "<script>alert(1)</script> B",
        "4": "nan",
        "5": "",
    }
    path = tmp_path / "m_d.json"
    rows = [
        {"index": i, "question": "Which?", "A": "Good", "B": "Bad", "answer": "B", "prediction": text}
        for i, text in hostile.items()
    ]
    path.write_text(json.dumps(rows), encoding="utf-8")
    result = evaluate(request_for(path, dataset="MedQBench_Perception_mini"))
    written = {row["index"]: row["prediction"] for row in rows_of(tmp_path / "m_d_samples.jsonl")}
    assert written == hostile
    assert score_of(result)["n_unanswered"] >= 3

    book = load_workbook(tmp_path / "m_d_report.xlsx")
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert not any(cell.data_type == "f" for cell in cells)


def test_interrupted_by_the_user(tmp_path):
    """Ctrl-C while the judge is being asked: the process ends soon and what was paid is kept."""
    path = write_reasoning(tmp_path / "m_d.tsv", {str(i): f"text {i}" for i in range(50)})
    hold = iter(range(20))

    def reply(_request):
        if next(hold, None) is None:
            time.sleep(5)
        return Sent("Score: 2")

    with JudgeServer(reply) as server:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(path), server.base_url], stderr=subprocess.PIPE, env={**os.environ}
        )
        deadline = time.monotonic() + 60
        while len(server.requests) < 22:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode != 0
    assert n_kept(tmp_path / "cache") >= 16


def test_a_result_never_takes_the_place_of_its_prediction_file(tmp_path):
    path = tmp_path / "m_d_samples.jsonl"
    path.write_text(json.dumps({"index": 1, "question": "Q", "A": "Yes", "B": "No", "answer": "A", "prediction": "A"}))
    before = path.read_bytes()
    with pytest.raises(BadInput, match="would replace the prediction file itself"):
        evaluate(request_for(path, dataset="MedQBench_Perception_mini", stem="m_d"))
    assert path.read_bytes() == before


def test_a_worse_or_other_evaluation_keeps_the_earlier_one(tmp_path):
    path = write_reasoning(tmp_path / "m_d.tsv", {"1": SHARP, "2": "other"})
    with JudgeServer("Score: 2") as server:
        evaluate_with(server, path)
        evaluate_with(server, path, {"temperature": 0.5})
    archived = tmp_path / "previous"
    assert len(list(archived.glob("m_d_score_*.json"))) == 1
    with JudgeServer(refusal(500, "out of order")) as server, pytest.raises(RunFailed):
        evaluate_with(server, path, {"temperature": 0.5, "retry": 0})
    scores = [json.loads(file.read_text(encoding="utf-8"))["Overall"] for file in archived.glob("m_d_score_*.json")]
    assert scores == [8, 8]


def test_asked_anew_the_same_judge_does_not_take_the_earlier_verdicts_away(tmp_path):
    path = write_reasoning(tmp_path / "m_d.tsv", {"1": SHARP})
    with JudgeServer("Score: 2") as server:
        for fresh in (False, False, True):
            evaluate_with(server, path, {"fresh": fresh}, cache=tmp_path / "cache")
        assert len(server.requests) == 8
    assert len(list((tmp_path / "previous").glob("m_d_score_*.json"))) == 1


def test_one_refused_prompt_leaves_one_verdict_unscored(tmp_path):
    path = write_reasoning(tmp_path / "m_d.tsv", {str(i): f"text {i}" for i in range(6)})

    def reply(request):
        return refusal(400, "Invalid prompt: it was flagged", "other") if "text 3" in request.prompt else "Score: 1"

    with JudgeServer(reply) as server:
        score = score_of(evaluate_with(server, path, {"nproc": 2}))
    assert (score["n_scored"], score["n_unscored"], score["Overall"]) == (5, 1, 4.0)


def test_a_server_that_goes_away_is_not_called_to_the_end(tmp_path):
    path = write_reasoning(tmp_path / "m_d.tsv", {str(i): f"text {i}" for i in range(50)})
    calls = iter(range(10))

    def reply(_request):
        return Sent("Score: 1") if next(calls, None) is not None else Sent(status=0)

    with JudgeServer(reply) as server:
        with pytest.raises(JudgeError, match="No judge answers"):
            evaluate_with(server, path, {"nproc": 4, "retry": 0}, cache=tmp_path / "cache")
        assert len(server.requests) < 60
    assert n_kept(tmp_path / "cache") == 10


@pytest.mark.needs_kit
def test_another_model_behind_the_name_is_not_comparable(tmp_path):
    path = write_reasoning(tmp_path / "m_d.tsv", {"1": SHARP})
    with JudgeServer(Sent("Score: 1", model="llama-3-8b")) as server:
        judge = {"model": "gpt-4o", "api_base": server.base_url}
        score = score_of(evaluate(request_for(path, judge=judge, dataset="MedQBench_Reasoning_NoReference")))
    assert any("llama-3-8b" in reason for reason in score["not_comparable_because"])
    assert not any("'gpt-4o'" in reason for reason in score["not_comparable_because"])


def test_a_prediction_file_alone_says_how_its_columns_were_used(tmp_path):
    path = tmp_path / "m_d.csv"
    path.write_text("index,question,A,B,answer,prediction\n1,Is it sharp?,Yes,No,A,A\n", encoding="utf-8")
    score = score_of(evaluate(request_for(path, dataset="MedQBench_Perception_mini")))
    columns = score["settings"]["data"]["perception"]["columns"]
    assert columns["read"]["question"] == "question"
    assert "question_type" in columns["inferred"]
    assert "severity" in columns["absent"]
    assert columns["ignored"] == []


@pytest.mark.parametrize("with_task", [True, False])
def test_what_a_combined_file_says_it_was_made_with_is_read_part_by_part(tmp_path, with_task):
    better = "The first image is sharper. Overall, the first image is of higher quality."
    rows = [
        ("NoReference:1", "no-reference", SHARP, "ab" * 32, "official"),
        ("Comparative:1", "comparative", better, "cd" * 32, ""),
    ]
    path = tmp_path / "m_d.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(["index", "task" if with_task else "part", "description", "prediction", *ON_RECORD])
        for index, task, text, sha256, style in rows:
            table.writerow([index, task, text, text, sha256, "0123456789" * 4, style])
    score = score_of(evaluate(request_for(path, judge={"model": "rules"}, dataset="MedQBench_Reasoning")))
    settings = score["settings"]
    assert [part["sha256"] for part in settings["data"].values()] == ["ab" * 32, "cd" * 32]
    # The style of one part's replies is that of the file as far as it says one.
    assert settings["prompt"]["style"] == "official"


def test_secrets_inside_extra_are_masked(tmp_path):
    path = write_reasoning(tmp_path / "m_d.tsv", {"1": SHARP})
    with JudgeServer("Score: 1") as server:
        extra = {"api_key": "sk-canary", "options": {"auth_token": "sk-canary", "seed": 7}}
        evaluate_with(server, path, {"extra": extra}, cache=tmp_path / "cache")
        assert server.requests[0].body["api_key"] == "sk-canary"
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or b"sk-canary" not in file.read_bytes(), file


def test_equal_prompts_are_paid_once(tmp_path):
    path = write_reasoning(tmp_path / "m_d.tsv", {str(i): "The same reply." for i in range(5)})
    with JudgeServer("Score: 1") as server:
        score = score_of(evaluate_with(server, path))
        assert len(server.requests) == 4
    assert (score["n_scored"], score["Overall"], score["usage"]["calls"]) == (5, 4.0, 4)
