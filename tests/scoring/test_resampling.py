import numpy as np
import pytest
from scipy.stats import binom

from medqbench_vlmeval.scoring.intervals import SumOfMeans, bootstrap, totals_by_cluster


def share(sums):
    return sums[:, 0] / sums[:, 1]


def test_totals_are_added_up_by_cluster():
    terms = np.array([[1, 1], [0, 1], [1, 1], [1, 1]])
    assert totals_by_cluster([9, 4, 9, 4], terms).tolist() == [[1, 2], [2, 2]]


def test_a_share_of_independent_samples_has_the_binomials_quantiles():
    terms = np.column_stack([np.arange(100) % 2, np.ones(100)])
    (found,) = bootstrap(terms, share)
    # 40 and 60 of 100: the 2.5th and 97.5th percentile of a binomial with the observed share.
    expected = binom.ppf([0.025, 0.975], 100, 0.5) / 100
    assert (found.low, found.high) == pytest.approx(expected, abs=0.011)
    assert found.n_undefined == 0


def test_a_share_of_clusters_is_as_uncertain_as_its_clusters():
    right = [100.0 * (place % 2) for place in range(25) for _ in range(4)]
    low, high = SumOfMeans([right], [place // 4 for place in range(100)]).interval()
    # 12 of 25 images are right: 7 and 17 of 25, 28% and 68%.
    assert (low, high) == (pytest.approx(28, abs=4.1), pytest.approx(68, abs=4.1))


def test_order_and_names_of_clusters_change_no_digit():
    chance = np.random.default_rng(4)
    scores, clusters = chance.integers(0, 11, 300) / 5, chance.integers(0, 90, 300)
    first = SumOfMeans([scores.tolist(), scores[::-1].tolist()], clusters.tolist())
    order = chance.permutation(300)
    again = SumOfMeans([scores[order].tolist(), scores[::-1][order].tolist()], (1000 - 3 * clusters[order]).tolist())
    assert first.interval() == again.interval()
    assert first.interval() != first.interval(seed=1)
    places = np.argsort(order)
    one, other = list(range(100)), list(range(150, 300))
    moved = [[int(places[place]) for place in positions] for positions in (one, other)]
    assert first.gap_interval(one, other) == again.gap_interval(*moved)


def test_many_different_clusters_are_drawn_in_pieces():
    values = np.random.default_rng(2).normal(size=5000)
    (found,) = bootstrap(np.column_stack([values, np.ones(5000)]), share)
    half = 1.96 * values.std() / np.sqrt(5000)
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.15 * half)


def test_resamples_without_a_value_are_counted_and_left_out():
    # One cluster in ten has the group: (9/10)^10 = 35% of the draws are without it.
    totals = np.array([[1.0, 1.0]] + [[0.0, 0.0]] * 9)
    (found,) = bootstrap(totals, share)
    assert (found.low, found.high) == (1, 1)
    assert found.n_undefined == pytest.approx(0.349 * 2000, abs=90)
    (never,) = bootstrap(np.array([[0.0, 0.0]] * 3), share)
    assert (never.low, never.high, never.n_undefined) == (None, None, 2000)


def test_several_statistics_come_from_the_same_draws():
    totals = np.array([[1.0, 1.0], [0.0, 1.0]] * 20)
    plain, doubled = bootstrap(totals, lambda sums: np.column_stack([share(sums), 2 * share(sums)]))
    assert (doubled.low, doubled.high) == (2 * plain.low, 2 * plain.high)
    (narrow,) = bootstrap(totals, share, level=0.5)
    assert plain.low < narrow.low < narrow.high < plain.high


def test_a_missing_verdict_is_left_out_of_its_mean_alone():
    # The second column is 2 wherever it is known, so that the sum varies with the first one only.
    first = [float(place % 3) for place in range(30)]
    second = [2.0 if place % 5 else None for place in range(30)]
    alone = SumOfMeans([first], range(30)).interval()
    both = SumOfMeans([first, second], range(30)).interval()
    assert both == pytest.approx((alone[0] + 2, alone[1] + 2), abs=0.12)
    assert SumOfMeans([first], [0] * 30).interval() is None
    assert SumOfMeans([[1.0] * 30], range(30)).interval() is None


def test_a_gap_is_as_uncertain_as_the_images_behind_it():
    # Three questions on each of 40 images: 15 of the first 20 images are right, 5 of the others.
    right = [100.0 * (image % 20 < (15 if image < 20 else 5)) for image in range(40) for _ in range(3)]
    measure = SumOfMeans([right], [place // 3 for place in range(120)])
    low, high = measure.gap_interval(range(60), range(60, 120))
    # Of two independent means of 20: 1.96 * sqrt(2 * 0.75 * 0.25 / 20) = 26.8 points to each side.
    assert (low, high) == (pytest.approx(50 - 26.8, abs=4), pytest.approx(50 + 26.8, abs=4))
    # The normal quantile of 99% is 2.576: 35.3 points.
    low, high = measure.gap_interval(range(60), range(60, 120), level=0.99)
    assert (low, high) == (pytest.approx(50 - 35.3, abs=5), pytest.approx(50 + 35.3, abs=5))
    # The same clusters on both sides with the same answers: no resample tells the sides apart.
    twice = SumOfMeans([right + right], [place // 3 for place in [*range(120), *range(120)]])
    assert twice.gap_interval(range(120), range(120, 240)) is None
