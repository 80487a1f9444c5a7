"""What a failed judge call means: stop the run, or leave one verdict unscored. Never a number, never a key."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from medqbench_vlmeval.errors import JudgeError
from medqbench_vlmeval.judge.masking import Mask
from medqbench_vlmeval.judge.options import JudgeOptions
from medqbench_vlmeval.judge.private import shown_url

if TYPE_CHECKING:
    from openai import OpenAIError

# Asking again, or asking the next question, cannot help: key, credit or model name are refused.
HOPELESS = frozenset({401, 402, 404})
# Before any call was answered these speak of the request's form; later of the one prompt that was refused.
HOPELESS_AT_FIRST = frozenset({400, 403, 422})
_NO_CREDIT = "insufficient_quota"
# Time-outs, conflicts and limits pass; so do the server's own failures (500 and up).
MAY_HEAL = frozenset({408, 409, 425, 429})
_WORDS_LENGTH = 240
# What a terminal would obey, or reorder its line by.
_NOT_WORDS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
# A 400 that speaks of this one prompt: its length, or a filter that its words set off.
_THIS_PROMPT_CODES = frozenset(
    {"context_length_exceeded", "string_above_max_length", "content_filter", "invalid_prompt"}
)
_THIS_PROMPT = re.compile(
    r"(?:maximum|max) context length|context window|maximum (?:input|model) length|content filter"
    r"|flagged|usage polic|moderation",
    re.I,
)


class Refusal(Protocol):
    """A reply with an error status; ``code`` is the server's own word for it, where it has one."""

    @property
    def status_code(self) -> int: ...

    @property
    def code(self) -> str | None: ...


def server_words(error: OpenAIError, secret: str | Mask) -> str:
    """The server's explanation in one short line, without the key, or the secrets that a mask knows."""
    mask = Mask([secret]) if isinstance(secret, str) else secret
    return short_words(getattr(error, "body", None), str(error), mask)


def short_words(body: Any, otherwise: str, mask: Callable[[str], str]) -> str:
    """The explanation in an error's body, in one short masked line without control characters; ``otherwise`` where
    it has none."""
    while isinstance(body, dict):
        body = next((body[name] for name in ("message", "error", "detail", "msg") if body.get(name)), "")
    words = mask(body if isinstance(body, str) and body.strip() else otherwise)
    words = " ".join(_NOT_WORDS.sub("\ufffd", re.sub(r"\bsk-[\w*-]{4,}", "***", words)).split())
    return words if len(words) <= _WORDS_LENGTH else f"{words[:_WORDS_LENGTH]}..."


def is_hopeless(error: Refusal, words: str, answered: bool) -> bool:
    """Whether a refusal concerns every call; ``answered`` says that a call of this run has been answered."""
    if error.status_code in HOPELESS or str(error.code) == _NO_CREDIT:
        return True
    return error.status_code in HOPELESS_AT_FIRST and not answered and not is_about_this_prompt(error, words)


def is_about_this_prompt(error: Refusal, words: str) -> bool:
    """Whether a refusal concerns one prompt and leaves hope for the others."""
    return error.status_code == 400 and (str(error.code) in _THIS_PROMPT_CODES or bool(_THIS_PROMPT.search(words)))


def refused(options: JudgeOptions, error: Refusal, words: str, url: str | None = None) -> JudgeError:
    """The error that stops a run because the server (at ``url``; default: the options') refuses every call."""
    hint = {
        401: "Check the key (--judge-key, MEDQBENCH_JUDGE_KEY or OPENAI_API_KEY).",
        403: "Check that the key may use this model.",
        404: f"Check the model's name (--{options.role}) and the base URL (--judge-base-url).",
    }.get(error.status_code, f"Check the {options.role}'s options (--judge-args).")
    if error.status_code in (400, 422) and "temperature" in words.lower():
        hint = "Leave the temperature out with --judge-args '{\"temperature\": null}'."
    return JudgeError(
        f"The {options.role} '{options.name}' at {shown_url(url or options.endpoint())} refused the call with status "
        f"{error.status_code}: {words.rstrip('.')}. {hint}"
    )


def unreachable(options: JudgeOptions, url: str | None = None) -> JudgeError:
    """The error that stops a run because no server answers."""
    return JudgeError(
        f"No {options.role} answers at {shown_url(url or options.endpoint())}: the connection failed. Start the server "
        "or correct --judge-base-url."
    )
