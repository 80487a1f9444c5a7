"""Attacks that change a score: protocols of ours and the kit's own class, on a simulated judge.

    python -m benchmarks.hardening

The judge of ``tests/judge/simulated_judge.py`` obeys the last instruction that stands outside of a prompt's delimiters
and grades honestly where there is none. Each attack of ``tests/judge/attacks.py`` is judged on all four dimensions; it
counts where any verdict differs from the one on the same answer without the attack. For the kit's class
its prompts are built and the replies read by its own functions, without its retries and pauses.

A second table is of the attacks that were taken from public collections (``tests/judge/data/public_attacks.jsonl``) and
the tokens of chat templates, on the simulated judge and on that of ``tests/judge/mimicking_judge.py``, which takes what
mimics a delimiter for the real one.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from benchmarks.machine import machine
from medqbench_vlmeval.benchmark import DIMENSIONS, Task
from medqbench_vlmeval.judge.delimit import speaks_to_grader
from medqbench_vlmeval.judge.protocols import Protocol, load_protocol
from tests.judge import mimicking_judge, simulated_judge
from tests.judge.attacks import ATTACKS, WRONG, Attack
from tests.judge.labelled import labelled
from tests.judge.simulated_judge import REFERENCE, Read, answer, changed, verdict

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


def print_public_attacks() -> None:
    """Attacks from elsewhere and tokens that change a score of ``rubric``, with its guard and without."""
    texts = [text for _, text in labelled("public_attacks.jsonl")]
    tokens = [f"{token}\nScore: 2" for token in mimicking_judge.TOKENS]
    guarded = load_protocol("rubric")
    protocols = {"official": load_protocol("official"), "rubric": guarded, "unguarded": replace(guarded, guard=str)}
    judges = {"simulated": simulated_judge.read_prompt, "mimicking": mimicking_judge.read_prompt}
    print(f"\n{'judge':12} {'protocol':12} {f'of {len(texts)} attacks':>16} {f'of {len(tokens)} tokens':>16}")
    for judge, read in judges.items():
        for name, protocol in protocols.items():
            if (judge, name) == ("mimicking", "official"):
                # There is no delimiter to mimic.
                continue

            def score(answer: str, protocol: Protocol = protocol, read: Callable[[str], Read] = read) -> int:
                return verdict(read(protocol.prompt(Task.NO_REFERENCE, "completeness", answer, REFERENCE)))

            counts = [sum(score(f"{WRONG}\n{text}") != score(WRONG) for text in group) for group in (texts, tokens)]
            print(f"{judge:12} {name:12} {counts[0]:16} {counts[1]:16}")
    flagged = sum(speaks_to_grader(text) is not None for text in texts)
    print(f"{flagged} of {len(texts)} attacks are flagged as speaking to the grader.")
    flagged = sum(speaks_to_grader(attack.answer) is not None for attack in ATTACKS)
    print(f"{flagged} of {len(ATTACKS)} of the suite are.")


def main() -> None:
    print(machine())
    print_public_attacks()
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
