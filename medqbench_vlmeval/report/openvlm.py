"""Merging scored runs into an OpenVLM-style JSON.

Such a file is ``{"time": ..., "results": {model: {"META": {...}, dataset: {"Overall": ..., ...}}}}``. Only the
runs' own members change. Everything else, other models, unknown keys, number formats and indentation, stays as
it is, byte for byte; the file before is kept as ``FILE.bak``.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import replacing, write_bytes
from medqbench_vlmeval.report.board_entries import entry_of, identity
from medqbench_vlmeval.report.board_file import FORMAT
from medqbench_vlmeval.report.board_lock import LOCK_TIMEOUT, check_writable, locked, unwritable
from medqbench_vlmeval.report.board_runs import Result
from medqbench_vlmeval.report.openvlm_meta import meta_of
from medqbench_vlmeval.report.openvlm_text import with_value
from medqbench_vlmeval.report.openvlm_values import combined, key_of, problems_of, spellings, values_of
from medqbench_vlmeval.report.runs import RunPart, mapping, parts_of
from medqbench_vlmeval.report.text import storable
from medqbench_vlmeval.tasks import Task

_BOM = "\ufeff"
_TIME = "%Y%m%d%H%M%S"  # as the kit writes times


@dataclass(frozen=True)
class Merged:
    """What a merge did: ``members`` are (model, dataset) pairs, ``backup`` the file before, None where there was none
    or nothing changed."""

    path: Path
    members: tuple[tuple[str, str], ...]
    changed: bool
    backup: Path | None


def merge(
    file: Path,
    results: Sequence[Result],
    model: str | None = None,
    *,
    stamp: bool = False,
    timeout: float = LOCK_TIMEOUT,
) -> Merged:
    """Merge scored runs into ``file``, which is made where it does not exist; the same runs again change nothing.

    A model is found by its name, or by the ``dir_name`` of its META; a new one gets what is known of it as META.

    Args:
        file: an OpenVLM-style JSON.
        results: runs of any models and datasets; of several results of one run the newest counts.
        model: the name in the file; the runs must then be of one model.
        stamp: set the file's ``time`` to now; otherwise it stays, since it speaks of all results.
        timeout: how many seconds to wait for another writer.

    Raises:
        BadInput: the runs do not go together or hold impossible numbers, or the file is none of this kind; it is left
            as it is.
        RunFailed: the file cannot be written, or another process held it for ``timeout`` seconds.
    """
    wanted = _wanted(results, model)
    # A link keeps pointing to its file, which is the one that is replaced.
    file = file.resolve()
    with locked(file.parent / f".{file.name}.lock", file, timeout):
        before = _read(file)
        text = before if before is not None else _new()
        board = checked(file, text.removeprefix(_BOM))
        bom, text = (_BOM if text.startswith(_BOM) else ""), text.removeprefix(_BOM)
        members = []
        try:
            for (run_model, key), values in wanted.items():
                name = run_model if model is not None else _name_in(board, run_model)
                dataset = _spelling_in(board, name, key)
                if (name, dataset) in members:
                    raise BadInput(
                        f"Two of the runs are '{dataset}' of '{name}' in {file}; it was left as it is. Merge them one "
                        "by one with --model."
                    )
                members.append((name, dataset))
                text = _with_member(file, text, board, name, dataset, values)
                board = checked(file, text)
            if stamp:
                text = with_value(text, ["time"], datetime.now().astimezone().strftime(_TIME))
        except LookupError as error:
            raise BadInput(
                f"{file} has '{error.args[0]}' twice in one object, so that it is not known which one is meant; it was "
                "left as it is. Remove one of them."
            ) from error
        after = bom + text
        if after == before:
            return Merged(file, tuple(members), False, None)
        return Merged(file, tuple(members), True, _replace(file, before, after))


def checked(file: Path, text: str) -> dict[str, Any]:
    """The board in a text.

    Raises:
        BadInput: the text is not JSON, or not of this kind.
    """
    try:
        board = json.loads(text, strict=False)
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"{file} is not JSON ({error}); it was left as it is. Repair it, or name another file."
        ) from error
    if isinstance(board, dict) and board.get("format") == FORMAT:
        raise BadInput(
            f"{file} is a local leaderboard of medqbench, written by 'medqbench leaderboard add'; name another file."
        )
    if not isinstance(board, dict) or not isinstance(board.get("results"), dict):
        raise BadInput(
            f"{file} has no object under 'results', so it is no OpenVLM-style file; it was left as it is. Name another "
            "file."
        )
    return board


def _wanted(results: Sequence[Result], model: str | None) -> dict[tuple[str, str], dict[str, Any]]:
    """The numbers to be merged by model and dataset; of several results of one run the newest."""
    models = dict.fromkeys(part.model for result in results for part in parts_of(result.score))
    if model is not None and len(models) > 1:
        raise BadInput(
            f"--model names one model, and the runs are of {len(models)}: {', '.join(models)}. Name one run's "
            "folder or *_score.json."
        )
    found: dict[tuple[str, str], tuple[Path, RunPart]] = {}
    for result in results:
        together = result.score.get("task") == Task.REASONING.value
        for part in parts_of(result.score):
            problems = problems_of(part.task, values_of(part))
            if problems:
                raise BadInput(f"{result.path} ({part.task.value}) {problems[0]}; score that run again.")
            place = (storable(model or part.model), storable(key_of(part, in_combined_run=together)))
            other = found.get(place)
            if other is None or _newer(result.path, part, *other):
                found[place] = (result.path, part)
    return {
        place: {storable(name): value for name, value in values_of(part).items()} for place, (_, part) in found.items()
    }


def _newer(path: Path, part: RunPart, other_path: Path, other: RunPart) -> bool:
    if identity(entry_of(part)) != identity(entry_of(other)):
        raise BadInput(
            f"{other_path} and {path} are both of {part.model} on this dataset, with different data, judge, protocol, "
            "prompt style or size; name the *_score.json that is meant."
        )
    return str(part.settings.get("created") or "") >= str(other.settings.get("created") or "")


def _read(file: Path) -> str | None:
    try:
        return file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadInput(f"{file} cannot be read ({error.strerror or error}).") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{file} is not JSON in UTF-8 ({error}); it was left as it is.") from error


def _new() -> str:
    return json.dumps({"time": datetime.now().astimezone().strftime(_TIME), "results": {}}, indent=4) + "\n"


def _name_in(board: Mapping[str, Any], model: str) -> str:
    results = board["results"]
    if model in results:
        return model
    same = [name for name, found in results.items() if mapping(mapping(found).get("META")).get("dir_name") == model]
    return same[0] if len(same) == 1 else model


def _spelling_in(board: Mapping[str, Any], name: str, key: str) -> str:
    """The dataset's name that the file has already: the model's own, else another model's, so that they line up."""
    results = board["results"]
    models = [mapping(results.get(name)), *(mapping(found) for found in results.values())]
    names = sorted(spellings(key), key=lambda spelling: spelling != key)
    return next((spelling for found in models for spelling in names if spelling in found), key)


