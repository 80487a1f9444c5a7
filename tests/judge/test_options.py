from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from medqbench_vlmeval.errors import BadInput, JudgeError, NoJudge
from medqbench_vlmeval.judge import JudgeOptions, build_judge
from medqbench_vlmeval.judge.secrets import shown_extra, shown_url

# What the kit's runner passes for `--judge m --judge-base-url http://h:1/v1 --judge-key k`.
FROM_RUNNER: dict[str, Any] = {"model": "m", "api_base": "http://h:1/v1/chat/completions", "key": "k", "nproc": 32}
FROM_RUNNER |= {"retry": 6, "timeout": 600, "verbose": False, "use_verifier": True, "use_vllm": True}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MEDQBENCH_JUDGE_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)


def test_the_runners_keywords_are_understood_and_judge_args_merged_in() -> None:
    options = JudgeOptions.from_kit_kwargs(FROM_RUNNER)
    assert (options.name, options.nproc, options.retry, options.timeout) == ("m", 32, 6, 600)
    assert options.endpoint() == "http://h:1/v1"
    assert (options.protocol, options.temperature, options.max_tokens) == ("official", 0.0, None)
    more = {"protocol": "rubric", "temperature": None, "max_tokens": 64, "extra": {"seed": 1}, "n_rounds": 1}
    options = JudgeOptions.from_kit_kwargs({**FROM_RUNNER, **more})
    assert (options.protocol, options.temperature, options.max_tokens) == ("rubric", None, 64)
    assert options.extra == {"seed": 1}


@pytest.mark.parametrize("model", [{}, {"model": None}, {"model": ""}, {"model": "  "}])
def test_no_judge_is_one_clear_sentence(model: dict[str, Any]) -> None:
    with pytest.raises(
        JudgeError, match=r"No judge was named.*predictions stay as they are.*--judge gpt-4o.*--judge rules"
    ):
        JudgeOptions.from_kit_kwargs({"nproc": 4, **model})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"protocl": "rubric"}, "Unknown judge option 'protocl'"),
        ({"a": 1, "b": 2}, "Unknown judge options 'a', 'b'"),
        ({"nproc": 0}, "'nproc' is 0; it must be a number from 1 to 1000"),
        ({"nproc": "many"}, "'nproc' is 'many'"),
        ({"nproc": True}, "'nproc' is True"),
        ({"nproc": 2.5}, "'nproc' is 2.5"),
        ({"timeout": float("inf")}, "'timeout' is inf"),
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
        ({"key": ["sk-canary"]}, "'key' must be a text"),
    ],
)
def test_bad_options_are_named_and_a_key_is_not_shown(more: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        JudgeOptions.from_kit_kwargs({"model": "m", **more})
    assert "sk-canary" not in str(caught.value)


def test_numbers_may_come_as_texts_and_blank_texts_are_defaults() -> None:
    more = {"nproc": "1e2", "retry": "5", "timeout": 7, "protocol": " ", "base_url": "", "key": " k ", "extra": None}
    options = JudgeOptions.from_kit_kwargs({"model": " m ", **more})
    assert (options.name, options.nproc, options.retry, options.timeout) == ("m", 100, 5, 7.0)
    assert (options.protocol, options.base_url, options.key, options.extra) == ("official", None, "k", {})


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        *((url, url) for url in ("http://127.0.0.1:8000/v1", "http://localhost/v1", "http://my_judge:8000/v1")),
        *((url, url) for url in ("http://[::1]:8000/v1", "https://a.example/c", "http://h:1/v1?sig=x")),
        ("http://h:1/v1/", "http://h:1/v1"),
        ("http://h:1/v1/chat/completions", "http://h:1/v1"),
        (" http://h:1/v1/chat/completions/ ", "http://h:1/v1"),
        ("http://h:1/v1/chat/completions?sig=x", "http://h:1/v1?sig=x"),
        # What the kit's runner makes of it.
        ("http://h:1/v1?sig=x/chat/completions", "http://h:1/v1?sig=x"),
        ("http://u:p@h:1/v1/", "http://u:p@h:1/v1"),
    ],
)
def test_a_base_url_may_end_in_the_route_and_keeps_its_query_and_its_user(url: str, endpoint: str) -> None:
    assert JudgeOptions("m", url).endpoint() == endpoint


def test_the_environment_gives_the_base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    assert JudgeOptions("m").endpoint() == "https://api.openai.com/v1"
    monkeypatch.setenv("OPENAI_API_BASE", "http://kit:1/v1/chat/completions")
    assert JudgeOptions("m").endpoint() == "http://kit:1/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://sdk:1/v1")
    assert JudgeOptions("m").endpoint() == "http://sdk:1/v1"
    assert JudgeOptions("m", "http://option:1/v1").endpoint() == "http://option:1/v1"


