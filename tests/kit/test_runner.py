"""Whole runs of the real kit, in this process: local and api mode, configs, reuse, formats, limits, failures."""

import csv
import json
import os
import shutil

import openpyxl
import pytest

from medqbench_vlmeval.cli.main import main
from medqbench_vlmeval.data import stratified
from medqbench_vlmeval.data.sources import embedded_folder
from medqbench_vlmeval.errors import RunFailed
from medqbench_vlmeval.files import sha256_of
from medqbench_vlmeval.kit.options import LIMIT_VARIABLE
from medqbench_vlmeval.kit.runner import run
from medqbench_vlmeval.kit_version import require_kit
from tests.canaries import leaks
from tests.kit.runs import (
    BOTH,
    COMPARATIVE,
    MODES,
    MODES_SLOW,
    NO_REFERENCE,
    PERCEPTION,
    forget_keys,
    newest,
    rows_of,
    score_of,
)
from tests.servers import JudgeServer, Sent


@pytest.fixture(scope="module")
def classical(kit, tmp_path_factory):
    """One run for the tests that look at its results; none of them takes away or changes what it finds there."""
    folder = tmp_path_factory.mktemp("classical")
    work = folder / "outputs"
    (folder / "lmu").mkdir()
    arguments = ["--data", PERCEPTION, NO_REFERENCE, COMPARATIVE, "--model", "MedQ-Classical", "--judge", "rules"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMUData", str(folder / "lmu"))
        patch.setenv("MEDQBENCH_JUDGE_CACHE", str(folder / "cache"))
        for name in ("MEDQBENCH_DATA", "PRED_FORMAT"):
            patch.delenv(name, raising=False)
        patch.chdir(folder)
        assert run([*arguments, "--work-dir", str(work)]) == 0
    return work


def test_a_run_leaves_all_results(classical):
    score = score_of(classical, "MedQ-Classical", PERCEPTION)
    rows = rows_of(classical, "MedQ-Classical", PERCEPTION)
    assert score["n"] == len(rows) >= 60
    assert score["n_correct"] == sum(row["correct"] for row in rows)
    assert score["Overall"] == pytest.approx(100 * score["n_correct"] / score["n"])
    assert min(score["groups"]["question_type"][kind]["n"] for kind in ("Yes-or-No", "What", "How")) >= 20
    assert set(score["groups"]["modality"]) == {"CT", "MRI", "Histopathology", "Endoscopy", "Fundus"}
    assert score["baseline"] is True
    assert score["comparable"] == "no"
    settings = score["settings"]
    assert settings["data"]["perception"]["origin"] == "embedded"
    assert (settings["protocol"]["name"], settings["prompt"]["style"]) == ("choice-extraction", "official")
    assert len(settings["data"]["perception"]["sha256"]) == len(settings["prompt"]["sha256"]) == 64
    assert "severity" in score["groups"]

    reasoning = score_of(classical, "MedQ-Classical", NO_REFERENCE)
    assert reasoning["n"] >= 20
    assert reasoning["n_unscored"] == 0
    titles = ("Completeness", "Preciseness", "Consistency", "Quality Accuracy")
    assert reasoning["Overall"] == pytest.approx(sum(reasoning[title] for title in titles))
    assert reasoning["settings"]["judge"]["name"] == "rules"
    assert any("rules" in reason for reason in reasoning["not_comparable_because"])

    book = openpyxl.load_workbook(newest(classical, f"MedQ-Classical_{PERCEPTION}_report.xlsx"), read_only=True)
    assert "Overview" in book.sheetnames
    assert {"CT", "MRI", "Histopathology", "Endoscopy", "Fundus"} <= set(book.sheetnames)

    board = json.loads((classical / "leaderboard" / "leaderboard.json").read_text(encoding="utf-8"))
    assert "MedQ-Classical" in json.dumps(board)
    with (classical / "leaderboard" / "perception.csv").open(encoding="utf-8", newline="") as table:
        models = [row["model"] for row in csv.DictReader(table)]
    assert {"MedQ-Classical", "GPT-5", "Human expert"} <= set(models)


def test_status_holds_the_primary_metric_and_counts(classical, kit):
    status = json.loads(newest(classical, "status.json").read_text(encoding="utf-8"))
    entry = status["datasets"][PERCEPTION]
    score = score_of(classical, "MedQ-Classical", PERCEPTION)
    assert entry["primary_metric"] == "Overall"
    assert entry["metrics"]["Overall"] == pytest.approx(score["Overall"])
    predictions = newest(classical, f"MedQ-Classical_{PERCEPTION}.xlsx")
    assert kit.MedQBenchPerception.report_infer_err(predictions) == {"failed": 0, "total": score["n"]}
    judged = kit.MedQBenchPerception.report_judge_err(predictions, total_samples=score["n"])
    assert judged == {"failed": 0, "total": score["n"]}


def test_evaluating_again_changes_no_prediction_and_no_number(classical, kit, work):
    predictions = newest(classical, f"MedQ-Classical_{NO_REFERENCE}.xlsx")
    before, first = sha256_of(predictions), score_of(classical, "MedQ-Classical", NO_REFERENCE)
    kit.build_dataset(NO_REFERENCE).evaluate(str(predictions), model="rules", nproc=4)
    assert sha256_of(predictions) == before
    second = score_of(classical, "MedQ-Classical", NO_REFERENCE)
    first["settings"].pop("created"), second["settings"].pop("created")
    assert first == second


@pytest.mark.slow
@MODES
def test_infer_then_eval_then_reuse(kit, work, mode):
    arguments = ["--data", COMPARATIVE, "--model", "MedQ-Chance", "--judge", "rules", "--work-dir", str(work), *mode]
    assert run([*arguments, "--mode", "infer"]) == 0
    assert not list(work.rglob("*_score.json"))
    predictions = newest(work, f"MedQ-Chance_{COMPARATIVE}.xlsx")
    replies = [row[-1] for row in openpyxl.load_workbook(predictions).active.values]
    assert run([*arguments, "--mode", "eval"]) == 0
    first = score_of(work, "MedQ-Chance", COMPARATIVE)
    assert first["n"] == len(replies) - 1
    assert run([*arguments, "--reuse"]) == 0
    assert score_of(work, "MedQ-Chance", COMPARATIVE)["Overall"] == first["Overall"]


def test_config_with_a_local_file(kit, work, tmp_path):
    name, source = "MedQBench_Perception_dev", tmp_path / "mine"
    shutil.copytree(embedded_folder(), source)
    path = str(source / "medqbench_QA_mini.tsv")
    entry = {"class": "MedQBenchPerception", "dataset": name, "data_path": path}
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"model": {"MedQ-Chance": {}}, "data": {name: entry}}))
    assert run(["--config", str(config), "--work-dir", str(work)]) == 0
    data = score_of(work, "MedQ-Chance", name)["settings"]["data"]["perception"]
    assert (data["path"], data["origin"]) == (path, "file")


