"""Attacks that change a score: protocols of ours and the kit's own class, on a simulated judge.

    python -m benchmarks.hardening

The judge of ``tests/judge/simulated_judge.py`` obeys the last instruction that stands outside of a prompt's delimiters
and grades honestly where there is none. Each attack of ``tests/judge/attacks.py`` is judged on all four dimensions; it
counts where any verdict differs from the one on the same answer without the attack. For the kit's class
its prompts are built and the replies read by its own functions, without its retries and pauses.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections import Counter
from collections.abc import Callable

from benchmarks.machine import machine
from medqbench_vlmeval.benchmark import DIMENSIONS, Task
from tests.judge.attacks import ATTACKS, Attack
from tests.judge.simulated_judge import REFERENCE, answer, changed

PROTOCOLS = ("official", "rubric", "rubric-joint")
MODES = ("terse", "quoting", "repeating")


def kit_class() -> Callable[[str, str, str], list[float | None]]:
    """The kit's scores of an answer by its reference, in a mode of the simulated judge."""
    from vlmeval.dataset.medqbench_caption import MedQBench_Caption_Scorer

    scorer = MedQBench_Caption_Scorer(None, None)

    def scores(text: str, reference: str, mode: str) -> list[float | None]:
        prompts = [scorer.build_prompt(dimension, text, reference) for dimension in DIMENSIONS]
        return [scorer.parse_score_from_response(answer(prompt, mode)) for prompt in prompts]

    return scores


def changed_in_kit(mode: str, attacks: tuple[Attack, ...]) -> list[str]:
    scores = kit_class()
    return [
        attack.name
        for attack in attacks
        if scores(attack.answer, attack.reference, mode) != scores(attack.honest, REFERENCE, mode)
    ]


def main() -> None:
    print(machine())
    kinds = Counter(attack.kind for attack in ATTACKS)
    kind_of = {attack.name: attack.kind for attack in ATTACKS}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        kit_class()
    for mode in MODES:
        columns: dict[str, Counter[str]] = {}
        started = time.perf_counter()
        for protocol in PROTOCOLS:
            moved = changed(protocol, mode, Task.NO_REFERENCE, ATTACKS)
            columns[protocol] = Counter(kind_of[name] for name in moved)
        columns["the kit"] = Counter(kind_of[name] for name in changed_in_kit(mode, ATTACKS))
        print(f"\nThe judge is {mode} ({time.perf_counter() - started:.0f} s)")
        print(f"{'kind':16} {'attacks':>8}" + "".join(f"{name:>14}" for name in columns))
        for kind, number in kinds.items():
            print(f"{kind:16} {number:8}" + "".join(f"{counts[kind]:14}" for counts in columns.values()))
        print(f"{'all':16} {len(ATTACKS):8}" + "".join(f"{counts.total():14}" for counts in columns.values()))


if __name__ == "__main__":
    main()
