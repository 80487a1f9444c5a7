"""Merging scored runs into an OpenVLM-style JSON.

Such a file is ``{"time": ..., "results": {model: {"META": {...}, dataset: {"Overall": ..., ...}}}}``. Only the
runs' own members change. Everything else, other models, unknown keys, number formats and indentation, stays as
it is, byte for byte; the file before is kept as ``FILE.bak``.
"""

from __future__ import annotations

import ast
import json
import re
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import ALL_DATASET_NAMES, BASELINES, REASONING_PREFIX, Task, dataset_names
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import LOCK_TIMEOUT, check_writable, locked, replacing, storable, unwritable, write_bytes
from medqbench_vlmeval.kit_version import find_kit
from medqbench_vlmeval.report.leaderboard.board import FORMAT, board_problems
from medqbench_vlmeval.report.leaderboard.entries import entry_of, identity
from medqbench_vlmeval.runs.files import ScoreFile as Result
from medqbench_vlmeval.runs.result import MEASURES, MODALITY, OVERALL, RunPart, mapping, number, parts_of
from medqbench_vlmeval.scoring.summary import UNKNOWN

# A run's numbers as an OpenVLM-style file holds them: one flat object of numbers a dataset.
#
# The leaderboard's tables take all keys but ``Overall`` for columns of numbers, so that modalities stand beside the
# question types or dimensions, and the mark is a number too.


COMPARABLE = "comparable_with_published"  # 1 or 0, as in the kit's status file
_NEAR = 0.01
_UNNAMED = ("custom", UNKNOWN)
_HIGHEST = {Task.PERCEPTION: (100.0, 100.0), Task.NO_REFERENCE: (8.0, 2.0), Task.COMPARATIVE: (8.0, 2.0)}


def values_of(part: RunPart) -> dict[str, float | int | None]:
    """The numbers of one task: percent for perception (0-100), means (0-2) and their sum (0-8) for reasoning.

    A measure that no sample has is None. Modalities are given by their accuracy or their Overall.
    """
    measures = MEASURES[part.task]
    values: dict[str, float | int | None] = {OVERALL: part.values[OVERALL]}
    values |= {measure: part.values[measure] for measure in measures if measure != OVERALL}
    of_cell = "accuracy" if part.task is Task.PERCEPTION else OVERALL
    for name, cell in part.groups.get(MODALITY, {}).items():
        if name not in (*values, UNKNOWN, COMPARABLE):
            values[name] = number(mapping(cell).get(of_cell))
    return {**values, COMPARABLE: int(part.comparable)}


