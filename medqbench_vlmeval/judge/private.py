"""What of a user's settings is a secret, and how settings are shown without it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from medqbench_vlmeval.judge.masking import MARK

_SECRET_NAME = re.compile(r"key|token|secret|passw|pwd|auth(?!or(?!i))|credential|cookie|signature", re.IGNORECASE)
# Names of ordinary settings with such a word in them.
_ORDINARY = re.compile(
    r"tokeni[sz]\w*|(?<![a-z])(?:stop|bos|eos|pad|unk)_tokens?|key(?:boards?|words?|points?|frames?)", re.IGNORECASE
)
# Of a pair like {"name": "x-api-key", "value": ...} the one that says what the other is.
_NAMING = frozenset({"name", "key", "header"})


def is_secret_name(name: str) -> bool:
    """Whether what has this name is likely to be a secret; 'tokenizer' and 'stop_token' are no such names."""
    return bool(_SECRET_NAME.search(_ORDINARY.sub("", name)))


def shown_extra(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a result may show them: texts that are named like a secret are masked, at any depth, and what is
    secret in URLs.

    Numbers and truth values stay ('max_completion_tokens').
    """
    return {name: _shown(value, is_secret_name(name)) for name, value in extra.items()}


def values_named_secret(value: Any, secret: bool = False) -> Iterator[str]:
    """The texts that :func:`shown_extra` would mask, for settings of any form."""
    if isinstance(value, str):
        if secret:
            yield value
        elif "://" in value:
            yield from url_secrets(value)
    elif isinstance(value, Mapping):
        whole = secret or _names_a_secret(value)
        for name, inner in value.items():
            yield from values_named_secret(inner, whole or is_secret_name(str(name)))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from values_named_secret(inner, secret)


def shown_url(url: str) -> str:
    """A URL without the user, password, query and fragment that it may carry; '***' where it cannot be read."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return MARK
    if "@" in parts.path:
        # A password with a slash in it has cut the URL in the wrong place.
        return MARK
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def url_secrets(url: str) -> set[str]:
    """Password, user:password and the values of the query of a URL; the user alone is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return {url}
    found = {value for name, value in parse_qsl(parts.query) if name.lower() != "api-version"}
    user, separator, password = parts.netloc.rpartition("@")[0].partition(":")
    if separator:
        found |= {password, unquote(password), f"{user}:{password}", f"{unquote(user)}:{unquote(password)}"}
    elif user:
        # Tokens come as a user without a password too.
        found |= {user, unquote(user), f"{unquote(user)}:"}
    return found


def _shown(value: Any, secret: bool) -> Any:
    if isinstance(value, str):
        shown = shown_url(value) if "://" in value and url_secrets(value) else value
        return MARK if secret else shown
    if isinstance(value, Mapping):
        whole = secret or _names_a_secret(value)
        return {name: _shown(inner, whole or is_secret_name(str(name))) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(inner, secret) for inner in value]
    return value


def _names_a_secret(pair: Mapping[Any, Any]) -> bool:
    return any(
        str(name).lower() in _NAMING and isinstance(value, str) and is_secret_name(value)
        for name, value in pair.items()
    )
