"""Precision and recall of answer extraction on labelled replies: by rule, by reason to stay open, by model family.

``fired`` counts the replies that a rule gave a letter to, ``precision`` is the share of them whose letter is the
label, ``recall`` the share of all answerable replies that this rule read rightly, so that the recalls of the rules add
up to the recall of the whole. Intervals are Wilson's, 95%. Figures that rest on fewer than ten replies have a ``*``.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medqbench_vlmeval.answers import extract
from medqbench_vlmeval.scoring.intervals import wilson
from medqbench_vlmeval.types import FEW

LABELLED = Path(__file__).resolve().parent.parent / "tests" / "answers"
EVIDENCE = ("heldout3.jsonl", "heldout4.jsonl")
"""The held-out sets that no rule was mended for."""

Extractor = Callable[[str, Mapping[str, str]], str | None]

# Family -> how the names of its models begin; what fits none belongs to the last one.
FAMILIES = {
    "GPT-4o, GPT-4.1": ("gpt-4",),
    "GPT-5, o-series": ("gpt-5", "o3", "o4"),
    "Claude": ("claude",),
    "Gemini": ("gemini",),
    "Grok": ("grok",),
    "Qwen-VL": ("qwen",),
    "InternVL": ("internvl",),
    "LLaVA, LLaVA-Med": ("llava",),
    "MedGemma, Lingshu, other medical": ("medgemma", "lingshu", "huatuogpt", "biomedgpt"),
    "Llama, Phi, Molmo, other": ("",),
}


@dataclass(frozen=True)
class Labelled:
    """One labelled reply; ``expected`` is None where a reader finds no answer."""

    reply: str
    options: Mapping[str, str]
    expected: str | None
    style: str
    note: str

    @property
    def family(self) -> str:
        return next(name for name, starts in FAMILIES.items() if self.style.startswith(starts))


@dataclass(frozen=True)
class Tally:
    """How often an extractor and the labels agree."""

    n: int
    answerable: int
    letters: int
    right_letters: int
    wrong: int
    invented: int
    missed: int

    @property
    def right(self) -> int:
        return self.n - self.wrong - self.invented - self.missed


def labelled(*names: str) -> list[Labelled]:
    """The lines of the named files of ``tests/answers``, in order."""
    lines = [line for name in names for line in (LABELLED / name).read_text(encoding="utf-8").splitlines()]
    return [Labelled(**json.loads(line)) for line in lines]


def tally(rows: Iterable[Labelled], found: Iterable[str | None]) -> Tally:
    """Compares the letters found with the labels, row by row."""
    pairs = [(row.expected, letter) for row, letter in zip(rows, found, strict=True)]
    return Tally(
        n=len(pairs),
        answerable=sum(expected is not None for expected, _ in pairs),
        letters=sum(letter is not None for _, letter in pairs),
        right_letters=sum(letter is not None and expected == letter for expected, letter in pairs),
        wrong=sum(None not in (expected, letter) and expected != letter for expected, letter in pairs),
        invented=sum(expected is None and letter is not None for expected, letter in pairs),
        missed=sum(expected is not None and letter is None for expected, letter in pairs),
    )


def rule_table(rows: Sequence[Labelled]) -> list[str]:
    """Markdown lines: every rule of ours that gave a letter, most often first, and all of them together."""
    fired: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for row in rows:
        answer = extract(row.reply, row.options)
        if answer.letter is not None:
            fired[answer.rule] += 1
            right[answer.rule] += answer.letter == row.expected
    answerable = sum(row.expected is not None for row in rows)
    lines = ["| rule | fired | right | precision | recall |", "| --- | --- | --- | --- | --- |"]
    for rule, n in sorted(fired.items(), key=lambda item: (-item[1], item[0])):
        lines.append(f"| {rule} | {n} | {right[rule]} | {share(right[rule], n)} | {share(right[rule], answerable)} |")
    n, hits = fired.total(), right.total()
    lines.append(f"| **all rules** | {n} | {hits} | {share(hits, n)} | {share(hits, answerable)} |")
    return lines


def open_table(rows: Sequence[Labelled]) -> list[str]:
    """Markdown lines: what ours left without a letter, by reason, and how often a reader finds none either."""
    left: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for row in rows:
        answer = extract(row.reply, row.options)
        if answer.letter is None:
            left[answer.rule] += 1
            right[answer.rule] += row.expected is None
    lines = ["| reason | left open | rightly | share | missed answers |", "| --- | --- | --- | --- | --- |"]
    for reason, n in sorted(left.items(), key=lambda item: (-item[1], item[0])):
        lines.append(f"| {reason} | {n} | {right[reason]} | {share(right[reason], n)} | {n - right[reason]} |")
    n, hits = left.total(), right.total()
    lines.append(f"| **all reasons** | {n} | {hits} | {share(hits, n)} | {n - hits} |")
    return lines


def whole_table(rows: Sequence[Labelled], extractors: Mapping[str, Extractor]) -> list[str]:
    """Markdown lines: precision and recall of each extractor as a whole."""
    lines = [
        "| | letters given | right | precision | recall | rightly left open |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, read in extractors.items():
        sums = tally(rows, (read(row.reply, row.options) for row in rows))
        unanswered = sums.n - sums.answerable
        lines.append(
            f"| {name} | {sums.letters} | {sums.right_letters} | {share(sums.right_letters, sums.letters)}"
            f" | {share(sums.right_letters, sums.answerable)} | {unanswered - sums.invented} of {unanswered} |"
        )
    return lines


def family_table(rows: Sequence[Labelled], extractors: Mapping[str, Extractor]) -> list[str]:
    """Markdown lines: what each extractor made of each family's replies."""
    groups: defaultdict[str, list[Labelled]] = defaultdict(list)
    for row in rows:
        groups[row.family].append(row)
    lines = [
        f"| family | replies | {' | '.join(extractors)} |",
        f"| --- | --- |{' --- |' * len(extractors)}",
    ]
    for family in FAMILIES:
        group = groups[family]
        cells = (_errors(tally(group, (read(row.reply, row.options) for row in group))) for read in extractors.values())
        lines.append(f"| {family} | {len(group)} | {' | '.join(cells)} |")
    return lines


def share(hits: int, n: int) -> str:
    """'97.2% (95.2-98.4)': a share with Wilson's interval, marked ``*`` where n is below ten, '-' where n is 0."""
    if n == 0:
        return "-"
    low, high = wilson(hits, n)
    return f"{100 * hits / n:.1f}% ({100 * low:.1f}-{100 * high:.1f}){'*' if n < FEW else ''}"


def _errors(sums: Tally) -> str:
    if sums.n == 0:
        return "-"
    kinds = (("wrong", sums.wrong), ("invented", sums.invented), ("missed", sums.missed))
    errors = ", ".join(f"{n} {kind}" for kind, n in kinds if n) or "no error"
    return f"{100 * sums.right / sums.n:.1f}%: {errors}"
