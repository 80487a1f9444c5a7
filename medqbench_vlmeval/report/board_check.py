"""Checking a leaderboard's file, of either kind, without changing it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.report.board_file import board_problems
from medqbench_vlmeval.report.openvlm_values import problems_of, task_of
from medqbench_vlmeval.report.runs import number

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
