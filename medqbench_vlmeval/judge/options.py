"""What a user may say about the judge: one declaration for the command line, ``--judge-args`` and the kit's keywords, a
field of :class:`JudgeOptions` with its :class:`Option`. pydantic checks values against it, and is imported only when
there are some, so that ``medqbench --help`` starts without it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from medqbench_vlmeval.errors import BadInput, NoJudge
from medqbench_vlmeval.judge.secrets import refuse_key, shown_extra, shown_url, url_secrets, values_named_secret

if TYPE_CHECKING:
    from pydantic import BaseModel

RULES = "rules"
DEFAULT_PROTOCOL = "official"
KIT_PREFIX = "kit:"
KEY_VARIABLES = ("MEDQBENCH_JUDGE_KEY", "OPENAI_API_KEY")
URL_VARIABLES = ("OPENAI_BASE_URL", "OPENAI_API_BASE")
# The client sends their password to the proxy, which may repeat it.
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
PUBLIC_URL = "https://api.openai.com/v1"
MOST_TOKENS = 4096
# Under which names servers know the most tokens of a reply. OpenAI's reasoning models know the second one alone.
LIMITS = ("max_tokens", "max_completion_tokens")

# What may be shown of a variable's name: whoever puts the key itself there must not see it again.
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
# Keywords that the kit's runner passes to every dataset and that mean nothing to a judge of ours.
_KIT_ONLY = frozenset({"verbose", "use_verifier", "use_vllm", "sleep", "use_threading"})


@dataclass(frozen=True)
class Option:
    """What is said once about an option: a number's bounds, its own ``flag`` on the command line, the ``keywords`` of
    ``--judge-args`` and the kit, and whether it is of a whole run, and no panel member's (``common``)."""

    help: str
    low: float | None = None
    high: float | None = None
    flag: str | None = None
    keywords: tuple[str, ...] = ()
    common: bool = False


def _option(help_: str, default: Any = None, *bounds: float, shown: bool = True, **more: Any) -> Any:
    """A field with its :class:`Option`; ``more`` are fields of that one."""
    defaults: dict[str, Any] = {"default_factory": dict} if default == {} else {"default": default}
    more.update(zip(("low", "high"), bounds, strict=False))
    return field(**defaults, metadata={"option": Option(help_, **more)}, repr=shown)


