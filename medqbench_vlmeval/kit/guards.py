"""What a run of the kit must not leak: keys in logs, status files and the terminal. The kit writes its command line and
its judge's settings into files, and some of its clients log their key. Here all secrets that are known (options,
environment, ``.env``) are masked, then what stands behind a name like 'key'."""

from __future__ import annotations

import contextlib
import difflib
import json
import logging
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, TextIO, cast

from medqbench_vlmeval.errors import BadInput, MedQBenchError
from medqbench_vlmeval.files import read_bytes
from medqbench_vlmeval.judge.options import env_file_values
from medqbench_vlmeval.judge.secrets import (
    MARK,
    Mask,
    is_secret_name,
    masked_logs,
    secrets_in_environment,
    shown_extra,
    shown_url,
    url_secrets,
    values_named_secret,
    with_texts,
    words_by_option,
)

# What the kit's parser may take for an option with a key.
_ABBREVIATED = frozenset({"k", "ke", "judge-k", "judge-ke"})
_KEY_OPTIONS = ("--key", "--judge-key")
_NAMED = re.compile(
    r"""(?P<name>(?P<q>["'])[\w-]*(?:key|token(?!iz)|secret|passw|auth(?!or(?!i))|credential|cookie)[\w-]*(?P=q)\s*:\s*)"""
    r"""(?P<quote>["'])(?!\*\*\*)[^"']+(?P=quote)""",
    re.IGNORECASE,
)
_LABELLED = re.compile(r"(?P<name>\bAPI Key: |\bBearer (?=[^\s'\"]{8}))[^\s'\"]+")
# What runs in the kit's evaluation processes: one of them in the PyPI kit, both in git HEAD.
_CHILD_FUNCTIONS = ("_eval_subprocess_target", "_eval_process_entry")


class Redaction:
    """Masks texts of one run; what it knows can grow while the run goes on."""

    def __init__(self, arguments: Sequence[str] = (), known: Iterable[str] = ()) -> None:
        self._arguments = argument_secrets(arguments) | set(known)
        self.learn()

    @property
    def secrets(self) -> frozenset[str]:
        return self._mask.secrets

    def __call__(self, text: str) -> str:
        named = _NAMED.sub(rf"\g<name>\g<quote>{MARK}\g<quote>", self._mask(text))
        return _LABELLED.sub(rf"\g<name>{MARK}", named)

    def learn(self) -> None:
        """Look at the environment again; importing the kit puts its own ``.env`` there."""
        self._mask = Mask(self._arguments | environment_secrets())


@contextmanager
def redacted(arguments: Sequence[str] = (), known: Iterable[str] = ()) -> Iterator[Redaction]:
    """Mask secrets of the command line, and others that are ``known``, in log records and both standard streams."""
    mask = Redaction(arguments, known)
    out, err = _masked(sys.stdout, mask), _masked(sys.stderr, mask)
    with masked_logs(mask), redirect_stdout(out), redirect_stderr(err):
        yield mask


@contextmanager
def guard_kit(mask: Redaction) -> Iterator[None]:
    """Mask the imported kit's status files and its evaluation processes' logs."""
    import vlmeval.inference_api as pipeline
    from vlmeval.smp import status_report

    mask.learn()
    write = status_report._dump_run_status_unlocked

    def write_masked(path: Any, status: Mapping[str, Any]) -> None:
        argv = status.get("argv")
        shown = {**status, "argv": shown_arguments(argv)} if isinstance(argv, list) else status
        write(path, with_texts(shown, lambda text, _: mask(text)))

    with ExitStack() as undo:
        undo.enter_context(replaced(status_report, "_dump_run_status_unlocked", write_masked))
        for name in _CHILD_FUNCTIONS:
            if hasattr(pipeline, name):
                child = _InChild(name, tuple(mask.secrets), getattr(pipeline, name))
                undo.enter_context(replaced(pipeline, name, child))
        yield


def environment_secrets() -> set[str]:
    """The secrets of the environment (see ``secrets.secrets_in_environment``) and of ``.env`` in the working folder."""
    # A run that needs nothing of that file is not to fail of it; who needs it will say what is wrong.
    with contextlib.suppress(BadInput):
        return secrets_in_environment(env_file_values().items())
    return secrets_in_environment()


def argument_secrets(arguments: Sequence[str]) -> set[str]:
    """What of a command line for the kit is secret: values of options named so, also inside JSON and URLs."""
    secrets: set[str] = set()
    for option, value, _ in words_by_option(arguments):
        if value is None:
            continue
        # The kit's parser repeats an option that it does not know, with its value.
        if _is_secret_option(option, value) or difflib.get_close_matches(option, _KEY_OPTIONS, cutoff=0.8):
            secrets.add(value)
        text = value
        if option == "--config":
            with contextlib.suppress(BadInput, ValueError):
                text = read_bytes(Path(value)).decode("utf-8")
        if (parsed := _json(text)) is not None:
            secrets |= values_named_secret(parsed)
        elif "://" in value:
            secrets |= url_secrets(value)
    return secrets


