"""Models that the kit's ``build_judge`` makes, as judges (``--judge kit:NAME``). The kit decides what NAME means, where
it is served and which variable holds its key; retries and limits are the engine's. One attempt is ``generate_inner``:
``generate`` sleeps before each call, takes texts for files, and tells a failure in the place of the reply."""

from __future__ import annotations

import asyncio
import copy
import logging
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from medqbench_vlmeval.errors import BadInput, JudgeError
from medqbench_vlmeval.judge.calls import Reply
from medqbench_vlmeval.judge.client import JudgeClient, Messages, Unanswered
from medqbench_vlmeval.judge.completion import (
    Failed,
    cut_by,
    failure_in,
    inside,
    masked,
    parsed,
    read_completion,
    short_words,
)
from medqbench_vlmeval.judge.connection import connection_words, proxy_for
from medqbench_vlmeval.judge.options import KIT_PREFIX, JudgeOptions, environment
from medqbench_vlmeval.judge.secrets import quiet
from medqbench_vlmeval.kit import check_certificates
from medqbench_vlmeval.kit.guards import environment_secrets
from medqbench_vlmeval.kit_version import require_kit
from medqbench_vlmeval.steps import in_thread

# What the kit's clients return, with or without words behind it, where nothing came.
FAILURES = ("Failed to obtain answer via API", "Fail to obtain answer via API")
# The one name that build_judge gives to a model in this process.
_IN_PROCESS = "llama31-8b"


def kit_client(options: JudgeOptions) -> JudgeClient:
    """What asks the model of the kit's that ``options`` name. Raises MissingDependency where no kit is installed;
    BadInput for no name, or an option that the model cannot take; JudgeError where ``key_env`` is not set."""
    require_kit()
    name = options.name.removeprefix(KIT_PREFIX).strip()
    if not name:
        raise BadInput(f"'{KIT_PREFIX}' wants the name of a judge of the kit's behind it, such as {KIT_PREFIX}gpt-4o.")
    if name == _IN_PROCESS and options.extra:
        raise BadInput(f"The {options.role} '{options.name}' runs in this process and takes no 'extra'.")
    # Here, in the main thread: what the kit imports may set signal handlers.
    import vlmeval.dataset  # noqa: F401

    check_certificates()
    return _KitModel(options, name)


