"""Questions and reference texts: hand-written expectations."""

from __future__ import annotations

import numpy as np
import pytest

from medqbench_vlmeval.synth import texts as questions
from medqbench_vlmeval.synth.catalogue import DEGRADATIONS, SOURCES, Degradation, Planned, of_modality
from medqbench_vlmeval.synth.texts import compare, describe

GHOSTS = DEGRADATIONS["mr-motion"]


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_yes_or_no() -> None:
    asked = questions.yes_or_no("MRI slice", True, GHOSTS, yes_first=False)
    assert asked.text == "Does this MRI slice show motion ghosting?"
    assert asked.options == ("No", "Yes")
    assert asked.right == "Yes"


def test_which_puts_the_right_option_at_its_place() -> None:
    for place in range(4):
        asked = questions.which("MRI slice", GHOSTS, of_modality("MRI"), 4, place, rng())
        assert asked.options[place] == asked.right == "Motion ghosting"
        assert len(set(asked.options)) == 4
        assert questions.NOTHING in asked.options
    asked = questions.which("MRI slice", None, of_modality("MRI"), 3, 1, rng())
    assert asked.options[1] == asked.right == "No visible degradation"


def test_how_questions() -> None:
    rated = questions.how_good("CT slice", "severe", 2, rng())
    assert rated.options[2] == rated.right == "Reject"
    assert sorted(rated.options) == ["Good", "Reject", "Usable"]
    graded = questions.how_severe("CT slice", "mild", DEGRADATIONS["ct-ring"], 0, rng())
    assert graded.text == "How severe are the ring artifacts in this CT slice?"
    assert graded.options[0] == graded.right == "Mild"


def picture(degradation: Degradation | None, severity: str) -> Planned:
    return Planned(SOURCES["brain-axial"], degradation, severity, (1, 1))


def test_description_names_fault_and_level() -> None:
    text = describe(picture(GHOSTS, "mild"))
    assert text.startswith("The MRI slice is mildly degraded by motion ghosting. ")
    assert text.endswith("Overall, the quality of this image is usable.")


def test_comparison_names_the_better_place_whatever_the_order() -> None:
    clean, bad = picture(None, "none"), picture(GHOSTS, "severe")
    assert compare(clean, bad).startswith("Both images show the same scene, an MRI slice. The first image is free")
    assert compare(clean, bad).endswith("Overall, the first image is of higher quality.")
    assert compare(bad, clean).endswith("Overall, the second image is of higher quality.")
    with pytest.raises(ValueError, match="two different severities"):
        compare(bad, bad)
