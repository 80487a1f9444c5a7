"""Judge calls as the lines of a batch file, in the form that OpenAI's Batch API and ``vllm run-batch`` read. A line's
body is that of a live call. Its ``custom_id`` says all that reading the answer takes, without predictions and calls:

    mq1.<key of the call, 40 hex digits>.<dimensions and their scores>.<protocol>

``c3``, ``p3``, ``s3`` and ``q3`` stand for completeness, preciseness, consistency and quality accuracy with the scores
0, 1 and 2, ``q2`` for one that is 0 or 2; ``o``, ``r`` and ``j`` for official, rubric and rubric-joint, with the number
of rounds behind it where there are several. Output and error files are read alike, in any order and with distrust: a
line that is no JSON, no answer, or not ours is counted and passed over. A call stays pending until each of its
dimensions has a score that it may have.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.files import opened
from medqbench_vlmeval.judge.cache import ReplyCache, Row
from medqbench_vlmeval.judge.calls import KEY_LENGTH, Call, Reply, is_complete, kept_verdicts, verdicts_of
from medqbench_vlmeval.judge.client import request_body
from medqbench_vlmeval.judge.completion import MOST_BYTES, Failed, inside, read_completion, short_words
from medqbench_vlmeval.judge.options import JudgeOptions
from medqbench_vlmeval.judge.protocols import split_name
from medqbench_vlmeval.judge.secrets import Mask

# What OpenAI takes in one file (Batch API guide); other servers take as much or more.
MAX_LINES = 50_000
MAX_BYTES = 200_000_000

_AT_ONCE = 10_000
_NAME_LENGTH = 200
_NO_ANSWER = "the line holds no answer (is this the file of the calls?)"

_DIMENSIONS = {"completeness": "c", "preciseness": "p", "consistency": "s", "quality_accuracy": "q"}
_SCORES = {(0, 1, 2): "3", (0, 2): "2"}
_PROTOCOLS = {"official": "o", "rubric": "r", "rubric-joint": "j"}
_ID = re.compile(rf"mq1\.([0-9a-f]{{{KEY_LENGTH}}})\.((?:[cps]3|q[23]){{1,4}})\.([orj])([1-9]\d?)?", re.ASCII)


def custom_id(call: Call, protocol: str) -> str:
    """The custom_id of a call, at most 64 characters; ``protocol`` is the name of its protocol."""
    family, rounds = split_name(protocol)
    codes = "".join(_DIMENSIONS[dimension] + _SCORES[tuple(scores)] for dimension, scores in call.allowed.items())
    return f"mq1.{call.key}.{codes}.{_PROTOCOLS[family]}{rounds or ''}"


def read_custom_id(text: object) -> tuple[Call, str] | None:
    """The call (no sample, no prompt) and the protocol that a custom_id stands for; None for one of somebody else's."""
    if not isinstance(text, str) or not (parts := _ID.fullmatch(text)):
        return None
    key, codes, code, rounds = parts.groups()
    dimensions = {letter: dimension for dimension, letter in _DIMENSIONS.items()}
    scores = {digit: allowed for allowed, digit in _SCORES.items()}
    allowed = {dimensions[codes[i]]: scores[codes[i + 1]] for i in range(0, len(codes), 2)}
    family = next(family for family, letter in _PROTOCOLS.items() if letter == code)
    if len(allowed) != len(codes) // 2 or (family == "rubric-joint") != (len(allowed) > 1):
        return None
    return Call(key, "", "", allowed), f"{family}-{rounds}" if rounds else family


def call_line(call: Call, options: JudgeOptions, protocol: str) -> bytes:
    """One call as a line, with its line end."""
    row = {
        "custom_id": custom_id(call, protocol),
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": request_body(options, [{"role": "user", "content": call.prompt}], call.schema),
    }
    return json.dumps(row, ensure_ascii=False, allow_nan=False).encode("utf-8", errors="replace") + b"\n"


def part_path(path: Path, number: int) -> Path:
    """One file of several: ``NAME-1.jsonl``, ``NAME-2.jsonl``, ..."""
    return path.with_name(f"{path.stem}-{number}{path.suffix}")


def plan_parts(lines: Iterable[bytes], path: Path, max_lines: int, max_bytes: int) -> dict[Path, int]:
    """How many of the lines go into which file, in their order; a line too long for any file stands alone."""
    sizes: list[int] = []
    n_bytes = 0
    for line in lines:
        if not sizes or sizes[-1] >= max_lines or n_bytes + len(line) > max_bytes:
            sizes.append(0)
            n_bytes = 0
        sizes[-1] += 1
        n_bytes += len(line)
    return {path if len(sizes) == 1 else part_path(path, number): n for number, n in enumerate(sizes, 1)}


@dataclass(frozen=True)
class CallFile:
    """A file of calls: the model that they are for, and the calls, as far as their ids tell, in the file's order."""

    path: Path
    model: str
    calls: tuple[Call, ...]


