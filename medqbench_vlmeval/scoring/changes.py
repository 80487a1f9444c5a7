"""What another program read in the same replies: its numbers beside ours, and every sample that it read otherwise."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, OVERALL, Task
from medqbench_vlmeval.data.info import canonical_index
from medqbench_vlmeval.judge.adopted import NOTHING_READ, kits_scores
from medqbench_vlmeval.predictions import PredictionTable
from medqbench_vlmeval.predictions.foreign import METRIC, Foreign
from medqbench_vlmeval.types import Run, SampleRow

_SHOWN = 160
_RIGHT = {"0": False, "0.0": False, "False": False, "1": True, "1.0": True, "True": True}
CHANGES_ENDING = "_changes.csv"


@dataclass(frozen=True)
class Change:
    """A sample that another program read otherwise: what it took and we take, why, and the reply's beginning."""

    index: str
    theirs: str
    ours: str
    reason: str
    reply: str


@dataclass(frozen=True)
class Difference:
    """Another program's run beside the same scored here; ``theirs`` are its means by the names of our measures, as its
    files state them, else worked out from its columns. ``reasons`` counts changes by their reason, most first."""

    foreign: Foreign
    run: Run
    theirs: Mapping[str, float]
    changes: tuple[Change, ...]
    reasons: Mapping[str, int]

    @property
    def file(self) -> Path:
        """Where the changes are written, beside the results."""
        return self.run.paths.score.with_name(self.run.paths.score.name.replace("_score.json", CHANGES_ENDING))


def difference(foreign: Foreign, run: Run, table: PredictionTable) -> Difference:
    """Hold a run against the file that it was scored from."""
    written, keys = table.by_number, [canonical_index(row.sample.index) for row in run.rows]
    pairs = [(row, written[key]) for row, key in zip(run.rows, keys, strict=True) if key in written]
    if run.result.task.is_choice:
        read = [_kits_reading(*pair) for pair in pairs]
        right = [is_right for _, is_right in read if is_right is not None]
        theirs = {OVERALL: 100 * fmean(right)} if right and len(right) == len(pairs) else {}
        changes = [change for pair, of in zip(pairs, read, strict=True) for change in _of_choice(*pair, *of)]
    else:
        means = {of: [mean for _, row in pairs if (mean := _mean(row, of)) is not None] for of in DIMENSION_TITLES}
        theirs = {title: fmean(means[of] or [0]) for of, title in DIMENSION_TITLES.items() if any(means.values())}
        changes = [change for pair in pairs for change in _of_verdicts(*pair)] if theirs else []
    reasons = Counter(change.reason for change in changes).most_common()
    stated = foreign.numbers if len(pairs) == len(table.rows) else {}  # not of a part
    return Difference(foreign, run, {**theirs, **stated}, tuple(changes), dict(reasons))


def _kits_reading(row: SampleRow, written: Mapping[str, str]) -> tuple[str | None, bool | None]:
    """The letter that the kit's own class reads and whether it is right; of another program only whether it was, by a
    column that is 0 or 1, None where none says so."""
    told = {_RIGHT[v] for k, v in written.items() if k.startswith(METRIC) and v in _RIGHT}
    if any(name.startswith(METRIC) for name in written):
        return None, told.pop() if len(told) == 1 else None
    letter = kits_letter(row.prediction.text, "A-E" if row.sample.task is Task.DEGRADATION else "A-D")
    return letter, letter == row.sample.answer


def kits_letter(reply: str, letters: str) -> str | None:
    """What the kit's own classes take for the answer: the first of their letters without a letter beside it, be it an
    article. Their other patterns find no other one (run and seen in ms-vlmeval 0.0.19, 0.0.20 and git HEAD)."""
    found = re.search(f"(?<![A-Z])[{letters}](?![A-Z])", reply.strip().upper())
    return found.group() if found else None


def _change(row: SampleRow, theirs: object, ours: object, reason: str) -> Change:
    words = ["none" if of is None else f"{of:g}" if isinstance(of, float) else str(of) for of in (theirs, ours)]
    return Change(row.sample.index, words[0], words[1], reason, " ".join(row.prediction.text.split())[:_SHOWN])


def _of_choice(
    row: SampleRow, written: Mapping[str, str], letter: str | None, is_right: bool | None
) -> Iterator[Change]:
    options, text = row.sample.options, row.prediction.text
    if hidden := [of for of in options if of in written and not written[of].strip()]:
        why = "an option was not shown, since the kit reads None and NA as no text"
        yield _change(row, None, f"{hidden[0]}. {options[hidden[0]]}", why)
    if any(name.startswith(METRIC) for name in written):
        if is_right not in (None, row.correct):
            yield _change(row, "right" if is_right else "wrong", row.extracted, "the reply read by lmms-eval's task")
    elif letter != row.extracted:
        first = letter and re.search(f"(?<![A-Za-z])(?i:{letter})(?![A-Za-z])", text)
        if row.unscored:
            reason = "letter in a message of failure"
        elif letter is None:
            reason = "answer in words missed"
        elif letter == "A" and first and re.match(" [a-z]", text[first.end() :]):
            reason = "letter taken from the article A"
        else:
            reason = "letter where there is no answer" if row.extracted is None else "another letter taken"
        yield _change(row, letter, row.extracted, reason)


def _mean(written: Mapping[str, str], dimension: str) -> float | None:
    numbers = [
        float(of)
        for of in kits_scores(written, dimension)
        if isinstance(of, int | float) and of is not True and 0 <= of <= 2
    ]
    return fmean(numbers) if numbers else None


def _of_verdicts(row: SampleRow, written: Mapping[str, str]) -> Iterator[Change]:
    for dimension, title in DIMENSION_TITLES.items():
        theirs, ours = _mean(written, dimension), row.score_on(dimension)
        verdict = row.verdicts.get(dimension)
        why = row.unscored if verdict is None else verdict.reason
        if theirs is None and ours is None and why and NOTHING_READ in why:
            yield _change(row, None, None, f"{title}: left out of the kit's mean without a word")
        elif theirs != ours:
            yield _change(row, theirs, ours, f"{title}: {why or 'judged anew'}")
