"""What stands beside a file of calls: the note of its batches, and the answers that were downloaded.

``NAME.batch.json`` beside ``NAME.jsonl`` names the batches that were made of it; what stands there is never taken
out. Answers are in ``NAME.answers.jsonl`` and ``NAME.errors.jsonl``; a file that holds something else already is left
alone, and a number is put into the name.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.files import write_bytes, write_json


@dataclass(frozen=True)
class Submitted:
    """One submission: ``submitted`` is the time in UTC, ``n`` the number of calls."""

    batch_id: str
    input_file_id: str
    base_url: str
    submitted: str
    n: int


def state_path(calls: Path) -> Path:
    """Where the submissions of a file of calls are noted."""
    return calls.with_name(f"{_stem(calls)}.batch.json")


def read_submissions(calls: Path) -> list[Submitted]:
    """The submissions of a file of calls, oldest first; none where it was never submitted.

    Raises:
        BadInput: the note cannot be read.
    """
    path = state_path(calls)
    if not path.exists():
        return []
    try:
        found = [Submitted(**one) for one in json.loads(path.read_text(encoding="utf-8"))["batches"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        found = []
    if not found or not all(isinstance(one.batch_id, str) and one.batch_id.strip() for one in found):
        raise BadInput(
            f"{path} is not a note of 'medqbench judge submit', and may have named a batch: restore it or move it away."
        )
    return found


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


def note_submission(calls: Path, submitted: Submitted) -> None:
    """Add a submission to the note of a file of calls.

    Raises:
        BadInput: the note that is there cannot be read.
        RunFailed: it cannot be written; the message names the batch.
    """
    path = state_path(calls)
    try:
        write_json(path, {"batches": [asdict(one) for one in [*read_submissions(calls), submitted]]})
    except OSError as error:
        raise RunFailed(
            f"{path} cannot be written ({error.strerror or error}). The batch {submitted.batch_id} runs at the server "
            "and is paid for: write its id down, and import its output file when it has ended."
        ) from error


def save_answers(calls: Path, kind: str, data: bytes) -> Path:
    """Write what was downloaded for a file of calls; ``kind`` is 'answers' or 'errors'.

    Raises:
        RunFailed: it cannot be written.
    """
    number = 1
    while True:
        path = calls.with_name(f"{_stem(calls)}.{kind}{f'-{number}' if number > 1 else ''}.jsonl")
        try:
            if not path.exists():
                write_bytes(path, data)
                return path
            if path.read_bytes() == data:
                return path
        except OSError as error:
            raise RunFailed(f"{path} cannot be written ({error.strerror or error}); make room there.") from error
        number += 1


def _stem(calls: Path) -> str:
    return calls.stem if calls.suffix == ".jsonl" else calls.name
