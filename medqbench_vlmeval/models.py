"""Models of the published tables, and what models of the kit take: keys, endpoints, GPU memory, weights.

All of it is read from ``data/published/models.json``. Keys and addresses come from the environment alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medqbench_vlmeval.errors import BadInput

_TABLE = json.loads((Path(__file__).parent / "data" / "published" / "models.json").read_text(encoding="utf-8"))

_BILLIONS = re.compile(r"(?<![a-z\d.])(\d+(?:\.\d+)?)b(?![a-z\d])", re.IGNORECASE)
_FOUR_BITS, _EIGHT_BITS = re.compile("awq|int4|4bit|gptq", re.IGNORECASE), re.compile("int8|fp8|8bit", re.IGNORECASE)
_OVERHEAD = 1.2


@dataclass(frozen=True)
class Endpoint:
    """Where a vendor serves its models: ``root`` + ``path``, given to the kit's class as ``argument``; no ``root``
    leaves that to the kit. Of ``keys`` the first variable that is set counts; ``address`` is a variable for another
    root. Where no key is set one of ``gateways`` names the user's own server, which then is asked in the kit's way, as
    it is where the variable ``backend`` has another value than 'official', or BOYUE is set."""

    name: str
    keys: Sequence[str]
    gateways: Sequence[str] = ()
    address: str = ""
    root: str = ""
    path: str = ""
    argument: str = ""
    backend: str = ""

    def called(self, model: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
        """The vendor's URL and the key, None where the kit's own way is taken. BadInput where there is no key."""
        values = [value for name in self.keys if (value := environment.get(name, "").strip())]
        address = environment.get(self.address, "").strip().rstrip("/") or self.root
        if environment.get("BOYUE") or environment.get(self.backend, "").strip() not in ("", "official"):
            return None
        if values and self.root:
            return address.removesuffix(self.path) + self.path, values[0]
        if not values and not any(environment.get(name) for name in self.gateways):
            raise BadInput(f"{model} needs a key of {self.name}'s: set the environment variable {self.keys[0]}.")
        return None


@dataclass(frozen=True)
class PublishedModel:
    """A model of the benchmark's tables. ``zoo`` are the kit's names for it, best first; where no kit has it the kit's
    class ``made_by`` is built with ``settings``, which else stand in the place of the zoo's. ``official`` settings hold
    where the endpoint is its ``vendor``'s own. ``gated`` weights are open to those whom their owners let in."""

    name: str
    zoo: Sequence[str] = ()
    made_by: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    official: Mapping[str, Any] = field(default_factory=dict)
    vendor: str = ""
    gated: bool = False

    @property
    def endpoint(self) -> Endpoint | None:
        """Where its vendor serves it, None for weights."""
        return Endpoint(**_TABLE["endpoints"][self.vendor]) if self.vendor else None

    def zoo_name(self, zoo: Container[str]) -> str | None:
        """The best of its names that is in a zoo, None where there is none."""
        return next((name for name in self.zoo if name in zoo), None)


PUBLISHED_MODELS = {name: PublishedModel(name, **of) for name, of in _TABLE["models"].items()}
SERVICE_CLASSES = frozenset(_TABLE["classes"])
"""The kit's classes for API models."""


@dataclass(frozen=True)
class ServiceNeeds:
    """What a class of the kit for API models reads from the environment: the variable of its key ('' where it has
    none), which depends on words in the model's identifier for some, and a further one with its value, which
    ``is_needed`` for the vendor's own endpoint ('ANTHROPIC_BACKEND=official')."""

    key: str
    backend: str = ""
    is_needed: bool = False
    by_model: Mapping[str, str] = field(default_factory=dict)


def service_needs(kit_class: str, model: str) -> ServiceNeeds | None:
    """What a model takes that this class of the kit serves, None where it is no class for API models."""
    if kit_class not in SERVICE_CLASSES:
        return None
    needs = ServiceNeeds(**_TABLE["classes"][kit_class])
    special = (key for words, key in needs.by_model.items() if all(word in model for word in words.split()))
    return replace(needs, key=next(special, needs.key))


def gpu_memory(name: str) -> float | None:
    """An estimate of the GPU memory in GiB that the weights of a model take in inference: the billions of parameters
    in its name x 2 bytes (1 or 0.5 where the name says so) x 1.2 for the rest. None where the name has no size."""
    if (billions := _BILLIONS.search(name)) is None:
        return None
    n_bytes = 0.5 if _FOUR_BITS.search(name) else 1.0 if _EIGHT_BITS.search(name) else 2.0
    return float(billions[1]) * 1e9 * n_bytes * _OVERHEAD / 2**30
