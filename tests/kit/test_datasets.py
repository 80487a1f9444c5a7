"""The dataset classes as the kit's runner, its models, its final table and its ``summarize.py`` see them."""

import asyncio
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import sha256_of, write_json
from medqbench_vlmeval.runs.files import result_paths
from medqbench_vlmeval.runs.result import result_to_json
from medqbench_vlmeval.types import Run
from tests.data.rows import RED, question, text_of
from tests.kit.runs import PERCEPTION
from tests.make import combined_run, perception_run


@pytest.fixture
def tsv(work, tmp_path):
    path = tmp_path / "medqbench_QA_test.tsv"
    first = question("1", question="Is there noise?", A="Yes", B="No", C="", answer="1", modality="ct")
    second = question("2", A="None", B="nan", C="Motion", answer="C", modality="MR")
    path.write_text("\n".join("\t".join(cells) for cells in (first, first.values(), second.values())) + "\n")
    return path


@pytest.fixture
def dataset(kit, tsv):
    return kit.MedQBenchPerception(dataset="MedQBench_Perception", data_path=str(tsv))


def test_data_holds_paths_and_no_base64(dataset):
    assert "image" not in dataset.data
    assert list(dataset.data["index"]) == [1, 2]
    assert list(dataset.data["answer"]) == ["B", "C"]
    assert list(dataset.data["modality"]) == ["CT", "MRI"]
    paths = set(dataset.data["image_path"])
    assert len(paths) == 1
    with open(paths.pop(), "rb") as image:
        assert image.read() == RED


def test_prompt_is_images_then_the_official_text(dataset, tsv):
    import vlmeval.dataset.medqbench_mcq as kit_module

    message = dataset.build_prompt(dataset.data.iloc[0])
    assert [part["type"] for part in message] == ["image", "text"]
    official = kit_module.MedqbenchMCQDataset("MedqbenchMCQ_test", data_path=str(tsv))
    assert message[1]["value"] == official.build_prompt(0)[-1]["value"]
    assert dataset.build_prompt(1) == dataset.build_prompt(dict(dataset.data.iloc[1]))
    # Options that read like missing values stay.
    assert "A. None\nB. nan" in dataset.build_prompt(1)[-1]["value"]
    # The kit's api mode sends datasets through a pipe.
    again = pickle.loads(pickle.dumps(dataset))  # noqa: S301
    assert again.build_prompt(0) == message


def test_a_question_that_is_a_path_or_url_is_not_opened(kit, work, tmp_path):
    from vlmeval.smp import parse_file

    secret = tmp_path / "secret.txt"
    secret.write_text("x")
    for asked in (str(secret), "http://127.0.0.1:9/x.png"):
        path = tmp_path / "medqbench_description_dev.tsv"
        path.write_text(f"index\timage\tquestion\tdescription\n1\t{text_of(RED)}\t{asked}\tgood\n", encoding="utf-8")
        dataset = kit.MedQBenchNoReference(dataset="MedQBench_Reasoning_NoReference_dev", data_path=str(path))
        assert parse_file(dataset.build_prompt(0)[-1]["value"])[0] is None


def test_an_entry_of_data_config_names_columns_of_its_own_dataset_alone(kit, work, tsv, monkeypatch):
    tsv.write_text(tsv.read_text().replace("modality", "Geraet"))
    entry = {"class": "MedQBenchPerception", "dataset": "MedQBench_Perception_test", "data_path": str(tsv)}
    own = {**entry, "columns": {"modality": "Geraet"}}
    # A checkout's run.py is no module; its --data-config is run in test_medq_deg.
    build_dataset_from_config = pytest.importorskip("vlmeval.run").build_dataset_from_config
    monkeypatch.setenv("MEDQBENCH_COLUMNS", "modality=image")
    dataset = build_dataset_from_config({"one": own}, "one")
    assert list(dataset.data["modality"]) == ["CT", "MRI"]
    assert dataset.sample_set.sources[Task.PERCEPTION].columns.named == ("modality",)
    monkeypatch.delenv("MEDQBENCH_COLUMNS")
    assert "modality" not in build_dataset_from_config({"other": entry}, "other").data
    with pytest.raises(BadInput, match="the columns of MedQBench_Perception_test: 'modalty' is no meaning"):
        build_dataset_from_config({"one": {**entry, "columns": {"modalty": "Geraet"}}}, "one")


def test_a_dataset_of_another_task_is_refused(kit, work):
    with pytest.raises(BadInput, match="which is a no-reference dataset"):
        kit.MedQBenchPerception(dataset="MedQBench_Reasoning_NoReference_mini")
    with pytest.raises(BadInput, match="letter"):
        kit.MedQBenchPerception(dataset=PERCEPTION, prompt_style="leter")


def test_combined_reasoning_has_one_index_space(kit, work):
    dataset = kit.build_dataset("MedQBench_Reasoning_mini")
    indexes = set(dataset.data["index"])
    assert len(indexes) == len(dataset)
    assert {index.split(":")[0] for index in indexes} == {"NoReference", "Comparative"}
    assert {len(dataset.build_prompt(i)) for i in range(len(dataset))} == {2, 3}


