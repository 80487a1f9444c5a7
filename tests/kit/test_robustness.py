"""--robustness in runs of the real kit: a second pass behind the official one, apart from its numbers."""

from __future__ import annotations

import json
import threading
import time

import openpyxl
import pytest

from medqbench_vlmeval.data import stratified
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import json_object, sha256_of
from medqbench_vlmeval.kit.runner import run
from tests.kit.runs import BOTH, COMPARATIVE, MODES, NO_REFERENCE, PERCEPTION, newest


def result_of(work, model, dataset):
    return json.loads(newest(work, f"{model}_{dataset}_robustness_consistency.json").read_text(encoding="utf-8"))


def cells_of(path):
    heads, *rows = openpyxl.load_workbook(path).active.values
    return [dict(zip(heads, row, strict=True)) for row in rows]


@pytest.mark.slow
def test_a_run_with_a_second_pass(kit, work, capsys):
    arguments = ["--model", "MedQ-Classical", "--judge", "rules", "--limit", "10", "--work-dir", str(work)]
    assert run(["--data", PERCEPTION, COMPARATIVE, *arguments, "--robustness"]) == 0
    printed = capsys.readouterr().out
    assert "10 questions asked twice, the options permuted" in printed
    assert "10 pairs shown twice, the images swapped" in printed

    chosen = stratified(kit.build_dataset(PERCEPTION).sample_set.samples, 10)
    shown = cells_of(newest(work, f"MedQ-Classical_{PERCEPTION}_robustness.xlsx"))
    officials = {row["index"]: row for row in cells_of(newest(work, f"MedQ-Classical_{PERCEPTION}.xlsx"))}
    assert {row["index"] for row in shown} == set(officials) == chosen
    for row in shown:
        assert row["answer"] != officials[row["index"]]["answer"]
        assert row[row["answer"]] == officials[row["index"]][officials[row["index"]]["answer"]]
    pairs = cells_of(newest(work, f"MedQ-Classical_{COMPARATIVE}_robustness.xlsx"))
    assert {row["permutation"] for row in pairs} == {"1:2 2:1"}
    assert "description" not in pairs[0]

    looked = result_of(work, "MedQ-Classical", PERCEPTION)
    assert looked["n"] == looked["consistency"]["count"] == 10
    score = json.loads(newest(work, f"MedQ-Classical_{PERCEPTION}_score.json").read_text(encoding="utf-8"))
    assert looked["first"]["count"] == score["n_correct"]
    compared = result_of(work, "MedQ-Classical", COMPARATIVE)
    assert compared["preferences"]["consistent"]["count"] == 10

    # Nothing of it is an official result.
    assert not list(work.rglob("*robustness_score.json"))
    assert not list(work.rglob("*robustness_samples.jsonl"))
    board = json.loads((work / "leaderboard" / "leaderboard.json").read_text(encoding="utf-8"))
    assert {entry["dataset"] for entry in board["runs"]} == {PERCEPTION, COMPARATIVE}
    status = json.loads(newest(work, "status.json").read_text(encoding="utf-8"))["datasets"]
    assert status[f"{PERCEPTION}_robustness"]["metrics"]["Same option in both"] == 100
    assert "Overall" not in status[f"{PERCEPTION}_robustness"]["metrics"]


def test_where_there_is_no_order_nothing_is_run(kit, work, tmp_path):
    arguments = ["--model", "MedQ-Chance", "--robustness", "--work-dir", str(work)]
    for data in ([NO_REFERENCE], ["MMBench_DEV_EN", NO_REFERENCE], [f"{NO_REFERENCE}_robustness"]):
        with pytest.raises(BadInput, match=r"no order to change|does not exist: there are second passes"):
            run(["--data", *data, *arguments])
    config, entry = tmp_path / "config.json", {"class": "MedQBenchPerception", "dataset": PERCEPTION}
    config.write_text(json.dumps({"model": {"MedQ-Chance": {}}, "data": {PERCEPTION: entry}}))
    with pytest.raises(BadInput, match=r"leaves .*config\.json as it is"):
        run(["--config", str(config), "--robustness", "--work-dir", str(work)])
    assert not work.exists()


