"""How far answers depend on order alone: the same questions asked twice, with options permuted or images swapped.

Debiased accuracy is the mean over both orders, which a preference for a place cannot raise: of two orders a letter is
right in one at most (P. Pezeshkpour and E. Hruschka, Findings of NAACL 2024, on options; L. Zheng et al., NeurIPS 2023,
section 3.4, on swapping the sides of a comparison).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from medqbench_vlmeval.answers.conclusion import SAME, steps_apart
from medqbench_vlmeval.benchmark import OPTION_LETTERS, Task
from medqbench_vlmeval.scoring.intervals import (
    FEW,
    LEVEL,
    METHOD,
    NO_WIDTH,
    WILSON,
    Interval,
    bootstrap,
    shared_images,
    totals_by_cluster,
    wilson,
    wilson_percent,
)
from medqbench_vlmeval.scoring.summary import is_right, positions_by
from medqbench_vlmeval.types import Sample

# What a model gave as its answers to one question, or to one pair of images, asked in two orders.


CONSISTENT = "consistent"
POSITION = {1: "first_place_twice", 2: "second_place_twice"}
SAME_TWICE = "same_twice"
SAME_ONCE = "same_once"
UNREAD = "unread"
PREFERENCES = (CONSISTENT, POSITION[1], POSITION[2], SAME_TWICE, SAME_ONCE, UNREAD)


@dataclass(frozen=True)
class ChoicePair:
    """A question asked twice.

    ``sample`` is as the first pass showed it, ``permutation`` maps a letter of the second pass to the first pass's
    letter of the same text, ``first`` and ``second`` are the letters that each pass chose, as it showed them (None: no
    answer).
    """

    sample: Sample
    permutation: Mapping[str, str]
    first: str | None
    second: str | None

    @property
    def second_in_first(self) -> str | None:
        """The first pass's letter of what the second pass chose."""
        return None if self.second is None else self.permutation.get(self.second)

    @cached_property
    def right(self) -> tuple[bool, bool]:
        """Whether each pass chose the right option."""
        return is_right(self.sample, self.first), is_right(self.sample, self.second_in_first)

    @property
    def answered(self) -> bool:
        """Whether both passes chose an option."""
        return self.first is not None and self.second is not None

    @property
    def consistent(self) -> bool:
        """Whether both passes chose the same text."""
        options, second = self.sample.options, self.second_in_first
        return self.first is not None and second is not None and options[self.first] == options[second]

    @cached_property
    def right_letters(self) -> tuple[str | None, str | None]:
        """The letter of the right option in each pass."""
        back = {old: new for new, old in self.permutation.items()}
        return self.sample.answer, back.get(self.sample.answer or "")


@dataclass(frozen=True)
class PreferencePair:
    """A pair compared twice, the images swapped the second time.

    ``first`` and ``second`` are the places that each answer prefers, 1 or 2, 'same', or None where none can be read;
    ``reference`` is what the reference text prefers in the first pass's order. ``replied`` is False where one of the
    replies is not the model's own (its inference failed).
    """

    sample: Sample
    first: int | str | None
    second: int | str | None
    reference: int | str | None
    replied: bool = True

    @property
    def kind(self) -> str:
        """One of ``PREFERENCES``."""
        if self.first is None or self.second is None:
            return UNREAD
        if self.first == self.second:
            return POSITION[self.first] if isinstance(self.first, int) else SAME_TWICE
        return SAME_ONCE if SAME in (self.first, self.second) else CONSISTENT

    @property
    def scores(self) -> tuple[int, int] | None:
        """Quality accuracy in each pass, 0 or 2 by the published rule; None where it cannot be worked out for both."""
        if self.reference is None or not self.replied:
            return None
        return _quality(self.first, self.reference), _quality(self.second, turned(self.reference))


def turned(preference: int | str | None) -> int | str | None:
    """A preference among the same two images, swapped."""
    return 3 - preference if isinstance(preference, int) else preference


def _quality(stated: int | str | None, reference: int | str | None) -> int:
    return 0 if stated is None else 2 - steps_apart(Task.COMPARATIVE, stated, reference)


FIRST, SECOND = "first", "second"
_PERCENT, _POINTS = 100.0, 2.0
_AXES = {
    Task.PERCEPTION: ("question_type", "modality"),
    Task.COMPARATIVE: ("difficulty", "modality"),
}


