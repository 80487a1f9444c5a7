"""``medqbench compare``: two runs or more on the same samples, task by task."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.evaluation.compare_notes import notes_of, warnings_of
from medqbench_vlmeval.evaluation.contenders import Contender, Match, Side, described, match_tasks, read_contenders
from medqbench_vlmeval.evaluation.pairing import Common, Entry, common_clusters, in_common, paired
from medqbench_vlmeval.files import read_object, write_json
from medqbench_vlmeval.report.cells import made_here
from medqbench_vlmeval.report.runs import SCORE_ENDING, text
from medqbench_vlmeval.scoring import detectable
from medqbench_vlmeval.scoring.comparison import ALPHA, INTERVAL_METHOD, compare_pair
from medqbench_vlmeval.scoring.intervals import LEVEL
from medqbench_vlmeval.scoring.ranking import mark_distinct, not_distinct, rank_runs
from medqbench_vlmeval.tasks import DIMENSIONS, Task

METHODS = {
    "difference": "a less b: above 0 a is better",
    "interval": INTERVAL_METHOD,
    "p": {
        "perception": "McNemar's exact test, two-sided",
        "reasoning": "Wilcoxon's signed-rank test, two-sided, zero differences left out, ties exact up to 125 samples",
    },
    "p_clustered": "the same kind of test with the samples that share an image as one unit, by flipping signs",
    "p_holm": "Holm's adjustment within one axis; over all pairs for the overall differences of more than two runs",
    "detectable": detectable.METHOD,
}
_NAMED = 10  # indexes that are listed of samples which are not compared


@dataclass(frozen=True)
class RunComparison:
    """``result`` is the content of ``compare.json`` but for ``disagreements``, a row a sample on which runs differ;
    ``sources`` are the files that were read."""

    result: dict[str, Any]
    disagreements: list[dict[str, Any]]
    sources: tuple[Path, ...]


def compare_runs(places: Sequence[Path], seed: int = 0) -> RunComparison:
    """Compare runs on the samples that they have in common.

    Args:
        places: two runs or more: result files, prediction files with the results beside them, or folders.
        seed: of the bootstrap.

    Raises:
        BadInput: a run cannot be read, is named twice, or has no task or no sample in common with another.
    """
    contenders = read_contenders(places)
    matches, alone = match_tasks(contenders)
    compared = [_compare(match, seed) for match in matches]
    result = {
        "runs": [described(contender) for contender in contenders],
        "seed": seed,
        "level": LEVEL,
        "alpha": ALPHA,
        "power": detectable.POWER,
        "methods": METHODS,
        "not_compared": alone,
        "parts": [part for part, _ in compared],
    }
    return RunComparison(result, [row for _, rows in compared for row in rows], _sources(contenders))


def write_comparison(comparison: RunComparison, out: Path) -> tuple[Path, Path]:
    """Write ``compare.json`` and ``compare.xlsx`` into a folder and return their paths.

    Raises:
        BadInput: a file would replace a file of a run, or one that is no comparison.
        RunFailed: a file cannot be written.
    """
    from medqbench_vlmeval.report.sheet_compare import write_compare

    paths = out / "compare.json", out / "compare.xlsx"
    try:
        for path in paths:
            _refuse_to_replace(path, comparison.sources)
        write_json(paths[0], {**comparison.result, "disagreements": comparison.disagreements})
    except OSError as error:
        raise RunFailed(f"{paths[0]} cannot be written ({error.strerror or error}); choose another --out.") from error
    write_compare(paths[1], comparison.result, comparison.disagreements)
    return paths


def _refuse_to_replace(path: Path, sources: Sequence[Path]) -> None:
    if not path.is_file():
        return
    if any(source.exists() and path.samefile(source) for source in sources):
        raise BadInput(f"{path} would replace a file of a run; choose another --out.")
    if not (_is_comparison(path) if path.suffix == ".json" else made_here(path)):
        raise BadInput(f"{path} was not written by 'medqbench compare'; move it away or choose another --out.")


def _is_comparison(path: Path) -> bool:
    found = read_object(path)
    return found is not None and "parts" in found and "not_compared" in found


def _compare(match: Match, seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One task: every pair, the ranking of more than two, and the samples on which they differ."""
    pairs = [_pair(match.task, a, b, seed) for a, b in combinations(match.sides, 2)]
    common = in_common([side.entries for side in match.sides])
    part: dict[str, Any] = {
        "task": match.task.value,
        "dataset": match.dataset,
        "unit": "percent" if match.task is Task.PERCEPTION else "mean verdict (0-2), sum of four (0-8)",
        "runs": [side.label for side in match.sides],
    }
    if len(match.sides) > 2:
        mark_distinct(pairs)
        part["ranking"] = _ranking(match, common, pairs, seed)
    part |= {
        "pairs": pairs,
        "warnings": warnings_of(match.task, match.sides),
        "notes": notes_of(match.task, match.sides, pairs),
    }
    rows = list(_disagreements(match, common))
    part["n_disagreements"] = len(rows)
    return part, rows


