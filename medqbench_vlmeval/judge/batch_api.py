"""A file of calls as a batch on a server with OpenAI's Batch API: submitted, looked at, collected.

``NAME.batch.json`` beside ``NAME.jsonl`` names the batches that were made of it; what stands there is never taken out.
Answers are in ``NAME.answers.jsonl`` and ``NAME.errors.jsonl``; a file that holds something else already is left alone,
and a number is put into the name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from itertools import count
from pathlib import Path

from medqbench_vlmeval.errors import BadInput, JudgeError
from medqbench_vlmeval.files import reading, write_bytes, write_json, writing
from medqbench_vlmeval.judge.batch_files import (
    CallFile,
    ImportReport,
    import_answers,
    json_object,
    read_call_file,
    reason_in,
)
from medqbench_vlmeval.judge.cache import ReplyCache
from medqbench_vlmeval.judge.calls import kept_verdicts
from medqbench_vlmeval.judge.client import sdk_client, short_words, unreachable
from medqbench_vlmeval.judge.options import JudgeOptions
from medqbench_vlmeval.judge.secrets import Mask, masked_logs, shown_url

# The states in which a batch stays.
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})


@dataclass(frozen=True)
class Submission:
    """One submission: ``submitted`` is the time in UTC, ``n`` the number of calls."""

    batch_id: str
    input_file_id: str
    base_url: str
    submitted: str
    n: int


def state_path(calls: Path) -> Path:
    """Where the submissions of a file of calls are noted."""
    return calls.with_name(f"{_stem(calls)}.batch.json")


def read_submissions(calls: Path) -> list[Submission]:
    """The submissions of a file of calls, oldest first; none where it was never submitted.

    Raises:
        BadInput: the note cannot be read.
    """
    path = state_path(calls)
    if not path.exists():
        return []
    try:
        note = json.loads(path.read_text(encoding="utf-8"))["batches"]
        submissions = [Submission(**entry) for entry in note]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        submissions = []
    if not submissions or not all(isinstance(one.batch_id, str) and one.batch_id.strip() for one in submissions):
        raise BadInput(
            f"{path} is not a note of 'medqbench judge submit', and may have named a batch: restore it or move it away."
        )
    return submissions


def require_new(calls: Path) -> None:
    """Check that a file was not submitted before.

    Raises:
        BadInput: it was; the message names the batch.
    """
    if earlier := read_submissions(calls):
        raise BadInput(
            f"{calls} was submitted on {earlier[-1].submitted} as batch {earlier[-1].batch_id}: 'medqbench judge "
            "collect' fetches its answers, and --again submits it once more, at its price."
        )


def note_submission(calls: Path, submission: Submission) -> None:
    """Add a submission to the note of a file of calls.

    Raises:
        BadInput: the note that is there cannot be read.
        RunFailed: it cannot be written; the message names the batch.
    """
    path = state_path(calls)
    advice = (
        f"the batch {submission.batch_id} runs at the server and is paid for: write its id down, and import its output "
        "file when it has ended"
    )
    with writing(path, advice):
        write_json(path, {"batches": [asdict(one) for one in [*read_submissions(calls), submission]]})


def save_answers(calls: Path, kind: str, data: bytes) -> Path:
    """Write what was downloaded for a file of calls; ``kind`` is 'answers' or 'errors'.

    Raises:
        RunFailed: it cannot be written.
    """
    for number in count(1):
        path = calls.with_name(f"{_stem(calls)}.{kind}{f'-{number}' if number > 1 else ''}.jsonl")
        with writing(path, "make room there"):
            if not path.exists():
                write_bytes(path, data)
            elif path.read_bytes() != data:
                continue
        break
    return path


def _stem(calls: Path) -> str:
    return calls.stem if calls.suffix == ".jsonl" else calls.name


@dataclass(frozen=True)
class BatchState:
    """How far a batch is. ``reason`` is the server's word on a batch that failed as a whole, '' else."""

    batch_id: str
    status: str
    completed: int
    failed: int
    total: int
    output_file_id: str | None
    error_file_id: str | None
    reason: str

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.status in ENDED


