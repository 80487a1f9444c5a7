"""Two passes compared, on cases small enough to count by hand."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.scoring.intervals import wilson
from medqbench_vlmeval.scoring.robustness import ChoicePair, PreferencePair, score_choices, score_preferences
from medqbench_vlmeval.types import Sample

YES_NO = {"A": "Yes", "B": "No"}
SWAP = {"A": "B", "B": "A"}
LEVELS = {"A": "Good", "B": "Usable", "C": "Reject"}
TURN = {"A": "B", "B": "C", "C": "A"}  # A shows Usable, B shows Reject, C shows Good


def choice(first, second, answer="A", options=YES_NO, permutation=SWAP, index="1", **axes):
    sample = Sample(index, Task.PERCEPTION, "?", options=options, answer=answer, **axes)
    return ChoicePair(sample, permutation, first, second)


def pair(first, second, reference, replied=True, **axes):
    return PreferencePair(Sample("1", Task.COMPARATIVE, None, **axes), first, second, reference, replied)


def test_choices_counted_by_hand():
    pairs = [
        choice("A", "B"),  # Yes, Yes: right twice
        choice("A", "A"),  # Yes, No: the letter alone; right once
        choice("B", "A"),  # No, No: consistent and wrong
        choice("B", None),  # unanswered once, wrong twice
        choice("A", "C", options=LEVELS, permutation=TURN),  # Good, Good: right twice
        choice("B", "C", options=LEVELS, permutation=TURN),  # Usable, Good: right the second time alone
    ]
    found = score_choices(pairs)
    assert found["n"] == 6
    assert (found["first"]["count"], found["second"]["count"]) == (3, 3)
    assert found["debiased"]["percent"] == pytest.approx(100 * (1 + 0.5 + 0 + 0 + 1 + 0.5) / 6)
    assert found["difference"]["points"] == 0
    assert found["right_in_both"]["count"] == 2
    assert found["n_right"] == {"first_alone": 1, "second_alone": 1, "neither": 2}
    assert found["consistency"]["count"] == 3
    assert (found["consistency"]["low"], found["consistency"]["high"]) == tuple(100 * end for end in wilson(3, 6))
    assert found["n_unanswered"] == {"first": 0, "second": 1, "either": 1}
    assert found["consistency_of_chance"] == pytest.approx(100 * (4 / 2 + 2 / 3) / 6)
    assert found["first"]["few"] is True
    assert found["debiased"]["low"] < found["debiased"]["percent"] < found["debiased"]["high"]


def test_a_question_without_a_known_answer_has_no_right_choice():
    assert choice(None, None, answer=None).right == (False, False)
    assert choice(None, "A", answer=None).right == (False, False)


def test_letters_counted_by_hand():
    pairs = [
        choice("A", "B"),
        choice("A", "A"),
        choice("A", "C", options=LEVELS, permutation=TURN),
        choice("B", "C", answer="B", options=LEVELS, permutation=TURN),  # Usable is at A in the second pass
    ]
    letters = score_choices(pairs)["letters"]
    assert list(letters) == ["A", "B", "C"]
    assert letters["A"]["chosen"]["first"]["count"] == 3
    assert letters["A"]["chosen"]["second"]["count"] == 1
    assert letters["A"]["n_right_option"] == {"first": 3, "second": 1}
    # Right at A: three times of three in the first pass, and not in the second, where the last one chose C.
    assert (letters["A"]["accuracy_where_right"]["count"], letters["A"]["accuracy_where_right"]["n"]) == (3, 4)
    assert letters["B"]["n_right_option"] == {"first": 1, "second": 2}
    assert (letters["B"]["accuracy_where_right"]["count"], letters["B"]["accuracy_where_right"]["n"]) == (2, 3)
    assert (letters["C"]["n_offered"], letters["C"]["accuracy_where_right"]["n"]) == (2, 1)


def test_a_model_that_goes_by_the_letter_is_never_consistent_and_debiased_to_chance():
    pairs = [choice("A", "A", answer=answer) for answer in "AABAAAAABA"]
    found = score_choices(pairs)
    assert found["first"]["percent"] == 80
    assert found["debiased"]["percent"] == 50
    assert found["consistency"]["count"] == found["right_in_both"]["count"] == 0


def test_equal_texts_at_two_letters_are_the_same_choice():
    assert choice("A", "A", options={"A": "No", "B": "No"}).consistent


def test_groups_and_clusters():
    one = [choice("A", "B", modality="CT", images=(Path("x.png"),)) for _ in range(20)]
    other = [choice("B", "A", modality="MRI", images=(Path("y.png"),)) for _ in range(20)]
    found = score_choices([*one, *other])
    assert found["groups"]["modality"]["CT"]["first"]["percent"] == 100
    assert found["groups"]["modality"]["MRI"]["first"]["percent"] == 0
    # Two clusters alone: every resample is one image, the other, or both.
    assert (found["debiased"]["low"], found["debiased"]["high"]) == (0, 100)


def test_pairs_that_are_all_alike_are_no_certainty():
    found = score_choices([choice("A", "B") for _ in range(12)])
    assert [found["debiased"][end] for end in ("low", "high")] == [100 * end for end in wilson(12, 12)]
    assert found["difference"] == {"points": 0, "low": None, "high": None, "n": 12}
    # Right in one order alone, each of them: half a hit a pair.
    halves = score_choices([choice("A", "A") for _ in range(11)])["debiased"]
    assert halves["percent"] == 50
    assert (halves["low"], halves["high"]) == (100 * wilson(5, 11)[0], 100 * wilson(6, 11)[1])
    places = score_preferences([pair(1, 1, 1) for _ in range(20)])["quality_accuracy"]["debiased"]
    assert (places["mean"], places["low"]) == (1, 2 * wilson(10, 20)[0])
    # One image in all: its resamples are all the same, whatever the answers were.
    image = (Path("x.png"),)
    one = score_choices([choice("A", "B", images=image), choice("B", "A", images=image)])["debiased"]
    assert (one["low"], one["high"]) == tuple(100 * end for end in wilson(1, 2))


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
    found = score_preferences(pairs)
    assert {kind: cell["count"] for kind, cell in found["preferences"].items()} == {
        "consistent": 3,
        "first_place_twice": 1,
        "second_place_twice": 1,
        "same_twice": 1,
        "same_once": 1,
        "unread": 2,
    }
    quality = found["quality_accuracy"]
    assert quality["first"] == pytest.approx({**quality["first"], "mean": 2 * 2 / 7, "n": 7})
    assert quality["second"]["mean"] == pytest.approx(2 * 4 / 7)
    assert quality["debiased"]["mean"] == pytest.approx((2 + 1 + 1 + 0 + 1 + 1 + 0) / 7)
    assert quality["difference"]["points"] == pytest.approx(4 / 7)
    assert found["right_in_both"]["count"] == 1
    assert (found["n_reference_unread"], found["n_inference_failed"]) == (1, 1)
    first = found["places"]["first"]
    assert (first["first"]["count"], first["second"]["count"]) == (3, 3)
    # The better image stands first: six times in the first pass (right twice), once in the second (right).
    assert (first["right_where_better"]["count"], first["right_where_better"]["n"]) == (3, 7)
    second = found["places"]["second"]["right_where_better"]
    assert (second["count"], second["n"]) == (3, 7)
    assert found["places"]["unread"]["first"]["count"] == 2


def test_a_tie_in_the_reference_stays_one_when_images_are_swapped():
    found = score_preferences([pair("same", "same", "same"), pair(1, 2, "same")])
    assert found["quality_accuracy"]["debiased"]["mean"] == 1
    assert found["places"]["first"]["right_where_better"]["percent"] is None


def test_no_reference_that_can_be_read_gives_no_quality_accuracy():
    found = score_preferences([pair(1, 2, None)])["quality_accuracy"]
    assert found["debiased"] == {"mean": None, "low": None, "high": None, "n": 0, "few": True}


def test_the_order_of_rows_changes_no_digit():
    draw = random.Random(5)
    pairs = [
        choice(draw.choice("AB"), draw.choice("AB"), draw.choice("AB"), modality="CT", images=(Path(f"{i % 7}.png"),))
        for i in range(60)
    ]
    turned = draw.sample(pairs, len(pairs))
    assert score_choices(pairs) == score_choices(turned)
