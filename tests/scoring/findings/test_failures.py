"""Groups that fail more often than chance allows: worked out by hand, planted, and of outcomes that mean nothing."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.scoring.findings.failures import failure_groups
from medqbench_vlmeval.scoring.intervals import wilson
from medqbench_vlmeval.types import Sample
from tests.make import choice, judged, make_run


def sample(at, **axes):
    return Sample(str(at), Task.PERCEPTION, None, **axes)


def groups(samples, failed, clusters=None):
    """The groups found, with their values as pairs; none where there are none."""
    found = failure_groups(samples, failed, clusters or range(len(samples)))
    return [] if isinstance(found, str) else [(*group.values.items(),) for group in found.details.failure_groups]


def crossed(n, seed=0, per_image=1):
    """Samples with four axes, whose images have ``per_image`` questions each, and their images."""
    draw, samples = random.Random(seed), []
    for at in range(n):
        if at % per_image == 0:
            image = {
                "modality": draw.choice(["CT", "MRI", "Fundus"]),
                "degradation": draw.choice(["noise", "blur", "motion", "contrast"]),
                "severity": draw.choice(["mild", "severe"]),
            }
        samples.append(sample(at, **image, question_type=draw.choice(["Yes-or-No", "What", "How"])))
    return samples, [at // per_image for at in range(n)]


def test_a_group_is_found_with_its_rate_interval_and_adjusted_p():
    # 12 CT samples fail, all of them, and none of 28 MRI samples. Two groups are looked at: 2 / C(40, 12).
    samples = [sample(at, modality="CT" if at < 12 else "MRI") for at in range(40)]
    found = failure_groups(samples, [at < 12 for at in range(40)], range(40))
    (group,) = found.details.failure_groups
    assert group.values == {"modality": "CT"}
    assert group.p == pytest.approx(2 / math.comb(40, 12))
    low, _ = wilson(12, 12)
    assert (group.share.value, group.share.low, group.share.high) == (100, pytest.approx(100 * low), 100)
    assert (group.share.n, group.share.n_clusters, group.share.counts) == (12, 12, {"count": 12})
    assert found.statement == (
        "1 of 2 groups fails more often than chance allows, most surely modality CT: 12 of 12 (100.00%, 95% interval "
        "75.75 to 100.00); of all samples 12 of 40 failed (30.00%)."
    )


def test_questions_on_one_image_count_as_what_they_add():
    # All ten questions of an image fail or none: 40 failed ones on 4 images are as sure as 4 of 14, and no more.
    samples = [sample(at, modality="CT" if at < 40 else "MRI") for at in range(140)]
    failed, images = [at < 40 for at in range(140)], [at // 10 for at in range(140)]
    (group,) = failure_groups(samples, failed, images).details.failure_groups
    assert group.p == pytest.approx(2 / math.comb(14, 4))
    assert group.share.low == pytest.approx(100 * wilson(4, 4)[0])
    assert group.share.n_clusters == 4
    assert (
        failure_groups(samples[30:], failed[30:], images[30:]) == "none of 2 groups fails more often than chance allows"
    )


def test_what_a_group_explains_is_not_shown_again():
    samples, _ = crossed(600)
    bad = [item.modality == "CT" and item.severity == "severe" for item in samples]
    assert groups(samples, bad) == [(("modality", "CT"), ("severity", "severe"))]
    # The whole of CT fails often and its severe part always: both say something.
    draw = random.Random(0)
    often = [
        draw.random() < (1 if is_bad else 0.6 if item.modality == "CT" else 0.1)
        for item, is_bad in zip(samples, bad, strict=True)
    ]
    both = [(("modality", "CT"), ("severity", "severe")), (("modality", "CT"),)]
    assert sorted(groups(samples, often)) == sorted(both)
    # Two causes that cross: each once, and not where they meet.
    either = [
        draw.random() < (0.9 if item.degradation == "noise" or item.question_type == "How" else 0.1) for item in samples
    ]
    assert sorted(groups(samples, either)) == [(("degradation", "noise"),), (("question_type", "How"),)]


def test_of_groups_with_the_same_samples_the_one_with_fewest_axes_is_shown():
    samples = [sample(at, modality="CT" if at < 12 else "MRI", source="s" if at < 12 else "t") for at in range(40)]
    assert groups(samples, [at < 12 for at in range(40)]) == [(("modality", "CT"),)]


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        ([sample(at) for at in range(20)], "no group of 10 samples or more on any axis"),
        ([sample(at, modality="CT") for at in range(20)], "no group of 10 samples or more on any axis"),
        ([sample(at, modality=str(at)) for at in range(20)], "no group of 10 samples or more on any axis"),
        (
            [sample(at, modality="AB"[at % 2]) for at in range(20)],
            "none of 2 groups fails more often than chance allows",
        ),
    ],
)
def test_where_there_is_none_the_reason_is_said(samples, reason):
    assert failure_groups(samples, [True] * 20, range(20)) == reason


@given(st.randoms(use_true_random=False))
@settings(max_examples=10, deadline=None)
def test_the_order_of_rows_decides_nothing(draw):
    samples, images = crossed(120, per_image=2)
    rows = [
        (item, item.modality == "CT" and at % 4 < 3, image)
        for at, (item, image) in enumerate(zip(samples, images, strict=True))
    ]
    expected = failure_groups(*zip(*rows, strict=True))
    draw.shuffle(rows)
    assert failure_groups(*zip(*rows, strict=True)) == expected


@pytest.mark.slow
@pytest.mark.parametrize("per_image", [1, 4])
def test_outcomes_that_mean_nothing_show_a_group_in_at_most_five_percent_of_runs(per_image):
    # With 4 questions an image, images are hard or easy, which no axis has to do with.
    shown = 0
    for seed in range(100):
        samples, images = crossed(240, seed, per_image)
        draw = random.Random(seed)
        hard = [draw.betavariate(1, 1.5) if per_image > 1 else 0.4 for _ in range(len(samples))]
        shown += bool(groups(samples, [draw.random() < hard[image] for image in images], images))
    assert shown <= 5


@pytest.mark.slow
@pytest.mark.parametrize("per_image", [1, 4])
def test_failures_that_were_planted_are_found_and_nothing_else(per_image):
    found = more = 0
    for seed in range(40):
        samples, images = crossed(600, seed, per_image)
        draw, planted = random.Random(seed), (("modality", "CT"), ("degradation", "noise"))
        rates = [0.9 if item.modality == "CT" and item.degradation == "noise" else 0.3 for item in samples]
        shown = groups(samples, [draw.random() < rate for rate in rates], images)
        found, more = found + (planted in shown), more + (len(shown) > 1)
    assert found >= 38
    assert more <= 2


def test_results_keep_them_in_files_and_old_files_have_none(tmp_path):
    from medqbench_vlmeval.runs.result import result_from_json
    from tests.make import score_of

    run = make_run([choice(str(at), at >= 14, modality="CT" if at < 14 else "MRI") for at in range(40)])
    finding = run.result["perception"].findings["failure_groups"]
    content = score_of(run)
    assert result_from_json(content)["perception"].findings["failure_groups"] == finding
    del content["findings"]["failure_groups"]
    assert "failure_groups" not in result_from_json(content)["perception"].findings


def test_a_described_sample_fails_where_an_error_can_be_told():
    rows = [
        judged(str(at), (0, 2, 2, 2) if at < 12 else (2, 2, 2, 2), severity="severe" if at < 12 else "none")
        for at in range(40)
    ]
    (group,) = make_run(rows).result["no-reference"].findings["failure_groups"].details.failure_groups
    assert (group.values, group.share.counts) == ({"severity": "severe"}, {"count": 12})
