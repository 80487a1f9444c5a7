"""What a server's answer to a chat completion request holds: a reply, or the failure that it stands for. Servers are
only nearly compatible: an answer of status 200 may be an error that names another status, an HTML page, or the events
of a stream that nobody asked for. A reply that was cut off is marked so, and no verdict is read from it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medqbench_vlmeval.judge.calls import REASONED, REFUSED, Reply

MOST_BYTES = 8 * 2**20
"""An answer of more bytes is no judge's: a completion has a few thousand."""

_WORDS_LENGTH = 240
# What a terminal would obey, or reorder its line by.
_NOT_WORDS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
# A count above it is an error of the server's, and sums of such counts would overflow.
_MOST_TOKENS = 10**9
# Where servers put their words and their codes, the plainest first.
_WORDS = (
    "message", "error", "errors", "detail", "msg", "error_msg", "status_msg", "error_message", "base_resp", "title",
)  # fmt: skip
_CODES = ("code", "type", "status", "statusCode", "status_code", "error_code", "error_type", "__type", "err_code")
_DEEPEST = 5

# How servers say that a reply was not ended by the model (OpenAI, Anthropic, Gemini, Mistral, Bedrock, Zhipu, DeepSeek,
# vLLM, SGLang), in small letters without anything between them.
_FINISHES = json.loads(Path(__file__).with_name("finish_reasons.json").read_text(encoding="utf-8"))
# What an error in words or codes means: an HTTP status, the first that fits, or what is wrong with the request. What
# stops a run has to be said plainly.
_ERROR_WORDS = {
    meaning: re.compile("|".join(words), re.IGNORECASE)
    for meaning, words in json.loads(Path(__file__).with_name("error_words.json").read_text(encoding="utf-8")).items()
}
_STATUS = re.compile(r"([45]\d\d)(?:\d\d)?")
_WAIT = re.compile(
    r"(?:try again|retry|wait)(?:\s(?:in|after|for|about))*\s(?:(?P<m>\d{1,3})\s?m(?!s|il)(?:in\w*)?\s?)?"
    r"(?:(?P<s>\d{1,5}(?:\.\d+)?)\s?(?P<unit>ms|s|sec(?:ond)?s?|millisec\w*)\b)?",
    re.IGNORECASE,
)
_TITLE = re.compile(r"<(title|h1)[^>]{0,200}>(.{1,500}?)</\1", re.IGNORECASE | re.DOTALL)
_MARKUP = re.compile(r"\s*<(?:!doctype|html|head|body|\?xml|h\d|p|center|title|div|script|!--)", re.IGNORECASE)


@dataclass(eq=False)
class Failed(Exception):
    """An answer without a completion: the HTTP status that it stands for and the one ``as_sent``, the server's own
    ``code`` and ``words``, masked, and the time in seconds that these ask to ``wait``."""

    status: int
    code: str
    words: str
    as_sent: int = 200
    wait: float | None = None

    def __str__(self) -> str:
        return self.words if self.as_sent == 200 else f"status {self.as_sent}: {self.words}"

    def says(self, meaning: str) -> bool:
        """Whether the words have a meaning of ``error_words.json``."""
        return _ERROR_WORDS[meaning].search(self.words) is not None


def inside(value: Any, *path: str | int) -> Any:
    """What stands in a server's JSON under these names and numbers; None where the JSON is of another form."""
    for step in path:
        try:
            value = value[step]
        except (TypeError, LookupError):
            return None
    return value


def short_words(body: Any, otherwise: str, mask: Callable[[str], str]) -> str:
    """The explanation in an error's body, in one short masked line without control characters; ``otherwise`` where
    it has none."""
    words = mask(_words(body) or otherwise)
    if _MARKUP.match(words):
        title = _TITLE.search(words)
        words = f"an HTML page, '{title[2].strip()}'" if title else "an HTML page"
    words = " ".join(_NOT_WORDS.sub("\ufffd", re.sub(r"\bsk-[\w*-]{4,}", "***", words)).split())
    return words if len(words) <= _WORDS_LENGTH else f"{words[:_WORDS_LENGTH]}..."


def _words(body: Any, depth: int = _DEEPEST) -> str:
    if isinstance(body, str):
        return body if body.strip() else ""
    if not depth:
        return ""
    if isinstance(body, list):
        return next(filter(None, (_words(part, depth - 1) for part in body[:3])), "")
    if not isinstance(body, dict):
        return ""
    words = next(filter(None, (_words(body.get(name), depth - 1) for name in _WORDS)), "")
    place = body.get("loc")
    # FastAPI says of each mistake where it is.
    return f"{'.'.join(map(str, place))}: {words}" if words and isinstance(place, list) else words


def _codes(body: Any, depth: int = _DEEPEST) -> Iterator[str]:
    """All codes in an error, the outer ones first."""
    parts: list[Any] = body[:3] if isinstance(body, list) else []
    if isinstance(body, dict):
        yield from (str(body[name])[:80] for name in _CODES if isinstance(body.get(name), str | int))
        parts = list(body.values())[:20]
    for part in parts if depth else ():
        if isinstance(part, dict | list):
            yield from _codes(part, depth - 1)


def parsed(text: str) -> Any:
    """The JSON in a server's answer, or the completion that the events of a stream give; None where it is neither."""
    text = text.strip("\ufeff \t\r\n")
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return _joined(text)
    # Some servers put the end of a stream behind a whole completion.
    return value if text[end:].strip() in ("", "data: [DONE]") else None


