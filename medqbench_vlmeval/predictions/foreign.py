"""What other programs leave of a run: the kit's own classes beside their prediction files, lmms-eval in its logs. The
kit writes its numbers into ``{stem}_score.json`` and ``status.json``; the latter names the judge, too. lmms-eval's
``{date}_samples_{task}.jsonl`` holds a line a sample: up to 0.3 with the data's row (``doc``), from 0.5 on with the
prompt (``input``) and the row's number (``doc_id``) alone. ``{date}_results.json`` beside it names the model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, KITS_NAMES, OVERALL, name_in_file
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import json_object

ROW_NUMBER = "lmms-eval row"  # the column of a log whose rows are known by their place in the data, from 0, alone
LMMS_EVAL = "lmms-eval"
METRIC = "lmms-eval metric "
_LOG = re.compile(r"(?:(?P<date>[\d_T.:+-]+)_)?samples_(?P<task>.+)\.jsonl")
_OF_LOG = {"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "doc_hash", "token_counts"}
_OF_LOG |= {"input", "input_media"}


@dataclass(frozen=True)
class Foreign:
    """What another program's files say of a run; its numbers are by our measures' names (percent, means 0-2)."""

    tool: str
    model: str | None = None
    judge: str | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)


def foreign_run(path: Path) -> Foreign | None:
    """What the files beside a prediction file say of its run, None for one of neither program; they are read only where
    they lie in the file's own folder, wherever links lead."""
    if log := _LOG.fullmatch(path.name):
        content = _beside(path, f"{log['date']}_results.json")
        results, model = content.get("results"), content.get("model_name")
        of_task = results.get(log["task"]) if isinstance(results, dict) else None
        shares = [v for k, v in _object(of_task).items() if _is_share(v) and "stderr" not in k]
        numbers = {OVERALL: 100 * shares[0]} if len(shares) == 1 else {}
        folder = path.resolve().parent.name.replace("__", "/")
        return Foreign(LMMS_EVAL, model if isinstance(model, str) and model else folder, None, numbers)
    if (own := name_in_file(path.stem)) not in KITS_NAMES:
        return None
    status = _object(_object(_beside(path, "status.json").get("datasets")).get(own))
    metrics = _beside(path, f"{path.stem}_score.json") or _object(status.get("metrics"))
    shares = [metrics[key] for key in ("overall_accuracy", OVERALL) if _is_share(metrics.get(key))]
    numbers = {OVERALL: 100 * shares[0]} if shares else {}
    numbers |= {name: metrics[key] for key, name in DIMENSION_TITLES.items() if _is_share(metrics.get(key), 2)}
    judge = status.get("judge_model")
    return Foreign(f"VLMEvalKit's {own.partition('_')[0]}", None, judge if isinstance(judge, str) else None, numbers)


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_share(value: object, most: float = 1) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


def _beside(path: Path, name: str) -> Mapping[str, Any]:
    file = path.with_name(name)
    return _object(json_object(file)) if file.resolve().parent == path.resolve().parent else {}


def unfolded(records: Iterable[tuple[int, Any]], path: Path) -> Iterator[tuple[int, Any]]:
    """JSON Lines, those of lmms-eval as rows of a prediction file. BadInput for likelihoods without a model's words."""
    for number, record in records:
        is_of_log = isinstance(record, dict) and "doc_id" in record and {"resps", "filtered_resps"} & record.keys()
        yield number, _row(record, f"{path}, line {number}") if is_of_log else record


def _row(record: Mapping[str, Any], where: str) -> dict[str, Any]:
    row = {name: value for name, value in _object(record.get("doc")).items() if "bytes" not in _object(value)}
    if "index" not in row:
        row |= {ROW_NUMBER: record["doc_id"], "index": record["doc_id"]}
    row.setdefault("question", record.get("input"))
    # What a task's filters leave of a reply is their reading of it; the reply itself comes first.
    said = record.get("resps", record.get("filtered_resps"))
    while isinstance(said, list):
        if len(said) == 2 and str(said[1]) in ("True", "False"):
            raise BadInput(f"{where}: the log holds likelihoods of options and no reply of the model's.")
        said = said[0] if said else ""
    metrics = {f"{METRIC}{name}": value for name, value in record.items() if name not in _OF_LOG}
    return {**row, "target": record.get("target"), **metrics, "prediction": said}
