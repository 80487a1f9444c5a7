"""Two passes compared, on cases small enough to count by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.scoring.intervals import wilson
from medqbench_vlmeval.scoring.robustness import ChoicePair, PreferencePair, score_choices, score_preferences
from medqbench_vlmeval.types import Cell, Sample

YES_NO = {"A": "Yes", "B": "No"}
SWAP = {"A": "B", "B": "A"}
LEVELS = {"A": "Good", "B": "Usable", "C": "Reject"}
TURN = {"A": "B", "B": "C", "C": "A"}  # A shows Usable, B shows Reject, C shows Good


def choice(first, second, answer="A", options=YES_NO, permutation=SWAP, index="1", **axes):
    sample = Sample(index, Task.PERCEPTION, "?", options=options, answer=answer, **axes)
    return ChoicePair(sample, permutation, first, second)


def pair(first, second, reference, replied=True, **axes):
    return PreferencePair(Sample("1", Task.COMPARATIVE, None, **axes), first, second, reference, replied)


def count(cell):
    return cell.counts["count"]


def test_choices_counted_by_hand():
    pairs = [
        choice("A", "B"),  # Yes, Yes: right twice
        choice("A", "A"),  # Yes, No: the letter alone; right once
        choice("B", "A"),  # No, No: consistent and wrong
        choice("B", None),  # unanswered once, wrong twice
        choice("A", "C", options=LEVELS, permutation=TURN),  # Good, Good: right twice
        choice("B", "C", options=LEVELS, permutation=TURN),  # Usable, Good: right the second time alone
    ]
    result = score_choices(pairs)
    whole = result.whole
    assert (whole.n, count(whole.first), count(whole.second)) == (6, 3, 3)
    assert whole.debiased.value == pytest.approx(100 * (1 + 0.5 + 0 + 0 + 1 + 0.5) / 6)
    assert whole.debiased.low < whole.debiased.value < whole.debiased.high
    assert (whole.difference.value, count(whole.right_in_both), count(whole.consistency)) == (0, 2, 3)
    assert whole.n_right == {"first_alone": 1, "second_alone": 1, "neither": 2}
    assert whole.consistency.interval == tuple(100 * end for end in wilson(3, 6))
    assert whole.n_unanswered == {"first": 0, "second": 1, "either": 1}
    assert result.consistency_of_chance == pytest.approx(100 * (4 / 2 + 2 / 3) / 6)
    assert whole.first.few is True


def test_letters_counted_by_hand():
    pairs = [
        choice("A", "B"),
        choice("A", "A"),
        choice("A", "C", options=LEVELS, permutation=TURN),
        choice("B", "C", answer="B", options=LEVELS, permutation=TURN),  # Usable is at A in the second pass
    ]
    letters = score_choices(pairs).places
    assert list(letters) == ["A", "B", "C"]
    assert (count(letters["A"].first), count(letters["A"].second)) == (3, 1)
    assert letters["A"].n_right == {"first": 3, "second": 1}
    # Right at A: three times of three in the first pass, and not in the second, where the last one chose C.
    assert (count(letters["A"].right), letters["A"].right.n) == (3, 4)
    assert letters["B"].n_right == {"first": 1, "second": 2}
    assert (count(letters["B"].right), letters["B"].right.n) == (2, 3)
    assert (letters["C"].n_offered, letters["C"].right.n) == (2, 1)


def test_a_model_that_goes_by_the_letter_is_never_consistent_and_debiased_to_chance():
    whole = score_choices([choice("A", "A", answer=answer) for answer in "AABAAAAABA"]).whole
    assert (whole.first.value, whole.debiased.value) == (80, 50)
    assert count(whole.consistency) == count(whole.right_in_both) == 0
    # But equal texts at two letters are the same choice, and no answer is never right.
    assert choice("A", "A", options={"A": "No", "B": "No"}).consistent
    assert [choice(None, second, answer=None).right for second in (None, "A")] == [(False, False)] * 2


def test_groups_and_clusters():
    one = [choice("A", "B", modality="CT", images=(Path("x.png"),)) for _ in range(20)]
    other = [choice("B", "A", modality="MRI", images=(Path("y.png"),)) for _ in range(20)]
    result = score_choices([*one, *other])
    by_modality = result.groups["modality"]
    assert (by_modality["CT"].first.value, by_modality["MRI"].first.value) == (100, 0)
    # Two clusters alone: every resample is one image, the other, or both.
    assert result.whole.debiased.interval == (0, 100)
    assert result.clusters == "clusters are samples that share an image"


def test_pairs_that_are_all_alike_are_no_certainty():
    alike = score_choices([choice("A", "B") for _ in range(12)]).whole
    assert alike.debiased.interval == tuple(100 * end for end in wilson(12, 12))
    assert alike.difference == Cell(0, None, None, 12)
    # Right in one order alone, each of them: half a hit a pair.
    halves = score_choices([choice("A", "A") for _ in range(11)]).whole.debiased
    assert (halves.value, halves.interval) == (50, (100 * wilson(5, 11)[0], 100 * wilson(6, 11)[1]))
    places = score_preferences([pair(1, 1, 1) for _ in range(20)]).whole.debiased
    assert (places.value, places.low) == (1, 2 * wilson(10, 20)[0])
    # One image in all: its resamples are all the same, whatever the answers were.
    image = (Path("x.png"),)
    one = score_choices([choice("A", "B", images=image), choice("B", "A", images=image)]).whole.debiased
    assert one.interval == tuple(100 * end for end in wilson(1, 2))


def test_preferences_counted_by_hand():
    pairs = [
        pair(1, 2, 1),  # the same image, right twice
        pair(1, 1, 1),  # first place twice: right the first time
        pair(2, 2, 1),  # second place twice: right the second time
        pair("same", "same", 1),
        pair("same", 1, 2),  # 'same' once: right the second time
        pair(None, 2, 1),  # unread: right the second time
        pair(2, 1, 1),  # the same image, wrong twice
        pair(1, 2, None),  # no reference: a preference, and no quality accuracy
        pair(None, None, 1, replied=False),
    ]
    result = score_preferences(pairs)
    whole = result.whole
    places, ties = {"first_place_twice": 1, "second_place_twice": 1}, {"same_twice": 1, "same_once": 1}
    kinds = {kind: count(cell) for kind, cell in whole.preferences.items()}
    assert kinds == {"consistent": 3, **places, **ties, "unread": 2}
    assert (whole.first.value, whole.first.n) == (pytest.approx(2 * 2 / 7), 7)
    assert whole.second.value == pytest.approx(2 * 4 / 7)
    assert whole.debiased.value == pytest.approx((2 + 1 + 1 + 0 + 1 + 1 + 0) / 7)
    assert whole.difference.value == pytest.approx(4 / 7)
    assert count(whole.right_in_both) == 1
    assert (result.n_reference_unread, result.n_inference_failed) == (1, 1)
    first, second = result.places["first"], result.places["second"]
    assert (count(first.first), count(first.second)) == (3, 3)
    # The better image stands first: six times in the first pass (right twice), once in the second (right).
    assert (count(first.right), first.right.n) == (3, 7)
    assert (count(second.right), second.right.n) == (3, 7)
    assert (count(result.places["unread"].first), result.places["unread"].right) == (2, None)


def test_references_that_state_a_tie_or_nothing():
    result = score_preferences([pair("same", "same", "same"), pair(1, 2, "same")])
    assert result.whole.debiased.value == 1
    assert result.places["first"].right.value is None
    assert score_preferences([pair(1, 2, None)]).whole.debiased == Cell(None, n=0, few=True)


def test_the_order_of_rows_changes_no_digit():
    draw = random.Random(5)
    pairs = [
        choice(draw.choice("AB"), draw.choice("AB"), draw.choice("AB"), modality="CT", images=(Path(f"{i % 7}.png"),))
        for i in range(60)
    ]
    first, turned = (replace(score_choices(of), choices=()) for of in (pairs, draw.sample(pairs, len(pairs))))
    assert first == turned