@dataclass(frozen=True)
class JudgeOptions:
    """A judge and how to ask it; ``panel`` holds the members where several sit together. ``role``, 'judge' or
    'extractor', is what messages call the model, and the option that names it."""

    name: str = _option(
        "Judge model, several with commas for a panel, kit:NAME for one of the kit's, or 'rules' for the embedded one.",
        "",
        flag="--judge",
        keywords=("model",),
    )
    base_url: str | None = _option("http://host:port/v1", flag="--judge-base-url", keywords=("api_base", "base_url"))
    key: str | None = _option(
        "Better: the environment variable MEDQBENCH_JUDGE_KEY, or .env.", flag="--judge-key", shown=False
    )
    nproc: int = _option("Calls in flight.", 4, 1, 1000, flag="--judge-nproc")
    retry: int = _option("Retries of a call.", 3, 0, 100, flag="--judge-retry")
    timeout: float = _option("Seconds for one call.", 600.0, 0.001, 86_400, flag="--judge-timeout")
    protocol: str = _option(
        "official, official-5, rubric or rubric-joint; NAME-N asks in N rounds.", DEFAULT_PROTOCOL, flag="--protocol"
    )
    temperature: float | None = _option("Sampling temperature; null leaves it out.", 0.0, 0, 2)
    max_tokens: int | None = _option("Most tokens of a reply, thoughts included (4,096).", None, 1, 10_000_000)
    extra: Mapping[str, Any] = _option("An object that is merged into the request's body.", {})
    n_rounds: int | None = _option("Rounds of each question, another way to give the protocol's N.", None, 1, 20)
    rpm: float | None = _option("Most requests a minute.", None, 0.01, 10_000_000)
    tpm: float | None = _option("Most tokens a minute.", None, 1, 1e12)
    stop_after: int = _option("Failed calls in a row that stop a run.", 20, 1, 1_000_000, common=True)
    max_answer_tokens: int = _option("Longer answers are cut to so many tokens.", 16_000, 100, 10_000_000)
    fresh: bool = _option("Ask for verdicts that the cache holds, too.", False, flag="--fresh", common=True)
    no_calls: bool = _option("Take verdicts from the cache alone.", False, flag="--no-calls", common=True)
    key_env: str | None = _option("The environment variable with this judge's key.")
    panel: tuple[JudgeOptions, ...] = ()
    role: str = "judge"

    def __post_init__(self) -> None:
        """Raise BadInput where a key stands in the place of a name."""
        refuse_key(self.name, f"The {self.role}'s name")
        refuse_key(self.protocol, "The protocol's name")

    @property
    def of_kit(self) -> bool:
        """Whether the kit's ``build_judge`` makes the model."""
        return self.name.startswith(KIT_PREFIX)

    @property
    def asked_as(self) -> str:
        """The name that replies are kept under: where LOCAL_LLM replaces the kit's model, that belongs to it."""
        local = os.environ.get("LOCAL_LLM", "") if self.of_kit else ""
        return f"{self.name} as {local}" if local else self.name

    @property
    def most_tokens(self) -> int:
        """The most tokens of a reply; the usual limit leaves room for thoughts, and ends a reply that never would."""
        return self.max_tokens or MOST_TOKENS

    @property
    def parameters(self) -> Mapping[str, object]:
        """What is sent with each question and decides the reply, as results may show it; the kit's clients have limits
        of their own where none is given."""
        own_limit = self.of_kit or bool({*LIMITS} & self.extra.keys())
        return {**self.keyed, "max_tokens": self.max_tokens if own_limit else self.most_tokens}

    @property
    def keyed(self) -> Mapping[str, object]:
        """Those of the parameters that replies are kept under: as they were given, whatever the usual limit is."""
        extra = {"extra": shown_extra(self.extra)} if self.extra else {}
        return {"temperature": self.temperature, "max_tokens": self.max_tokens, **extra}

    @classmethod
    def from_kit_kwargs(cls, kwargs: Mapping[str, object]) -> JudgeOptions:
        """Options from the judge keywords of the kit's runner, ``--judge-args`` merged in. Raises NoJudge where no
        judge is named. Raises BadInput for an unknown keyword, or a value out of range."""
        known = {"panel", *(name for option in OPTIONS.values() for name in option.keywords)}
        if unknown := sorted(set(kwargs) - known - _KIT_ONLY):
            raise BadInput(
                f"Unknown judge option{'s' if len(unknown) > 1 else ''} {', '.join(map(repr, unknown))}; --judge-args "
                f"takes {', '.join(sorted(known))}."
            )
        if kwargs.get("panel"):
            return cls._panel(kwargs)
        names = [name for part in str(kwargs.get("model") or "").split(",") if (name := part.strip())]
        if not names:
            raise NoJudge(
                "No judge was named, so nothing is scored, and the predictions stay as they are: name one with --judge "
                "(--judge gpt-4o, or --judge rules for the embedded judge, which needs no network)."
            )
        if len(names) > 1:
            return cls._panel({**kwargs, "panel": [{"model": name} for name in names]})
        return cls(names[0], **_checked({**kwargs, "base_url": kwargs.get("base_url") or kwargs.get("api_base")}))

    @classmethod
    def _panel(cls, kwargs: Mapping[str, object]) -> JudgeOptions:
        """Several judges; each takes what it does not say for itself from the common options."""
        members = kwargs["panel"]
        shared = {name: value for name, value in kwargs.items() if name not in ("panel", "model")}
        if not isinstance(members, list) or not all(isinstance(m, Mapping) and m.get("model") for m in members):
            raise BadInput("The judge option 'panel' must be a list of objects, each with the name of a 'model'.")
        own = {name for option in OPTIONS.values() if not option.common for name in option.keywords}
        for member in members:
            if unknown := sorted(set(member) - own):
                raise BadInput(f"A panel's member takes no option {', '.join(map(repr, unknown))}.")
        judges: list[JudgeOptions] = []
        for member in members:
            # A key or a URL of its own, also under the other name, goes before the common one.
            pairs = (("key", "key_env"), ("base_url", "api_base"))
            hidden = {name for pair in pairs if any(member.get(name) for name in pair) for name in pair}
            common = {name: value for name, value in shared.items() if name not in hidden}
            judges.append(cls.from_kit_kwargs({**common, **member}))
        names = [judge.name for judge in judges]
        if len(judges) < 2 or len(set(names)) < len(names):
            raise BadInput(f"A panel needs two or more judges with different names, not {', '.join(names)}.")
        return cls(", ".join(names), panel=tuple(judges))

    def endpoint(self) -> str:
        """The server's base URL, without a trailing '/chat/completions'; a query of its own stays at its end. BadInput
        where it is not an http or https URL."""
        import validators

        named = self.base_url or next((url for name in URL_VARIABLES if (url := environment(name))), None)
        base, mark, query = (named or PUBLIC_URL).strip().partition("?")
        if mark:
            # The kit's runner puts its route behind whatever it was given.
            query = query.rstrip("/").removesuffix("/chat/completions")
        url = base.rstrip("/").removesuffix("/chat/completions").rstrip("/") + mark + query
        refuse_key(base.rpartition("@")[2], f"The path of the {self.role}'s base URL")
        # Containers have names with underscores, which the library takes for no host's.
        plain, is_web = url.replace("_", "-"), {"http", "https"}.__contains__
        if not validators.url(plain, simple_host=True, strict_query=False, validate_scheme=is_web):
            raise BadInput(f"The {self.role}'s base URL '{shown_url(url)}' is not of the form http://host:port/v1.")
        return url

    def secret(self) -> str:
        """The key to send: the option, else the environment's, else 'EMPTY' where a base URL was given. Raises NoJudge
        where there is none, BadInput for characters that no key has."""
        if self.key_env:
            if not (key := environment(self.key_env)):
                variable = self.key_env if _VARIABLE.fullmatch(self.key_env) else "that 'key_env' names"
                raise NoJudge(f"The environment variable {variable} with the key of '{self.name}' is not set.")
        else:
            key = self.key or next((value for name in KEY_VARIABLES if (value := environment(name))), None)
        if key := (key or "").strip():
            if key.isascii() and key.isprintable():
                return key
            raise BadInput(
                f"The {self.role}'s key holds characters that no key has (it is not shown here); copy it again "
                f"into {KEY_VARIABLES[0]}."
            )
        if self.endpoint() != PUBLIC_URL:
            return "EMPTY"
        raise NoJudge(
            f"The {self.role} '{self.name}' needs a key: set {' or '.join(KEY_VARIABLES)}, give --judge-key, or name "
            "your own server with --judge-base-url http://host:port/v1."
        )

    def secrets(self) -> frozenset[str]:
        """All that must not be shown of this judge: keys, what its URL and those of proxies carry, and texts in
        ``extra`` named so; errors are those of :func:`env_file_values`."""
        if self.panel:
            return frozenset().union(*(member.secrets() for member in self.panel))
        named = [self.key, *(environment(name) for name in (self.key_env, *KEY_VARIABLES) if name)]
        urls = [self.base_url, *map(environment, URL_VARIABLES), *map(os.environ.get, PROXY_VARIABLES)]
        secrets = {text.strip() for text in named if text} | values_named_secret(self.extra)
        return frozenset(secrets.union(*(url_secrets(url) for url in urls if url)))


