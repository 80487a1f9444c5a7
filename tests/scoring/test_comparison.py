"""Two runs on the same samples, worked out by hand."""

import random

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.scoring.compare import (
    Paired,
    compare_pair,
    detectable_share,
    interval_level,
    mark_distinct,
    not_distinct,
    rank_runs,
)
from medqbench_vlmeval.types import Sample


def perception(first, second, clusters=None, modalities=None):
    n = len(first)
    samples = [
        Sample(str(i), Task.PERCEPTION, "Q", modality=modalities[i] if modalities else None, question_type="What")
        for i in range(n)
    ]
    return Paired(
        Task.PERCEPTION, samples, [(one,) for one in first], [(one,) for one in second], clusters or list(range(n))
    )


def reasoning(first, second, clusters=None):
    samples = [Sample(str(i), Task.NO_REFERENCE, None, modality="CT") for i in range(len(first))]
    return Paired(Task.NO_REFERENCE, samples, first, second, clusters or list(range(len(first))))


def test_two_samples_by_hand():
    cell = compare_pair(perception([1, 1], [1, 0]))["overall"]
    assert (cell["n"], cell["a"], cell["b"], cell["difference"]) == (2, 100.0, 50.0, 50.0)
    # Resamples are 0, 50 or 100 points with chances 1/4, 1/2, 1/4.
    assert (cell["low"], cell["high"]) == (0.0, 100.0)
    assert (cell["both"], cell["only_a"], cell["only_b"], cell["neither"]) == (1, 1, 0, 0)
    assert (cell["p"], cell["p_clustered"], cell["p_holm"], cell["few"]) == (1.0, None, None, True)
    assert cell["detectable"] is None


def test_questions_that_share_images_by_hand():
    cell = compare_pair(perception([1, 1, 1, 0, 0, 1], [0, 0, 0, 0, 0, 1], [0, 0, 2, 2, 4, 4]))["overall"]
    assert (cell["n"], cell["n_clusters"]) == (6, 3)
    assert cell["p"] == 2 / 8
    assert cell["p_clustered"] == 2 / 4  # sums 2, 1 and 0 an image
    assert cell["detectable"] is None


