"""Verdicts that the kit's own classes wrote into their prediction files, and logs of lmms-eval, are scored."""

import csv
import json

import pytest

from medqbench_vlmeval.benchmark import DIMENSIONS
from tests.commands import run
from tests.make import SHARP
from tests.servers import JudgeServer

DESCRIPTION = "MedqbenchCaption_test"
PAIR = "MedqbenchPairedDescription_test"


def judged_file(folder, rows, name=DESCRIPTION, judge="gpt-4o"):
    """A judged file as the kit's own class leaves it: each row four lists of scores, as text, and their means."""
    path = folder / f"Some_VLM_{name}.tsv"
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out, delimiter="\t")
        columns = [f"{of}_scores" for of in DIMENSIONS] + list(DIMENSIONS)
        table.writerow(["index", "question", "description", "modality", "prediction", *columns])
        for index, scores in enumerate(rows):
            lists = [[one] if isinstance(one, str | float) else one for one in scores]
            means = [sum(of) / len(of) if of and isinstance(of[0], float) else "" for of in lists]
            table.writerow([index, "Describe.", SHARP, "CT", "Sharp.", *map(json.dumps, lists), *means])
    status = {"datasets": {name: {"status": "done", "judge_model": judge, "metrics": {"completeness": 1.5}}}}
    (folder / "status.json").write_text(json.dumps(status), encoding="utf-8")
    return path


def scored(capsys, path, *more):
    out = path.parent / "scored"
    code, said, err = run(capsys, "score", path, "--out", out, "--json", *more)
    assert code == 0, err
    score = json.loads(next(out.glob("*_score.json")).read_text(encoding="utf-8"))
    rows = [json.loads(line) for line in next(out.glob("*_samples.jsonl")).read_text(encoding="utf-8").splitlines()]
    return json.loads(said), score, rows


def test_verdicts_of_the_kits_own_class_are_adopted_with_their_origin(tmp_path, capsys):
    path = judged_file(tmp_path, [(2.0, 1.0, 2.0, 2.0), (0.0, 1.0, 1.0, 0.0), (1.0, 1.5, 2.0, [])])
    before = path.read_bytes()
    said, score, rows = scored(capsys, path)
    assert (said["Completeness"], said["Preciseness"]) == (1.0, 1.0)
    assert (said["n"], said["n_unscored"]) == (3, 1)
    assert said["Overall"] == pytest.approx(1 + 1 + 5 / 3 + 1)
    assert score["settings"]["judge"]["name"] == "gpt-4o (kit's own class)"
    assert (score["model"], score["dataset"]) == ("Some_VLM", "MedQBench_Reasoning_NoReference_test")
    assert score["settings"]["protocol"]["name"] == "adopted"
    assert score["usage"]["this_run"]["calls"] == 0
    assert score["comparable"] == "no"
    verdict = rows[0]["verdicts"]["completeness"]
    assert (verdict["score"], verdict["judge"], verdict["asks"]) == (2, "gpt-4o (kit's own class)", 0)
    assert verdict["note"] == "adopted from the kit's own class"
    reasons = {of: verdict["reason"] for of, verdict in rows[2]["verdicts"].items()}
    assert reasons["preciseness"] == "the kit took 1.5 for a verdict"
    assert reasons["quality_accuracy"].startswith("the kit read no score")
    assert path.read_bytes() == before


def test_numbers_that_no_class_of_the_kit_wrote_are_not_taken_for_its_judge(tmp_path, capsys):
    path = judged_file(tmp_path, [(2.0, 2.0, 2.0, 2.0)]).rename(tmp_path / "people_rated_these.tsv")
    code, _, err = run(capsys, "score", path, "--out", tmp_path / "scored")
    assert (code, "No judge was named" in err) == (2, True)


