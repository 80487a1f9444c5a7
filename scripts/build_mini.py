"""Rebuild the embedded set: ``python -m scripts.build_mini [FOLDER]`` (needs the extra ``synth``). The same call writes
the same bytes: pictures, tables and their provenance.

Fifteen pictures a modality: three sources, each once as it is and with two degradations at two severities. Every
picture has one question; the question types, severities, letters and answers are balanced by construction.
MedQ-Deg's set asks eight clinical questions, each of the picture as it is and under two degradations at two degrees.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np

from medqbench_vlmeval.benchmark import DEGREES, MODALITIES, OPTION_LETTERS, QUESTION_TYPES
from medqbench_vlmeval.files import write_bytes, write_text
from medqbench_vlmeval.synth import texts
from medqbench_vlmeval.synth.catalogue import DEGRADATIONS, GRADES, Degradation, Planned, Source
from medqbench_vlmeval.synth.plan import Row, description_row, pair_row, question_row
from medqbench_vlmeval.synth.produce import encode, render, table_text

HOME = Path(__file__).resolve().parent.parent / "medqbench_vlmeval" / "data" / "mini"
SEED = 20261122
_DEGREE_GRADES = dict(zip(("none", "moderate", "severe"), DEGREES, strict=True))
_DATA: Mapping[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Original(Source):
    """A source picture with the ``package`` that carries it and its ``licence``; ``shows`` are the keys of the two
    degradations that the set shows on it, which leaves out what shows none."""

    package: str = ""
    licence: str = ""
    shows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Clinical:
    """A question of MedQ-Deg's kind on one source, five options in display order and the right one's letter; ``types``
    maps the names of its degradation types, MedQ-Deg's where they are known, to the keys of ours that make them."""

    source: str
    question: str
    options: tuple[str, ...]
    answer: str
    types: Mapping[str, str]


def _original(picture: str, arguments: list[Any], shows: Sequence[str] = (), **fields: str) -> Original:
    return Original(**fields, shows=tuple(shows), load=partial(resolve_name(picture), *arguments))


SOURCES = {row["key"]: _original(**row) for row in _DATA["sources"]}
CLINICAL = tuple(Clinical(**row) for row in _DATA["clinical"])


def embedded(modality: str) -> tuple[Degradation, ...]:
    """The degradations of one modality that the set knows; new rows of the catalogue do not change it."""
    return tuple(DEGRADATIONS[key] for key in _DATA["embedded"][modality])


def pictures() -> dict[str, tuple[Planned, ...]]:
    """The fifteen pictures of each modality, undegraded ones first, then mild, then severe."""
    by_modality: dict[str, tuple[Planned, ...]] = {}
    for m, modality in enumerate(MODALITIES):
        sources = [source for source in SOURCES.values() if source.modality == modality and source.shows]
        cells: list[tuple[Original, Degradation | None, str]] = [(source, None, "none") for source in sources]
        for severity in GRADES:
            cells += [(source, DEGRADATIONS[source.shows[i]], severity) for i in (0, 1) for source in sources]
        numbers = (np.random.default_rng([SEED, m]).permutation(len(cells)) + 1).tolist()
        by_modality[modality] = tuple(
            Planned(source, degradation, severity, (SEED, 100 * (m + 1) + number), f"{modality.lower()}-{number:02d}")
            for (source, degradation, severity), number in zip(cells, numbers, strict=True)
        )
    return by_modality


def degree_pictures() -> list[tuple[Clinical, str, Planned]]:
    """MedQ-Deg's 40 pictures with question and degradation type, those of one source together: first the picture of
    the other tables as it is, then each type moderate and severe, both from the same random draw."""
    clean = {p.source.key: p for planned in pictures().values() for p in planned if p.degradation is None}
    made: list[tuple[Clinical, str, Planned]] = []
    for i, asked in enumerate(CLINICAL):
        made.append((asked, "none", clean[asked.source]))
        for j, (name, key) in enumerate(asked.types.items()):
            for severity in ("moderate", "severe"):
                stem, seed = f"deg-{len(made) - i:02d}", (SEED, 1000 + 10 * i + j)
                made.append((asked, name, Planned(SOURCES[asked.source], DEGRADATIONS[key], severity, seed, stem)))
    return made