def test_shared_images_make_a_sample_count_less():
    first, second = [1, 1, 1, 0, 0, 1] * 10, [0, 0, 0, 0, 0, 1] * 10
    cell = compare_pair(perception(first, second, [i // 2 for i in range(60)]))["overall"]
    # Residuals an image 1, 0, -1: 30/29 * 20/60², against 15/59/60 for independent samples.
    design = (30 / 29 * 20 / 60**2) / (15 / 59 / 60)
    assert cell["detectable"] == pytest.approx(100 * detectable_share(60 / design, 0.5))
    assert design == pytest.approx(1.3563, abs=5e-5)


def test_few_clusters_widen_the_interval():
    from scipy.stats import norm, t

    # 1 - 2 Phi(-sqrt(8/7) t): 2.5% on either side become 0.57%.
    assert interval_level(8) == pytest.approx(1 - 2 * norm.cdf(-((8 / 7) ** 0.5) * t.ppf(0.975, 7)))
    assert interval_level(8) == pytest.approx(0.9885, abs=5e-5)
    assert interval_level(1305) == pytest.approx(0.9503, abs=5e-5)
    assert interval_level(100_000) == pytest.approx(0.95, abs=1e-5)


def test_groups_and_holm_within_an_axis():
    first = [1] * 6 + [1] * 5
    second = [0] * 6 + [0] * 4 + [1]
    found = compare_pair(perception(first, second, modalities=["CT"] * 6 + ["MRI"] * 5))
    cells = found["axes"]["modality"]
    assert list(cells) == ["CT", "MRI"]
    assert (cells["CT"]["p"], cells["MRI"]["p"]) == (2 / 64, 2 / 16)
    assert (cells["CT"]["p_holm"], cells["MRI"]["p_holm"]) == (4 / 64, 2 / 16)
    assert cells["CT"]["low"] is None
    assert cells["CT"]["no_interval"] == "all differences are equal"
    assert cells["MRI"]["difference"] == 80.0
    # Another axis is another family.
    assert found["axes"]["question_type"]["What"]["p_holm"] == found["overall"]["p"]
    assert "severity" not in found["axes"]


def test_reasoning_by_hand():
    first = [(2, 2, 2, 2), (1, 1, 1, 1), (2, 2, 2, 0)]
    second = [(1, 1, 1, 1), (1, 1, 1, 1), (1, 1, 2, 0)]
    found = compare_pair(reasoning(first, second))
    cell = found["overall"]
    # Sums 8, 4, 6 against 4, 4, 4.
    assert (cell["a"], cell["b"], cell["difference"]) == (6.0, 4.0, 2.0)
    assert (cell["sd"], cell["n_differ"], cell["p"], cell["method"]) == (2.0, 2, 0.5, "exact")
    assert cell["detectable"] == pytest.approx(2.801585 * 2 / 3**0.5)
    dimensions = found["axes"]["dimension"]
    assert dimensions["Completeness"]["difference"] == pytest.approx(2 / 3)
    assert dimensions["Quality Accuracy"]["a"] == 1.0
    assert dimensions["Completeness"]["p_holm"] == 1.0
    assert found["axes"]["modality"]["CT"]["difference"] == 2.0


def test_descriptions_that_share_images():
    first, second = [(2, 0, 0, 0), (2, 0, 0, 0), (1, 0, 0, 0)], [(0, 0, 0, 0)] * 3
    cell = compare_pair(reasoning(first, second, [0, 0, 2]))["overall"]
    assert (cell["p"], cell["p_clustered"]) == (2 / 8, 2 / 4)
    # One image 2 a sample, the other 1: resampled means are 1, 5/3 and 2.
    assert (cell["low"], cell["high"]) == (1.0, 2.0)
    alone = compare_pair(reasoning(first, second, [0, 0, 0]))["overall"]
    assert (alone["low"], alone["no_interval"], alone["detectable"]) == (None, "a single sample or image", None)


def test_the_seed_decides_the_interval_and_the_order_of_samples_does_not():
    first, second = [i % 3 > 0 for i in range(600)], [i % 4 > 0 for i in range(600)]
    one = compare_pair(perception(first, second), 1)
    assert compare_pair(perception(first[::-1], second[::-1]), 1) == one
    assert any(compare_pair(perception(first, second), seed)["overall"] != one["overall"] for seed in (2, 3, 4))


def _turned(cell):
    """A cell with the runs in the other order."""
    swapped = {"a": "b", "b": "a", "only_a": "only_b", "only_b": "only_a"}
    found = {swapped.get(name, name): value for name, value in cell.items()}
    return found | {"difference": -cell["difference"], "low": -cell["high"], "high": -cell["low"]}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([i % 3 > 0 for i in range(60)], [i % 4 > 0 for i in range(60)]),
        # As many one way as the other: the interval is its own mirror image.
        ([i % 2 > 0 for i in range(60)], [i % 4 > 1 for i in range(60)]),
    ],
)
def test_the_runs_in_the_other_order_mirror_every_number(first, second):
    one, other = (compare_pair(pair) for pair in (perception(first, second), perception(second, first)))
    assert other["overall"] == _turned(one["overall"])


def test_descriptions_in_the_other_order_mirror_every_number():
    third = 1 / 3
    first = [((i % 7) * third, 2, (i % 5) * third, 1) for i in range(40)]
    second = [((i % 5) * third, 1 + third * (i % 2), (i % 4) * third, (i % 3) * third) for i in range(40)]
    clusters = [i - i % 3 for i in range(40)]
    one = compare_pair(reasoning(first, second, clusters))
    other = compare_pair(reasoning(second, first, clusters))
    assert other["overall"] == _turned(one["overall"])
    for name, cell in one["axes"]["dimension"].items():
        assert other["axes"]["dimension"][name] == _turned(cell)


def test_thirds_that_add_up_to_one_tie_with_one():
    """Images' sums of 1, -1, 1 and 1 in thirds and in ones: four equal ranks, three against one."""
    third = 1 / 3
    differences, clusters = [third, third, third, -1, third, third, third, 1], [0, 0, 0, 3, 4, 4, 4, 7]
    cell = compare_pair(reasoning([(1 + one, 0, 0, 0) for one in differences], [(1, 0, 0, 0)] * 8, clusters))["overall"]
    # Of 16 choices of signs, 2 give a sum of 4 ranks and 8 one of 2, which is the one here.
    assert cell["p_clustered"] == 10 / 16


def test_an_end_at_zero_is_zero():
    """Thirds have no exact sum: an end of 1e-10 would look like a difference that the interval tells from 0."""
    third = 1 / 3
    first, second = [(third, 0, 0, 0)] * 3 + [(1, 0, 0, 0)], [(0, 0, 0, 0)] * 3 + [(2, 0, 0, 0)]
    cell = compare_pair(reasoning(first, second))["overall"]
    assert cell["difference"] == pytest.approx(0, abs=1e-15)
    assert (cell["low"], cell["high"]) == (-1.0, round(third, 8))


def test_no_digit_of_a_judged_pair_depends_on_the_order_of_samples():
    chance = random.Random(5)
    marks = (0, 1 / 3, 2 / 3, 1, 2)
    first, second = ([tuple(chance.choices(marks, k=4)) for _ in range(200)] for _ in range(2))
    clusters = [i // 3 for i in range(200)]
    turned = compare_pair(reasoning(first[::-1], second[::-1], [-cluster for cluster in clusters[::-1]]))
    assert turned == compare_pair(reasoning(first, second, clusters))


def test_no_samples():
    with pytest.raises(ValueError, match="no samples"):
        compare_pair(perception([], []))


def test_ranking_and_who_cannot_be_told_apart():
    values = {"x": [1.0, 0.0, 1.0, 1.0], "y": [1.0, 1.0, 1.0, 1.0], "z": [0.0, 0.0, 0.0, 1.0]}
    ranking = rank_runs(values, [0, 1, 2, 3], 100.0)
    assert [(row["run"], row["value"]) for row in ranking] == [("y", 100.0), ("x", 75.0), ("z", 25.0)]
    assert ranking[0]["low"] is None
    assert ranking[1]["low"] < 75 < ranking[1]["high"]
    pairs = [
        {"a": a, "b": b, "overall": {"p": p, "p_clustered": None}}
        for a, b, p in (("x", "y", 0.2), ("x", "z", 0.02), ("y", "z", 0.001))
    ]
    mark_distinct(pairs)
    # .001 times 3, .02 times 2, .2.
    assert [pair["overall"]["p_holm"] for pair in pairs] == pytest.approx([0.2, 0.04, 0.003])
    assert [not_distinct(run, ranking, pairs) for run in "xyz"] == [["y"], ["x"], []]
