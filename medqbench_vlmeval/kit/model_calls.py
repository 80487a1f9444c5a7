"""Whether a run's models can be had and called at all, and why a call failed. Before a run weights are looked for, and
a served model is built as the run will build it and put one short question; what would fail every call stops the run.
In a run, a failed reply begins with the sentence by which the kit knows what to ask again, and goes on with the
server's reason without keys, where the kit writes none, or hands on an error's words as the reply."""

from __future__ import annotations

import copy
import functools
import itertools
import logging
import os
import re
import runpy
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from medqbench_vlmeval.data import download as hub
from medqbench_vlmeval.errors import MedQBenchError, RunFailed
from medqbench_vlmeval.files import json_object
from medqbench_vlmeval.judge.completion import failure_in, inside, parsed, short_words
from medqbench_vlmeval.judge.secrets import masked_traceback, shown_url
from medqbench_vlmeval.kit.guards import replaced
from medqbench_vlmeval.kit.options import RunOptions
from medqbench_vlmeval.kit_version import WEIGHTS, InstalledKit, zoo_models
from medqbench_vlmeval.models import PUBLISHED_MODELS, SERVICES, PublishedModel, Service
from medqbench_vlmeval.predictions.files import UNKNOWN_REASON, failure_reason

GAVE_UP = "Failed to obtain answer via API."  # the kit asks a sample again whose prediction holds it

_EMPTY = "an empty reply"
_CLASS = re.compile(r"<class '(?:\w+\.)*(\w+)'>")
_CALL_TIMEOUT = 60  # seconds; a server that loads its model takes long for the first reply
_LEAVE_OUT = "'--no-test-call' leaves this check out."
_PROMPT = "Reply with one word: ready"
_MOST_TOKENS = 16  # some servers refuse fewer
_TOKEN_LIMITS = ("max_tokens", "max_completion_tokens", "max_new_tokens", "max_output_tokens")
_WEIGHT_FILES = frozenset({".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf"})
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
# Words of a status that says so, or of none; 429 and 5xx may pass, whatever their words.
_HOPELESS = re.compile(
    r"^(?:status 40[134]|\w+: (?:Error code: )?40[134]\b)|^(?!status (?:429|5)).*(?:api[ _-]?key|unauthori[sz]ed"
    r"|unauthenticated|permission.?denied|connection refused|name or service not known|name resolution|nodename nor "
    r"servname|getaddrinfo|no route to host|network is unreachable|no module named|certificate verify failed"
    r"|invalid url|no (?:connection adapters|scheme))",
    re.IGNORECASE,
)


class _Attempt(threading.local):
    """The last attempt in a thread: what the kit's class returned or raised, and the first error that it logged."""

    outcome: Any = None
    logged: str = ""


_last = _Attempt()


