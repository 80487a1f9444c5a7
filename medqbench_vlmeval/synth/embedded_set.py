"""Plan and write the embedded set: pictures, three tables and their provenance. The same call writes the same bytes.

Fifteen pictures a modality: three sources, each once as it is and with two degradations at two severities. Every
picture has one question; the question types, severities, letters and answers are balanced by construction.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medqbench_vlmeval.benchmark import MODALITIES, OPTION_LETTERS
from medqbench_vlmeval.files import write_bytes, write_text
from medqbench_vlmeval.synth import texts
from medqbench_vlmeval.synth.degradations import DEGRADATIONS, Degradation, of_modality
from medqbench_vlmeval.synth.images import SOURCES, Bytes, Source

SEED = 20261122
JPEG_QUALITY = 92

# Which two degradations each source shows: breathing belongs to an abdomen, a bias field to an even object.
_SHOWN: Mapping[str, tuple[str, str]] = {
    "spine": ("ct-noise", "ct-ring"),
    "shepp-logan": ("ct-sparse", "ct-metal"),
    "section-1": ("ct-limited", "ct-motion"),
    "brain-axial": ("mr-bias", "mr-lowres"),
    "brain-coronal": ("mr-alias", "mr-spike"),
    "upper-abdomen": ("mr-motion", "mr-noise"),
    "tissue-whole": ("hp-defocus", "hp-faded"),
    "tissue-gland": ("hp-bubble", "hp-debris"),
    "tissue-stroma": ("hp-fold", "hp-jpeg"),
    "colon-1": ("en-motion", "en-over"),
    "colon-2": ("en-light", "en-bubble"),
    "colon-3": ("en-glare", "en-haze"),
    "retina-whole": ("fu-defocus", "fu-colour"),
    "retina-disc": ("fu-light", "fu-noise"),
    "retina-right": ("fu-haze", "fu-over"),
}


# One row of a table: its columns in order.
Row = Mapping[str, str]


@dataclass(frozen=True)
class Planned:
    """One picture of the set. ``seed`` starts its own generator, so that each can be made alone."""

    source: Source
    degradation: Degradation | None
    severity: str
    seed: tuple[int, int]

    @property
    def file_name(self) -> str:
        """Grey pictures are stored as PNG, colour pictures as high-quality JPEG. The name tells no answer."""
        suffix = "png" if self.source.modality in ("CT", "MRI") else "jpg"
        return f"{self.source.modality.lower()}-{self.seed[1] % 100:02d}.{suffix}"

    @property
    def fault(self) -> str:
        """The value of the ``degradation`` column."""
        return self.degradation.name if self.degradation else "none"

    @property
    def origin(self) -> str:
        """The value of the ``source`` column."""
        if self.degradation is None or self.source.kind != "authentic":
            return self.source.kind
        return "simulated distortion"


def pictures() -> dict[str, tuple[Planned, ...]]:
    """The fifteen pictures of each modality, undegraded ones first, then mild, then severe."""
    by_modality: dict[str, tuple[Planned, ...]] = {}
    for m, modality in enumerate(MODALITIES):
        shown = [(SOURCES[key], pair) for key, pair in _SHOWN.items() if SOURCES[key].modality == modality]
        cells: list[tuple[Source, Degradation | None, str]] = [(source, None, "none") for source, _ in shown]
        for severity in ("mild", "severe"):
            cells += [(source, DEGRADATIONS[pair[i]], severity) for i in (0, 1) for source, pair in shown]
        numbers = np.random.default_rng([SEED, m]).permutation(len(cells))
        by_modality[modality] = tuple(
            Planned(source, degradation, severity, (SEED, 100 * (m + 1) + int(number) + 1))
            for (source, degradation, severity), number in zip(cells, numbers, strict=True)
        )
    return by_modality


def _ask(picture: Planned, kind: str, turn: int, rng: np.random.Generator) -> texts.Question:
    """The question of type ``kind`` on one picture; ``turn`` counts questions of that type over the whole set."""
    noun, modality = picture.source.noun, picture.source.modality
    known = of_modality(modality)
    made = picture.degradation
    absent = [d for d in known if d is not made]
    other = absent[int(rng.integers(len(absent)))]
    if kind == "Yes-or-No":
        yes_first = turn % 4 in (0, 3)
        if made is None and turn % 2 == 0:
            return texts.is_degraded(noun, False, yes_first)
        if made is not None and turn % 10 == 7:
            return texts.is_degraded(noun, True, yes_first)
        present = made is not None and turn % 2 == 0
        return texts.yes_or_no(noun, present, made if present and made is not None else other, yes_first)
    if kind == "What":
        options = 4 if turn % 2 == 0 else 3
        return texts.which(noun, made, known, options, (turn // 2) % options, rng)
    if turn % 2 == 0:
        return texts.how_good(noun, picture.severity, turn % 3, rng)
    return texts.how_severe(noun, picture.severity, made if made is not None else other, turn % 3, rng)


def perception_rows() -> tuple[Row, ...]:
    """75 questions, 25 of each type, 15 a modality."""
    rows: list[Row] = []
    turns = {"Yes-or-No": 0, "What": 0, "How": 0}
    kinds = tuple(turns)
    for m, (modality, planned) in enumerate(pictures().items()):
        for place, picture in enumerate(planned):
            # The severe pictures are one step further, so that both severities of a fault get different texts.
            kind = kinds[(place + m + (picture.severity == "severe")) % 3]
            rng = np.random.default_rng([*picture.seed, 1])
            question = _ask(picture, kind, turns[kind], rng)
            turns[kind] += 1
            letters = dict(zip(OPTION_LETTERS, question.options, strict=False))
            right = next(letter for letter, text in letters.items() if text == question.right)
            rows.append(
                {
                    "index": f"mini-p{len(rows) + 1:03d}",
                    "image_path": f"images/{picture.file_name}",
                    "question": question.text,
                    **{letter: letters.get(letter, "") for letter in OPTION_LETTERS},
                    "answer": right,
                    "question_type": kind,
                    "modality": modality,
                    "severity": picture.severity,
                    "degradation": picture.fault,
                    "scope": question.scope,
                    "source": picture.origin,
                }
            )
    return tuple(rows)


def description_rows() -> tuple[Row, ...]:
    """20 single pictures, four a modality: one undegraded, and mild and severe in turns."""
    rows: list[Row] = []
    for m, (modality, planned) in enumerate(pictures().items()):
        none, mild, severe = planned[:3], planned[3:9], planned[9:]
        chosen = [none[m % 3], mild[m % 6], severe[(m + 2) % 6]]
        chosen.append(mild[(m + 3) % 6] if m % 2 == 0 else severe[(m + 5) % 6])
        for picture in (chosen[i] for i in np.random.default_rng([SEED, m, 2]).permutation(4)):
            text = texts.describe(picture.source.noun, modality, picture.severity, picture.degradation)
            rows.append(
                {
                    "index": f"mini-d{len(rows) + 1:03d}",
                    "image_path": f"images/{picture.file_name}",
                    "description": text,
                    "modality": modality,
                    "severity": picture.severity,
                    "degradation": picture.fault,
                    "source": picture.origin,
                }
            )
    return tuple(rows)


def pair_rows() -> tuple[Row, ...]:
    """20 pairs of the same scene, four a modality: two coarse (none, severe) and two fine (neighbouring levels)."""
    rows: list[Row] = []
    for m, (modality, planned) in enumerate(pictures().items()):
        s = m % 3
        t, u = (s + 1) % 3, (s + 2) % 3
        none, mild, severe = planned[:3], planned[3:9], planned[9:]
        chosen = (
            (none[s], severe[s], "coarse-grained"),
            (none[t], severe[t + 3], "coarse-grained"),
            (none[u], mild[u], "fine-grained"),
            (mild[s + 3], severe[s + 3], "fine-grained"),
        )
        for number, (better, worse, difficulty) in enumerate(chosen):
            first, second = (better, worse) if (number + m + number // 2) % 2 == 0 else (worse, better)
            text = texts.compare(
                first.source.noun, modality, (first.severity, first.degradation), (second.severity, second.degradation)
            )
            paths = f'["images/{first.file_name}", "images/{second.file_name}"]'
            rows.append(
                {
                    "index": f"mini-c{len(rows) + 1:03d}",
                    "image_path": paths,
                    "description": text,
                    "modality": modality,
                    "severity": worse.severity,
                    "difficulty": difficulty,
                    "source": worse.origin,
                }
            )
    return tuple(rows)


TABLES = {
    "medqbench_QA_mini.tsv": perception_rows,
    "medqbench_description_mini.tsv": description_rows,
    "medqbench_paired_description_mini.tsv": pair_rows,
}


def table_text(rows: Sequence[Row]) -> str:
    """A TSV with a header line; quotes only where a cell needs them, lines end with a newline alone."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter="\t", quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def render(picture: Planned) -> Bytes:
    """The pixels of one planned picture, uint8, (H, W) or (H, W, 3)."""
    loaded = picture.source.load()
    if picture.degradation is None:
        return loaded.display()
    rng = np.random.default_rng(picture.seed)
    return picture.degradation.degrade(loaded, picture.severity, rng).display()