@pytest.mark.parametrize("option", [["--protocol", "rubric"], ["--judge-base-url", "http://127.0.0.1:9"], ["--fresh"]])
def test_what_is_said_of_a_judge_without_a_name_is_not_passed_over(tmp_path, capsys, option):
    path = judged_file(tmp_path, [(2.0, 2.0, 2.0, 2.0)])
    code, _, err = run(capsys, "score", path, "--out", tmp_path / "scored", *option)
    assert (code, "No judge was named" in err) == (2, True)


def test_a_dry_run_knows_that_adopted_verdicts_cost_nothing(tmp_path, capsys):
    code, out, err = run(capsys, "score", judged_file(tmp_path, [(2.0, 2.0, 2.0, 2.0)]), "--dry-run")
    assert (code, "no calls, no cost" in out) == (0, True), err


@pytest.mark.parametrize("odd", ["[2, None]", "NaN", "[NaN]", "1e999", "-1", "true", "good", "[[2]]", '{"a": 1}'])
def test_a_cell_that_is_no_verdict_is_unscored_and_no_number_of_the_kits(tmp_path, capsys, odd):
    path = judged_file(tmp_path, [(2.0, 2.0, 2.0, 2.0), ("odd", 2.0, 2.0, 2.0)])
    path.write_text(
        path.read_text("utf-8").replace('"[""odd""]"', json.dumps(odd).replace('\\"', '""')), encoding="utf-8"
    )
    (tmp_path / "status.json").unlink()
    said, _, rows = scored(capsys, path)
    assert [row["verdicts"]["completeness"]["score"] for row in rows] == [2, None]
    assert said["theirs"]["Completeness"] == 2.0


def test_several_rounds_are_a_mean_only_where_all_are_there(tmp_path, capsys):
    rows = [([2.0, 1.0], [1.0, 1.0], [0.0, 0.0], [2.0, 2.0]), ([2.0], [1.0, 1.0], [0.0, 0.0], [2.0, 2.0])]
    _, _, (first, second) = scored(capsys, judged_file(tmp_path, rows))
    assert [first["verdicts"][of]["score"] for of in DIMENSIONS] == [1.5, 1, 0, 2]
    assert second["verdicts"]["completeness"]["reason"].startswith("round 2: the kit read no score")


def test_kept_replies_are_read_anew_and_a_pair_has_no_half_accuracy(tmp_path, capsys):
    rows = [("Score: 2", "Score: 10", "**Score:** 1", 1.0), (1.0, 1.0, 1.0, 2.0)]
    _, _, (first, _) = scored(capsys, judged_file(tmp_path, rows, PAIR))
    assert [first["verdicts"][of]["score"] for of in DIMENSIONS] == [2, None, 1, None]
    assert first["verdicts"]["completeness"]["reply"] == "Score: 2"


def test_a_part_of_a_judged_file_and_gpt_4o_as_its_judge(tmp_path, capsys):
    path = judged_file(tmp_path, [(2.0, 2.0, 2.0, 2.0)] * 12, judge="gpt-4o-mini")
    said, score, rows = scored(capsys, path, "--limit", "5")
    assert (said["n"], len(rows), said["theirs"]["Completeness"]) == (5, 5, 2.0), "the kit's 1.5 is of all twelve"
    why = score["not_comparable_because"]
    assert "the judge 'gpt-4o-mini (kit's own class)' is not the published one (GPT-4o)" in why


@pytest.mark.slow
def test_a_named_judge_judges_anew(tmp_path, capsys):
    path = judged_file(tmp_path, [(0.0, 0.0, 0.0, 0.0)], judge=None)
    said, score, _ = scored(capsys, path)
    assert (said["Overall"], score["settings"]["judge"]["name"]) == (0.0, "unknown judge (kit's own class)")
    with JudgeServer("Score: 2") as server:
        options = ["--judge", "j", "--judge-base-url", server.base_url, "--protocol", "rubric"]
        said, score, _ = scored(capsys, path, *options)
        assert len(server.requests) == 4
    assert (said["Overall"], score["settings"]["judge"]["name"]) == (8.0, "j")


