"""Time to score 1,305 and 130,500 multiple-choice predictions, beside the kit's own class.

    python -m benchmarks.scoring

Files are TSVs as the kit writes them. Ours reads the file, extracts answers, scores all groups with intervals
and writes the three result files; the kit's class reads, extracts and writes one number file. Imports are
excluded on both sides.
"""

from __future__ import annotations

import contextlib
import csv
import io
import random
import tempfile
import time
from pathlib import Path

from benchmarks.machine import machine

REPLIES = (
    "{letter}",
    "{letter}. {text}",
    "**{letter}**",
    "The answer is {letter}.",
    "Looking at the image, the texture is uneven and edges are soft. So the answer is ({letter}) {text}.",
    "{text}",
)
OPTIONS = {
    "Yes-or-No": ("Yes", "No"),
    "What": ("Motion artifacts", "Noise", "Blur", "Low contrast"),
    "How": ("Good", "Usable", "Reject"),
}
COUNTS = {"Yes-or-No": 558, "What": 258, "How": 489}
MODALITIES = ("CT", "MRI", "histopathology", "endoscopy", "fundus")


def write_predictions(path: Path, times: int, *, distinct: bool = False) -> int:
    """A prediction file with ``times`` x 1,305 rows of the published mix of question types.

    Its replies are a few dozen different ones, or all different where ``distinct``.
    """
    draw = random.Random(0)  # noqa: S311
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out, delimiter="\t", quoting=csv.QUOTE_ALL)
        table.writerow(["index", "question", *"ABCD", "answer", "question_type", "modality", "prediction"])
        index = 0
        for _ in range(times):
            for kind, count in COUNTS.items():
                for _ in range(count):
                    texts = OPTIONS[kind]
                    position = draw.randrange(len(texts))
                    reply = draw.choice(REPLIES).format(letter="ABCD"[position], text=texts[position])
                    if distinct:
                        reply = f"Image {index} is shown. {reply}"
                    options = [*texts, *[""] * (4 - len(texts))]
                    answer = "ABCD"[draw.randrange(len(texts))]
                    modality = draw.choice(MODALITIES)
                    table.writerow([index, "Which?", *options, answer, kind, modality, reply])
                    index += 1
    return index


def time_ours(path: Path, out: Path) -> float:
    from medqbench_vlmeval.workflows import Request, evaluate

    request = Request(prediction_file=path, model="m", dataset="MedQBench_Perception", out=out)
    started = time.perf_counter()
    evaluate(request)
    return time.perf_counter() - started


def time_kit(path: Path) -> float:
    from vlmeval.dataset import MedqbenchMCQDataset

    dataset = MedqbenchMCQDataset.__new__(MedqbenchMCQDataset)
    # It writes its score over any file that is not an xlsx.
    copy = path.with_name(f"theirs_{path.name}")
    copy.write_bytes(path.read_bytes())
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        dataset.evaluate(str(copy))
    return time.perf_counter() - started


def main() -> None:
    print(machine())
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warm = folder / "warm_MedQBench_Perception.tsv"
        write_predictions(warm, 1)
        time_ours(warm, folder / "warm"), time_kit(warm)
        for times in (1, 100):
            path = folder / f"m{times}_MedQBench_Perception.tsv"
            n = write_predictions(path, times)
            rows.append((n, time_ours(path, folder / "out"), time_kit(path)))
        path = folder / "distinct_MedQBench_Perception.tsv"
        n = write_predictions(path, 100, distinct=True)
        different = time_ours(path, folder / "out")
    print(f"{'predictions':>11} {'ours':>8} {'the kit':>8}   seconds")
    for n, mine, kit in rows:
        print(f"{n:>11,} {mine:>8.2f} {kit:>8.2f}")
    print(f"{n:>11,} {different:>8.2f}            every reply different, none read twice")
    print(f"ours, 130,500 against 1,305: {rows[1][1] / rows[0][1]:.1f} times the time")


if __name__ == "__main__":
    main()
