"""The levels and preferences that descriptions conclude with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqbench_vlmeval.answers.conclusion import preference, quality_level

LEVELS: list[tuple[str, str | None]] = [
    ("Overall, the quality of this image is good.", "good"),
    ("Overall, the quality of this image is **reject**.", "reject"),
    ("Overall, the quality of this image is [usable]", "usable"),
    ("The quality of this image is poor and it should be rejected.", "reject"),
    ("Overall quality: Good", "good"),
    ("Image quality - unusable.", "reject"),
    ("The image is not usable.", "reject"),
    ("quality of this image is not good", "reject"),
    ("Overall, the quality of this image is [good/usable/reject].", None),
    ("", None),
    ("The image quality is affected by low contrast.", None),
    ("This image is of good quality.", "good"),
    ("The overall image quality is quite poor", "reject"),
    ("This is a high-quality image.", "good"),
    ("I would reject this image.", "reject"),
    ("Final verdict: usable", "usable"),
    ("Reject.", "reject"),
    ("The quality of contrast is poor. Overall, the quality of this image is good. It is usable.", "good"),
    ("Overall, the quality of this image is rated as usable.", "usable"),
    ("Overall, the quality of this image can be considered good for diagnosis.", "good"),
    ("<think>the quality of this image is good</think> Overall, the quality of this image is reject", "reject"),
    ("Overall, the quality of this image is no longer usable.", "reject"),
    ("The image should not be rejected.", "usable"),
    ("the image quality is acceptable", "usable"),
    ("Overall, the quality of this image is excellent", "good"),
    ("Overall, the quality of this image is low.", "reject"),
    ("The quality of this image is low contrast.", None),
    ("Overall, the quality of this image is\ngood", "good"),
    ("The quality of this image is neither good nor reject; it is usable.", "usable"),
    ("The quality of this image is neither good nor bad.", "usable"),
    ("Neither noise nor poor contrast is seen, and the quality of this image is good.", "good"),
    ("I rate this image as usable.", "usable"),
    ("This image is a clear reject.", "reject"),
    ("Verdict – usable", "usable"),
    ("Conclusion: the quality of this image is 'usable'.", "usable"),
    ('{"quality": "good"}', "good"),
    ("Overall, the quality is neither good nor usable.", "reject"),
    ("Overall, the quality of this image is: reject", "reject"),
    ("Overall, the image quality is good to usable", None),
    ("Is the quality of this image good?", None),
    ("Noise is low and contrast is high.", None),
    ("Overall, the quality of this image is therefore judged as unacceptable", "reject"),
    ("The image shows severe noise.", None),
    ("The image is good.", "good"),
    ("Overall, the quality of this image is usable but not good.", "usable"),
    ("Overall, the quality of this image is poor, reject.", "reject"),
    ("The overall quality is good enough for diagnosis.", "good"),
    ("Quality: **Usable**.", "usable"),
    ("## Conclusion\nReject", "reject"),
    ("Overall, the quality of this image is *good*!", "good"),
    ("In sum, the quality of this image is usable.", "usable"),
    ("The image is severely degraded.", None),
    ("<think>the quality of this image is good", None),
]

PREFERENCES: list[tuple[str, int | str | None]] = [
    ("The first image has higher quality.", 1),
    ("Overall, the second image is of higher quality.", 2),
    ("Image 1 is worse than Image 2.", 2),
    ("The quality of image 2 exceeds that of image 1.", 2),
    ("Image A is better.", 1),
    ("Compared to image 1, image 2 has higher quality.", 2),
    ("Image 2, compared to image 1, is of superior quality", 2),
    ("The better image is Image 2.", 2),
    ("The higher-quality image is the first one.", 1),
    ("Both images are of comparable quality.", "same"),
    ("Image 1 has better contrast, but overall image 2 is of higher quality.", 2),
    ("B is better than A.", 2),
    ("Answer: B", 2),
    ("The left image is superior.", 1),
    ("The latter is of higher quality.", 2),
    ("Therefore, the quality of the second image is better than that of the first image.", 2),
    ("The second image is better, whereas the first image is worse.", 2),
    ("Image 1 > Image 2", 1),
    ("Which image has higher quality? Image 1.", 1),
    ("Conclusion: The second image.", 2),
    ("Image 2 is not better than Image 1.", 1),
    ("neither image is better", "same"),
    ("", None),
    ("Image 1 has better contrast.", None),
    ("I prefer Image 1.", 1),
    ("Overall, Image 2 has the higher overall quality.", 2),
    ("**Image 2** has higher quality", 2),
    ("The image on the right is preferable.", 2),
    ("The first image has lower quality than the second one.", 2),
    ("Image A has higher overall image quality than Image B due to less noise", 1),
    ("The first image outperforms the second.", 1),
    ("In conclusion, the first image exhibits higher quality.", 1),
    ("Image two wins.", 2),
    ("Overall, image 1 demonstrates significantly better quality.", 1),
    ("the quality of image 1 is inferior to that of image 2", 2),
    ("Conclude with which image has higher quality.", None),
    ("Image 1 and image 2 have the same quality.", "same"),
    ("The second image is noisy. The first image is sharper and therefore of higher quality.", 1),
    ("Better: Image 2", 2),
    ("Image quality: A > B", 1),
    ("The first image is better in overall quality", 1),
    ("Overall, Image A is preferred over Image B.", 1),
    ("Overall, I'd choose the second image over the first.", 2),
    ("The right image is of lower overall quality.", 1),
    ("There is no difference in quality between the images.", "same"),
    ("In sum, the second image has the higher quality.", 2),
    ("The two images are equally good.", "same"),
    ("Image B shows better overall quality compared to Image A.", 2),
]


@pytest.mark.parametrize(("text", "level"), LEVELS)
def test_the_level_that_is_stated(text: str, level: str | None) -> None:
    assert quality_level(text) == level


@pytest.mark.parametrize(("text", "image"), PREFERENCES)
def test_the_image_that_is_preferred(text: str, image: int | str | None) -> None:
    assert preference(text) == image


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    assert quality_level(text) in ("good", "usable", "reject", None)
    assert preference(text) in (1, 2, "same", None)


@given(
    st.sampled_from(["good", "usable", "reject"]), st.text(alphabet="abc xyz,\n").filter(lambda text: "." not in text)
)
def test_the_benchmarks_own_closing_sentence_is_read_behind_any_text(level: str, before: str) -> None:
    assert quality_level(f"{before}.\nOverall, the quality of this image is {level}.") == level


@given(st.sampled_from([("first", 1), ("second", 2)]), st.sampled_from(["better", "of higher quality", "superior"]))
def test_a_worse_image_means_that_the_other_is_preferred(name: tuple[str, int], better: str) -> None:
    assert preference(f"The {name[0]} image is {better}.") == name[1]
    assert preference(f"The {name[0]} image is not {better}.") == 3 - name[1]


@pytest.mark.parametrize(
    "unit", ["quality ", "quality is ", "image is ", "not ", "a ", "good quality ", "image 1 better ", "x"]
)
def test_long_texts_take_work_in_proportion(unit: str) -> None:
    """Patterns that backtrack would need hours on these: it is enough that this returns."""
    text = unit * (100_000 // len(unit))
    assert quality_level(text) in ("good", None)
    assert preference(text) in (1, None)