def shown_arguments(arguments: Sequence[str]) -> list[str]:
    """A command line as a file may hold it, however short a key in it is."""
    return [
        option if value is None else (f"{option}=" if joined else "") + _shown_value(option, value)
        for option, value, joined in words_by_option(arguments)
    ]


def _shown_value(option: str, value: str) -> str:
    if _is_secret_option(option, value):
        return MARK
    parsed = _json(value)
    if isinstance(parsed, dict) and values_named_secret(parsed):
        return json.dumps(shown_extra(parsed), ensure_ascii=False)
    return shown_url(value) if "://" in value and url_secrets(value) else value


def _is_secret_option(option: str, value: str) -> bool:
    name = option.lstrip("-")
    return (is_secret_name(name) or name in _ABBREVIATED) and not re.fullmatch(r"\d{1,15}", value)


def _json(text: str) -> Any:
    if text.lstrip().startswith(("{", "[")):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(text)
    return None


class _MaskedStream:
    def __init__(self, inner: TextIO, mask: Redaction) -> None:
        self._inner, self._mask = inner, mask

    def write(self, text: str) -> int:
        self._inner.write(self._mask(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _masked(stream: TextIO, mask: Redaction) -> TextIO:
    return cast(TextIO, _MaskedStream(stream, mask))


class _InChild:
    """One of the kit's functions that run in a process of their own, to which the secrets travel with the call."""

    def __init__(self, name: str, secrets: Sequence[str], original: Any = None) -> None:
        self._name, self._secrets, self.original = name, secrets, original

    def __reduce__(self) -> tuple[type[_InChild], tuple[str, Sequence[str]]]:
        return _InChild, (self._name, self._secrets)

    def __call__(self, *args: Any) -> Any:
        import vlmeval.inference_api as pipeline

        function = getattr(pipeline, self._name)
        original = function.original if isinstance(function, _InChild) else function
        with (
            redacted(known=self._secrets) as mask,
            # The kit sends prints of an evaluation straight into its log file.
            replaced(pipeline, "redirect_stdout", lambda stream: redirect_stdout(_masked(stream, mask))),
            replaced(pipeline, "redirect_stderr", lambda stream: redirect_stderr(_masked(stream, mask))),
        ):
            return original(*args)


@contextmanager
def replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    """Put ``value`` in the place of one of a module's or a class's names for a while."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


# What the kit logs of a result: whose it is, then words and numbers, as JSON or as a table.
_RESULT_OF = re.compile(r"(?:The evaluation of model .+ x dataset |\[Eval Finish\] )(\S+)|(Run Summary Report:)")
_RESULT = re.compile(r"(?:Evaluation Results|Run Summary Report|\s*Results):|\n(?:\{|benchmark\s)")


class KitErrors:
    """Gathers the errors that the kit logs while it is entered; ``stopped`` is what ended its run. Results of the
    datasets ``told`` (with None where these are all) stay out of the log: this package tells them below it."""

    def __init__(self, told: Collection[str | None] = ()) -> None:
        self.stopped: str | None = None
        self._seen: list[tuple[str, str]] = []
        self._told, self._is_told = told, False

    def about(self, dataset: str) -> str | None:
        """The last error in a message that names a dataset, else what stopped the run."""
        named = [why for message, why in self._seen if re.search(rf"\b{re.escape(dataset)}\b", message)]
        return named[-1] if named else self.stopped

    def __enter__(self) -> KitErrors:
        # No handler: the kit opens its log file only where its logger has none.
        self._factory = logging.getLogRecordFactory()
        self._handlers = list(logging.getLogger("vlmeval").handlers)
        logging.setLogRecordFactory(self._record)
        return self

    def __exit__(self, *_: object) -> None:
        logging.setLogRecordFactory(self._factory)
        logger = logging.getLogger("vlmeval")
        for handler in [one for one in logger.handlers if one not in self._handlers]:
            logger.removeHandler(handler)
            handler.close()

    def _record(self, *args: Any, **words: Any) -> logging.LogRecord:
        record = self._factory(*args, **words)
        if record.name.startswith("vlmeval"):
            if record.levelno == logging.INFO:
                self._hide_result(record)
            if "interrupted by user" in record.getMessage():
                # The kit's pipeline would have Ctrl-C for its own alone; SIGTERM's own error stays what it is.
                end = sys.exc_info()[1]
                raise end if isinstance(end, KeyboardInterrupt) else KeyboardInterrupt
            if record.exc_info and (error := record.exc_info[1]) is not None:
                lines = str(error).strip().splitlines() or [f"{type(error).__name__} without a message"]
                self._seen.append((record.getMessage(), lines[0]))
                if isinstance(error, MedQBenchError):  # its words say all that a user needs
                    record.exc_info = None
        return record

    def _hide_result(self, record: logging.LogRecord) -> None:
        """Make a record of debugging of a result that is told anyway; the kit's handlers pass over these."""
        if ended := _RESULT_OF.search(record.getMessage()):
            self._is_told = ended[1] in self._told
        if self._is_told and _RESULT.match(record.getMessage()):
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