@dataclass(frozen=True)
class Collection:
    """What the batches of a file of ``n`` calls gave.

    ``states`` are the batches', oldest first, ``paths`` the files that were downloaded, ``report`` says what was
    imported of them (None: nothing was downloaded), and ``pending`` counts the calls that have no full answer yet.
    """

    calls: Path
    n: int
    states: tuple[BatchState, ...]
    paths: tuple[Path, ...]
    report: ImportReport | None
    pending: int

    @property
    def running(self) -> tuple[BatchState, ...]:
        """The batches that have not ended."""
        return tuple(state for state in self.states if not state.ended)

    @property
    def problem(self) -> str | None:
        """Why the calls cannot be collected as far as a batch may be expected to answer them; None where they are."""
        if self.running:
            return f"batch {self.running[-1].batch_id} of {self.calls} has not ended yet; collect it later"
        if self.pending and (not self.paths or self.pending == self.n):
            return f"the batch of {self.calls} ended without a verdict"
        return None


class BatchApi:
    """The batches of one server; used inside ``with``.

    Args:
        options: the judge's name, base URL and key.

    Raises:
        JudgeError: the judge needs a key and none is given.
        BadInput: the base URL is none.
    """

    def __init__(self, options: JudgeOptions) -> None:
        from openai import OpenAI

        self._options = options
        self._url = shown_url(options.endpoint())
        key = options.secret()
        self._mask = Mask({key, *options.secrets()})
        self._masked_logs = ExitStack()
        self._client = sdk_client(OpenAI, options, key, self._mask, options.retry)

    def __enter__(self) -> BatchApi:
        self._masked_logs.enter_context(masked_logs(self._mask))
        return self

    def __exit__(self, *_: object) -> None:
        with self._masked_logs:
            self._client.close()

    def submit(self, calls: CallFile) -> Submission:
        """Upload a file of calls, make a batch of it and note that beside it.

        Raises:
            JudgeError: the server refused, or cannot be reached.
            RunFailed: the batch was made, and the note cannot be written; the message names the batch.
        """
        from openai import APIConnectionError

        # A note that cannot be read stops it before anything is paid.
        read_submissions(calls.path)
        doing = f"take {calls.path}"
        with reading(calls.path), self._asking(doing):
            uploaded = self._client.files.with_raw_response.create(file=calls.path, purpose="batch")
        input_file_id = self._id(uploaded.content, doing)
        doing = f"make a batch of {calls.path}"
        with self._asking(doing):
            try:
                # Never asked twice: a batch whose making timed out may have been made all the same.
                made = self._client.with_options(max_retries=0).batches.with_raw_response.create(
                    input_file_id=input_file_id, endpoint="/v1/chat/completions", completion_window="24h"
                )
            except APIConnectionError:
                raise JudgeError(
                    f"The connection to {self._url} broke while a batch was made of {calls.path}, and whether there is "
                    "one now is not known: look at the server's list of batches before you submit the file again."
                ) from None
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        submission = Submission(self._id(made.content, doing), input_file_id, self._url, now, len(calls.calls))
        note_submission(calls.path, submission)
        return submission

    def look(self, batch_id: str) -> BatchState:
        """How far a batch is.

        Raises:
            JudgeError: the server refused, or cannot be reached.
        """
        with self._asking(f"say how batch {batch_id} is"):
            fields = json_object(self._client.batches.with_raw_response.retrieve(batch_id).content) or {}
        status = fields.get("status")
        if not isinstance(status, str):
            raise JudgeError(f"The server at {self._url} did not say how batch {batch_id} is.")
        counts, reasons = fields.get("request_counts"), fields.get("errors")
        completed, failed, total = (
            n if isinstance(counts, dict) and isinstance(n := counts.get(name), int) else 0
            for name in ("completed", "failed", "total")
        )
        output, errors = (
            file if isinstance(file := fields.get(name), str) and file else None
            for name in ("output_file_id", "error_file_id")
        )
        reason = reason_in(reasons.get("data") if isinstance(reasons, dict) else reasons, self._mask)
        return BatchState(batch_id, status.lower(), completed, failed, total, output, errors, reason)

    def download(self, file_id: str) -> bytes:
        """The content of a file at the server; a key that is echoed in it is blotted out.

        Raises:
            JudgeError: the server refused, or cannot be reached.
        """
        with self._asking(f"give the file {file_id}"):
            content = self._client.files.content(file_id).read()
        return self._mask(content.decode("utf-8", errors="surrogateescape")).encode("utf-8", errors="surrogateescape")

    def _id(self, reply: bytes, doing: str) -> str:
        name = (json_object(reply) or {}).get("id")
        if not isinstance(name, str) or not name.strip():
            raise JudgeError(f"The server at {self._url} did not {doing}: its reply names no id. Has it a Batch API?")
        return name

    @contextmanager
    def _asking(self, doing: str) -> Iterator[None]:
        """Say what the server did not do, and its reason, where it fails."""
        from openai import APIConnectionError, APIStatusError, OpenAIError

        try:
            yield
        except APIConnectionError:
            raise unreachable(self._options) from None
        except OpenAIError as error:
            words = short_words(getattr(error, "body", None), str(error), self._mask).rstrip(".")
            status = f" (status {error.status_code})" if isinstance(error, APIStatusError) else ""
            raise JudgeError(f"The server at {self._url} did not {doing}{status}: {words}.") from None