@pytest.mark.parametrize(
    "url",
    ["localhost:8000", "ftp://h/v1", "http://", "h", "http://h:port/v1", "http://[h/v1", "http://:80/v1", "http://a b"],
)
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


def test_an_env_file_in_the_working_folder_is_read_and_not_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("\ufeffOPENAI_API_KEY='from $HOME file'\n# note\nOPENAI_BASE_URL=http://file:1/v1\n")
    options = JudgeOptions("m")
    assert (options.secret(), options.endpoint()) == ("from $HOME file", "http://file:1/v1")
    assert "OPENAI_API_KEY" not in os.environ
    monkeypatch.setenv("OPENAI_API_KEY", "environment")
    assert options.secret() == "environment"


def test_the_variable_that_key_env_names(monkeypatch: pytest.MonkeyPatch) -> None:
    options = JudgeOptions("m", "http://h:1/v1", key="option", key_env="MY_KEY")
    with pytest.raises(NoJudge, match="environment variable MY_KEY with the key of 'm' is not set"):
        options.secret()
    monkeypatch.setenv("MY_KEY", "mine")
    assert options.secret() == "mine"
    # Whoever puts the key itself there does not see it again.
    with pytest.raises(NoJudge) as caught:
        JudgeOptions("m", key_env="gsk_canary").secret()
    assert "gsk_canary" not in str(caught.value)


def test_a_members_own_key_and_url_go_before_the_common_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMMON", "common")
    shared = {"key_env": "COMMON", "base_url": "http://common:1/v1"}
    panel = [{"model": "a", "key": "own", "api_base": "http://own:1/v1"}, {"model": "b"}]
    first, second = JudgeOptions.from_kit_kwargs({**shared, "panel": panel}).panel
    assert (first.secret(), first.endpoint()) == ("own", "http://own:1/v1")
    assert (second.secret(), second.endpoint()) == ("common", "http://common:1/v1")


def test_all_secrets_of_a_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B_KEY", "key of b")
    monkeypatch.setenv("OPENAI_API_KEY", "key of all")
    extra = {"nested": [{"token": "in extra", "n": 1}], "note": "no secret", "hook": ["https://u:of-hook@h/x"]}
    panel = [{"model": "a", "key": "key of a", "extra": extra}, {"model": "b", "key_env": "B_KEY"}]
    options = JudgeOptions.from_kit_kwargs({"api_base": "http://u:p%40ss@h:1/v1?sig=signed", "panel": panel})
    of_urls = {"p%40ss", "p@ss", "u:p%40ss", "u:p@ss", "signed", "of-hook", "u:of-hook"}
    assert options.secrets() == {"key of a", "key of b", "key of all", "in extra", *of_urls}


@pytest.mark.parametrize(
    ("extra", "shown"),
    [
        ({"api_key": "x", "seed": 1}, {"api_key": "***", "seed": 1}),
        ({"max_completion_tokens": 50, "logprobs": True}, {"max_completion_tokens": 50, "logprobs": True}),
        ({"a": {"b": [{"secret": "x"}, "y"]}}, {"a": {"b": [{"secret": "***"}, "y"]}}),
        ({"tokens": ["x", {"y": "z"}, 1]}, {"tokens": ["***", {"y": "***"}, 1]}),
        ({"headers": [{"name": "X-Api-Key", "value": "x"}]}, {"headers": [{"name": "***", "value": "***"}]}),
        ({"headers": [{"name": "Accept", "value": "x"}]}, {"headers": [{"name": "Accept", "value": "x"}]}),
        ({"hook": ["https://u:x@h/x?a=1"], "tokenizer": "mistral"}, {"hook": ["https://h/x"], "tokenizer": "mistral"}),
    ],
)
def test_additions_to_the_request_are_shown_without_secrets(extra: dict[str, Any], shown: dict[str, Any]) -> None:
    assert shown_extra(extra) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:pass@h:1/v1?key=x#y", "http://h:1/v1"),
        ("http://token@h/v1", "http://h/v1"),
        ("http://user:pa/ss@h:1/v1", "***"),
        ("http://h:pass/v1", "***"),
        ("http://[pass", "***"),
    ],
)
def test_a_url_is_shown_without_what_it_carries(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_verdicts_of_a_local_llm_are_not_those_of_the_kits_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_LLM", raising=False)
    assert JudgeOptions("kit:gpt-4o").asked_as == "kit:gpt-4o"
    monkeypatch.setenv("LOCAL_LLM", "my/llm")
    assert JudgeOptions("kit:gpt-4o").asked_as == "kit:gpt-4o as my/llm"
    assert JudgeOptions("gpt-4o").asked_as == "gpt-4o"


def test_no_key_shows() -> None:
    options = JudgeOptions("m", "http://user:pass@h:1/v1", key="sk-canary", protocol="rubric")
    assert "sk-canary" not in repr(options)
    judge = build_judge(options)
    described = str(judge.describe())
    assert "sk-canary" not in described
    assert "pass" not in described