def score_choices(pairs: Sequence[ChoicePair]) -> dict[str, Any]:
    """Robustness of multiple-choice answers.

    Shares are objects with ``percent`` (0-100), its Wilson interval ``low`` and ``high``, ``count`` and ``n``; ``few``
    marks an ``n`` below ten. A question without an answer counts as wrong and as inconsistent.

    Args:
        pairs: one or more.

    Returns:
        ``n``; ``first`` and ``second``, the accuracy of each pass; ``debiased``, the mean over the two, and
        ``difference``, the second less the first in points, both with the interval of a bootstrap over samples that
        share an image; ``right_in_both``; ``consistency``, the same option text twice; ``n_unanswered`` by pass and in
        ``either``; ``n_right`` in the first alone, the second alone and neither; ``consistency_of_chance`` in percent:
        each answer drawn anew (a model that goes by the place alone has 0); ``groups`` with these by axis; ``letters``:
        how often each was chosen, how often it was right, and the accuracy where it was right.
    """
    samples = [pair.sample for pair in pairs]
    return {
        **_choice_cell(pairs),
        "consistency_of_chance": _PERCENT * math.fsum(1 / len(pair.sample.options) for pair in pairs) / len(pairs),
        "intervals": _intervals(samples),
        "groups": _groups(pairs, samples, Task.PERCEPTION, _choice_cell),
        "letters": {letter: found for letter in OPTION_LETTERS if (found := _letter(pairs, letter))},
    }


def score_preferences(pairs: Sequence[PreferencePair]) -> dict[str, Any]:
    """Robustness of comparisons, from the preferences that the answers state; no judge is asked.

    Returns:
        ``n``; ``preferences``, a share (see :func:`score_choices`) for each of ``PREFERENCES``: the same image both
        times, the first or the second place both times, 'same' twice or once, unread at least once;
        ``quality_accuracy`` with ``first``, ``second``, ``debiased`` (means of 0 or 2) and ``difference`` (second less
        first), over the pairs whose reference states a preference; ``right_in_both``; ``n_reference_unread`` and
        ``n_inference_failed``; ``places``: how often each was preferred in each pass, and the share of right answers
        where the better image stood there; ``groups`` by axis.
    """
    samples = [pair.sample for pair in pairs]
    return {
        **_preference_cell(pairs),
        "n_reference_unread": sum(pair.reference is None for pair in pairs),
        "n_inference_failed": sum(not pair.replied for pair in pairs),
        "intervals": _intervals(samples),
        "groups": _groups(pairs, samples, Task.COMPARATIVE, _preference_cell),
        "places": {name: _place(pairs, place) for place, name in ((1, FIRST), (2, SECOND))}
        | {name: _stated(pairs, value) for value, name in ((SAME, "same"), (None, UNREAD))},
    }


def _choice_cell(pairs: Sequence[ChoicePair]) -> dict[str, Any]:
    n = len(pairs)
    right = [pair.right for pair in pairs]
    counts = Counter(right)
    firsts, seconds = (sum(one[at] for one in right) for at in (0, 1))
    debiased, difference = _paired([pair.sample for pair in pairs], right, _PERCENT)
    return {
        "n": n,
        FIRST: _share(firsts, n),
        SECOND: _share(seconds, n),
        "debiased": debiased,
        "difference": difference,
        "right_in_both": _share(counts[True, True], n),
        "consistency": _share(sum(pair.consistent for pair in pairs), n),
        "n_unanswered": {
            FIRST: sum(pair.first is None for pair in pairs),
            SECOND: sum(pair.second is None for pair in pairs),
            "either": sum(not pair.answered for pair in pairs),
        },
        "n_right": {
            "first_alone": counts[True, False],
            "second_alone": counts[False, True],
            "neither": counts[False, False],
        },
    }


def _letter(pairs: Sequence[ChoicePair], letter: str) -> dict[str, Any] | None:
    """One letter in both passes; None where no question has it. It is a question's right one in one pass at most."""
    offered = [pair for pair in pairs if letter in pair.sample.options]
    if not offered:
        return None
    right = [hit for pair in offered for at, hit in zip(pair.right_letters, pair.right, strict=True) if at == letter]
    chosen = {
        FIRST: sum(pair.first == letter for pair in offered),
        SECOND: sum(pair.second == letter for pair in offered),
    }
    return {
        "n_offered": len(offered),
        "chosen": {which: _share(count, len(offered)) for which, count in chosen.items()},
        "n_right_option": {
            which: sum(pair.right_letters[at] == letter for pair in offered) for at, which in enumerate((FIRST, SECOND))
        },
        "accuracy_where_right": _share(sum(right), len(right)),
    }


