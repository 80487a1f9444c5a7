from __future__ import annotations

import itertools

import pytest

from medqbench_vlmeval.benchmark import DIMENSIONS, Task, parse_dataset_name
from medqbench_vlmeval.data import load_dataset
from medqbench_vlmeval.judge import JudgeOptions, build_judge
from medqbench_vlmeval.judge.rules import NO_CONCLUSION, RulesJudge
from medqbench_vlmeval.judge.usage import single_verdicts, usage_of
from medqbench_vlmeval.types import Prediction, Sample

NOISY = "The CT slice shows severe noise and mild blur. Contrast is poor. Overall, the quality of this image is reject."
CLEAN = "The image is sharp, free of noise and artifacts. Overall, the quality of this image is good."
PAIR = (
    "The first image is sharp and has no noise. The second image suffers from severe noise and motion artifacts. "
    "Overall, the first image is of higher quality."
)


def scores(answer: str, reference: str, task: Task = Task.NO_REFERENCE) -> tuple[int | None, ...]:
    """Completeness, preciseness, consistency, quality accuracy."""
    verdicts = RulesJudge().verdicts(task, answer, reference)
    return tuple(verdicts[dimension].score for dimension in DIMENSIONS)


@pytest.mark.parametrize(
    ("text", "task"), [(NOISY, Task.NO_REFERENCE), (CLEAN, Task.NO_REFERENCE), (PAIR, Task.COMPARATIVE)]
)
def test_a_copy_of_the_reference_scores_eight(text: str, task: Task) -> None:
    assert scores(text, text, task) == (2, 2, 2, 2)


@pytest.mark.parametrize("task", [Task.NO_REFERENCE, Task.COMPARATIVE])
@pytest.mark.parametrize("answer", ["", "   \n", "I cannot help with that.", "<think>Noise. The quality is reject"])
def test_an_answer_that_says_nothing_scores_zero(answer: str, task: Task) -> None:
    assert scores(answer, PAIR if task is Task.COMPARATIVE else NOISY, task) == (0, 0, 0, 0)


def test_completeness_is_the_share_of_the_references_findings() -> None:
    # Three findings: noise, blur, contrast. All: 2; two of three, below 3/4: 1; none: 0.
    assert scores("Noisy, blurred, low contrast. The quality is poor.", NOISY)[0] == 2
    assert scores("Noisy and blurred. The quality is poor.", NOISY)[0] == 1
    assert scores("Some rings. The quality is poor.", NOISY)[0] == 0


def test_contradictions_cost_preciseness() -> None:
    assert scores("Noisy. Overall, the quality of this image is reject.", NOISY)[1] == 2
    assert scores("Noisy but sharp. Overall, the quality of this image is reject.", NOISY)[1] == 1
    assert scores("Sharp and free of noise. Overall, the quality of this image is reject.", NOISY)[1] == 0
    assert scores("Noisy. Overall, the quality of this image is usable.", NOISY)[1] == 1
    assert scores("Noisy. Overall, the quality of this image is good.", NOISY)[1] == 0


@pytest.mark.parametrize(
    ("description", "by_level"),
    [
        # The burdens 0 (which supports good), 1 (mild), 2, 3 (a single severe one) and 6 (twice severe).
        ("No noise, sharp.", {"good": 2, "usable": 1, "reject": 0}),
        ("Mild noise.", {"good": 2, "usable": 2, "reject": 1}),
        ("Noise.", {"good": 1, "usable": 2}),
        ("Severe noise.", {"good": 1, "usable": 2, "reject": 2}),
        ("Severe noise. Severe blur.", {"good": 0, "usable": 1, "reject": 2}),
    ],
)
def test_consistency_holds_described_burden_against_the_own_conclusion(
    description: str, by_level: dict[str, int]
) -> None:
    answers = {level: f"{description} Overall, the quality of this image is {level}." for level in by_level}
    assert {level: scores(answer, CLEAN)[2] for level, answer in answers.items()} == by_level


def test_the_reference_shows_what_may_be_expected() -> None:
    lenient = "Severe noise. Severe blur. Overall, the quality of this image is usable."
    assert scores(lenient, NOISY)[2] == 1
    assert scores(lenient, lenient)[2] == 2


LEVELS = ("reject", "usable", "good")


@pytest.mark.parametrize(("concluded", "meant"), list(itertools.product(LEVELS, LEVELS)))
def test_quality_accuracy_is_two_less_the_distance(concluded: str, meant: str) -> None:
    answer, reference = (f"Noise. Overall, the quality of this image is {level}." for level in (concluded, meant))
    assert scores(answer, reference)[3] == 2 - abs(LEVELS.index(concluded) - LEVELS.index(meant))


