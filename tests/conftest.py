"""What holds for every test."""

import pytest


@pytest.fixture(autouse=True)
def judge_cache(tmp_path_factory, monkeypatch):
    """A judge's cache of the test's own: no test may read the user's, or another test's."""
    folder = tmp_path_factory.mktemp("judge-cache")
    monkeypatch.setenv("MEDQBENCH_JUDGE_CACHE", str(folder))
    return folder
