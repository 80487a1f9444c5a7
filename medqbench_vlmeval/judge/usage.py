"""What judging took and costs: calls and tokens as servers counted them, at list prices. Those of the packaged
``prices.json`` are overridden by the user's own: the file named with ``--prices``, else ``$MEDQBENCH_PRICES``, else
``medqbench/prices.json`` in the user's configuration folder. It may leave out everything but what it changes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Interval

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import read_bytes
from medqbench_vlmeval.judge.calls import Judge
from medqbench_vlmeval.judge.judges import PanelJudge
from medqbench_vlmeval.judge.options import KIT_PREFIX
from medqbench_vlmeval.types import Judged, JudgeUsage, Tokens, Verdict

PER = 1_000_000

_PACKAGED = Path(__file__).parent / "prices.json"
_MOST_BYTES = 1 << 24
_DATE = re.compile(r"(?:[-@](?:\d{4}-\d{2}-\d{2}|\d{8})|-latest)\Z")
# A single call may cost a hundred-thousandth of a dollar; what is finer is noise of the arithmetic.
_DECIMALS = 8
_STRICT = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens of prompts (``input``) and of replies (``output``)."""

    __pydantic_config__: ClassVar[dict[str, object]] = _STRICT

    input: Annotated[float, Ge(0)]
    output: Annotated[float, Ge(0)]


@dataclass(frozen=True)
class _PriceFile:
    """A file of prices for so many tokens, as pydantic checks it."""

    __pydantic_config__: ClassVar[dict[str, object]] = _STRICT

    models: dict[str, Price] = field(default_factory=dict)
    per: Annotated[float, Gt(0)] = PER
    batch_factor: Annotated[float, Interval(ge=0, le=1)] | None = None
    currency: Literal["USD"] = "USD"
    as_of: str = ""
    note: str = ""


@dataclass(frozen=True)
class PriceTable:
    """Prices by model, a batch's share of the live price (0-1), where they are from and where the user's own belong."""

    models: Mapping[str, Price]
    batch_factor: float
    source: str
    own_file: Path

    def price(self, model: str) -> Price | None:
        """A model's price: under its whole name, else without 'kit:', a router's prefix, a date or '-latest' in it."""
        whole = model.strip().lower()
        plain = whole.removeprefix(KIT_PREFIX).strip()
        bare = plain.rpartition("/")[2]
        # The kit takes some names for others ('gpt-4o' for an older, dearer model): these stand with their prefix.
        names = (whole, plain, bare, _DATE.sub("", plain), _DATE.sub("", bare))
        return next((self.models[name] for name in names if name in self.models), None)

    def cost(self, model: str, prompt_tokens: float, completion_tokens: float) -> float | None:
        """US dollars for so many tokens asked live, None where the model has no price."""
        price = self.price(model)
        return None if price is None else (prompt_tokens * price.input + completion_tokens * price.output) / PER

    def advice(self, model: str) -> str:
        """What to do about a model without a price."""
        entry = json.dumps({"models": {model: {"input": 0, "output": 0}}})
        return f"There is no price for '{model}': add {entry} with its prices per million tokens to {self.own_file}."


def load_prices(path: Path | None = None) -> PriceTable:
    """The packaged prices with the user's own over them (see the module's docstring for where these are); BadInput
    where a named file is absent, or a file cannot be understood."""
    from platformdirs import user_config_path

    named = path or os.environ.get("MEDQBENCH_PRICES", "").strip()
    own_file = Path(named).expanduser() if named else user_config_path("medqbench", appauthor=False) / "prices.json"
    packaged = _read(_PACKAGED)
    own = _read(own_file) if named or own_file.is_file() else _PriceFile()
    models = {
        name.strip().lower(): Price(price.input * (PER / file.per), price.output * (PER / file.per))
        for file in (packaged, own)
        for name, price in file.models.items()
    }
    factors = [file.batch_factor for file in (own, packaged) if file.batch_factor is not None]
    source = f"packaged list prices of {packaged.as_of}"
    return PriceTable(
        models,
        factors[0] if factors else 1.0,
        f"{own_file}, else {source}" if own != _PriceFile() else source,
        own_file,
    )


def _read(path: Path) -> _PriceFile:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(_PriceFile).validate_json(read_bytes(path, _MOST_BYTES).decode("utf-8-sig"))
    except BadInput as error:
        raise BadInput(f"The price table cannot be read: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ": ".join(map(str, first["loc"]))
        problem = f"a wrong entry '{place}'" if place else "a wrong form"
        raise BadInput(f"The price table {path} has {problem}: {first['msg']}.") from None
    except ValueError as error:
        raise BadInput(f"The price table {path} is not UTF-8 text: {error}.") from None


def single_verdicts(judged: Iterable[Judged], member: str | None = None) -> list[Verdict]:
    """All verdicts, of several rounds or judges the single ones; of a panel those of one ``member`` where named."""
    verdicts = [verdict for sample in judged for verdict in sample.verdicts.values()]
    if member is not None:
        verdicts = [verdict.parts[member] for verdict in verdicts]
    while any(verdict.parts for verdict in verdicts):
        verdicts = [part for verdict in verdicts for part in verdict.parts.values() or [verdict]]
    return verdicts


def sums(records: Sequence[Any], *names: str) -> list[Any]:
    """The sum of each field over records, None where a record does not know its own."""
    columns = ([getattr(record, name) for record in records] for name in names)
    return [None if None in values else sum(values) for values in columns]


def usage_of(verdicts: Iterable[Verdict]) -> Tokens:
    """The sum over single verdicts; the embedded judge makes no calls."""
    return Tokens(*sums(list(verdicts), "asks", "prompt_tokens", "completion_tokens"))


def usage_by(model: str, verdicts: Sequence[Verdict], prices: PriceTable) -> JudgeUsage:
    """What a model's verdicts took, all and this run's, with the cost at live list prices (None where the model has no
    price or its server counted no tokens)."""
    price = prices.price(model)

    def costed(usage: Tokens) -> Tokens:
        cost = prices.cost(model, usage.prompt_tokens, usage.completion_tokens) if usage.calls else 0.0
        uncounted = usage.calls and not usage.prompt_tokens and price is not None and (price.input or price.output)
        return replace(usage, cost_usd=None if uncounted else _rounded(cost))

    paid_now = [verdict for verdict in verdicts if not verdict.from_cache]
    return JudgeUsage(costed(usage_of(verdicts)), costed(usage_of(paid_now)))


def usage_by_judge(judge: Judge, prices: PriceTable, judged: Sequence[Judged]) -> JudgeUsage:
    """What judging took (see :func:`usage_by`), for a panel also by judge."""
    if not isinstance(judge, PanelJudge):
        return usage_by(judge.name, single_verdicts(judged), prices)
    names = [member.name for member in judge.members]
    by_judge = {name: usage_by(name, single_verdicts(judged, name), prices) for name in names}
    usages = by_judge.values()
    total, this_run = _added([usage.total for usage in usages]), _added([usage.this_run for usage in usages])
    return JudgeUsage(total, this_run, by_judge)


def _added(usages: Sequence[Tokens | None]) -> Tokens:
    total = Tokens(*sums(usages, "calls", "prompt_tokens", "completion_tokens", "cost_usd"))
    return replace(total, cost_usd=_rounded(total.cost_usd))


def _rounded(cost: float | None) -> float | None:
    return None if cost is None else round(cost, _DECIMALS)
