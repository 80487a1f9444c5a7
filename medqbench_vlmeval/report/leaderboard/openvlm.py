"""Merging scored runs into an OpenVLM-style JSON. Such a file is ``{"time": ..., "results": {model: {"META": {...},
dataset: {"Overall": ..., ...}}}}``. Only the runs' own members change, and the file before is kept as ``FILE.bak``. The
public table code (gen_table.py of the Space opencompass/open_vlm_leaderboard) takes a dataset's columns from one model,
so that a partial run breaks the table, and its filters show no row whose META says neither 'Yes' nor 'No' under
``OpenSource``."""

from __future__ import annotations

import itertools
import json
import re
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import (
    ALL_DATASET_NAMES,
    BASELINES,
    DIMENSIONS,
    MEASURES,
    MODALITIES,
    OVERALL,
    REASONING_PREFIX,
    UNKNOWN,
    Comparable,
    Task,
    dataset_names,
)
from medqbench_vlmeval.data.formats import json_named_once
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import (
    LOCK_TIMEOUT,
    MissingFile,
    check_json,
    check_writable,
    locked,
    read_bytes,
    replacing,
    storable,
    write_bytes,
)
from medqbench_vlmeval.kit_version import InstalledKit, ZooModel, find_kit, zoo_models
from medqbench_vlmeval.models import PUBLISHED_MODELS, SERVICES
from medqbench_vlmeval.report.leaderboard.board import FORMAT
from medqbench_vlmeval.report.leaderboard.entries import entry_of
from medqbench_vlmeval.runs.comparability import LIMITED
from medqbench_vlmeval.runs.result import MODALITY
from medqbench_vlmeval.types import Result, TaskRun

COMPARABLE = "comparable_with_published"  # 1 or 0, as in the kit's status file
_BOM = "\ufeff"
_SIZE = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)B(?![a-z])")

Values = dict[str, float | int | None]
Json = dict[str, Any]


@dataclass(frozen=True)
class MergeReport:
    """What a merge did: ``members`` are (model, dataset) pairs, ``backup`` the file before, None where there was none
    or nothing changed; ``taken_for_closed`` are the models of which nobody knows whether their weights are public."""

    path: Path
    members: tuple[tuple[str, str], ...]
    changed: bool
    backup: Path | None
    taken_for_closed: tuple[str, ...] = ()


def merge(
    file: Path,
    scores: Sequence[tuple[Path, Result]],
    model: str | None = None,
    *,
    open_source: bool | None = None,
    stamp: bool = False,
    timeout: float = LOCK_TIMEOUT,
) -> MergeReport:
    """Merge scored runs into an OpenVLM-style JSON, which is made where it does not exist; the same runs again change
    nothing. A model is found by its name, another name of it, or the ``dir_name`` of its META.

    ``scores`` are of any models and datasets; the newest of one run counts. ``model`` is the name in the file, of runs
    of one model. ``open_source``: whether the weights are public. ``stamp`` sets the file's ``time`` to now. Another
    writer is waited for ``timeout`` seconds. Raises BadInput where the runs do not go together, are partial or hold
    impossible numbers, or the file is none of this kind or would have members of one dataset with different keys; it is
    left as it is. Raises RunFailed where the file cannot be written, or another process held it for too long."""
    wanted = _wanted(scores, model)
    # A link keeps pointing to its file, which is the one that is replaced.
    file = file.resolve()
    with locked(file.parent / f".{file.name}.lock", file, timeout):
        now = datetime.now().astimezone().strftime("%Y%m%d%H%M%S")  # as the kit writes times
        before, board = _read(file) or (None, {"time": now, "results": {}})
        unchanged = json.dumps(board)
        members: list[tuple[str, str]] = []
        closed: list[str] = []
        for (run_model, key), (run, values) in wanted.items():
            name = run_model if model is not None else _name_in(board, run_model)
            dataset = _spelling_in(board, name, key)
            if (name, dataset) in members:
                raise BadInput(
                    f"Two of the runs are '{dataset}' of '{name}' in {file}; it was left as it is. Merge them one "
                    "by one with --model."
                )
            members.append((name, dataset))
            _set_member(file, board, name, dataset, values)
            closed += [] if _set_meta(board["results"][name], name, run, open_source) else [name]
        for name, dataset in members:
            _check_columns(file, board["results"], name, dataset)
        if stamp:
            board["time"] = now
        changed = before is None or json.dumps(board) != unchanged
        backup = _replace(file, before, board) if changed else None
        return MergeReport(file, tuple(members), changed, backup, tuple(closed))