def test_no_judge_named_is_one_sentence_after_inference(kit, work, capsys):
    assert run(["--data", NO_REFERENCE, "--model", "MedQ-Chance", "--work-dir", str(work)]) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith(f"medqbench: {NO_REFERENCE} with MedQ-Chance failed:")
    assert "--judge" in last
    assert newest(work, f"MedQ-Chance_{NO_REFERENCE}.xlsx").exists()


@MODES
def test_a_dataset_that_cannot_be_loaded_fails_the_run(kit, work, capsys, monkeypatch, tmp_path, mode):
    monkeypatch.setenv("MEDQBENCH_DATA", str(tmp_path))
    arguments = ["--data", "MedQBench_Perception_dev", "--model", "MedQ-Chance", "--work-dir", str(work), *mode]
    assert run(arguments) == 1
    assert "MedQBench_Perception_dev with MedQ-Chance" in capsys.readouterr().err


def test_errors_inside_the_kit_are_one_sentence(kit, work):
    arguments = ["--data", PERCEPTION, "--model", "MedQ-Chance", "--api-mode", "--custom-prompt", "nobody's"]
    with pytest.raises(RunFailed, match="VLMEvalKit stopped with AssertionError: Unknown adapter: nobody's"):
        run([*arguments, "--work-dir", str(work)])


def refusing(*_, **__):
    raise AssertionError


