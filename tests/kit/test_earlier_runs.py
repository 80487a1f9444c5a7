"""What a run does with the replies that earlier runs left: none gets another stamp, none is lost, texts stay texts."""

import json
import pickle
import re
import shutil
import threading
import time
from collections import Counter
from pathlib import Path

import openpyxl
import pytest

from medqbench_vlmeval.data.sources import embedded_folder
from medqbench_vlmeval.files import sha256_of
from medqbench_vlmeval.kit.runner import run
from medqbench_vlmeval.predictions import read_predictions
from tests.kit.runs import MODES_SLOW, PERCEPTION, newest, score_of

DEV = "MedQBench_Perception_dev"
REPLIES = ["A", "None", "007", "=1+1", "nan", "http://example.org/" + "a" * 5000, "internal:Sheet2!A1", "/etc/passwd"]


@pytest.fixture
def model(kit, monkeypatch):
    """A model of the zoo's whose replies say which run they are of, unless ``says``; ``fails_after`` so many."""
    from vlmeval.config import supported_VLM
    from vlmeval.vlm.base import BaseModel

    class Stub(BaseModel):
        run, n, fails_after, says = 0, 0, None, None
        lock = threading.Lock()

        def generate_inner(self, message, dataset=None):
            with Stub.lock:
                Stub.n += 1
                n = Stub.n
            if Stub.fails_after is not None and n > Stub.fails_after:
                raise RuntimeError("out of memory")
            return Stub.says[n % len(Stub.says)] if Stub.says else f"A, run {Stub.run}"

    monkeypatch.setitem(supported_VLM, "stub", Stub)
    return Stub


@pytest.fixture
def go(model, work, monkeypatch, tmp_path):
    """Run the model on the dev split in one work folder; ``data`` is the data file's version."""
    for version in ("1", "2"):
        folder = tmp_path / "data" / version
        shutil.copytree(embedded_folder(), folder)
        path = (folder / "medqbench_QA_mini.tsv").rename(folder / "medqbench_QA_dev.tsv")
        if version == "2":
            path.write_text(path.read_text(encoding="utf-8").replace("?", "??", 1), encoding="utf-8")

    def start(*arguments, data="1", fails_after=None):
        monkeypatch.setenv("MEDQBENCH_DATA", str(tmp_path / "data" / data))
        model.run, model.n, model.fails_after = model.run + 1, 0, fails_after
        # The kit names a run's folder by the second, and two runs in one folder are another case.
        ended = max((path.stat().st_mtime for path in work.rglob("T2*")), default=0)
        while int(time.time()) <= int(ended):
            time.sleep(0.02)
        return run(["--data", DEV, "--model", "stub", "--work-dir", str(work), *arguments])

    return start


def replies_by_stamp(work):
    """(prompt style, first letters of the data's sha256, reply) of all replies in all files that are no links."""
    rows = [
        (row["prompt_style"], row["data_sha256"][:2], row["prediction"])
        for path in work.rglob(f"stub_{DEV}*.xlsx")
        if not path.is_symlink() and "report" not in path.name
        for row in read_predictions(path).rows
    ]
    return Counter(rows)


def sha_of(version):
    return sha256_of(Path.cwd() / "data" / version / "medqbench_QA_dev.tsv")[:2]


@MODES_SLOW
@pytest.mark.parametrize("reuse", [[], ["--reuse"]], ids=["", "reuse"])
@pytest.mark.parametrize(
    "change", ["style", *(pytest.param(name, marks=pytest.mark.slow) for name in ("data", "option"))]
)
def test_earlier_replies_never_get_the_stamp_of_another_run(go, work, capfd, mode, reuse, change):
    more = {"style": ["--prompt-style", "letter"], "option": ["--max-tokens", "9"], "data": []}[change]
    data = "2" if change == "data" else "1"
    assert go(*mode, *more, data=data) == 0
    assert go(*mode, *reuse) == 0
    first = "letter" if change == "style" else "official"
    expected = {(first, sha_of(data), "A, run 1"): 75, ("official", sha_of("1"), "A, run 2"): 75}
    assert replies_by_stamp(work) == expected
    said = capfd.readouterr().err
    if reuse or list(work.rglob("previous")):
        assert {"style": "prompt style 'letter'", "data": "perception data", "option": "--max-tokens '9'"}[
            change
        ] in said
    score = score_of(work, "stub", DEV)
    assert (score["settings"]["prompt"]["style"], score["n"]) == ("official", 75)
    for aside in work.rglob(f"previous/*/stub_{DEV}.xlsx"):
        # It can be scored where it lies: its name says what it is, and its records lie beside it.
        assert {path.name for path in aside.parent.glob("*.json")} >= {
            f"stub_{DEV}_{of}.json" for of in ("inference", "model", "score")
        }


