"""What a model gave as its answers to one question, or to one pair of images, asked in two orders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from medqbench_vlmeval.judge.conclusion import SAME, steps_apart
from medqbench_vlmeval.records import Sample
from medqbench_vlmeval.scoring.accuracy import is_right
from medqbench_vlmeval.tasks import Task

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
