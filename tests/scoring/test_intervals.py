import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from medqbench_vlmeval.scoring import mean_interval, wilson
from medqbench_vlmeval.scoring.intervals import clipped, sum_of_means_interval


def test_wilson_by_hand():
    # p = 8/10, z = 1.95996: centre (0.8 + 3.84146/20) / 1.384146 = 0.71674, half width 0.22658
    low, high = wilson(8, 10)
    assert low == pytest.approx(0.49016, abs=1e-5)
    assert high == pytest.approx(0.94332, abs=1e-5)


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_scipy(counts):
    successes, n = counts
    theirs = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    low, high = wilson(successes, n)
    assert low == pytest.approx(theirs.low, abs=1e-9)
    assert high == pytest.approx(theirs.high, abs=1e-9)
    assert 0 <= low <= successes / n <= high <= 1


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 4)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(ValueError, match="wilson needs"):
        wilson(successes, n)


def test_mean_interval_by_hand():
    # values 0, 1, 2: mean 1, s = 1, half width 1.95996 / sqrt(3) = 1.13159
    low, high = mean_interval([0, 1, 2])
    assert (low, high) == (pytest.approx(1 - 1.95996 / math.sqrt(3), abs=1e-4), pytest.approx(2.13159, abs=1e-4))


def test_one_value_has_no_interval():
    assert mean_interval([2.0]) is None


@given(st.lists(st.tuples(*[st.integers(0, 2)] * 4), min_size=2, max_size=40))
def test_without_gaps_the_interval_of_a_sum_is_that_of_the_row_sums(rows):
    columns = [list(column) for column in zip(*rows, strict=True)]
    assert sum_of_means_interval(columns) == pytest.approx(mean_interval([sum(row) for row in rows]), abs=1e-9)


def test_a_sum_with_an_empty_column_has_no_interval():
    assert sum_of_means_interval([[1, 2], [None, None]]) is None
    assert clipped((-1.0, 3.0), 0, 2) == (0, 2)