@MODES_SLOW
def test_one_model_or_dataset_that_fails_stops_no_other(kit, work, capfd, monkeypatch, tmp_path, mode):
    from vlmeval.config import supported_VLM

    monkeypatch.setitem(supported_VLM, "broken", refusing)
    monkeypatch.setenv("MEDQBENCH_DATA", str(tmp_path))
    arguments = ["--data", "MedQBench_Perception_dev", PERCEPTION, "--model", "broken", "MedQ-Chance", *mode]
    assert run([*arguments, "--limit", "5", "--work-dir", str(work)]) == 1
    assert score_of(work, "MedQ-Chance", PERCEPTION)["n"] == 5
    said = capfd.readouterr()
    assert f"medqbench: {PERCEPTION} with broken failed: AssertionError without a message" in said.err
    table = said.out[said.out.index("Failed: 3 of 4") :].splitlines()
    assert [line.split()[:2] for line in table[1:5]] == [
        ["model", "dataset"],
        ["broken", "MedQBench_Perception_dev"],
        ["broken", PERCEPTION],
        ["MedQ-Chance", "MedQBench_Perception_dev"],
    ]
    assert "medqbench_QA_dev.tsv is not in the folder" in table[4]
    assert table[-1].startswith("Results: "), "the last line is ours"
    # Results are told once, in our table: the kit's JSON has 14 decimals.
    assert '"Overall"' not in said.out + said.err
    assert said.out.count("MedQ-Chance on MedQBench_Perception_mini (Perception, baseline)") == 1


def test_a_model_of_a_configuration_that_cannot_be_built_stops_no_other(kit, work, capfd, tmp_path):
    entry = {"class": "MedQBenchPerception", "dataset": PERCEPTION}
    config = tmp_path / "config.json"
    models = {"a/b": {"class": "Nobodys"}, "MedQ-Chance": {}}
    config.write_text(json.dumps({"model": models, "data": {PERCEPTION: entry}}))
    assert run(["--config", str(config), "--limit", "5", "--work-dir", str(work)]) == 1
    assert "ValueError: Class Nobodys is not supported" in capfd.readouterr().out
    assert score_of(work, "MedQ-Chance", PERCEPTION)["n"] == 5


def test_a_run_that_ends_without_its_files_has_failed(kit, work, capfd, monkeypatch):
    monkeypatch.setattr(kit.MedQBenchPerception, "evaluate", lambda *_, **__: {"Overall": 1.0})
    assert run(["--data", PERCEPTION, "--model", "MedQ-Chance", "--limit", "5", "--work-dir", str(work)]) == 1
    assert f"{PERCEPTION} with MedQ-Chance left no MedQ-Chance_{PERCEPTION}_score.json" in capfd.readouterr().err


@pytest.mark.slow
@MODES_SLOW
@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-VL-7B-Instruct", "../a\\b"], ids=["hub", "hostile"])
def test_a_served_models_name_may_be_any(kit, work, tmp_path, mode, name):
    with JudgeServer("A") as server:
        arguments = ["--data", PERCEPTION, "--model", name, "--base-url", server.base_url, "--limit", "5", *mode]
        assert run([*arguments, "--work-dir", str(work)]) == 0
        assert {request.body["model"] for request in server.requests} == {name}
    folder = {"Q": "Qwen--Qwen2.5-VL-7B-Instruct", ".": "_.--a--b"}[name[0]]
    assert {path.name for path in work.iterdir()} - {"leaderboard", "logs"} == {folder}
    assert score_of(work, folder, PERCEPTION)["model"] == name
    predictions = newest(work, f"{folder}_{PERCEPTION}.xlsx")
    with pytest.raises(SystemExit):
        main(["score", str(predictions), "--out", str(tmp_path / "again")])
    assert score_of(tmp_path / "again", folder, PERCEPTION)["model"] == name


def test_prompt_style_is_chosen_by_name_and_recorded(kit, work, monkeypatch):
    monkeypatch.setenv("MEDQBENCH_PROMPT_STYLE", "letter")
    run(["--data", PERCEPTION, "--model", "MedQ-Chance", "--work-dir", str(work), "--prompt-style", "reasoning"])
    assert os.environ["MEDQBENCH_PROMPT_STYLE"] == "letter"
    score = score_of(work, "MedQ-Chance", PERCEPTION)
    assert score["settings"]["prompt"]["style"] == "reasoning"
    assert any("reasoning" in reason for reason in score["not_comparable_because"])


