"""Keeping keys out of texts and of logs, and showing settings and URLs without them. A :class:`Mask` knows secrets in
the forms in which servers, shells and serialisers pass them on. While :func:`masked_logs` is entered, no record of any
logger in this process shows one, whatever handler or formatter it goes to."""

from __future__ import annotations

import base64
import html
import json
import logging
import os
import re
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import reduce
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit, urlunsplit

from medqbench_vlmeval.errors import BadInput

MARK = "***"
# Shorter ones would take ordinary words out of replies and logs; no provider's key is so short.
SHORTEST = 8
NOT_SECRET = frozenset({"", "empty", "none", "null", "sk-admin"})

_SECRET_NAME = re.compile(r"key|token|secret|passw|pwd|auth(?!or(?!i))|credential|cookie|signature", re.IGNORECASE)
# Names of ordinary settings with such a word in them.
_ORDINARY = re.compile(
    r"tokeni[sz]\w*|(?<![a-z])(?:stop|bos|eos|pad|unk)_tokens?|key(?:boards?|words?|points?|frames?)", re.IGNORECASE
)
# Keys as providers make them (OpenAI and its like, Hugging Face, Groq, GitHub, Google, AWS, NVIDIA, Zhipu; JSON web
# tokens). A model named so would be the first.
_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:sk-(?=[\w-]*\d)[\w-]{12,}"
    r"|(?:hf|gsk|ghp|gho|r8|glpat|github_pat)[_-](?=\w*\d)\w{20,}|(?:xai|nvapi|pplx)-(?=[\w-]*\d)[\w-]{20,}"
    r"|AIza[\w-]{30,}|AKIA[A-Z0-9]{16}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}|[0-9a-f]{32}\.\w{16}(?!\w))"
)
# A key variable of the kit's that does not look like one.
_KEY_VARIABLE = "ALLES"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# Of a pair like {"name": "x-api-key", "value": ...} the one that says what the other is.
_NAMING = frozenset({"name", "key", "header"})

_lock = threading.Lock()
_active: list[Callable[[str], str]] = []


class Mask:
    """Replaces secrets in a text by '***': as they are, escaped for JSON, HTML, Python or a URL, and in base64."""

    def __init__(self, secrets: Iterable[str]) -> None:
        long = (secret for secret in secrets if len(secret) >= SHORTEST)
        self.secrets = frozenset(secret for secret in long if secret.lower() not in NOT_SECRET)
        forms = sorted({form for secret in self.secrets for form in _forms(secret)}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, forms))) if forms else None

    def __call__(self, text: str) -> str:
        return self._pattern.sub(MARK, text) if self._pattern else text

    def __repr__(self) -> str:
        return f"Mask({len(self.secrets)} secrets)"


def secrets_in_environment(more: Iterable[tuple[str, str]] = ()) -> set[str]:
    """Values of environment variables, and of ``more``, that are named like secrets and are no existing file's path,
    and the secrets of URLs among them."""
    secrets: set[str] = set()
    # A shell keeps the working folder and the one before in two variables whose names look like a password's.
    for name, value in (pair for pair in (*more, *os.environ.items()) if pair[0] not in ("PWD", "OLDPWD")):
        if "://" in value:
            secrets |= url_secrets(value)
        elif (is_secret_name(name) or name == _KEY_VARIABLE) and not _is_path(value):
            secrets.add(value.strip())
    return secrets


def _is_path(text: str) -> bool:
    with suppress(OSError, ValueError):
        return Path(text).exists()
    return False


def environment_mask() -> Mask:
    """Knows what the process's environment holds under names of secrets, and in its addresses."""
    return Mask(secrets_in_environment())


@contextmanager
def masked_logs(mask: Callable[[str], str]) -> Iterator[None]:
    """Apply ``mask`` to the message and the traceback of every log record that is made meanwhile; may be entered
    several times at once, from several threads. The earlier record factory comes back when the last one leaves."""
    with _lock:
        _active.append(mask)
        if len(_active) == 1:
            logging.setLogRecordFactory(_Factory(logging.getLogRecordFactory()))
    try:
        yield
    finally:
        with _lock:
            _active.remove(mask)
            factory = logging.getLogRecordFactory()
            # A factory that somebody has put around ours meanwhile stays; ours passes records on as they are.
            if not _active and isinstance(factory, _Factory):
                logging.setLogRecordFactory(factory.inner)


@contextmanager
def quiet(name: str, level: int) -> Iterator[None]:
    """Give a logger a level for a while."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


def masked_traceback(error: BaseException, mask: Callable[[str], str]) -> str | None:
    """The masked traceback of an error, causes and contexts with it; None where nothing of it had to be masked."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    hidden = mask(text)
    return None if hidden == text else hidden


class _Factory:
    """Makes log records as ``inner`` does, and masks them."""

    def __init__(self, inner: Callable[..., logging.LogRecord]) -> None:
        self.inner = inner

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self.inner(*args, **kwargs)
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):
            # The handler will complain about such a record and show its parts.
            message = f"{record.msg} {record.args}"
        hidden = _masked(message)
        if hidden != message:
            # A percent sign in a message without arguments is left alone by the formatter.
            record.msg, record.args = hidden, ()
        if record.exc_info and record.exc_info[1] is not None:
            trace = masked_traceback(record.exc_info[1], _masked)
            if trace is not None:
                record.exc_info, record.exc_text = None, trace.rstrip("\n")
        if record.exc_text:
            record.exc_text = _masked(record.exc_text)
        if record.stack_info:
            record.stack_info = _masked(record.stack_info)
        return record


