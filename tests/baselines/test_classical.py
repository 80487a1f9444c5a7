"""MedQ-Chance and MedQ-Classical on the embedded set and on hand-made pictures."""

from __future__ import annotations

import json
import runpy
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medqbench_vlmeval.baselines import chance, classical
from medqbench_vlmeval.baselines.classical import FAULTS, faults_in, level_of, modality_in, reference
from medqbench_vlmeval.baselines.image_statistics import is_grey, measure, read_pixels
from medqbench_vlmeval.benchmark import MODALITIES
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.synth.catalogue import SOURCES
from tests.data.rows import MINI, mini_rows

SINGLE_TASK = "Describe the quality of this image. Conclude with a quality level in 3-5 sentences."
PAIR_TASK = "Compare the two images. Conclude with which image has higher quality."

Message = Sequence[Mapping[str, str]]


def message(text: str, *images: Path) -> list[dict[str, str]]:
    return [*({"type": "image", "value": str(path)} for path in images), {"type": "text", "value": text}]


def question(row: Mapping[str, str]) -> list[dict[str, str]]:
    options = "".join(f"{letter}. {row[letter]}\n" for letter in "ABCD" if row[letter])
    text = f"Question: {row['question']}\nOptions:\n{options}Answer with the letter.\n"
    return message(text, MINI / row["image_path"])


def accuracy(reply: Callable[[Message], str]) -> float:
    rows = mini_rows("medqbench_QA_mini.tsv")
    return sum(reply(question(row)) == row["answer"] for row in rows) / len(rows)


def last_word(text: str) -> str:
    return text.rstrip(".").rsplit(" ", 1)[1]


@pytest.mark.slow
def test_classical_beats_chance_clearly_on_questions() -> None:
    assert accuracy(classical.reply) >= 0.65
    assert 0.2 < np.mean([accuracy(lambda m, s=f"{seed}": chance.reply(m, s)) for seed in range(10)]) < 0.5


def test_classical_tells_levels_and_better_pictures() -> None:
    singles = mini_rows("medqbench_description_mini.tsv")
    right = sum(
        last_word(classical.reply(message(SINGLE_TASK, MINI / row["image_path"]))) == last_word(row["description"])
        for row in singles
    )
    assert right / len(singles) >= 0.6
    pairs = mini_rows("medqbench_paired_description_mini.tsv")
    better = 0
    for row in pairs:
        text = classical.reply(message(PAIR_TASK, *(MINI / path for path in json.loads(row["image_path"]))))
        better += ("Overall, the first" in text) == ("Overall, the first" in row["description"])
    assert better / len(pairs) >= 0.8


@pytest.mark.parametrize("reply", [chance.reply, classical.reply])
def test_only_pixels_and_text_count(tmp_path: Path, reply: Callable[[Message], str]) -> None:
    for row in mini_rows("medqbench_QA_mini.tsv")[::9]:
        renamed = tmp_path / f"answer-is-A-{row['index']}{Path(row['image_path']).suffix}"
        shutil.copy(MINI / row["image_path"], renamed)
        asked = question(row)
        assert reply([{"type": "image", "value": str(renamed)}, asked[-1]]) == reply(asked)


@pytest.mark.parametrize("reply", [chance.reply, classical.reply])
def test_reasoning_replies_end_with_a_conclusion(reply: Callable[[Message], str]) -> None:
    picture = MINI / mini_rows("medqbench_QA_mini.tsv")[0]["image_path"]
    levels = {f"Overall, the quality of this image is {level}." for level in ("good", "usable", "reject")}
    assert reply(message(SINGLE_TASK, picture)).rsplit(". ", 1)[1] in levels
    places = {f"Overall, the {place} image is of higher quality." for place in ("first", "second")}
    assert reply(message(PAIR_TASK, picture, picture)).rsplit(". ", 1)[1] in places