def _preference_cell(pairs: Sequence[PreferencePair]) -> dict[str, Any]:
    kinds = Counter(pair.kind for pair in pairs)
    scored = [(pair.sample, found) for pair in pairs if (found := pair.scores) is not None]
    scores = [found for _, found in scored]
    debiased, difference = _paired([sample for sample, _ in scored], scores, 1.0)
    return {
        "n": len(pairs),
        "preferences": {kind: _share(kinds[kind], len(pairs)) for kind in PREFERENCES},
        "quality_accuracy": {
            FIRST: _mean([one for one, _ in scores]),
            SECOND: _mean([other for _, other in scores]),
            "debiased": debiased,
            "difference": difference,
        },
        "right_in_both": _share(sum(one == other == _POINTS for one, other in scores), len(scores)),
    }


def _place(pairs: Sequence[PreferencePair], place: int) -> dict[str, Any]:
    there = [
        score == _POINTS
        for pair in pairs
        if (scores := pair.scores) is not None
        for better, score in zip((pair.reference, turned(pair.reference)), scores, strict=True)
        if better == place
    ]
    return {**_stated(pairs, place), "right_where_better": _share(sum(there), len(there))}


def _stated(pairs: Sequence[PreferencePair], value: int | str | None) -> dict[str, Any]:
    return {
        FIRST: _share(sum(pair.first == value for pair in pairs), len(pairs)),
        SECOND: _share(sum(pair.second == value for pair in pairs), len(pairs)),
    }


def _share(count: int, n: int) -> dict[str, Any]:
    """A share with its Wilson interval, in percent; all None for none."""
    low, high = wilson_percent(count, n) or (None, None)
    return _marked({"percent": _PERCENT * count / n if n else None, "low": low, "high": high, "count": count, "n": n})


def _mean(scores: Sequence[int]) -> dict[str, Any]:
    """A mean of scores that are 0 or 2, which is twice a share."""
    n, hits = len(scores), sum(score == _POINTS for score in scores)
    low, high = (_POINTS * end for end in wilson(hits, n)) if n else (None, None)
    return _marked({"mean": _POINTS * hits / n if n else None, "low": low, "high": high, "n": n})


def _paired(
    samples: Sequence[Sample], scores: Sequence[tuple[float, float]], scale: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The mean over both passes and the second's less the first's, with their bootstrap intervals."""
    n = len(scores)
    name = "percent" if scale == _PERCENT else "mean"
    if not n:
        nothing = {"low": None, "high": None, "n": 0}
        return _marked({name: None, **nothing}), _marked({"points": None, **nothing})
    import numpy as np

    terms = np.array([(float(one), float(other), 1.0) for one, other in scores])
    totals = totals_by_cluster(shared_images(samples).clusters, terms)

    def statistics(sums: Any) -> Any:
        one, other, count = sums.T
        return scale * np.stack([(one + other) / 2 / count, (other - one) / count], axis=1)

    of_debiased, of_difference = bootstrap(totals, statistics)
    debiased, difference = of_debiased or (None, None), of_difference or (None, None)
    one, other = (math.fsum(pair[at] for pair in scores) for at in (0, 1))
    top = _PERCENT if scale == _PERCENT else _POINTS
    mean, points = scale * (one + other) / 2 / n, scale * (other - one) / n
    # Resamples of what is all alike have no spread, which is not to be shown as certainty.
    if _has_no_width(of_debiased):
        # A pair that is right in one order alone is half a hit.
        hits = (one + other) / 2 * scale / top
        debiased = (top * wilson(math.floor(hits), n)[0], top * wilson(math.ceil(hits), n)[1])
    if _has_no_width(of_difference):
        difference = (None, None)
    return (
        _marked({name: mean, "low": debiased[0], "high": debiased[1], "n": n}),
        _marked({"points": points, "low": difference[0], "high": difference[1], "n": n}),
    )


def _has_no_width(interval: Interval | None) -> bool:
    return interval is None or interval[1] - interval[0] < NO_WIDTH


def _marked(cell: dict[str, Any]) -> dict[str, Any]:
    return {**cell, "few": True} if cell["n"] < FEW else cell


def _groups(pairs: Sequence[Any], samples: Sequence[Sample], task: Task, cell: Callable[..., Any]) -> dict[str, Any]:
    found = {axis: positions_by(axis, samples) for axis in _AXES[task]}
    return {
        axis: {name: cell([pairs[at] for at in positions]) for name, positions in of_axis.items()}
        for axis, of_axis in found.items()
        if of_axis
    }


def _intervals(samples: Sequence[Sample]) -> dict[str, Any]:
    return {
        "level": LEVEL,
        "method": f"{WILSON}; debiased and difference: {METHOD} (no spread: {WILSON} and none)",
        "clusters": shared_images(samples).words,
    }