def encode(pixels: Bytes, suffix: str) -> bytes:
    """A PNG, or a JPEG at quality 92 without chroma subsampling (its error is far below any simulated one)."""
    from PIL import Image

    out = io.BytesIO()
    image = Image.fromarray(pixels)
    if suffix == "png":
        image.save(out, "PNG", optimize=True)
    else:
        image.save(out, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return out.getvalue()


def provenance() -> str:
    """JSON: every source with package and licence, every picture with degradation, parameters and seed."""
    sources = {
        source.key: {
            "modality": source.modality,
            "kind": source.kind,
            "origin": source.origin,
            "package": source.carrier,
            "licence": source.licence,
        }
        for source in SOURCES.values()
    }
    images = {
        picture.file_name: {
            "source": picture.source.key,
            "degradation": picture.degradation.key if picture.degradation else None,
            "name": picture.fault,
            "function": picture.degradation.function if picture.degradation else None,
            "severity": picture.severity,
            "parameters": dict(picture.degradation.parameters[picture.severity]) if picture.degradation else {},
            "seed": list(picture.seed),
        }
        for planned in pictures().values()
        for picture in sorted(planned, key=lambda p: p.file_name)
    }
    about = (
        "Made by scripts/build_mini.py. Pictures are resampled and degraded; parameters are explained, with units, "
        "in the docstring of the named function. Nothing here comes from the benchmark's own data."
    )
    return json.dumps({"about": about, "sources": sources, "images": images}, indent=1, ensure_ascii=False) + "\n"


def write_mini(out: Path, only: Sequence[str] | None = None) -> list[Path]:
    """Write the set into ``out`` and return the files written, in order.

    ``only`` limits the pictures to these file names; tables and provenance are always written.

    Raises:
        MissingDependency: a package that carries a source image is not installed.
    """
    written: list[Path] = []
    for planned in pictures().values():
        for picture in planned:
            if only is None or picture.file_name in only:
                path = out / "images" / picture.file_name
                write_bytes(path, encode(render(picture), path.suffix[1:]))
                written.append(path)
    for name, rows in TABLES.items():
        write_text(out / name, table_text(rows()))
        written.append(out / name)
    write_text(out / "PROVENANCE.json", provenance())
    written.append(out / "PROVENANCE.json")
    return written
