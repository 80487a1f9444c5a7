"""How far answers depend on order alone: the same questions asked twice, with options permuted or images swapped.
Debiased accuracy is the mean over both orders, which a preference for a place cannot raise (P. Pezeshkpour and E.
Hruschka, Findings of NAACL 2024, on options; L. Zheng et al., NeurIPS 2023, section 3.4, on sides)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from medqbench_vlmeval.answers.conclusion import SAME
from medqbench_vlmeval.benchmark import MAX_VERDICT, OPTION_LETTERS, Task
from medqbench_vlmeval.scoring.agreement import quality_of
from medqbench_vlmeval.scoring.intervals import (
    METHOD,
    Array,
    bootstrap,
    interval_cell,
    share_cell,
    shared_images,
    totals_by_cluster,
    wilson,
)
from medqbench_vlmeval.scoring.summary import is_right, positions_by
from medqbench_vlmeval.types import WILSON, Cell, Sample

FIRST, SECOND = "first", "second"
PREFERENCES = ("consistent", "first_place_twice", "second_place_twice", "same_twice", "same_once", "unread")
_CONSISTENT, *_PLACES, _SAME_TWICE, _SAME_ONCE, UNREAD = PREFERENCES
INTERVAL_METHOD = f"{WILSON}; debiased and difference: {METHOD} (no spread: {WILSON} and none)"

Preference = int | str | None
"""The place that is preferred, 1 or 2, 'same', or None where none can be read."""

_PERCENT = 100.0
_CHOICE_AXES = ("question_type", "modality")
_PREFERENCE_AXES = ("difficulty", "modality")


@dataclass(frozen=True)
class ChoicePair:
    """A question asked twice. ``sample`` is as the first pass showed it; ``permutation`` maps a letter of the second
    pass to the first pass's of the same text. Each pass chose a letter as it showed them (None: no answer)."""

    sample: Sample
    permutation: Mapping[str, str]
    first: str | None
    second: str | None
    replies: tuple[str, str] = ("", "")

    @property
    def second_in_first(self) -> str | None:
        """The first pass's letter of what the second pass chose."""
        return None if self.second is None else self.permutation.get(self.second)

    @cached_property
    def right(self) -> tuple[bool, bool]:
        """Whether each pass chose the right option."""
        return is_right(self.sample, self.first), is_right(self.sample, self.second_in_first)

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
    """A pair compared twice, then with images swapped. ``first`` and ``second`` are what each answer prefers,
    ``reference`` what the reference text does in the first pass's order. ``replied``: no inference failed."""

    sample: Sample
    first: Preference
    second: Preference
    reference: Preference
    replied: bool = True
    replies: tuple[str, str] = ("", "")

    @property
    def kind(self) -> str:
        """One of ``PREFERENCES``."""
        if self.first is None or self.second is None:
            return UNREAD
        if self.first == self.second:
            return _PLACES[self.first - 1] if isinstance(self.first, int) else _SAME_TWICE
        return _SAME_ONCE if SAME in (self.first, self.second) else _CONSISTENT

    @property
    def scores(self) -> tuple[int, int] | None:
        """Quality accuracy in each pass, 0 or 2 by the published rule; None where it cannot be worked out for both."""
        if self.reference is None or not self.replied:
            return None
        first = quality_of(Task.COMPARATIVE, self.first, self.reference)
        return first, quality_of(Task.COMPARATIVE, turned(self.second), self.reference)


def turned(preference: Preference) -> Preference:
    """A preference among the same two images, swapped."""
    return 3 - preference if isinstance(preference, int) else preference


