"""Whether some letters, or 'yes', are chosen more often than they are right."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from medqbench_vlmeval.data.values import words
from medqbench_vlmeval.records import Extraction, Sample
from medqbench_vlmeval.scoring.findings.finding import (
    POINTS,
    Finding,
    NotFound,
    amount,
    is_apart,
    unproven,
)
from medqbench_vlmeval.scoring.findings.gaps import Gap, gap_finding, shares_apart
from medqbench_vlmeval.scoring.findings.shares import share
from medqbench_vlmeval.scoring.intervals import FEW

_YES, _NO = "yes", "no"


def letter_bias(
    samples: Sequence[Sample], extractions: Sequence[Extraction], clusters: Sequence[int]
) -> Finding | NotFound:
    """The letter whose share of the answers lies furthest from its share of the right answers.

    Questions with two, three and four options are looked at separately, unanswered ones not at all. A letter's
    interval is widened for the number of letters looked at.
    """
    by_letters: dict[tuple[str, ...], list[int]] = {}
    for position, (sample, extraction) in enumerate(zip(samples, extractions, strict=True)):
        if extraction.letter is not None and sample.answer is not None and extraction.letter in sample.options:
            by_letters.setdefault(tuple(sorted(sample.options)), []).append(position)
    large = {letters: at for letters, at in sorted(by_letters.items()) if len(at) >= FEW and len(letters) > 1}
    if not large:
        return NotFound(f"fewer than {FEW} answered questions with the same letters")
    # Of two letters one mirrors the other.
    looked_at = sum(1 if len(letters) == 2 else len(letters) for letters in large)
    tables: dict[str, Any] = {}
    gaps: list[tuple[str, tuple[str, ...], Gap]] = []
    for letters, at in large.items():
        chosen = [extractions[i].letter for i in at]
        right = [samples[i].answer for i in at]
        of_group = [clusters[i] for i in at]
        rows = {}
        for letter in letters:
            sides = [one == letter for one in chosen], [one == letter for one in right]
            gap = shares_apart(*sides, of_group, looked_at, "letter")
            gaps.append((letter, letters, gap))
            rows[letter] = {
                "chosen": 100 * chosen.count(letter) / len(at),
                "right": 100 * right.count(letter) / len(at),
                "difference": gap.value,
                "low": gap.low,
                "high": gap.high,
            }
        tables["".join(letters)] = {
            "n": len(at),
            "few": len(at) < FEW,
            "distance": sum(abs(row["difference"] or 0) for row in rows.values()) / 2,
            "letters": rows,
        }
    # What is told apart from chance goes before what only looks large in few answers.
    letter, letters, furthest = max(
        gaps,
        key=lambda one: (is_apart(one[2].low, one[2].high), round(abs(one[2].value), 9), one[2].value > 0, one[:2]),
    )
    row = tables["".join(letters)]["letters"][letter]
    n = tables["".join(letters)]["n"]
    ends = furthest.words(POINTS)
    ends += f", widened for {looked_at} letters" if looked_at > 1 and furthest.low is not None else ""
    about = f"{letter} is chosen in {row['chosen']:.2f}% and right in {row['right']:.2f}%"
    if is_apart(furthest.low, furthest.high):
        said = f"Of {n} answers to questions with {len(letters)} options, {about} (difference: {ends})."
    else:
        said = (
            f"{unproven(furthest.value, furthest.low)} a letter is preferred; furthest apart, {about} of {n} answers "
            f"to questions with {len(letters)} options (difference: {ends})."
        )
    details = {"letter": letter, "options": "".join(letters), "by_options": tables}
    return gap_finding("Letter bias", said, furthest, POINTS, n, details)


def yes_bias(
    samples: Sequence[Sample], extractions: Sequence[Extraction], clusters: Sequence[int]
) -> Finding | NotFound:
    """How much oftener 'yes' is said than it is right, in the questions whose two options are Yes and No."""
    said_yes, is_yes, of_group = [], [], []
    for sample, extraction, cluster in zip(samples, extractions, clusters, strict=True):
        yes = _yes_letter(tuple(sample.options.items()))
        if yes is not None and extraction.letter in sample.options and sample.answer is not None:
            said_yes.append(extraction.letter == yes)
            is_yes.append(sample.answer == yes)
            of_group.append(cluster)
    n = len(said_yes)
    if n < FEW:
        return NotFound(f"fewer than {FEW} answered questions whose options are Yes and No")
    gap = shares_apart(said_yes, is_yes, of_group)
    both = list(zip(said_yes, is_yes, strict=True))
    about = f"'yes' is said in {100 * sum(said_yes) / n:.2f}% and right in {100 * sum(is_yes) / n:.2f}% of {n} answers"
    ends = gap.words(POINTS)
    if is_apart(gap.low, gap.high):
        side = "too often" if gap.value > 0 else "too seldom"
        statement = f"'Yes' is said {side}: {about}, a difference of {amount(gap.value, POINTS)} ({ends})."
    else:
        begin = unproven(gap.value, gap.low)
        statement = f"{begin} 'yes' is said too often or too seldom: {about} (difference: {ends})."
    return gap_finding(
        "Bias to yes",
        statement,
        gap,
        POINTS,
        n,
        {
            "said_yes": share(sum(said_yes), n),
            "is_yes": share(sum(is_yes), n),
            "right_where_yes": share(both.count((True, True)), sum(is_yes)),
            "right_where_no": share(both.count((False, False)), n - sum(is_yes)),
        },
    )


@lru_cache(maxsize=4096)
def _yes_letter(options: tuple[tuple[str, str], ...]) -> str | None:
    said = {" ".join(words(text)): letter for letter, text in options}
    return said[_YES] if len(options) == 2 and set(said) == {_YES, _NO} else None