def read_call_file(path: Path) -> CallFile:
    """Read a file that ``judge export`` wrote; BadInput where it is absent or empty, has a line that is none of ours,
    an id twice, or several models."""
    models: list[str] = []
    calls: dict[str, tuple[int, Call]] = {}
    for number, row, call_id in _rows(path):
        model = inside(row, "body", "model")
        if call_id is None or not isinstance(model, str):
            raise BadInput(f"{path}, line {number}, is not a call that 'medqbench judge export' wrote.")
        call, _ = call_id
        if call.key in calls:
            raise BadInput(
                f"{path} holds the call of line {calls[call.key][0]} again in line {number}; export it anew."
            )
        calls[call.key] = number, call
        models.append(model)
    if not calls:
        raise BadInput(f"{path} holds no calls.")
    if len(set(models)) > 1:
        raise BadInput(f"{path} holds calls for {' and '.join(dict.fromkeys(models))}; a batch takes one model alone.")
    return CallFile(path, models[0], tuple(call for _, call in calls.values()))


def json_object(text: bytes) -> dict[str, object] | None:
    """The JSON object in what a server sent, None where it is none."""
    try:
        value = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _rows(path: Path) -> Iterator[tuple[int, dict[str, object] | None, tuple[Call, str] | None]]:
    """The line numbers, objects (None for no object, or one too long) and calls of ours in a JSONL file."""
    with opened(path) as source:
        for number in count(1):
            line = source.readline(MOST_BYTES)
            if not line:
                break
            row = json_object(line) if len(line) < MOST_BYTES else None
            while len(line) == MOST_BYTES and not line.endswith(b"\n"):
                line = source.readline(MOST_BYTES)
            if row is not None or line.strip():
                yield number, row, read_custom_id(row.get("custom_id")) if row else None


@dataclass
class ImportReport:
    """What became of the lines of some answer files: new verdicts, those that the cache had, replies without a verdict
    and calls that the server did not answer by reason, line numbers that cannot be read by file, lines of others."""

    imported: int = 0
    already_there: int = 0
    without_a_verdict: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    unreadable: dict[str, list[int]] = field(default_factory=dict)
    foreign: int = 0


def require_answers(paths: Iterable[Path]) -> None:
    """Raise BadInput where a file cannot be read, or holds no line that answers a call of ours."""
    for path in paths:
        if not any(call_id for *_, call_id in _rows(path)):
            raise BadInput(
                f"{path} holds no answer to a call of 'medqbench judge export'; give the output or error file of the "
                "batch, one JSON object a line."
            )


def import_answers(
    paths: Sequence[Path], cache: ReplyCache, mask: Mask, judge: str | None = None, *, replace: bool = False
) -> ImportReport:
    """Keep the verdicts of output and error files under the name ``judge`` (None: the server's own); ``replace`` renews
    those that are there. Raises BadInput where a file cannot be read, RunFailed where the cache cannot be written."""
    report = ImportReport()
    waiting: dict[str, Row] = {}
    for path in paths:
        for number, line, call_id in _rows(path):
            if line is None:
                report.unreadable.setdefault(str(path), []).append(number)
                continue
            if call_id is None:
                report.foreign += 1
                continue
            call, protocol = call_id
            try:
                reply = _reply(line, mask)
            except Failed as failed:
                report.failed[str(failed)] += 1
                continue
            row = (call.key, protocol, (judge or reply.served_as or "unnamed")[:_NAME_LENGTH], reply)
            verdicts = verdicts_of(call, reply)
            if not is_complete(verdicts):
                reason = next(str(verdict.reason) for verdict in verdicts.values() if verdict.reason)
                report.without_a_verdict[reason] += 1
                if any(reply.texts) and cache.get(call.key) is None:
                    cache.add([row])
                continue
            known = call.key in waiting or (not replace and bool(kept_verdicts(call, cache.get(call.key))))
            report.already_there += known
            report.imported += not known
            if not known or replace:
                waiting[call.key] = row
            if len(waiting) >= _AT_ONCE:
                _keep(waiting, cache)
    _keep(waiting, cache)
    return report


def reason_in(value: Any, mask: Mask) -> str:
    """What a server says about a failure, as one short masked line; '' where it says nothing."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not value or (isinstance(value, dict) and not any(value.values())):
        return ""
    return short_words(value, str(inside(value, "code") or "no reason given"), mask)


def _reply(line: Mapping[str, object], mask: Mask) -> Reply:
    """The reply in a line; raises ``Failed`` where it holds none."""
    status, body = inside(line, "response", "status_code"), inside(line, "response", "body")
    status = status if isinstance(status, int) else 200
    reason = reason_in(inside(line, "error"), mask)
    if not reason and status == 200 and isinstance(body, dict):
        return read_completion(body, mask)
    reason = reason or reason_in(body, mask) or ("no answer and no reason" if "response" in line else _NO_ANSWER)
    raise Failed(status, "", reason, status)


def _keep(waiting: dict[str, Row], cache: ReplyCache) -> None:
    """Write rows and read them back: the cache itself only warns where it cannot be written."""
    cache.add(waiting.values())
    if any(cache.get(key) != reply for key, _, _, reply in waiting.values()):
        raise RunFailed(
            f"The judge's cache {cache.path} cannot be written: answers were not imported. Make room there or "
            "name another folder with MEDQBENCH_JUDGE_CACHE, and import them again."
        )
    waiting.clear()
