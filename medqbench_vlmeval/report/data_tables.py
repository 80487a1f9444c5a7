"""The tables of ``medqbench data``: what a data file holds, and what a model would score that looks at no image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from medqbench_vlmeval.benchmark import TASK_TITLES, Task
from medqbench_vlmeval.data.check import Checked
from medqbench_vlmeval.data.info import IMAGE_FORM, IMAGE_SIZE, DataInfo, PartInfo
from medqbench_vlmeval.data.repeats import NEAR
from medqbench_vlmeval.report.table import Column, Entry, Table, columns, table

_SHOWN = 40


def problems(checked: Checked) -> Iterator[str]:
    """What is wrong with a file, in lines, the most important first; in so many that a person reads them."""
    state = f"problems: {len(checked.errors):,}" if checked.errors else "nothing is wrong"
    yield f"{checked.name}: {state}; samples that can be used: {checked.n:,}, images: {checked.images:,}."
    for lines, sign in ((checked.errors, "!! "), (checked.notes, "! ")):
        yield from (f"{sign}{line}" for line in lines[:_SHOWN])
        if len(lines) > _SHOWN:
            yield f"{sign}and {len(lines) - _SHOWN:,} more (--json has all)"


def info_tables(info: DataInfo) -> Iterator[Table | str]:
    """What a dataset holds: its files, the meaning of their columns with the values, the scores of no look, and what
    stands twice."""
    for task, part in info.parts.items():
        source = part.source
        yield f"{info.name}: {TASK_TITLES[task]}, {part.n:,} samples, {part.images:,} images"
        yield f"{source.path} ({source.origin}{f', revision {source.revision}' if source.revision else ''})"
        yield f"file sha256    {source.sha256}"
        yield f"samples sha256 {part.samples_sha256}"
        yield _meanings(part)
        if part.blind:
            values = columns(*((value, "share") for value in part.blind["chance"]))
            ways: list[Sequence[Entry]] = [(way, *shares.values()) for way, shares in part.blind.items()]
            yield table("Percent right without a look at any image", (Column("what is said"), *values), ways)
        if (counts := part.published) is not None:
            heads = columns("", ("published", "count"), ("here", "count"))
            expected: list[Sequence[Entry]] = [(k, n, counts.found[k]) for k, n in counts.expected.items()]
            yield table("The published test split", heads, expected)
    kinds: dict[str, list[str]] = {}
    for repeat in info.repeats:
        kinds.setdefault(repeat.what, []).append(" / ".join(repeat.samples[:4]))
    rows: list[Sequence[Entry]] = [(kind, len(of), ", ".join(of[:3])) for kind, of in kinds.items()]
    near = f"alike: of the 64 bits of two difference hashes {NEAR} differ at most, as of one image degraded in two ways"
    title = f"stands twice in {' or '.join((info.name, *info.others))}"
    heads = columns("what", ("n", "count"), "for instance")
    yield table(f"What {title}", heads, rows, [near] if "alike" in str(kinds) else []) if rows else f"Nothing {title}"


def _meanings(part: PartInfo) -> Table:
    use = part.source.columns
    found = dict.fromkeys(use.inferred, "(inferred)") | dict.fromkeys(use.absent, "(absent)")
    found = {**use.read, **{meaning: how for meaning, how in found.items() if meaning not in use.read}}
    rows = [
        (meaning, f"{name}{' (named)' if meaning in use.named else ''}", _values(part.counts.get(meaning, {})))
        for meaning, name in found.items()
        if meaning != TASK_TITLES[Task.DEGRADATION]  # a note on the whole file
    ]
    rows += [(name, "(seen)", _values(part.counts[name])) for name in (IMAGE_FORM, IMAGE_SIZE) if name in part.counts]
    notes = [f"{meaning}: {how}" for meaning, how in use.inferred.items()]
    notes += [f"ignored columns: {', '.join(use.ignored)}"] if use.ignored else []
    return table("Columns", columns("meaning", "column", "values"), rows, notes)


def _values(counts: Mapping[str, int]) -> str:
    shown = ", ".join(f"{value} ({n:,})" for value, n in list(counts.items())[:_SHOWN])
    return f"{shown} and {len(counts) - _SHOWN:,} more" if len(counts) > _SHOWN else shown
