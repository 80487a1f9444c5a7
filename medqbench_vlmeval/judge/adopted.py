"""Verdicts that a prediction file holds already: the kit's own classes write their judge's scores into it. They are
taken as they are, and not paid for again. The kit keeps numbers and no reply, so that nobody can read again what it
read: its parser takes 'Score: 10' for 1. A number that is no verdict (1.5) is left unscored, with that reason."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from medqbench_vlmeval.benchmark import DIMENSIONS, dimension_scores
from medqbench_vlmeval.data.info import canonical_index
from medqbench_vlmeval.judge.calls import OnProgress, combine, texts_to_judge
from medqbench_vlmeval.judge.verdict import parse_score, whole_number
from medqbench_vlmeval.predictions import PredictionTable
from medqbench_vlmeval.predictions.foreign import LMMS_EVAL, foreign_run
from medqbench_vlmeval.provenance import ADOPTED, JudgeSettings, Protocol
from medqbench_vlmeval.types import Judged, Prediction, Sample, Verdict

NOTHING_READ = "the kit read no score in the judge's replies, and kept none of them"


class AdoptedJudge:
    """The judge of the kit's own class, as far as its files tell; nothing is asked (see ``calls.Judge``)."""

    protocol = ADOPTED

    def __init__(self, table: PredictionTable, judge: str | None) -> None:
        self.name = f"{judge or 'unknown judge'} (kit's own class)"
        self._table = table
        self._rounds = max(1, *(len(kits_scores(row, name)) for row in table.rows for name in DIMENSIONS))

    def describe(self) -> JudgeSettings:
        """See ``calls.Judge.describe``."""
        return JudgeSettings(self.name, protocol=Protocol(ADOPTED, "1", rounds=self._rounds))

    def n_calls(self, samples: Sequence[Sample], predictions: Sequence[Prediction]) -> int:  # noqa: ARG002
        """None: nothing is asked."""
        return 0

    def judge(
        self,
        samples: Sequence[Sample],
        predictions: Sequence[Prediction],
        on_progress: OnProgress | None = None,  # noqa: ARG002
    ) -> list[Judged]:
        """The file's verdicts on each sample's prediction (see ``calls.Judge.judge``)."""
        texts, reasons = texts_to_judge(samples, predictions)
        verdicts = {sample.index: {name: self._of_rounds(sample, name) for name in DIMENSIONS} for sample, _ in texts}
        return [Judged(sample.index, verdicts.get(sample.index, {}), reasons.get(sample.index)) for sample in samples]

    def _of_rounds(self, sample: Sample, dimension: str) -> Verdict:
        scores = kits_scores(self._table.by_number[canonical_index(sample.index)], dimension)
        scores += [None] * (self._rounds - len(scores))
        parts = {str(n): self._verdict(value, sample, dimension) for n, value in enumerate(scores, 1)}
        return combine(parts, fmean, "round ")

    def _verdict(self, value: object, sample: Sample, dimension: str) -> Verdict:
        # A list that is no JSON is the repr of several rounds, of which none is "the" reply.
        reply = value if isinstance(value, str) and not value.startswith("[") else ""
        score = parse_score(reply) if reply else whole_number(value)
        note = "adopted from the kit's own class"
        verdict = Verdict(dimension, score, None, reply, "", self.name, asks=0, note=note, from_cache=True)
        if score in dimension_scores(sample.task, dimension):
            return verdict
        reason = NOTHING_READ if value in (None, "") else f"the kit took {str(value)[:40]} for a verdict"
        return replace(verdict, score=None, reason=reason)


def kits_scores(row: Mapping[str, str], dimension: str) -> list[object]:
    """What the kit wrote of its judge on a dimension, one number (or reply) a round; none where it read no score."""
    for cell in (row.get(f"{dimension}_scores"), row.get(dimension)):
        try:
            value = json.loads(cell or "[]")
        except (ValueError, RecursionError):
            value = cell
        if value != []:
            return value if isinstance(value, list) else [value]
    return []


def adopted_judge(table: PredictionTable) -> AdoptedJudge | None:
    """The judge whose verdicts a prediction file of the kit's own class holds (other files may have such columns, of
    human ratings for instance), None where it has not those of all four dimensions."""
    foreign, columns = foreign_run(table.path), {*table.columns}
    held = all({dimension, f"{dimension}_scores"} & columns for dimension in DIMENSIONS)
    return AdoptedJudge(table, foreign.judge) if held and foreign and foreign.tool != LMMS_EVAL else None