def combined(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """``old`` with the numbers of ``new``: keys that are not ours stay, numbers of ours that are gone go."""
    ours = {*(measure for task in MEASURES.values() for measure in task), COMPARABLE}
    kept = {key: new.get(key, value) for key, value in old.items() if key in new or key not in ours}
    return {**kept, **{key: value for key, value in new.items() if key not in kept}}


def key_of(part: RunPart, *, in_combined_run: bool) -> str:
    """The name of a run's dataset in the file: a combined run's parts get those of the single tasks."""
    stem = next(iter(dataset_names(part.task)))
    known = ALL_DATASET_NAMES.get(part.dataset)
    if known is not None:
        return stem + known.text.removeprefix(next(iter(dataset_names(known.task))))
    if part.dataset in _UNNAMED:
        return f"{stem}_custom"
    return f"{part.dataset}_{REASONING_PREFIX[part.task]}" if in_combined_run else part.dataset


def spellings(key: str) -> tuple[str, ...]:
    """All names of the dataset that ``key`` names: no suffix means the test split."""
    known = ALL_DATASET_NAMES.get(key)
    if known is None:
        return (key,)
    return tuple(name for name, one in dataset_names(known.task).items() if one.split is known.split)


def task_of(key: str) -> Task | None:
    """The single task that a dataset's name in a file stands for, None for another benchmark's."""
    known = ALL_DATASET_NAMES.get(key.removesuffix("_custom"))
    return known.task if known is not None and known.task is not Task.REASONING else None


def problems_of(task: Task, values: Mapping[str, Any]) -> list[str]:
    """What is wrong with a dataset's numbers, each as the end of a sentence about them."""
    measures = MEASURES[task]
    highest, highest_single = _HIGHEST[task]
    problems = [f"has no '{measure}'" for measure in measures if measure not in values]
    for name, value in values.items():
        found = number(value)
        single = name in measures and name != OVERALL
        limit = 1.0 if name == COMPARABLE else highest_single if single else highest
        if value is None and name != OVERALL:
            continue
        if found is None:
            problems.append(f"has '{name}' that is not a number ({value!r})")
        elif not 0 <= found <= limit:
            problems.append(f"has '{name}' {found:g}, which is not within 0 and {limit:g}")
    overall, singles = number(values.get(OVERALL)), [number(values.get(name)) for name in measures if name != OVERALL]
    known = [value for value in singles if value is not None]
    if problems or overall is None or task is Task.PERCEPTION:
        return problems
    if len(known) == len(singles) and abs(overall - sum(known)) > _NEAR:
        problems.append(f"has an '{OVERALL}' of {overall:g}, and its dimensions' sum is {sum(known):g}")
    return problems


# What an OpenVLM-style file says of a model itself, as far as the installed kit's configuration knows it.


# A repository on the hub: 'organisation/name', and no path on a disk.
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_WEIGHTS = ("model_path", "model_pth", "ckpt", "model_name_or_path", "pretrained")


@dataclass(frozen=True)
class ZooModel:
    """A model of the kit's zoo: ``hub_id`` is the repository that its weights are loaded from, where it names one."""

    name: str
    hub_id: str | None


def meta_of(model: str, config: Path | None = None) -> dict[str, Any]:
    """The ``META`` object for a model that a file does not have yet.

    All fields that the leaderboard's tables read are there; what is not known is the empty text. ``Verified`` is
    'No': the leaderboard's makers have not verified a result that was merged here.

    Args:
        model: the model's name, as the run was given it.
        config: the kit's ``vlmeval/config.py``; the installed kit's by default.
    """
    zoo = None if model in BASELINES else zoo_model(model, config)
    return {
        "Method": [model, f"https://huggingface.co/{zoo.hub_id}" if zoo and zoo.hub_id else ""],
        "Parameters": "",
        "Language Model": "",
        "Vision Model": "",
        "Org": "",
        "Time": "",
        # Weights that the kit loads from a public repository are open; how an API's model is licensed is not said.
        "OpenSource": "Yes" if zoo and zoo.hub_id else "",
        "Verified": "No",
        "dir_name": model,
    }


def zoo_model(model: str, config: Path | None = None) -> ZooModel | None:
    """A model's entry in the kit's configuration, which is read and not imported; None where it has none."""
    if config is None:
        kit = find_kit()
        if kit is None:
            return None
        config = kit.package / "config.py"
    try:
        tree = ast.parse(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        # A kit whose configuration looks otherwise is no reason to fail: nothing is known then.
        return None
    found = None
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == model and isinstance(value, ast.Call):
                    # The last one wins, as in the kit, which updates one mapping by the next.
                    found = ZooModel(model, _hub_id(value))
    return found


def _hub_id(factory: ast.Call) -> str | None:
    """The repository in ``partial(vlm.SomeClass, model_path="organisation/name", ...)``."""
    if not factory.args or ast.unparse(factory.args[0]).startswith("api."):
        return None
    for keyword in factory.keywords:
        value = keyword.value
        if keyword.arg in _WEIGHTS and isinstance(value, ast.Constant) and isinstance(value.value, str):
            return value.value if _HUB_ID.fullmatch(value.value) else None
    return None


# Changing one member of a JSON object in a text, and no other byte of it.
#
# A leaderboard file is shared: its key order, number formats, indentation and line ends are its owner's. The text
# is therefore cut at the member that changes and put together again, in the style that it has.


_SPACE = " \t\n\r"
# Control characters inside strings are the owner's affair.
_DECODER = json.JSONDecoder(strict=False)


@dataclass(frozen=True)
class Member:
    """One ``"key": value`` of an object; the positions are those of the key's first and the value's two ends."""

    key: str
    key_start: int
    start: int
    end: int


@dataclass(frozen=True)
class Style:
    """How a file is laid out: ``unit`` is one level of indentation, None where everything stands on one line."""

    unit: str | None
    newline: str
    item: str
    colon: str
    ascii_only: bool


def members_of(text: str, start: int) -> list[Member]:
    """The members of the object that begins at ``start``.

    Raises:
        ValueError: there is no object there.
    """
    position = _skip(text, start)
    if text[position : position + 1] != "{":
        raise ValueError("not an object")
    position = _skip(text, position + 1)
    found: list[Member] = []
    while text[position] != "}":
        key, after = _DECODER.raw_decode(text, position)
        value_at = _skip(text, _skip(text, after) + 1)
        _, end = _DECODER.raw_decode(text, value_at)
        found.append(Member(key, position, value_at, end))
        position = _skip(text, end)
        if text[position] == ",":
            position = _skip(text, position + 1)
    return found


def with_value(text: str, path: Sequence[str], value: Any) -> str:
    """``text``, a JSON object, with ``value`` at ``path``; a key that is not there becomes the last of its object.

    Objects on the way that are missing are made. All other characters stay as they are.

    Raises:
        ValueError: ``text`` is not a JSON object, or something on the way is none.
        LookupError: a key on the way stands in its object twice, so that it is not known which one is meant.
    """
    style = style_of(text)
    at = _skip(text, 0)
    for depth, key in enumerate(path):
        members = members_of(text, at)
        same = [member for member in members if member.key == key]
        if len(same) > 1:
            raise LookupError(key)
        if same:
            at = same[0].start
            if depth == len(path) - 1:
                return text[:at] + written(value, style, depth + 1) + text[same[0].end :]
            continue
        for inner in reversed(path[depth + 1 :]):
            value = {inner: value}
        return _inserted(text, at, members, key, value, style, depth)
    raise ValueError("no path")


def written(value: Any, style: Style, depth: int) -> str:
    """``value`` as it stands ``depth`` levels deep in a file of that style."""
    if style.unit is None:
        return json.dumps(value, ensure_ascii=style.ascii_only, separators=(style.item, style.colon), allow_nan=False)
    separators = (",", style.colon)
    lines = json.dumps(
        value, ensure_ascii=style.ascii_only, indent=style.unit, separators=separators, allow_nan=False
    ).split("\n")
    return f"{style.newline}{style.unit * depth}".join(lines)


def style_of(text: str) -> Style:
    """The style of a JSON object, told from its first member; an empty object gets four spaces."""
    newline = "\r\n" if "\r\n" in text else "\n"
    ascii_only = text.isascii()
    start = _skip(text, 0)
    members = members_of(text, start)
    if not members:
        return Style("    ", newline, ",", ": ", False)
    first = members[0]
    gap = text[start + 1 : first.key_start]
    after_key = text.index(":", _DECODER.raw_decode(text, first.key_start)[1])
    colon = ":" + text[after_key + 1 : first.start]
    colon = ":" if colon == ":" else ": "
    if "\n" in gap or "\r" in gap:
        return Style(gap.replace("\r", "").rsplit("\n", 1)[-1], newline, ",", colon, ascii_only)
    return Style(None, newline, ", " if colon == ": " else ",", colon, ascii_only)


def _inserted(text: str, start: int, members: Sequence[Member], key: str, value: Any, style: Style, depth: int) -> str:
    member = json.dumps(key, ensure_ascii=style.ascii_only) + style.colon + written(value, style, depth + 1)
    gap = "" if style.unit is None else f"{style.newline}{style.unit * (depth + 1)}"
    if members:
        end = members[-1].end
        between = style.item if style.unit is None else ","
        return f"{text[:end]}{between}{gap}{member}{text[end:]}"
    closing = "" if style.unit is None else f"{style.newline}{style.unit * depth}"
    end = text.index("}", start)
    return f"{text[:start]}{{{gap}{member}{closing}{text[end:]}"


def _skip(text: str, position: int) -> int:
    while text[position : position + 1] and text[position] in _SPACE:
        position += 1
    return position


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


# Checking a leaderboard's file, of either kind, without changing it.


LOCAL, OPENVLM = "local leaderboard", "OpenVLM-style leaderboard"


@dataclass(frozen=True)
class Checked:
    """``problems`` are sentences, none where the file is in order; ``models`` counts models with results of their own,
    ``results`` those of MedQ-Bench."""

    kind: str
    problems: tuple[str, ...]
    models: int
    results: int


def check(path: Path) -> Checked:
    """Find everything that is wrong with a board.

    Raises:
        BadInput: the file cannot be read, is not JSON, or is neither kind of board.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        found: list[str] = []
        board = json.loads(text, object_pairs_hook=lambda pairs: _object(pairs, found), parse_constant=found.append)
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror or error}).") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not JSON ({error}).") from error
    strict = [f"It holds {one}, which JSON does not have." if "'" not in one else one for one in dict.fromkeys(found)]
    if isinstance(board, dict) and "format" in board:
        problems = [f"It {problem}." for problem in board_problems(board)]
        runs = board["runs"] if not problems else []
        return Checked(LOCAL, (*strict, *problems), len({run["model"] for run in runs}), len(runs))
    if isinstance(board, dict) and "results" in board:
        problems, n_ours = _openvlm_problems(board)
        models = board["results"] if isinstance(board["results"], dict) else {}
        return Checked(OPENVLM, (*strict, *problems), len(models), n_ours)
    raise BadInput(f"{path} is neither a leaderboard of medqbench ('format') nor an OpenVLM-style one ('results').")


def _object(pairs: list[tuple[str, Any]], problems: list[str]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        problems += [f"'{key}' stands twice in one object." for key, n in counts.items() if n > 1]
    return found


def _openvlm_problems(board: Mapping[str, Any]) -> tuple[list[str], int]:
    problems = [] if isinstance(board.get("time"), str) else ["It has no text under 'time'."]
    results = board["results"]
    if not isinstance(results, dict):
        return [*problems, "'results' is not an object."], 0
    n_ours = 0
    for model, of_model in results.items():
        if not isinstance(of_model, dict):
            problems.append(f"'{model}' is not an object.")
            continue
        problems += [f"META of '{model}' {problem}." for problem in _meta_problems(of_model.get("META"))]
        for dataset, values in of_model.items():
            if dataset == "META":
                continue
            if not isinstance(values, dict):
                problems.append(f"'{dataset}' of '{model}' is not an object.")
            elif (task := task_of(dataset)) is not None:
                n_ours += 1
                problems += [f"'{dataset}' of '{model}' {problem}." for problem in problems_of(task, values)]
            elif not any(number(value) is not None for value in values.values()):
                problems.append(f"'{dataset}' of '{model}' has no number.")
    return problems, n_ours


def _meta_problems(meta: object) -> list[str]:
    if not isinstance(meta, dict):
        return ["is not there"]
    method = meta.get("Method")
    if not (isinstance(method, list) and len(method) == 2 and all(isinstance(one, str) for one in method)):
        return ["has no 'Method' of a name and an address"]
    return []