def _pair(task: Task, a: Side, b: Side, seed: int) -> dict[str, Any]:
    common = in_common([a.entries, b.entries])
    if not common.indexes:
        raise BadInput(
            f"{a.run.paths.samples} and {b.run.paths.samples} have no {task.value} sample in common that both scored "
            f"({len(a.entries)} and {len(b.entries)} samples, {len(common.changed)} of one index with other content, "
            f"{len(common.unscored)} unscored)."
        )
    lacking_a, lacking_b = common.missing
    return {
        "a": a.label,
        "b": b.label,
        **compare_pair(paired(task, a.entries, b.entries, common.indexes), seed),
        "left_out": {
            "only_in_a": _named(lacking_b),
            "only_in_b": _named(lacking_a),
            "changed": {
                **_named(tuple(common.changed)),
                "differing": sorted({name for names in common.changed.values() for name in names}),
            },
            "unscored": _named(common.unscored),
        },
    }


def _named(indexes: Sequence[str]) -> dict[str, Any]:
    return {"n": len(indexes), "first": list(indexes[:_NAMED])}


def _ranking(match: Match, common: Common, pairs: Sequence[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    entries = [side.entries for side in match.sides]
    values = {
        side.label: [math.fsum(side.entries[index].values or ()) for index in common.indexes] for side in match.sides
    }
    scale = 100.0 if match.task is Task.PERCEPTION else 1.0
    ranking = rank_runs(values, common_clusters(entries, common.indexes), scale, seed)
    return [{**row, "not_distinct_from": not_distinct(row["run"], ranking, pairs)} for row in ranking]


def _disagreements(match: Match, common: Common) -> Iterator[dict[str, Any]]:
    """The samples on which runs differ: of two with both replies, the largest difference first."""
    two = len(match.sides) == 2
    found = []
    for index in common.indexes:
        entries = {side.label: side.entries[index] for side in match.sides}
        scores = {label: math.fsum(entry.values or ()) for label, entry in entries.items()}
        if len({round(score, 9) for score in scores.values()}) > 1:
            found.append(_disagreement(match.task, index, entries, scores, two))
    if two and match.task is not Task.PERCEPTION:
        found.sort(key=lambda row: -max(row["scores"].values()) + min(row["scores"].values()))
    yield from found


def _disagreement(
    task: Task, index: str, entries: dict[str, Entry], scores: dict[str, float], with_replies: bool
) -> dict[str, Any]:
    samples = [entry.sample for entry in entries.values()]
    sample = samples[0]
    row: dict[str, Any] = {"task": task.value, "index": index}
    for name in ("modality", "question_type", "severity"):
        row[name] = next((value for one in samples if (value := getattr(one, name))), None)
    if task is Task.PERCEPTION:
        row |= {
            "correct": {label: bool(score) for label, score in scores.items()},
            "answer": sample.answer,
            "extracted": {label: text(entry.row.get("extracted")) for label, entry in entries.items()},
        }
    else:
        row["scores"] = scores
        if with_replies:
            row["verdicts"] = {
                label: dict(zip(DIMENSIONS, entry.values or (), strict=True)) for label, entry in entries.items()
            }
    if with_replies:
        row |= {
            "question": sample.question,
            "options": dict(sample.options),
            "reference": sample.description,
            "replies": {label: text(entry.row.get("prediction")) for label, entry in entries.items()},
        }
    return row


def _sources(contenders: Sequence[Contender]) -> tuple[Path, ...]:
    """The runs' result files, and what may be their prediction files: a run can be called 'compare'."""
    found: list[Path] = []
    for paths in (run.paths for contender in contenders for run in contender.runs):
        stem = paths.score.name.removesuffix(SCORE_ENDING)
        found += [paths.score, paths.samples, paths.report]
        found += [paths.score.with_name(f"{stem}{ending}") for ending in (".json", ".xlsx")]
    return tuple(found)
