"""MedQ-Chance and MedQ-Classical on the embedded set and on hand-made pictures."""

from __future__ import annotations

import json
import math
import runpy
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from medqbench_vlmeval.baselines import chance, classical
from medqbench_vlmeval.baselines.classical import faults_in, level_of, modality_in, reference
from medqbench_vlmeval.baselines.image_statistics import is_grey, measure, read_pixels
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.synth.catalogue import DEGRADATIONS, STRUCTURES, Degradation, of_modality
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
    # A second blur hurts a step more than a soft slope, and sharp grain more than soft grain.
    wave = np.sin(30 * x)
    step, slope = (measure(np.repeat((0.5 + 0.3 * part)[..., None], 3, axis=-1)) for part in (np.sign(wave), wave))
    assert step["edge_width"] > slope["edge_width"] + 0.3
    grain = rng.random((256, 256))
    sharp, soft = (np.repeat(part[..., None], 3, axis=-1) for part in (grain, gaussian_filter(grain, 2.0)))
    assert measure(soft)["blur"] > measure(sharp)["blur"] + 0.25
    # A copy of noise 40 rows below is the autocorrelation's peak along the columns of numbers, not along the rows.
    ghost = np.repeat((0.3 * grain + 0.3 * np.roll(grain, 40, axis=0))[..., None], 3, axis=-1)
    assert 10 ** measure(ghost)["replica_rows"] == pytest.approx(0.5, abs=0.05)
    assert 10 ** measure(ghost)["replica_columns"] < 0.1
    # A spectrum of which two rows in three are weak.
    spectrum = np.fft.fft2(grain)
    every = np.where((np.arange(256) % 3 == 0)[:, None], spectrum, 0.2 * spectrum)
    combed = measure(np.repeat(np.abs(np.fft.ifft2(every))[..., None], 3, axis=-1))
    assert combed["comb_rows"] > combed["comb_columns"] + 0.3
    veiled = measure(0.5 + 0.5 * smooth * np.array([1.0, 0.6, 0.5]))
    assert veiled["veil"] > measure(smooth * np.array([1.0, 0.6, 0.5]))["veil"] + 0.3
    assert veiled["gaps"] == 0.0
    few = measure(np.round(smooth * 20) / 20)
    assert few["gaps"] > 0.5
    dark = smooth.copy()
    dark[100:110, 20:220] = 0.05
    # A bar of 200 by 10 is 20 times as long as wide.
    assert measure(dark)["dark_length"] == pytest.approx(np.log(20.0), abs=0.4)
    assert is_grey(smooth)
    assert not is_grey(smooth * np.array([1.0, 0.6, 0.5]))


HEAD = "path,modality,noun,window,original,embedded,kind,package,licence,source\n"


def test_the_model_learns_from_no_original_of_the_embedded_set_and_from_none_for_research_only(tmp_path: Path) -> None:
    rows = (
        "CT/head.dcm,CT,CT slice,,ct-1,no,authentic,p,MIT,CQ500 (CC BY-NC-SA 4.0: research only)",
        "CT/a.dcm,CT,CT slice,,ct-2,no,authentic,p,MIT,x",
        "CT/b.dcm,CT,CT slice,,ct-2,no,authentic,p,MIT,x",
        "Fundus/r.png,Fundus,fundus photograph,,fu-1,yes,authentic,p,MIT,x",
        "Endoscopy/c1.png,Endoscopy,image,,en-1,no,procedural,p,MIT,x",
        "Endoscopy/c2.png,Endoscopy,image,,en-2,no,procedural,p,MIT,x",
    )
    (tmp_path / "file.csv").write_text(HEAD + "\n".join(rows) + "\n")
    script = runpy.run_path(str(Path(__file__).resolve().parents[2] / "scripts" / "train_classical.py"))
    found = {original.name: original for original in script["originals"](tmp_path) if original.tested}
    assert {name: len(of.sources) for name, of in found.items()} == {"ct-1": 1, "ct-2": 2, "fu-1": 1, "drawn colon": 2}
    assert {name for name, of in found.items() if of.trained} == {"ct-2", "drawn colon"}
    uses = {name: {use for use, *_ in script["_wanted"](of)} for name, of in found.items()}
    assert uses == {"ct-1": {"test"}, "ct-2": {"test", "train"}, "fu-1": {"test"}, "drawn colon": {"test", "train"}}


def test_a_linear_model_is_standardised_clipped_and_averaged() -> None:
    first, second = [[[0.0, 1.0]], [0.0, 0.0]], [[[0.0, 0.0]], [0.0, math.log(3.0)]]
    table = {"statistics": ["noise"], "classes": ["none", "x mild"], "centre": [2.0], "scale": [0.5]}
    model = classical.classifier_from_json({**table, "members": [first, second]})
    # (3 - 2) / 0.5 = 2, so e^2 : 1 from the first member and 3 : 1 from the second; far away is 5 at most.
    near, far = (model.posterior({"noise": value})["x mild"] for value in (3.0, 1e9))
    assert near == pytest.approx((math.e**2 / (1.0 + math.e**2) + 0.75) / 2.0)
    assert far == pytest.approx((math.e**5 / (1.0 + math.e**5) + 0.75) / 2.0)


def test_the_reference_knows_every_degradation_of_the_catalogue_and_is_small() -> None:
    faults = reference()["faults"]
    assert set(faults) == set(STRUCTURES)
    for modality, part in faults.items():
        grades = {f"{row.key} {grade}" for row in of_modality(modality) for grade in ("mild", "severe")}
        assert set(part.classes) == {"none"} | grades
        assert part.statistics == tuple(measure(np.zeros((32, 32, 3))))
    assert (Path(classical.__file__).parent / "reference.json").stat().st_size < 300_000


@pytest.mark.parametrize("row", DEGRADATIONS.values(), ids=lambda row: row.key)
def test_a_question_on_a_degradation_of_the_catalogue_is_understood(row: Degradation) -> None:
    keys = [other.key for other in of_modality(row.modality)]
    for text in (row.name, f"Does this image show {row.asked}?", f"How severe {row.amount} in this image?"):
        assert row.key in faults_in(text, keys), text


def test_predicting_needs_no_scikit_learn() -> None:
    code = (
        "import sys; from medqbench_vlmeval.baselines import classical; classical.reference(); "
        "sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


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


def test_odds_are_of_the_picture_against_what_was_likely_before() -> None:
    # Four degradations: each has 2/3 / 4 = 1/6 beforehand, so odds of 1 : 5; 'any' has 2 : 1.
    given = finding(mr_motion=(0.1, 0.2), mr_noise=(0.1, 0.0), mr_bias=(0.0, 0.0), mr_spike=(0.1, 0.1))
    assert given.odds(["mr-motion"]) == pytest.approx(0.3 / 0.7 * 5.0)
    assert given.odds([]) == pytest.approx(0.6 / 0.4 / 2.0)


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
