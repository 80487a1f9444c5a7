"""The real kit, imported once for all tests of this folder (about ten seconds); without one they are skipped."""

import contextlib
import gc
import os

import pytest

from medqbench_vlmeval.kit import options, runner
from medqbench_vlmeval.kit_version import find_kit


@pytest.fixture(scope="session", autouse=True)
def _needs_kit():
    if find_kit() is None:
        pytest.skip("VLMEvalKit is not installed")


@pytest.fixture(scope="session")
def kit():
    """The kit's dataset package with our classes and models registered."""
    import medqbench_vlmeval

    medqbench_vlmeval.register()
    import vlmeval.dataset
    import vlmeval.inference

    with contextlib.suppress(ModuleNotFoundError):  # a checkout keeps its run.py beside the package
        import vlmeval.run

    # The kit collects garbage after every run: half a second for what it has imported, which stays to the end anyway.
    gc.freeze()
    return vlmeval.dataset


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A work folder of its own; images are kept out of the user's home."""
    (tmp_path / "lmu").mkdir()
    monkeypatch.setenv("LMUData", str(tmp_path / "lmu"))
    for name in ("MEDQBENCH_DATA", "PRED_FORMAT", options.LIMIT_VARIABLE, options.EXTRACTOR_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "outputs"


@pytest.fixture
def handed_over(kit, monkeypatch):
    """What the kit is given instead of being run: its words, and the limit in the environment."""
    calls = []
    monkeypatch.setattr(
        runner, "_hand_over", lambda _, words: calls.append((words, os.environ.get(options.LIMIT_VARIABLE)))
    )
    return calls
