"""Time, size and memory of the reports on one run of 1,305 + 708 samples with images, and on 20 runs.

    python -m benchmarks.reports

One run: MedQ-Bench's perception test split and both reasoning splits together (442 + 266), as two result files with
1,551 images in the image store; its workbooks and its page are timed. 20 runs: ten models on 1,305 questions and on
708 descriptions, and everything that ``medqbench report`` writes. Between them, the page of both perception splits and
both reasoning ones, 3,308 samples with originals beside it. Scoring comes before and is not timed, imports
are. Every measurement is a process of its own. The kit has no such reports.
"""

from __future__ import annotations

import csv
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.machine import machine
from medqbench_vlmeval.benchmark import MODALITIES, QUESTION_TYPES, SEVERITIES

QUESTIONS, SINGLES, PAIRS = 1305, 442, 266
IMAGES, SIDE = 1551, 512
WHOLE = 2600  # questions of both splits, an image each
MODELS = 10
LEVELS = ("good", "usable", "reject")
OPTIONS = {
    "Yes-or-No": ("Yes", "No"),
    "What": ("Motion artifacts", "Noise", "Blur", "Low contrast"),
    "How": ("Good", "Usable", "Reject"),
}
THOUGHTS = "Edges are soft and the texture is uneven, while large structures can be told apart with some effort. "
HEADS = ("index", "task", "image_path", "modality", "severity", "scope", "source")


def write_images(base: Path, n: int = IMAGES) -> list[str]:
    """Noisy pictures, as many as the samples show, in the image store of a kit's data folder; their names."""
    from io import BytesIO

    import numpy as np
    from PIL import Image

    from medqbench_vlmeval.data import ImageStore

    store = ImageStore(base / "images" / "MedQBench")
    numbers = np.random.default_rng(0)
    slope = np.linspace(40, 200, SIDE)
    names = []
    for _ in range(n):
        # Small grains, enlarged: as hard to compress as photographs, and quick to make.
        grains = numbers.normal(0, 25, (SIDE // 4, SIDE // 4, 3)).repeat(4, 0).repeat(4, 1)
        out = BytesIO()
        Image.fromarray((grains + slope[:, None]).clip(0, 255).astype("uint8")).save(out, "PNG", compress_level=1)
        names.append(store.put(out.getvalue(), "a generated image").name)
    return names


def _axes(position: int) -> dict[str, str]:
    return {
        "modality": MODALITIES[position % len(MODALITIES)],
        "severity": SEVERITIES[position // 2 % len(SEVERITIES)],
        "scope": ("general", "modality-specific")[position % 7 == 0],
        "source": ("authentic", "simulated")[position % 3 == 0],
    }


def write_perception(path: Path, images: list[str], seed: int, n: int = QUESTIONS) -> None:
    """A prediction file of ``n`` questions of which a model has some 50 to 70 in 100 right."""
    draw, chosen = random.Random(seed), random.Random(0)  # noqa: S311
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.DictWriter(
            out, [*HEADS, "question_type", "question", *"ABCD", "answer", "prediction"], restval="", delimiter="\t"
        )
        table.writeheader()
        for index in range(n):
            kind = QUESTION_TYPES[index % len(QUESTION_TYPES)]
            letters = "ABCD"[: len(OPTIONS[kind])]
            answer = chosen.choice(letters)
            said = answer if draw.random() < 0.3 + 0.02 * seed else draw.choice(letters)
            table.writerow(
                {
                    "index": index,
                    "task": "perception",
                    "image_path": images[index % len(images)],
                    **_axes(index),
                    "question_type": kind,
                    "question": f"Which of these describes image {index} best, seen as a whole?",
                    **dict(zip("ABCD", OPTIONS[kind], strict=False)),
                    "answer": answer,
                    "prediction": f"{THOUGHTS * draw.randint(0, 4)}The answer is {said}.",
                }
            )


def write_reasoning(path: Path, images: list[str], seed: int) -> None:
    """A prediction file of 442 descriptions of one image and 266 of two."""
    draw, chosen = random.Random(seed), random.Random(0)  # noqa: S311
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.DictWriter(
            out, [*HEADS, "difficulty", "question", "description", "prediction"], restval="", delimiter="\t"
        )
        table.writeheader()
        for index in range(SINGLES + PAIRS):
            pair, right = index >= SINGLES, chosen.randrange(3)
            said = right if draw.random() < 0.3 + 0.02 * seed else draw.randrange(3)
            shown = [images[(2 * index + place) % len(images)] for place in range(1 + pair)]
            ends = (
                [f"The {('first', 'second')[one % 2]} image is of better quality." for one in (right, said)]
                if pair
                else [f"Overall, the quality of this image is {LEVELS[one]}." for one in (right, said)]
            )
            table.writerow(
                {
                    "index": f"{'Comparative' if pair else 'NoReference'}:{index}",
                    "task": "comparative" if pair else "no-reference",
                    "image_path": json.dumps(shown) if pair else shown[0],
                    **_axes(index),
                    "difficulty": ("coarse-grained", "fine-grained")[index % 2] if pair else "",
                    "question": "Describe the quality.",
                    "description": f"{THOUGHTS * 3}There is {'mild noise' if right else 'blur'}. {ends[0]}",
                    "prediction": f"{THOUGHTS * draw.randint(2, 8)}There is {'noise' if said else 'blur'}. {ends[1]}",
                }
            )


def score_runs(folder: Path, images: list[str], models: int, questions: int = QUESTIONS) -> list[Path]:
    """Score ``models`` models on both; the score files."""
    from medqbench_vlmeval.workflows import Request, evaluate

    scores = []
    for seed in range(models):
        for dataset, write in (
            ("MedQBench_Perception", partial(write_perception, n=questions)),
            ("MedQBench_Reasoning", write_reasoning),
        ):
            path = folder / f"model-{seed}_{dataset}.tsv"
            write(path, images, seed)
            evaluate(Request(path, f"model-{seed}", dataset, folder, judge={"model": "rules"}))
            scores.append(folder / f"{path.stem}_score.json")
    return scores


def workbook_and_page(out: Path, scores: list[Path]) -> list[float]:
    """Write the workbooks of two result files and one page on them, with originals; the seconds of each."""
    started = time.perf_counter()
    from medqbench_vlmeval.data import ImageStore
    from medqbench_vlmeval.report.page import write_page
    from medqbench_vlmeval.report.workbook import write_workbook
    from medqbench_vlmeval.runs.files import read_runs

    runs = read_runs(scores)
    read = time.perf_counter()
    for run in runs:
        write_workbook(out / run.paths.report.name, run)
    books = time.perf_counter()
    write_page(out / "report.html", runs, ImageStore.default().root, "full")
    return [read - started, books - read, time.perf_counter() - books]


def everything(out: Path, scores: list[Path]) -> list[float]:
    """Write all that ``medqbench report`` writes; the seconds."""
    started = time.perf_counter()
    from medqbench_vlmeval.workflows.report import write_reports

    write_reports(scores, out)
    return [time.perf_counter() - started]


def _measured(what: str, out: Path, scores: list[Path], base: Path) -> tuple[list[float], int]:
    """Seconds and peak memory in MB of a process that does only this."""
    out.mkdir()
    command = [sys.executable, "-m", "benchmarks.reports", what, str(out), *map(str, scores)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "LMUData": str(base)}
    )
    seconds, memory = json.loads(done.stdout)
    return seconds, memory


def _megabytes(folder: Path, pattern: str) -> str:
    found = list(folder.glob(pattern))
    return f"{sum(path.stat().st_size for path in found) / 1e6:.1f} MB in {len(found)}"


def measure(what: str, out: Path, scores: list[Path]) -> None:
    """Do one of the two and print its seconds and this process's peak memory in MB, as JSON."""
    seconds = {"one": workbook_and_page, "all": everything}[what](out, scores)
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024]))