@dataclass(frozen=True)
class PassGroup:
    """The two passes over some samples. ``first`` and ``second`` are accuracies in percent, of comparisons mean quality
    accuracies (0-2) over the pairs whose reference states a preference. ``debiased`` is their mean and ``difference``
    the second less the first, both with the interval of a bootstrap over samples that share an image. Of choices,
    ``consistency`` is the share of the same text twice; ``n_unanswered`` counts by pass, ``n_right`` what one pass
    alone and neither has right. Of comparisons, ``preferences`` has a share for each kind."""

    n: int
    first: Cell
    second: Cell
    debiased: Cell
    difference: Cell
    right_in_both: Cell
    consistency: Cell | None = None
    n_unanswered: Mapping[str, int] = field(default_factory=dict)
    n_right: Mapping[str, int] = field(default_factory=dict)
    preferences: Mapping[str, Cell] = field(default_factory=dict)


@dataclass(frozen=True)
class PlaceUse:
    """How often a letter or a place was chosen in each pass, and the accuracy where the right answer stood there. Of
    letters, ``n_offered`` questions have it, and ``n_right`` counts by pass where it was the right one."""

    first: Cell
    second: Cell
    right: Cell | None = None
    n_offered: int | None = None
    n_right: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PassComparison:
    """Two passes overall and by axis and group, and how often each place (letter, image) was chosen.
    ``consistency_of_chance`` is in percent, for each answer drawn anew (a model that goes by the place alone has 0).
    ``clusters`` says in words what the clusters of the intervals are, ``notes`` what a reader must know. Of ``choices``
    and ``preferences`` one is empty, both where the comparison was read from its numbers."""

    task: Task
    whole: PassGroup
    groups: Mapping[str, Mapping[str, PassGroup]]
    places: Mapping[str, PlaceUse]
    clusters: str
    consistency_of_chance: float | None = None
    n_reference_unread: int = 0
    n_inference_failed: int = 0
    choices: Sequence[ChoicePair] = ()
    preferences: Sequence[PreferencePair] = ()
    model: str = ""
    dataset: str = ""
    notes: Sequence[str] = ()


_Pair = TypeVar("_Pair", ChoicePair, PreferencePair)


def score_choices(pairs: Sequence[ChoicePair]) -> PassComparison:
    """Measure the robustness of multiple-choice answers; no answer counts as wrong and as inconsistent."""
    return PassComparison(
        Task.PERCEPTION,
        whole=_choice_group(pairs),
        groups=_groups(pairs, _CHOICE_AXES, _choice_group),
        places={
            letter: _letter(offered, letter)
            for letter in OPTION_LETTERS
            if (offered := [pair for pair in pairs if letter in pair.sample.options])
        },
        clusters=shared_images([pair.sample for pair in pairs]).words,
        consistency_of_chance=_PERCENT * math.fsum(1 / len(pair.sample.options) for pair in pairs) / len(pairs),
        choices=pairs,
    )


def score_preferences(pairs: Sequence[PreferencePair]) -> PassComparison:
    """Measure the robustness of comparisons, from the preferences that the answers state; no judge is asked."""
    places = {FIRST: _place(pairs, 1), SECOND: _place(pairs, 2)}
    return PassComparison(
        Task.COMPARATIVE,
        whole=_preference_group(pairs),
        groups=_groups(pairs, _PREFERENCE_AXES, _preference_group),
        places=places | {"same": _chosen(pairs, SAME), UNREAD: _chosen(pairs, None)},
        clusters=shared_images([pair.sample for pair in pairs]).words,
        n_reference_unread=sum(pair.reference is None for pair in pairs),
        n_inference_failed=sum(not pair.replied for pair in pairs),
        preferences=pairs,
    )


def _groups(
    pairs: Sequence[_Pair], axes: Sequence[str], group: Callable[[Sequence[_Pair]], PassGroup]
) -> dict[str, dict[str, PassGroup]]:
    return {
        axis: {name: group([pairs[at] for at in positions]) for name, positions in by_name.items()}
        for axis in axes
        if (by_name := positions_by(axis, [pair.sample for pair in pairs]))
    }


