"""References say what was put on the picture, in many wordings, and end with what it amounts to."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from medqbench_vlmeval.answers.conclusion import conclusion_of
from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.judge.rules import RulesJudge
from medqbench_vlmeval.synth.catalogue import DEGRADATIONS, GRADES, STRUCTURES, Degradation, Planned, Source, alike
from medqbench_vlmeval.synth.texts import compare, describe, which
from scripts.source_pictures import colon

LEVELS = {"none": "good", "mild": "usable", "severe": "reject"}


def picture(fault: Degradation | None, grade: str = "none", modality: str = "CT", **also: object) -> Planned:
    modality = fault.modality if fault else modality
    own = Source("k", modality, f"{modality} image", "authentic", "k", partial(colon, 1))
    return Planned(own, fault, grade, (1, 2), **also)  # type: ignore[arg-type]


@pytest.mark.parametrize("grade", ["none", *GRADES])
def test_a_severity_has_dozens_of_wordings_which_all_name_fault_degree_and_level(grade: str) -> None:
    shown = picture(None if grade == "none" else DEGRADATIONS["ct-ring"], grade)
    texts = {describe(shown, np.random.default_rng(seed)) for seed in range(400)}
    assert len(texts) > 60
    for text in texts:
        assert text.endswith(f" the quality of this image is {LEVELS[grade]}.")
        if grade != "none":
            assert {"mild": "mildly", "severe": "severely"}[grade] in text
            assert "ring artifacts" in text
    assert describe(shown, np.random.default_rng(3)) == describe(shown, np.random.default_rng(3))


@pytest.mark.parametrize("fault", DEGRADATIONS.values(), ids=lambda fault: fault.key)
def test_the_embedded_judge_reads_the_conclusion_and_finds_a_reference_right_by_itself(fault: Degradation) -> None:
    judge = RulesJudge()
    rng = np.random.default_rng(5)
    for grade in GRADES:
        for _ in range(4):
            text = describe(picture(fault, grade), rng)
            assert conclusion_of(Task.NO_REFERENCE, text) == LEVELS[grade]
            pair = compare(picture(fault, grade), picture(None, modality=fault.modality), rng)
            assert conclusion_of(Task.COMPARATIVE, pair) == 2
            for task, said in ((Task.NO_REFERENCE, text), (Task.COMPARATIVE, pair)):
                scores = {name: of.score for name, of in judge.verdicts(task, said, said).items()}
                if scores["completeness"] is not None:  # its lexicon knows no smoke, gain and rotation
                    assert set(scores.values()) == {2}, (said, scores)


def test_two_degradations_are_named_with_their_degrees_and_signs() -> None:
    ring, noise = DEGRADATIONS["ct-ring"], DEGRADATIONS["ct-noise"]
    text = describe(picture(ring, "severe", also=noise))
    assert "is severely degraded by ring artifacts and mildly by low-dose noise" in text
    assert ring.signs["severe"] in text
    assert noise.signs["mild"][1:] in text
    assert "degraded by ring artifacts and by low-dose noise" in describe(
        picture(ring, "mild", also=noise, also_severity="mild")
    )


def test_the_question_for_two_degradations_does_not_care_for_their_order() -> None:
    ring, noise = DEGRADATIONS["ct-ring"], DEGRADATIONS["ct-noise"]
    options = ("No visible degradation", "Low-dose noise together with ring artifacts")
    for pair in ((ring, noise), (noise, ring)):
        question = which("slice", pair, options)
        assert (question.right, question.scope) == (options[1], "modality-specific")
        assert question.text == "Which two degradations does this slice show?"
    assert which("slice", (), options).right == options[0]


@pytest.mark.parametrize(
    ("one", "other", "is_alike"),
    [
        ("fu-haze", "fu-over", True),
        ("mr-alias", "mr-noise", False),
        ("ct-sparse", "ct-limited", True),
        ("ct-ring", "ct-ring", True),
        ("hp-jpeg", "hp-fold", False),
    ],
)
def test_what_may_be_taken_for_each_other(one: str, other: str, is_alike: bool) -> None:
    assert alike(DEGRADATIONS[one], DEGRADATIONS[other]) is is_alike
    assert alike(DEGRADATIONS[other], DEGRADATIONS[one]) is is_alike


@pytest.mark.parametrize(
    "word", ["noise", "blur", "contrast", "exposure", "color", "motion", "alias", "bubble", "fold"]
)
def test_degradations_of_a_modality_that_share_such_a_word_are_alike(word: str) -> None:
    for modality in STRUCTURES:
        of_word = [of for of in DEGRADATIONS.values() if of.modality == modality and word in of.name]
        assert all(alike(a, b) for a in of_word for b in of_word)