def test_what_the_kit_is_told(handed_over, work, capsys):
    rest = ["--model", "MedQ-Chance", "--work-dir", str(work)]
    run(["--data", PERCEPTION, "MMBench_DEV_EN", NO_REFERENCE, BOTH, *rest, "--robustness"])
    names = [PERCEPTION, f"{PERCEPTION}_robustness", "MMBench_DEV_EN", NO_REFERENCE, BOTH, f"{BOTH}_robustness"]
    assert handed_over[0][0] == ["--data", *names, *rest]
    printed = capsys.readouterr().err
    assert f"{NO_REFERENCE} is run once" in printed
    assert f"Of {BOTH} only the comparative part is run twice" in printed
    run(["--data", PERCEPTION, f"{PERCEPTION}_robustness", *rest, "--robustness"])
    assert handed_over[1][0] == ["--data", PERCEPTION, f"{PERCEPTION}_robustness", *rest]
    entry = {"class": "MedQBenchPerception", "dataset": PERCEPTION, "data_path": "x.tsv"}
    # The kit's parser takes abbreviations, and of two options the last.
    for option in ("--data-config", "--data-conf"):
        run(["--data", PERCEPTION, option, json.dumps({PERCEPTION: entry}), *rest, "--robustness"])
        words = handed_over[-1][0]
        assert json.loads(words[words.index("--data-config") + 1]) == {
            PERCEPTION: entry,
            f"{PERCEPTION}_robustness": {**entry, "dataset": f"{PERCEPTION}_robustness"},
        }
        assert "--data-conf" not in words
    with pytest.raises(BadInput, match="'MedQBench_Perception_mini_robustnes' is no dataset of these benchmarks"):
        run(["--data", "MedQBench_Perception_mini_robustnes", *rest, "--robustness"])


def test_a_second_pass_alone_names_the_file_it_misses(kit, work, capsys):
    arguments = ["--data", f"{PERCEPTION}_robustness", "--model", "MedQ-Chance", "--limit", "5"]
    assert run([*arguments, "--work-dir", str(work)]) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "The first pass's predictions are not there" in last
    assert f"MedQ-Chance_{PERCEPTION}.xlsx was expected" in last
    assert newest(work, f"MedQ-Chance_{PERCEPTION}_robustness.xlsx").exists()


@pytest.mark.slow
@MODES
def test_infer_then_eval_and_the_second_pass_alone(kit, work, mode):
    arguments = ["--data", PERCEPTION, "--model", "MedQ-Chance", "--work-dir", str(work), *mode]
    assert run([*arguments, "--mode", "infer"]) == 0
    assert run([*arguments, "--robustness", "--mode", "infer", "--reuse"]) == 0
    assert not list(work.rglob("*_consistency.json"))
    files = [newest(work, f"MedQ-Chance_{PERCEPTION}{ending}.xlsx") for ending in ("", "_robustness")]
    before = [sha256_of(path) for path in files]
    assert run([*arguments, "--robustness", "--mode", "eval"]) == 0
    first = result_of(work, "MedQ-Chance", PERCEPTION)
    assert (first["n"], first["n_unanswered"]["either"]) == (75, 0)
    assert [sha256_of(path) for path in files] == before
    alone = ["--data", f"{PERCEPTION}_robustness", *arguments[2:], "--reuse"]
    assert run(alone) == 0
    second = result_of(work, "MedQ-Chance", PERCEPTION)
    # The PyPI kit writes the same predictions anew, with another time in the spreadsheet.
    first.pop("settings"), second.pop("settings")
    assert first == second


@pytest.mark.slow
def test_of_both_reasoning_tasks_the_pairs_alone_are_run_twice(kit, work, capsys, monkeypatch):
    monkeypatch.setenv("MEDQBENCH_PROMPT_STYLE", "official")
    arguments = ["--data", BOTH, "--model", "MedQ-Chance", "--judge", "rules", "--limit", "10", "--work-dir", str(work)]
    assert run([*arguments, "--robustness", "--prompt-style", "reasoning"]) == 0
    assert "only the comparative part is run twice" in capsys.readouterr().err
    result = result_of(work, "MedQ-Chance", BOTH)
    assert (result["robustness_of"], result["n"]) == ("comparative", 5)
    assert sum(result["left_out"].values()) == 0
    assert result["settings"]["second_pass"]["prompt_style"] == ["reasoning"]


def second_pass_failed(path):
    entries = (json_object(path) or {}).get("datasets", {})
    return bool(entries.get(f"{PERCEPTION}_robustness", {}).get("error_message"))


@pytest.fixture
def straggler(kit, work):
    """A model whose last reply of the first pass comes when the second pass was evaluated without it."""
    from vlmeval.config import supported_VLM
    from vlmeval.vlm.base import BaseModel

    waits = threading.Lock()

    class Straggler(BaseModel):
        INTERLEAVE = True

        def generate_inner(self, message, dataset=None):
            if dataset == PERCEPTION and waits.acquire(blocking=False):
                deadline = time.monotonic() + 60
                while time.monotonic() < deadline and not any(map(second_pass_failed, work.rglob("status.json"))):
                    time.sleep(0.05)
            return "A"

    supported_VLM["Straggler"] = Straggler
    yield "Straggler"
    del supported_VLM["Straggler"]


@pytest.mark.slow
def test_in_api_mode_the_second_pass_may_be_done_first(straggler, work, capsys):
    arguments = ["--data", PERCEPTION, "--model", straggler, "--limit", "6", "--api-mode", "--api-nproc", "8"]
    assert run([*arguments, "--robustness", "--work-dir", str(work)]) == 0
    assert "failed" not in capsys.readouterr().err
    result = result_of(work, straggler, PERCEPTION)
    assert (result["n"], result["consistency"]["count"]) == (6, 0)
