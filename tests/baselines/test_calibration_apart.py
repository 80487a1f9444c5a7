"""The reference of MedQ-Classical was fitted on other pictures than the ones it is shown in the embedded set."""

from __future__ import annotations

import importlib.util
from functools import partial
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


def identity(load: object) -> tuple[object, ...]:
    return (load.func, *load.args) if isinstance(load, partial) else (load,)


def test_no_calibration_scene_is_an_embedded_source() -> None:
    embedded = {identity(source.load) for source in SOURCES.values()}
    calibrate = script()
    used = [identity(scene) for modality in MODALITIES for _, scene in calibrate.scenes_of(modality)]
    assert len(used) == len(set(used)) >= 60
    assert not embedded & set(used)


def test_calibration_scenes_lie_inside_their_originals() -> None:
    calibrate = script()
    for squares, limit in ((calibrate._RETINA, 1411), (calibrate._TISSUE, 512), (calibrate._SPINE, 128)):
        assert all(max(left, top) + side <= limit for left, top, side, *_ in squares)
    assert all(left + side <= 484 and side <= 300 for left, side, _ in calibrate._ABDOMEN)
