"""What stands twice in data files: questions, images, and images that look alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medqbench_vlmeval.data.image_cells import image_keys
from medqbench_vlmeval.data.image_store import is_content_name
from medqbench_vlmeval.steps import counted
from medqbench_vlmeval.types import SampleSet

NEAR, MOST = 4, 10_000
"""Images look alike where so many of the 64 bits of their hashes differ at most; so many pairs are told."""
_BLOCK = 1024


@dataclass(frozen=True)
class Repeat:
    """Samples, as 'FILE: INDEX' where there are several files, and ``what`` they share; ``is_error``: where one
    contradicts the other."""

    what: str
    samples: tuple[str, ...]
    is_error: bool = False


def find_repeats(sets: Sequence[SampleSet], alike: bool = False) -> list[Repeat]:
    """Questions that are asked twice about the same images, and images that several files share; ``alike``: also the
    images, as far as they were loaded, that look alike."""
    questions: dict[tuple[object, ...], list[tuple[str, str]]] = {}
    images: dict[str, dict[int, str]] = {}
    paths: dict[Path, str] = {}
    for file, sample in ((file, sample) for file, of_file in enumerate(sets) for sample in of_file.samples):
        name = f"{sets[file].name}: {sample.index}" if len(sets) > 1 else sample.index
        folder = sets[file].sources[sample.task].path.parent
        keys = tuple(key if is_content_name(key) else str(folder / key) for key in image_keys(sample))
        for key in keys:
            images.setdefault(key, {}).setdefault(file, name)
        paths |= {path: name for path in sample.images if path not in paths}
        if keys:
            asked = " ".join((sample.question or "").casefold().split()), keys, frozenset(sample.options.values())
            questions.setdefault(asked, []).append((name, sample.options.get(sample.answer or "", "")))
    repeats = []
    for of in (of for of in questions.values() if len(of) > 1):
        differ = len({answer for _, answer in of}) > 1
        what = f"same question, images and options{', other answers' if differ else ''}"
        repeats.append(Repeat(what, tuple(name for name, _ in of), differ))
    repeats += [Repeat("same image in several files", tuple(of.values())) for of in images.values() if len(of) > 1]
    return [*repeats, *_alike(paths)] if alike and paths else repeats


def _alike(paths: Mapping[Path, str]) -> Iterator[Repeat]:
    """The first ``MOST`` pairs of images whose hashes are near."""
    import numpy as np

    names, told = list(paths.values()), 0
    with ThreadPoolExecutor(2) as pool:
        hashes = [*counted("comparing images", pool.map(_difference_hash, paths), len(paths))]
    signs = np.array(hashes, np.float32)
    for start in range(0, len(signs), _BLOCK):
        # Of two rows of signs the product is 64 less twice the number of places where they differ.
        near = np.triu(signs[start : start + _BLOCK] @ signs[start:].T >= 64 - 2 * NEAR, 1)
        for one, other in np.argwhere(near)[: MOST - told] + start:
            told += 1
            yield Repeat("images look alike", (names[one], names[other]))


def _difference_hash(path: Path) -> Any:
    """64 signs: whether an image of 9 x 8 grey pixels grows brighter from each pixel to the next one on its right (the
    dHash of N. Krawetz, hackerfactor.com, 2013)."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        image.draft("L", (72, 64))
        small = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    return np.where(np.diff(small) > 0, 1, -1).ravel()
