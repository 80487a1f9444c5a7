"""Putting one question to a judge: connection, request, reply, and what a failure means. A :class:`JudgeClient` asks
once; the engine retries, limits and stops. A failed call is never a number, and never shows a key."""

from __future__ import annotations

import asyncio
import email.utils
import json
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from medqbench_vlmeval.errors import JudgeError
from medqbench_vlmeval.judge.calls import Reply
from medqbench_vlmeval.judge.completion import MOST_BYTES, Failed, parsed, read_completion
from medqbench_vlmeval.judge.connection import connection_words, proxy_for, tls_context
from medqbench_vlmeval.judge.options import LIMITS, JudgeOptions, environment
from medqbench_vlmeval.judge.protocols import Schema
from medqbench_vlmeval.judge.secrets import Mask, masked_logs, shown_url

if TYPE_CHECKING:
    from aiohttp import ClientSession

# Asking again, or asking the next question, cannot help: key, credit, proxy or model name are refused.
_HOPELESS = frozenset({401, 402, 404, 407})
# Before any call was answered these speak of the address or of the request's form.
_HOPELESS_AT_FIRST = frozenset({300, 301, 302, 303, 307, 308, 405, 410, 415, 501})
# These may speak of the one prompt or of all: other prompts tell.
_REFUSED = frozenset({400, 403, 422})
# Time-outs, conflicts and limits pass; so do the server's own failures (500 and up).
_MAY_HEAL = frozenset({408, 409, 425, 429})
# A 400 that speaks of this one prompt: its length, or a filter that its words set off.
_THIS_PROMPT_CODES = ("context_length_exceeded", "string_above_max_length", "content_filter", "invalid_prompt")
# A server of uvicorn's closes an idle connection after 5 s: one that is older is not used again.
_IDLE_SECONDS = 4.0
_REASONING = re.compile(r"(?:^|[/._:-])(?:o[1-9]|gpt-[5-9])(?![a-z0-9])", re.IGNORECASE)
_LONGEST_HEADER = 2**16

Messages = Sequence[Mapping[str, str]]


@dataclass(eq=False)
class Unanswered(Exception):
    """An attempt failed; its text is the reason. ``may_heal``: asking again may help; ``retry_after``: the seconds that
    the server asked to wait; ``concerns_server``: not this prompt alone. Errors to stop with are ``no_connection``,
    where nothing came call after call, and ``refused``, where different prompts were and none was answered."""

    reason: str
    _: KW_ONLY
    may_heal: bool = True
    retry_after: float | None = None
    concerns_server: bool = True
    no_connection: JudgeError | None = None
    refused: JudgeError | None = None


class JudgeClient:
    """Whatever replies to questions; entered once a run, in the run's event loop. Meanwhile no log shows a secret."""

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
        """Ask once, held to the JSON schema where possible; raises Unanswered where this attempt failed, JudgeError
        where no question of this run can be answered."""
        raise NotImplementedError

    def _url(self) -> str:
        return self._options.endpoint()

    def _refusal(
        self, failed: Failed, headers: Mapping[str, str], reason: str | None = None
    ) -> JudgeError | Unanswered:
        """That the server refuses every call, or this attempt, and for what ``reason`` beside the server's words."""
        status = failed.status
        about_prompt = status == 400 and (failed.code in _THIS_PROMPT_CODES or failed.says("this prompt"))
        at_first = not self._answered and (status in _HOPELESS_AT_FIRST or failed.says("plain http"))
        if not (at_first or status in _HOPELESS or failed.code == "insufficient_quota"):
            return Unanswered(
                reason or str(failed),
                may_heal=status in _MAY_HEAL or status >= 500,
                retry_after=failed.wait if (wait := retry_after(headers)) is None else wait,
                concerns_server=not about_prompt,
                refused=self._hopeless(failed) if status in _REFUSED and not about_prompt else None,
            )
        return self._hopeless(failed)

    def _hopeless(self, failed: Failed) -> JudgeError:
        """The error that says how the server refuses every call, and what to do."""
        status, words, role = failed.status, failed.words, self._options.role
        address = f"Check the model's name (--{role}) and the base URL (--judge-base-url)."
        hint = {
            401: "Check the key (--judge-key, MEDQBENCH_JUDGE_KEY or OPENAI_API_KEY).",
            403: "Check that the key may use this model.",
            404: address,
            405: address,
            407: "Look at HTTP_PROXY and its like: the proxy wants a user and a password.",
        }.get(status, f"Check the {role}'s options (--judge-args).")
        if 300 <= status < 400:
            hint = "Name that address with --judge-base-url."
        elif status in (400, 422) and "temperature" in words.lower():
            hint = "Leave the temperature out with --judge-args '{\"temperature\": null}'."
        elif status == 400 and failed.says("plain http"):
            hint = "Begin --judge-base-url with https://."
        return JudgeError(
            f"The {role} '{self._options.name}' at {shown_url(self._url())} refused the call with "
            f"status {failed.as_sent}: {words.rstrip('.')}. {hint}"
        )


KitClient = Callable[[JudgeOptions], JudgeClient]
"""Makes what asks a model of the kit's."""


