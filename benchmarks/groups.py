"""Time to look for failure groups in 3,308 samples, and to analyse 3,308 questions by the answers of 20 models.

    python -m benchmarks.groups

Processor time, as neither takes more than one core. Also how often either says something of outcomes that mean
nothing, and finds what was planted. The kit has neither.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence

from benchmarks.machine import machine
from medqbench_vlmeval.benchmark import MODALITIES, QUESTION_TYPES, SCOPES, SEVERITIES, Task
from medqbench_vlmeval.scoring.findings.failures import failure_groups
from medqbench_vlmeval.scoring.items import REVERSED, SECOND_LOOK, Item, analyse_items
from medqbench_vlmeval.types import Finding, Sample

QUESTIONS, MODELS = 3308, 20
DEGRADATIONS = ("noise", "blur", "contrast", "motion", "artefact", "none")


def samples(n: int, an_image: int, seed: int) -> list[Sample]:
    """Questions with six axes, of which some share an image."""
    draw, rows = random.Random(seed), []  # noqa: S311
    for at in range(n):
        if at % an_image == 0:
            axes = {"modality": draw.choice(MODALITIES), "degradation": draw.choice(DEGRADATIONS)}
            axes |= {"severity": draw.choice(SEVERITIES), "source": draw.choice(["authentic", "synthetic"])}
        kinds = {"question_type": draw.choice(QUESTION_TYPES), "scope": draw.choice(SCOPES)}
        rows.append(Sample(str(at), Task.PERCEPTION, None, {}, "A", **axes, **kinds))
    return rows


def groups(n: int, an_image: int, seed: int, planted: float | None, alike: bool) -> Finding | str:
    """What is found where 40% fail; ``planted`` is the share in severe CT, ``alike`` makes images hard or easy."""
    rows, draw = samples(n, an_image, seed), random.Random(seed + 1)  # noqa: S311
    hard = [draw.betavariate(0.93, 1.4) if alike else 0.4 for _ in rows]  # an intraclass correlation of 0.3
    bad = [planted is not None and row.modality == "CT" and row.severity == "severe" for row in rows]
    failed = [draw.random() < (planted if is_bad else hard[at // an_image]) for at, is_bad in enumerate(bad)]
    return failure_groups(rows, failed, [at // an_image for at in range(n)])


def analysed(n: int, models: int, seed: int, able: bool, wrong_keys: int = 0) -> list[Item]:
    """Questions of some difficulty and models of some ability (logistic); wrong answers go to one distractor in 60%."""
    draw, letters, keys = random.Random(seed), [], []  # noqa: S311
    for at in range(n):
        difficulty, favourite = draw.gauss(0, 1), draw.choice("BCD")
        ability = [-1 + 2.5 * model / (models - 1) if able else 0.3 for model in range(models)]
        right = [draw.random() < 1 / (1 + 2.718281828 ** (-1.5 * (of - difficulty))) for of in ability]
        letters.append(
            ["A" if is_right else favourite if draw.random() < 0.6 else draw.choice("BCD") for is_right in right]
        )
        keys.append(favourite if at < wrong_keys else "A")
    rows = [Sample(str(at), Task.PERCEPTION, None, {}, key) for at, key in enumerate(keys)]
    scores = [[float(letter == key) for letter in row] for row, key in zip(letters, keys, strict=True)]
    return analyse_items(rows, scores, letters)


def _timed(what: str, started: float) -> None:
    print(f"{what}: {time.process_time() - started:.2f} s of processor time")


def _share(what: str, hits: Sequence[bool]) -> None:
    print(f"{what}: {sum(hits)} of {len(hits)}")


def main(runs: int) -> None:
    print(machine())
    started = time.process_time()
    groups(QUESTIONS, 1, 0, 0.75, alike=False)
    _timed(f"failure groups of {QUESTIONS:,} samples", started)
    started = time.process_time()
    groups(QUESTIONS, 7, 0, 0.75, alike=True)
    _timed(f"failure groups of {QUESTIONS:,} samples, seven an image", started)
    for models in (5, 10, MODELS):
        started = time.process_time()
        items = analysed(QUESTIONS, models, 0, able=True, wrong_keys=30)
        _timed(f"items of {QUESTIONS:,} questions and {models} models (with their making)", started)
        looked = [SECOND_LOOK in item.notes for item in items]
        print(f"  30 keys of {QUESTIONS:,} made wrong: {sum(looked)} worth a second look, {sum(looked[:30])} of the 30")
    for n, an_image, alike in ((400, 1, False), (1305, 1, False), (400, 4, True), (1305, 7, True)):
        hits = [isinstance(groups(n, an_image, seed, None, alike), Finding) for seed in range(runs)]
        _share(f"any group shown of {n:,} samples, {an_image} an image, that fail by chance", hits)
    for n, an_image in ((400, 1), (1305, 1), (1305, 7)):
        found = [groups(n, an_image, seed, 0.75, alike=False) for seed in range(runs // 4)]
        values = {"modality": "CT", "severity": "severe"}
        hits = [
            isinstance(one, Finding) and any(dict(group.values) == values for group in one.details.failure_groups)
            for one in found
        ]
        _share(f"severe CT found, of {n:,} samples, {an_image} an image, where it fails in 75% and not 40%", hits)
    reversed_by_chance = [
        any(REVERSED in item.notes for item in analysed(60, 10, seed, able=False)) for seed in range(runs)
    ]
    _share("any of 60 questions called reversed where 10 models guess alike", reversed_by_chance)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
