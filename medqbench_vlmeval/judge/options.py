"""What a user may say about the judge, from the kit's keywords or from the command line."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from medqbench_vlmeval.errors import BadInput, NoJudge
from medqbench_vlmeval.judge.protocol import DEFAULT_PROTOCOL

KEY_VARIABLES = ("MEDQBENCH_JUDGE_KEY", "OPENAI_API_KEY")
URL_VARIABLES = ("OPENAI_BASE_URL", "OPENAI_API_BASE")
NO_KEY = "EMPTY"
PUBLIC_URL = "https://api.openai.com/v1"

NO_JUDGE = (
    "No judge was named, so the predictions are saved but not scored: name one with --judge (--judge gpt-4o, or "
    "--judge rules for the embedded judge, which needs no network)."
)

# The SDK's own client keeps at most 1,000 connections.
MAX_NPROC = 1000
# Keywords that the kit's runner passes to every dataset and that mean nothing to a judge of ours.
_SECRET_NAME = re.compile(r"key|token|secret|password|authorization|credential", re.IGNORECASE)
_KIT_ONLY = frozenset({"verbose", "use_verifier", "use_vllm", "sleep", "use_threading"})
_KNOWN = frozenset(
    {
        "model",
        "api_base",
        "base_url",
        "key",
        "nproc",
        "retry",
        "timeout",
        "protocol",
        "temperature",
        "max_tokens",
        "extra",
    }
) | {"n_rounds"}


@dataclass(frozen=True)
class JudgeOptions:
    """A judge and how to ask it.

    ``name`` is the model's name as the server knows it, or 'rules'. ``base_url`` ends before
    '/chat/completions'; None means OPENAI_BASE_URL or OPENAI_API_BASE, else the public one. ``nproc`` is the
    number of calls in flight (1-1000), ``retry`` the number of retries after a failed call, ``timeout`` is in
    seconds. ``temperature`` and ``max_tokens`` are left out of the request where they are None; ``extra`` is
    merged into its body.
    """

    name: str
    base_url: str | None = None
    key: str | None = field(default=None, repr=False)
    nproc: int = 4
    retry: int = 3
    timeout: float = 600.0
    protocol: str = DEFAULT_PROTOCOL
    temperature: float | None = 0.0
    max_tokens: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_kit_kwargs(cls, kwargs: Mapping[str, Any]) -> JudgeOptions:
        """Options from the judge keywords of the kit's runner, ``--judge-args`` merged in.

        Raises:
            JudgeError: no judge is named.
            BadInput: an unknown keyword, or a value out of range.
        """
        unknown = sorted(set(kwargs) - _KNOWN - _KIT_ONLY)
        if unknown:
            raise BadInput(
                f"Unknown judge option{'s' if len(unknown) > 1 else ''} {', '.join(map(repr, unknown))}; --judge-args "
                f"takes {', '.join(sorted(_KNOWN))}."
            )
        name = kwargs.get("model")
        if name is None or not str(name).strip():
            raise NoJudge(NO_JUDGE)
        if kwargs.get("n_rounds") not in (None, 1):
            raise BadInput(
                f"n_rounds is {kwargs['n_rounds']!r}, but this judge asks each question in one round; use 1."
            )
        extra = kwargs.get("extra") or {}
        if not isinstance(extra, Mapping):
            raise BadInput("The judge option 'extra' must be an object that is merged into the request's body.")
        default = cls(str(name).strip())
        temperature = kwargs.get("temperature", default.temperature)
        max_tokens = kwargs.get("max_tokens")
        return cls(
            name=default.name,
            base_url=_text(kwargs.get("base_url") or kwargs.get("api_base")),
            key=_text(kwargs.get("key")),
            nproc=int(_number(kwargs, "nproc", default.nproc, 1, MAX_NPROC)),
            retry=int(_number(kwargs, "retry", default.retry, 0, 100)),
            timeout=_number(kwargs, "timeout", default.timeout, 0.001, 86_400),
            protocol=str(kwargs.get("protocol") or default.protocol),
            temperature=None if temperature is None else _number(kwargs, "temperature", 0.0, 0, 2),
            max_tokens=None if max_tokens is None else int(_number(kwargs, "max_tokens", 1, 1, 10_000_000)),
            extra=dict(extra),
        )

    def endpoint(self) -> str:
        """The server's base URL, without a trailing '/chat/completions'.

        Raises:
            BadInput: it is not an http or https URL.
        """
        named = self.base_url or next((os.environ[name] for name in URL_VARIABLES if os.environ.get(name)), None)
        url = (named or PUBLIC_URL).strip().rstrip("/").removesuffix("/chat/completions").rstrip("/")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise BadInput(f"The judge's base URL '{shown_url(url)}' is not of the form http://host:port/v1.")
        return url

    def secret(self) -> str:
        """The key to send: the option, else the environment's, else 'EMPTY' where a base URL was given.

        Raises:
            JudgeError: there is none; the message names the ways to give one.
        """
        found = self.key or next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), None)
        if found and found.strip():
            if not (found.strip().isascii() and found.strip().isprintable()):
                raise BadInput(
                    "The judge's key holds characters that no key has (it is not shown here); copy it again into "
                    f"{KEY_VARIABLES[0]}."
                )
            return found.strip()
        if self.endpoint() != PUBLIC_URL:
            return NO_KEY
        raise NoJudge(
            f"The judge '{self.name}' needs a key: set {' or '.join(KEY_VARIABLES)}, give --judge-key, or name your "
            "own server with --judge-base-url http://host:port/v1."
        )


def parse_judge_args(text: str | None) -> dict[str, Any]:
    """The options in ``--judge-args``.

    Raises:
        BadInput: not a JSON object.
    """
    example = '{"protocol": "official"}'
    try:
        found = json.loads(text) if text else {}
    except ValueError as error:
        raise BadInput(f"--judge-args is not JSON ({error}); write it like '{example}'.") from None
    if not isinstance(found, dict):
        raise BadInput(f"--judge-args must be a JSON object, such as '{example}'.")
    return found


def shown_extra(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Additions to the request as a result may show them: what is named like a secret is masked, at any depth."""

    def shown(name: str, value: Any) -> Any:
        if _SECRET_NAME.search(name):
            return "***"
        if isinstance(value, Mapping):
            return {key: shown(str(key), inner) for key, inner in value.items()}
        return value

    return {name: shown(name, value) for name, value in extra.items()}


def shown_url(url: str) -> str:
    """A URL without the user, password and query that it may carry."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _text(value: Any) -> str | None:
    return None if value is None or not str(value).strip() else str(value).strip()


def _number(kwargs: Mapping[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = kwargs.get(name)
    if value is None:
        return default
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if isinstance(value, bool) or not low <= number <= high:
        raise BadInput(f"The judge option '{name}' is {value!r}; it must be a number from {low:g} to {high:g}.")
    return number
