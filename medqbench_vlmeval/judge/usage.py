"""What a judge's tokens cost: a packaged table of list prices, and the user's own file over it.

The user's file is the one named with ``--prices``, else ``$MEDQBENCH_PRICES``, else ``medqbench/prices.json`` in the
user's configuration folder. It has the packaged file's form (``judge/prices.json``) and may leave out everything but
what it changes.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.judge.calls import Judge
from medqbench_vlmeval.judge.judges import PanelJudge
from medqbench_vlmeval.judge.options import KIT_PREFIX
from medqbench_vlmeval.types import Judged, Verdict

PRICES_VARIABLE = "MEDQBENCH_PRICES"
CURRENCY = "USD"
PER = 1_000_000

_PACKAGED = Path(__file__).parent / "prices.json"
_FIELDS = frozenset({"as_of", "note", "currency", "per", "batch_factor", "models"})
_DATE = re.compile(r"(?:[-@](?:\d{4}-\d{2}-\d{2}|\d{8})|-latest)\Z")


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens of prompts (``input``) and of replies (``output``)."""

    input: float
    output: float


@dataclass(frozen=True)
class PriceTable:
    """Prices by model. ``batch_factor`` is what a batch costs of the live price (0-1).

    ``source`` says in words where the prices are from, ``own_file`` is where the user's own belong.
    """

    models: Mapping[str, Price]
    batch_factor: float
    source: str
    own_file: Path

    def price(self, model: str) -> Price | None:
        """A model's price: under its whole name, else without 'kit:', a router's prefix, a date or '-latest' in it."""
        return next((self.models[name] for name in _names(model) if name in self.models), None)

    def cost(self, model: str, prompt_tokens: float, completion_tokens: float) -> float | None:
        """US dollars for so many tokens asked live, None where the model has no price."""
        price = self.price(model)
        if price is None:
            return None
        return (prompt_tokens * price.input + completion_tokens * price.output) / PER

    def advice(self, model: str) -> str:
        """What to do about a model without a price."""
        entry = json.dumps({"models": {model: {"input": 0, "output": 0}}})
        return f"There is no price for '{model}': add {entry} with its prices per million tokens to {self.own_file}."


def load_prices(path: Path | None = None) -> PriceTable:
    """The packaged prices with the user's own over them.

    Args:
        path: the user's file; None means ``$MEDQBENCH_PRICES`` or the configuration folder, where it may be absent.

    Raises:
        BadInput: a named file is absent, or a file cannot be understood; the message names the file and the entry.
    """
    own_file, named = _own_file(path)
    packaged = _read(_PACKAGED)
    models, source = _models(packaged, _PACKAGED), f"packaged list prices of {packaged['as_of']}"
    factor = _batch_factor(packaged, _PACKAGED, 1.0)
    if named or own_file.is_file():
        own = _read(own_file)
        models |= _models(own, own_file)
        factor = _batch_factor(own, own_file, factor)
        source = f"{own_file}, else {source}"
    return PriceTable(models, factor, source, own_file)


def _own_file(path: Path | None) -> tuple[Path, bool]:
    """The user's file and whether it was named; one that was named has to be there."""
    in_environment = os.environ.get(PRICES_VARIABLE, "").strip()
    if path is not None or in_environment:
        return (path or Path(in_environment)).expanduser(), True
    from platformdirs import user_config_path

    return user_config_path("medqbench", appauthor=False) / "prices.json", False


def _names(model: str) -> Iterator[str]:
    whole = model.strip().lower()
    # The kit takes some names for others ('gpt-4o' for an older, dearer model): these stand with their prefix.
    yield whole
    plain = whole.removeprefix(KIT_PREFIX).strip()
    bare = plain.rpartition("/")[2]
    for strip in (str, lambda name: _DATE.sub("", name)):
        yield strip(plain)
        yield strip(bare)


