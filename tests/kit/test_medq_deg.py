"""MedQ-Deg in the kit: runs of the embedded set in both modes, files of the published shape, and results of the kit's
own class."""

import csv
import json
import random

import pytest

from medqbench_vlmeval.data.sources import embedded_folder
from medqbench_vlmeval.kit.runner import run
from tests.commands import run as command
from tests.data.rows import mini_rows, text_of
from tests.kit.runs import MODES, newest, rows_of, score_of

MINI = "MedQDeg_mini"
COLUMNS = ["index", "image", "question", *"ABCDE", "answer", "modality", "source"]
DEGRADED = ["degradation_type", "degradation_severity"]


@pytest.fixture
def published(work, tmp_path, monkeypatch):
    """The embedded questions in the published files' names and columns, the images as base64."""
    rows = mini_rows("MedQ-Robust-mini.tsv")
    for at, row in enumerate(rows):
        row |= {"index": str(at), "image": text_of((embedded_folder() / row["image_path"]).read_bytes())}
    folder = tmp_path / "data"
    folder.mkdir()
    good = [row for row in rows if row["degradation_severity"] == "L0"]
    columns = {"simulate": (rows, COLUMNS + DEGRADED), "good": (good, COLUMNS)}
    for kind, (of_kind, names) in columns.items():
        with (folder / f"MedQ-Robust-{kind}-test.tsv").open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, names, delimiter="\t", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(of_kind)
    monkeypatch.setenv("MEDQBENCH_DATA", str(folder))
    return folder


def test_a_prediction_file_holds_what_results_are_broken_down_by(kit, work, tmp_path, capsys):
    dataset = kit.MedQDeg(dataset=MINI)
    frame = dataset.data.assign(prediction=dataset.data["answer"])
    assert {"E", "severity", "degradation_category", "degradation", "pair", "source"} <= {*frame.columns}
    assert "E. Coccyx" in dataset.build_prompt(0)[-1]["value"]
    frame.to_csv(tmp_path / f"M_{MINI}.csv", index=False)
    scores = []
    for name, data in (("alone", []), ("with", ["--data", MINI])):
        assert command(capsys, "score", tmp_path / f"M_{MINI}.csv", *data, "--out", tmp_path / name)[0] == 0
        scores.append(json.loads((tmp_path / name / f"M_{MINI}_score.json").read_text(encoding="utf-8")))
    alone, whole = scores
    assert alone["groups"] == whole["groups"]
    assert (alone["Overall"], alone["groups"]["category"]["noise"]["n"]) == (100, 4)


@pytest.mark.slow
@MODES
def test_the_embedded_set_runs_with_both_baselines(kit, work, mode):
    assert run(["--data", MINI, "--model", "MedQ-Classical", "MedQ-Chance", "--work-dir", str(work), *mode]) == 0
    for model in ("MedQ-Classical", "MedQ-Chance"):
        score, rows = score_of(work, model, MINI), rows_of(work, model, MINI)
        assert score["n"] == len(rows) == 40
        assert score["Overall"] == pytest.approx(2.5 * sum(row["correct"] for row in rows))
        assert [score["groups"]["severity"][degree]["n"] for degree in ("L0", "L1", "L2")] == [8, 16, 16]
        assert score["L0"] == score["groups"]["severity"]["L0"]["accuracy"]
        assert {row["extracted"] for row in rows} <= {*"ABCDE"}
        assert set(score["kit_reading"]) == {"can_infer", "MedQDEGBenchDataset"}
        assert score["comparable"] == "no"
        assert score["settings"]["prompt"]["style"] == "official"
    # Seeded: E is among 40 guesses of five letters.
    assert {row["extracted"] for row in rows_of(work, "MedQ-Chance", MINI)} == {*"ABCDE"}


@pytest.mark.slow
def test_files_of_the_published_shape_run_by_their_names(kit, published, work):
    words = ["--data", "MedQDeg_simulate_test", "MedQDeg_good_test", "--model", "MedQ-Chance", "--limit", "20"]
    assert run([*words, "--prompt-style", "confidence", "--work-dir", str(work)]) == 0
    score = score_of(work, "MedQ-Chance", "MedQDeg_simulate_test")
    # A stratified part: each degree has about its share of the 40.
    counts = [score["groups"]["severity"][degree]["n"] for degree in ("L0", "L1", "L2")]
    assert sum(counts) == 20
    assert counts == pytest.approx([4, 8, 8], abs=2)
    assert {"the prompt style 'confidence' is not the official one", "only 20 of 40 samples were run"} <= {
        *score["not_comparable_because"]
    }
    good = score_of(work, "MedQ-Chance", "MedQDeg_good_test")
    assert (good["n"], good["L0"]) == (8, None)
    columns = good["settings"]["data"]["degradation"]["columns"]
    assert "presumably originals" in columns["inferred"]["severity"]


REPLIES = (
    "{right}",
    "({right}) it is",
    "The answer is {right}.",
    "A closer look says {right}",
    "Failed to obtain answer via API.",
)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["xlsx", "tsv", "json"])
def test_results_of_the_kits_own_class_are_read_and_scored_again(
    kit, published, work, tmp_path, monkeypatch, capsys, suffix
):
    from vlmeval.dataset.medq_deg_bench import MedQDEGBenchDataset
    from vlmeval.smp import dump

    # The class knows no other way to its file than the hub's snapshot.
    place = {"root": str(published), "data_file": str(published / "MedQ-Robust-simulate-test.tsv")}
    monkeypatch.setattr(MedQDEGBenchDataset, "prepare_dataset", lambda *_: place)
    name = "MedQDEGBench_simulate_test"
    dataset = MedQDEGBenchDataset(name)
    frame = dataset.data.drop(columns="image")
    draw = random.Random(1)
    said = [draw.choice(REPLIES).format(right=answer) for answer in frame["answer"]]
    frame["prediction"] = said
    path = tmp_path / f"Some-VLM_{name}.{suffix}"
    dump(frame, str(path))
    # Its own evaluation reads no JSON. Its reader takes the article, too, and what the harness says, for a letter.
    by_kit = 0.0 if suffix == "json" else 40 * dataset.evaluate(str(path))["Overall"]
    for data in ([], ["--data", "MedQDeg_simulate_test"]):
        code, _, err = command(capsys, "score", path, *data, "--out", tmp_path / "scored")
        assert code == 0, err
        score = json.loads(newest(tmp_path / "scored", "*_score.json").read_text(encoding="utf-8"))
        assert (score["model"], score["dataset"], score["task"]) == ("Some-VLM", "MedQDeg_simulate_test", "degradation")
        assert (score["n"], score["n_inference_failed"]) == (40, sum("Failed" in reply for reply in said))
        assert score["n_correct"] == 40 - score["n_inference_failed"] > by_kit
        assert [score["groups"]["severity"][degree]["n"] for degree in ("L0", "L1", "L2")] == [8, 16, 16]
        assert score["groups"]["category"]["artifacts"]["n"] == 14
    if suffix != "xlsx":
        return
    # The folder of the kit's own results: what is no result of ours is passed over.
    places = [tmp_path / "scored", tmp_path]
    assert command(capsys, "report", *places, "--images", "none", "--out", tmp_path / "report")[0] == 0
    assert "MedQ-Deg" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
