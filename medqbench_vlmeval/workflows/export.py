"""``medqbench data export``: a dataset as Parquet with its images and a card, as ``datasets`` and the hub read it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval import __version__
from medqbench_vlmeval.benchmark import ALL_DATASET_NAMES, own_index
from medqbench_vlmeval.data import describe, load
from medqbench_vlmeval.data.columns import Named
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import replacing, write_text, writing
from medqbench_vlmeval.report.data_tables import info_tables
from medqbench_vlmeval.report.text import markdown, markdown_text
from medqbench_vlmeval.steps import counted
from medqbench_vlmeval.types import SampleSet

if TYPE_CHECKING:
    from datasets import Dataset

_SHARD_BYTES, _GROUP_ROWS = 400_000_000, 16


def export(data: str, folder: Path, named: Named | None = None) -> list[Path]:
    """Write a dataset into a new or empty folder: Parquet, about 400 MB a file, and README.md, the card. Each task is a
    configuration, its split the dataset's or 'test'. The files are returned. BadInput where the dataset cannot
    be loaded or the folder holds something, MissingDependency without ``datasets``, RunFailed where nothing is written.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise BadInput(f"--to {folder} holds something already; name a new or an empty folder.")
    whole, card = load(data, True, named), folder / "README.md"
    split = ALL_DATASET_NAMES[data].split.value if data in ALL_DATASET_NAMES else "test"
    written = []
    with writing(folder, "choose another --to"):
        for task, source in whole.sources.items():
            own = (replace(sample, index=own_index(sample.index, task)) for sample in whole if sample.task is task)
            part = SampleSet(whole.name, task, tuple(own), {task: source})
            n = min(len(part), 1 + sum(path.stat().st_size for each in part for path in each.images) // _SHARD_BYTES)
            paths = [folder / task.value / f"{split}-{at:05d}-of-{n:05d}.parquet" for at in range(n)]
            rows = part.to_dataset()
            if "category" in rows.column_names:  # by which files of questions have other things
                rows = rows.rename_column("category", "degradation_category")
            written.append((part, _write(rows, paths), paths))
        write_text(card, _card(written, split))
    return [*(path for *_, paths in written for path in paths), card]


def _write(rows: Dataset, paths: list[Path]) -> Dataset:
    from datasets.table import embed_table_storage
    from pyarrow.parquet import ParquetWriter

    for at, path in enumerate(counted("writing shard", paths)):
        shard = rows.shard(len(paths), at, contiguous=True).with_format("arrow")
        with replacing(path) as temporary, ParquetWriter(temporary, rows.features.arrow_schema) as out:
            for batch in shard.iter(_GROUP_ROWS):
                out.write_table(embed_table_storage(batch))
    return rows


def _card(written: list[tuple[SampleSet, Dataset, list[Path]]], split: str) -> str:
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCard, DatasetCardData

    infos, parts = DatasetInfosDict(), []
    for part, rows, paths in written:
        task, size, info = part.task.value, sum(path.stat().st_size for path in paths), describe(part)
        splits = SplitDict({split: SplitInfo(split, size, len(part))})
        infos[task] = DatasetInfo(features=rows.features, splits=splits, dataset_size=size, download_size=size)
        tables = "\n".join(markdown(table) for table in info_tables(info) if not isinstance(table, str))
        file = markdown_text(part.sources[part.task].path.name)
        parts.append({"task": task, "file": file, "tables": tables, "info": info.parts[part.task]})
    files = [{"config_name": task, "data_files": [{"split": split, "path": f"{task}/{split}-*"}]} for task in infos]
    name = written[0][0].name
    front = DatasetCardData(pretty_name=name, license="other", tags=["medical"], configs=files)
    infos.to_dataset_card_data(front)
    values: dict[str, Any] = {"name": markdown_text(name), "parts": parts, "split": split, "version": __version__}
    return f"{DatasetCard.from_template(front, str(Path(__file__).with_name('dataset_card.md.j2')), **values)}\n"
