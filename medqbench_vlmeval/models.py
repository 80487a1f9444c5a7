"""Models of the published tables, and what models of the kit take: keys, endpoints, GPU memory, weights. All of it is
read from ``data/published/models.json``. Keys and addresses come from the environment alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medqbench_vlmeval.errors import BadInput

_TABLE = json.loads((Path(__file__).parent / "data" / "published" / "models.json").read_text(encoding="utf-8"))

_BILLIONS = re.compile(r"(?<![a-z\d.])(\d+(?:\.\d+)?)b(?![a-z\d])", re.IGNORECASE)
_BYTES = ((1.0, "int8|fp8|8bit"), (0.5, "awq|int4|4bit|gptq"), (2.0, ""))


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
            # An address may hold a part of the path ('/v1'), or all of it.
            held = next(n for n in range(len(self.path), -1, -1) if address.endswith(self.path[:n]))
            return address + self.path[held:], values[0]
        if not values and not any(environment.get(name) for name in self.gateways):
            raise BadInput(f"{model} needs a key of {self.name}'s: set the environment variable {self.keys[0]}.")
        return None


@dataclass(frozen=True)
class PublishedModel:
    """A model of the benchmark's tables. ``zoo`` are the kit's names for it, best first; where no kit has it the kit's
    class ``made_by`` is built with ``settings``, which else stand in the place of the zoo's. ``official`` settings hold
    at the endpoint of its ``vendor``. ``gated`` weights are open to those whom their owners let in."""

    name: str
    zoo: Sequence[str] = ()
    made_by: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    official: Mapping[str, Any] = field(default_factory=dict)
    vendor: str = ""
    gated: bool = False


ENDPOINTS = {name: Endpoint(**of) for name, of in _TABLE["endpoints"].items()}
PUBLISHED_MODELS = {name: PublishedModel(name, **of) for name, of in _TABLE["models"].items()}


@dataclass(frozen=True)
class Service:
    """What a class of the kit for API models reads from the environment: the variable of its key ('' for none), for
    some by words in the model's identifier, and 'ANTHROPIC_BACKEND=official' where that ``is_needed``."""

    key: str
    backend: str = ""
    is_needed: bool = False
    by_model: Mapping[str, str] = field(default_factory=dict)

    def key_of(self, model: str) -> str:
        """The variable of the key of the model that the vendor knows by this identifier."""
        special = (key for words, key in self.by_model.items() if all(word in model for word in words.split()))
        return next(special, self.key)


SERVICES = {name: Service(**of) for name, of in _TABLE["classes"].items()}


def gpu_memory(name: str) -> float | None:
    """An estimate of the GPU memory in GiB that the weights of a model take in inference: the billions of parameters
    in its name x 2 bytes (1 or 0.5 where the name says so) x 1.2 for the rest. None where the name has no size."""
    if (billions := _BILLIONS.search(name)) is None:
        return None
    n_bytes = next(n for n, words in _BYTES if re.search(words, name, re.IGNORECASE))
    return float(billions[1]) * 1e9 * n_bytes * 1.2 / 2**30