def _every_picture() -> dict[str, Planned]:
    """All pictures by file name, in the order of their making."""
    planned = [picture for of in pictures().values() for picture in sorted(of, key=lambda p: p.file_name)]
    return {picture.file_name: picture for picture in (*planned, *(picture for *_, picture in degree_pictures()))}


def which_at(
    noun: str, present: Degradation | None, known: Sequence[Degradation], n: int, place: int, rng: np.random.Generator
) -> texts.Question:
    """``texts.which`` with ``n`` options, 3 or 4, and the right answer at position ``place``. Distractors are other
    degradations of the same modality; 'No visible degradation' is among the options of every four-option question."""
    others = [texts.title(d.name) for d in known if d is not present]
    wrong = [others[int(i)] for i in rng.permutation(len(others))][: n - 1]
    if present is not None and n == 4:
        wrong[int(rng.integers(3))] = texts.NOTHING
    shown = (present,) if present else ()
    return texts.which(noun, shown, (*wrong[:place], texts.what_name(shown), *wrong[place:]))


def how_at(noun: str, severity: str, fault: Degradation | None, place: int, rng: np.random.Generator) -> texts.Question:
    """``texts.how`` with the right option at ``place`` and the others in random order."""
    others = [grade for grade in ("none", *GRADES) if grade != severity]
    order = [others[int(i)] for i in rng.permutation(2)]
    order.insert(place, severity)
    return texts.how(noun, severity, fault, order)