class _Ear(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _last.logged = _last.logged or record.getMessage()


@contextmanager
def on_record(mask: Callable[[str], str]) -> Iterator[None]:
    """Give every failed reply its reason; ``mask`` takes keys out of it."""
    from vlmeval.api.base import BaseAPI
    from vlmeval.vlm.base import BaseModel

    ask, generate = BaseAPI.generate, BaseModel.generate

    @functools.wraps(ask)
    def ask_and_tell(model: Any, message: Any, *args: Any, **kwargs: Any) -> Any:
        if "generate_inner" not in vars(model):
            # Two threads may do so at once, to the same effect.
            model.generate_inner = _Listening(model)
        _last.outcome = None
        try:
            answer = ask(model, message, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  # the kit's pipeline would wait for this sample for ever
            _last.outcome = error
        reason = _failure(model, _last.outcome, mask)
        return answer if reason is None else f"{GAVE_UP} {reason}"

    @functools.wraps(generate)
    def generate_and_tell(model: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            answer = generate(model, *args, **kwargs)
        except Exception as error:
            if threading.current_thread() is threading.main_thread():
                raise
            # In api-mode, whose pipeline would wait for this sample for ever.
            logging.getLogger("vlmeval.inference_api").exception("A model in this process failed")
            return f"{GAVE_UP} {_words_of(error, mask)}"
        return f"{GAVE_UP} the model's class gave no text (None)" if answer is None else answer

    ear, logger = _Ear(logging.ERROR), logging.getLogger("vlmeval.api")
    logger.addHandler(ear)
    try:
        with replaced(BaseAPI, "generate", ask_and_tell), replaced(BaseModel, "generate", generate_and_tell):
            yield
    finally:
        logger.removeHandler(ear)


class _Listening:
    """In the place of a model's ``generate_inner``. A class that swallows an error's words logs them where it is
    verbose; then a copy of the model is: a verbose one prints every reply too."""

    def __init__(self, model: Any, swallows: bool = False) -> None:
        self._model, self._swallows = model, swallows

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        model = copy.copy(self._model) if self._swallows else self._model
        model.verbose = model.verbose or self._swallows
        _last.outcome, _last.logged = None, ""
        try:
            _last.outcome = type(model).generate_inner(model, *args, **kwargs)
        except Exception as error:
            _last.outcome = error
            raise
        self._swallows = self._swallows or _failure(model, _last.outcome, str) == UNKNOWN_REASON
        return _last.outcome


def _failure(model: Any, outcome: Any, mask: Callable[[str], str]) -> str | None:
    """Why the last attempt of this thread failed; None where ``outcome`` is a reply by the kit's own terms."""
    if isinstance(outcome, Exception):
        return _words_of(outcome, mask)
    if not isinstance(outcome, tuple) or len(outcome) != 3:
        return None
    code, answer, response = outcome
    if code == 0 and answer and model.fail_msg not in answer:
        return None
    status, text = getattr(response, "status_code", None), getattr(response, "text", None)
    if isinstance(status, int) and isinstance(text, str):
        return _of_response(status, text, mask)
    told = response if isinstance(response, str) and not response.startswith("Succeeded") else ""
    said = failure_reason(answer) if isinstance(answer, str) and answer.startswith("Fail") else answer
    words = [each for each in (said, told, _last.logged) if isinstance(each, str) and each.strip(" .")]
    known = next((each for each in words if each != UNKNOWN_REASON), _EMPTY if code == 0 else UNKNOWN_REASON)
    return short_words(None, _CLASS.sub(r"\1", known), mask)


def _of_response(status: int, text: str, mask: Callable[[str], str]) -> str:
    body = parsed(text)
    if not 200 <= status < 300 or inside(body, "choices", 0) is None:
        return f"status {status}: {failure_in(body, status, mask, text).words}"
    finish = inside(body, "choices", 0, "finish_reason")
    return f"{_EMPTY} (finish_reason {short_words(None, str(finish), mask)})" if finish else _EMPTY


def _words_of(error: BaseException, mask: Callable[[str], str]) -> str:
    """An error's class and the words of its first cause: those of a connection hold a URL and an object's address."""
    cause = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    words = str(cause) or str(error) or "no words"
    return short_words(None, f"{type(error).__name__}: {words}", mask)


def missing_weights(models: Mapping[str, object], kit: InstalledKit) -> dict[str, str]:
    """A sentence with the ways out by model whose weights cannot be had; ``models`` has entries of a configuration."""
    zoo, missing = zoo_models(kit)[0], {}
    for model, entry in models.items():
        given = [entry[name] for name in WEIGHTS if name in entry] if isinstance(entry, dict) else []
        published = PUBLISHED_MODELS.get(model, PublishedModel(model))
        of_zoo = [zoo[name].weights for name in (model, *published.zoo) if name in zoo]
        for path in [*given, *of_zoo, published.settings.get("model_path")][:1]:
            if isinstance(path, str) and (problem := _missing(path)):
                missing[model] = (
                    f"The weights of {model} cannot be had: {problem}. Or give a local path ('model_path' of a model "
                    f"in --config), or a cache that holds them (HF_HOME=FOLDER). {_LEAVE_OUT}"
                )
    return missing


def _missing(path: str) -> str | None:
    """Why weights cannot be had, None where they are there or may be."""
    if Path(path).expanduser().exists():
        return None
    if not _REPOSITORY.fullmatch(path):
        return f"'{path}' does not exist on this machine"
    return None if _in_cache(path) else hub.refusal(hub.HubFile(path, "config.json"), "model")


def _in_cache(repository: str) -> bool:
    """Whether the hub's cache holds weights, and all parts of them that their index names."""
    from huggingface_hub import constants

    for folder in Path(constants.HF_HUB_CACHE, f"models--{repository.replace('/', '--')}").glob("snapshots/*"):
        parts = [json_object(index) or {} for index in folder.glob("*.index.json")]
        wanted = {str(name) for part in parts for name in dict(part.get("weight_map") or {}).values()}
        there = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.exists()}
        if wanted <= there if wanted else any(Path(name).suffix in _WEIGHT_FILES for name in there):
            return True
    return False


def refusing_models(
    kit_runner: Path, words: Sequence[str], options: RunOptions, mask: Callable[[str], str]
) -> dict[str, str]:
    """Put one short question to each served model of a run; a sentence by model that would refuse every call, and a
    printed one where a later call may succeed. ``kit_runner`` is the script whose functions build the models from
    ``words``, its command line. Raises RunFailed where the only model cannot be built."""
    refusing = {}
    for name, build, unset in _served(kit_runner, words, options):
        try:
            model = build()
        except MedQBenchError as error:
            refusing[name] = str(error)
            continue
        except Exception as error:  # noqa: BLE001  # foreign code with errors of every kind, in the run too
            why = short_words(None, str(error) or type(error).__name__, mask).rstrip(".")
            refusing[name] = f"{name} cannot be called: {why}.{unset} {_LEAVE_OUT}"
            if len(options.models) == 1:
                hidden = masked_traceback(error, mask)
                raise RunFailed(refusing[name]) from (error if hidden is None else RunFailed(hidden))
            continue
        if (reason := _asked(model, mask)) is None:
            continue
        why = f"The test call to {name} failed: {reason.rstrip('.')}."
        if _HOPELESS.search(reason):
            refusing[name] = f"{why} {_advice(reason, model)}{unset} {_LEAVE_OUT}"
        else:
            print(f"medqbench: {why} The run goes on.", file=sys.stderr)
    return refusing


def _served(
    kit_runner: Path, words: Sequence[str], options: RunOptions
) -> Iterator[tuple[str, Callable[[], Any], str]]:
    """The models that a service runs, each with what builds it as the kit's runner does, and what is not set for it."""
    import vlmeval.api
    from vlmeval.api.base import BaseAPI
    from vlmeval.config import supported_VLM

    config = (json_object(Path(options.config)) or {}).get("model", {}) if options.config else {}

    def runner() -> dict[str, Any]:
        in_package = kit_runner.parent.name == "vlmeval"
        return vars(import_module("vlmeval.run")) if in_package else runpy.run_path(str(kit_runner), run_name="runner")

    def serve(name: str, url: str) -> Any:
        of_kit = runner()
        with replaced(sys, "argv", [str(kit_runner), *words]):
            args = of_kit["parse_args"]()
        args.base_url = url
        return vlmeval.api.LMDeployAPI(**{**of_kit["build_model_from_base_url"](args), "model": name})

    def configure(name: str) -> Any:
        return runner()["build_model_from_config"](config, name)

    for name in options.models:
        entry = config.get(name) or {}
        cls = getattr(supported_VLM.get(name), "func", None)
        if options.base_url and not options.config:
            for url in options.base_url.split(","):
                yield name, functools.partial(serve, name, url.strip()), ""
        elif hasattr(vlmeval.api, str(entry.get("class"))):
            yield name, functools.partial(configure, name), _unset(entry["class"], str(entry.get("model", name)))
        elif "class" not in entry and isinstance(cls, type) and issubclass(cls, BaseAPI):
            build = functools.partial(supported_VLM[name], **entry)
            yield name, build, _unset(cls.__name__, str(supported_VLM[name].keywords.get("model", "")))


def spread(served: Any, **words: Any) -> Any:
    """The kit's client of a server, or of several with commas between their addresses, which get requests in turn."""
    route = "/chat/completions"
    urls = [url.strip().removesuffix(route).rstrip("/") + route for url in words.get("api_base", "").split(",")]
    if len(urls) == 1:
        return served(**words)
    in_turn = itertools.cycle(urls)
    # The kit's client looks its address up for each request.
    address = property(lambda _: next(in_turn), lambda *_: None)
    return type(served.__name__, (served,), {"api_base": address})(**words)


def _asked(model: Any, mask: Callable[[str], str]) -> str | None:
    """Why one short question got no reply, None where the model answered, with whatever."""
    # This object is the call's alone.
    model.retry, model.wait, model.timeout = 1, 0, _CALL_TIMEOUT
    model.generate_inner = _Listening(model, swallows=True)
    for limit in _TOKEN_LIMITS:
        if limit in model.default_kwargs:
            model.default_kwargs[limit] = _MOST_TOKENS
        if isinstance(getattr(model, limit, None), int):
            setattr(model, limit, _MOST_TOKENS)
    with on_record(mask):
        reason = failure_reason(model.generate(_PROMPT))
    # A few tokens may all be thoughts, and some classes want an image.
    return None if reason is None or reason.startswith((_EMPTY, "AssertionError")) else reason


def _advice(reason: str, model: Any) -> str:
    urls = (str(getattr(model, name, "")) for name in ("api_base", "url", "base_url"))
    at = "the endpoint " + shown_url(next((url for url in urls if "://" in url), ""))
    if re.search("key|auth|permission|40[13]", reason, re.IGNORECASE):
        return f"Give a key that {at} takes (--key with --base-url)."
    if "404" in reason:
        return f"Look at {at} (--base-url) and at the model's name."
    return f"Start the server, or look at {at} (--base-url), the proxy and the network."


def _unset(kit_class: str, model: str) -> str:
    """The variables for key and address that a class of the kit looks for and that are not set."""
    of = SERVICES.get(kit_class, Service(""))
    names = [name for name in (of.key_of(model), of.backend.partition("=")[0]) if name and name not in os.environ]
    return f" Not set in the environment: {', '.join(names)}." if names else ""
