from __future__ import annotations

from typing import Any

import pytest

from medqbench_vlmeval.errors import BadInput, JudgeError
from medqbench_vlmeval.judge import JudgeOptions, build_judge
from medqbench_vlmeval.tasks import Task

# What the kit's runner passes for `--judge m --judge-base-url http://h:1/v1 --judge-key k`.
FROM_RUNNER: dict[str, Any] = {
    "nproc": 32,
    "verbose": False,
    "retry": 6,
    "timeout": 600,
    "api_base": "http://h:1/v1/chat/completions",
    "key": "k",
    "model": "m",
    "use_verifier": True,
    "use_vllm": True,
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MEDQBENCH_JUDGE_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)


def test_the_runners_keywords_are_understood() -> None:
    options = JudgeOptions.from_kit_kwargs(FROM_RUNNER)
    assert (options.name, options.nproc, options.retry, options.timeout) == ("m", 32, 6, 600)
    assert options.endpoint() == "http://h:1/v1"
    assert (options.protocol, options.temperature, options.max_tokens) == ("official", 0.0, None)


def test_judge_args_are_merged_in() -> None:
    more = {"protocol": "rubric", "temperature": None, "max_tokens": 64, "extra": {"seed": 1}, "n_rounds": 1}
    options = JudgeOptions.from_kit_kwargs({**FROM_RUNNER, **more})
    assert (options.protocol, options.temperature, options.max_tokens) == ("rubric", None, 64)
    assert options.extra == {"seed": 1}


@pytest.mark.parametrize("model", [{}, {"model": None}, {"model": ""}, {"model": "  "}])
def test_no_judge_is_one_clear_sentence(model: dict[str, Any]) -> None:
    with pytest.raises(JudgeError, match=r"No judge was named.*predictions are saved.*--judge gpt-4o.*--judge rules"):
        JudgeOptions.from_kit_kwargs({"nproc": 4, **model})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"protocl": "rubric"}, "Unknown judge option 'protocl'"),
        ({"a": 1, "b": 2}, "Unknown judge options 'a', 'b'"),
        ({"nproc": 0}, "'nproc' is 0; it must be a number from 1 to 1000"),
        ({"nproc": "many"}, "'nproc' is 'many'"),
        ({"retry": -1}, "'retry' is -1"),
        ({"timeout": 0}, "'timeout' is 0"),
        ({"temperature": 3}, "'temperature' is 3"),
        ({"max_tokens": 0}, "'max_tokens' is 0"),
        ({"n_rounds": 50}, "'n_rounds' is 50"),
        ({"fresh": "yes"}, "'fresh' is 'yes'; it must be true or false"),
        ({"panel": ["a"]}, "'panel' must be a list of objects"),
        ({"panel": [{"model": "a"}, {"model": "a"}]}, "different names, not a, a"),
        ({"panel": [{"model": "a", "nprok": 1}, {"model": "b"}]}, "takes no option 'nprok'"),
        ({"extra": [1]}, "'extra' must be an object"),
    ],
)
def test_bad_options_are_named(more: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        JudgeOptions.from_kit_kwargs({"model": "m", **more})


@pytest.mark.parametrize(
    "url", ["http://h:1/v1", "http://h:1/v1/", "http://h:1/v1/chat/completions", " http://h:1/v1/chat/completions/ "]
)
def test_a_base_url_may_end_in_the_route(url: str) -> None:
    assert JudgeOptions("m", url).endpoint() == "http://h:1/v1"


def test_the_environment_gives_the_base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    assert JudgeOptions("m").endpoint() == "https://api.openai.com/v1"
    monkeypatch.setenv("OPENAI_API_BASE", "http://kit:1/v1/chat/completions")
    assert JudgeOptions("m").endpoint() == "http://kit:1/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://sdk:1/v1")
    assert JudgeOptions("m").endpoint() == "http://sdk:1/v1"
    assert JudgeOptions("m", "http://option:1/v1").endpoint() == "http://option:1/v1"


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://h/v1", "http://", "h"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="base URL"):
        build_judge(JudgeOptions("m", url, protocol="rubric"))


def test_the_key_comes_from_option_then_environment_then_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    assert JudgeOptions("m", "http://h:1/v1").secret() == "EMPTY"
    with pytest.raises(JudgeError, match=r"MEDQBENCH_JUDGE_KEY or OPENAI_API_KEY.*--judge-key.*--judge-base-url"):
        JudgeOptions("m").secret()
    monkeypatch.setenv("OPENAI_API_KEY", "second")
    assert JudgeOptions("m").secret() == "second"
    monkeypatch.setenv("MEDQBENCH_JUDGE_KEY", "first")
    assert JudgeOptions("m").secret() == "first"
    assert JudgeOptions("m", key="option").secret() == "option"


def test_no_key_shows() -> None:
    options = JudgeOptions("m", "http://user:pass@h:1/v1", key="sk-canary", protocol="rubric")
    assert "sk-canary" not in repr(options)
    judge = build_judge(options)
    described = str(judge.describe(Task.NO_REFERENCE))
    assert "sk-canary" not in described
    assert "pass" not in described


def test_rules_needs_nothing() -> None:
    assert build_judge(JudgeOptions("rules")).name == "rules"
    assert build_judge(JudgeOptions("rules")).protocol == "rules"
