"""How often the intervals of MedQ-Deg's drop and of the calibration error hold what is true, in simulated runs.

python -m benchmarks.degradation [RUNS]
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Iterator, Sequence

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.scoring.findings.degradation import calibration, drops
from medqbench_vlmeval.types import Sample

TRUE = {"L0": 0.8, "L1": 0.65, "L2": 0.5}
SAID = (60.0, 70.0, 80.0, 90.0, 95.0)


def chance(degree: str, effect: float) -> float:
    """Of a right answer where the image shifts it on the logit scale."""
    return 1 / (1 + math.exp(-math.log(TRUE[degree] / (1 - TRUE[degree])) - effect))


def rows(images: int, questions: int, types: int, paired: bool, draw: random.Random) -> Iterator[tuple[Sample, float]]:
    for image in range(images):
        effect = draw.gauss(0, 1.5)
        for question in range(questions):
            for degree in TRUE:
                for kind in range(1 if degree == "L0" else types):
                    clean = f"{image}-{question}"
                    sample = Sample(
                        f"{clean}-{degree}-{kind}", Task.DEGRADATION, f"Question {question}?", {"A": "x"}, "A",
                        severity=degree, pair=clean if paired else None,
                        degradation=None if degree == "L0" else str(kind),
                        image_refs=(f"{image}.png" if degree == "L0" else f"{image}-{degree}-{kind}.png",),
                    )  # fmt: skip
                    yield sample, 100.0 * (draw.random() < chance(degree, effect))


def expected(degree: str) -> float:
    """The accuracy at a degree over all images, by the trapezoid rule."""
    steps = [step / 50 for step in range(-300, 301)]
    weights = [math.exp(-(z**2) / 2) for z in steps]
    values = [weight * chance(degree, 1.5 * z) for z, weight in zip(steps, weights, strict=True)]
    return 100 * sum(values) / sum(weights)


def share(hits: Sequence[bool | None]) -> str:
    known = [hit for hit in hits if hit is not None]
    none = len(hits) - len(known)
    return f"{100 * sum(known) / len(known):5.1f}% of {len(known)}" + (f" ({none} without an interval)" if none else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="?", type=int, default=500)
    runs, true = parser.parse_args().runs, (expected("L1") + expected("L2")) / 2 - expected("L0")
    print(f"Drop at L1 and L2, truly {true:.2f} points; images differ (SD 1.5 of the logit); {runs} runs each")
    for images, questions, types, paired in ((8, 1, 2, True), (30, 1, 2, True), (30, 3, 2, True), (150, 2, 4, True),
                                             (30, 1, 1, False), (150, 2, 2, False)):  # fmt: skip
        hits: list[bool | None] = []
        for run in range(runs):
            drawn = list(rows(images, questions, types, paired, random.Random(run)))  # noqa: S311
            found = drops([sample for sample, _ in drawn], [right for _, right in drawn])[0]
            ends = found["Overall"]["Overall"]["L1 and L2"].measures["difference"].interval
            hits.append(None if ends is None else ends[0] <= true <= ends[1])
        how = "paired" if paired else "unpaired, questions alike"
        print(f"  {images:4} images x {questions} questions x {types} types, {how}: {share(hits)}")
    for over, n in ((0, 40), (0, 400), (20, 40), (20, 400), (20, 2000)):
        hits, values = [], []
        for run in range(runs):
            draw = random.Random(run)  # noqa: S311
            said = [draw.choice(SAID) for _ in range(n)]
            right = [100.0 * (100 * draw.random() < max(0.0, of - over)) for of in said]
            cell = calibration([Sample(str(k), Task.PERCEPTION, "?") for k in range(n)], right, said)[1].cell
            values.append(cell.value)
            hits.append(None if cell.interval is None else cell.low <= over <= cell.high)
        mean = sum(values) / len(values)
        print(f"  calibration error, truly {over} points, {n} replies: {share(hits)}, mean {mean:.2f}")


if __name__ == "__main__":
    main()
