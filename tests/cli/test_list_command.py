"""'medqbench list', what a shell completes, and the help of a run: all without the kit's import."""

import json
import re

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.kit_version import InstalledKit, ZooModel, zoo_models
from tests.commands import run

CONFIG = """
import vlmeval.api as api
import vlmeval.vlm as vlm
ours = {
    "GPT4o": partial(api.GPT4V, model="gpt-4o-2024-05-13", retry=10),
    "Claude": partial(api.Claude3V, model="claude-4"),
    'Qwen2.5-VL-7B-Instruct': partial(vlm.Qwen2VLChat, model_path="Qwen/Qwen2.5-VL-7B-Instruct", note="a/b c"),
}
supported_VLM = {}
supported_VLM["Local"] = partial(vlm.Other, root=ROOT)
ours["GPT4o-today"] = copy.deepcopy(ours["GPT4o"])
for group in groups:
    supported_VLM.update(group)
"""


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """A kit whose source names five models."""
    package = tmp_path / "vlmeval"
    package.mkdir()
    (package / "config.py").write_text(CONFIG, encoding="utf-8")
    kit = InstalledKit(package, "checkout", "1", None)
    monkeypatch.setattr("medqbench_vlmeval.report.catalogue.find_kit", lambda: kit)
    return kit


def listed(capsys, *words):
    code, out, err = run(capsys, "list", *words, "--json")
    assert (code, err) == (0, "")
    return {next(iter(row.values())): row for row in json.loads(out)}


def test_what_each_model_takes_is_read_from_the_kits_source(capsys, zoo):
    models, whole = zoo_models(zoo)
    assert models == {
        "GPT4o": ZooModel("GPT4V", "gpt-4o-2024-05-13", None),
        "Claude": ZooModel("Claude3V", "claude-4", None),
        "Qwen2.5-VL-7B-Instruct": ZooModel("Qwen2VLChat", "", "Qwen/Qwen2.5-VL-7B-Instruct"),
        "Local": ZooModel("Other", "", None),
        "GPT4o-today": ZooModel("GPT4V", "gpt-4o-2024-05-13", None),
    }
    assert whole
    models = listed(capsys, "models")
    # Those of the published tables that this zoo or the kit's classes have stand first, then the baselines.
    first = ["GPT-4o", "Mistral-Medium-3", "MedGemma-27B", "Lingshu-32B", "Qwen2.5-VL-7B"]
    assert [*models][:7] == [*first, "MedQ-Chance", "MedQ-Classical"]
    assert models["GPT-4o"]["needs"] == "OPENAI_API_KEY, network"
    assert models["Claude"]["needs"] == "ANTHROPIC_API_KEY, ANTHROPIC_BACKEND=official, network"
    assert models["MedQ-Chance"]["needs"] == "the kit"
    # 7 x 10^9 parameters x 2 bytes x 1.2 / 2^30.
    assert models["Qwen2.5-VL-7B"] == {
        "model": "Qwen2.5-VL-7B", "what": "the zoo's Qwen2.5-VL-7B-Instruct", "GPU_GiB": pytest.approx(15.65, abs=0.01),
        "needs": "weights of Qwen/Qwen2.5-VL-7B-Instruct", "key": None, "backend": None, "gated": False,
        "weights": "Qwen/Qwen2.5-VL-7B-Instruct", "class": "Qwen2VLChat",
    }  # fmt: skip
    assert (models["MedGemma-27B"]["weights"], models["MedGemma-27B"]["gated"]) == ("google/medgemma-27b-it", True)
    assert models["Mistral-Medium-3"]["key"] == "MISTRAL_API_KEY"
    assert "GPT-5" not in models
    assert [*listed(capsys, "models", "QWEN")] == ["Qwen2.5-VL-7B", "Qwen2.5-VL-7B-Instruct"]
    _, out, _ = run(capsys, "list", "models", "qwen")
    assert out.startswith("2 of 12 models\n")


def test_without_a_kit_its_two_ways_in_are_said(capsys, monkeypatch):
    monkeypatch.setattr("medqbench_vlmeval.report.catalogue.find_kit", lambda: None)
    _, out, _ = run(capsys, "list", "models")
    assert "ms-vlmeval" in out or "medqbench-vlmeval[kit]" in out
    assert "MedQ-Classical" in out


