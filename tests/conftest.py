"""What holds for every test."""

import functools
import gc
import importlib.util
import itertools
import json
import os
import sqlite3

import pytest
from hypothesis import HealthCheck, settings

from medqbench_vlmeval.kit_version import find_kit
from tests.small_llm import small_llm

# A run of the suite takes few examples of each property; 'pytest --hypothesis-profile=thorough' takes many.
# No test measures time: a busy machine fails none.
CALM = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("suite", max_examples=50, **CALM)
settings.register_profile("thorough", max_examples=200, **CALM)
settings.load_profile("suite")

_numbers = itertools.count(1)


def pytest_runtest_setup(item):
    """Skip what is marked ``needs_kit`` (the official texts, a run of the kit) where none is installed."""
    if item.get_closest_marker("needs_kit") is not None and find_kit() is None:
        pytest.skip("VLMEvalKit is not installed")


def pytest_collection_finish():
    """Modules and tests stay to the end: the collector need not look through them again and again."""
    gc.freeze()


def pytest_sessionfinish():
    """What was frozen, here or by the kit's fixture, may go."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def judge_caches(tmp_path_factory):
    """Where every test's cache is: one folder of pytest's own for all, which looks through them for each new one."""
    return tmp_path_factory.mktemp("judge-caches")


@pytest.fixture(autouse=True)
def judge_cache(judge_caches, monkeypatch):
    """A judge's cache of the test's own: no test may read the user's, or another test's."""
    folder = judge_caches / str(next(_numbers))
    folder.mkdir()
    monkeypatch.setenv("MEDQBENCH_JUDGE_CACHE", str(folder))
    return folder


@pytest.fixture
def prices(tmp_path):
    """A price table of a user's own, in dollars a million tokens."""
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"models": {"own": {"input": 2, "output": 8}}}), encoding="utf-8")
    return path


@pytest.fixture(scope="session", autouse=True)
def one_certificate(tmp_path_factory):
    """One certificate authority instead of 150: reading them all takes 20 ms a client, and no test uses TLS."""
    if importlib.util.find_spec("certifi") is None:
        yield
        return
    import certifi

    end = "-----END CERTIFICATE-----\n"
    with open(certifi.where(), encoding="utf-8") as source:
        first = source.read().partition(end)[0]
    path = tmp_path_factory.mktemp("certificates") / "one.pem"
    path.write_text(first + end, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(path))
        yield


class Unsynced(sqlite3.Connection):
    """A connection that does not wait for the disk."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        super().execute("PRAGMA synchronous = OFF")

    def execute(self, sql, *args):
        return super().execute("PRAGMA synchronous = OFF" if sql.startswith("PRAGMA synchronous") else sql, *args)


@pytest.fixture(scope="session", autouse=True)
def no_wait_for_the_disk():
    """No test cuts the power: what is written need not reach the disk, which takes 5 ms a file and 50 ms a cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _number: None)
        patch.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=Unsynced))
        yield


@pytest.fixture(scope="session")
def small_llm_url():
    """The base URL of a real language model, one for all tests; transformers, which reads its weights, is the kit's."""
    pytest.importorskip("transformers")
    with small_llm() as base_url:
        yield base_url