OPTIONS: Mapping[str, Option] = {
    declared.name: replace(option, keywords=option.keywords or (declared.name,))
    for declared in fields(JudgeOptions)
    if (option := declared.metadata.get("option"))
}
"""What is said about each option, by the name of its field."""


def keywords_of(options: JudgeOptions) -> dict[str, object]:
    """The judge keywords that options stand for: what is not said has its default."""
    default = JudgeOptions()
    if not options.panel:
        said = {name: option for name, option in OPTIONS.items() if getattr(options, name) != getattr(default, name)}
        return {option.keywords[0]: getattr(options, name) for name, option in said.items()}
    common = {option.keywords[0] for option in OPTIONS.values() if option.common}
    members = [keywords_of(member) for member in options.panel]
    shared = {name: value for member in members for name, value in member.items() if name in common}
    own = [{name: value for name, value in member.items() if name not in common} for member in members]
    return {**shared, "panel": own}


def parse_judge_args(text: str | None) -> dict[str, object]:
    """The options in ``--judge-args``; BadInput where these are no JSON object."""
    example = '{"protocol": "official"}'
    try:
        options: object = json.loads(text) if text else {}
    except ValueError as error:
        raise BadInput(f"--judge-args is not JSON ({error}); write it like '{example}'.") from None
    if not isinstance(options, dict):
        raise BadInput(f"--judge-args must be a JSON object, such as '{example}'.")
    return options