def _values_of(run: TaskRun) -> Values:
    """A task's numbers as such a file holds them, all as numbers: percent, or means (0-2) and their sum; None for
    none."""
    part = run.result
    values: Values = {measure: part.measures[measure].value for measure in (OVERALL, *MEASURES[part.task])}
    groups, taken = part.groups.get(MODALITY, {}), (*values, UNKNOWN, COMPARABLE)
    modalities = {storable(name): group.overall.value for name, group in groups.items() if name not in taken}
    return {**values, **modalities, COMPARABLE: int(part.comparable is Comparable.YES)}


def _problem_of(run: TaskRun, values: Values) -> str | None:
    """What is wrong with a task's numbers, or missing, as the end of a sentence about them; None where nothing is."""
    part, overall, missing = run.result, values[OVERALL], run.result.counts.get("n_missing")
    if limited := [reason for reason in part.not_comparable_because if reason.endswith(LIMITED)]:
        return f"is partial ({limited[0]})"
    if missing:
        return f"lacks the predictions of {missing:,} of {part.n:,} samples"
    known = part.dataset in ALL_DATASET_NAMES
    modalities = MODALITIES if known and run.task is not Task.DEGRADATION else ()
    if absent := [name for name in (OVERALL, *(values if known else ()), *modalities) if values.get(name) is None]:
        return f"has no '{absent[0]}'"
    if known and UNKNOWN in part.groups.get(MODALITY, {}):
        return "has samples of unknown modality"
    singles = [value for name in MEASURES[run.task] if name != OVERALL and (value := values[name]) is not None]
    if not run.task.is_choice and len(singles) == len(DIMENSIONS) and abs((overall or 0) - sum(singles)) > 0.01:
        return f"has an '{OVERALL}' of {overall:g}, and its dimensions' sum is {sum(singles):g}"
    return None


def _key_of(run: TaskRun, in_combined_run: bool) -> str:
    """The name of a run's dataset in the file: a combined run's parts get those of the single tasks."""
    dataset = run.result.dataset
    stem = next(name.removesuffix("_mini") for name in dataset_names(run.task) if name.endswith("_mini"))
    if known := ALL_DATASET_NAMES.get(dataset):
        if known.task is run.task:
            return dataset
        return stem + known.text.removeprefix(next(iter(dataset_names(known.task))))
    if dataset in ("custom", UNKNOWN):
        return f"{stem}_custom"
    return f"{dataset}_{REASONING_PREFIX[run.task]}" if in_combined_run else dataset