def test_a_file_in_which_the_kit_read_no_verdict_is_no_zero(tmp_path, capsys):
    path = judged_file(tmp_path, [([], [], [], [])])
    code, _, err = run(capsys, "score", path, "--out", tmp_path / "scored")
    assert code == 1
    assert "could be scored" in err
    assert "the kit read no score" in err


QUESTIONS = (("Is it sharp?", "A"), ("Is it noisy?", "B"), ("Is it sharp?", "B"))


def log_of(folder, with_doc, replies=("A", ["No"], [["The answer is B."]]), task="medq_bench_mcq"):
    """A log as lmms-eval's writer leaves it: up to 0.3.5 with the row of the data, from 0.5.0 without."""
    folder = folder / "some-org__Some_VLM"
    folder.mkdir()
    lines = []
    for doc_id, ((question, answer), reply) in enumerate(zip(QUESTIONS, replies, strict=True)):
        line = {"doc_id": doc_id, "target": answer, "filtered_resps": reply, "doc_hash": "ab", "exact_match": 0.0}
        doc = {"index": f"q{doc_id}", "question": question, "A": "Yes", "B": "No", "answer": answer, "modality": "CT"}
        line |= {"doc": doc} if with_doc else {"input": f"Look.\n{question}\nA. Yes\nB. No"}
        lines.append(json.dumps(line))
    path = folder / f"20251201_120000_samples_{task}.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    results = {"results": {task: {"alias": task, "exact_match,none": 0.0, "exact_match_stderr,none": 0.0}}}
    results |= {"model_name": "some-org/Some_VLM"}
    (folder / "20251201_120000_results.json").write_text(json.dumps(results), encoding="utf-8")
    return path


def data_of(folder, order=(0, 1, 2)):
    path = folder / "qa.tsv"
    rows = [["index", "question", "A", "B", "answer", "modality"]]
    rows += [[f"q{at}", QUESTIONS[at][0], "Yes", "No", QUESTIONS[at][1], "CT"] for at in order]
    path.write_text("\n".join(map("\t".join, rows)), encoding="utf-8")
    return path


@pytest.mark.parametrize("with_doc", [True, False])
def test_a_log_of_lmms_eval_is_scored_on_its_rows_or_on_the_data(tmp_path, capsys, with_doc):
    more = [] if with_doc else ["--data", data_of(tmp_path)]
    code, said, err = run(capsys, "score", log_of(tmp_path, with_doc), *more, "--out", tmp_path / "out", "--json")
    assert code == 0, err
    assert (json.loads(said)["Overall"], json.loads(said)["n"]) == (100.0, 3)
    score = json.loads(next((tmp_path / "out").glob("*_score.json")).read_text(encoding="utf-8"))
    assert score["model"] == "some-org/Some_VLM"


@pytest.mark.parametrize(
    ("order", "said"),
    [((1, 0, 2), "the right answer is A and the data's B"), ((0, 2, 1), "its question is"), ((0, 1), "no row")],
)
def test_a_log_on_other_data_or_another_order_is_refused(tmp_path, capsys, order, said):
    data = data_of(tmp_path, order)
    code, _, err = run(capsys, "score", log_of(tmp_path, False), "--data", data, "--out", tmp_path / "out")
    assert code == 2
    assert said in err


def test_a_log_that_says_nothing_of_its_questions_is_refused(tmp_path, capsys):
    path = log_of(tmp_path, False)
    path.write_text(path.read_text("utf-8").replace('"input"', '"other"'), encoding="utf-8")
    code, _, err = run(capsys, "score", path, "--data", data_of(tmp_path), "--out", tmp_path / "out")
    assert (code, "at doc_id 0 the log has no prompt" in err) == (2, True), err


def test_a_log_of_likelihoods_holds_no_reply(tmp_path, capsys):
    path = log_of(tmp_path, True, ([["-1.5", "False"], ["-2.5", "False"]],) * 3)
    code, _, err = run(capsys, "score", path, "--out", tmp_path / "out")
    assert code == 2
    assert "likelihoods" in err