def _masked(text: str) -> str:
    return reduce(lambda hidden, mask: mask(hidden), tuple(_active), text)


def _forms(secret: str) -> set[str]:
    # Undecodable bytes of an environment variable are lone surrogates here.
    raw = secret.encode("utf-8", errors="surrogatepass")
    escaped = json.dumps(secret)[1:-1]
    forms = {secret, repr(secret)[1:-1], quote(raw, ""), quote(raw), quote_plus(raw), html.escape(secret)}
    forms |= {escaped, json.dumps(escaped)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    for shift in range(3):
        # The characters that every base64 text with the secret somewhere in it has, for its three alignments.
        first, last = -(-8 * shift // 6), 8 * (shift + len(raw)) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            forms.add(encode(bytes(shift) + raw).decode("ascii")[first:last])
    return forms


def is_secret_name(name: str) -> bool:
    """Whether what has this name is likely to be a secret; 'tokenizer' and 'stop_token' are no such names."""
    return bool(_SECRET_NAME.search(_ORDINARY.sub("", name)))


def looks_like_key(text: str) -> bool:
    """Whether a text, or a part of it, has the form of a provider's key."""
    return _KEY.search(text) is not None


def masked_lines(log: str) -> list[str]:
    """The lines of a log as a page may show them: without keys, those of this environment too, and colours."""
    mask = environment_mask()
    return [_KEY.sub(MARK, mask(_COLOUR.sub("", line)))[:400] for line in log.splitlines() if line.strip()]


def refuse_key(text: str | None, what: str) -> None:
    """Raise BadInput, without the text, where a name or an address looks like a key: it would stand in every file."""
    if text and looks_like_key(text):
        raise BadInput(
            f"{what} looks like a key, and is not shown or written anywhere. Give keys in MEDQBENCH_JUDGE_KEY or "
            "--judge-key, and a name here."
        )


def words_by_option(arguments: Sequence[str]) -> Iterator[tuple[str, str | None, bool]]:
    """Yield each word as its option ('' for none), its value (None for none), and whether '=' joins the two."""
    before = ""
    for word in arguments:
        option, joined, value = word.partition("=") if word.startswith("--") else (before, "", word)
        if word.startswith("--") and not joined:
            before = word
            yield option, None, False
        else:
            before = ""
            yield option, value, bool(joined)


def refuse_keys(words: Sequence[str]) -> None:
    """Raise BadInput for a command line with a key where none belongs, before anything shows or writes it."""
    for name, value, joined in words_by_option(words):
        if value is None:
            refuse_key(name, "An option")
        elif name == "--judge-args":
            with suppress(ValueError):
                with_texts(json.loads(value), _refuse_in_arguments)
        elif not is_secret_name(name):
            refuse_key(name if joined else None, "An option")
            # What a URL may carry beside its path is never shown.
            shown = shown_url(value) if "://" in value else value
            refuse_key(shown, f"What is given to {name}" if name else "An argument")


def _refuse_in_arguments(text: str, secret: bool) -> str:
    if not secret:
        refuse_key(text, "A value in --judge-args")
    return text


def shown_extra(extra: Mapping[str, object]) -> dict[str, object]:
    """Settings as a result may show them: texts that are named like a secret, and what is secret in URLs, are masked at
    any depth. Numbers and truth values stay ('max_completion_tokens')."""

    def shown(text: str, secret: bool) -> str:
        return MARK if secret else shown_url(text) if "://" in text and url_secrets(text) else text

    return {name: with_texts(value, shown, is_secret_name(name)) for name, value in extra.items()}


def values_named_secret(value: object) -> set[str]:
    """The texts that :func:`shown_extra` would mask, for settings of any form."""
    secrets: set[str] = set()

    def note(text: str, secret: bool) -> str:
        secrets.update({text} if secret else url_secrets(text) if "://" in text else ())
        return text

    with_texts(value, note)
    return secrets


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
    secrets = {value for name, value in parse_qsl(parts.query) if name.lower() != "api-version"}
    user, separator, password = parts.netloc.rpartition("@")[0].partition(":")
    if separator:
        secrets |= {password, unquote(password), f"{user}:{password}", f"{unquote(user)}:{unquote(password)}"}
    elif user:
        # Tokens come as a user without a password too.
        secrets |= {user, unquote(user), f"{unquote(user)}:"}
    return secrets


def with_texts(value: Any, change: Callable[[str, bool], str], secret: bool = False) -> Any:
    """A value with each text in its mappings (names too), lists and tuples changed; ``change`` is told whether the
    text's name, or one around it, is a secret's."""
    if isinstance(value, str):
        return change(value, secret)
    if isinstance(value, Mapping):
        whole = secret or any(
            str(name).lower() in _NAMING and isinstance(inner, str) and is_secret_name(inner)
            for name, inner in value.items()
        )
        return {
            with_texts(name, change): with_texts(inner, change, whole or is_secret_name(str(name)))
            for name, inner in value.items()
        }
    return [with_texts(inner, change, secret) for inner in value] if isinstance(value, list | tuple) else value
