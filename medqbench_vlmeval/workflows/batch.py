"""The judge calls of prediction files that the cache holds no answer to, and their export as batch files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import replacing, writing
from medqbench_vlmeval.judge import RULES, JudgeOptions
from medqbench_vlmeval.judge.batch_api import state_path
from medqbench_vlmeval.judge.batch_files import MAX_BYTES, MAX_LINES, call_line, part_path, plan_parts
from medqbench_vlmeval.judge.cache import ReplyCache
from medqbench_vlmeval.judge.judges import build_model_judge
from medqbench_vlmeval.judge.secrets import values_named_secret
from medqbench_vlmeval.workflows.evaluate import Request, prepare

_UNSAFE = re.compile(r"[^\w.@+-]+")
_NAME_LENGTH = 100


@dataclass(frozen=True)
class Exported:
    """The files written, with judge and number of calls; ``known`` calls are in the cache."""

    files: tuple[tuple[Path, str, int], ...]
    known: int


def _batch_judges(keywords: Mapping[str, object]) -> tuple[JudgeOptions, ...]:
    """The judges that the keywords name, a panel's members one by one, ready to be built without a key."""
    options = JudgeOptions.from_kit_kwargs({**keywords, "no_calls": True})
    for judge in options.panel or (options,):
        if judge.name == RULES:
            raise BadInput("The embedded judge 'rules' makes no calls, so that nothing of it can be exported.")
        if judge.of_kit:
            raise BadInput(f"The judge '{judge.name}' is asked by the kit itself and cannot be asked in a batch.")
        if any(values_named_secret(judge.extra)):
            raise BadInput(
                "The judge option 'extra' holds a text that is named like a secret and would stand in every line of a "
                "batch file; leave it out."
            )
    return options.panel or (options,)


def export_calls(requests: Sequence[Request], out: Path, *, force: bool = False) -> Exported:
    """Write the calls that the cache holds no answer to as batch files, each once; no file where none is pending.

    All ``requests`` have the judge of the first; no key is needed. A panel gets a set of files a judge
    (``NAME.JUDGE.jsonl``); what one file of ``MAX_LINES`` and ``MAX_BYTES`` cannot hold is split (``NAME-1.jsonl``,
    ...). ``force`` replaces files. Raises BadInput where a file is there already, a prediction file cannot be used or
    is multiple-choice, or the judge cannot be asked in a batch or has a secret among its options; NoJudge where none is
    named, RunFailed where a file cannot be written.
    """
    options_of = _batch_judges(requests[0].judge)
    targets = _targets(out, [options.name for options in options_of])
    several = [part_path(target, number) for target in targets.values() for number in (1, 2)]
    _refuse_existing([*targets.values(), *several], force)
    known, advice = 0, "make room there or choose another --out file"
    with ExitStack() as stack:
        cache = requests[0].cache
        store = None if cache is None else stack.enter_context(ReplyCache(cache, read_only=True))
        with writing(out, advice):
            out.parent.mkdir(parents=True, exist_ok=True)
            # How many files it takes is known with the last line alone.
            spools = {name: stack.enter_context(TemporaryFile(dir=out.parent)) for name in targets}
        judges = [build_model_judge(options, store) for options in options_of]
        keys: dict[str, set[str]] = {name: set() for name in targets}
        for request in requests:
            prepared = prepare(request)
            if prepared.task.is_choice:
                raise BadInput(
                    f"{request.prediction_file} is multiple-choice: it is scored without a judge. Leave it out."
                )
            for judge in judges:
                calls, _ = judge.calls(prepared.samples, prepared.predictions)
                new = [call for call in calls if call.key not in keys[judge.name]]
                keys[judge.name].update(call.key for call in new)
                answered, missing = judge.pending(new)
                known += len(answered)
                with writing(out, advice):
                    spools[judge.name].writelines(call_line(call, judge.options, judge.protocol) for call in missing)
        parts: dict[str, dict[Path, int]] = {}
        for name, spool in spools.items():
            spool.seek(0)
            parts[name] = plan_parts(spool, targets[name], MAX_LINES, MAX_BYTES)
        _refuse_existing([path for judge_parts in parts.values() for path in judge_parts], force)
        with writing(out, advice):
            for name, spool in spools.items():
                spool.seek(0)
                for path, n in parts[name].items():
                    with replacing(path) as temporary, temporary.open("wb") as part:
                        part.writelines(islice(spool, n))
    return Exported(tuple((path, name, n) for name in parts for path, n in parts[name].items()), known)


def _targets(out: Path, judges: Sequence[str]) -> dict[str, Path]:
    if len(judges) == 1:
        return {judges[0]: out}
    targets: dict[str, Path] = {}
    for judge in judges:
        name = base = _UNSAFE.sub("-", judge)[:_NAME_LENGTH]
        number = 1
        while any(f".{name}".lower() == target.stem.removeprefix(out.stem).lower() for target in targets.values()):
            number += 1
            name = f"{base}.{number}"
        targets[judge] = out.with_name(f"{out.stem}.{name}{out.suffix}")
    return targets


def _refuse_existing(paths: Sequence[Path], force: bool) -> None:
    for path in paths:
        if state_path(path).exists():
            raise BadInput(f"{path} was submitted, as {state_path(path)} says; choose another --out file.")
        if path.exists() and not force:
            raise BadInput(f"{path} is there already; choose another --out file, or replace it with --force.")
