"""The dataset classes as the kit's runner and its models see them."""

import base64
import json
import pickle

import pytest

from medqbench_vlmeval.errors import BadInput

PNG = base64.b64encode(
    base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")
).decode()


@pytest.fixture
def tsv(work, tmp_path):
    path = tmp_path / "medqbench_QA_test.tsv"
    path.write_text(
        "index\timage\tquestion\tA\tB\tC\tD\tanswer\tmodality\n"
        f"1\t{PNG}\tIs there noise?\tYes\tNo\t\t\t1\tct\n"
        f"2\t{PNG}\tWhat is the artifact?\tNone\tnan\tMotion\t\tC\tMR\n",
        encoding="utf-8",
    )
    return path


def test_data_holds_paths_and_no_base64(kit, tsv):
    dataset = kit.MedQBenchPerception(dataset="MedQBench_Perception", data_path=str(tsv))
    assert "image" not in dataset.data
    assert list(dataset.data["index"]) == [1, 2]
    assert list(dataset.data["answer"]) == ["B", "C"]
    assert list(dataset.data["modality"]) == ["CT", "MRI"]
    paths = set(dataset.data["image_path"])
    assert len(paths) == 1
    with open(paths.pop(), "rb") as image:
        assert image.read() == base64.b64decode(PNG)


def test_prompt_is_images_then_the_official_text(kit, tsv):
    import vlmeval.dataset.medqbench_mcq as theirs

    dataset = kit.MedQBenchPerception(dataset="MedQBench_Perception", data_path=str(tsv))
    message = dataset.build_prompt(dataset.data.iloc[0])
    assert [part["type"] for part in message] == ["image", "text"]
    official = theirs.MedqbenchMCQDataset("MedqbenchMCQ_test", data_path=str(tsv))
    assert message[1]["value"] == official.build_prompt(0)[-1]["value"]
    assert dataset.build_prompt(1) == dataset.build_prompt(dict(dataset.data.iloc[1]))


def test_options_that_read_like_missing_values_stay(kit, tsv):
    dataset = kit.MedQBenchPerception(dataset="MedQBench_Perception", data_path=str(tsv))
    text = dataset.build_prompt(1)[-1]["value"]
    assert "A. None" in text
    assert "B. nan" in text


def test_a_question_that_is_a_path_or_url_is_not_opened(kit, work, tmp_path):
    from vlmeval.smp import parse_file

    secret = tmp_path / "secret.txt"
    secret.write_text("x")
    for question in (str(secret), "http://127.0.0.1:9/x.png"):
        path = tmp_path / "medqbench_description_dev.tsv"
        path.write_text(f"index\timage\tquestion\tdescription\n1\t{PNG}\t{question}\tgood\n", encoding="utf-8")
        dataset = kit.MedQBenchNoReference(dataset="MedQBench_Reasoning_NoReference_dev", data_path=str(path))
        assert parse_file(dataset.build_prompt(0)[-1]["value"])[0] is None


def test_datasets_survive_pickling_for_api_mode(kit, tsv):
    dataset = kit.MedQBenchPerception(dataset="MedQBench_Perception", data_path=str(tsv))
    again = pickle.loads(pickle.dumps(dataset))  # noqa: S301 - the kit's api mode does this
    assert again.build_prompt(0) == dataset.build_prompt(0)


def test_a_dataset_of_another_task_is_refused(kit, work):
    with pytest.raises(BadInput, match="which is a no-reference dataset"):
        kit.MedQBenchPerception(dataset="MedQBench_Reasoning_NoReference_mini")
    with pytest.raises(BadInput, match="letter"):
        kit.MedQBenchPerception(dataset="MedQBench_Perception_mini", prompt_style="leter")


def test_combined_reasoning_has_one_index_space(kit, work):
    dataset = kit.build_dataset("MedQBench_Reasoning_mini")
    indexes = list(dataset.data["index"])
    assert len(set(indexes)) == len(indexes)
    assert {index.split(":")[0] for index in indexes} == {"NoReference", "Comparative"}
    counts = {len(dataset.build_prompt(i)) for i in range(len(dataset))}
    assert counts == {2, 3}


def test_kits_own_prompt_of_a_model_is_not_used_in_api_mode(kit, work):
    """A zoo model that insists on its own prompt, put through the kit's api-mode pipeline."""
    import asyncio

    from vlmeval.inference_api import APIEvalPipeline, DatasetConfig

    seen = []

    class Insisting:
        is_api = True

        def use_custom_prompt(self, dataset):
            return True

        def build_prompt(self, line, dataset=None):
            return [{"type": "text", "value": "my own prompt"}]

        def set_dump_image(self, function):
            pass

        def generate(self, message, dataset=None):
            seen.append(message[-1]["value"])
            return "A"

    dataset = kit.build_dataset("MedQBench_Perception_mini")
    work.mkdir()
    config = DatasetConfig(
        dataset_name="MedQBench_Perception_mini",
        dataset_obj=dataset,
        dataset_type="image",
        model_obj=Insisting(),
        model_name="insisting",
        work_dir=str(work),
        result_file=str(work / "insisting_MedQBench_Perception_mini.xlsx"),
        judge_kwargs={},
    )

    async def go():
        await APIEvalPipeline([config], concurrency=2, run_eval=False).run()

    asyncio.run(go())
    assert len(seen) == len(kit.build_dataset("MedQBench_Perception_mini"))
    assert "my own prompt" not in seen


def test_kits_own_prompt_of_a_model_is_not_used_in_local_mode(kit, work):
    from vlmeval.inference import infer_data_job
    from vlmeval.vlm.base import BaseModel

    seen = []

    class Insisting(BaseModel):
        INTERLEAVE = True

        def use_custom_prompt(self, dataset):
            return True

        def build_prompt(self, line, dataset=None):
            return [{"type": "text", "value": "my own prompt"}]

        def generate_inner(self, message, dataset=None):
            seen.append(message[-1]["value"])
            return "A"

    dataset = kit.build_dataset("MedQBench_Perception_mini")
    work.mkdir()
    infer_data_job(Insisting(), work_dir=str(work), model_name="insisting", dataset=dataset)
    assert len(seen) == len(dataset)
    assert "my own prompt" not in seen


def test_evaluate_returns_plain_json(kit, tsv, tmp_path):
    dataset = kit.MedQBenchPerception(dataset="MedQBench_Perception", data_path=str(tsv))
    frame = dataset.data.copy()
    frame["prediction"] = ["No", "Failed to obtain answer via API."]
    folder = tmp_path / "outputs" / "some-model" / "T20260101-000000"
    folder.mkdir(parents=True)
    file = folder / "some-model_MedQBench_Perception.tsv"
    frame.to_csv(file, sep="\t", index=False)
    found = dataset.evaluate(str(file), model="gpt-4o-mini", nproc=4)
    assert json.loads(json.dumps(found)) == found
    assert (found["Overall"], found["Yes-or-No"], found["What"], found["n"]) == (50.0, 100.0, 0.0, 2)
    assert (tmp_path / "outputs" / "leaderboard" / "leaderboard.json").exists()
    assert kit.MedQBenchPerception.report_infer_err(str(file)) == {"failed": 1, "total": 2}