@pytest.mark.slow
def test_replies_to_what_a_named_column_held_are_not_those_to_what_was_found(go, work, monkeypatch, capfd):
    monkeypatch.setenv("MEDQBENCH_COLUMNS", "question=degradation")
    assert go() == 0
    monkeypatch.delenv("MEDQBENCH_COLUMNS")
    assert go("--reuse") == 0
    assert "perception columns 'question=degradation' and not left out" in capfd.readouterr().err
    assert {reply for _, _, reply in replies_by_stamp(work)} == {"A, run 1", "A, run 2"}
    assert score_of(work, "stub", DEV)["n"] == 75
    # What no model is shown changes no reply.
    monkeypatch.setenv("MEDQBENCH_COLUMNS", "source=scope,scope=source")
    assert go("--reuse") == 0
    assert {reply for _, _, reply in replies_by_stamp(work)} == {"A, run 1", "A, run 2"}


@pytest.mark.slow
@MODES_SLOW
def test_the_same_run_again_and_more_samples_go_on_with_what_is_there(go, work, mode):
    assert go(*mode, "--limit", "10") == 0
    assert go(*mode, "--reuse") == 0
    whole = Counter(row["prediction"] for row in read_predictions(newest(work, f"stub_{DEV}.xlsx")).rows)
    assert whole == {"A, run 1": 10, "A, run 2": 65}
    assert go(*mode, "--reuse", "--prompt-style", "letter", "--limit", "5") == 0
    if list(work.rglob("T2*/*.xlsx")):
        # An earlier run that fits is taken, although a later one does not.
        assert go(*mode, "--reuse", "--limit", "5") == 0
        assert score_of(work, "stub", DEV)["n"] == 5
        assert "A, run 4" not in {reply for _, _, reply in replies_by_stamp(work)}


@pytest.mark.slow
@pytest.mark.parametrize("reuse", [[], pytest.param(["--reuse"], marks=pytest.mark.slow)], ids=["", "reuse"])
def test_an_interrupted_run_is_not_gone_on_with_under_another_style(go, work, capfd, reuse):
    assert go("--prompt-style", "letter", fails_after=41) == 1
    assert "failed: out of memory" in capfd.readouterr().err
    checkpoint = next(work.rglob("*.pkl"))
    held = sha256_of(checkpoint)
    assert go(*reuse) == 0
    assert replies_by_stamp(work) == {("official", sha_of("1"), "A, run 2"): 75}
    assert held in {sha256_of(path) for path in work.rglob("*.pkl")}


@pytest.mark.slow
def test_the_record_of_images_goes_along_with_a_checkpoint(go, work):
    assert go("--api-mode", "--limit", "10") == 0
    predictions = newest(work, f"stub_{DEV}.xlsx")
    replies = {reply.index: reply.text for reply in read_predictions(predictions).predictions}
    # What an interrupted run leaves.
    predictions.with_name(f"stub_{DEV}_checkpoint.pkl").write_bytes(pickle.dumps(replies))
    predictions.unlink()
    assert go("--api-mode", "--reuse") == 0
    record = json.loads(newest(work, f"stub_{DEV}_model.json").read_text(encoding="utf-8"))
    assert (record["n_calls"], record["images"]["n"], len(record["image_names"])) == (75, 75, 75)


