"""Answers of a batch -> verdicts in the cache.

Output and error files of OpenAI's Batch API and of ``vllm run-batch`` are read alike, line by line and in any
order. An answer file is read with distrust: a line that is no JSON, no answer, or not ours is counted and passed
over, and an answer is kept only where every dimension of its call has a score that the dimension allows. What is
not kept stays pending.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.judge.asking import masked, read_completion
from medqbench_vlmeval.judge.batch_lines import CallId, read_custom_id, rows_of
from medqbench_vlmeval.judge.calls import Judgement
from medqbench_vlmeval.judge.failures import short_words
from medqbench_vlmeval.judge.masking import Mask
from medqbench_vlmeval.judge.reading import read_reply
from medqbench_vlmeval.judge.store import Entry, VerdictStore

# Where neither the user nor the server names the judge.
UNNAMED = "unnamed"

_AT_ONCE = 10_000
_NAME_LENGTH = 200
_NO_ANSWER = "the line holds no answer (is this the file of the calls?)"


class _Failed(Exception):
    """A line says that its call failed; the text is the server's reason."""


class _Unclear(Exception):
    """A reply gives no verdict; the text says why."""


@dataclass
class Imported:
    """What became of the lines of some answer files, each line counted once.

    ``kept`` are new verdicts, ``known`` those that the cache had already. ``unclear`` (replies without a verdict)
    and ``failed`` (calls that the server did not answer) are counted by reason. ``unreadable`` holds line numbers
    by file, ``foreign`` counts lines that this package did not ask for.
    """

    kept: int = 0
    known: int = 0
    unclear: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    unreadable: dict[Path, list[int]] = field(default_factory=dict)
    foreign: int = 0


def require_answers(paths: Iterable[Path]) -> None:
    """Check that each file holds at least one line that answers a call of ours.

    Raises:
        BadInput: one does not, or cannot be read.
    """
    for path in paths:
        if not any(row is not None and read_custom_id(row.get("custom_id")) for _, row in rows_of(path)):
            raise BadInput(
                f"{path} holds no answer to a call of 'medqbench judge export'; give the output or error file of the "
                "batch, one JSON object a line."
            )


def import_answers(
    paths: Sequence[Path],
    store: VerdictStore,
    judge: str | None = None,
    *,
    replace: bool = False,
    mask: Mask | None = None,
) -> Imported:
    """Read answer files and keep their verdicts.

    Args:
        paths: output and error files, in any order.
        store: the cache.
        judge: the judge's name as 'cache info' lists it; None takes the name that the server gave.
        replace: let a new answer take the place of one that is there.
        mask: blots secrets out of what servers say.

    Raises:
        BadInput: a file cannot be read.
        RunFailed: the cache cannot be written.
    """
    found = Imported()
    mask = mask or Mask(())
    waiting: dict[str, Entry] = {}
    for path in paths:
        for number, row in rows_of(path):
            if row is None:
                found.unreadable.setdefault(path, []).append(number)
                continue
            asked = read_custom_id(row.get("custom_id"))
            if asked is None:
                found.foreign += 1
                continue
            try:
                judgement = _judgement(row, asked, judge, mask)
            except _Failed as reason:
                found.failed[str(reason)] += 1
                continue
            except _Unclear as reason:
                found.unclear[str(reason)] += 1
                continue
            known = asked.key in waiting or (not replace and is_kept(asked, store))
            found.known += known
            found.kept += not known
            if known and not replace:
                continue
            waiting[asked.key] = Entry(asked.key, asked.protocol, (judge or judgement.judge)[:_NAME_LENGTH], judgement)
            if len(waiting) >= _AT_ONCE:
                _keep(waiting, store)
    _keep(waiting, store)
    return found


def is_kept(asked: CallId, store: VerdictStore) -> bool:
    """Whether the cache holds a full answer to a call."""
    kept = store.get(asked.key)
    return kept is not None and kept.answers(asked.call())


def reason_in(value: Any, mask: Mask) -> str:
    """What a server says about a failure, as one short masked line; '' where it says nothing."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not value or (isinstance(value, dict) and not any(value.values())):
        return ""
    code = value.get("code") if isinstance(value, dict) else None
    return short_words(value, str(code or "no reason given"), mask)


def _judgement(row: dict[str, Any], asked: CallId, judge: str | None, mask: Mask) -> Judgement:
    """The verdict in one line.

    Raises:
        _Failed: the line says that the call was not answered.
        _Unclear: the reply gives no full verdict.
    """
    answer = masked(read_completion(_completion(row, mask), judge or UNNAMED), mask)
    reading = read_reply(answer.text, asked.call())
    found = Judgement(
        dict(reading.scores),
        answer.text or "",
        answer.served_as,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        explanations=dict(reading.explanations),
    )
    if reading.reason is not None or not found.answers(asked.call()):
        raise _Unclear(reading.reason)
    return found


def _completion(row: dict[str, Any], mask: Mask) -> dict[str, Any]:
    """The chat completion of a line whose call succeeded."""
    response = row.get("response")
    response = response if isinstance(response, dict) else {}
    status, body = response.get("status_code"), response.get("body")
    said = reason_in(row.get("error"), mask)
    if not said and status in (None, 200) and isinstance(body, dict) and "choices" in body:
        return body
    said = said or reason_in(body, mask) or ("no answer and no reason" if "response" in row else _NO_ANSWER)
    raise _Failed(f"status {status}: {said}" if isinstance(status, int) and status != 200 else said)


def _keep(waiting: dict[str, Entry], store: VerdictStore) -> None:
    """Write entries and read them back: the cache itself only warns where it cannot be written."""
    entries = list(waiting.values())
    store.add(entries)
    if any(store.get(entry.key) != entry.judgement for entry in entries):
        raise RunFailed(
            f"The judge's cache {store.path} cannot be written: answers were not imported. Make room there or "
            "name another folder with MEDQBENCH_JUDGE_CACHE, and import them again."
        )
    waiting.clear()
