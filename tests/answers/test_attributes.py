"""What descriptions say of quality attributes."""

from __future__ import annotations

import pytest

from medqbench_vlmeval.answers.attributes import findings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The image is noisy.", {"noise": {"bad"}}),
        ("There is no noise.", {"noise": {"good"}}),
        ("No noise, blur or ringing is visible.", {"noise": {"good"}, "blur": {"good"}, "ringing": {"good"}}),
        ("It is free of noise and the contrast is low.", {"noise": {"good"}, "low contrast": {"bad"}}),
        ("The image is not sharp.", {"blur": {"bad"}}),
        ("The image is sharp.", {"blur": {"good"}}),
        ("A noise-free image.", {"noise": {"good"}}),
        ("Motion artifacts are absent.", {"motion": {"good"}}),
        ("Motion blur is seen.", {"motion": {"bad"}}),
        ("Contrast is adequate.", {"low contrast": {"good"}}),
        ("The lack of contrast is striking.", {"low contrast": {"bad"}}),
        ("Noise is low.", {"noise": {"good"}}),
        ("Illumination is uneven with vignetting.", {"illumination": {"bad"}}),
        ("Specular highlights and air bubbles.", {"specular": {"bad"}, "bubbles": {"bad"}}),
        ("A strong bias field.", {"bias field": {"bad"}}),
        ("Faint concentric rings.", {"ring": {"bad"}}),
        ("Streaks and metal artifacts.", {"streaks": {"bad"}, "metal": {"bad"}}),
        ("Mucosal folds are seen.", {}),
        ("The section has a tissue fold.", {"folds": {"bad"}}),
        ("Fine detail is lost.", {"structures": {"bad"}}),
        ("A chest CT.", {}),
        ("", {}),
    ],
)
def test_findings_have_the_side_that_the_words_give_them(text: str, expected: dict[str, set[str]]) -> None:
    assert {name: set(finding.sides) for (name, _), finding in findings(text, comparative=False).items()} == expected


@pytest.mark.parametrize(
    ("text", "strength"),
    [("Severe noise.", 3), ("Slight noise.", 1), ("Noise.", 2), ("Moderate noise.", 2), ("No severe noise.", 0)],
)
def test_strength_words_weigh_a_finding(text: str, strength: int) -> None:
    assert findings(text, comparative=False)["noise", None].strength == strength


def test_a_comparison_tells_the_images_apart() -> None:
    by_attribute = findings(
        "Image 1 is noisy. Blur is seen in image 2, while image 1 is sharper than image 2.", comparative=True
    )
    assert {key: set(finding.sides) for key, finding in by_attribute.items()} == {
        ("noise", 1): {"bad"},
        ("blur", 2): {"bad"},
        ("blur", 1): {"good"},
    }