@pytest.mark.slow
def test_evaluation_keeps_the_stamp_and_says_so(go, work, capfd):
    assert go("--mode", "infer", "--prompt-style", "letter") == 0
    before = sha256_of(newest(work, f"stub_{DEV}.xlsx"))
    assert go("--mode", "eval") == 0
    assert "prompt style 'letter' and not 'official', and are evaluated as such" in capfd.readouterr().err
    assert score_of(work, "stub", DEV)["settings"]["prompt"]["style"] == "letter"
    assert {sha256_of(path) for path in work.rglob(f"stub_{DEV}.xlsx")} == {before}


@pytest.mark.slow
@MODES_SLOW
@pytest.mark.parametrize("suffix", ["xlsx", *(pytest.param(name, marks=pytest.mark.slow) for name in ("tsv", "json"))])
def test_replies_are_the_same_texts_after_every_run(go, model, work, monkeypatch, mode, suffix):
    monkeypatch.setenv("PRED_FORMAT", suffix)
    model.says = REPLIES
    assert go(*mode, "--limit", "10") == 0
    assert go(*mode, "--limit", "10", "--reuse") == 0
    assert model.n == 0, "all replies were there"
    predictions = newest(work, f"stub_{DEV}.{suffix}")
    assert {row.text for row in read_predictions(predictions).predictions} == set(REPLIES)
    rows = [json.loads(line) for line in newest(work, "*_samples.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["prediction"] for row in rows} == set(REPLIES)
    book = openpyxl.load_workbook(newest(work, "*_report.xlsx"), read_only=True)
    cells = {str(cell) for sheet in book for row in sheet.iter_rows(values_only=True) for cell in row}
    assert set(REPLIES) <= {cell.removeprefix("'") for cell in cells}


@pytest.mark.slow
def test_a_run_straight_in_the_models_folder_cuts_no_prediction_file_and_none_is_lost(kit, work, capfd):
    if not (Path(kit.__file__).parent.parent / "run.py").is_file():
        pytest.skip("git HEAD makes a folder for each run")
    arguments = ["--data", PERCEPTION, "--model", "MedQ-Chance", "--work-dir", str(work)]
    assert run(arguments) == 0
    whole = newest(work, f"*{PERCEPTION}.xlsx")
    before = sha256_of(whole)
    assert run([*arguments, "--limit", "7"]) == 1
    assert re.search(r"holds 75 predictions, .* would leave 7 of them .*--mode eval", capfd.readouterr().err)
    assert run([*arguments, "--limit", "7", "--mode", "eval"]) == 0
    assert json.loads(newest(work, "*_score.json").read_text(encoding="utf-8"))["n"] == 7
    assert sha256_of(whole) == before
    # Predictions and results of local mode outlive a run in api mode, and those of api mode one in local mode.
    endings = (f"{PERCEPTION}.xlsx", "_samples.jsonl", "_score.json")
    before = {sha256_of(newest(work, f"*{ending}")) for ending in endings}
    assert run([*arguments, "--api-mode", "--limit", "7"]) == 0
    previous = (work / "MedQ-Chance" / "previous").rglob("*[xln]")
    assert before <= {sha256_of(path) for path in previous}
    of_api = next(work.rglob(f"T2*/*{PERCEPTION}.xlsx"))
    before = sha256_of(of_api)
    assert run([*arguments, "--prompt-style", "letter"]) == 0
    assert run(arguments) == 0
    assert sha256_of(of_api) == before


@pytest.mark.slow
@pytest.mark.parametrize("ends_with", ["done", pytest.param("interrupted", marks=pytest.mark.slow)])
def test_a_limited_run_leaves_the_checkpoint_of_a_whole_one(go, work, ends_with):
    assert go(fails_after=31) == 1
    checkpoint = next(work.rglob("*.pkl"))
    if checkpoint.parent.name != "stub":
        pytest.skip("git HEAD makes a folder for each run")
    held = sha256_of(checkpoint)
    assert go("--limit", "7", fails_after=0 if ends_with == "interrupted" else None) == (ends_with == "interrupted")
    assert sha256_of(checkpoint) == held
    assert go() == 0
    replies = Counter(row["prediction"] for row in read_predictions(newest(work, f"stub_{DEV}.xlsx")).rows)
    assert (replies["A, run 1"], replies.total()) == (30, 75)