def environment(name: str) -> str | None:
    """A variable of the environment, else of :func:`env_file_values`; None where it is empty."""
    if os.environ.get(name, "").strip():
        return os.environ[name]
    return env_file_values().get(name, "").strip() or None


def env_file_values() -> dict[str, str]:
    """All that the file ``.env`` in the working folder gives, never exported or shown; BadInput where it cannot be
    read."""
    path = Path.cwd() / ".env"
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        # Windows editors begin a file with a mark that would become a part of the first name.
        values = dotenv_values(path, interpolate=False, encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text; save it as UTF-8, with one NAME=VALUE in a line.") from None
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror}); make it readable for yourself alone (chmod 600)."
        ) from None
    return {name: value for name, value in values.items() if value}


def _checked(kwargs: Mapping[str, object]) -> dict[str, Any]:
    """The checked values of all options but the name; what is None or blank has its default, but for a temperature."""
    from pydantic import ValidationError

    values = {name: kwargs[name] for name in OPTIONS if name in kwargs and not _is_unset(name, kwargs[name])}
    try:
        checked = _model().model_validate(values)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        option, text = OPTIONS[name], f"is {kwargs[name]!r}; it must be"
        if option.low is not None:
            wanted = f"{text} a number from {option.low:g} to {option.high:g}"
        elif option.common:
            wanted = f"{text} true or false"
        else:
            # Whatever stands here may be a key.
            wanted = "must be an object that is merged into the request's body" if name == "extra" else "must be a text"
        raise BadInput(f"The judge option '{name}' {wanted}.") from None
    return {name: getattr(checked, name) for name in values}


def _is_unset(name: str, value: Any) -> bool:
    if OPTIONS[name].low is not None:
        return value is None and name != "temperature"
    return name == "name" or not (value.strip() if isinstance(value, str) else value)


@lru_cache(maxsize=1)
def _model() -> type[BaseModel]:
    """The pydantic model that the fields of :class:`JudgeOptions` declare."""
    from pydantic import BeforeValidator, ConfigDict, Field, create_model

    hints, declared = get_type_hints(JudgeOptions), dict[str, Any]()
    for name, option in OPTIONS.items():
        kind = hints[name] if option.low is None else Annotated[hints[name], BeforeValidator(_number)]
        declared[name] = (kind, Field(None, ge=option.low, le=option.high, strict=kind is bool or None))
    texts = ConfigDict(str_strip_whitespace=True, coerce_numbers_to_str=True)
    return create_model("JudgeArguments", __config__=texts, **declared)


def _number(value: Any) -> Any:
    """A number as JSON or a shell gives it; pydantic would take true for 1, and no '1e3' for a whole number."""
    if isinstance(value, bool):
        raise ValueError(value)  # noqa: TRY004  # what pydantic wants to hear
    return float(value) if isinstance(value, str) else value
