"""One data file, read to samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from medqbench_vlmeval.data.build import SampleBuilder, shown
from medqbench_vlmeval.data.columns import IMAGE_MEANINGS, Columns, find_columns, has_images, resolve_columns
from medqbench_vlmeval.data.imagecells import split_list
from medqbench_vlmeval.data.imagerefs import ImageRefs
from medqbench_vlmeval.data.images import ImageStore, strict_decoding
from medqbench_vlmeval.data.rowimages import RowImages
from medqbench_vlmeval.data.table import TableReader, open_table
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.records import Sample, SourceFile
from medqbench_vlmeval.tasks import Task


@dataclass(frozen=True)
class Origin:
    """Where a data file came from.

    ``kind`` is 'file', 'folder', 'embedded' or 'hub'; ``fetch`` brings an image of the file's repository to this
    machine, None where image paths are local.
    """

    kind: str = "file"
    revision: str | None = None
    fetch: Callable[[str], Path] | None = None


LOCAL_FILE = Origin()


def load_table(
    path: Path, task: Task | None, images: ImageStore | None, origin: Origin = LOCAL_FILE
) -> tuple[list[Sample], SourceFile]:
    """Read one TSV file.

    Args:
        path: the file; image paths in it are relative to its folder.
        task: a single task, or None to tell it from the columns.
        images: where images go; None opens none, and the samples have ``image_refs`` alone.
        origin: recorded in the result, and decides how image paths are found.

    Raises:
        BadInput: the file, a row or an image cannot be used; the message names file, row and index.
    """
    _check_suffix(path)
    with ExitStack() as stack:
        table = stack.enter_context(open_table(path))
        single = task or _task_of_file(path)
        columns = resolve_columns(table.header, single, path, images=images is not None)
        builder = SampleBuilder(single, columns)
        collected: RowImages | None = None
        named = ImageRefs()
        if images is not None:
            stack.enter_context(strict_decoding())
            collected = stack.enter_context(
                RowImages(single, images, path.absolute().parent, origin.kind == "embedded", origin.fetch)
            )
        samples = _read_rows(table, columns, builder, collected or named)
        found = collected.paths() if collected else {}
    if not samples:
        raise BadInput(f"{path} has a header but no rows.")
    if collected:
        samples = [replace(sample, images=found[sample.index]) for sample in samples]
    else:
        refs = named.by_index()
        samples = [replace(sample, image_refs=refs[sample.index]) for sample in samples]
    source = SourceFile(path, table.sha256, origin.revision, origin.kind, builder.column_use(), len(samples))
    return samples, source


def _read_rows(
    table: TableReader, columns: Columns, builder: SampleBuilder, images: RowImages | ImageRefs
) -> list[Sample]:
    texts = {meaning: at for meaning, at in columns.positions.items() if meaning not in IMAGE_MEANINGS}
    pictures = {meaning: at for meaning, at in columns.positions.items() if meaning in IMAGE_MEANINGS}
    first_row: dict[str, int] = {}
    samples = []
    for row in table.rows():
        where = f"{table.path}, row {row.number}"
        sample = builder.build({meaning: table.text(row, at) for meaning, at in texts.items()}, where)
        if sample.index in first_row:
            raise BadInput(
                f"{table.path}: rows {first_row[sample.index]} and {row.number} have the same index "
                f"{shown(sample.index)}; every row needs one of its own."
            )
        first_row[sample.index] = row.number
        samples.append(sample)
        cells = {meaning: row.cells[at] for meaning, at in pictures.items()}
        if isinstance(images, RowImages):
            images.add(sample.index, cells, f"{where} (index {shown(sample.index)})")
        else:
            images.add(sample.index, cells)
    return samples


def _task_of_file(path: Path) -> Task:
    with open_table(path) as table:
        row = next(table.rows(), None)
        if row is None:
            raise BadInput(f"{path} has a header but no rows.")
        columns = find_columns(table.header, ("image", "image_path"))
        pictures = {meaning: row.cells[at] for meaning, at in columns.positions.items()}
        return tell_task(table.header, pictures, path)


def tell_task(header: tuple[str, ...], pictures: Mapping[str, bytes], path: Path) -> Task:
    """Tell a file's single task from its columns.

    Args:
        header: the column names.
        pictures: some row's ``image`` and ``image_path`` cells, as far as the file has them.
        path: named in errors.

    Raises:
        BadInput: the columns fit no task, or fit two.
    """
    known = find_columns(header, ("question", "A", "B", "answer")).names
    if len(known) == 4:
        return Task.PERCEPTION
    columns = find_columns(header, ("description", *IMAGE_MEANINGS))
    if "description" not in columns.names:
        raise BadInput(
            f"{path}: the columns fit no task: perception needs question, A, B and answer, the reasoning tasks need "
            f"description; columns there: {', '.join(header[:40])}. Name the data file with --data."
        )
    if any(meaning.endswith(("_a", "_b")) for meaning in columns.names):
        return Task.COMPARATIVE
    counts = {len(split_list(cell, f"{path}")) for cell in pictures.values() if cell.strip()}
    if not has_images(columns) or not counts:
        raise BadInput(
            f"{path}: the columns do not tell whether this is the no-reference or the comparative task; name the data "
            "file with --data."
        )
    return Task.COMPARATIVE if max(counts) == 2 else Task.NO_REFERENCE


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() != ".tsv" and not path.is_dir():
        raise BadInput(
            f"{path}: a data file is a tab-separated .tsv file, not '{path.suffix or 'a file without suffix'}'."
        )