class _KitModel(JudgeClient):
    def __init__(self, options: JudgeOptions, name: str) -> None:
        super().__init__(options, {*options.secrets(), *environment_secrets()})
        self._name = name
        # None leaves the choice to the kit, which has a variable for each provider.
        self._key = options.secret() if options.key_env else options.key or environment("MEDQBENCH_JUDGE_KEY")
        self._model: Any = None
        # A model in this process is not made for two threads.
        self._alone = threading.Lock()

    async def __aenter__(self) -> JudgeClient:
        with self._scope:
            await super().__aenter__()
            # The kit's clients log their key at INFO and each failed reply at ERROR; our own reasons say what failed.
            self._scope.enter_context(quiet("vlmeval.api", logging.CRITICAL))
            self._model = await asyncio.wrap_future(in_thread(self._built))
            self._scope = self._scope.pop_all()
        return self

    async def ask(self, messages: Messages, schema: Mapping[str, Any] | None = None) -> Reply:  # noqa: ARG002
        """Ask once; see ``judge.client.JudgeClient``. The kit's clients cannot hold a reply to a schema."""
        # A call in flight can take minutes to end.
        answer = masked(await asyncio.wrap_future(in_thread(lambda: self._asked(messages))), self._mask)
        self._answered = True
        return answer

    def _built(self) -> Any:
        from vlmeval.dataset.utils import build_judge

        options = self._options
        settings: dict[str, Any] = {"system_prompt": ""}
        if self._name != _IN_PROCESS:
            # What is not named here would be sent to the server as a part of the request.
            settings = {name: getattr(options, name) for name in ("timeout", "temperature", "max_tokens")}
            # Its clients post to the full address.
            base, mark, query = options.endpoint().partition("?") if options.base_url else ("", "", "")
            settings |= {"key": self._key, "api_base": f"{base}/chat/completions{mark}{query}" if base else None}
            settings = {name: value for name, value in settings.items() if value is not None}
            settings |= {"retry": 1, "verbose": False}
        try:
            return build_judge(model=self._name, **settings)
        except Exception as error:  # noqa: BLE001
            # Foreign code with errors of every kind: packages that are missing, variables that are not set.
            raise JudgeError(
                f"The kit could not build the {options.role} '{self._name}': {self._words(error)}."
            ) from None

    def _words(self, error: Exception) -> str:
        return short_words(None, f"{type(error).__name__}: {error}", self._mask)

    def _asked(self, messages: Messages) -> Reply:
        from requests import RequestException
        from vlmeval.api import OpenAIWrapper
        from vlmeval.api.base import BaseAPI

        model = self._model
        try:
            if not isinstance(model, BaseAPI):
                with self._alone:
                    text = model.generate(_as_one(messages))
                return Reply((str(text[0] if isinstance(text, tuple) else text),), self._served_as())
            inputs: list[dict[str, Any]] = [{"type": "text", "value": _as_one(messages)}]
            if isinstance(model, OpenAIWrapper):
                texts = ((each["role"], {"type": "text", "value": each["content"]}) for each in messages)
                inputs = [{"role": role, "content": [text]} for role, text in texts]
            settings = {**copy.deepcopy(model.default_kwargs), **copy.deepcopy(dict(self._options.extra))}
            code, reply, response = model.generate_inner(inputs, **settings)
        except RequestException as error:
            # Its own text holds the URL.
            lost = connection_words(error, self._options, self._url(), proxy_for(self._url()))
            why = f"{type(error).__name__} at the kit's client: {lost.short}"
            raise Unanswered(why, no_connection=lost.error) from None
        except Exception as error:  # noqa: BLE001  # the same foreign code
            raise Unanswered(f"the kit's model failed with {self._words(error)}") from None
        return self._read(code, reply, response)

    def _read(self, code: Any, reply: Any, response: Any) -> Reply:
        """The reply of the model, or the failure that stands in its place."""
        sent = getattr(response, "text", None)
        text = sent if isinstance(sent, str) else ""
        body, status = parsed(text), getattr(response, "status_code", None)
        headers = getattr(response, "headers", {})
        got = code == 0 and isinstance(reply, str) and not reply.startswith(FAILURES)
        try:
            if got and inside(body, "choices") is not None:
                whole = read_completion(body, self._mask)
                # The kit's client has put the text together; how it ended and what it took it does not say.
                return replace(whole, texts=(reply,) if any(whole.texts) else whole.texts)
            if got:
                # What Anthropic's own interface says.
                ending = cut_by(inside(body, "stop_reason"))
                return Reply((reply,), self._served_as(), endings=(ending,) if ending else ())
            answered = status if isinstance(status, int) and not 200 <= status < 300 else 200
            raise failure_in(body, answered, self._mask, text or "no words")
        except Failed as failed:
            what = "no reply: " if failed.as_sent == 200 else ""
            raise self._refusal(failed, headers, f"the kit's client got {what}{failed}") from None

    def _served_as(self) -> str:
        """The name that the kit asks for: 'gpt-4o' is 'gpt-4o-2024-05-13' there."""
        named = (getattr(self._model, attribute, None) for attribute in ("model_path", "model"))
        return next((name for name in named if isinstance(name, str)), self._name)

    def _url(self) -> str:
        return str(getattr(self._model, "api_base", "") or "the kit's server")


def _as_one(messages: Messages) -> str:
    """A conversation as one message, without the judge's own words, which would quote an answer outside of its tags."""
    return "\n\n".join(message["content"] for message in messages if message["role"] != "assistant")
