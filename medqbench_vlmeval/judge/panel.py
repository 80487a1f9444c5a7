"""A panel: several judges on the same answers, and the median of their verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from medqbench_vlmeval.judge.calls import combined
from medqbench_vlmeval.judge.interface import Judge, OnProgress
from medqbench_vlmeval.records import JudgedSample, Prediction, Sample, Verdict
from medqbench_vlmeval.tasks import DIMENSIONS, Task


class PanelJudge:
    """Judges with different names.

    A dimension has a score where every judge gave one; else the median would be of other judges from sample to
    sample. Single verdicts are in a verdict's ``parts`` by the judge's name.
    """

    def __init__(self, members: Sequence[Judge]) -> None:
        self.members = tuple(members)

    @property
    def name(self) -> str:
        return ", ".join(member.name for member in self.members)

    @property
    def protocol(self) -> str:
        return ", ".join(dict.fromkeys(member.protocol for member in self.members))

    def describe(self, task: Task) -> dict[str, Any]:
        """The settings of a result; each member's own are under 'members'."""
        members = [member.describe(task) for member in self.members]
        hashes = dict.fromkeys(str(member["protocol"]["sha256"]) for member in members)
        versions = dict.fromkeys(str(member["protocol"]["version"]) for member in members)
        served = [member["judge"]["served_as"] for member in members if member["judge"]["served_as"]]
        return {
            "protocol": {"name": self.protocol, "version": ", ".join(versions), "sha256": ", ".join(hashes)},
            "judge": {
                "name": self.name,
                "served_as": ", ".join(dict.fromkeys(served)) or None,
                "combined_by": "median",
                "members": [{**member["judge"], "protocol": member["protocol"]} for member in members],
                "parameters": {member["judge"]["name"]: member["judge"]["parameters"] for member in members},
            },
        }

    def n_calls(self, samples: Sequence[Sample], predictions: Sequence[Prediction]) -> int:
        """The members' calls together."""
        return sum(member.n_calls(samples, predictions) for member in self.members)

    def judge(
        self,
        samples: Sequence[Sample],
        predictions: Sequence[Prediction],
        on_progress: OnProgress | None = None,
    ) -> list[JudgedSample]:
        """Judge each sample's prediction by every member, one after the other (see ``interface.Judge.judge``)."""
        of_members: dict[str, list[JudgedSample]] = {}
        before, total = 0, self.n_calls(samples, predictions)
        for member in self.members:
            told = _of_panel(on_progress, before, total)
            of_members[member.name] = member.judge(samples, predictions, told)
            before += member.n_calls(samples, predictions)
        return [self._combined({name: judged[at] for name, judged in of_members.items()}) for at in range(len(samples))]

    def _combined(self, of_members: dict[str, JudgedSample]) -> JudgedSample:
        first = next(iter(of_members.values()))
        if any(one.unscored is not None for one in of_members.values()):
            return JudgedSample(first.index, {}, next(one.unscored for one in of_members.values() if one.unscored))
        verdicts = {}
        for dimension in DIMENSIONS:
            parts = {name: one.verdicts[dimension] for name, one in of_members.items()}
            verdicts[dimension] = combined(dimension, parts, *_median(parts))
        return JudgedSample(first.index, verdicts)


def _median(parts: dict[str, Verdict]) -> tuple[float | None, str | None]:
    scores = [verdict.score for verdict in parts.values() if verdict.score is not None]
    if len(scores) == len(parts):
        return median(scores), None
    name, failed = next((name, verdict) for name, verdict in parts.items() if verdict.score is None)
    return None, f"{name}: {failed.reason}"


def _of_panel(on_progress: OnProgress | None, before: int, total: int) -> OnProgress | None:
    """A member's progress as the panel's: ``before`` calls belong to the members before it, of ``total`` in all."""
    if on_progress is None:
        return None
    return lambda member: on_progress(replace(member, done=before + member.done, total=total))
