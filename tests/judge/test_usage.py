"""The price table: packaged, the user's own over it, and what is wrong with one."""

from __future__ import annotations

import json

import pytest

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.judge.usage import Price, load_prices


@pytest.fixture(autouse=True)
def no_own_table(tmp_path, monkeypatch):
    monkeypatch.delenv("MEDQBENCH_PRICES", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def table(path, **content):
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_million_tokens_each_way_cost_the_list_price():
    prices = load_prices()
    assert prices.cost("gpt-4o", 1_000_000, 1_000_000) == pytest.approx(2.5 + 10)
    assert prices.cost("gpt-4o", 1_416 * 400, 1_416 * 5) == pytest.approx(566_400 * 2.5e-6 + 7_080 * 10e-6)
    assert prices.batch_factor == 0.5
    assert "late 2025" in prices.source


@pytest.mark.parametrize(
    ("name", "price"),
    [
        ("gpt-4o", Price(2.5, 10)),
        ("gpt-4o-2024-08-06", Price(2.5, 10)),
        ("gpt-4o-2024-05-13", Price(5, 15)),  # its exact name stands in the table
        ("openai/gpt-4o-2024-05-13", Price(5, 15)),
        ("openai/GPT-4o-mini", Price(0.15, 0.6)),
        ("claude-sonnet-4-5-20250929", Price(3, 15)),
        ("kit:gpt-4o", Price(5, 15)),  # the kit asks gpt-4o-2024-05-13 under this name
        ("kit:gpt-4o-mini", Price(0.15, 0.6)),
        ("kit:gpt-4o-2024-08-06", Price(2.5, 10)),
        ("kit:llama31-8b", None),
        ("gpt-4o-audio-preview", None),
        ("gpt-4", None),
        ("my-judge", None),
        ("", None),
    ],
)
def test_names_meet_prices(name, price):
    assert load_prices().price(name) == price


def test_a_users_table_goes_over_the_packaged_one(tmp_path):
    own = table(
        tmp_path / "own.json",
        per=1000,
        batch_factor=1,
        models={"GPT-4o": {"input": 0.001, "output": 0.002}, "mine": {"input": 0, "output": 0}},
    )
    prices = load_prices(own)
    assert prices.price("gpt-4o-2024-08-06") == Price(1.0, 2.0)  # thousandths of a dollar a thousand
    assert prices.cost("mine", 10**9, 10**9) == 0
    assert prices.price("gpt-4.1") == Price(2, 8)
    assert prices.batch_factor == 1
    assert str(own) in prices.source


def test_where_the_users_table_is_looked_for(tmp_path, monkeypatch):
    default = load_prices().own_file
    assert default.parts[-2:] == ("medqbench", "prices.json")
    default.parent.mkdir(parents=True)
    table(default, models={"mine": {"input": 1, "output": 1}})
    assert load_prices().price("mine") == Price(1, 1)
    monkeypatch.setenv("MEDQBENCH_PRICES", str(table(tmp_path / "b.json", models={"mine": {"input": 2, "output": 2}})))
    assert load_prices().price("mine") == Price(2, 2)
    third = table(tmp_path / "c.json", models={"mine": {"input": 3, "output": 3}})
    assert load_prices(third).price("mine") == Price(3, 3)
    assert str(third) in load_prices(third).advice("other")
    monkeypatch.setenv("MEDQBENCH_PRICES", str(tmp_path / "absent.json"))
    with pytest.raises(BadInput, match=r"absent\.json does not exist"):
        load_prices()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "a wrong form: Invalid JSON"),
        ("[" * 100_000, "a wrong form: Invalid JSON"),
        ("[]", "a wrong form: Input should be an object"),
        ('{"models": []}', "'models': Input should be an object"),
        ('{"model": {}}', "'model'"),
        ('{"currency": "EUR"}', "'currency': Input should be 'USD'"),
        ('{"per": 0}', "'per': Input should be greater than 0"),
        ('{"batch_factor": 2}', "'batch_factor': Input should be less than or equal to 1"),
        ('{"models": {"m": 3}}', "'models: m': Input should be an object"),
        ('{"models": {"m": {"input": 1}}}', "'models: m: output': Field required"),
        ('{"models": {"m": {"input": 1, "output": 1, "cached": 1}}}', "'models: m: cached'"),
        ('{"models": {"m": {"input": 1, "output": -1}}}', "'models: m: output': Input should be greater than"),
        ('{"models": {"m": {"input": "1", "output": 1}}}', "'models: m: input': Input should be a valid number"),
        ('{"models": {"m": {"input": NaN, "output": 1}}}', "'models: m: input': Input should be"),
        ('{"models": {"m": {"input": true, "output": 1}}}', "'models: m: input': Input should be a valid number"),
    ],
)
def test_errors_name_the_file_and_the_entry(tmp_path, text, words):
    path = tmp_path / "own.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=r"own\.json") as error:
        load_prices(path)
    assert words in str(error.value)
