"""What a judge is, whatever does the judging."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from medqbench_vlmeval.records import JudgedSample, Prediction, PredictionStatus, Sample
from medqbench_vlmeval.tasks import Task

INFERENCE_FAILED = "inference failed"
PREDICTION_MISSING = "prediction missing"
NO_REFERENCE_TEXT = "the sample has no reference text"


@dataclass(frozen=True)
class Progress:
    """How far a judge is: calls ``done`` (answered, failed or found in the cache) of ``total``, how many of them
    were put to ``model`` in this run, and the tokens that the server counted for these."""

    done: int
    total: int
    asked: int
    prompt_tokens: int
    completion_tokens: int
    model: str


OnProgress = Callable[[Progress], None]


class Judge(Protocol):
    """Scores reasoning predictions against their references, four verdicts a sample."""

    @property
    def name(self) -> str:
        """The judge as the user named it."""

    @property
    def protocol(self) -> str:
        """The name of the protocol it follows."""

    def n_calls(self, samples: Sequence[Sample], predictions: Sequence[Prediction]) -> int:
        """How many calls, or embedded verdicts, judging these takes: the total that progress counts up to."""

    def judge(
        self,
        samples: Sequence[Sample],
        predictions: Sequence[Prediction],
        on_progress: OnProgress | None = None,
    ) -> list[JudgedSample]:
        """Judge each sample's prediction.

        Args:
            samples: reasoning samples with unique indexes.
            predictions: joined to the samples by index, in any order.
            on_progress: told how far the judge is, in the caller's thread.

        Returns:
            One record a sample, in the samples' order. Empty replies are judged; failed and missing ones are not.

        Raises:
            JudgeError: the judge cannot be asked at all.
        """

    def describe(self, task: Task) -> dict[str, Any]:
        """The entries 'protocol' and 'judge' of a result's settings."""


def texts_to_judge(
    samples: Sequence[Sample], predictions: Iterable[Prediction]
) -> tuple[list[tuple[Sample, str]], dict[str, str]]:
    """Which samples are put to a judge, with the model's reply, and why the others are not (by index)."""
    by_index = {prediction.index: prediction for prediction in predictions}
    texts: list[tuple[Sample, str]] = []
    reasons: dict[str, str] = {}
    for sample in samples:
        prediction = by_index.get(sample.index)
        if prediction is None or prediction.status is PredictionStatus.MISSING:
            reasons[sample.index] = PREDICTION_MISSING
        elif prediction.status is PredictionStatus.INFERENCE_FAILED:
            reasons[sample.index] = INFERENCE_FAILED
        elif sample.description is None or not sample.description.strip():
            reasons[sample.index] = NO_REFERENCE_TEXT
        else:
            texts.append((sample, prediction.text))
    return texts, reasons