NUMBERS = ("Overall", "Yes-or-No", "What", "How", "n", "n_correct", "intervals", "groups", "rules")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["tsv", "json", "xlsx"])
def test_score_on_a_runs_prediction_file_gives_its_numbers(kit, work, monkeypatch, tmp_path, suffix):
    monkeypatch.setenv("PRED_FORMAT", suffix)
    arguments = ["--data", PERCEPTION, BOTH, "--model", "MedQ-Classical", "--judge", "rules"]
    assert run([*arguments, "--work-dir", str(work)]) == 0
    for dataset in (PERCEPTION, BOTH):
        predictions = newest(work, f"MedQ-Classical_{dataset}.{suffix}")
        out = tmp_path / f"scored {suffix}"
        with pytest.raises(SystemExit) as end:
            main(["score", str(predictions), "--judge", "rules", "--out", str(out)])
        assert not end.value.code
        ran = score_of(work, "MedQ-Classical", dataset)
        made_from = ran["settings"]["prediction_file"]
        assert (made_from["name"], made_from["sha256"]) == (predictions.name, sha256_of(predictions))
        again = json.loads((out / f"MedQ-Classical_{dataset}_score.json").read_text(encoding="utf-8"))
        assert (again["model"], again["dataset"], again["baseline"]) == ("MedQ-Classical", dataset, True)
        for task, data in ran["settings"]["data"].items():
            assert again["settings"]["data"][task]["sha256"] == data["sha256"]
            assert again["settings"]["data"][task]["samples_sha256"] == data["samples_sha256"]
        for part in ("NoReference", "Comparative") if dataset == BOTH else (None,):
            first, second = (ran[part], again[part]) if part else (ran, again)
            for key in ("frequencies", "Overall", "groups", "intervals") if part else NUMBERS:
                assert first[key] == second[key], key
        assert ran["not_comparable_because"] == again["not_comparable_because"]
        rows = [json.loads(line) for line in (out / f"MedQ-Classical_{dataset}_samples.jsonl").read_text().splitlines()]
        for run_row, score_row in zip(rows_of(work, "MedQ-Classical", dataset), rows, strict=True):
            unseen = {"images": None, "image_forms": None}  # nobody opened an image for the second result
            assert {**run_row, **unseen} == {**score_row, **unseen}


@pytest.mark.slow
def test_official_judging_by_a_real_server_in_api_mode(kit, work):
    with JudgeServer("Score: 2", gather=20) as server:
        arguments = ["--data", NO_REFERENCE, "--model", "MedQ-Chance", "--judge", "gpt-4o", "--api-mode"]
        arguments += ["--judge-base-url", server.base_url, "--judge-api-nproc", "20", "--work-dir", str(work)]
        assert run(arguments) == 0
        asked = len(server.requests)
        assert server.max_in_flight == 20
    score = score_of(work, "MedQ-Chance", NO_REFERENCE)
    assert (score["Overall"], score["usage"]["calls"]) == (8.0, asked)
    assert score["settings"]["protocol"]["name"] == "official"


@pytest.mark.slow
def test_two_models_and_two_datasets_in_one_run_and_classical_beats_chance_clearly(kit, work):
    arguments = ["--data", PERCEPTION, COMPARATIVE, "--model", "MedQ-Chance", "MedQ-Classical", "--judge", "rules"]
    assert run([*arguments, "--work-dir", str(work)]) == 0
    for model in ("MedQ-Chance", "MedQ-Classical"):
        for dataset in (PERCEPTION, COMPARATIVE):
            assert score_of(work, model, dataset)["model"] == model
    chance, classical = (score_of(work, model, PERCEPTION) for model in ("MedQ-Chance", "MedQ-Classical"))
    assert chance["n_unanswered"] == 0
    assert classical["intervals"]["Overall"][0] > chance["intervals"]["Overall"][1]


def test_keys_with_a_dataset_under_a_name_of_ones_own_reach_no_file(kit, work, monkeypatch, tmp_path):
    if not require_kit().commit:
        pytest.skip("only git HEAD's runner has --data-config")
    monkeypatch.delenv("MEDQBENCH_JUDGE_KEY", raising=False)
    own = json.dumps({"mine": {"class": "MedQBenchNoReference", "dataset": NO_REFERENCE}})
    arguments = ["--data", "mine", "--data-config", own, "--model", "MedQ-Chance", "--judge", "rules", "--api-mode"]
    assert run([*arguments, "--judge-key", "sk-canary-own", "--work-dir", str(work)]) == 0
    assert list(work.rglob("MedQ-Chance_mine_score.json"))
    assert not leaks(["sk-canary-own"], tmp_path)


