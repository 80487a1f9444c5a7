"""What stands twice in data files: questions, images, and images that look alike."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from medqbench_vlmeval.data import load
from medqbench_vlmeval.data.repeats import NEAR, Repeat, find_repeats
from medqbench_vlmeval.data.sources import load_file, other_splits
from tests.data.rows import GREEN, Write, question, text_of

SAME = "same question, images and options"


def test_the_same_question_about_the_same_image(write_tsv: Write) -> None:
    path = write_tsv(
        [
            question("1"),
            # The same but for case, blanks and the options' order; the answer is 'Noise', too.
            question("2", question="what is the  most visible artifact? ", A="Noise", B="Blur", answer="A"),
            question("3", answer="A"),
            question("4", question="Else?"),
            question("5", image=text_of(GREEN)),
            question("6", C="Motion"),
        ]
    )
    assert find_repeats([load_file(path)]) == [Repeat(f"{SAME}, other answers", ("1", "2", "3"), True)]
    assert find_repeats([load_file(write_tsv([question("1"), question("2")]))]) == [Repeat(SAME, ("1", "2"))]
    # Where nothing is said of the images, nothing is said of their questions.
    assert find_repeats([load_file(write_tsv([question("1", image=""), question("2", image="")]))]) == []


def test_an_image_that_two_files_share_whatever_it_is_called(write_tsv: Write, tmp_path: Path) -> None:
    dev = write_tsv([question("1"), question("2", image=text_of(GREEN))], "x_dev.tsv")
    test = write_tsv([question("1", question="Else?", image=text_of(GREEN))], "x_test.tsv")
    repeats = find_repeats([load_file(test), load_file(dev)])
    assert repeats == [Repeat("same image in several files", ("x_test: 1", "x_dev: 2"))]
    [other] = other_splits(load_file(test), images=False)
    assert other.name == "x_dev"
    assert other_splits(load_file(dev), images=False)[0].name == "x_test"
    of_deg = [write_tsv([question("1")], f"MedQ-Robust-good-{split}.tsv") for split in ("test", "dev")]
    assert [other.name for other in other_splits(load_file(of_deg[1]), images=False)] == ["MedQ-Robust-good-test"]
    # Paths are the same image in one folder alone.
    (tmp_path / "other").mkdir()
    one = write_tsv([question("1", image="a.png")], "one.tsv")
    two = write_tsv([question("1", question="Else?", image="./a.png")], "two.tsv")
    away = two.rename(tmp_path / "other" / "two.tsv")
    assert find_repeats([load_file(one), load_file(away)]) == []
    assert find_repeats([load_file(one), load_file(away.rename(tmp_path / "two.tsv"))]) == [
        Repeat("same image in several files", ("one: 1", "two: 1"))
    ]


def bits(signs: np.ndarray, kind: str = "PNG", mode: str = "L") -> str:
    """An image of 9 x 8 blocks whose difference hash is what is given, in base64."""
    grey = np.concatenate([np.full((8, 1), 100), 100 + np.cumsum(np.where(signs, 9, -9), axis=1)], axis=1)
    out = io.BytesIO()
    blocks = np.kron(grey, np.ones((20, 20))).astype(np.uint8)
    Image.fromarray(blocks).convert(mode).save(out, kind)
    return text_of(out.getvalue())


def test_images_that_look_alike_are_found_by_the_bits_of_their_hashes(write_tsv: Write) -> None:
    signs = np.random.default_rng(3).random((8, 8)) > 0.5
    rows = []
    for flipped in (0, NEAR, NEAR + 1):
        other = signs.copy()
        other.flat[:flipped] ^= True
        rows.append(question(f"bits {flipped}", question=f"{flipped}?", image=bits(other)))
    rows += [question("red", question="red?", mode="x", image=bits(signs, "PNG", "RGB"))]
    rows += [question("jpeg", question="jpeg?", mode="x", image=bits(signs, "JPEG"))]
    for row in rows[:3]:
        row["mode"] = ""
    loaded = load_file(write_tsv(rows), images=True)
    pairs = {frozenset(repeat.samples) for repeat in find_repeats([loaded], alike=True)}
    same = ["bits 0", "red", "jpeg"]
    expected = {frozenset((a, b)) for a in same for b in same if a != b}
    expected |= {frozenset((a, f"bits {NEAR}")) for a in same} | {frozenset((f"bits {NEAR}", f"bits {NEAR + 1}"))}
    assert pairs == expected
    assert find_repeats([loaded]) == []


@pytest.mark.slow
def test_many_images_are_compared_by_blocks_and_many_pairs_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    from medqbench_vlmeval.data import repeats

    rng = np.random.default_rng(1)
    signs = [rng.choice([-1, 1], 64) for _ in range(3000)]
    signs[2999] = signs[5] * np.where(np.arange(64) < NEAR, -1, 1)
    monkeypatch.setattr(repeats, "_difference_hash", lambda path: signs[int(path.name)])
    paths = {Path(str(number)): str(number) for number in range(3000)}
    assert [repeat.samples for repeat in repeats._alike(paths)] == [("5", "2999")]
    monkeypatch.setattr(repeats, "_difference_hash", lambda _: signs[0])
    assert len(list(repeats._alike(paths))) == repeats.MOST


def test_the_embedded_sets_repeat_no_question_and_their_degraded_copies_look_alike() -> None:
    loaded = load("MedQBench_Perception_mini", images=True)
    by_index = {sample.index: sample for sample in loaded.samples}
    repeats = find_repeats([loaded], alike=True)
    assert {repeat.what for repeat in repeats} == {"images look alike"}
    assert len(repeats) > 50
    # No image is taken for one of another kind.
    assert all(len({by_index[index].modality for index in repeat.samples}) == 1 for repeat in repeats)


@pytest.mark.slow
def test_a_blurred_noisy_brighter_copy_looks_alike_and_another_image_does_not(write_tsv: Write) -> None:
    data = pytest.importorskip("skimage.data")
    image = Image.fromarray(data.camera()).resize((256, 256))
    noise = random.Random(0)
    copies = [image, image.filter(ImageFilter.GaussianBlur(3)), image.point(lambda value: min(255, int(value * 1.1)))]
    copies.append(image.point([min(255, max(0, value + noise.randrange(-4, 5))) for value in range(256)]))
    copies.append(Image.fromarray(data.coins()).resize((256, 256)))
    rows = []
    for number, copy in enumerate(copies):
        out = io.BytesIO()
        copy.save(out, "PNG")
        rows.append(question(str(number), question=f"{number}?", image=text_of(out.getvalue())))
    found = find_repeats([load_file(write_tsv(rows), images=True)], alike=True)
    assert {repeat.samples for repeat in found} == {(str(a), str(b)) for a in range(4) for b in range(a + 1, 4)}
