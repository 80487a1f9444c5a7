"""A judge that is a model: asked by a protocol, many calls at once, every answer kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medqbench_vlmeval.judge.answer_length import cut_answers
from medqbench_vlmeval.judge.asked_model import AskedModel
from medqbench_vlmeval.judge.calls import Call, assembled, plan_calls
from medqbench_vlmeval.judge.interface import OnProgress, texts_to_judge
from medqbench_vlmeval.records import JudgedSample, Prediction, Sample
from medqbench_vlmeval.tasks import Task


class ModelJudge(AskedModel):
    """A model that scores reasoning replies (see ``interface.Judge``)."""

    def describe(self, task: Task) -> dict[str, Any]:  # noqa: ARG002  # one protocol covers all tasks
        """The settings of a result; what the server called itself is known after the first answer."""
        return {
            "protocol": {
                "name": self._protocol.name,
                "version": self._protocol.version,
                "sha256": self._protocol.sha256,
                "rounds": self._protocol.rounds,
            },
            "judge": self._described(),
        }

    def n_calls(self, samples: Sequence[Sample], predictions: Sequence[Prediction]) -> int:
        """All calls, equal ones and those in the store included."""
        texts, _ = texts_to_judge(samples, predictions)
        return sum(self._protocol.calls_per_sample(sample.task) for sample, _ in texts)

    def calls(
        self, samples: Sequence[Sample], predictions: Sequence[Prediction]
    ) -> tuple[list[Call], Mapping[str, str]]:
        """All calls that judging these predictions takes, and why some samples need none (by index)."""
        texts, reasons = texts_to_judge(samples, predictions)
        texts, notes = cut_answers(texts, self.options.max_answer_tokens, self.options.name)
        return plan_calls(self._protocol, self.asked_of, texts, notes), reasons

    def judge(
        self,
        samples: Sequence[Sample],
        predictions: Sequence[Prediction],
        on_progress: OnProgress | None = None,
    ) -> list[JudgedSample]:
        """Judge each sample's prediction (see ``interface.Judge.judge``).

        Raises:
            JudgeError: see ``AskedModel.outcomes``.
            KeyboardInterrupt: see there.
        """
        calls, reasons = self.calls(samples, predictions)
        return assembled(samples, reasons, calls, self.outcomes(calls, on_progress))