def main() -> None:
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base, empty = folder / "LMUData", folder / "empty"
        base.mkdir()
        empty.mkdir()
        scores = score_runs(folder, write_images(base), MODELS)
        (read, books, page), memory = _measured("one", folder / "one", scores[:2], base)
        print(f"one run, {QUESTIONS:,} + {SINGLES + PAIRS} samples: reading {read:.1f} s")
        print(f"  workbooks {books:>6.1f} s  {_megabytes(folder / 'one', '*.xlsx')}")
        print(f"  page      {page:>6.1f} s  {_megabytes(folder / 'one', '*.html')}")
        print(f"  originals           {_megabytes(folder / 'one', 'images/*')}")
        print(f"  together  {books + page:>6.1f} s  peak memory {memory} MB")
        (_, books, _), _ = _measured("one", folder / "bare", scores[:2], empty)
        print(f"  workbooks {books:>6.1f} s  {_megabytes(folder / 'bare', '*.xlsx')}, without images in the store")
        (folder / "whole").mkdir()
        every = score_runs(folder / "whole", write_images(base, WHOLE), 1, WHOLE)
        (_, _, page), memory = _measured("one", folder / "whole" / "out", every, base)
        print(f"one run, {WHOLE:,} + {SINGLES + PAIRS} samples: page {page:.1f} s, peak memory {memory} MB")
        print(f"  page      {_megabytes(folder / 'whole' / 'out', '*.html')}")
        print(f"  originals {_megabytes(folder / 'whole' / 'out', 'images/*')}")
        (whole,), memory = _measured("all", folder / "all", scores, base)
        print(f"everything on {len(scores)} runs: {whole:.1f} s, peak memory {memory} MB")
        for title, pattern in (("workbooks", "*.xlsx"), ("page", "*.html"), ("figures", "figures/*")):
            print(f"  {title:<9} {_megabytes(folder / 'all', pattern)}")
    print("the kit has no such reports")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        measure(sys.argv[1], Path(sys.argv[2]), list(map(Path, sys.argv[3:])))
    else:
        main()
