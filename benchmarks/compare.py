"""Processor time of comparing many models on 3,308 samples: all pairs with and without groups, the files, the page.

    python -m benchmarks.compare [FOLDER]

14 models on 2,600 questions, 442 descriptions and 266 pairs: 91 pairs a task, three tasks. Their runs are made in
FOLDER and found there the next time; scoring is not timed. The kit has no comparison of models.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from benchmarks import reports
from benchmarks.machine import machine

MODELS, QUESTIONS = 14, 2600


def _timed(title: str, started: float) -> float:
    now = time.process_time()
    print(f"{title:<44}{now - started:>6.1f} s")
    return now


def measure(folder: Path) -> None:
    """Make what is not there yet, compare, and print the seconds of each step."""
    from medqbench_vlmeval.report.page import write_page
    from medqbench_vlmeval.report.workbook import write_many
    from medqbench_vlmeval.runs.files import read_runs
    from medqbench_vlmeval.workflows.compare import compare_runs, write_comparison

    if not any(folder.rglob("*_score.json")):
        reports.QUESTIONS = QUESTIONS
        reports.score_runs(folder, [f"{number}.png" for number in range(600)], MODELS)
    now = time.process_time()
    runs = read_runs([folder])
    now = _timed(f"reading {len(runs)} runs", now)
    brief = compare_runs(runs, by_group=False)
    now = _timed("comparing, overall (what report does)", now)
    whole = compare_runs(runs)
    now = _timed("comparing, every group (what compare does)", now)
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        write_comparison(whole, out)
        now = _timed("compare.json and compare.xlsx", now)
        write_page(out / "report.html", runs, None, "none")
        now = _timed("page without the comparison", now)
        write_page(out / "compared.html", runs, None, "none", comparison=brief)
        now = _timed("page with it", now)
        sizes = [(out / page).stat().st_size for page in ("report.html", "compared.html")]
        print(f"the comparison takes {(sizes[1] - sizes[0]) / 1e6:.1f} MB of the page")
        write_many(out / "runs.xlsx", [run.result for run in runs], brief)
        _timed("workbook of all runs", now)


def main() -> None:
    print(machine())
    if len(sys.argv) > 1:
        measure(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name))


if __name__ == "__main__":
    main()
