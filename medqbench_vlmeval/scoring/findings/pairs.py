"""Whether comparisons prefer the first image more often than their references do."""

from __future__ import annotations

from collections.abc import Sequence

from medqbench_vlmeval.scoring.conclusions import Conclusion
from medqbench_vlmeval.scoring.findings.finding import POINTS, Finding, NotFound, amount, is_apart, unproven
from medqbench_vlmeval.scoring.findings.gaps import gap_finding, shares_apart
from medqbench_vlmeval.scoring.findings.shares import share
from medqbench_vlmeval.scoring.intervals import FEW

_FIRST, _SECOND = 1, 2


def position_bias(conclusions: Sequence[Conclusion], clusters: Sequence[int]) -> Finding | NotFound:
    """The share of answers that prefer the first image, less the share of references that do.

    It is taken over the pairs in which both prefer one of the two images; the two sequences are parallel.
    """
    images = (_FIRST, _SECOND)
    taken = [i for i, one in enumerate(conclusions) if one.stated in images and one.reference in images]
    n = len(taken)
    if n < FEW:
        return NotFound(f"fewer than {FEW} pairs in which answer and reference prefer one of the two images")
    stated = [conclusions[i].stated == _FIRST for i in taken]
    reference = [conclusions[i].reference == _FIRST for i in taken]
    gap = shares_apart(stated, reference, [clusters[i] for i in taken])
    answers = list(zip(stated, reference, strict=True))
    ends = gap.words(POINTS)
    about = (
        f"of {n} pairs the answers prefer the first image in {100 * sum(stated) / n:.2f}%, the references in "
        f"{100 * sum(reference) / n:.2f}%"
    )
    if is_apart(gap.low, gap.high):
        place = "first" if gap.value > 0 else "second"
        said = f"The {place} image is preferred too often: {about}, {amount(gap.value, POINTS)} apart ({ends})."
    else:
        said = f"{unproven(gap.value, gap.low)} an image is preferred for its place: {about} (difference: {ends})."
    return gap_finding(
        "Position bias in pairs",
        said,
        gap,
        POINTS,
        n,
        {
            "first_stated": share(sum(stated), n),
            "first_in_reference": share(sum(reference), n),
            "right_where_first_is_better": share(answers.count((True, True)), sum(reference)),
            "right_where_second_is_better": share(answers.count((False, False)), n - sum(reference)),
            "n_first_for_second": answers.count((True, False)),
            "n_second_for_first": answers.count((False, True)),
            "n_left_out": len(conclusions) - n,
        },
    )