@pytest.mark.slow
@MODES
def test_a_limited_run_takes_the_stratified_subset_and_stands_beside_a_whole_one_on_the_board(kit, work, mode):
    arguments = ["--data", PERCEPTION, "--model", "MedQ-Chance", "--work-dir", str(work), *mode]
    assert run([*arguments, "--limit", "10"]) == 0
    assert LIMIT_VARIABLE not in os.environ
    rows = rows_of(work, "MedQ-Chance", PERCEPTION)
    assert {row["index"] for row in rows} == stratified(kit.build_dataset(PERCEPTION).sample_set.samples, 10)
    assert {sum(row["modality"] == name for row in rows) for name in {row["modality"] for row in rows}} == {2}
    score = score_of(work, "MedQ-Chance", PERCEPTION)
    assert (score["n"], score["n_missing"]) == (10, 0)
    assert "only 10 of 75 samples were run" in score["not_comparable_because"]
    assert run(arguments) == 0
    with (work / "leaderboard" / "perception.csv").open(encoding="utf-8", newline="") as table:
        assert {row["n"] for row in csv.DictReader(table) if row["model"] == "MedQ-Chance"} == {"75", "10"}


@pytest.mark.slow
@MODES
def test_both_reasoning_tasks_share_a_limit_and_the_result_says_its_cost(kit, work, monkeypatch, tmp_path, mode):
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"models": {"own": {"input": 2, "output": 8}}}), encoding="utf-8")
    monkeypatch.setenv("MEDQBENCH_PRICES", str(prices))
    with JudgeServer("Score: 2") as server:
        arguments = ["--data", BOTH, "--model", "MedQ-Chance", "--limit", "4", "--judge", "own"]
        arguments += ["--judge-base-url", server.base_url, "--judge-args", '{"protocol": "rubric"}', *mode]
        assert run([*arguments, "--work-dir", str(work)]) == 0
        asked = len(server.requests)
    score = score_of(work, "MedQ-Chance", BOTH)
    indexes = {row["index"].partition(":")[0] for row in rows_of(work, "MedQ-Chance", BOTH)}
    assert indexes == {"NoReference", "Comparative"}
    status = json.loads(newest(work, "status.json").read_text(encoding="utf-8"))
    assert status["datasets"][BOTH]["metrics"]["NoReference|Overall"] == score["NoReference"]["Overall"]
    assert (score["NoReference"]["n"], score["Comparative"]["n"]) == (2, 2)
    costs = [score[part]["usage"]["cost_usd"] for part in ("NoReference", "Comparative")]
    assert sum(costs) == pytest.approx(asked * 240 / 1e6)


CANARY = "sk-canary-0123456789-abc"
OPEN = "That is for a reader, case"
N_OPEN = 5


def opened(path):
    """The predictions of a file, the first ones replaced by replies that the rules leave open."""
    with path.open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    for number, row in enumerate(rows[:N_OPEN]):
        row["prediction"] = f"{OPEN} {number}."
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.DictWriter(out, list(rows[0]), delimiter="\t")
        table.writeheader()
        table.writerows(rows)


@pytest.mark.slow
@pytest.mark.parametrize("mode", [[], pytest.param(["--api-mode"], marks=pytest.mark.slow)], ids=["local", "api-mode"])
def test_open_replies_of_a_run_go_to_the_extractor(kit, work, tmp_path, monkeypatch, capfd, mode):
    forget_keys(monkeypatch)
    monkeypatch.setenv("PRED_FORMAT", "tsv")
    arguments = ["--data", PERCEPTION, "--model", "MedQ-Chance", "--work-dir", str(work), *mode]
    assert run([*arguments, "--mode", "infer"]) == 0
    opened(newest(work, f"MedQ-Chance_{PERCEPTION}.tsv"))
    with JudgeServer(lambda request: Sent(f"{request.headers['authorization']}\nAnswer: A")) as server:
        more = ["--extractor", "ext", "--judge-base-url", server.base_url, "--judge-key", CANARY]
        assert run([*arguments, *more, "--mode", "eval", "--reuse"]) == 0
    assert len(server.requests) == N_OPEN
    sent = {(request.body["model"], request.headers["authorization"]) for request in server.requests}
    assert sent == {("ext", f"Bearer {CANARY}")}
    score = score_of(work, "MedQ-Chance", PERCEPTION)
    block = score["extractor"]
    assert [block[name] for name in ("name", "n_open", "n_read", "n_failed")] == ["ext", N_OPEN, N_OPEN, 0]
    assert score["n_unanswered"] == N_OPEN
    assert block["lenient"]["n_unanswered"] == 0
    metrics = json.loads(newest(work, "status.json").read_text(encoding="utf-8"))["datasets"][PERCEPTION]["metrics"]
    assert metrics["Overall"] == pytest.approx(score["Overall"])
    assert metrics["lenient|Overall"] == pytest.approx(block["lenient"]["Overall"])
    assert "MEDQBENCH_EXTRACTOR" not in os.environ
    assert leaks([CANARY], tmp_path, said="".join(capfd.readouterr())) == []
