"""Putting one question to a judge: the request, the reply, and what a failure means.

A :class:`JudgeClient` asks once and says what came; retries, limits and the decision to stop belong to the engine. A
failed call stops the run, or leaves one verdict unscored: it is never a number, and never shows a key.
"""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl

from medqbench_vlmeval.errors import BadInput, JudgeError
from medqbench_vlmeval.judge.calls import Reply
from medqbench_vlmeval.judge.options import JudgeOptions
from medqbench_vlmeval.judge.protocols import Schema
from medqbench_vlmeval.judge.secrets import Mask, masked_logs, shown_url

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

_Client = TypeVar("_Client", "OpenAI", "AsyncOpenAI")
# Asking again, or asking the next question, cannot help: key, credit or model name are refused.
_HOPELESS = frozenset({401, 402, 404})
# Before any call was answered these speak of the request's form; later of the one prompt that was refused.
_HOPELESS_AT_FIRST = frozenset({400, 403, 422})
# Time-outs, conflicts and limits pass; so do the server's own failures (500 and up).
_MAY_HEAL = frozenset({408, 409, 425, 429})
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
# A count above it is an error of the server's, and sums of such counts would overflow.
_MOST_TOKENS = 10**9
_SCHEMA_REFUSED = re.compile(r"response[_ ]format|json[_ ]schema|text[_ .]format|structured|guided", re.IGNORECASE)

Messages = Sequence[Mapping[str, str]]


def short_words(body: Any, otherwise: str, mask: Callable[[str], str]) -> str:
    """The explanation in an error's body, in one short masked line without control characters; ``otherwise`` where
    it has none."""
    while isinstance(body, dict):
        body = next((body[name] for name in ("message", "error", "detail", "msg") if body.get(name)), "")
    words = mask(body if isinstance(body, str) and body.strip() else otherwise)
    words = " ".join(_NOT_WORDS.sub("\ufffd", re.sub(r"\bsk-[\w*-]{4,}", "***", words)).split())
    return words if len(words) <= _WORDS_LENGTH else f"{words[:_WORDS_LENGTH]}..."


def inside(value: Any, *path: str | int) -> Any:
    """What stands in a server's JSON under these names and numbers; None where the JSON is of another form."""
    for step in path:
        try:
            value = value[step]
        except (TypeError, LookupError):
            return None
    return value


def unreachable(options: JudgeOptions, url: str | None = None) -> JudgeError:
    """The error that stops a run because no server answers (at ``url``; default: the options')."""
    return JudgeError(
        f"No {options.role} answers at {shown_url(url or options.endpoint())}: the connection failed. Start the server "
        "or correct --judge-base-url."
    )


@dataclass(eq=False)
class Unanswered(Exception):
    """An attempt failed; its text is the reason.

    ``may_heal`` says that asking again may help, ``retry_after`` is the wait in seconds that the server asked for,
    ``concerns_server`` is False where only this prompt was refused. ``connection`` says that nothing came at all,
    ``at_last`` is the error to stop with where it is so call after call (default: the client's).
    """

    reason: str
    _: KW_ONLY
    may_heal: bool = True
    retry_after: float | None = None
    concerns_server: bool = True
    connection: bool = False
    at_last: JudgeError | None = None


class JudgeClient:
    """Whatever replies to questions.

    It is entered once a run, inside the run's event loop; meanwhile no log shows a secret.
    """

    def __init__(self, options: JudgeOptions, secrets: Iterable[str]) -> None:
        self._options = options
        self._mask = Mask(secrets)
        self._scope = ExitStack()
        self._answered = False

    async def __aenter__(self) -> JudgeClient:
        self._scope.enter_context(masked_logs(self._mask))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._scope.close()

    async def ask(self, messages: Messages, schema: Schema | None = None) -> Reply:
        """Ask once.

        Args:
            messages: the conversation, as 'role' and 'content'.
            schema: a JSON schema to hold the reply to, where that is possible.

        Raises:
            JudgeError: no question of this run can be answered.
            Unanswered: this attempt failed.
        """
        raise NotImplementedError

    def gone(self) -> JudgeError:
        """The error to stop with when nothing answers at all."""
        return unreachable(self._options, self._url())

    def _url(self) -> str:
        return self._options.endpoint()

    def _refusal(
        self, status: int, code: str, words: str, reason: str, headers: Mapping[str, str]
    ) -> JudgeError | Unanswered:
        """What a reply with an error status means: that the server refuses every call, or this attempt.

        ``code`` and ``words`` are the server's own, masked; ``reason`` is what an unanswered call says before them.
        """
        about_prompt = status == 400 and (code in _THIS_PROMPT_CODES or _THIS_PROMPT.search(words) is not None)
        at_first = status in _HOPELESS_AT_FIRST and not self._answered and not about_prompt
        if not (at_first or status in _HOPELESS or code == "insufficient_quota"):
            return Unanswered(
                f"{reason}: {words}",
                may_heal=status in _MAY_HEAL or status >= 500,
                retry_after=retry_after(headers),
                concerns_server=not about_prompt,
            )
        role = self._options.role
        hint = {
            401: "Check the key (--judge-key, MEDQBENCH_JUDGE_KEY or OPENAI_API_KEY).",
            403: "Check that the key may use this model.",
            404: f"Check the model's name (--{role}) and the base URL (--judge-base-url).",
        }.get(status, f"Check the {role}'s options (--judge-args).")
        if status in (400, 422) and "temperature" in words.lower():
            hint = "Leave the temperature out with --judge-args '{\"temperature\": null}'."
        return JudgeError(
            f"The {role} '{self._options.name}' at {shown_url(self._url())} refused the call with "
            f"status {status}: {words.rstrip('.')}. {hint}"
        )


