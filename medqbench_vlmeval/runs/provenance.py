"""What a result was made from and with, and what it is called."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from medqbench_vlmeval import __version__
from medqbench_vlmeval.benchmark import KITS_NAMES, REASONING_PREFIX, Task, known_dataset, name_in_file
from medqbench_vlmeval.data import samples_sha256
from medqbench_vlmeval.data.sources import hub_revision_of
from medqbench_vlmeval.files import as_file_name, json_object, sha256_text, write_json
from medqbench_vlmeval.judge import Judge
from medqbench_vlmeval.kit_version import find_kit
from medqbench_vlmeval.model_use import ModelUse
from medqbench_vlmeval.predictions import PredictionTable
from medqbench_vlmeval.predictions.foreign import foreign_run
from medqbench_vlmeval.prompts import style_hash
from medqbench_vlmeval.provenance import ColumnUse, DataUse, JudgeSettings, PredictionFile, Protocol, Provenance
from medqbench_vlmeval.runs.result import adapter_of
from medqbench_vlmeval.types import Sample, SampleSet

# How multiple-choice replies are read; the version goes up when a rule changes what is read.
EXTRACTION = Protocol("choice-extraction", "1")
CUSTOM = "custom"
# Every DICOM file may state a window of its own.
_MOST_FORMS = 20

# What a run's replies were made with, beside its prediction file (see ``kit.earlier_runs``).
INFERENCE_RECORD = "_inference.json"


@dataclass(frozen=True)
class Origin:
    """Where samples and predictions came from; ``styles`` and ``files`` are as in :class:`.comparability.Evidence`."""

    data: Mapping[str, DataUse]
    prompt_style: str | None
    styles: Mapping[Task, Mapping[str, int]]
    files: Mapping[Task, Mapping[str, int]]

    @classmethod
    def of(
        cls,
        sample_set: SampleSet | None,
        table: PredictionTable,
        samples: Sequence[Sample],
        columns: Mapping[Task, ColumnUse],
    ) -> Origin:
        """Gather provenance from the data's source and a prediction file's columns, used as ``columns`` says."""
        data, styles, files = {}, {}, {}
        tasks = list(dict.fromkeys(sample.task for sample in samples))
        for task in tasks:
            of_task = [sample for sample in samples if sample.task is task]
            source = sample_set.sources[task] if sample_set else None
            pairs = zip(table.rows, table.predictions, strict=True)
            rows = [row for row, reply in pairs if len(tasks) == 1 or _is_of(task, row, reply.index)] or [{}]
            styles[task], files[task] = _recorded(rows, "prompt_style"), _recorded(rows, "data_sha256")
            sha256, revision = _only(files[task]), _only(_recorded(rows, "data_revision"))
            path, origin, used = None, "prediction file", columns.get(task, ColumnUse())
            if source is not None:
                path, origin, used = str(source.path), source.origin, source.columns
                sha256, revision = source.sha256, source.revision or (revision if sha256 == source.sha256 else None)
            if sha256 and not revision and origin != "embedded":
                revision = hub_revision_of(sha256)
            digest, forms = samples_sha256(of_task), _forms_of(of_task)
            data[task.value] = DataUse(path, sha256, revision, origin, used, digest, len(of_task), forms)
        return cls(data, _only(sum(styles.values(), Counter())), styles, files)


def _forms_of(samples: Iterable[Sample]) -> dict[str, int]:
    forms = Counter(form.in_words for sample in samples for form in sample.image_forms)
    most = dict(forms.most_common(_MOST_FORMS))
    return most if len(most) == len(forms) else {**most, "other forms": forms.total() - sum(most.values())}


def _is_of(task: Task, row: Mapping[str, str], index: str) -> bool:
    """Whether a row of both reasoning tasks' predictions is of this one."""
    written = row.get("task")
    return written == task.value if written else index.startswith(f"{REASONING_PREFIX[task]}:")


def _recorded(rows: Iterable[Mapping[str, str]], column: str) -> Counter[str]:
    return Counter(row.get(column, "") for row in rows)


def _only(recorded: Counter[str]) -> str | None:
    """The one value that is on record, None where there is none or there are several."""
    values = set(recorded) - {""}
    return values.pop() if len(values) == 1 else None


def model_use_path(prediction_file: Path) -> Path:
    """Where a run leaves the record of what its model was and was shown."""
    return prediction_file.with_name(f"{prediction_file.stem}_model.json")


def write_model_use(path: Path, use: ModelUse, image_names: Iterable[str]) -> None:
    """Write the record of a run and the names of the images that it counts, all or nothing."""
    write_json(path, {**asdict(use), "image_names": sorted(image_names)})


def read_model_use(prediction_file: Path) -> tuple[ModelUse | None, frozenset[str]]:
    """The record beside a prediction file and the names of the images that it counts; None and none where there is no
    record that this version understands."""
    content = json_object(model_use_path(prediction_file)) or {}
    try:
        names = adapter_of(frozenset[str]).validate_python(content.get("image_names", ()))
        return adapter_of(ModelUse).validate_python(content), names
    except ValueError:
        return None, frozenset()


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
        read_model_use(table.path)[0],
    )


@dataclass(frozen=True)
class ResultNames:
    """The model's and the dataset's name in the results, and the stem of the result files."""

    model: str
    dataset: str
    stem: str


def name_results(predictions: Path, model: str | None, sample_set: SampleSet | None) -> ResultNames:
    """Tell the names from ``MODEL_DATASET.EXT``; what is given by hand wins. A file whose name does not end in a
    dataset's name gives the dataset 'custom', or the data's own name."""
    stem, own = predictions.stem, sample_set.name if sample_set is not None else None
    if model is None and (foreign := foreign_run(predictions)):
        model = foreign.model
    ending = name_in_file(stem)
    in_file = KITS_NAMES.get(ending, ending) if ending else None
    dataset = own if own and known_dataset(own) else in_file or own
    named = model or (stem.removesuffix(f"_{ending}") if ending else stem)
    if model is None:
        named = recorded_model(predictions, named)
    return ResultNames(named, dataset or CUSTOM, f"{as_file_name(named)}_{dataset or CUSTOM}")


def recorded_model(predictions: Path, in_file: str) -> str:
    """The true name of the model that a prediction file's name spells as ``in_file``, which has no '/' for instance."""
    record = json_object(predictions.with_name(f"{predictions.stem}{INFERENCE_RECORD}")) or {}
    model = record.get("model")
    return model if isinstance(model, str) and as_file_name(model) == in_file else in_file
