"""What a failed judge call means: stop the run, or leave one verdict unscored. Never a number, never a key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from medqbench_vlmeval.errors import JudgeError
from medqbench_vlmeval.judge.options import NO_KEY, JudgeOptions, shown_url

if TYPE_CHECKING:
    from openai import APIStatusError, OpenAIError

# Asking again, or asking the next question, cannot help: key, credit or model name are refused.
HOPELESS = frozenset({401, 402, 404})
# Before any call was answered these speak of the request's form; later of the one prompt that was refused.
HOPELESS_AT_FIRST = frozenset({400, 403, 422})
_NO_CREDIT = "insufficient_quota"
# Time-outs, conflicts and limits pass; so do the server's own failures (500 and up).
MAY_HEAL = frozenset({408, 409, 425, 429})
_WORDS_LENGTH = 240
# A 400 that speaks of this one prompt: its length, or a filter that its words set off.
_THIS_PROMPT_CODES = frozenset(
    {"context_length_exceeded", "string_above_max_length", "content_filter", "invalid_prompt"}
)
_THIS_PROMPT = re.compile(
    r"(?:maximum|max) context length|context window|maximum (?:input|model) length|content filter"
    r"|flagged|usage polic|moderation",
    re.I,
)


def server_words(error: OpenAIError, key: str) -> str:
    """The server's explanation in one short line, without the key."""
    body = getattr(error, "body", None)
    while isinstance(body, dict):
        body = next((body[name] for name in ("message", "error", "detail", "msg") if body.get(name)), "")
    words = body if isinstance(body, str) and body.strip() else str(error)
    if key and key != NO_KEY:
        words = words.replace(key, "***")
    words = " ".join(re.sub(r"\bsk-[\w*-]{4,}", "***", words).split())
    return words if len(words) <= _WORDS_LENGTH else f"{words[:_WORDS_LENGTH]}..."


def is_hopeless(error: APIStatusError, words: str, answered: bool) -> bool:
    """Whether a refusal concerns every call; ``answered`` says that a call of this run has been answered."""
    if error.status_code in HOPELESS or str(error.code) == _NO_CREDIT:
        return True
    return error.status_code in HOPELESS_AT_FIRST and not answered and not is_about_this_prompt(error, words)


def is_about_this_prompt(error: APIStatusError, words: str) -> bool:
    """Whether a refusal concerns one prompt and leaves hope for the others."""
    return error.status_code == 400 and (str(error.code) in _THIS_PROMPT_CODES or bool(_THIS_PROMPT.search(words)))


def refused(options: JudgeOptions, error: APIStatusError, words: str) -> JudgeError:
    """The error that stops a run because the server refuses every call."""
    hint = {
        401: "Check the key (--judge-key, MEDQBENCH_JUDGE_KEY or OPENAI_API_KEY).",
        403: "Check that the key may use this model.",
        404: "Check the model's name (--judge) and the base URL (--judge-base-url).",
    }.get(error.status_code, "Check the judge's options (--judge-args).")
    if error.status_code in (400, 422) and "temperature" in words.lower():
        hint = "Leave the temperature out with --judge-args '{\"temperature\": null}'."
    return JudgeError(
        f"The judge '{options.name}' at {shown_url(options.endpoint())} refused the call with status "
        f"{error.status_code}: {words.rstrip('.')}. {hint}"
    )


def unreachable(options: JudgeOptions) -> JudgeError:
    """The error that stops a run because no server answers."""
    return JudgeError(
        f"No judge answers at {shown_url(options.endpoint())}: the connection failed. Start the server or correct "
        "--judge-base-url."
    )