def test_pairs_agree_or_do_not() -> None:
    opposite = PAIR.replace("Overall, the first image", "Overall, the second image")
    assert scores(opposite, PAIR, Task.COMPARATIVE) == (2, 0, 0, 0)
    assert scores("Image A is better.", PAIR, Task.COMPARATIVE)[3] == 2
    assert scores("Image B is worse.", PAIR, Task.COMPARATIVE)[3] == 2
    assert scores("Both are of comparable quality.", PAIR, Task.COMPARATIVE)[3] == 0
    same = "Both are noisy. Both images are of the same quality."
    assert scores("The images are of equal quality.", same, Task.COMPARATIVE)[3] == 2
    assert scores("Image 1 is better.", same, Task.COMPARATIVE)[3] == 0


def test_noise_in_one_image_is_cleanness_of_the_other() -> None:
    answer = "Image 1 has less noise than image 2 and is sharper. Image 2 shows motion artifacts. Image 1 is better."
    assert scores(answer, PAIR, Task.COMPARATIVE) == (2, 2, 2, 2)


def test_findings_on_the_wrong_image_are_contradictions() -> None:
    swapped = PAIR.replace("first", "#").replace("second", "first").replace("#", "second")
    assert scores(swapped, PAIR, Task.COMPARATIVE) == (0, 0, 2, 0)


def test_what_the_reference_does_not_say_is_unscored_with_the_reason() -> None:
    verdicts = RulesJudge().verdicts(Task.NO_REFERENCE, "The quality is good.", "The image shows noise.")
    for dimension in ("consistency", "quality_accuracy"):
        assert (verdicts[dimension].score, verdicts[dimension].reason) == (None, NO_CONCLUSION)
    assert verdicts["completeness"].score == 0
    verdicts = RulesJudge().verdicts(Task.NO_REFERENCE, "The quality is good.", "The quality is good.")
    assert verdicts["completeness"].score is None
    assert verdicts["quality_accuracy"].score == 2


def test_an_answer_of_100_000_characters_is_read() -> None:
    assert scores("Noise \x0b and blur, " * 5_000 + NOISY, NOISY)[3] == 2


def test_the_judge_is_deterministic_and_reports_each_verdict() -> None:
    samples = [Sample(str(i), Task.NO_REFERENCE, None, description=NOISY) for i in range(3)]
    predictions = [Prediction("2", CLEAN), Prediction("0", NOISY)]
    judge = build_judge(JudgeOptions("rules"))
    progress: list[tuple[int, int]] = []
    judged = judge.judge(samples, predictions, lambda step: progress.append((step.done, step.total)))
    assert judged == judge.judge(samples, predictions)
    assert [sample.unscored for sample in judged] == [None, "prediction missing", None]
    assert progress[-1] == (8, 8)
    assert usage_of(single_verdicts(judged)).calls == 0
    assert judge.describe().protocol.name == "rules"


@pytest.fixture(params=["MedQBench_Reasoning_NoReference_mini", "MedQBench_Reasoning_Comparative_mini"])
def embedded(request: pytest.FixtureRequest) -> tuple[Sample, ...]:
    return load_dataset(parse_dataset_name(request.param), images=False).samples


def test_the_embedded_references_against_themselves_nothing_and_each_other(embedded: tuple[Sample, ...]) -> None:
    def sums(replies: list[str]) -> list[float]:
        predictions = [Prediction(sample.index, reply) for sample, reply in zip(embedded, replies, strict=True)]
        judged = build_judge(JudgeOptions("rules")).judge(list(embedded), predictions)
        return [sum(sample.verdicts[dimension].score or 0 for dimension in DIMENSIONS) for sample in judged]

    references = [sample.description or "" for sample in embedded]
    assert sums(references) == [8] * len(embedded)
    assert sums([""] * len(embedded)) == [0] * len(embedded)
    assert sum(sums([*references[1:], references[0]])) < 0.75 * 8 * len(embedded)


def test_the_middle_of_an_answer_of_many_megabytes_is_left_out_and_that_is_noted() -> None:
    begin, end = "There is severe noise. ", "Overall, the quality of this image is reject."
    answer = begin + "The middle speaks of severe blur. " * 60_000 + end
    verdicts = RulesJudge().verdicts(Task.NO_REFERENCE, answer, begin + end)
    note = f"of the answer's {len(answer):,} characters the first and last 50,000 were read"
    assert {verdict.note for verdict in verdicts.values()} == {note}
    assert {name: verdict.score for name, verdict in verdicts.items()}["quality_accuracy"] == 2
    short = RulesJudge().verdicts(Task.NO_REFERENCE, begin + end, begin + end)
    assert {verdict.note for verdict in short.values()} == {None}
