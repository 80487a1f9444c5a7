"""Options of a run: what is refused before inference, and what the kit is told."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.kit.options import EXTRACTOR_VARIABLE, LIMIT_VARIABLE
from medqbench_vlmeval.kit.runner import run, takes_limit
from tests.kit.runs import NO_REFERENCE, PERCEPTION

MODEL = ["--model", "MedQ-Chance"]
ONE = ["--data", PERCEPTION, *MODEL]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--data and --model"),
        (["--data", "MedQBench_Perceptoin_mini", *MODEL], "MedQBench_Perception_mini"),
        (["--data", PERCEPTION, "--model", "Qwen2.5-VL-7b"], r"Qwen2\.5-VL-7B"),
        *(([*ONE, f"--limit={limit}"], "--limit is") for limit in ("0", "-1", "all", "2.5")),
        ([*ONE, "--dry-run"], "medqbench score PREDICTIONS --judge NAME --dry-run"),
        *(([*ONE, "--data-config", text], "--data-config") for text in ('{"x":', "[]", '{"x": 1}')),
        *(([*ONE, "--extractor", name], "--extractor") for name in ("Rules", "a,b", "kit: ")),
        (["--data", NO_REFERENCE, *MODEL, "--extractor", "e"], "no dataset of this run is MedQBench_Perception"),
        # The kit's parser would take these for options with a key, past our eyes.
        *(
            ([*ONE, option, "sk-x"], "out: --judge-key, --judge-args or --key")
            for option in ("--judge-k", "--judge-ke", "--judge-arg", "--judge-k=x", "--ke", "--ke=x")
        ),
    ],
    ids=lambda value: " ".join(value[4:]) if isinstance(value, list) else "",
)
def test_what_is_refused_before_inference(kit, work, arguments, words):
    with pytest.raises(BadInput, match=words):
        run([*arguments, "--work-dir", str(work)])
    assert not work.exists()


ROOT = Path(__file__).parents[2]
_LIGHT = """
import sys
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.kit.runner import run
try:
    run(sys.argv[1:])
except BadInput as error:
    assert not {"vlmeval", "torch", "pandas"} & set(sys.modules)
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", PERCEPTION, "MedQbench_Preception", *MODEL], "Did you mean 'MedQBench_Perception'"),
        (["--data", PERCEPTION, "--model", "MedQ-Chance", "Qwen2.5-VL-7B-Instrukt"], "Qwen2.5-VL-7B-Instruct"),
        ([*ONE, "--prompt-style", "leter"], "Did you mean 'letter'"),
        ([*ONE, "--judge", "Rule"], "Did you mean 'rules'"),
        ([*ONE, "--judge-args", '{"protocol": "rubrik"}'], "Did you mean 'rubric'"),
    ],
    ids=["dataset", "model", "style", "judge", "protocol"],
)
def test_names_are_looked_up_before_anything_heavy_is_imported(work, arguments, words):
    ran = subprocess.run([sys.executable, "-c", _LIGHT, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert words in ran.stdout, ran.stderr


def test_names_of_the_kits_that_its_source_does_not_spell(kit, work, tmp_path):
    with pytest.raises(BadInput, match=r"(?i)no dataset 'MMBench_DEV_ENN'\. Nearest names: MMBench_DEV_EN"):
        run(["--data", "MMBench_DEV_ENN", *MODEL, "--work-dir", str(work)])
    with pytest.raises(BadInput, match="files of two models would have the same names"):
        run(["--data", PERCEPTION, "--model", "a/b", "a--b", "--base-url", "http://h", "--work-dir", str(work)])


def test_a_config_or_work_folder_that_the_kit_would_fail_on_is_refused(kit, work, tmp_path):
    config = tmp_path / "config.json"
    # Without a name the class takes its test split.
    for entry in ({"class": "MedQBenchPerception", "dataset": PERCEPTION}, {"class": "MedQDeg"}):
        config.write_text(json.dumps({"model": {"MedQ-Chance": {}}, "data": {"mine": entry}}))
        with pytest.raises(BadInput, match="needs the dataset's own name"):
            run(["--config", str(config), "--work-dir", str(work)])
    with pytest.raises(BadInput, match="cannot be made"):
        run([*ONE, "--work-dir", str(config / "x")])
    assert not work.exists()


def test_a_choice_that_is_none_is_named_in_one_line(kit, work, capfd):
    with pytest.raises(SystemExit, match="2"):
        run([*ONE, "--image-bytes", "orig", "--work-dir", str(work)])
    said = capfd.readouterr().err
    assert said.startswith("medqbench run: error: argument --image-bytes: invalid choice: 'orig'")
    assert said.count("\n") == 1


def test_help_is_the_kits(kit, work):
    with pytest.raises(SystemExit) as end:
        run(["--help"])
    assert end.value.code == 0


def test_variables_are_checked_before_inference_too(kit, work, monkeypatch):
    monkeypatch.setenv(EXTRACTOR_VARIABLE, "a,b")
    with pytest.raises(BadInput, match="MEDQBENCH_EXTRACTOR takes one model"):
        run([*ONE, "--work-dir", str(work)])
    assert not work.exists()
    monkeypatch.setenv(LIMIT_VARIABLE, "7")
    dataset = kit.build_dataset(PERCEPTION)
    assert len(dataset) == len(dataset.data) == 7
    assert list(dataset.data.index) == list(range(7))
    assert dataset.build_prompt(6)[-1]["type"] == "text"
    monkeypatch.setenv(LIMIT_VARIABLE, "seven")
    with pytest.raises(BadInput, match=f"{LIMIT_VARIABLE} is 'seven'"):
        kit.MedQBenchPerception(PERCEPTION)


@pytest.mark.parametrize("option", ["--limit", "--limi", "--lim", "--li"])
def test_no_abbreviation_reaches_the_kits_own_limit(handed_over, work, option):
    run([*ONE, option, "7", "--work-dir", str(work)])
    assert handed_over == [([*ONE, "--work-dir", str(work)], "7")]


def test_with_a_dataset_of_the_kits_the_kit_gets_the_limit_too(kit, handed_over, work):
    mixed = ["--data", PERCEPTION, "MMBench_DEV_EN", *MODEL, "--limit", "7", "--work-dir", str(work)]
    inside = Path(kit.__file__).parent.parent / "run.py"
    if takes_limit(inside if inside.is_file() else inside.parent.parent / "run.py"):
        run(mixed)
        assert handed_over[0][0][-2:] == ["--limit", "7"]
    else:
        with pytest.raises(BadInput, match="has no --limit for datasets of its own"):
            run(mixed)
