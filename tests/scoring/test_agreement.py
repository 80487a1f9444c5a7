"""Agreement of a judge with people, of its rounds, a panel and stated conclusions: by hand and against libraries."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, DIMENSIONS, Task
from medqbench_vlmeval.judge import JudgeOptions, build_judge
from medqbench_vlmeval.scoring import score_reasoning
from medqbench_vlmeval.scoring.agreement import (
    between_judges,
    between_rounds,
    is_same,
    measure_agreement,
    measure_raters,
    pairwise,
    read_conclusion,
    score_conclusions,
    share_same,
    weighted_kappa,
)
from medqbench_vlmeval.types import Agreement, Judged, Prediction, PredictionStatus, Sample
from tests.make import verdict
from tests.scoring.finding_data import FIRST, SECOND, level

EQUAL = "Both images are of comparable quality."
JUDGE = [0, 1, 2, 2]
HUMAN = [0, 1, 1, 2]

marks = st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from([0, 1, 2])), min_size=1, max_size=60)
between_marks = st.lists(
    st.tuples(st.integers(0, 10).map(lambda i: i / 5), st.integers(0, 4).map(lambda i: i / 2)), min_size=1, max_size=40
)


def sides(pairs):
    return [one for one, _ in pairs], [other for _, other in pairs]


def vary(pairs):
    return all(len(set(side)) > 1 for side in sides(pairs))


def test_all_statistics_by_hand():
    # Of opposite ratings the mean square difference is 4, by chance 2 + 2 - 2 = 2.
    opposite = measure_agreement([0, 2], [2, 0])
    assert (opposite.kappa.value, opposite.spearman.value) == pytest.approx((-1, -1))
    agreement = measure_agreement(JUDGE, HUMAN)
    assert (agreement.n, agreement.accuracy.value, agreement.bias) == (4, 75.0, 0.25)
    # Differences 0, 0, 1, 0: mean square 1/4. By chance 9/4 + 6/4 - 2 * 5/4 * 1 = 5/4.
    assert agreement.kappa.value == pytest.approx(1 - (1 / 4) / (5 / 4))
    assert weighted_kappa(JUDGE, HUMAN) == pytest.approx(agreement.kappa.value)
    # Midranks 1, 2, 3.5, 3.5 and 1, 2.5, 2.5, 4; less 2.5: products 2.25 + 1.5, squares 4.5 and 4.5.
    assert agreement.spearman.value == pytest.approx(3.75 / 4.5)
    assert agreement.confusion == {
        "0": {"0": 1, "1": 0, "2": 0},
        "1": {"0": 0, "1": 1, "2": 1},
        "2": {"0": 0, "1": 0, "2": 1},
    }


@given(marks.filter(vary))
def test_kappa_is_cohens_with_quadratic_weights(pairs):
    expected = cohen_kappa_score(*sides(pairs), labels=[0, 1, 2], weights="quadratic")
    assert weighted_kappa(*sides(pairs)) == pytest.approx(expected, abs=1e-9)


@given(between_marks.filter(vary))
def test_spearman_is_scipys(pairs):
    spearman = measure_agreement(*sides(pairs)).spearman.value
    assert spearman == pytest.approx(spearmanr(*sides(pairs)).statistic, abs=1e-9)


@given(between_marks)
def test_everything_is_in_range(pairs):
    agreement = measure_agreement(*sides(pairs))
    assert 0 <= agreement.accuracy.value <= 100
    assert agreement.kappa.value is None or agreement.kappa.value <= 1
    assert agreement.spearman.value is None or abs(agreement.spearman.value) <= 1 + 1e-12
    assert sum(sum(row.values()) for row in agreement.confusion.values()) == len(pairs)
    assert (agreement.kappa.value is None) == (not vary(pairs))
    for cell in (agreement.accuracy, agreement.kappa, agreement.spearman):
        assert cell.interval is None or cell.low <= cell.high


def test_constant_ratings_leave_kappa_and_spearman_undefined():
    agreement = measure_agreement([2, 2, 2], [2, 2, 1])
    assert agreement.accuracy.value == pytest.approx(200 / 3)
    for cell in (agreement.kappa, agreement.spearman):
        assert (cell.value, cell.interval) == (None, None)
    assert agreement.n_undefined == {"accuracy": 0, "kappa": 2000, "spearman": 2000}
    nothing = measure_agreement([], [])
    assert (nothing.n, nothing.accuracy.value, nothing.kappa.value, nothing.bias) == (0, None, None, None)


def test_scores_between_marks_are_the_same_below_half_a_point():
    assert is_same(1.6, 2)
    assert not is_same(1.5, 2)
    assert not is_same(1.2, 0.7)  # 0.49999999999999994 in floating point
    assert measure_agreement([1.5, 0.4], [2, 0]).confusion["2"] == {"0": 0, "1": 0, "2": 1}  # halves go up


def test_resamples_without_a_value_are_counted():
    # A resample of four misses the one odd sample with 0.75^4 and holds it alone with 0.25^4: 0.320 together.
    agreement = measure_agreement([2, 2, 2, 1], [2, 2, 2, 1])
    assert 570 < agreement.n_undefined["kappa"] < 710
    assert agreement.kappa.interval == (1.0, 1.0)


def naive_interval(statistic, judge, human, resamples=4000):
    """The bootstrap as books describe it: draw samples, compute, take percentiles."""
    source = random.Random(5)
    draws = [source.choices(range(len(judge)), k=len(judge)) for _ in range(resamples)]
    values = [statistic([judge[i] for i in drawn], [human[i] for i in drawn]) for drawn in draws]
    known = sorted(value for value in values if value is not None and value == value)
    return known[int(0.025 * len(known))], known[int(0.975 * len(known))]


@pytest.mark.slow
def test_intervals_are_the_percentile_bootstraps():
    source = random.Random(1)
    human = [source.choice([0, 1, 2, 2]) for _ in range(60)]
    judge = [mark if source.random() < 0.8 else source.choice([0, 1, 2]) for mark in human]
    agreement = measure_agreement(judge, human)
    spearman = naive_interval(lambda *draw: spearmanr(*draw).statistic, judge, human, 1500)
    assert agreement.accuracy.interval == pytest.approx(naive_interval(share_same, judge, human), abs=2)
    assert agreement.kappa.interval == pytest.approx(naive_interval(weighted_kappa, judge, human), abs=0.03)
    assert agreement.spearman.interval == pytest.approx(spearman, abs=0.03)


def test_intervals_depend_on_the_samples_and_the_seed_alone():
    one, other = measure_agreement(JUDGE * 5, HUMAN * 5), measure_agreement(JUDGE[::-1] * 5, HUMAN[::-1] * 5)
    assert one.kappa.interval == other.kappa.interval
    assert len({measure_agreement(JUDGE * 5, HUMAN * 5, seed).kappa.interval for seed in range(4)}) > 1


def test_raters_among_themselves_by_hand():
    # Judge and first rater agree; the second differs on one answer by a point: kappa 0.8 with either (see above).
    agreement = measure_raters([JUDGE, HUMAN], JUDGE, range(4))
    assert agreement.kappa.value == pytest.approx(0.8)
    assert agreement.with_judge.value == pytest.approx((1 + 0.8) / 2)
    # Eight ratings with sum 9 and sum of squares 15; within the one answer 2 (4 + 1) - 9 = 1.
    assert agreement.alpha.value == pytest.approx(1 - 7 * 1 / (8 * 15 - 81))
    assert (agreement.alpha.n, agreement.kappa.n, agreement.with_judge.n) == (4, 4, 4)
    # A third who rated two answers and one that nobody else has: what is there counts, nothing is filled in.
    partial = measure_raters([[*JUDGE, None], [*HUMAN, None], [0, None, 1, None, 2]], [*JUDGE, None], range(5))
    # Kappa of the third on two common answers: 1 - (1/2) / (4/2 + 1/2 - 2 * 1 * 1/2) with the first, 1 with the second.
    assert partial.kappa.value == pytest.approx((0.8 + (1 - 0.5 / 1.5) + 1) / 3)
    # Ten ratings; answer 1: 0; answer 3 of 2, 1, 1: (3 * 6 - 16) / 2 = 1; sum 10, sum of squares 16.
    assert (partial.alpha.n, partial.alpha.value) == (4, pytest.approx(1 - 9 * 1 / (10 * 16 - 100)))


@settings(max_examples=15)
@given(st.lists(st.lists(st.sampled_from([0, 1, 2, None]), min_size=3, max_size=3), min_size=1, max_size=20))
def test_alpha_is_krippendorffs(rows):
    """Against its definition: one less the mean squared difference within answers over that of any two ratings."""
    answers = [known for row in rows if len(known := [score for score in row if score is not None]) > 1]
    every = [score for answer in answers for score in answer]
    within = sum((x - y) ** 2 / (len(answer) - 1) for answer in answers for x in answer for y in answer)
    across = sum((x - y) ** 2 for x in every for y in every)
    alpha = measure_raters(list(zip(*rows, strict=True)), [None] * len(rows), range(len(rows))).alpha
    assert alpha.n == len(answers)
    if not across:
        assert (alpha.value, alpha.interval) == (None, None)
    else:
        assert alpha.value == pytest.approx(1 - (within / len(every)) / (across / len(every) / (len(every) - 1)))


def test_answers_on_one_image_are_drawn_together():
    """Each answer twice says no more than once: the interval by image is that of half as many answers."""
    twice = [*range(20)] * 2
    one = measure_agreement(JUDGE * 5, HUMAN * 5)
    both, apart = (measure_agreement(JUDGE * 10, HUMAN * 10, clusters=of) for of in (twice, None))
    assert both.kappa.interval == one.kappa.interval
    assert both.accuracy.interval == one.accuracy.interval
    assert apart.kappa.low > both.kappa.low
    raters = [measure_raters([JUDGE * n, HUMAN * n], JUDGE * n, (twice, twice[:20])[n == 5]) for n in (5, 10)]
    assert raters[0].kappa.interval == pytest.approx(raters[1].kappa.interval)


def judged(index, score):
    return Judged(index, {name: verdict(name, score) for name in DIMENSIONS})


def split(dimension, parts, judge="j"):
    """A verdict with the scores of its parts, or with parts that have parts."""
    made = {
        name: split(dimension, part, name) if isinstance(part, dict) else verdict(dimension, part, name)
        for name, part in parts.items()
    }
    scores = [part.score for part in made.values()]
    return verdict(dimension, None if None in scores else sum(scores) / len(scores), judge, parts=made)


def in_parts(index, parts):
    """A judged sample whose every dimension has the same parts."""
    return Judged(index, {dimension: split(dimension, parts) for dimension in DIMENSIONS})


def test_rounds_by_hand():
    # Pairs (2, 2), (2, 1), (2, 1) of the first and (0, 0) of the second, whose third round failed.
    rounds = between_rounds([in_parts("1", {"1": 2, "2": 2, "3": 1}), in_parts("2", {"1": 0, "2": 0, "3": None})])
    assert list(rounds) == list(DIMENSION_TITLES.values())
    # In both orders: mean 10/8, mean square 18/8, so by chance 2 * (2.25 - 1.5625) = 1.375; mean square difference 1/2.
    assert rounds["Completeness"] == Agreement(4, 50.0, pytest.approx(1 - 0.5 / 1.375), 0.5)


def test_no_order_and_no_lack_of_rounds_matters():
    one = between_rounds([in_parts("1", {"1": 2, "2": 1}), in_parts("2", {"1": 0, "2": 1})])
    other = between_rounds([in_parts("1", {"1": 1, "2": 2}), in_parts("2", {"1": 1, "2": 0})])
    assert one == other
    assert between_rounds([in_parts("1", {"1": 2, "2": 2})])["Consistency"] == Agreement(1, 100.0, None, 0.0)
    plain = judged("1", 2)
    assert between_rounds([plain, Judged("2", {}, "inference failed")]) is None
    assert between_judges([plain]) is None
    assert between_rounds([in_parts("1", {"1": 2, "2": None})]) is None


def test_judges_by_hand():
    rows = [
        in_parts("1", {"a": 2, "b": 2}),
        in_parts("2", {"a": 0, "b": 1}),
        in_parts("3", {"a": 1, "b": None}),
        Judged("4", {}, "inference failed"),
    ]
    panel = between_judges(rows)
    titles = DIMENSION_TITLES.values()
    assert panel.means["a"] == {**dict.fromkeys(titles, 1.0), "Overall": 4.0}
    assert panel.means["b"] == {**dict.fromkeys(titles, 1.5), "Overall": 6.0}
    # On the two that both scored: mean square difference 1/2, by chance 4/2 + 5/2 - 2 * 1 * 3/2 = 3/2.
    assert panel.pairs == {"a": {"b": dict.fromkeys(titles, Agreement(2, 50.0, pytest.approx(2 / 3)))}}
    assert between_rounds(rows) is None


def test_three_raters_make_three_pairs():
    pairs = pairwise({"a": {"x": [0, 2]}, "b": {"x": [0, 2]}, "c": {"x": [None, None]}})
    assert [(first, list(others)) for first, others in pairs.items()] == [("a", ["b", "c"]), ("b", ["c"])]
    assert pairs["a"]["b"]["x"] == Agreement(2, 100.0, 1.0)
    assert pairs["a"]["c"]["x"] == Agreement(0, None, None)


def test_a_panel_whose_judges_have_rounds_has_both():
    panel = in_parts("1", {"a": {"1": 2, "2": 2}, "b": {"1": 0, "2": 1}})
    result = score_reasoning([Sample("1", Task.NO_REFERENCE, None)], [Prediction("1", "x")], [panel])
    assert (result.between_rounds["Preciseness"].n, result.between_rounds["Preciseness"].same) == (2, 50.0)
    assert result.between_judges.means["b"]["Preciseness"] == 0.5
    assert result.frequencies["Preciseness"] == {"0": 1, "1": 1, "2": 2}


def sample(index, description, task=Task.NO_REFERENCE):
    return Sample(index, task, None, description=description)


@pytest.mark.parametrize(
    ("answer", "reference", "stated", "score"),
    [
        (level("good"), level("good"), "good", 2),
        (level("usable"), level("good"), "usable", 1),
        (level("usable"), level("reject"), "usable", 1),
        (level("reject"), level("good"), "reject", 0),
        (level("good"), level("reject"), "good", 0),
        ("I see a lung.", level("good"), None, 0),
        (level("good"), "A lung.", "good", None),
        (level("good"), None, "good", None),
        # Pairs have no middle.
        (FIRST, FIRST, 1, 2),
        (FIRST, SECOND, 1, 0),
        (SECOND, SECOND, 2, 2),
        (EQUAL, FIRST, "same", 0),
        (EQUAL, EQUAL, "same", 2),
    ],
)
def test_the_published_rule_applied_to_conclusions(answer, reference, stated, score):
    task = Task.COMPARATIVE if "image is of" in str(reference) or reference == EQUAL else Task.NO_REFERENCE
    conclusion = read_conclusion(sample("1", reference, task), Prediction("1", answer))
    assert (conclusion.stated, conclusion.quality_accuracy) == (stated, score)


def test_what_is_no_answer_states_nothing():
    for status in (PredictionStatus.INFERENCE_FAILED, PredictionStatus.MISSING):
        conclusion = read_conclusion(sample("1", level("good")), Prediction("1", level("good"), status))
        assert (conclusion.stated, conclusion.reference, conclusion.quality_accuracy) == (None, "good", None)


def test_conclusions_beside_the_judge_by_hand():
    samples = [sample(str(i), level("good")) for i in range(5)] + [sample("5", "A lung.")]
    answers = [level("good"), level("usable"), level("reject"), "A lung.", level("good"), level("good")]
    predictions = [Prediction(str(i), answer) for i, answer in enumerate(answers)]
    # Computed 2, 1, 0, 0, 2 and nothing for the last; the judge gives 2, 2, 0, 0, no verdict, 2.
    verdicts = [judged(str(i), score) for i, score in enumerate((2, 2, 0, 0, None, 2))]
    check = score_reasoning(samples, predictions, verdicts).conclusions
    assert (check.n, check.n_stated, check.computed, check.judge, check.n_disagreements) == (5, 4, 1.0, 1.0, 1)
    # On four: mean square difference 1/4; by chance 5/4 + 8/4 - 2 * 3/4 * 1 = 7/4.
    assert check.agreement == Agreement(4, 75.0, pytest.approx(1 - (1 / 4) / (7 / 4)))


def test_checks_of_one_conclusion_or_none():
    unread, read = sample("1", "A lung."), sample("1", level("good"))
    answer = Prediction("1", level("good"))
    # A mean of rounds disagrees from half a point on. All computed scores are 2, which leaves kappa undefined.
    check = score_conclusions([read] * 2, [answer] * 2, [judged("1", 1.6), judged("1", 1.4)])
    assert (check.agreement, check.n_disagreements) == (Agreement(2, 50.0, None), 1)
    assert score_conclusions([unread], [answer], [judged("1", 2)]) is None
    assert score_conclusions([read], [answer], [Judged("1", {}, "inference failed")]) is None
    check = score_conclusions([read], [answer], [judged("1", None)])
    assert (check.judge, check.agreement.n, check.computed) == (None, 0, 2.0)


def test_the_embedded_judge_is_not_compared_with_itself():
    samples = [sample(str(i), level("good")) for i in range(3)] + [sample("3", FIRST, Task.COMPARATIVE)]
    answers = [level("good"), level("usable"), "A lung.", SECOND]
    predictions = [Prediction(str(i), answer) for i, answer in enumerate(answers)]
    by_rules = build_judge(JudgeOptions("rules")).judge(samples, predictions)
    assert score_conclusions(samples, predictions, by_rules) is None
    # It would be the same: both apply the published rule to the same reading.
    computed = [read_conclusion(*pair).quality_accuracy for pair in zip(samples, predictions, strict=True)]
    assert [one.verdicts["quality_accuracy"].score for one in by_rules] == computed == [2, 1, 0, 0]
