"""``medqbench import``: the results of the kit's own classes and of lmms-eval in a folder, scored here."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import KITS_NAMES, Task, kits_dataset, name_in_file
from medqbench_vlmeval.data import load
from medqbench_vlmeval.errors import BadInput, MedQBenchError
from medqbench_vlmeval.files import write_text
from medqbench_vlmeval.predictions import SUFFIXES
from medqbench_vlmeval.predictions.foreign import foreign_run
from medqbench_vlmeval.report.change_tables import changes_table
from medqbench_vlmeval.report.text import csv_text
from medqbench_vlmeval.runs.files import PREVIOUS, at_any_time, known_result, read_run, result_paths
from medqbench_vlmeval.runs.provenance import name_results, settings_of
from medqbench_vlmeval.scoring.changes import Difference, difference
from medqbench_vlmeval.steps import counted
from medqbench_vlmeval.types import Run, SampleSet
from medqbench_vlmeval.workflows.evaluate import Prepared, Request, adopted, evaluate, prepare

_BESIDE = re.compile(
    r"status\.json|.*_((score|results|inference|model)\.json|samples\.jsonl|(acc|changes)\.csv|report\.xlsx)"
)


@dataclass(frozen=True)
class Imports:
    """What became of a folder's files; of those not taken, with the reason, ``failed`` are of these benchmarks."""

    scored: dict[Path, Difference] = field(default_factory=dict)
    failed: dict[Path, str] = field(default_factory=dict)
    passed_over: dict[Path, str] = field(default_factory=dict)


def with_changes(request: Request, again: bool = True) -> tuple[Run, Difference | None]:
    """Score a prediction file (see :func:`.evaluate.evaluate`) and, where another program made it, write what changed
    beside the results, as ``{stem}_changes.csv``. Unless ``again``, what was scored in the same way is only read."""
    foreign = foreign_run(request.prediction_file)
    if foreign is None:
        return evaluate(request), None
    prepared, out = prepare(request), io.StringIO()
    run = (None if again else _scored_before(request, prepared)) or evaluate(request)
    found = difference(foreign, run, prepared.table)
    table = changes_table(found)
    lines = [[column.head for column in table.columns], *(row.entries for row in table.rows)]
    csv.writer(out, lineterminator="\n").writerows([[csv_text(str(cell)) for cell in line] for line in lines])
    write_text(found.file, out.getvalue())
    return run, found


def _scored_before(request: Request, prepared: Prepared) -> Run | None:
    """The results of an earlier import of the same file by this version on the same data; None where a judge is asked,
    who says again what he said."""
    paths = result_paths(request.prediction_file, request.out, request.stem)
    before, judge = known_result(paths.score), adopted(request, prepared)
    if before is None or not (prepared.task.is_choice or judge) or not paths.samples.is_file():
        return None
    now = settings_of(prepared.table, prepared.provenance, judge, prepared.task)
    return read_run(paths) if replace(now, created=before.settings.created) == before.settings else None


def imported_to_json(found: Difference) -> dict[str, Any]:
    """The numbers of both sides, the changes and their reasons."""
    result = found.run.result
    return {
        "model": result.model,
        "dataset": result.dataset,
        "scored_by": found.foreign.tool,
        "theirs": found.theirs,
        "ours": {name: cell.value for name, cell in result[result.task].measures.items()},
        "comparable": result.comparable,
        "reasons": found.reasons,
        "changes": [vars(change) for change in found.changes],
    }


def import_folder(folder: Path, out: Path, data: Sequence[str], template: Request) -> Imports:
    """Score every file of the kit's own classes and of lmms-eval in a folder and below, each once, into ``out``, where
    results lie as the files do. A file is scored on that of ``data`` (files and datasets' names) that is of its task,
    else on its own columns, as ``template`` says. Raises BadInput where there is no such file, or data cannot be used.
    """
    imports, used = Imports(), dict[Path, Path]()
    sets = [load(text, False) for text in data]
    if any(of.task is Task.REASONING for of in sets):
        raise BadInput("--data: name MedQBench_Reasoning_NoReference and MedQBench_Reasoning_Comparative apart.")
    files = _candidates(folder, out, imports.passed_over)
    for path in counted("importing", files, len(files)):
        named = kits_dataset(path.stem)
        fitting: list[SampleSet | None] = [of for of in sets if named is None or of.task is named.task]
        place, why = out / at_any_time(path.relative_to(folder)).parent, ""
        for of in fitting or [None]:
            names = name_results(path, None, of)
            request = replace(template, prediction_file=path.resolve(), sample_set=of, out=place, stem=names.stem)
            try:
                if (other := used.get(place / names.stem)) is not None:
                    raise BadInput(f"{other} takes the same name of results; score this one alone ('medqbench score').")
                _, found = with_changes(replace(request, model=names.model, dataset=names.dataset), again=False)
                if found is not None:
                    imports.scored[path], used[place / names.stem] = found, path
                    break
            except MedQBenchError as error:
                why = str(error)
        if path not in imports.scored:
            of_ours = named is not None or "medq" in path.name.lower()
            (imports.failed if of_ours else imports.passed_over)[path] = why
    if not (imports.scored or imports.failed):
        raise BadInput(f"{folder} holds no file of the kit's own classes and no log of lmms-eval on their data.")
    return imports


def _candidates(folder: Path, out: Path, passed_over: dict[Path, str]) -> list[Path]:
    """The files to score, the latest of each name; why others are none goes into ``passed_over``."""
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder; 'medqbench score' takes a file.")
    root, latest = folder.resolve(), dict[Path, Path]()
    unread = "a folder that cannot be read"
    for parent, folders, files in os.walk(
        folder, onerror=lambda error: passed_over.update({Path(error.filename): unread})
    ):
        inside = (name for name in sorted(folders) if name not in (PREVIOUS, "leaderboard") and name[:1] != ".")
        folders[:] = [name for name in inside if Path(parent, name).resolve() != out.resolve()]
        for path in (Path(parent, name) for name in sorted(files)):
            of_ours = name_in_file(path.stem) not in (None, *KITS_NAMES)
            if path.suffix not in (*SUFFIXES, ".pkl") or path.name.startswith(".") or _BESIDE.fullmatch(path.name):
                continue
            if path.name.startswith("~$") or not path.is_file():
                passed_over[path] = "a lock of a spreadsheet program, or a link that leads nowhere"
            elif not path.resolve().is_relative_to(root):
                passed_over[path] = "a link out of the folder, which is not followed"
            elif path.suffix == ".pkl":
                passed_over[path] = "a pickle file, which is never opened"
            elif of_ours or foreign_run(path) is None:
                passed_over[path] = "of this package" if of_ours else "its name ends in no dataset of these benchmarks"
            else:
                name = Path(re.sub(r"[\d_T.:+-]+_(?=samples_)", "", str(at_any_time(path.relative_to(folder)))))
                first, last = sorted((latest.get(name, path), path), key=lambda of: (of.stat().st_mtime_ns, of.name))
                latest[name] = last
                if first.resolve() != last.resolve():
                    passed_over[first] = f"an earlier run of the same name as {last}"
    return list(latest.values())