def test_datasets_say_where_they_are_and_how_large(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("MEDQBENCH_DATA", str(tmp_path))
    (tmp_path / "medqbench_QA_dev.tsv").write_text(
        "index\timage\tquestion\tA\tB\tanswer\n1\tx\tIs it?\tYes\tNo\tA\n2\tx\tIs it?\tYes\tNo\tB\n", encoding="utf-8"
    )
    datasets = listed(capsys, "datasets")
    assert len(datasets) == 12 + 5
    dev, test = (datasets[f"MedQBench_Perception_{split}"] for split in ("dev", "test"))
    assert (dev["n"], dev["where"], dev["needs"], dev["size"]) == (2, "MEDQBENCH_DATA", "nothing", "0.00 MiB")
    assert dev["path"] == str(tmp_path / "medqbench_QA_dev.tsv")
    assert (test["n"], test["where"], test["size"]) == (1305, "not here yet", None)
    assert datasets["MedQDeg_simulate_test"]["n"] is None
    assert datasets["MedQBench_Reasoning_test"]["n"] == 221 + 133
    assert datasets["MedQBench_Reasoning_mini"] | {"size": None, "path": None} == {
        "dataset": "MedQBench_Reasoning_mini", "task": Task.REASONING.value, "split": "mini", "n": 40, "size": None,
        "where": "embedded", "needs": "nothing", "path": None,
    }  # fmt: skip


def test_judges_protocols_and_styles(capsys):
    judges = listed(capsys, "judges")
    assert (judges["rules"]["needs"], "MEDQBENCH_JUDGE_KEY" in judges["gpt-4o"]["needs"]) == ("nothing", True)
    protocols = listed(capsys, "protocols")
    assert protocols["rubric"]["calls_a_sample"], protocols["rubric-joint"]["calls_a_sample"] == (4, 1)
    assert [*listed(capsys, "styles")] == ["official", "letter", "reasoning", "confidence"]


@pytest.mark.parametrize(
    ("words", "said"), [(["model"], "choose one of models, datasets"), (["judges", "nobody"], "has 'nobody'")]
)
def test_what_is_not_there_is_said_in_a_sentence(capsys, words, said):
    code, out, err = run(capsys, "list", *words)
    assert (code, out, said in err) == (2, "", True)


@pytest.mark.parametrize(
    ("line", "wanted", "absent"),
    [
        ("medqbench li", {"list"}, set()),
        ("medqbench list ", {"models", "styles"}, set()),
        ("medqbench score --data MedQBench_Perc", {"MedQBench_Perception", "MedQBench_Perception_mini"}, {"rules"}),
        ("medqbench score --judge ru", {"rules"}, {"gpt-4o"}),
        ("medqbench score --protocol rub", {"rubric", "rubric-joint"}, {"official"}),
        ("medqbench score --model Qw", {"Qwen2.5-VL-7B", "Qwen2.5-VL-7B-Instruct"}, {"GPT4o"}),
        ("medqbench run --model MedQ-C", {"MedQ-Chance", "MedQ-Classical"}, set()),
        ("medqbench run --data MedQBench_Reasoning_m", {"MedQBench_Reasoning_mini"}, set()),
        ("medqbench run --prompt-style l", {"letter"}, {"official"}),
        ("medqbench data info MedQBench_Reasoning_m", {"MedQBench_Reasoning_mini"}, set()),
    ],
)
def test_a_shell_completes_commands_and_values(capsys, monkeypatch, zoo, line, wanted, absent):
    monkeypatch.setenv("_MEDQBENCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
    code, out, _ = run(capsys)
    assert code == 0
    assert wanted <= set(out.split())
    assert not absent & set(out.split())


def test_a_file_is_completed_where_a_dataset_may_be_one(capsys, monkeypatch, tmp_path):
    (tmp_path / "mine.tsv").touch()
    monkeypatch.setenv("_MEDQBENCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"medqbench score --data {tmp_path}/mi")
    monkeypatch.setenv("COMP_CWORD", "3")
    assert run(capsys)[1].split() == [f"{tmp_path}/mine.tsv"]


@pytest.mark.parametrize("words", [["run", "--help"], ["run", "-h"], ["run", "--data", "x", "--help"]])
def test_the_help_of_a_run_begins_with_our_options(capsys, words):
    code, out, _ = run(capsys, *words)
    assert code == 0
    ours, kits = out.split("Options of the kit that are used most:")
    own = ("limit", "prompt-style", "image-bytes", "image-detail", "robustness", "extractor", "resume-failed")
    assert {f"--{name}" for name in (*own, "no-test-call", "help-kit")} <= set(re.findall(r"--[\w-]+", ours))
    assert {"--data", "--model", "--judge", "--work-dir", "--reuse"} <= set(re.findall(r"--[\w-]+", kits))
    assert max(map(len, out.splitlines())) <= 80