def _choice_group(pairs: Sequence[ChoicePair]) -> PassGroup:
    right = [pair.right for pair in pairs]
    counts = Counter(right)
    unanswered = [(pair.first is None, pair.second is None) for pair in pairs]
    first, second = (sum(side) for side in zip(*unanswered, strict=True))
    alone = {"first_alone": counts[True, False], "second_alone": counts[False, True]}
    return replace(
        _passes([pair.sample for pair in pairs], right, _PERCENT),
        consistency=_share([pair.consistent for pair in pairs]),
        n_unanswered={FIRST: first, SECOND: second, "either": sum(map(any, unanswered))},
        n_right={**alone, "neither": counts[False, False]},
    )


def _letter(offered: Sequence[ChoicePair], letter: str) -> PlaceUse:
    """One letter in both passes of the questions that have it; it is a question's right one in one pass at most."""
    right = [hit for pair in offered for at, hit in zip(pair.right_letters, pair.right, strict=True) if at == letter]
    first, second = (
        sum(at == letter for at in side) for side in zip(*(pair.right_letters for pair in offered), strict=True)
    )
    use = _chosen(offered, letter)
    return replace(use, right=_share(right), n_offered=len(offered), n_right={FIRST: first, SECOND: second})


def _chosen(pairs: Sequence[_Pair], value: Preference) -> PlaceUse:
    return PlaceUse(_share([pair.first == value for pair in pairs]), _share([pair.second == value for pair in pairs]))


def _preference_group(pairs: Sequence[PreferencePair]) -> PassGroup:
    kinds = [pair.kind for pair in pairs]
    scored = [(pair.sample, scores) for pair in pairs if (scores := pair.scores) is not None]
    hits = [(first == MAX_VERDICT, second == MAX_VERDICT) for _, (first, second) in scored]
    preferences = {name: _share([kind == name for kind in kinds]) for name in PREFERENCES}
    return replace(_passes([sample for sample, _ in scored], hits, MAX_VERDICT), n=len(pairs), preferences=preferences)


def _place(pairs: Sequence[PreferencePair], place: int) -> PlaceUse:
    right = [
        score == MAX_VERDICT
        for pair in pairs
        if (scores := pair.scores) is not None
        for better, score in zip((pair.reference, turned(pair.reference)), scores, strict=True)
        if better == place
    ]
    return replace(_chosen(pairs, place), right=_share(right))


def _share(hits: Sequence[bool], top: float = _PERCENT) -> Cell:
    """A share of ``top``; a mean of scores that are 0 or 2 is a share of 2."""
    return replace(share_cell(sum(hits), len(hits), top), counts={"count": sum(hits)})


def _passes(samples: Sequence[Sample], hits: Sequence[tuple[bool, bool]], top: float) -> PassGroup:
    """Each pass, the mean over both and the second's less the first's, the latter with their bootstrap intervals."""
    n = len(hits)
    first, second = (_share([hit[at] for hit in hits], top) for at in (0, 1))
    right_in_both = _share([all(hit) for hit in hits])
    if not n:
        nothing = interval_cell(None, None, 0)
        return PassGroup(0, first, second, nothing, nothing, right_in_both)
    totals = totals_by_cluster(shared_images(samples).clusters, np.array([(*hit, 1.0) for hit in hits], dtype=float))

    def statistics(sums: Array) -> Array:
        in_first, in_second, count = sums.T
        return np.stack([top * ((in_first + in_second) / 2 / count), top * ((in_second - in_first) / count)], axis=1)

    of_debiased, of_difference = bootstrap(totals, statistics)
    n_first, n_second = first.counts["count"], second.counts["count"]
    if of_debiased is None:
        # What is all alike is no certainty. A pair that is right in one order alone is half a hit.
        half_hits = (n_first + n_second) / 2
        of_debiased = top * wilson(math.floor(half_hits), n)[0], top * wilson(math.ceil(half_hits), n)[1]
    debiased = interval_cell(top * (n_first + n_second) / 2 / n, of_debiased, n)
    difference = interval_cell(top * (n_second - n_first) / n, of_difference, n)
    return PassGroup(n, first, second, debiased, difference, right_in_both)