class Insisting:
    """A zoo model that insists on its own prompt, and keeps what it is asked."""

    INTERLEAVE = is_api = True

    def __init__(self):
        self.seen = []

    def use_custom_prompt(self, dataset):
        return True

    def build_prompt(self, line, dataset=None):
        return [{"type": "text", "value": "my own prompt"}]

    def set_dump_image(self, function):
        pass

    def generate(self, message, dataset=None):
        self.seen.append(message[-1]["value"])
        return "A"

    generate_inner = generate


def test_kits_own_prompt_of_a_model_is_not_used_in_api_mode(kit, work):
    from vlmeval.inference_api import APIEvalPipeline, DatasetConfig

    model, dataset = Insisting(), kit.build_dataset(PERCEPTION)
    work.mkdir()
    config = DatasetConfig(
        dataset_name=PERCEPTION,
        dataset_obj=dataset,
        dataset_type="image",
        model_obj=model,
        model_name="insisting",
        work_dir=str(work),
        result_file=str(work / f"insisting_{PERCEPTION}.xlsx"),
        judge_kwargs={},
    )

    asyncio.run(APIEvalPipeline([config], concurrency=2, run_eval=False).run())
    assert len(model.seen) == len(dataset.sample_set.samples)
    assert "my own prompt" not in model.seen


def test_kits_own_prompt_of_a_model_is_not_used_in_local_mode(kit, work):
    from vlmeval.inference import infer_data_job
    from vlmeval.vlm.base import BaseModel

    class Local(Insisting, BaseModel):
        is_api = False
        generate = BaseModel.generate

        def __init__(self):
            BaseModel.__init__(self)
            self.seen = []

    model, dataset = Local(), kit.build_dataset(PERCEPTION)
    work.mkdir()
    infer_data_job(model, work_dir=str(work), model_name="insisting", dataset=dataset)
    assert len(model.seen) == len(dataset)
    assert "my own prompt" not in model.seen


def test_evaluate_returns_plain_json(dataset, tmp_path):
    frame = dataset.data.copy()
    frame["prediction"] = ["No", "Failed to obtain answer via API."]
    file = tmp_path / "outputs" / "some-model" / "T20260101-000000" / "some-model_MedQBench_Perception.tsv"
    file.parent.mkdir(parents=True)
    frame.to_csv(file, sep="\t", index=False)
    metrics = dataset.evaluate(str(file), model="gpt-4o-mini", nproc=4)
    assert json.loads(json.dumps(metrics)) == metrics
    assert (metrics["Overall"], metrics["Yes-or-No"], metrics["What"], metrics["n"]) == (50.0, 100.0, 0.0, 2)
    assert (tmp_path / "outputs" / "leaderboard" / "leaderboard.json").exists()
    assert dataset.report_infer_err(str(file)) == {"failed": 1, "total": 2}


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    path = tmp_path / "Model-X_MedQBench_Reasoning_mini.csv"
    path.write_text("index,prediction\n1,Sharp.\n2,Failed to obtain answer via API.\n3,Blurred.\n", encoding="utf-8")
    return path


def save(predictions: Path, run: Run) -> None:
    """Put a run's result beside a prediction file, as one of this very file."""
    file = replace(run.result.settings.prediction_file, sha256=sha256_of(predictions))
    result = replace(run.result, settings=replace(run.result.settings, prediction_file=file))
    write_json(result_paths(predictions).score, result_to_json(result))


def judge_errors(kit: Any, predictions: Path | None, error: str | None = None) -> dict[str, int | None]:
    return kit.MedQBenchReasoning.report_judge_err(predictions, total_samples=3, error_message=error)


def test_failures_are_those_of_the_result_of_this_very_file(kit, predictions):
    assert kit.MedQBenchReasoning.report_infer_err(predictions) == {"failed": 1, "total": 3}
    save(predictions, combined_run())
    # One of three samples is unscored in each of the two parts.
    assert judge_errors(kit, predictions) == {"failed": 2, "total": 6}
    predictions.write_text(predictions.read_text(encoding="utf-8").replace("Sharp", "Dark"), encoding="utf-8")
    # A result of other replies says nothing of these.
    assert judge_errors(kit, predictions) == {"failed": None, "total": 3}
    save(predictions, perception_run())
    assert judge_errors(kit, predictions) == {"failed": 0, "total": 5}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"settings": 1}', '{"settings": {"prediction_file": []}}'])
def test_without_a_whole_result_nothing_is_said_to_be_judged(kit, predictions, content):
    predictions.with_name(f"{predictions.stem}_score.json").write_text(content, encoding="utf-8")
    assert judge_errors(kit, predictions) == {"failed": None, "total": 3}
    assert judge_errors(kit, predictions, "JudgeError: no judge") == {"failed": 3, "total": 3}
    assert judge_errors(kit, None) == {"failed": None, "total": 3}
    assert kit.MedQBenchReasoning.report_infer_err(predictions.with_name("absent.csv")) == {"failed": 0, "total": 0}


def test_the_primary_metric_is_overall_of_each_part(kit):
    single = {"How": 0.0, "Overall": 60.0, "modality|CT": 66.7}
    assert kit.MedQBenchReasoning.report_primary_metric(single) == {"Overall": 60.0}
    combined = {"Comparative|Overall": 3.05, "NoReference|n": 3, "NoReference|Overall": 4.75}
    metrics = kit.MedQBenchReasoning.report_primary_metric(combined)
    assert [*metrics.items()] == [("NoReference|Overall", 4.75), ("Comparative|Overall", 3.05)]
    assert kit.MedQBenchReasoning.report_primary_metric(None) == {}
