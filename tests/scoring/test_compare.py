"""Two runs and more on the same samples, and paired tests: worked out by hand and against scipy."""

import random
from dataclasses import replace

import pytest
from scipy.stats import binomtest, norm, wilcoxon
from scipy.stats import t as student

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.scoring.compare import (
    Paired,
    adjust_pairs,
    compare_pair,
    detectable_share,
    holm,
    interval_level,
    mcnemar,
    rank_runs,
    sign_flip,
    signed_rank,
)
from medqbench_vlmeval.types import Sample

Z_LEVEL, Z_POWER = 1.959963984540054, 0.8416212335729143


def perception(first, second, clusters=None, modalities=None):
    named = enumerate(modalities or [None] * len(first))
    samples = [Sample(str(i), Task.PERCEPTION, "Q", modality=name, question_type="What") for i, name in named]
    sides = ([(right,) for right in side] for side in (first, second))
    return Paired(Task.PERCEPTION, samples, *sides, clusters or list(range(len(first))))


def reasoning(first, second, clusters=None):
    samples = [Sample(str(i), Task.NO_REFERENCE, None, modality="CT") for i in range(len(first))]
    return Paired(Task.NO_REFERENCE, samples, first, second, clusters or list(range(len(first))))


def values(difference):
    return difference.a, difference.b, difference.cell.value


def test_two_samples_by_hand():
    overall = compare_pair(perception([1, 1], [1, 0])).overall
    assert values(overall) == (100.0, 50.0, 50.0)
    # Resamples are 0, 50 or 100 points with chances 1/4, 1/2, 1/4.
    assert (overall.cell.interval, overall.cell.n, overall.cell.few) == ((0.0, 100.0), 2, True)
    assert overall.cell.counts == {"both": 1, "only_a": 1, "only_b": 0, "neither": 0}
    assert (overall.p, overall.p_clustered, overall.p_holm, overall.detectable) == (1.0, None, None, None)


def test_questions_that_share_images_by_hand():
    overall = compare_pair(perception([1, 1, 1, 0, 0, 1], [0, 0, 0, 0, 0, 1], [0, 0, 2, 2, 4, 4])).overall
    assert (overall.cell.n, overall.cell.n_clusters) == (6, 3)
    assert (overall.p, overall.p_clustered) == (2 / 8, 2 / 4)  # sums 2, 1 and 0 an image
    assert overall.decisive_p == 2 / 4
    assert overall.detectable is None


