"""A set of the user's own images runs in the real kit under the name that it was registered under."""

import json

import pytest

from medqbench_vlmeval.data.registered import register
from medqbench_vlmeval.kit.runner import run
from medqbench_vlmeval.synth.plan import make_plan
from medqbench_vlmeval.synth.produce import produce
from scripts.build_mini import SOURCES
from tests import commands
from tests.kit.runs import newest, score_of

pytestmark = [pytest.mark.needs_kit, pytest.mark.slow]


@pytest.fixture
def ward7(work, tmp_path, monkeypatch):
    """A small set of three MRI slices, and its name."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    sources = [source for source in SOURCES.values() if source.modality == "MRI"][:3]
    produce(make_plan(sources, seed=1, per_image=8, dev_share=0.0, name="ward7"), tmp_path / "set", 1)
    register(tmp_path / "set", "ward7")
    return "ward7"


@pytest.mark.parametrize("model", ["MedQ-Chance", "MedQ-Classical"])
def test_the_name_alone_runs_every_task(kit, work, ward7, model, tmp_path, capsys):
    assert run(["--data", ward7, "--model", model, "--judge", "rules", "--work-dir", str(work)]) == 0
    assert "ward7 is run as ward7_Perception, ward7_Reasoning." in capsys.readouterr().err
    score = score_of(work, model, "ward7_Perception")
    assert score["n"] == 24
    assert score["comparable"] == "no"
    assert set(score["groups"]["modality"]) == {"MRI"}
    both = score_of(work, model, "ward7_Reasoning")
    assert both["NoReference"]["n"] + both["Comparative"]["n"] == 15
    predictions = newest(work, f"{model}_ward7_Perception.xlsx")
    code, _, err = commands.run(capsys, "score", predictions, "--data", ward7, "--out", tmp_path / "again")
    assert code == 0, err
    again = json.loads((tmp_path / "again" / f"{model}_ward7_Perception_score.json").read_text(encoding="utf-8"))
    assert again["Overall"] == score["Overall"]


def test_one_task_and_its_second_pass_run_by_their_names(kit, work, ward7):
    words = ["--data", "ward7_Perception", "--model", "MedQ-Classical", "--robustness", "--work-dir", str(work)]
    assert run(words) == 0
    assert newest(work, "MedQ-Classical_ward7_Perception_robustness.xlsx").is_file()


def test_a_path_is_told_how_to_become_a_name(kit, work, ward7, tmp_path, capsys):
    code, _, err = commands.run(capsys, "run", "--data", tmp_path / "set", "--model", "MedQ-Chance")
    assert code == 2
    assert f"'medqbench data register {tmp_path / 'set'} NAME'" in err
