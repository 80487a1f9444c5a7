"""A machine without a network, without keys and without the user's own settings."""

import pytest

from medqbench_vlmeval.judge import tokens


@pytest.fixture
def closed_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(tokens, "load_encoding", lambda name: None)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("MEDQBENCH_PRICES", "MEDQBENCH_JUDGE_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