def _wanted(scores: Sequence[tuple[Path, Result]], model: str | None) -> dict[tuple[str, str], tuple[TaskRun, Values]]:
    """The runs and numbers to be merged by model and dataset; of several results of one run the newest."""
    models = dict.fromkeys(result.model for _, result in scores)
    if model is not None and len(models) > 1:
        raise BadInput(
            f"--model names one model, and the runs are of {len(models)}: {', '.join(models)}. Name one run's "
            "folder or *_score.json."
        )
    newest: dict[tuple[str, str], tuple[Path, TaskRun, Values]] = {}
    for score, result in scores:
        combined = result.task is Task.REASONING
        for run in result.tasks:
            values = _values_of(run)
            if problem := _problem_of(run, values):
                raise BadInput(
                    f"{score} ({run.task.value}) {problem}; run and score the whole dataset, or name other runs' "
                    "*_score.json, since the leaderboard's table needs every number of every model."
                )
            place = (storable(model or run.model), storable(_key_of(run, combined)))
            path, other, _ = newest.get(place, (score, run, values))
            if entry_of(run).identity != entry_of(other).identity:
                raise BadInput(
                    f"{path} and {score} are both of {run.model} on this dataset, with different data, judge, "
                    "protocol, prompt style or size; name the *_score.json that is meant."
                )
            if run.settings.created >= other.settings.created:
                newest[place] = (score, run, values)
    return {place: (run, values) for place, (_, run, values) in newest.items()}


def _read(file: Path) -> tuple[str, Json] | None:
    """The file's text and the board in it; None where there is no file."""
    try:
        text = read_bytes(file).decode("utf-8")
        check_json(text, file)
        board = _object(json.loads(text.removeprefix(_BOM), strict=False, object_pairs_hook=json_named_once))
    except MissingFile:
        return None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{file} is not JSON in UTF-8 ({error}); repair it, or name another file.") from error
    if board.get("format") == FORMAT:
        raise BadInput(f"{file} is a board of 'medqbench leaderboard add'; name another file.")
    if not isinstance(board.get("results"), dict):
        raise BadInput(f"{file} has no object under 'results', so it is no OpenVLM-style file; name another.")
    return text, board


def _names_of(model: str) -> tuple[str, ...]:
    """All names of a model, its own first, then the kits'. A published name's other snapshots are other models."""
    for published, of in PUBLISHED_MODELS.items():
        same = [name for name in of.zoo if name.lower().startswith(of.zoo[0].lower())]
        if model in (published, *same):
            return tuple(dict.fromkeys((model, *same, published)))
    return (model,)


def _name_in(board: Json, model: str) -> str:
    """The model's name in the file: itself, another of its names, or the one model whose META has such a folder."""
    metas = {name: _object(_object(member).get("META")) for name, member in board["results"].items()}
    names = _names_of(model)
    same = [name for name in names if name in metas][:1]
    same = same or [name for name, meta in metas.items() if meta.get("dir_name") in names]
    return same[0] if len(same) == 1 else model


def _spelling_in(board: Json, model: str, key: str) -> str:
    """The dataset's name that the file has already: the model's own, else another model's, so that they line up."""
    known = ALL_DATASET_NAMES.get(key)
    # No suffix means the test split.
    same = [text for text, name in dataset_names(known.task).items() if name.split is known.split] if known else []
    results = board["results"]
    models = [_object(results.get(model)), *map(_object, results.values())]
    return next((spelling for member in models for spelling in (key, *same) if spelling in member), key)


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _set_member(file: Path, board: Json, name: str, dataset: str, values: Values) -> None:
    """Put the numbers into the board: keys that are not this package's stay, numbers of its own that are gone go."""
    member = board["results"].setdefault(name, {"META": {}})
    for part in (dataset, "META"):
        if not isinstance(member, dict) or not isinstance(member.get(part, {}), dict):
            where = f"'{name}'" if not isinstance(member, dict) else f"'{part}' of '{name}'"
            raise BadInput(f"{where} in {file} is not an object; the file was left as it is. Repair it.")
    own_keys = {*itertools.chain(*MEASURES.values()), COMPARABLE}
    old = {key: value for key, value in member.get(dataset, {}).items() if key in values or key not in own_keys}
    # Equal numbers keep the form in which they were written.
    member[dataset] = old | {key: value for key, value in values.items() if old.get(key, ...) != value}


