"""Item analysis: by hand, whatever the order of samples and models, and on scores that mean nothing."""

import math
import random
from itertools import permutations
from statistics import correlation

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.scoring.intervals import mean_interval, wilson
from medqbench_vlmeval.scoring.items import NONE_RIGHT, REVERSED, SECOND_LOOK, analyse_items
from medqbench_vlmeval.types import Sample

# Three questions, whose key is A, and five models with totals of 2, 2, 1, 2 and 1.
RIGHT = [[1, 1, 1, 1, 0], [1, 1, 0, 0, 0], [0, 0, 0, 1, 1]]
LETTERS = [["A", "A", "A", "A", "B"], ["A", "A", "B", None, "C"], ["B", "B", "C", "A", "A"]]


def questions(n):
    return [Sample(str(at), Task.PERCEPTION, None, {"A": "x", "B": "y", "C": "z"}, "A") for at in range(n)]


def rest(rows, row):
    return [sum(column) - row[model] for model, column in enumerate(zip(*rows, strict=True))]


def test_three_questions_and_five_models_by_hand():
    items = analyse_items(questions(3), RIGHT, LETTERS)
    assert [item.difficulty.value for item in items] == [80, 40, 40]
    assert (items[0].difficulty.low, items[0].difficulty.n) == (100 * wilson(4, 5)[0], 5)
    # Of the first: 1 1 1 1 0 against 1 1 0 1 1 on the others: (3 - 5 x 0.8 x 0.8) / 0.8.
    values = [-0.25, -0.4 / math.sqrt(1.2 * 0.8), -1.4 / math.sqrt(1.2 * 2.8)]
    assert [item.discrimination.value for item in items] == pytest.approx(values)
    half = 1.959963984540054 / math.sqrt(2)
    assert items[0].discrimination.high == pytest.approx(math.tanh(math.atanh(-0.25) + half))
    # The better half by total are the first, the second and the fourth model.
    assert [dict(item.chosen) for item in items] == [{"A": 3}, {"-": 1, "A": 2}, {"A": 1, "B": 2}]
    assert [item.notes for item in items] == [(), (), (SECOND_LOOK,)]


def test_p_is_the_share_of_orders_in_which_a_question_correlates_as_low():
    totals = [2, 2, 1, 2, 1]
    lowest = [min(correlation(row, order) for row in RIGHT) for order in permutations(totals)]
    for item, row in zip(analyse_items(questions(3), RIGHT, LETTERS), RIGHT, strict=True):
        as_low = sum(value <= correlation(row, totals) + 1e-9 for value in lowest)
        assert item.p == pytest.approx(as_low / len(lowest), abs=0.05)  # all orders; 1,000 are drawn


def test_what_does_not_vary_has_no_discrimination_and_is_named_where_nobody_is_right():
    rows, letters = [*RIGHT, [0] * 5, [0] * 5], [*LETTERS, ["B", "B", "C", "B", "A"], ["B", "C", "A", None, "B"]]
    samples = [*questions(4), Sample("4", Task.PERCEPTION, None, {}, "D")]
    *_, fourth, last = analyse_items(samples, rows, letters)
    assert (fourth.discrimination.value, fourth.discrimination.interval, fourth.p) == (None, None, None)
    assert fourth.notes == (SECOND_LOOK, NONE_RIGHT)
    assert last.notes == (NONE_RIGHT,)


def test_of_descriptions_sums_take_the_place_of_right_and_wrong():
    sums = [[8, 7, 5, 4, 2], [8, 6, 6, 3, 1], [7, 7, 4, 4, 0]]
    first, *_ = analyse_items([Sample(str(at), Task.NO_REFERENCE, None) for at in range(3)], sums)
    assert first.difficulty.value == pytest.approx(5.2)
    low, high = mean_interval(sums[0])
    assert first.difficulty.interval == pytest.approx((low, min(8, high)))
    assert first.discrimination.value == pytest.approx(correlation(sums[0], rest(sums, sums[0])))
    assert (first.chosen, first.notes) == ({}, ())
    # Means of three rounds that differ by the order of their addition alone do not vary.
    alike = analyse_items([Sample("0", Task.NO_REFERENCE, None)] * 4, [*sums, [0.1 + 0.2 + 0.3, *[0.6] * 4]])
    assert alike[3].discrimination.value is None


@given(st.randoms(use_true_random=False), st.sampled_from([5, 6, 9]))
@settings(max_examples=12, deadline=None)
def test_the_order_of_samples_and_models_decides_nothing(draw, models):
    letters = [[draw.choice("AABC") for _ in range(models)] for _ in range(6)]
    samples, columns = questions(6), list(range(models))

    def analysed(rows, columns):
        chosen = [[letters[row][column] for column in columns] for row in rows]
        scores = [[float(letter == "A") for letter in row] for row in chosen]
        found = analyse_items([samples[row] for row in rows], scores, chosen)
        return {
            item.sample.index: (item.difficulty, round(item.discrimination.value or 0, 9), item.chosen, item.notes)
            for item in found
        }

    rows = list(range(6))
    expected = analysed(rows, columns)
    draw.shuffle(rows)
    draw.shuffle(columns)
    assert analysed(rows, columns) == expected


@pytest.mark.slow
def test_scores_that_have_nothing_to_do_with_ability_are_seldom_called_reversed():
    called = 0
    for seed in range(100):
        draw = random.Random(seed)
        rows = [[float(draw.random() < 0.5) for _ in range(10)] for _ in range(30)]
        letters = [["A" if right else "B" for right in row] for row in rows]
        called += any(REVERSED in item.notes for item in analyse_items(questions(30), rows, letters))
    assert called <= 5


@pytest.mark.slow
def test_a_planted_question_that_weak_models_alone_have_right_is_found():
    found = others = 0
    for seed in range(20):
        draw = random.Random(seed)
        rows = [[float(draw.random() < 0.1 + 0.05 * model) for model in range(16)] for _ in range(60)]
        rows[0] = [float(model < 8) for model in range(16)]
        letters = [["A" if right else "B" for right in row] for row in rows]
        first, *rest_of = analyse_items(questions(60), rows, letters)
        found += REVERSED in first.notes and SECOND_LOOK in first.notes
        others += any(REVERSED in item.notes for item in rest_of)
    assert found >= 18
    assert others <= 1