def _read(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise BadInput(f"The price table {path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"The price table {path} is not JSON: {error}.") from None
    if not isinstance(table, dict) or not isinstance(table.get("models", {}), dict):
        raise BadInput(f"The price table {path} must be a JSON object with an object 'models' in it.")
    if unknown := sorted(set(table) - _FIELDS):
        raise BadInput(
            f"The price table {path} has an unknown entry '{unknown[0]}'; it takes {', '.join(sorted(_FIELDS))}."
        )
    if table.get("currency", CURRENCY) != CURRENCY:
        raise BadInput(f"The price table {path} is in {table['currency']!r}; prices are taken in {CURRENCY} alone.")
    return table


def _models(table: Mapping[str, Any], path: Path) -> dict[str, Price]:
    per = _number(table.get("per", PER), path, "per")
    if per <= 0:
        raise BadInput(f"The price table {path} has prices per {per:g} tokens; 'per' must be more than 0.")
    found = {}
    for name, entry in table.get("models", {}).items():
        if not isinstance(entry, dict) or set(entry) != {"input", "output"}:
            raise BadInput(f"The price table {path} must give '{name}' an object with 'input' and 'output'.")
        prices = {side: _number(entry[side], path, f"models: {name}: {side}") * PER / per for side in entry}
        found[name.strip().lower()] = Price(**prices)
    return found


def _batch_factor(table: Mapping[str, Any], path: Path, default: float) -> float:
    factor = _number(table.get("batch_factor", default), path, "batch_factor")
    if factor > 1:
        raise BadInput(f"The price table {path} has a 'batch_factor' of {factor:g}; it must be from 0 to 1.")
    return factor


def _number(value: Any, path: Path, entry: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise BadInput(f"The price table {path} has {value!r} under '{entry}'; it must be a number, 0 or more.")
    return float(value)


# What calls took: how many there were, and the tokens that servers counted for them.


@dataclass(frozen=True)
class Usage:
    """What judging took: calls (re-asks included) and tokens as the server counted them."""

    calls: int
    prompt_tokens: int
    completion_tokens: int


class Paid(Protocol):
    """What a model said to one call: a verdict, or an extractor's choice."""

    @property
    def asks(self) -> int: ...

    @property
    def prompt_tokens(self) -> int: ...

    @property
    def completion_tokens(self) -> int: ...

    @property
    def from_cache(self) -> bool: ...


def usage_of(judged: Sequence[Judged], *, this_run: bool = False) -> Usage:
    """The sum over all verdicts, or over those that were paid in this run; the embedded judge makes no calls."""
    return spent(single_verdicts(judged), this_run=this_run)


def single_verdicts(judged: Iterable[Judged]) -> list[Verdict]:
    """All verdicts; of several rounds or judges the single ones."""

    def singles(verdict: Verdict) -> list[Verdict]:
        return [one for part in verdict.parts.values() for one in singles(part)] if verdict.parts else [verdict]

    return [one for sample in judged for verdict in sample.verdicts.values() for one in singles(verdict)]


def spent(paid: Iterable[Paid], *, this_run: bool = False) -> Usage:
    """The sum over some calls' results, or over those that this run paid for."""
    counted = [one for one in paid if not (this_run and one.from_cache)]
    return Usage(
        sum(one.asks for one in counted),
        sum(one.prompt_tokens for one in counted),
        sum(one.completion_tokens for one in counted),
    )


# What a result's verdicts took, with the cost of it.


# A single call may cost a hundred-thousandth of a dollar; what is finer is noise of the arithmetic.
_DECIMALS = 8


@dataclass(frozen=True)
class Costs:
    """Works costs out from the tokens that servers counted; ``judges`` are names, several for a panel."""

    judges: tuple[str, ...]
    prices: PriceTable

    @classmethod
    def of(cls, judge: Judge, prices: PriceTable) -> Costs:
        """For a judge or for all members of a panel."""
        members = judge.members if isinstance(judge, PanelJudge) else (judge,)
        return cls(tuple(member.name for member in members), prices)

    def usage(self, judged: Sequence[Judged]) -> dict[str, Any]:
        """The ``usage`` object of a result: calls, tokens and ``cost_usd`` of all verdicts and of this run's.

        A cost is at live list prices, also where a verdict came by a batch; it is None where a judge has no price or
        its server counted no tokens. A panel has the same object for each judge under 'by_judge'.
        """
        if len(self.judges) == 1:
            return self._of_one(self.judges[0], single_verdicts(judged))
        by_judge = {name: self._of_one(name, single_verdicts(_of_member(judged, name))) for name in self.judges}
        return {
            **_summed(list(by_judge.values())),
            "this_run": _summed([one["this_run"] for one in by_judge.values()]),
            "by_judge": by_judge,
        }

    def of_calls(self, paid: Sequence[Paid]) -> dict[str, Any]:
        """The ``usage`` object of what a single model said to some calls (see :meth:`usage`)."""
        return self._of_one(self.judges[0], paid)

    def _of_one(self, name: str, paid: Sequence[Paid]) -> dict[str, Any]:
        everything, this_run = (spent(paid, this_run=alone) for alone in (False, True))
        return {**self._costed(name, everything), "this_run": self._costed(name, this_run)}

    def _costed(self, name: str, usage: Usage) -> dict[str, Any]:
        cost = self.prices.cost(name, usage.prompt_tokens, usage.completion_tokens) if usage.calls else 0.0
        uncounted = usage.calls > 0 and not usage.prompt_tokens
        price = self.prices.price(name)
        if uncounted and price is not None and (price.input or price.output):
            cost = None
        return {**asdict(usage), "cost_usd": None if cost is None else round(cost, _DECIMALS)}


def _of_member(judged: Sequence[Judged], name: str) -> list[Judged]:
    return [
        Judged(one.index, {dimension: verdict.parts[name] for dimension, verdict in one.verdicts.items()})
        for one in judged
    ]


def _summed(usages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    costs = [one["cost_usd"] for one in usages]
    return {
        **{name: sum(one[name] for one in usages) for name in ("calls", "prompt_tokens", "completion_tokens")},
        "cost_usd": None if None in costs else round(sum(costs), _DECIMALS),
    }
