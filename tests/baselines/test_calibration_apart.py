"""The reference of MedQ-Classical was fitted on other pictures than the ones it is shown in the embedded set."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from medqbench_vlmeval.benchmark import MODALITIES
from medqbench_vlmeval.synth.catalogue import SOURCES

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "calibrate_classical.py"


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("calibrate_classical", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_calibration_scene_is_an_embedded_source() -> None:
    embedded = {(source.load.func, *source.load.args) for source in SOURCES.values()}
    used = [(scene.func, *scene.args) for modality in MODALITIES for _, scene in script().scenes_of(modality)]
    assert len(used) == len(set(used)) >= 60
    assert not embedded & set(used)
