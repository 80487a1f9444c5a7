"""Reports on runs that were scored before, from their two result files alone."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import DEGREES, Task
from medqbench_vlmeval.data import ImageStore, load
from medqbench_vlmeval.data.image_cells import KeptImages, image_names
from medqbench_vlmeval.data.image_store import is_content_name
from medqbench_vlmeval.data.info import index_key
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import writing
from medqbench_vlmeval.report.card import write_card
from medqbench_vlmeval.report.figures import write_figures
from medqbench_vlmeval.report.page import IMAGES, is_page, write_page
from medqbench_vlmeval.report.paper import write_tables
from medqbench_vlmeval.report.sheet import made_here
from medqbench_vlmeval.report.workbook import write_many, write_workbook
from medqbench_vlmeval.runs.comparison import RunComparison
from medqbench_vlmeval.runs.files import REPORT_ENDING, read_runs, result_paths
from medqbench_vlmeval.runs.result import findings_to_json, headline_to_json
from medqbench_vlmeval.scoring.findings import Findings
from medqbench_vlmeval.scoring.findings.degradation import drops
from medqbench_vlmeval.steps import counted, step
from medqbench_vlmeval.types import Run, Sample, SampleSet
from medqbench_vlmeval.workflows.compare import compare_runs
from medqbench_vlmeval.workflows.trackers import Tracked

PAGE = "report.html"
MANY = "runs.xlsx"
FIGURES = "figures"
TABLES = "tables"
MOST_COMPARED = 60
"""Pairs grow with the square of the runs: so many of 3,308 samples, in two files a model, take half a minute."""


@dataclass(frozen=True)
class Report:
    """One run with the workbook and the card that were written on it."""

    run: Run
    workbook: Path
    card: Path

    @property
    def tracked(self) -> Tracked:
        """The run with what goes along to a tracker."""
        return Tracked(self.run, (self.run.paths.score, self.run.paths.samples, self.workbook, self.card))


@dataclass(frozen=True)
class Reports:
    """All that was written: a report a run, and the files on all of them together. ``workbook`` is None for a single
    run; ``figures`` is empty where the scores support none."""

    runs: tuple[Report, ...]
    page: Path
    workbook: Path | None
    figures: tuple[Path, ...]
    tables: tuple[Path, ...]
    warning: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Where all files are, and of each run headline numbers and findings by task, as plain JSON types."""
        return {
            "page": str(self.page),
            "workbook": None if self.workbook is None else str(self.workbook),
            "figures": [str(path) for path in self.figures],
            "tables": [str(path) for path in self.tables],
            "warning": self.warning,
            "runs": [
                {
                    "model": report.run.result.model,
                    "dataset": report.run.result.dataset,
                    "score_file": str(report.run.paths.score),
                    "workbook": str(report.workbook),
                    "card": str(report.card),
                    **headline_to_json(report.run.result, intervals=True),
                    "findings": {task.value: findings_to_json(part) for task, part in report.run.result.parts.items()},
                }
                for report in self.runs
            ],
        }