def request_body(
    options: JudgeOptions, messages: Messages, schema: Schema | None = None, limit: str | None = ""
) -> dict[str, object]:
    """The JSON body of one chat completion, the same for a live call and for a line of a batch file. ``limit`` is the
    server's name for the most tokens, '' for the model's usual one, None for no limit."""
    usual = LIMITS[bool(_REASONING.search(options.name))]
    # A request with both names is refused.
    most = None if limit is None or {*LIMITS} & options.extra.keys() else options.most_tokens
    settings = {"temperature": options.temperature, limit or usual: most}
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
        super().__init__(options, options.secrets())
        url, mark, query = options.endpoint().partition("?")
        self._address = f"{url}/chat/completions{mark}{query}"
        self._proxy = proxy_for(self._address)
        self._tls = tls_context() if url.lower().startswith("https:") else True
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "medqbench"}
        if not urlsplit(url).username:
            self._headers["Authorization"] = f"Bearer {options.secret()}"
        for header, variable in (("OpenAI-Organization", "OPENAI_ORG_ID"), ("OpenAI-Project", "OPENAI_PROJECT_ID")):
            if value := environment(variable):
                self._headers[header] = value
        self._takes_schemas = True
        self._stream: dict[str, object] = {}
        self._limit: str | None = ""  # see request_body
        self._session: ClientSession

    async def __aenter__(self) -> OpenAIClient:
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

        await super().__aenter__()
        self._session = ClientSession(
            # The engine says how many calls are in flight.
            connector=TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS, ssl=self._tls),
            timeout=ClientTimeout(total=self._options.timeout),
            headers=self._headers,
            cookie_jar=DummyCookieJar(),
            # Gateways send long headers.
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        with self._scope:
            await self._session.close()

    async def ask(self, messages: Messages, schema: Schema | None = None) -> Reply:
        """See :meth:`JudgeClient.ask`; a server that knows no schemas, no limit of tokens by its usual name, or
        only streams is asked so from then on."""
        limit = self._limit
        while True:
            asked_schema = schema if self._takes_schemas else None
            body = {**request_body(self._options, messages, asked_schema, limit), **self._stream}
            status, headers, data = await self._post(json.dumps(body, ensure_ascii=False).encode(errors="replace"))
            status = 200 if status // 100 == 2 else status
            text = data.decode("utf-8", errors="replace")
            answer = parsed(text)
            try:
                reply = read_completion(answer, self._mask, status, text if answer is None else "")
            except Failed as failed:
                if self._asks_otherwise(failed, body):
                    continue
                # Each call finds out for itself: what others in flight find meanwhile says nothing of this body.
                otherwise = self._other_limit(failed, body, limit)
                if otherwise != limit:
                    limit = otherwise
                    continue
                raise self._refusal(failed, headers) from None
            self._answered = True
            # What helped helps the calls to come; a stale '' takes nothing back that another call has found.
            if limit != "":
                self._limit = limit
            return reply

    def _other_limit(self, failed: Failed, body: Mapping[str, object], limit: str | None) -> str | None:
        """The limit's name for the next attempt, None for none; the same one where the failure is not about that."""
        given = next((name for name in LIMITS if name in body and name not in self._options.extra), None)
        if failed.status not in (400, 422) or given is None or not failed.says("limit refused"):
            return limit
        if limit == "" and not failed.says("too many tokens"):
            return LIMITS[given == LIMITS[0]]
        # A context too small for the prompt and the usual limit may hold the prompt and its verdict.
        return None if self._options.max_tokens is None else limit

    def _asks_otherwise(self, failed: Failed, body: Mapping[str, object]) -> bool:
        """Whether the failure is about the form of this request, and the next one has another."""
        if failed.status not in (400, 422):
            return False
        schema_asked = "response_format" in body and "response_format" not in self._options.extra
        if schema_asked and failed.says("schema refused"):
            # The form is asked for in the prompt too; a server that cannot enforce it may still keep to it.
            self._takes_schemas = False
            return True
        if "stream_options" in body and "stream_options" in failed.words:
            self._stream = {"stream": True}
            return True
        if not body.get("stream") and failed.says("stream wanted"):
            # Without the option a stream says nothing of tokens.
            self._stream = {"stream": True, "stream_options": {"include_usage": True}}
            return True
        return False

    async def _post(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """The status, headers and content of what the server answers."""
        import aiohttp

        proxy = self._proxy[0] if self._proxy else None
        try:
            async with self._session.post(self._address, data=body, proxy=proxy, max_redirects=5) as response:
                if response.method != "POST" or 300 <= response.status < 400:
                    place = shown_url(str(response.headers.get("location") or response.url))
                    words = f"it redirects to {place}"
                    raise self._refusal(Failed(301, "", self._mask(words), 301), {})
                data = bytearray()
                async for piece in response.content.iter_any():
                    data += piece
                    if len(data) > MOST_BYTES:
                        response.close()
                        words = f"the server's reply is longer than {MOST_BYTES // 2**20} MB and was not read on"
                        raise Unanswered(words, may_heal=False)
                return response.status, response.headers, bytes(data)
        except asyncio.TimeoutError:
            seconds = f"{self._options.timeout:g} s"
            late = JudgeError(
                f"The {self._options.role} '{self._options.name}' did not answer within {seconds}, call after call. "
                "Allow more time with --judge-timeout, or have fewer calls in flight (--judge-nproc); what was "
                "answered is kept."
            )
            raise Unanswered(f"no answer within {seconds}", no_connection=late) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            why = connection_words(error, self._options, self._url(), self._proxy)
            if why.hopeless and not self._answered:
                raise why.error from None
            raise Unanswered(why.short, no_connection=why.error) from None


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