def _set_meta(member: Json, name: str, run: TaskRun, open_source: bool | None) -> bool:
    """Make a missing META and fill an empty ``OpenSource``; False where nobody knows that, and 'No' is written."""
    if open_source is None and (meta := member.get("META")) and meta.get("OpenSource", ...):
        return True
    made = meta_json(name, run)
    said = made["OpenSource"] if open_source is None else "Yes" if open_source else "No"
    member["META"] = {**(member.get("META") or made), "OpenSource": said or "No"}
    return bool(said)


def _check_columns(file: Path, results: Json, name: str, dataset: str) -> None:
    """See that all models have the same keys of a dataset."""
    own = results[name][dataset].keys()
    for other, member in results.items():
        theirs = _object(_object(member).get(dataset)).keys()
        if theirs and (apart := sorted(own ^ theirs)):
            raise BadInput(
                f"'{dataset}' of '{name}' or of '{other}' lacks '{apart[0]}', which breaks the leaderboard's table of "
                f"all models; {file} was left as it is. Export whole runs of one data file, or take '{other}' out."
            )


def _replace(file: Path, before: str | None, board: Json) -> Path | None:
    check_writable(file)
    backup = file.with_name(f"{file.name}.bak")
    if before is not None:
        write_bytes(backup, before.encode("utf-8"))
    with replacing(file) as temporary:
        temporary.write_bytes(_dumped(board, before).encode("utf-8"))
        if before is not None:
            temporary.chmod(stat.S_IMODE(file.stat().st_mode))
    return None if before is None else backup


def _dumped(board: Json, before: str | None) -> str:
    """The board's text in the layout of the text before: indentation, separators, line ends, escapes."""
    if before is None:
        return json.dumps(board, indent=4) + "\n"
    head = re.match(r'\ufeff?\s*\{(\s*)(?:"(?:[^"\\]|\\.)*"\s*(:\s*))?', before)
    gap, colon = (head.group(1), head.group(2) or ": ") if head else ("", ": ")
    indent = gap.replace("\r", "").rpartition("\n")[2] if "\n" in gap else None
    separators = ("," if indent is not None or colon == ":" else ", ", colon)
    text = json.dumps(board, indent=indent, ensure_ascii=before.isascii(), separators=separators)
    newline = "\r\n" if "\r\n" in before else "\n"
    bom = _BOM if before.startswith(_BOM) else ""
    return bom + text.replace("\n", newline) + before[len(before.rstrip()) :]


def meta_json(model: str, run: TaskRun | None = None, kit: InstalledKit | None = None) -> Json:
    """The ``META`` object for a model, as the file names it, with all fields that the leaderboard's tables read,
    unknown ones empty; ``Parameters`` is the size in a name ('7B'), ``Time`` the day of ``run``."""
    names = tuple(dict.fromkeys((*(_names_of(run.model) if run else ()), *_names_of(model))))
    zoo: Mapping[str, ZooModel] = {}
    with suppress(OSError, ValueError, SyntaxError):  # a kit whose configuration looks otherwise is no reason to fail
        zoo = zoo_models(found)[0] if (found := kit or find_kit()) else {}
    dir_name = next((name for name in names if name in zoo), names[0])
    of = zoo.get(dir_name, ZooModel("", "", None))
    published = next((PUBLISHED_MODELS[name] for name in names if name in PUBLISHED_MODELS), None)
    hub_id = of.repository or (published and published.settings.get("model_path")) or ""
    is_closed = of.kit_class in SERVICES or (published and published.vendor)
    is_open = hub_id or published or not {*BASELINES}.isdisjoint(names)
    return {
        "Method": [model, f"https://huggingface.co/{hub_id}" if hub_id else ""],
        "Parameters": next((size.group() for name in names if (size := _SIZE.search(name))), ""),
        **dict.fromkeys(("Language Model", "Vision Model"), ""),
        "Org": hub_id.partition("/")[0],
        "Time": run.settings.created[:10].replace("-", "/") if run else "",
        "OpenSource": "No" if is_closed else "Yes" if is_open else "",
        "Verified": "No",
        "dir_name": dir_name,
    }
