"""Answer extraction on labelled replies: ours, the kit's MedQ-Bench class and the kit's ``can_infer``.

    python -m benchmarks.extraction

Every labelled file of ``tests/answers`` is read; 'right' counts replies whose letter (or its absence) is the
label, 'wrong letter' those read as another option, 'invented' those given a letter where a reader finds none,
'missed' those left without one where a reader finds it. The error budget (:mod:`benchmarks.error_budget`)
follows, on the held-out sets that are still evidence.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from benchmarks.error_budget import (
    EVIDENCE,
    LABELLED,
    Extractor,
    Labelled,
    family_table,
    labelled,
    open_table,
    rule_table,
    tally,
    whole_table,
)
from benchmarks.machine import machine


def kit_class() -> Extractor:
    from vlmeval.dataset import MedqbenchMCQDataset

    dataset = MedqbenchMCQDataset.__new__(MedqbenchMCQDataset)

    def extract(reply: str, options: Mapping[str, str]) -> str | None:
        letter = dataset._extract_option_letter(reply)
        # Where it finds no letter it gives the reply back, which its scorer then compares with the answer.
        return str(letter) if str(letter) in options else None

    return extract


def kit_can_infer() -> Extractor:
    from vlmeval.utils.matching_util import can_infer

    def extract(reply: str, options: Mapping[str, str]) -> str | None:
        letter = can_infer(reply, dict(options))
        return str(letter) if letter in options else None

    return extract


def measure(extract: Extractor, rows: list[Labelled]) -> str:
    started = time.perf_counter()
    found = [extract(row.reply, row.options) for row in rows]
    seconds = time.perf_counter() - started
    sums = tally(rows, found)
    share = 100 * sums.right / sums.n
    return f"{share:6.1f}% {sums.wrong:>12} {sums.invented:>9} {sums.missed:>7} {1e6 * seconds / sums.n:>9.0f}"


def main() -> None:
    from medqbench_vlmeval.answers import extract_choice

    extractors = {"ours": extract_choice, "the kit's class": kit_class(), "the kit's `can_infer`": kit_can_infer()}
    print(machine())
    for path in (LABELLED / "replies.jsonl", *sorted(LABELLED.glob("heldout*.jsonl"))):
        rows = labelled(path.name)
        print(f"\n{path.name}: {len(rows)} replies")
        print(f"{'':22}  right wrong letter  invented  missed  µs/reply")
        for name, extract in extractors.items():
            print(f"{name:22}{measure(extract, rows)}")
    rows = labelled(*EVIDENCE)
    answerable = sum(row.expected is not None for row in rows)
    print(f"\nError budget: {' and '.join(EVIDENCE)}, {len(rows)} replies, {answerable} with an answer\n")
    tables = (
        whole_table(rows, extractors),
        rule_table(rows),
        open_table(rows),
        family_table(rows, extractors),
    )
    print("\n\n".join("\n".join(lines) for lines in tables))


if __name__ == "__main__":
    main()
