"""The prediction files of two passes, joined sample by sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from medqbench_vlmeval.data import PERMUTATION_COLUMN, canonical_index, moved, permutation_of, read_permutation
from medqbench_vlmeval.data.columns import find_columns
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.predictions import PredictionTable, join
from medqbench_vlmeval.predictions.second_pass import is_second_pass
from medqbench_vlmeval.records import Prediction, PredictionStatus, Sample
from medqbench_vlmeval.tasks import OPTION_LETTERS, Task

# Why a sample is left out, and the words for it.
LEFT_OUT: Mapping[str, str] = {
    "first_pass_alone": "of the first pass are not in the second",
    "second_pass_alone": "of the second pass are not in the first",
    "order_fixed": "name options by their place ('both A and C') and were asked once",
    "other_content": "showed other options in the second pass than the data have",
}


@dataclass(frozen=True)
class Twice:
    """A sample that was asked in both passes; ``permutation`` is what the second one showed."""

    sample: Sample
    permutation: dict[str, str]
    first: Prediction
    second: Prediction


def check_passes(first: PredictionTable, second: PredictionTable) -> None:
    """See that each file is of the pass that it stands for.

    Raises:
        BadInput: it is not.
    """
    if is_second_pass(first):
        swapped = " The two files seem to be in the wrong order." if not is_second_pass(second) else ""
        raise BadInput(f"{first.path} is of a second pass, and the official first one was expected.{swapped}")
    if PERMUTATION_COLUMN not in second.columns:
        raise BadInput(
            f"{second.path} is not of a second pass: it has no column '{PERMUTATION_COLUMN}' that says what each row "
            "showed. 'medqbench run --robustness' makes such files."
        )
    for number, row in enumerate(second.rows, 1):
        if read_permutation(row[PERMUTATION_COLUMN]) is None:
            raise BadInput(
                f"{second.path}, row {number}: the column '{PERMUTATION_COLUMN}' does not say what was shown "
                f"('{row[PERMUTATION_COLUMN][:40]}'; 'A:B B:A' is meant: A shows what was B). Take the file as the run "
                "wrote it."
            )


def join_passes(
    samples: Sequence[Sample], first: PredictionTable, second: PredictionTable, wanted: Set[str]
) -> tuple[list[Twice], dict[str, int]]:
    """The wanted samples that were asked in both passes, and how many were left out for which of ``LEFT_OUT``.

    Raises:
        BadInput: a file has an index that no sample has.
    """
    left_out = dict.fromkeys(LEFT_OUT, 0)
    found = []
    names = find_columns(second.columns, OPTION_LETTERS).names
    shown = [_shown(one, second, names) for one in _second_rows(samples, second)]
    for sample, one, other, row in zip(samples, join(samples, first), join(samples, second), shown, strict=True):
        missing = (one.status is PredictionStatus.MISSING, other.status is PredictionStatus.MISSING)
        if sample.index not in wanted or sample.task is Task.NO_REFERENCE or all(missing):
            continue
        if missing[0]:
            left_out["second_pass_alone"] += 1
        elif missing[1]:
            left_out["first_pass_alone" if permutation_of(sample) else "order_fixed"] += 1
        elif row is None or not _fits(sample, *row):
            left_out["other_content"] += 1
        else:
            found.append(Twice(sample, row[0], one, other))
    return found, left_out


def _by_sample(samples: Sequence[Sample], table: PredictionTable, texts: Sequence[str]) -> list[str]:
    """A file's texts, one a row, in the samples' order; '' for a sample that the file does not have."""
    rows = [replace(one, text=text) for one, text in zip(table.predictions, texts, strict=True)]
    return [one.text for one in join(samples, replace(table, predictions=tuple(rows)))]


def _second_rows(samples: Sequence[Sample], second: PredictionTable) -> list[int | None]:
    numbers = _by_sample(samples, second, [str(number) for number in range(len(second.rows))])
    return [int(number) if number else None for number in numbers]


def _shown(
    row: int | None, second: PredictionTable, names: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]] | None:
    """A row's permutation and its option texts as far as the file has them; ``names`` are the options' columns."""
    if row is None:
        return None
    cells = second.rows[row]
    return read_permutation(cells[PERMUTATION_COLUMN]) or {}, {
        letter: text for letter, name in names.items() if (text := cells[name].strip())
    }


def _fits(sample: Sample, permutation: dict[str, str], shown: dict[str, str]) -> bool:
    """Whether a row of the second pass shows this sample's own content."""
    if sample.task is Task.COMPARATIVE:
        return set(permutation) == {"1", "2"}
    if set(permutation) != set(sample.options):
        return False
    expected = moved(sample.options, permutation)
    # A spreadsheet makes 3.0 of an option '3'.
    return all(canonical_index(text) == canonical_index(expected.get(letter, "")) for letter, text in shown.items())


def values_of(samples: Sequence[Sample], table: PredictionTable, column: str, indexes: Set[str]) -> list[str]:
    """The different values of a provenance column in the rows of some samples."""
    if column not in table.columns:
        return []
    texts = _by_sample(samples, table, [row[column] for row in table.rows])
    return sorted({text for sample, text in zip(samples, texts, strict=True) if text and sample.index in indexes})