KitClient = Callable[[JudgeOptions], JudgeClient]
"""Makes what asks a model of the kit's."""


def request_body(options: JudgeOptions, messages: Messages, schema: Schema | None = None) -> dict[str, object]:
    """The JSON body of one chat completion, the same for a live call and for a line of a batch file."""
    settings = {"temperature": options.temperature, "max_tokens": options.max_tokens}
    form = {"name": "verdicts", "strict": True, "schema": schema}
    return {
        "model": options.name,
        "messages": [dict(message) for message in messages],
        **{name: value for name, value in settings.items() if value is not None},
        **({"response_format": {"type": "json_schema", "json_schema": form}} if schema else {}),
        **options.extra,
    }


class OpenAIClient(JudgeClient):
    """A model behind an OpenAI-compatible endpoint."""

    def __init__(self, options: JudgeOptions) -> None:
        from openai import AsyncOpenAI

        super().__init__(options, options.secrets())
        self._client = sdk_client(AsyncOpenAI, options, self._mask, retries=0)
        self._takes_schemas = True

    async def __aexit__(self, *_: object) -> None:
        with self._scope:
            await self._client.close()

    async def ask(self, messages: Messages, schema: Schema | None = None) -> Reply:
        import openai

        asked_schema = schema if self._takes_schemas else None
        body = request_body(self._options, messages, asked_schema)
        try:
            reply = await self._client.post("/chat/completions", body=body, cast_to=object)
        except (openai.APIStatusError, openai.APIConnectionError) as error:
            kind, words = type(error).__name__, short_words(error.body, str(error), self._mask)
            if isinstance(error, openai.APIConnectionError):
                raise Unanswered(f"{kind}: {words}", connection=True) from None
            status, headers = error.status_code, error.response.headers
            if asked_schema and status in (400, 422) and _SCHEMA_REFUSED.search(words):
                # The form is asked for in the prompt too; a server that cannot enforce it may still keep to it.
                self._takes_schemas = False
                return await self.ask(messages, schema)
            raise self._refusal(status, str(error.code), words, f"{kind} ({status})", headers) from None
        except (ValueError, RecursionError):
            # A server that says JSON and sends something else: the SDK passes the decoder's error on.
            reply = None
        self._answered = True
        return read_completion(reply, self._options.name, self._mask)


def sdk_client(kind: type[_Client], options: JudgeOptions, mask: Mask, retries: int) -> _Client:
    """The SDK's client, for live calls or for batches.

    Raises:
        JudgeError: the judge needs a key and none is given.
        BadInput: it cannot be made: it reads the proxy variables, and a SOCKS proxy takes a package more.
    """
    # The SDK puts its route behind everything that a base URL holds.
    url, _, query = options.endpoint().partition("?")
    default = dict(parse_qsl(query, keep_blank_values=True))
    try:
        return kind(
            api_key=options.secret(), base_url=url, default_query=default, timeout=options.timeout, max_retries=retries
        )
    except (ValueError, ImportError) as error:
        words = short_words(None, str(error), mask).rstrip(".")
        raise BadInput(f"The judge's client cannot be made, look at HTTP_PROXY and its like: {words}.") from None


def read_completion(reply: Any, name: str, mask: Callable[[str], str] = str) -> Reply:
    """What a chat completion holds, read with distrust: many servers are only nearly compatible.

    A key that a server sends back does not get further than here.
    """
    message, model = inside(reply, "choices", 0, "message"), inside(reply, "model")
    text = message.get("content") or message.get("refusal") or "" if isinstance(message, dict) else None
    if isinstance(text, list):
        text = "".join(str(inside(part, "text") or "") for part in text)
    counts = (inside(reply, "usage", kind) for kind in ("prompt_tokens", "completion_tokens"))
    tokens = [n if isinstance(n, int) and 0 < n <= _MOST_TOKENS else 0 for n in counts]
    served_as = model if isinstance(model, str) and model else name
    return masked(Reply((text if isinstance(text, str) else None,), served_as, *tokens), mask)


def masked(reply: Reply, mask: Callable[[str], str]) -> Reply:
    """A reply without the secrets that a server has put into it."""
    texts = tuple(text if text is None else mask(text) for text in reply.texts)
    return replace(reply, texts=texts, served_as=mask(reply.served_as))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The wait in seconds that a reply asks for, as milliseconds, seconds or a date; None where it names none."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with suppress(ValueError):
            wait = float(headers.get(name, "")) * scale
            if math.isfinite(wait):
                return max(0.0, wait)
    try:
        date = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except (TypeError, ValueError):
        return None
    return max(0.0, date.timestamp() - time.time())
