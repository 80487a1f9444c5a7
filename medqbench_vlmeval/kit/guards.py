"""What a run of the kit must not leak or lose: keys in logs, status files and the terminal; files of earlier runs.

The kit writes its command line into ``status.json``, its judge's settings into a log, and some of its clients log
their key. While a run is :func:`redacted`, log records, both standard streams, status files and the logs of its
evaluation processes are masked: first all secrets that are known (options, environment, ``.env``), then whatever
stands behind a name like 'key' or 'Bearer'.

Local mode of the PyPI kit writes straight into the model's folder: a limited run would cut a prediction file to the
samples of the limit, and take away the checkpoint of an interrupted run of all samples. All other ways of running make
a folder for each run and put links into the model's folder, in the place of files that local mode left there. What may
have been paid for is refused, put back or copied to ``previous/`` first.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO, cast

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import read_bytes
from medqbench_vlmeval.judge.options import env_file_values
from medqbench_vlmeval.judge.secrets import (
    MARK,
    Mask,
    is_secret_name,
    masked_logs,
    shown_extra,
    shown_url,
    url_secrets,
    values_named_secret,
    with_texts,
)
from medqbench_vlmeval.kit.run_files import PREDICTION_SUFFIXES, Job, model_folder
from medqbench_vlmeval.predictions import read_predictions
from medqbench_vlmeval.workflows import result_paths
from medqbench_vlmeval.workflows.robustness import robustness_paths

# A key variable of the kit's that does not look like one.
_KEY_VARIABLE = "ALLES"
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
    """Mask log records and both standard streams. Inside, :func:`guard_kit` does the same for the kit's files.

    Args:
        arguments: the command line, searched for secrets.
        known: further secrets.
    """
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
        undo.enter_context(_replaced(status_report, "_dump_run_status_unlocked", write_masked))
        for name in _CHILD_FUNCTIONS:
            if hasattr(pipeline, name):
                child = _InChild(name, tuple(mask.secrets), getattr(pipeline, name))
                undo.enter_context(_replaced(pipeline, name, child))
        yield


def environment_secrets() -> set[str]:
    """Values of environment variables, and of ``.env`` in the working folder, that are named like secrets.

    Paths of files that exist are none. Of a URL (a proxy, a server) its password and query are.
    """
    secrets: set[str] = set()
    own: Mapping[str, str] = {}
    # A run that needs nothing of that file is not to fail of it; who needs it will say what is wrong.
    with contextlib.suppress(BadInput):
        own = env_file_values()
    for name, value in [*own.items(), *os.environ.items()]:
        if "://" in value:
            secrets |= url_secrets(value)
        elif (is_secret_name(name) or name == _KEY_VARIABLE) and not _is_path(value):
            secrets.add(value.strip())
    return secrets


def argument_secrets(arguments: Sequence[str]) -> set[str]:
    """What of a command line for the kit is secret: values of options named so, also inside JSON and URLs."""
    secrets: set[str] = set()
    for option, value, _ in _walk(arguments):
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
        for option, value, joined in _walk(arguments)
    ]


def _shown_value(option: str, value: str) -> str:
    if _is_secret_option(option, value):
        return MARK
    parsed = _json(value)
    if isinstance(parsed, dict) and values_named_secret(parsed):
        return json.dumps(shown_extra(parsed), ensure_ascii=False)
    return shown_url(value) if "://" in value and url_secrets(value) else value


def _walk(arguments: Sequence[str]) -> Iterator[tuple[str, str | None, bool]]:
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


def _is_secret_option(option: str, value: str) -> bool:
    name = option.lstrip("-")
    return (is_secret_name(name) or name in _ABBREVIATED) and not re.fullmatch(r"\d{1,15}", value)


def _json(text: str) -> Any:
    if text.lstrip().startswith(("{", "[")):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(text)
    return None


def _is_path(text: str) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return Path(text).exists()
    return False


class _MaskedStream:
    def __init__(self, inner: TextIO, mask: Redaction) -> None:
        self._inner = inner
        self._mask = mask

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
    """One of the kit's functions that run in a process of their own, masked there too.

    A process that is not forked knows nothing of this run; the secrets travel with the call, through a pipe.
    """

    def __init__(self, name: str, secrets: Sequence[str], original: Any = None) -> None:
        self._name = name
        self._secrets = secrets
        self.original = original

    def __reduce__(self) -> tuple[type[_InChild], tuple[str, Sequence[str]]]:
        return _InChild, (self._name, self._secrets)

    def __call__(self, *args: Any) -> Any:
        import vlmeval.inference_api as pipeline

        function = getattr(pipeline, self._name)
        original = function.original if isinstance(function, _InChild) else function
        with (
            redacted(known=self._secrets) as mask,
            # The kit sends prints of an evaluation straight into its log file.
            _replaced(pipeline, "redirect_stdout", lambda stream: redirect_stdout(_masked(stream, mask))),
            _replaced(pipeline, "redirect_stderr", lambda stream: redirect_stderr(_masked(stream, mask))),
        ):
            return original(*args)


@contextmanager
def _replaced(module: ModuleType, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def check_predictions(jobs: Sequence[Job], work_dir: Path, limit: int) -> None:
    """See that a limited run straight in the models' folders cuts no prediction file.

    Raises:
        BadInput: a file of one of the jobs holds more predictions than the limit, or cannot be read; the message names
            the file and the ways out.
    """
    for job in jobs:
        if job.mode == "eval":
            continue
        for path in _predictions(job, work_dir, api_mode=False):
            n = len(read_predictions(path).predictions)
            if n > limit:
                raise BadInput(
                    f"{path} holds {n:,} predictions, and with --limit {limit} the kit would leave {limit} of them in "
                    "it. Evaluate that part with --mode eval, or give another --work-dir."
                )


@contextmanager
def preserve_earlier_files(
    jobs: Sequence[Job], work_dir: Path, limit: int | None, *, api_mode: bool, links: bool
) -> Iterator[None]:
    """Keep for a run what the kit would take away or replace; ``links`` says that the run has a folder of its own."""
    first_process = int(os.environ.get("RANK", "0")) == 0
    copies: dict[Path, Path] = {}
    if first_process and links:
        # Into 'previous/' what the links of the run would replace: predictions in the models' folders, and results.
        for job in jobs:
            for predictions in _predictions(job, work_dir, api_mode=api_mode):
                written = datetime.fromtimestamp(predictions.stat().st_mtime, timezone.utc)
                results = robustness_paths(predictions) if job.second_pass else result_paths(predictions)
                for path in (predictions, *vars(results).values()):
                    copy = path.parent / "previous" / f"{path.stem}_{written:%Y-%m-%dT%H-%M-%S}{path.suffix}"
                    if path.is_file() and not path.is_symlink() and not copy.exists():
                        copy.parent.mkdir(exist_ok=True)
                        shutil.copy2(path, copy)
    elif first_process and limit is not None:
        # The kit takes checkpoints away when a limited run ends; they may be of a run of all samples.
        for job in jobs:
            folder = model_folder(job, work_dir, api_mode=False)
            for path in [*folder.glob(f"*_{job.dataset}.pkl"), *folder.glob(f"*_{job.dataset}_checkpoint.pkl")]:
                copies[path] = path.with_name(f"{path.name}.kept")
                shutil.copy2(path, copies[path])
    try:
        yield
    finally:
        for path, copy in copies.items():
            # A run that was interrupted has gone on with what the checkpoint held.
            if path.exists():
                copy.unlink(missing_ok=True)
            else:
                copy.replace(path)


def _predictions(job: Job, work_dir: Path, *, api_mode: bool) -> list[Path]:
    """The prediction files of a job that are no links."""
    folder = model_folder(job, work_dir, api_mode=api_mode)
    paths = [folder / f"{folder.name}_{job.dataset}{suffix}" for suffix in PREDICTION_SUFFIXES]
    return [path for path in paths if path.is_file() and not path.is_symlink()]
