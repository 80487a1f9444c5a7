"""The real kit, imported once for all tests of this folder (about ten seconds)."""

import contextlib
import gc

import pytest

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
    monkeypatch.delenv("MEDQBENCH_DATA", raising=False)
    monkeypatch.delenv("PRED_FORMAT", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "outputs"
