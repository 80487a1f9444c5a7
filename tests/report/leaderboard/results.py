"""Results for boards: made by scoring, then given the numbers and settings that a test is about."""

import json
import subprocess
import sys
from dataclasses import replace
from functools import cache

from medqbench_vlmeval.benchmark import MODALITIES, Task
from medqbench_vlmeval.runs.result import result_to_json
from medqbench_vlmeval.types import Result
from tests import make

_MADE = {Task.PERCEPTION: make.perception_run, Task.REASONING: make.combined_run}


@cache
def _scored(task: Task) -> Result:
    run = _MADE[task]() if task in _MADE else make.reasoning_run(task=task)
    return run.result


def result(
    model="Model-X",
    task=Task.PERCEPTION,
    *,
    overall=None,
    dataset=None,
    comparable=False,
    because=("made for a test",),
    baseline=False,
    values=None,
    data=None,
    n=None,
    few=None,
    modalities=MODALITIES,
    **settings,
) -> Result:
    """A result; ``overall``, ``values`` and ``few`` are other numbers, ``data`` changes fields of the data's record.
    Of ``modalities`` those that the made run lacks have the numbers of one that it has."""
    base = _scored(task)
    values = {**(values or {}), **({} if overall is None else {"Overall": overall})}
    marked = make.marks_of(comparable, because)
    parts = {}
    for of, part in base.parts.items():
        measures = {
            name: replace(cell, value=values.get(name, cell.value), few=cell.few if few is None else few)
            for name, cell in part.measures.items()
        }
        counts = {**part.counts, "n": part.n if n is None else n}
        made = part.groups["modality"]
        groups = {**part.groups, "modality": {name: made.get(name, [*made.values()][-1]) for name in modalities}}
        changed = {"measures": measures, "counts": counts, "groups": groups, **marked}
        parts[of] = replace(part, dataset=dataset or part.dataset, **changed)
    changes = {"data": {of: replace(use, **(data or {})) for of, use in base.settings.data.items()}, **settings}
    provenance = replace(base.settings, **changes)
    return Result(model, dataset or base.dataset, task, parts, provenance, baseline)


START = """
import json, sys
from dataclasses import replace
from pathlib import Path
from medqbench_vlmeval.runs.result import result_from_json
place, result = Path(sys.argv[1]), result_from_json(json.loads(sys.argv[2]))
sys.stdin.readline()
"""


def write_at_once(script, place, results):
    """Run a script a result in processes of their own, all at once; it finds ``place`` and ``result``."""
    command = [sys.executable, "-c", START + script, str(place)]
    writers = [
        subprocess.Popen([*command, json.dumps(result_to_json(result))], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for result in results
    ]
    for writer in writers:
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    for writer in writers:
        _, errors = writer.communicate(timeout=400)
        assert (writer.returncode, errors) == (0, b"")