def test_a_file_that_is_no_picture_or_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lost.png"
    for reply in (chance.reply, classical.reply):
        with pytest.raises(BadInput, match=r"lost\.png"):
            reply(message(SINGLE_TASK, path))
    whole = (MINI / "images" / "mri-01.png").read_bytes()
    for content in (b"not an image", b"", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(BadInput, match=r"lost\.png"):
            classical.reply(message(SINGLE_TASK, path))


def test_sixteen_bits_are_scaled_to_their_range(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.linspace(0, 4095, 64 * 64).reshape(64, 64).astype(np.uint16)).save(path)
    pixels = read_pixels(path)
    assert pixels.min() == 0.0
    assert pixels.max() == 1.0
    assert pixels.mean() == pytest.approx(0.5, abs=0.01)


def test_chance_depends_on_seed_text_and_bytes_and_spreads_over_the_options() -> None:
    picture = MINI / mini_rows("medqbench_QA_mini.tsv")[0]["image_path"]
    letters = Counter(chance.reply(message(f"Question {n}?\nA. x\nB. y\nC. z\n", picture)) for n in range(600))
    assert set(letters) == {"A", "B", "C"}
    assert min(letters.values()) > 150
    asked = message("What?\nA. x\nB. y\nC. z\n", picture)
    assert len({chance.reply(asked, str(seed)) for seed in range(20)}) == 3
    assert chance.reply(asked) == chance.reply(asked)


def test_a_changed_file_is_measured_anew(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    rng = np.random.default_rng(0)
    Image.fromarray(np.full((64, 64), 128, np.uint8)).save(path)
    before = classical.examine(str(path))
    Image.fromarray(rng.integers(0, 255, (64, 64), dtype=np.uint8)).save(path)
    assert classical.examine(str(path)) != before


@pytest.mark.parametrize("shape", [(8, 8), (40, 700), (64, 64)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_statistics_are_finite_on_flat_and_odd_pictures(tmp_path: Path, shape: tuple[int, int], level: int) -> None:
    path = tmp_path / "flat.png"
    Image.fromarray(np.full(shape, level, np.uint8)).save(path)
    assert all(np.isfinite(value) for value in measure(read_pixels(path)).values())
    assert sum(classical.examine(str(path)).levels()) == pytest.approx(1.0)


def test_statistics_measure_what_they_are_named_for() -> None:
    rng = np.random.default_rng(1)
    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    smooth = np.repeat((0.5 + 0.1 * np.sin(5 * x) * np.cos(4 * y))[..., None], 3, axis=-1)
    plain = measure(smooth)
    noisy = measure(np.clip(smooth + rng.normal(0, 0.05, smooth.shape[:2])[..., None], 0, 1))
    assert noisy["noise"] == pytest.approx(np.log10(0.05), abs=0.03)
    assert plain["noise"] < -3
    shaded = measure(smooth * (0.6 + 0.4 * x)[..., None])
    assert shaded["slope"] > plain["slope"] + 0.3
    assert measure(np.clip(smooth * 3, 0, 1))["clipped"] > plain["clipped"] + 2
    blocky = measure(np.kron(rng.random((32, 32)), np.ones((8, 8)))[..., None].repeat(3, axis=-1))
    assert blocky["blocks"] > 3 > plain["blocks"] + 1
    ring = measure(smooth + 0.05 * np.sin(60 * np.hypot(y, x))[..., None])
    assert ring["circles"] > plain["circles"] + 1
    stripe = measure(smooth + 0.03 * np.sin(50 * x + 20 * y)[..., None])
    assert stripe["peak"] > plain["peak"]
    assert is_grey(smooth)
    assert not is_grey(smooth * np.array([1.0, 0.6, 0.5]))


def test_no_scene_that_the_reference_was_fitted_on_is_an_embedded_source() -> None:
    script = Path(__file__).resolve().parents[2] / "scripts" / "calibrate_classical.py"
    scenes_of = runpy.run_path(str(script))["scenes_of"]
    used = [(scene.func, *scene.args) for modality in MODALITIES for _, scene in scenes_of(modality)]
    assert len(used) == len(set(used)) >= 60
    assert not {(source.load.func, *source.load.args) for source in SOURCES.values()} & set(used)


def test_the_reference_knows_every_fault_of_the_vocabulary() -> None:
    faults = reference()["faults"]
    assert set(faults) == set(MODALITIES)
    classes = {name for part in faults.values() for name in part.means}
    assert classes == {"none"} | {f"{key} {grade}" for key in FAULTS for grade in ("mild", "severe")}
    for part in faults.values():
        assert sum(part.priors.values()) == pytest.approx(1.0)


def test_words() -> None:
    levels = {0.0: ("Good", "None"), 1.0: ("Usable", "Mild", "Moderate blur"), 2.0: ("Reject", "Severe")}
    assert {text: level_of(text) for level in levels for text in levels[level]} == {
        text: level for level, texts in levels.items() for text in texts
    }
    assert level_of("Ring artifacts") is None
    assert modality_in("Does this MRI slice show ghosting?") == "MRI"
    assert modality_in("Is the CT better than the MRI?") is None
    assert faults_in("Sparse-view streaks", ["ct-noise", "ct-sparse", "ct-ring"]) == ["ct-sparse"]


def finding(**grades: tuple[float, float]) -> classical.Finding:
    named = {key.replace("_", "-"): value for key, value in grades.items()}
    return classical.Finding("MRI", 1.0 - sum(map(sum, named.values())), named)


def test_answers_follow_the_finding() -> None:
    ghosts = finding(mr_motion=(0.2, 0.7), mr_noise=(0.05, 0.0))

    def answer(text: str) -> str:
        return classical.choose(chance.read_message([{"type": "text", "value": text}]), ghosts)

    assert answer("Does this MRI slice show motion ghosting?\nA. No\nB. Yes") == "B"
    assert answer("Does this MRI slice show random noise?\nA. No\nB. Yes") == "A"
    assert answer("Is this MRI slice free of visible degradation?\nA. Yes\nB. No") == "B"
    which = "Which degradation is most prominent?\nA. Random noise\nB. Motion ghosting\nC. No visible degradation"
    assert answer(which) == "B"
    assert classical.choose(chance.read_message([{"type": "text", "value": which}]), finding()) == "C"
    assert answer("How would you rate the quality?\nA. Good\nB. Usable\nC. Reject") == "C"
    assert answer("How severe is the noise?\nA. None\nB. Mild\nC. Severe") == "A"
    assert answer("How severe is the motion ghosting?\nA. Mild\nB. Severe\nC. None") == "B"
