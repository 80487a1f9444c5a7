"""Answer extraction on labelled replies: ours, the kit's MedQ-Bench class and the kit's ``can_infer``.

    python -m benchmarks.extraction

Every labelled file of ``tests/answers`` is read; 'right' counts replies whose letter (or its absence) is the
label, 'wrong letter' those read as another option, 'invented' those given a letter where a reader finds none,
'missed' those left without one where a reader finds it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.machine import machine

LABELLED = Path(__file__).resolve().parent.parent / "tests" / "answers"

Extractor = Callable[[str, Mapping[str, str]], str | None]


def kit_class() -> Extractor:
    from vlmeval.dataset import MedqbenchMCQDataset

    dataset = MedqbenchMCQDataset.__new__(MedqbenchMCQDataset)

    def extract(reply: str, options: Mapping[str, str]) -> str | None:
        found = dataset._extract_option_letter(reply)
        # Where it finds no letter it gives the reply back, which its scorer then compares with the answer.
        return str(found) if str(found) in options else None

    return extract


def kit_can_infer() -> Extractor:
    from vlmeval.utils.matching_util import can_infer

    def extract(reply: str, options: Mapping[str, str]) -> str | None:
        found = can_infer(reply, dict(options))
        return str(found) if found in options else None

    return extract


def measure(extract: Extractor, rows: list[dict[str, object]]) -> str:
    right = wrong = invented = missed = 0
    started = time.perf_counter()
    for row in rows:
        options = row["options"]
        assert isinstance(options, dict)
        found, expected = extract(str(row["reply"]), options), row["expected"]
        right += found == expected
        wrong += None not in (found, expected) and found != expected
        invented += expected is None and found is not None
        missed += expected is not None and found is None
    seconds = time.perf_counter() - started
    share = 100 * right / len(rows)
    return f"{share:6.1f}% {wrong:>12} {invented:>9} {missed:>7} {1e6 * seconds / len(rows):>9.0f}"


def main() -> None:
    from medqbench_vlmeval.answers import extract_choice

    extractors = {"ours": extract_choice, "kit's class": kit_class(), "kit's can_infer": kit_can_infer()}
    print(machine())
    for path in sorted(LABELLED.glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        print(f"\n{path.name}: {len(rows)} replies")
        print(f"{'':16}  right wrong letter  invented  missed  µs/reply")
        for name, extract in extractors.items():
            print(f"{name:16}{measure(extract, rows)}")


if __name__ == "__main__":
    main()
