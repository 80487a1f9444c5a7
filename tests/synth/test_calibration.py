"""Thresholds from simulated readers, who rate by thresholds that the tests set: no person rated anything here."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.synth.calibration import Reading, calibrate, parameters_at, reach, read_strengths
from medqbench_vlmeval.synth.catalogue import DEGRADATIONS, recalibrated

ANY = next(iter(DEGRADATIONS.values()))


def with_parameters(mild: dict[str, float], severe: dict[str, float]):
    return replace(ANY, parameters={"mild": mild, "severe": severe})


TENFOLD = with_parameters({"photons": 40_000.0}, {"photons": 4_000.0})


def rated(usable_from: float, reject_from: float, n: int = 26, rater: str = "A", noise: float = 0.0, seed: int = 0):
    """A simulated reader: at ``noise`` 0 a mark changes exactly at the thresholds, else by a logistic error."""
    errors = np.random.default_rng(seed).logistic(0.0, 1.0, n) * noise
    for number, position in enumerate(np.linspace(-1.0, 1.5, n)):
        felt = position + errors[number]
        yield Reading(rater, f"image-{number}", float(position), int(felt < usable_from) + int(felt < reject_from))


def test_positions_are_logarithmic_between_and_beyond_mild_and_severe() -> None:
    photons = [parameters_at(TENFOLD, position)["photons"] for position in (-1.0, 0.0, 0.5, 1.0, 1.5)]
    assert photons == [400_000, 40_000, 12_650, 4_000, 1_265]  # times 10, ., / sqrt(10), / 10, / 10 sqrt(10)
    growing = with_parameters({"radius": 2.0, "count": 1.0}, {"radius": 8.0, "count": 4.0})
    assert parameters_at(growing, -1.0) == {"radius": 1.0, "count": 1.0}  # half a bubble is none
    assert parameters_at(with_parameters({"lag": 0.0}, {"lag": 3.0}), 1.5) == {"lag": 4.5}


def test_a_share_stays_below_one() -> None:
    assert reach(TENFOLD) == (-1.0, 1.5)
    for mild, severe, low, high in (
        (0.5, 0.9, -1.0, math.log(0.98 / 0.5) / math.log(0.9 / 0.5)),
        (0.8, 0.2, math.log(0.98 / 0.8) / math.log(0.2 / 0.8), 1.5),
        (0.3, 1.0, -1.0, 1.0),
    ):
        share = with_parameters({"loss": mild}, {"loss": severe})
        assert reach(share) == pytest.approx((low, high))
        assert max(parameters_at(share, position)["loss"] for position in reach(share)) == max(0.98, severe)


@pytest.mark.parametrize("row", DEGRADATIONS.values(), ids=lambda row: row.key)
def test_the_catalogues_strengths_are_positions_0_and_1(row) -> None:
    low, high = reach(row)
    assert low <= 0 and high >= 1
    for grade, position in (("mild", 0.0), ("moderate", 0.5), ("severe", 1.0)):
        assert parameters_at(row, position) == pytest.approx(dict(row.strength(grade)), rel=5e-3)


def test_a_reader_with_known_thresholds_is_found_again() -> None:
    # Steps of 0.1: the thresholds 0.25 and 0.85 lie in the middle between two pictures.
    found = calibrate(TENFOLD, list(rated(0.25, 0.85)))
    assert not found.left
    assert found.usable_from.value == pytest.approx(0.25, abs=0.01)
    assert found.reject_from.value == pytest.approx(0.85, abs=0.01)
    # mild in the middle at 0.55, severe as far beyond at 0.85 + 0.3 = 1.15.
    assert found.after["mild"]["photons"] == pytest.approx(40_000 * 10**-0.55, rel=0.05)
    assert found.after["severe"]["photons"] == pytest.approx(40_000 * 10**-1.15, rel=0.05)
    assert min(found.said_usable, found.said_reject) > 95


def test_several_noisy_readers_lie_within_the_interval() -> None:
    readings = [reading for seed in range(4) for reading in rated(0.1, 0.9, 40, f"R{seed}", 0.15, seed)]
    found = calibrate(TENFOLD, readings)
    for threshold, known in ((found.usable_from, 0.1), (found.reject_from, 0.9)):
        assert threshold.low <= known <= threshold.high
        assert 0.02 < threshold.high - threshold.low < 0.5
    assert calibrate(TENFOLD, readings) == found  # the same seed, the same bootstrap


@pytest.mark.parametrize(
    ("readings", "why"),
    [
        (list(rated(0.25, 0.85))[:11], "11 ratings, at least 12 are needed"),
        (list(rated(0.25, 9.0)), "no picture is rated reject, so that a threshold is not reached"),
        (list(rated(-9.0, -9.0)), "no picture is rated usable or good, so that a threshold is not reached"),
        (
            [replace(reading, position=0.5 - reading.position) for reading in rated(0.25, 0.85)],
            "ratings contradict the strengths (rank correlation gamma -1.00)",
        ),
    ],
)
def test_what_the_ratings_do_not_carry_is_left_and_said(readings, why) -> None:
    found = calibrate(TENFOLD, readings)
    assert (found.left, found.after, found.n) == (why, None, len(readings))


def test_readers_who_hardly_say_usable_move_nothing() -> None:
    readings = [replace(r, mark=2 if r.position < 0.22 else 0) for r in rated(0.1, 0.4)]
    readings[0] = replace(readings[0], mark=1)
    assert calibrate(TENFOLD, readings).left == "'usable' is the likeliest rating at no strength"


def test_severe_goes_no_further_than_what_was_rated() -> None:
    found = calibrate(TENFOLD, list(rated(0.05, 1.25)))
    assert found.after["severe"] == parameters_at(TENFOLD, 1.5)  # not 1.25 + 0.6
    assert found.note == "severe is the strongest that was rated"


@given(st.lists(st.tuples(st.floats(-1, 1.5), st.integers(0, 2)), min_size=12, max_size=30))
def test_any_ratings_give_ordered_thresholds_or_a_reason(ratings) -> None:
    readings = [Reading("A", str(number), position, mark) for number, (position, mark) in enumerate(ratings)]
    found = calibrate(TENFOLD, readings)
    if not found.left:
        assert found.usable_from.value < found.reject_from.value
        assert found.after["mild"]["photons"] > found.after["severe"]["photons"]


def strengths_file(folder: Path, strengths: object, kind: str = "medqbench strengths 1") -> Path:
    path = folder / "strengths.json"
    path.write_text(json.dumps({"format": kind, "strengths": strengths}), encoding="utf-8")
    return path


def test_strengths_are_read_and_put_into_the_catalogue(tmp_path: Path) -> None:
    key, other = list(DEGRADATIONS)[:2]
    moved = {
        grade: {name: 2 * value for name, value in of.items()} for grade, of in DEGRADATIONS[key].parameters.items()
    }
    rows = recalibrated(DEGRADATIONS.values(), read_strengths(strengths_file(tmp_path, {key: moved})))
    assert [row.key for row in rows] == list(DEGRADATIONS)
    assert (rows[0].strength("mild"), rows[1]) == (moved["mild"], DEGRADATIONS[other])


def test_strengths_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    key, row = next(iter(DEGRADATIONS.items()))
    name = next(iter(row.parameters["mild"]))
    good = {grade: dict(of) for grade, of in row.parameters.items()}
    for strengths, words in (
        ({"no-such": good}, "the catalogue has no degradation 'no-such'"),
        ({key: {"mild": good["mild"]}}, f"severe: a number is expected for each of {name}"),
        ({key: good | {"severe": {"other": 1.0}}}, f"severe: a number is expected for each of {name}"),
        ({key: good | {"mild": {**good["mild"], name: math.nan}}}, f"mild: a number is expected for each of {name}"),
        ({key: good | {"mild": {**good["mild"], name: "3"}}}, f"mild: a number is expected for each of {name}"),
        ([], "is no file of strengths"),
    ):
        path = strengths_file(tmp_path, strengths)
        with pytest.raises(BadInput, match=r"strengths\.json") as refused:
            read_strengths(path)
        assert words in str(refused.value)
    with pytest.raises(BadInput, match="is no file of strengths"):
        read_strengths(strengths_file(tmp_path, {}, "medqbench ratings 1"))
