"""Each degradation does what its formula says: limits, known statistics, conserved quantities."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from medqbench_vlmeval.benchmark import MODALITIES
from medqbench_vlmeval.synth import endoscopy, optics, slides
from medqbench_vlmeval.synth.catalogue import DEGRADATIONS, GRADES, of_modality
from medqbench_vlmeval.synth.images import Array, Picture, field_of_view, grid, to_display, to_light
from scripts.build_mini import embedded

GREY = ("CT", "MRI", "X-ray", "Ultrasound")


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def head() -> Picture:
    """A disc of 80 mm with a bone ring, half of it water and half of 60 HU, in air, 96 x 96."""
    y, x = grid((96, 96))
    r = np.hypot(y, x)
    hu = np.where(r < 0.8, 60.0 * (x > 0.0), -1000.0) + np.where((r < 0.8) & (r > 0.72), 800.0, 0.0)
    return Picture(hu, "CT", spacing_mm=1.0, window=(-100.0, 100.0))


def blocks() -> Picture:
    pixels = np.zeros((64, 64))
    pixels[20:44, 16:40] = 0.8
    pixels[28:36, 22:30] = 0.3
    return Picture(pixels, "MRI")


def colours() -> Picture:
    y, x = grid((64, 64))
    base = 0.5 + 0.2 * np.sin(9 * x) * np.cos(7 * y)
    return Picture(np.stack([base + 0.2, base, base - 0.1], axis=-1), "Fundus")


def shades(shape: tuple[int, int] = (64, 64)) -> Picture:
    y, x = grid(shape)
    texture = 0.05 * rng().standard_normal(shape)
    return Picture(0.5 + 0.3 * np.sin(9 * x) * np.cos(7 * y) + texture, "X-ray")


def test_blur_keeps_light_and_a_flat_picture() -> None:
    flat = Picture(np.full((48, 48, 3), 0.6), "Fundus")
    for blur in (partial(optics.defocus, radius_px=4.0), partial(optics.motion_blur, length_px=9.0)):
        np.testing.assert_allclose(blur(flat, rng()).pixels, 0.6, atol=1e-9)


def test_haze_scales_contrast_by_one_minus_the_veil() -> None:
    before = to_light(colours().pixels)
    after = to_light(optics.haze(colours(), rng(), veil=0.6).pixels)
    assert after.std(axis=(0, 1)) == pytest.approx(0.4 * before.std(axis=(0, 1)), rel=0.15)


def test_sensor_noise_has_poisson_variance() -> None:
    flat = Picture(np.full((200, 200, 3), 0.7), "Fundus")
    light = float(to_light(flat.pixels)[0, 0, 0])
    seen = to_light(optics.sensor_noise(flat, rng(), electrons=2000.0, read=0.0).pixels)
    assert seen.var() == pytest.approx(light / 2000.0, rel=0.05)


def test_colour_cast_keeps_luminance_and_changes_hue() -> None:
    weights = np.array([0.2126, 0.7152, 0.0722])
    cast = optics.colour_cast(Picture(colours().pixels * 0.6, "Fundus"), rng(), stops=0.7).pixels
    before, after = to_light(colours().pixels * 0.6), to_light(cast)
    assert (after @ weights).mean() == pytest.approx((before @ weights).mean(), rel=0.02)
    assert np.abs(after.mean(axis=(0, 1)) / before.mean(axis=(0, 1)) - 1.0).max() > 0.15


def test_overexposure_by_one_stop_doubles_the_light_that_fits() -> None:
    dim = Picture(np.full((32, 32, 3), 0.4), "Endoscopy")
    seen = to_light(optics.overexposure(dim, rng(), stops=1.0).pixels)
    assert float(seen.mean() / to_light(dim.pixels).mean()) == pytest.approx(2.0, rel=0.06)


def test_fading_scales_optical_density() -> None:
    stained = Picture(np.clip(colours().pixels, 0.2, 0.9), "Histopathology")
    faded = slides.faded_stain(stained, rng(), kept=0.5).pixels
    ratio = np.log(to_light(faded)) / np.log(to_light(stained.pixels))
    assert ratio.min() == pytest.approx(ratio.max(), rel=1e-6)
    assert ratio.mean() == pytest.approx(0.5, rel=0.05)


def test_reflections_cover_about_the_stated_share() -> None:
    mucosa = Picture(np.full((128, 128, 3), 0.5), "Endoscopy")
    white = endoscopy.specular_reflection(mucosa, rng(), coverage=0.10).pixels.min(axis=-1) > 0.95
    assert 0.05 < white.mean() < 0.14


def test_the_field_of_view_holds_its_dark_middle_but_not_its_surround() -> None:
    y, x = grid((64, 64))
    r = np.hypot(y, x)
    light = np.repeat(((r < 0.9) & (r > 0.2)).astype(np.float64)[..., None], 3, axis=-1)
    seen = field_of_view(light)
    assert seen[32, 32]
    assert not seen[0, 0]
    # Light and display are inverse.
    values: Array = np.linspace(0.0, 1.0, 11)
    np.testing.assert_allclose(to_display(to_light(values)), values, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("key", DEGRADATIONS)
def test_severe_is_further_from_the_original_than_mild(key: str) -> None:
    row = DEGRADATIONS[key]
    picture = {"CT": head, "MRI": blocks, "X-ray": shades, "Ultrasound": shades}.get(row.modality, colours)()
    away = []
    for grade in GRADES:
        made = row.degrade(picture, grade, rng())
        assert made.pixels.shape == picture.pixels.shape
        assert np.isfinite(made.pixels).all()
        away.append(float(np.abs(made.display().astype(float) - picture.display()).mean()))
    assert 0.0 < away[0] < away[1]


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(64, 64), (67, 130), (1024, 768)])
@pytest.mark.parametrize("key", [key for key, row in DEGRADATIONS.items() if row.modality not in GREY])
def test_colour_pictures_of_any_size_keep_their_shape_and_give_the_same_bytes_again(
    key: str, shape: tuple[int, int]
) -> None:
    row = DEGRADATIONS[key]
    picture = Picture(np.stack([shades(shape).pixels * share for share in (1.0, 0.7, 0.6)], axis=-1), row.modality)
    for grade in GRADES:
        made = row.degrade(picture, grade, rng())
        assert made.pixels.shape == (*shape, 3)
        assert np.isfinite(made.pixels).all()
    assert (row.degrade(picture, "severe", rng()).display() == made.display()).all()


@pytest.mark.slow
@pytest.mark.parametrize("key", [key for key, row in DEGRADATIONS.items() if row.modality not in GREY])
def test_pictures_all_black_and_all_white_stay_finite(key: str) -> None:
    row = DEGRADATIONS[key]
    for value in (0.0, 1.0):
        made = row.degrade(Picture(np.full((64, 80, 3), value), row.modality), "severe", rng())
        assert np.isfinite(made.pixels).all()


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(64, 64), (67, 130), (1024, 768)])
@pytest.mark.parametrize("key", [key for key, row in DEGRADATIONS.items() if row.modality in GREY])
def test_grey_pictures_of_any_size_keep_their_shape_and_give_the_same_bytes_again(
    key: str, shape: tuple[int, int]
) -> None:
    row = DEGRADATIONS[key]
    picture = shades(shape)
    if row.modality == "CT":
        picture = Picture(1000.0 * picture.pixels - 500.0, "CT", spacing_mm=0.5, window=(-500.0, 500.0))
    for grade in GRADES:
        made = row.degrade(picture, grade, rng())
        assert made.pixels.shape == shape
        assert np.isfinite(made.pixels).all()
    assert (row.degrade(picture, "severe", rng()).display() == made.display()).all()


def test_the_embedded_set_knows_six_degradations_of_each_of_its_modalities_and_all_have_words() -> None:
    for modality in MODALITIES:
        assert len(embedded(modality)) == 6
        assert all(degradation in of_modality(modality) for degradation in embedded(modality))
    rows = DEGRADATIONS.values()
    assert all(row.name and row.asked and row.amount and set(row.signs) == set(GRADES) for row in rows)


def test_more_than_45_degradations_over_seven_modalities_reach_every_known_type_of_medq_deg() -> None:
    rows = DEGRADATIONS.values()
    assert len({row.function for row in rows}) >= 45
    assert len({row.modality for row in rows}) == 7
    known = {
        *("limited_angle", "sparse_view", "bias_field_artifact", "undersampling_artifact", "ghosting_artifact"),
        *("blood_cell_artifact", "dark_spots_artifact", "object_rotation", "object_movement", "adjust_brightness"),
        *("exposure", "reduce_contrast", "gaussian_noise", "low_dose", "low_resolution"),
    }
    assert known <= {row.medq_deg for row in rows}
    for modality in {row.modality for row in rows}:
        names = [row.name for row in of_modality(modality)]
        assert len(set(names)) == len(names)