def _joined(text: str) -> Any:
    """The completion, or the error, that the events of a stream give; None where there are none."""
    whole: dict[str, Any] = {}
    said: dict[str, list[str]] = {name: [] for name in ("content", "reasoning_content", "reasoning", "refusal")}
    finish, ended, any_event = None, False, False
    for line in text.split("\n"):
        field, _, data = line.partition(":")
        if field != "data":
            continue
        if data.strip() == "[DONE]":
            ended = True
            continue
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            return None
        any_event = True
        choice = inside(event, "choices", 0)
        if not isinstance(event, dict) or inside(choice, "error") or any(map(event.get, ("error", "error_code"))):
            return event
        whole |= {name: event[name] for name in ("model", "usage") if event.get(name)}
        if not isinstance(choice, dict) or choice.get("index"):
            continue
        delta = choice.get("delta") or choice.get("message")
        for name, parts in said.items():
            if isinstance(part := inside(delta, name), str):
                parts.append(part)
        finish = choice.get("finish_reason") or finish
    if not any_event:
        return None
    if not (ended or finish):
        return {"error": {"message": "the stream of the reply broke off"}}
    message = {name: "".join(parts) for name, parts in said.items() if parts}
    return {**whole, "choices": [{"message": message, "finish_reason": finish}]}


def failure_in(body: Any, status: int, mask: Callable[[str], str], otherwise: str = "") -> Failed:
    """What an answer without a completion means: its JSON (None where it is none) and its HTTP status; ``mask`` blots
    secrets out of the server's words, ``otherwise`` stands for them where the JSON has none."""
    nothing = "no chat completion in the server's reply"
    words = short_words(body, otherwise or nothing, mask)
    if status == 200 and otherwise and not _words(body):
        words = f"{nothing} but {words}"
    codes = list(_codes(body))
    meant = status
    # 200 says nothing of an error, and some gateways send 400 whatever happened behind them.
    if status in (200, 400):
        named = (int(match[1]) for code in codes if (match := _STATUS.fullmatch(code)))
        meant = next(named, 502 if status == 200 else status)
    said = " ".join((*codes, words))
    if status == 200:
        statuses = (int(of) for of, pattern in _ERROR_WORDS.items() if of.isdigit() and pattern.search(said))
        by_words = next(statuses, meant)
        # A plain number stands before words, but for an account that is empty.
        meant = by_words if meant == 502 or by_words == 402 else meant
    code = "insufficient_quota" if _ERROR_WORDS["402"].search(said) else ""
    wait = _WAIT.search(_words(body) or otherwise)
    seconds = None
    if wait and (wait["m"] or wait["s"]):
        scale = 0.001 if (wait["unit"] or "").startswith("m") else 1.0
        seconds = 60.0 * int(wait["m"] or 0) + float(wait["s"] or 0) * scale
    return Failed(meant, code or str(inside(body, "error", "code")), words, status, seconds)


def read_completion(body: Any, mask: Callable[[str], str] = str, status: int = 200, otherwise: str = "") -> Reply:
    """The reply in a chat completion's JSON (see :func:`parsed`); ``Failed`` (see :func:`failure_in`) where there is
    none, or one that the server broke off. A key that a server sends back does not get further than here."""
    choice = inside(body, "choices", 0)
    message = inside(choice, "message")
    # The error of a choice comes with the choices of a good answer.
    errors = inside(choice, "error"), inside(body, "error")
    error = next((of for of in errors if (any(of.values()) if isinstance(of, dict) else of)), None)
    if status != 200 or error or not isinstance(message, dict):
        answer = body if error is None else {"error": error, "code": inside(body, "code")}
        raise failure_in(answer, status, mask, otherwise)
    finish = inside(choice, "finish_reason")
    if isinstance(finish, str) and _plain(finish) in _FINISHES["broken"]:
        raise Failed(502, "", f"the server broke its reply off (finish_reason '{finish[:40]}')")
    text = message.get("content")
    if isinstance(text, list):
        text = "".join(str(inside(part, "text") or "") for part in text)
    text = text if isinstance(text, str) else ""
    ending = cut_by(finish)
    if not text.strip():
        used = inside(body, "usage", "completion_tokens_details", "reasoning_tokens")
        if isinstance(refusal := message.get("refusal"), str) and refusal.strip():
            text, ending = refusal, REFUSED
        elif message.get("reasoning_content") or message.get("reasoning") or (ending and used):
            ending = REASONED
    model = inside(body, "model")
    counts = (inside(body, "usage", kind) for kind in ("prompt_tokens", "completion_tokens"))
    tokens = [n if isinstance(n, int) and 0 < n <= _MOST_TOKENS else 0 for n in counts]
    served_as = model if isinstance(model, str) else ""
    return masked(Reply((text,), served_as, tokens[0], tokens[1], (ending,) if ending else ()), mask)


def cut_by(finish: Any) -> str:
    """The word for how a reply ended where that cut it off, '' for a whole one."""
    return finish[:40] if isinstance(finish, str) and _plain(finish) in _FINISHES["cut"] else ""


def _plain(word: str) -> str:
    return re.sub("[^a-z]", "", word.lower())


def masked(reply: Reply, mask: Callable[[str], str]) -> Reply:
    """A reply without the secrets that a server has put into it."""
    texts = tuple(text if text is None else mask(text) for text in reply.texts)
    return replace(reply, texts=texts, served_as=mask(reply.served_as), endings=tuple(map(mask, reply.endings)))
