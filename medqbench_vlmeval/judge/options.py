"""What a user may say about the judge, from the kit's keywords or from the command line."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from medqbench_vlmeval.errors import BadInput, NoJudge
from medqbench_vlmeval.judge.protocols import DEFAULT_PROTOCOL
from medqbench_vlmeval.judge.secrets import shown_url, url_secrets, values_named_secret

# Variables of the environment and of the file ``.env`` in the working folder, which are never exported.


def environment(name: str) -> str | None:
    """A variable of the environment, else of the file ``.env`` in the working folder; None where it is empty.

    Raises:
        BadInput: the file cannot be read; what is in it is not shown.
    """
    if os.environ.get(name, "").strip():
        return os.environ[name]
    return (_env_file(Path.cwd() / ".env").get(name) or "").strip() or None


def env_file_values() -> dict[str, str]:
    """All that the file ``.env`` in the working folder gives; empty where there is none.

    Raises:
        BadInput: the file cannot be read.
    """
    return {name: value for name, value in _env_file(Path.cwd() / ".env").items() if value}


def _env_file(path: Path) -> dict[str, str | None]:
    try:
        # Windows editors begin a file with a mark that would become a part of the first name.
        text = path.read_text(encoding="utf-8-sig") if path.is_file() else ""
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text; save it as UTF-8, with one NAME=VALUE in a line.") from None
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror}); make it readable for yourself alone (chmod 600)."
        ) from None
    if not text.strip():
        return {}
    from dotenv import dotenv_values

    return dotenv_values(stream=io.StringIO(text), interpolate=False)


KEY_VARIABLES = ("MEDQBENCH_JUDGE_KEY", "OPENAI_API_KEY")
URL_VARIABLES = ("OPENAI_BASE_URL", "OPENAI_API_BASE")
# The client sends their password to the proxy, which may repeat it.
PROXY_VARIABLES = tuple(f"{name}_proxy" for name in ("http", "https", "all"))
NO_KEY = "EMPTY"
PUBLIC_URL = "https://api.openai.com/v1"

NO_JUDGE = (
    "No judge was named, so the predictions are saved but not scored: name one with --judge (--judge gpt-4o, or "
    "--judge rules for the embedded judge, which needs no network)."
)

# The SDK's own client keeps at most 1,000 connections.
MAX_NPROC = 1000
# What may be shown of a variable's name: whoever puts the key itself there must not see it again.
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
# Keywords that the kit's runner passes to every dataset and that mean nothing to a judge of ours.
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
        "n_rounds",
        "rpm",
        "tpm",
        "stop_after",
        "max_answer_tokens",
        "fresh",
        "no_calls",
        "panel",
        "key_env",
    }
)
# What a panel's member may say for itself; the rest it shares with the others.
_OF_MEMBER = frozenset(
    {"model", "api_base", "base_url", "key", "key_env", "protocol", "n_rounds", "temperature", "max_tokens", "extra"}
    | {"rpm", "tpm", "nproc", "retry", "timeout", "max_answer_tokens"}
)
KIT_PREFIX = "kit:"


@dataclass(frozen=True)
class JudgeOptions:
    """A judge and how to ask it.

    ``name`` is the model's name as the server knows it, or 'rules'. ``base_url`` ends before
    '/chat/completions'; None means OPENAI_BASE_URL or OPENAI_API_BASE, else the public one. ``nproc`` is the
    number of calls in flight (1-1000), ``retry`` the number of retries after a failed call, ``timeout`` is in
    seconds. ``temperature`` and ``max_tokens`` are left out of the request where they are None; ``extra`` is
    merged into its body. A name 'kit:NAME' is a model that the kit's own ``build_judge`` makes.

    ``n_rounds`` asks each question so often (None: as the protocol's name says), ``rpm`` and ``tpm`` bound requests
    and tokens a minute, ``stop_after`` is the number of failed calls in a row that stops a run, longer answers are cut
    to ``max_answer_tokens``. ``fresh`` asks even what the cache holds, ``no_calls`` takes verdicts from the cache
    alone. ``key_env`` names the environment variable with this judge's key. ``panel`` holds the members where
    several judges sit together. ``role`` is what messages call the model, and the option that names it: 'judge' or
    'extractor'.
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
    n_rounds: int | None = None
    rpm: float | None = None
    tpm: float | None = None
    stop_after: int = 20
    max_answer_tokens: int = 16_000
    fresh: bool = False
    no_calls: bool = False
    key_env: str | None = None
    panel: tuple[JudgeOptions, ...] = ()
    role: str = "judge"

    @property
    def of_kit(self) -> bool:
        """Whether the kit's ``build_judge`` makes the model."""
        return self.name.startswith(KIT_PREFIX)

    @property
    def asked_as(self) -> str:
        """The name that verdicts are kept under: where LOCAL_LLM replaces the kit's model, that belongs to it."""
        local = os.environ.get("LOCAL_LLM", "") if self.of_kit else ""
        return f"{self.name} as {local}" if local else self.name

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
        if kwargs.get("panel"):
            return cls._panel(kwargs)
        name = kwargs.get("model")
        if name is None or not str(name).strip():
            raise NoJudge(NO_JUDGE)
        names = [one.strip() for one in str(name).split(",") if one.strip()]
        if len(names) > 1:
            return cls._panel({**kwargs, "panel": [{"model": one} for one in names]})
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
            n_rounds=None if kwargs.get("n_rounds") is None else int(_number(kwargs, "n_rounds", 1, 1, 20)),
            rpm=None if kwargs.get("rpm") is None else _number(kwargs, "rpm", 1, 0.01, 10_000_000),
            tpm=None if kwargs.get("tpm") is None else _number(kwargs, "tpm", 1, 1, 1e12),
            stop_after=int(_number(kwargs, "stop_after", default.stop_after, 1, 1_000_000)),
            max_answer_tokens=int(_number(kwargs, "max_answer_tokens", default.max_answer_tokens, 100, 10_000_000)),
            fresh=_flag(kwargs, "fresh"),
            no_calls=_flag(kwargs, "no_calls"),
            key_env=_text(kwargs.get("key_env")),
        )

    @classmethod
    def _panel(cls, kwargs: Mapping[str, Any]) -> JudgeOptions:
        """Several judges; each takes what it does not say for itself from the common options."""
        members = kwargs["panel"]
        shared = {name: value for name, value in kwargs.items() if name not in ("panel", "model")}
        if not isinstance(members, list) or not all(isinstance(one, Mapping) and one.get("model") for one in members):
            raise BadInput("The judge option 'panel' must be a list of objects, each with the name of a 'model'.")
        for one in members:
            if unknown := sorted(set(one) - _OF_MEMBER):
                raise BadInput(f"A panel's member takes no option {', '.join(map(repr, unknown))}.")
        found = [cls.from_kit_kwargs({**_not_said_by(one, shared), **one}) for one in members]
        names = [one.name for one in found]
        if len(found) < 2 or len(set(names)) < len(names):
            raise BadInput(f"A panel needs two or more judges with different names, not {', '.join(names)}.")
        return cls(", ".join(names), panel=tuple(found))

    def endpoint(self) -> str:
        """The server's base URL, without a trailing '/chat/completions'; a query of its own stays at its end.

        Raises:
            BadInput: it is not an http or https URL.
        """
        named = self.base_url or next((found for name in URL_VARIABLES if (found := environment(name))), None)
        base, mark, query = (named or PUBLIC_URL).strip().partition("?")
        if mark:
            # The kit's runner puts its route behind whatever it was given.
            query = query.rstrip("/").removesuffix("/chat/completions")
        url = base.rstrip("/").removesuffix("/chat/completions").rstrip("/") + mark + query
        try:
            parts = urlsplit(url)
            readable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            readable = False
        if not readable:
            raise BadInput(f"The {self.role}'s base URL '{shown_url(url)}' is not of the form http://host:port/v1.")
        return url

    def secret(self) -> str:
        """The key to send: the option, else the environment's, else 'EMPTY' where a base URL was given.

        Raises:
            JudgeError: there is none; the message names the ways to give one.
        """
        if self.key_env:
            found = environment(self.key_env)
            if not found:
                shown = self.key_env if _VARIABLE.fullmatch(self.key_env) else "that 'key_env' names"
                raise NoJudge(f"The environment variable {shown} with the key of '{self.name}' is not set.")
        else:
            found = self.key or next((found for name in KEY_VARIABLES if (found := environment(name))), None)
        if found and found.strip():
            if not (found.strip().isascii() and found.strip().isprintable()):
                raise BadInput(
                    f"The {self.role}'s key holds characters that no key has (it is not shown here); copy it again "
                    f"into {KEY_VARIABLES[0]}."
                )
            return found.strip()
        if self.endpoint() != PUBLIC_URL:
            return NO_KEY
        raise NoJudge(
            f"The {self.role} '{self.name}' needs a key: set {' or '.join(KEY_VARIABLES)}, give --judge-key, or name "
            "your own server with --judge-base-url http://host:port/v1."
        )

    def secrets(self) -> frozenset[str]:
        """All that must not be shown of this judge: keys, what its URL and those of proxies carry, and texts in
        ``extra`` named so.

        Raises:
            BadInput: the file ``.env`` cannot be read.
        """
        if self.panel:
            return frozenset().union(*(member.secrets() for member in self.panel))
        named = [self.key, *(environment(name) for name in (self.key_env, *KEY_VARIABLES) if name)]
        proxies = [os.environ.get(spelled) for name in PROXY_VARIABLES for spelled in (name, name.upper())]
        urls = [self.base_url, *map(environment, URL_VARIABLES), *proxies]
        found = {text.strip() for text in named if text} | set(values_named_secret(self.extra))
        return frozenset(found.union(*(url_secrets(url) for url in urls if url)))


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


def _not_said_by(member: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """The common options without those that a member gives under their other name."""
    pairs = (("key", "key_env"), ("base_url", "api_base"))
    hidden = {name for pair in pairs if any(member.get(name) for name in pair) for name in pair}
    return {name: value for name, value in shared.items() if name not in hidden}


def _flag(kwargs: Mapping[str, Any], name: str) -> bool:
    value = kwargs.get(name)
    if value not in (None, True, False):
        raise BadInput(f"The judge option '{name}' is {value!r}; it must be true or false.")
    return bool(value)


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
