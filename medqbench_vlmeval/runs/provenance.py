"""What a result was made from and with, whether it may stand beside the published rows, and what it is called."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from medqbench_vlmeval import __version__
from medqbench_vlmeval.benchmark import ALL_DATASET_NAMES, QUESTION_TYPES, SECOND_PASS_NAMES, Split, Task, dataset_names
from medqbench_vlmeval.data import samples_sha256
from medqbench_vlmeval.data.info import published_counts
from medqbench_vlmeval.files import json_object, sha256_text, write_json
from medqbench_vlmeval.judge import Judge
from medqbench_vlmeval.kit_version import find_kit
from medqbench_vlmeval.model_use import KIT, ModelUse
from medqbench_vlmeval.predictions import PredictionTable
from medqbench_vlmeval.prompts import style_hash
from medqbench_vlmeval.runs.result import adapter_of
from medqbench_vlmeval.types import (
    ColumnUse,
    DataUse,
    JudgeSettings,
    PredictionFile,
    Protocol,
    Provenance,
    Sample,
    SampleSet,
    TaskResult,
)

# How multiple-choice replies are read; the version goes up when a rule changes what is read.
EXTRACTION = Protocol("choice-extraction", "1")
CUSTOM = "custom"

# Prediction files of the kit's own classes carry their names; the data are the same.
_KITS_OWN = {
    "MedqbenchMCQ": Task.PERCEPTION,
    "MedqbenchCaption": Task.NO_REFERENCE,
    "MedqbenchPairedDescription": Task.COMPARATIVE,
}
_NAMES_IN_FILES = {name: name for name in (*ALL_DATASET_NAMES, *SECOND_PASS_NAMES)} | {
    f"{kits}{ending}": f"{next(iter(dataset_names(task)))}{ending}"
    for kits, task in _KITS_OWN.items()
    for ending in ("", "_dev", "_test")
}
# File systems take 255 bytes; the dataset's name and the ending need their share.
_LONGEST_NAME = 120

# GPT-4o itself, dated or not, also behind a router's prefix; not its mini, audio or search relatives.
_PUBLISHED_JUDGE = re.compile(r"(?:[\w.-]+/)?(?:chat)?gpt-?4o(?:-latest|-\d{4}-\d{2}-\d{2})?", re.IGNORECASE)


@dataclass(frozen=True)
class Origin:
    """Where samples and predictions came from; ``changed`` says that they do not belong to one data file."""

    data: Mapping[str, DataUse]
    prompt_style: str | None
    changed: bool

    @classmethod
    def of(
        cls,
        sample_set: SampleSet | None,
        table: PredictionTable,
        samples: Sequence[Sample],
        columns: Mapping[Task, ColumnUse],
        prompt_style: str | None,
    ) -> Origin:
        """Gather provenance; a prediction file's own columns win over what the caller believes.

        ``columns`` says how a prediction file's columns were used where the samples were rebuilt from it.
        """
        data, changed = {}, False
        tasks = list(dict.fromkeys(sample.task for sample in samples))
        for task in tasks:
            of_task = [sample for sample in samples if sample.task is task]
            source = sample_set.sources[task] if sample_set else None
            rows_of = task.value if len(tasks) > 1 else None
            sha256, revision = (_recorded(table, f"data_{what}", rows_of) for what in ("sha256", "revision"))
            path, origin, used = None, "prediction file", columns.get(task, ColumnUse())
            if source is not None:
                changed = changed or sha256 not in (None, source.sha256)
                path, origin, used = str(source.path), source.origin, source.columns
                sha256, revision = source.sha256, source.revision
            data[task.value] = DataUse(path, sha256, revision, origin, used, samples_sha256(of_task), len(of_task))
        return cls(data, _recorded(table, "prompt_style", None) or prompt_style, changed)

    def reasons(self) -> list[str]:
        """Why the result cannot be compared with the published rows, as far as provenance can tell."""
        # An unrecorded prompt style is no reason.
        other_style = self.prompt_style not in (None, "official")
        style = [f"the prompt style '{self.prompt_style}' is not the official one"] if other_style else []
        moved = ["the predictions were made on another version of the data file"] if self.changed else []
        return [*style, *moved]


def _recorded(table: PredictionTable, column: str, task: str | None) -> str | None:
    """The one value that a provenance column of our dataset classes holds, None where it is not there."""
    values = {row.get(column, "") for row in table.rows if task is None or row.get("task") == task} - {""}
    return values.pop() if len(values) == 1 else None


def model_use_path(prediction_file: Path) -> Path:
    """Where a run leaves the record of what its model was and was shown."""
    return prediction_file.with_name(f"{prediction_file.stem}_model.json")


def write_model_use(path: Path, use: ModelUse) -> None:
    """Write the record of a run, all or nothing."""
    write_json(path, asdict(use))


def read_model_use(prediction_file: Path) -> ModelUse | None:
    """The record beside a prediction file; None where there is none that this version understands."""
    try:
        use: ModelUse = adapter_of(ModelUse).validate_python(json_object(model_use_path(prediction_file)))
    except ValueError:
        return None
    return use


def settings_of(
    table: PredictionTable, origin: Origin, judge: Judge | None, task: Task, extractor: JudgeSettings | None = None
) -> Provenance:
    """What a result was made from and with; ``extractor`` are the settings of one where there is one."""
    kit, style = find_kit(), origin.prompt_style
    described = judge.describe() if judge is not None else None
    # A spreadsheet that was copied by writing it anew has other bytes and the same replies.
    replies = json.dumps([[prediction.index, prediction.text] for prediction in table.predictions])
    return Provenance(
        origin.data,
        PredictionFile(table.path.name, table.sha256, sha256_text(replies)),
        style,
        style_hash(style, task) if style and kit else None,
        {"medqbench_vlmeval": __version__, "kit": kit.label if kit else None, "python": platform.python_version()},
        datetime.now(timezone.utc).isoformat(timespec="seconds"),
        (described and described.protocol) or EXTRACTION,
        described and replace(described, protocol=None),
        extractor,
        read_model_use(table.path),
    )


def data_reasons(task: Task, split: Split | None, samples: Sequence[Sample]) -> list[str]:
    """Why these samples are not the published test split, as far as that can be told."""
    if split is Split.MINI:
        return ["the embedded set is not the benchmark's test split"]
    if split is Split.DEV:
        return ["the dev split was used; the published rows are of the test split"]
    counts = published_counts(task, samples)
    if counts.same:
        return []
    if counts.present["n"] != counts.published["n"]:
        return [f"{counts.present['n']} samples; the published rows are of {counts.published['n']}"]
    present, published = (
        " / ".join(str(count[kind]) for kind in QUESTION_TYPES) for count in (counts.present, counts.published)
    )
    return [f"{present} Yes-or-No / What / How questions; the published rows are of {published}"]


def judge_reasons(judge: str, protocol: str, served_as: str | None) -> list[str]:
    """Why a judge keeps a result from being compared with the published rows, which GPT-4o judged.

    ``served_as`` is what the server called its model, None where it was never asked.
    """
    if judge == "rules":
        return ["the embedded judge 'rules' is not the published judge"]
    # More rounds estimate the same mean with less noise.
    official = re.fullmatch(r"official(-\d+)?", protocol)
    reasons = [] if official else [f"the judge protocol '{protocol}' is not the official one"]
    for name in dict.fromkeys([judge, *(served_as.split(", ") if served_as else ())]):
        if not _PUBLISHED_JUDGE.fullmatch(name):
            reasons.append(f"the judge '{name}' is not the published one (GPT-4o)")
    return reasons


def image_reasons(use: ModelUse | None) -> list[str]:
    """Why the form in which images were sent keeps a result from being compared with the published rows."""
    if use is None or use.images is None or use.images.way == KIT:
        return []
    return [f"images were sent as '{use.images.way}'; the published rows were made with the kit's own encoding"]


def unscored_reasons(part: TaskResult) -> list[str]:
    """Incomplete results are no reason for shame, but their means are over other samples."""
    counted = (("n_unscored", "samples are unscored"), ("n_missing", "predictions are missing"))
    return [f"{part.counts[name]} of {part.n} {words}" for name, words in counted if part.counts.get(name)]


@dataclass(frozen=True)
class ResultNames:
    """The model's and the dataset's name in the results, and the stem of the result files."""

    model: str
    dataset: str
    stem: str


def name_results(predictions: Path, model: str | None, sample_set: SampleSet | None) -> ResultNames:
    """Tell the names from ``MODEL_DATASET.EXT``; what is given by hand wins.

    A file whose name does not end in a dataset's name gives the dataset 'custom', or the data's own name.
    """
    stem, own = predictions.stem, sample_set.name if sample_set is not None else None
    ending = max((name for name in _NAMES_IN_FILES if stem.endswith(f"_{name}")), key=len, default=None)
    in_file = _NAMES_IN_FILES[ending] if ending else None
    dataset = own if own in ALL_DATASET_NAMES else in_file or own
    named = model or (stem.removesuffix(f"_{ending}") if ending else stem)
    safe = "".join(character if character.isprintable() else "_" for character in named)
    safe = safe.replace("/", "--").replace("\\", "--")[:_LONGEST_NAME]
    return ResultNames(named, dataset or CUSTOM, f"{safe}_{dataset or CUSTOM}")