def states_of(calls: Path, base_url: str | None = None, key: str | None = None) -> list[BatchState]:
    """How far the batches of a file of calls are, oldest first.

    Args:
        calls: the file of calls.
        base_url: the server; None for the one that each batch was submitted to.
        key: the key; None for the environment's.

    Raises:
        BadInput: the file was never submitted.
        JudgeError: a server refused, or cannot be reached.
    """
    return [api.look(submission.batch_id) for api, submission in _batches(calls, base_url, key)]


def collect(calls: Path, base_url: str | None = None, key: str | None = None) -> Collection:
    """Download what the batches of a file of calls have left that have ended, and import it into the cache.

    Args:
        calls: see :func:`states_of`, as the others.
        base_url: the server.
        key: the key.

    Raises:
        BadInput: the file was never submitted.
        JudgeError: a server refused, or cannot be reached.
        RunFailed: a file or the cache cannot be written.
    """
    file = read_call_file(calls)
    states, paths = [], []
    for api, submission in _batches(calls, base_url, key):
        state = api.look(submission.batch_id)
        states.append(state)
        # A batch that expired or was cancelled has files too: what was answered until then is paid for.
        files = {"answers": state.output_file_id, "errors": state.error_file_id} if state.ended else {}
        paths += [save_answers(calls, kind, api.download(name)) for kind, name in files.items() if name is not None]
    mask = Mask(JudgeOptions("", base_url, key).secrets())
    with ReplyCache() as cache:
        report = import_answers(paths, cache, file.model, mask=mask) if paths else None
        pending = sum(not kept_verdicts(call, cache.get(call.key)) for call in file.calls)
    return Collection(calls, len(file.calls), tuple(states), tuple(paths), report, pending)


def _batches(calls: Path, base_url: str | None, key: str | None) -> Iterator[tuple[BatchApi, Submission]]:
    """The submissions of a file of calls, each with its server."""
    submissions = read_submissions(calls)
    if not submissions:
        raise BadInput(f"{calls} was never submitted: there is no {state_path(calls).name} ('medqbench judge submit').")
    for submission in submissions:
        options = JudgeOptions(f"batch of {calls.name}", base_url or submission.base_url, key)
        with BatchApi(options) as api:
            yield api, submission
