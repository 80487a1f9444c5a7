"""A file of calls as a batch on a server with OpenAI's Batch API: submitted, looked at, collected. ``NAME.batch.json``
beside ``NAME.jsonl`` names its batches, and is only added to. Answers are in ``NAME.answers.jsonl`` and
``NAME.errors.jsonl``, with a number in the name where a file holds something else already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from medqbench_vlmeval.errors import BadInput, JudgeError
from medqbench_vlmeval.files import MissingFile, read_json, reading, write_bytes, write_json, writing
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
from medqbench_vlmeval.judge.completion import inside, short_words
from medqbench_vlmeval.judge.connection import connection_words, proxy_for, tls_context
from medqbench_vlmeval.judge.options import JudgeOptions
from medqbench_vlmeval.judge.secrets import Mask, masked_logs, refuse_key, shown_url

if TYPE_CHECKING:
    from openai import OpenAI


@dataclass(frozen=True)
class Submission:
    """One submission: ``submitted`` is the time in UTC, ``n`` the number of calls."""

    batch_id: str
    input_file_id: str
    base_url: str
    submitted: str
    n: int


@dataclass(frozen=True)
class BatchState:
    """How far a batch is, the server's ``reason`` ('' for none) where it failed as a whole, and the ids of the files
    that it left at the server."""

    batch: str
    status: str
    completed: int
    failed: int
    total: int
    reason: str
    answers: str | None
    errors: str | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.status in ("completed", "failed", "expired", "cancelled")


@dataclass(frozen=True)
class Collection:
    """What the batches of a file of ``n`` calls gave: their ``states``, oldest first, the files downloaded, what was
    imported of them (None: no file) and how many calls have no full answer yet."""

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
            return f"batch {self.running[-1].batch} of {self.calls} has not ended yet; collect it later"
        if self.pending and (not self.paths or self.pending == self.n):
            return f"the batch of {self.calls} ended without a verdict"
        return None


def state_path(calls: Path) -> Path:
    """Where the submissions of a file of calls are noted."""
    return _beside(calls, "batch.json")


def read_submissions(calls: Path) -> list[Submission]:
    """The submissions of a file of calls, oldest first, none where it was never submitted; BadInput where the note
    cannot be read."""
    path = state_path(calls)
    try:
        submissions = [Submission(**entry) for entry in read_json(path)["batches"]]
    except MissingFile:
        return []
    except (ValueError, KeyError, TypeError):
        submissions = []
    ids = [submission.batch_id for submission in submissions]
    for batch_id in ids:
        refuse_key(str(batch_id), f"The id of a batch in {path}")
    if not ids or not all(isinstance(batch_id, str) and batch_id.strip() for batch_id in ids):
        raise BadInput(
            f"{path} is not a note of 'medqbench judge submit', and may have named a batch: restore it or move it away."
        )
    return submissions


def require_new(calls: Path) -> None:
    """Raise BadInput, which names the batch, where a file was submitted before."""
    if earlier := read_submissions(calls):
        raise BadInput(
            f"{calls} was submitted on {earlier[-1].submitted} as batch {earlier[-1].batch_id}: 'medqbench judge "
            "collect' fetches its answers, and --again submits it once more, at its price."
        )


def submit(calls: CallFile, options: JudgeOptions) -> Submission:
    """Upload a file of calls, make a batch of it and note that beside it. Raises JudgeError where no key is given, or
    the server refused or cannot be reached; BadInput for a wrong base URL or an unreadable earlier note; RunFailed,
    naming the batch, where the note cannot be written."""
    earlier = read_submissions(calls.path)
    with _server(options) as server:
        input_file_id = server.upload(calls.path)
        batch_id = server.make_batch(input_file_id, calls.path)
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        submission = Submission(batch_id, input_file_id, server.url, now, len(calls.calls))
    path = state_path(calls.path)
    advice = (
        f"the batch {batch_id} runs at the server and is paid for: write its id down, and import its output "
        "file when it has ended"
    )
    with writing(path, advice):
        write_json(path, {"batches": [asdict(noted) for noted in [*earlier, submission]]})
    return submission


def states_of(calls: Path, base_url: str | None = None, key: str | None = None) -> list[BatchState]:
    """How far the batches of a file of calls are, oldest first; ``base_url`` and ``key`` default to each batch's own
    server and the environment's. Raises BadInput where the file was never submitted, JudgeError where a server refused
    or cannot be reached."""
    return [server.look(batch_id) for server, batch_id in _batches(calls, base_url, key)]


def collect(calls: Path, base_url: str | None = None, key: str | None = None) -> Collection:
    """Download what the batches of a file of calls have left that have ended, and import it into the cache. Arguments
    and errors are those of :func:`states_of`; RunFailed where a file or the cache cannot be written."""
    file = read_call_file(calls)
    states, paths = [], []
    for server, batch_id in _batches(calls, base_url, key):
        state = server.look(batch_id)
        states.append(state)
        # A batch that expired or was cancelled has files too: what was answered until then is paid for.
        files = {"answers": state.answers, "errors": state.errors} if state.ended else {}
        paths += [_saved(calls, kind, server.download(name)) for kind, name in files.items() if name is not None]
    mask = Mask(JudgeOptions("", base_url, key).secrets())
    with ReplyCache() as cache:
        report = import_answers(paths, cache, mask, file.model) if paths else None
        pending = sum(not kept_verdicts(call, cache.get(call.key)) for call in file.calls)
    return Collection(calls, len(file.calls), tuple(states), tuple(paths), report, pending)


def _beside(calls: Path, ending: str) -> Path:
    stem = calls.stem if calls.suffix == ".jsonl" else calls.name
    return calls.with_name(f"{stem}.{ending}")


def _saved(calls: Path, kind: str, data: bytes) -> Path:
    """Where a download is kept."""
    for number in count(1):
        path = _beside(calls, f"{kind}{f'-{number}' if number > 1 else ''}.jsonl")
        with writing(path, "make room there"):
            if not path.exists():
                write_bytes(path, data)
            elif path.read_bytes() != data:
                continue
        break
    return path


def _batches(calls: Path, base_url: str | None, key: str | None) -> Iterator[tuple[_Server, str]]:
    """The batches of a file of calls, each with its server."""
    submissions = read_submissions(calls)
    if not submissions:
        raise BadInput(f"{calls} was never submitted: there is no {state_path(calls).name} ('medqbench judge submit').")
    for submission in submissions:
        with _server(JudgeOptions(f"batch of {calls.name}", base_url or submission.base_url, key)) as server:
            yield server, submission.batch_id


@contextmanager
def _server(options: JudgeOptions) -> Iterator[_Server]:
    """The judge's server; BadInput where the SDK refuses the environment's proxies or certificates."""
    from openai import OpenAI

    mask = Mask(options.secrets())
    # The SDK puts its route behind everything that a base URL holds.
    url, _, query = options.endpoint().partition("?")
    default = dict(parse_qsl(query, keep_blank_values=True))
    proxy_for(url)
    if url.lower().startswith("https:"):
        tls_context()
    try:
        client = OpenAI(
            api_key=options.secret(),
            base_url=url,
            default_query=default,
            timeout=options.timeout,
            max_retries=options.retry,
        )
    except (ValueError, ImportError, OSError) as error:
        words = short_words(None, str(error), mask).rstrip(".")
        raise BadInput(
            f"The judge's client cannot be made, look at HTTP_PROXY, SSL_CERT_FILE and their like: {words}."
        ) from None
    with client, masked_logs(mask):
        yield _Server(client, options, mask, shown_url(options.endpoint()))


@dataclass(frozen=True)
class _Server:
    """A server's Batch API; a request raises JudgeError where the server refuses or cannot be reached."""

    client: OpenAI
    options: JudgeOptions
    mask: Mask
    url: str

    def upload(self, path: Path) -> str:
        """The id that a file has at the server."""
        doing = f"take {path}"
        with reading(path), self._asking(doing):
            reply = self.client.files.with_raw_response.create(file=path, purpose="batch")
        return self._id(reply.content, doing)

    def make_batch(self, file_id: str, path: Path) -> str:
        """The id of a new batch."""
        doing = f"make a batch of {path}"
        unknown = JudgeError(
            f"The connection to {self.url} broke while a batch was made of {path}, and whether there is one now is "
            "not known: look at the server's list of batches before you submit the file again."
        )
        with self._asking(doing, unknown):
            # Never asked twice: a batch whose making timed out may have been made all the same.
            reply = self.client.with_options(max_retries=0).batches.with_raw_response.create(
                input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h"
            )
        return self._id(reply.content, doing)

    def look(self, batch_id: str) -> BatchState:
        with self._asking(f"say how batch {batch_id} is"):
            batch = json_object(self.client.batches.with_raw_response.retrieve(batch_id).content)
        status, reasons = inside(batch, "status"), inside(batch, "errors")
        if not isinstance(status, str):
            raise JudgeError(f"The server at {self.url} did not say how batch {batch_id} is.")
        counts = (inside(batch, "request_counts", name) for name in ("completed", "failed", "total"))
        completed, failed, total = (n if isinstance(n, int) else 0 for n in counts)
        files = (inside(batch, name) for name in ("output_file_id", "error_file_id"))
        answers, errors = (name if isinstance(name, str) and name else None for name in files)
        reason = reason_in(inside(reasons, "data") if isinstance(reasons, dict) else reasons, self.mask)
        return BatchState(batch_id, status.lower(), completed, failed, total, reason, answers, errors)

    def download(self, file_id: str) -> bytes:
        """The content of a file at the server; a key that is echoed in it is blotted out."""
        with self._asking(f"give the file {file_id}"):
            content = self.client.files.content(file_id).read()
        return self.mask(content.decode("utf-8", errors="surrogateescape")).encode("utf-8", errors="surrogateescape")

    def _id(self, reply: bytes, doing: str) -> str:
        name = inside(json_object(reply), "id")
        if not isinstance(name, str) or not name.strip():
            raise JudgeError(f"The server at {self.url} did not {doing}: its reply names no id. Has it a Batch API?")
        return name

    @contextmanager
    def _asking(self, doing: str, lost: JudgeError | None = None) -> Iterator[None]:
        """Say what the server did not do, and its reason, where it fails; ``lost`` is for a connection that broke."""
        from openai import APIConnectionError, OpenAIError

        try:
            yield
        except APIConnectionError as error:
            url = self.options.endpoint()
            raise lost or connection_words(error, self.options, url, proxy_for(url)).error from None
        except OpenAIError as error:
            words = short_words(getattr(error, "body", None), str(error), self.mask).rstrip(".")
            status = f" (status {error.status_code})" if hasattr(error, "status_code") else ""
            raise JudgeError(f"The server at {self.url} did not {doing}{status}: {words}.") from None
