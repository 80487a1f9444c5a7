"""What every row of the catalogue promises: more severe is further away in the row's own measure; the picture's shape,
finite values, the same picture for the same seed; mild can be seen; and the function's words and parameters hold."""

from __future__ import annotations

import inspect
import re
from functools import cache
from pkgutil import resolve_name

import numpy as np
import pytest
from skimage.transform import resize

from medqbench_vlmeval.synth.catalogue import DEGRADATIONS, STRUCTURES, Degradation
from medqbench_vlmeval.synth.images import Picture, package
from scripts import source_pictures
from scripts.build_mini import SOURCES
from scripts.measures import MEASURES

ROWS = pytest.mark.parametrize("row", DEGRADATIONS.values(), ids=DEGRADATIONS)
GRADES = ("mild", "moderate", "severe")
SEEDS = (5, 6, 7)
# A change is seen where it is 4 of 255 grey levels or more, and in at least 1 of 500 pixels.
SEEN_LEVELS, SEEN_SHARE = 4, 0.002


def _echo() -> Picture:
    frame = package("pydicom").dcmread(source_pictures.file_of("pydicom.data", "test_files/examples_ybr_color.dcm"))
    return Picture(frame.pixel_array[12][20:216, 60:256, 0].astype(np.float64) / 255.0, "Ultrasound")


def _radiograph(seed: int) -> Picture:
    """The drawn section as film: from air, black, to bone, white."""
    return Picture(np.clip((source_pictures.abdomen(seed).pixels + 1000.0) / 1900.0, 0.0, 1.0) * 0.9 + 0.05, "X-ray")


LOADERS = {
    **{source.key: source.load for source in SOURCES.values()},
    "echo": _echo,
    "film-1": lambda: _radiograph(1),
    "film-2": lambda: _radiograph(2),
}
MODALITY_OF = {key: source.modality for key, source in SOURCES.items()}
MODALITY_OF |= {"echo": "Ultrasound", "film-1": "X-ray", "film-2": "X-ray"}
SMALL = {
    "CT": "spine",
    "MRI": "brain-axial",
    "Histopathology": "tissue-whole",
    "Endoscopy": "colon-1",
    "Fundus": "retina-whole",
    "X-ray": "film-1",
    "Ultrasound": "echo",
}


@cache
def _picture(key: str, side: int | None = None) -> Picture:
    picture = LOADERS[key]()
    if side is None:
        return picture
    small = resize(picture.pixels, (side, side, *picture.pixels.shape[2:]), anti_aliasing=True, preserve_range=True)
    pitch = picture.spacing_mm * picture.shape[0] / side
    return Picture(np.asarray(small), picture.modality, pitch, picture.window)


def _degraded(row: Degradation, picture: Picture, seed: int) -> dict[str, Picture]:
    return {grade: row.degrade(picture, grade, np.random.default_rng(seed)) for grade in GRADES}


def _measured(row: Degradation, picture: Picture, seed: int) -> list[float]:
    """The row's measure by severity, after all that holds of every single picture."""
    before = picture.pixels.copy()
    none = picture.display()
    made = _degraded(row, picture, seed)
    again = _degraded(row, picture, seed)
    assert np.array_equal(picture.pixels, before), "the picture that was given is changed"
    for grade, degraded in made.items():
        assert degraded.pixels.shape == before.shape, grade
        assert degraded.pixels.dtype == np.float64, grade
        assert (degraded.spacing_mm, degraded.window) == (picture.spacing_mm, picture.window), grade
        assert np.isfinite(degraded.pixels).all(), grade
        assert np.array_equal(degraded.pixels, again[grade].pixels), grade
        assert degraded.display().std() > 1.0, f"{grade} is a constant picture"
    shown = {grade: degraded.display() for grade, degraded in made.items()}
    difference = np.abs(shown["mild"].astype(int) - none)
    most = difference.max(axis=-1) if difference.ndim == 3 else difference
    assert (most >= SEEN_LEVELS).mean() >= SEEN_SHARE, "mild cannot be seen"
    return [MEASURES[row.measure](none, shown[grade]) for grade in GRADES]


@ROWS
def test_severities_are_in_order(row: Degradation) -> None:
    mild, moderate, severe = _measured(row, _picture(SMALL[row.modality], 128), SEEDS[0])
    assert mild > moderate > severe, row.measure


@pytest.mark.slow
@ROWS
def test_severities_are_in_order_on_every_source(row: Degradation) -> None:
    """Mild above severe in every draw, moderate between them in the mean: a fold that is drawn elsewhere may cost
    more than one that is a little larger."""
    for key in (key for key, modality in MODALITY_OF.items() if modality == row.modality):
        draws = np.array([_measured(row, _picture(key, 192), seed) for seed in SEEDS])
        assert (draws[:, 0] > draws[:, 2]).all(), (key, row.measure, draws)
        mild, moderate, severe = draws.mean(axis=0)
        assert mild > moderate > severe, (key, row.measure, draws)


@ROWS
@pytest.mark.parametrize("shape", [(64, 97), (101, 72)], ids=str)
def test_any_shape_is_taken(row: Degradation, shape: tuple[int, int]) -> None:
    whole = _picture(SMALL[row.modality], 128)
    part = whole.with_pixels(whole.pixels[: shape[0], : shape[1]])
    for degraded in _degraded(row, part, SEEDS[1]).values():
        assert degraded.pixels.shape == part.pixels.shape
        assert np.isfinite(degraded.pixels).all()


@ROWS
def test_a_row_is_complete(row: Degradation) -> None:
    assert row.measure in MEASURES
    assert row.modality in STRUCTURES
    assert row.scope in ("general", "modality-specific")
    assert all((row.name, row.asked, row.amount, row.signs["mild"], row.signs["severe"]))
    function = resolve_name(row.function)
    taken = {name for name, given in inspect.signature(function).parameters.items() if given.kind == given.KEYWORD_ONLY}
    for grade in GRADES:
        strength = row.strength(grade)
        assert set(strength) <= taken
        assert all(isinstance(value, float) and np.isfinite(value) for value in strength.values())
    required = {
        name
        for name, given in inspect.signature(function).parameters.items()
        if given.kind == given.KEYWORD_ONLY and given.default is given.empty
    }
    assert required <= set(row.strength("mild"))


@pytest.mark.parametrize("function", sorted({row.function for row in DEGRADATIONS.values()}))
def test_a_function_says_where_its_model_comes_from(function: str) -> None:
    words = inspect.getdoc(resolve_name(function)) or ""
    assert re.search(r"\b(18|19|20)\d\d\b", words), f"no year of a source in: {words}"
    for name in list(inspect.signature(resolve_name(function)).parameters)[2:]:
        assert f"``{name}``" in words, f"``{name}`` is not explained"