def _with_member(
    file: Path, text: str, board: Mapping[str, Any], name: str, dataset: str, values: Mapping[str, Any]
) -> str:
    of_model = board["results"].get(name)
    if of_model is None and name not in board["results"]:
        return with_value(text, ["results", name], {"META": meta_of(name), dataset: dict(values)})
    if not isinstance(of_model, dict) or (dataset in of_model and not isinstance(of_model[dataset], dict)):
        where = f"'{name}'" if not isinstance(of_model, dict) else f"'{dataset}' of '{name}'"
        raise BadInput(f"{where} in {file} is not an object; the file was left as it is. Repair it.")
    old = of_model.get(dataset, {})
    new = combined(old, values)
    # Equal numbers keep the form in which they were written.
    return text if dataset in of_model and new == old else with_value(text, ["results", name, dataset], new)


def _replace(file: Path, before: str | None, after: str) -> Path | None:
    check_writable(file)
    backup = file.with_name(f"{file.name}.bak") if before is not None else None
    try:
        if backup is not None and before is not None:
            write_bytes(backup, before.encode("utf-8"))
        with replacing(file) as temporary:
            temporary.write_bytes(after.encode("utf-8"))
            if before is not None:
                temporary.chmod(stat.S_IMODE(file.stat().st_mode))
    except OSError as error:
        raise unwritable(file, error) from error
    return backup
