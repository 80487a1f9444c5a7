"""A machine without a network, without keys and without the user's own settings."""

import json

import pytest

from medqbench_vlmeval.judge import tokens


@pytest.fixture
def prices(tmp_path):
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"models": {"own": {"input": 2, "output": 8}}}), encoding="utf-8")
    return path


@pytest.fixture
def closed_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(tokens, "load_encoding", lambda name: None)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("MEDQBENCH_PRICES", "MEDQBENCH_JUDGE_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