def test_shared_images_make_a_sample_count_less():
    first, second = [1, 1, 1, 0, 0, 1] * 10, [0, 0, 0, 0, 0, 1] * 10
    overall = compare_pair(perception(first, second, [i // 2 for i in range(60)])).overall
    # Residuals an image 1, 0, -1: 30/29 * 20/60², against 15/59/60 for independent samples.
    design = (30 / 29 * 20 / 60**2) / (15 / 59 / 60)
    assert overall.detectable == pytest.approx(100 * detectable_share(60 / design, 0.5))
    assert design == pytest.approx(1.3563, abs=5e-5)


def test_few_clusters_widen_the_interval():
    # 1 - 2 Phi(-sqrt(8/7) t): 2.5% on either side become 0.57%.
    assert interval_level(8) == pytest.approx(1 - 2 * norm.cdf(-((8 / 7) ** 0.5) * student.ppf(0.975, 7)))
    assert interval_level(8) == pytest.approx(0.9885, abs=5e-5)
    assert interval_level(1305) == pytest.approx(0.9503, abs=5e-5)
    assert interval_level(100_000) == pytest.approx(0.95, abs=1e-5)


def test_groups_and_holm_within_an_axis():
    first = [1] * 6 + [1] * 5
    second = [0] * 6 + [0] * 4 + [1]
    comparison = compare_pair(perception(first, second, modalities=["CT"] * 6 + ["MRI"] * 5))
    ct, mri = comparison.axes["modality"].values()
    assert (list(comparison.axes["modality"]), ct.p, mri.p) == (["CT", "MRI"], 2 / 64, 2 / 16)
    assert (ct.p_holm, mri.p_holm) == (4 / 64, 2 / 16)
    assert (ct.cell.interval, ct.no_interval) == (None, "all differences are equal")
    assert (mri.cell.value, mri.no_interval) == (80.0, None)
    # Another axis is another family.
    assert comparison.axes["question_type"]["What"].p_holm == comparison.overall.p
    assert "severity" not in comparison.axes


def test_reasoning_by_hand():
    first = [(2, 2, 2, 2), (1, 1, 1, 1), (2, 2, 2, 0)]
    second = [(1, 1, 1, 1), (1, 1, 1, 1), (1, 1, 2, 0)]
    comparison = compare_pair(reasoning(first, second))
    overall = comparison.overall
    # Sums 8, 4, 6 against 4, 4, 4.
    assert values(overall) == (6.0, 4.0, 2.0)
    assert (overall.sd, overall.cell.counts, overall.p, overall.method) == (2.0, {"n_differ": 2}, 0.5, "exact")
    assert overall.detectable == pytest.approx(2.801585 * 2 / 3**0.5)
    dimensions = comparison.axes["dimension"]
    assert dimensions["Completeness"].cell.value == pytest.approx(2 / 3)
    assert (dimensions["Quality Accuracy"].a, dimensions["Completeness"].p_holm) == (1.0, 1.0)
    assert comparison.axes["modality"]["CT"].cell.value == 2.0


def test_descriptions_that_share_images():
    first, second = [(2, 0, 0, 0), (2, 0, 0, 0), (1, 0, 0, 0)], [(0, 0, 0, 0)] * 3
    overall = compare_pair(reasoning(first, second, [0, 0, 2])).overall
    assert (overall.p, overall.p_clustered) == (2 / 8, 2 / 4)
    # One image 2 a sample, the other 1: resampled means are 1, 5/3 and 2.
    assert overall.cell.interval == (1.0, 2.0)
    alone = compare_pair(reasoning(first, second, [0, 0, 0])).overall
    assert (alone.cell.low, alone.no_interval, alone.detectable) == (None, "a single sample or image", None)


def test_the_seed_decides_the_interval_and_the_order_of_samples_does_not():
    first, second = [i % 3 > 0 for i in range(600)], [i % 4 > 0 for i in range(600)]
    forwards = compare_pair(perception(first, second), 1)
    assert compare_pair(perception(first[::-1], second[::-1]), 1) == forwards
    assert any(compare_pair(perception(first, second), seed).overall != forwards.overall for seed in (2, 3, 4))
    chance = random.Random(5)
    marks = (0, 1 / 3, 2 / 3, 1, 2)
    first, second = ([tuple(chance.choices(marks, k=4)) for _ in range(200)] for _ in range(2))
    clusters = [i // 3 for i in range(200)]
    turned = compare_pair(reasoning(first[::-1], second[::-1], [-cluster for cluster in clusters[::-1]]))
    assert turned == compare_pair(reasoning(first, second, clusters))


def test_the_runs_in_the_other_order_mirror_every_number():
    third = 1 / 3
    first = [((i % 7) * third, 2, (i % 5) * third, 1) for i in range(40)]
    second = [((i % 5) * third, 1 + third * (i % 2), (i % 4) * third, (i % 3) * third) for i in range(40)]
    clusters = [i - i % 3 for i in range(40)]
    right = [[i % 3 > 0 for i in range(60)], [i % 4 > 0 for i in range(60)]]
    for pair, turned in (
        (perception(*right), perception(*right[::-1])),
        (reasoning(first, second, clusters), reasoning(second, first, clusters)),
    ):
        forwards, other = compare_pair(pair).overall, compare_pair(turned).overall
        assert values(other) == (forwards.b, forwards.a, -forwards.cell.value)
        assert other.cell.interval == (-forwards.cell.high, -forwards.cell.low)
        assert (other.p, other.p_clustered, other.detectable) == (forwards.p, forwards.p_clustered, forwards.detectable)


def test_thirds_that_add_up_to_one_tie_with_one():
    """Images' sums of 1, -1, 1 and 1 in thirds and in ones: four equal ranks, three against one."""
    third = 1 / 3
    differences, clusters = [third, third, third, -1, third, third, third, 1], [0, 0, 0, 3, 4, 4, 4, 7]
    paired = reasoning([(1 + one, 0, 0, 0) for one in differences], [(1, 0, 0, 0)] * 8, clusters)
    # Of 16 choices of signs, 2 give a sum of 4 ranks and 8 one of 2, which is the one here.
    assert compare_pair(paired).overall.p_clustered == 10 / 16
    # Thirds have no exact sum: an end of 1e-10 would look like a difference that the interval tells from 0.
    first, second = [(third, 0, 0, 0)] * 3 + [(1, 0, 0, 0)], [(0, 0, 0, 0)] * 3 + [(2, 0, 0, 0)]
    cell = compare_pair(reasoning(first, second)).overall.cell
    assert (cell.value, cell.interval) == (pytest.approx(0, abs=1e-15), (-1.0, round(third, 8)))


def test_ranking_and_the_intervals_of_places():
    right = {"x": [1] * 12 + [0] * 8, "y": [1] * 11 + [0] * 8 + [1], "z": [0] * 20}
    names = [("x", "y"), ("x", "z"), ("y", "z")]
    pairs = adjust_pairs([compare_pair(perception(right[a], right[b])) for a, b in names])
    # McNemar of 1 against 1, and of 12 against 0 twice: 2/2^12 times 3 and, at least as much, times 2.
    assert [pair.overall.p_holm for pair in pairs] == pytest.approx([1, 6 / 2**12, 6 / 2**12])
    assert [pair.distinct for pair in pairs] == [False, True, True]
    ranking = rank_runs(right, list(range(20)), dict(zip(names, pairs, strict=True)), 100.0)
    assert [(row.run, row.cell.value) for row in ranking] == [("x", 60.0), ("y", 60.0), ("z", 0.0)]
    assert ranking[0].cell.low < 60 < ranking[0].cell.high
    assert ranking[2].cell.interval is None  # all values are equal
    # Equal means share a place; nobody is significantly better than x or y, and two are better than z.
    assert [(row.place, row.places) for row in ranking] == [(1, (1, 2)), (1, (1, 2)), (3, (3, 3))]


def test_how_alike_two_runs_answer_by_hand():
    same = [True, False, True, False]
    agreement = compare_pair(replace(perception([1, 1, 1, 0], [1, 1, 0, 0]), same=same)).agreement
    # Right or wrong alike in 3 of 4; of independent runs with 3/4 and 1/2 right half would be: (3/4 - 1/2) / (1 - 1/2).
    assert (agreement.n, agreement.same, agreement.kappa) == (4, 50.0, pytest.approx(0.5))
    assert compare_pair(perception([1, 1], [1, 0])).agreement.kappa is None  # the first has nothing wrong


def test_mcnemar_is_the_two_sided_binomial_test():
    # 2 P(X <= 2) of 10, and 1 where no sample is right on one side alone; 2 * 42/64 is cut to 1.
    assert [mcnemar(2, 8), mcnemar(0, 0), mcnemar(3, 3)] == pytest.approx([2 * (1 + 10 + 45) / 2**10, 1, 1])
    for b in (0, 1, 17, 150, 600):
        for c in (1, 18, 149, 640):
            assert mcnemar(b, c) == pytest.approx(binomtest(b, b + c).pvalue, rel=1e-9)
            assert mcnemar(b, c) == pytest.approx(sign_flip([1] * b + [-1] * c).p, rel=1e-9)
    assert mcnemar(0, 1000) == pytest.approx(2.0**-999, rel=1e-9)


def test_sign_flips_by_hand():
    assert [sign_flip(none).p for none in ([], [0, 0])] == [1, 1]
    # 3 and -3 of 3, 1, -1, -3; all four are 1 away or more; of eight two and six (sums 5, 3, 3, 1 and their negatives).
    flips = [sign_flip(differences).p for differences in ([2, 1], [2, -1], [3, 1, 0, 1], [3, 1, -1])]
    assert flips == pytest.approx([2 / 4, 1, 2 / 8, 6 / 8], abs=1e-15)


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
    result = signed_rank(differences)
    assert (result.p, result.method) == (pytest.approx(p), "exact")
    assert result.n == sum(one != 0 for one in differences)


def test_signed_ranks_are_scipys():
    draw = random.Random(1)
    untied = [draw.gauss(0.3, 1) for _ in range(40)]
    assert signed_rank(untied).p == pytest.approx(wilcoxon(untied, method="exact").pvalue, rel=1e-9)
    tied = [draw.choice((-3, -2, -1, 0, 0, 1, 2, 3, 4)) for _ in range(300)]
    result = signed_rank(tied)
    asymptotic = wilcoxon(tied, zero_method="wilcox", correction=False).pvalue
    assert (result.p, result.method) == (pytest.approx(asymptotic, rel=1e-9), "normal")
    # No order of additions counts.
    assert signed_rank([1.2 - 0.7, -0.5, 0.5]).p == signed_rank([0.5, -0.5, 0.5]).p
    assert signed_rank([0.1 + 0.2 - 0.3, 1.0]).n == 1


def test_holm_by_hand():
    # Sorted .005, .01, .03, .04 times 4, 3, 2, 1; the last may not fall below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_detectable_share_solves_connors_equation():
    # sqrt(100) d = 1.96 sqrt(.2) + .8416 sqrt(.2 - d²) at d = .1238.
    share = detectable_share(100, 0.2)
    assert share == pytest.approx(0.1238, abs=5e-5)
    assert 10 * share == pytest.approx(Z_LEVEL * 0.2**0.5 + Z_POWER * (0.2 - share**2) ** 0.5)
    # The test split, one question in five on which two models differ.
    assert detectable_share(1305, 0.2) == pytest.approx(0.03465, abs=5e-6)


def test_a_difference_needs_as_much_discordance():
    # 5 sqrt(d) = 1.96 + .8416 sqrt(1 - d) at d = .2855: at least 28.5% of 25 samples must differ.
    for discordant in (0.0, 0.04):
        share = detectable_share(25, discordant)
        assert share == pytest.approx(0.2855, abs=5e-5)
        assert 5 * share**0.5 == pytest.approx(Z_LEVEL + Z_POWER * (1 - share) ** 0.5)
    assert detectable_share(3, 0.5) is None  # sqrt(3) is below 1.96
    assert detectable_share(0, 0.5) is None