def write_reports(
    places: Sequence[Path], out: Path, intervals: bool = False, images: str = "full", data: Sequence[str] = ()
) -> Reports:
    """Write all reports on the runs that ``places`` name (see :func:`.runs.read_runs`) into the folder ``out``: a
    workbook and a card for each, a page, a workbook of several runs, the folders ``figures`` and ``tables``.

    ``intervals`` puts the 95% intervals of own numbers into the tables for papers, ``images`` is one of
    ``page.IMAGES``, ``data`` names data files or datasets whose images are shown where the image store lacks a run's.
    Raises BadInput where a place holds no whole scored run, a data file cannot be used, or a file would replace one of
    another run or program. Raises RunFailed where a file cannot be written."""
    if images not in IMAGES:
        raise BadInput(f"--images {images} is none of {', '.join(IMAGES)}.")
    runs = with_originals(read_runs(places))
    kept, root = KeptImages(fetch=True), ImageStore.default().root
    sets = [load(name, images=kept) for name in data]
    paths: list[Path] = []
    page, many = out / PAGE, out / MANY if len(runs) > 1 else None
    with writing(out):
        for run in runs:
            name, folder = run.paths.report.name, run.paths.score.parent.resolve().name
            names = chain([name, f"{folder}_{name}"], (f"{folder}_{number}_{name}" for number in count(2)))
            path = next(path for path in map(out.joinpath, names) if path not in paths)
            beside = result_paths(path, stem=path.name.removesuffix(REPORT_ENDING)).score
            if beside.exists() and not beside.samefile(run.paths.score):
                raise BadInput(
                    f"{path} is the workbook of another run ({beside.name} beside it is not {run.paths.score}); choose "
                    "another --out."
                )
            paths.append(path)
        if page.exists() and not is_page(page):
            raise BadInput(f"{page} is no page of medqbench and would be replaced; choose another --out.")
        if many is not None and many.exists() and not made_here(many):
            raise BadInput(f"{many} is no workbook of medqbench and would be replaced; choose another --out.")
    # Before the workbooks, which link to the images beside them.
    if many is not None:
        step("comparing the runs")
    comparison = compared(runs)
    step("writing the page")
    runs = [_with_names(run, sets) for run in runs] if sets else runs
    n, missing = write_page(page, runs, root, images, kept.places, comparison)
    reports = []
    for run, path in counted("writing workbooks and cards", zip(runs, paths, strict=True), len(runs)):
        write_workbook(path, run)
        card = path.with_name(f"{path.name.removesuffix(REPORT_ENDING)}_card.md")
        write_card(card, run.result)
        reports.append(Report(run, path, card))
    if many is not None:
        step("writing the workbook of all runs")
        write_many(many, [run.result for run in runs], comparison)
    step("drawing figures")
    figures = write_figures([run.result for run in runs], out / FIGURES)
    tables = write_tables([run.result for run in runs], out / TABLES, intervals=intervals)
    chosen = [] if images == IMAGES[0] else ["--images", images]
    command = shlex.join(["medqbench", "report", *map(str, places), "--out", str(out), *chosen])
    words = f"{missing:,} of {n:,} images are not on this machine; '{command} --data FILE' shows those of a data file."
    warnings = [words] if missing else []
    if len(runs) > MOST_COMPARED:
        warnings.append(f"{len(runs)} runs are too many to compare each two; name {MOST_COMPARED}, or use 'compare'.")
    return Reports(tuple(reports), page, many, tuple(figures), tuple(tables), " ".join(warnings) or None)


def compared(runs: Sequence[Run]) -> RunComparison | None:
    """The comparison of the runs with each other; None where no two have anything in common, or there are too many."""
    try:
        return compare_runs(runs, by_group=False) if len(runs) <= MOST_COMPARED else None
    except BadInput:
        return None


def with_originals(runs: Sequence[Run]) -> list[Run]:
    """The runs; of MedQ-Deg those without L0 rows with the drop from their model's run, in one style, on 'good'."""
    known = {(run.result.model, run.result.settings.prompt_style, run.result.dataset): run for run in runs}
    made = list(runs)
    for place, run in enumerate(runs):
        good, style = run.result.dataset.replace("_simulate_", "_good_"), run.result.settings.prompt_style
        clean = known.get((run.result.model, style, good), run)
        part = run.result.parts.get(Task.DEGRADATION)
        if part is not None and clean is not run and not part.drops:
            originals = [replace(row, sample=replace(row.sample, severity=DEGREES[0])) for row in clean.rows]
            rows, note = [*run.rows, *originals], f" L0 is {clean.result.dataset}, originals by its name."
            contrasts, found = drops([row.sample for row in rows], [100.0 * bool(row.correct) for row in rows], note)
            named = Findings.of({**found, **part.not_found, **part.findings, **found})
            part = replace(part, **vars(replace(named, drops=contrasts, calibration=part.calibration)))
            made[place] = replace(run, result=replace(run.result, parts={part.task: part}))
    return made


def _with_names(run: Run, sets: Sequence[SampleSet]) -> Run:
    """The run with the names that data files give its images, where its own result file has none made from content."""
    known = {_identity(sample): image_names(sample) for each in sets for sample in each.samples}

    def with_names(sample: Sample) -> Sample:
        names = () if any(map(is_content_name, sample.image_refs)) else known.get(_identity(sample))
        return replace(sample, image_refs=names) if names else sample

    return replace(run, rows=tuple(replace(row, sample=with_names(row.sample)) for row in run.rows))


def _identity(sample: Sample) -> tuple[object, ...]:
    return (sample.task, index_key(sample), sample.question, sample.answer, sample.description)