def _ask(picture: Planned, kind: str, turn: int, rng: np.random.Generator) -> texts.Question:
    """The question of type ``kind`` on one picture; ``turn`` counts questions of that type over the whole set."""
    noun, fault = picture.source.noun, picture.degradation
    known = embedded(picture.source.modality)
    absent = [d for d in known if d is not fault]
    other = absent[int(rng.integers(len(absent)))]
    if kind == "Yes-or-No":
        yes_first = turn % 4 in (0, 3)
        if (fault is None and turn % 2 == 0) or (fault is not None and turn % 10 == 7):
            return texts.yes_or_no(noun, fault is None, None, yes_first)
        present = fault is not None and turn % 2 == 0
        return texts.yes_or_no(noun, present, fault if present and fault else other, yes_first)
    if kind == "What":
        options = 4 if turn % 2 == 0 else 3
        return which_at(noun, fault, known, options, (turn // 2) % options, rng)
    return how_at(noun, picture.severity, None if turn % 2 == 0 else fault or other, turn % 3, rng)


def perception_rows() -> list[Row]:
    """75 questions, 25 of each type, 15 a modality."""
    rows: list[Row] = []
    turns = dict.fromkeys(QUESTION_TYPES, 0)
    for m, planned in enumerate(pictures().values()):
        for place, picture in enumerate(planned):
            # The severe pictures are one step further, so that both severities of a fault get different texts.
            kind = QUESTION_TYPES[(place + m + (picture.severity == "severe")) % 3]
            question = _ask(picture, kind, turns[kind], np.random.default_rng([*picture.seed, 1]))
            turns[kind] += 1
            rows.append(question_row(f"mini-p{len(rows) + 1:03d}", picture, question, kind))
    return rows


def description_rows() -> list[Row]:
    """20 single pictures, four a modality: one undegraded, and mild and severe in turns."""
    rows: list[Row] = []
    for m, planned in enumerate(pictures().values()):
        none, mild, severe = planned[:3], planned[3:9], planned[9:]
        chosen = [none[m % 3], mild[m % 6], severe[(m + 2) % 6]]
        chosen.append(mild[(m + 3) % 6] if m % 2 == 0 else severe[(m + 5) % 6])
        for picture in (chosen[i] for i in np.random.default_rng([SEED, m, 2]).permutation(4)):
            rows.append(description_row(f"mini-d{len(rows) + 1:03d}", picture))
    return rows


def pair_rows() -> list[Row]:
    """20 pairs of the same scene, four a modality: two coarse (none, severe) and two fine (neighbouring levels)."""
    rows: list[Row] = []
    for m, planned in enumerate(pictures().values()):
        s = m % 3
        t, u = (s + 1) % 3, (s + 2) % 3
        none, mild, severe = planned[:3], planned[3:9], planned[9:]
        chosen = ((none[s], severe[s]), (none[t], severe[t + 3]), (none[u], mild[u]), (mild[s + 3], severe[s + 3]))
        for number, (better, worse) in enumerate(chosen):
            better_first = (number + m + number // 2) % 2 == 0
            rows.append(pair_row(f"mini-c{len(rows) + 1:03d}", better, worse, better_first))
    return rows


def degree_rows() -> list[Row]:
    """MedQ-Deg's 40 questions in the columns that its class reads; 'image_id' tells which rows show one source."""
    rows: list[Row] = []
    for number, (asked, kind, picture) in enumerate(degree_pictures(), 1):
        words = dict(zip(OPTION_LETTERS, asked.options, strict=True)) | {"answer": asked.answer}
        axes = {"modality": picture.source.modality, "degradation_type": kind}
        axes |= {"degradation_severity": _DEGREE_GRADES[picture.severity], "source": SOURCES[asked.source].package}
        begin = {"index": f"mini-g{number:03d}", "image_path": f"images/{picture.file_name}"}
        rows.append({**begin, "question": asked.question, **words, **axes, "image_id": asked.source})
    return rows


TABLES = {
    "medqbench_QA_mini.tsv": perception_rows,
    "medqbench_description_mini.tsv": description_rows,
    "medqbench_paired_description_mini.tsv": pair_rows,
    "MedQ-Robust-mini.tsv": degree_rows,
}


def provenance() -> str:
    """JSON: every source with package and licence, every picture with degradation, parameters and seed."""
    fields = ("modality", "kind", "origin", "package", "licence")
    sources = {
        key: {field: getattr(source, field) for field in fields} for key, source in SOURCES.items() if source.shows
    }
    images = {
        picture.file_name: {
            "source": picture.source.key,
            "degradation": picture.degradation and picture.degradation.key,
            "name": picture.fault,
            "function": picture.degradation and picture.degradation.function,
            "severity": picture.severity,
            "parameters": picture.degradation.strength(picture.severity) if picture.degradation else {},
            "seed": picture.seed,
        }
        for picture in _every_picture().values()
    }
    about = (
        "Made by scripts/build_mini.py. Pictures are resampled and degraded; parameters are explained, with units, "
        "in the docstring of the named function. Nothing here comes from the benchmark's own data."
    )
    return json.dumps({"about": about, "sources": sources, "images": images}, indent=1, ensure_ascii=False) + "\n"


def write_mini(out: Path, only: Sequence[str] | None = None) -> list[Path]:
    """Write the set into ``out`` and return the files written, in order. ``only`` limits the pictures to these file
    names; tables and provenance are always written. MissingDependency where a package with source images is absent."""
    every = _every_picture()
    chosen = {out / "images" / name: picture for name, picture in every.items() if only is None or name in only}
    for path, picture in chosen.items():
        write_bytes(path, encode(render(picture), path.suffix[1:]))
    tables = {out / name: table_text(rows()) for name, rows in TABLES.items()}
    tables[out / "PROVENANCE.json"] = provenance()
    for path, text in tables.items():
        write_text(path, text)
    return [*chosen, *tables]


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else HOME
    written = write_mini(out)
    size = sum(path.stat().st_size for path in written)
    print(f"{len(written)} files, {size / 1e6:.2f} MB in {out}")


if __name__ == "__main__":
    main()
