"""Tests of paired samples, against values worked out by hand and against scipy."""

import random

import pytest

from medqbench_vlmeval.scoring.compare import detectable_mean, detectable_share, holm, mcnemar, sign_flip, signed_rank

Z_LEVEL, Z_POWER = 1.959963984540054, 0.8416212335729143


@pytest.mark.parametrize(
    ("b", "c", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),  # 2 * 1/2
        (0, 5, 2 / 2**5),
        (8, 2, 2 * (1 + 10 + 45) / 2**10),
        (2, 8, 2 * (1 + 10 + 45) / 2**10),
        (3, 3, 1.0),  # 2 * 42/64 is cut to 1
    ],
)
def test_mcnemar_by_hand(b, c, p):
    assert mcnemar(b, c) == p


def test_mcnemar_is_the_two_sided_binomial_test():
    from scipy.stats import binomtest

    for b in (0, 1, 4, 17, 150, 600):
        for c in (1, 5, 18, 149, 640):
            assert mcnemar(b, c) == pytest.approx(binomtest(b, b + c).pvalue, rel=1e-9)


def test_mcnemar_keeps_small_tails_and_many_samples():
    assert mcnemar(0, 1000) == 2.0**-999
    assert 0.5 < mcnemar(10_000, 10_050) < 1
    with pytest.raises(ValueError, match="counts"):
        mcnemar(-1, 2)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([], 1.0),
        ([0, 0], 1.0),
        ([2, 1], 2 / 4),  # 3 and -3 of 3, 1, -1, -3
        ([2, -1], 1.0),  # all four are 1 away or more
        ([3, 1, 0, 1], 2 / 8),
        ([3, 1, -1], 6 / 8),  # sums 5, 3, 3, 1 and their negatives
    ],
)
def test_sign_flips_by_hand(differences, p):
    assert sign_flip(differences).p == pytest.approx(p, abs=1e-15)


def test_sign_flips_of_single_samples_are_mcnemar():
    for b, c in ((0, 4), (3, 9), (40, 61), (12, 12)):
        assert sign_flip([1] * b + [-1] * c).p == pytest.approx(mcnemar(b, c), rel=1e-12)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1, 2, 3, 4, 5], 2 / 32),
        # W+ = 1 + 2 + 3; of 16 choices of signs two have W+ = 5, the middle, and 14 lie at least as far out.
        ([1, 2, 3, -4], 14 / 16),
        ([2, 2, 2], 2 / 8),  # all ranks tie at 2
        ([1, 1, -1], 1.0),
        ([0, 0, 4, 2], 2 / 4),
    ],
)
def test_signed_ranks_by_hand(differences, p):
    found = signed_rank(differences)
    assert (found.p, found.method) == (pytest.approx(p), "exact")
    assert found.n == sum(one != 0 for one in differences)


def test_signed_ranks_are_scipys():
    from scipy.stats import wilcoxon

    draw = random.Random(1)
    untied = [draw.gauss(0.3, 1) for _ in range(40)]
    assert signed_rank(untied).p == pytest.approx(wilcoxon(untied, method="exact").pvalue, rel=1e-9)
    tied = [draw.choice((-3, -2, -1, 0, 0, 1, 2, 3, 4)) for _ in range(300)]
    found = signed_rank(tied)
    asymptotic = wilcoxon(tied, zero_method="wilcox", correction=False, method="asymptotic").pvalue
    assert (found.p, found.method) == (pytest.approx(asymptotic, rel=1e-9), "normal")


def test_signed_ranks_do_not_mind_the_order_of_additions():
    assert signed_rank([1.2 - 0.7, -0.5, 0.5]).p == signed_rank([0.5, -0.5, 0.5]).p
    assert signed_rank([0.1 + 0.2 - 0.3, 1.0]).n == 1


def test_holm_by_hand():
    # Sorted .005, .01, .03, .04 times 4, 3, 2, 1; the last may not fall below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.02, None, 0.03]) == [0.04, None, 0.04]
    assert holm([]) == []


def test_detectable_share_solves_connors_equation():
    # sqrt(100) d = 1.96 sqrt(.2) + .8416 sqrt(.2 - d²) at d = .1238.
    found = detectable_share(100, 0.2)
    assert found == pytest.approx(0.1238, abs=5e-5)
    assert 10 * found == pytest.approx(Z_LEVEL * 0.2**0.5 + Z_POWER * (0.2 - found**2) ** 0.5)
    # The test split, one question in five on which two models differ.
    assert detectable_share(1305, 0.2) == pytest.approx(0.03465, abs=5e-6)


def test_a_difference_needs_as_much_discordance():
    # 5 sqrt(d) = 1.96 + .8416 sqrt(1 - d) at d = .2855: at least 28.5% of 25 samples must differ.
    for discordant in (0.0, 0.04):
        found = detectable_share(25, discordant)
        assert found == pytest.approx(0.2855, abs=5e-5)
        assert 5 * found**0.5 == pytest.approx(Z_LEVEL + Z_POWER * (1 - found) ** 0.5)
    assert detectable_share(3, 0.5) is None  # sqrt(3) is below 1.96
    assert detectable_share(0, 0.5) is None


def test_detectable_mean():
    assert detectable_mean(0.1) == pytest.approx(0.1 * (Z_LEVEL + Z_POWER))
    assert detectable_mean(0.0) is None
    assert detectable_mean(None) is None
