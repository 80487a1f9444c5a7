"""What the kit's final table asks a dataset class: counts that were kept, not guesses from texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.evaluation import result_paths, single_scores
from medqbench_vlmeval.files import read_object, sha256_of
from medqbench_vlmeval.predictions import read_predictions
from medqbench_vlmeval.records import PredictionStatus
from medqbench_vlmeval.tasks import REASONING_PREFIX

_PRIMARY = "Overall"


class ReportHooks:
    """Class methods, since the kit looks a class up by its dataset's name and has no object at hand."""

    @classmethod
    def get_judge_file(cls, eval_file: str | Path, judge_model: str | None = None) -> Path | None:  # noqa: ARG003
        """The per-sample file of a scored prediction file, or None where it was not scored."""
        samples = result_paths(Path(eval_file)).samples
        return samples if samples.exists() else None

    @classmethod
    def report_infer_err(cls, prediction_file: str | Path | None) -> dict[str, int]:
        """How many predictions the kit gave up on, of how many."""
        if prediction_file is None or not Path(prediction_file).exists():
            return {"failed": 0, "total": 0}
        try:
            predictions = read_predictions(Path(prediction_file)).predictions
        except BadInput:
            # The run's own message has said what is wrong with the file; a table of counts cannot.
            return {"failed": 0, "total": 0}
        failed = sum(one.status is PredictionStatus.INFERENCE_FAILED for one in predictions)
        return {"failed": failed, "total": len(predictions)}

    @classmethod
    def report_judge_err(
        cls,
        prediction_file: str | Path | None,
        *,
        total_samples: int | None,
        judge_model: str | None = None,  # noqa: ARG003
        error_message: str | None = None,
    ) -> dict[str, int | None]:
        """How many samples are unscored, of how many.

        Without a result of this very prediction file that is all of them where the evaluation failed, else not known
        (None, which the kit shows as '-'): nothing was judged, so nothing can be said to have been judged well.
        """
        score = _current_score(prediction_file)
        if score is None:
            return {"failed": total_samples if error_message else None, "total": total_samples}
        parts = single_scores(score)
        return {
            "failed": sum(part.get("n_unscored", 0) for part in parts),
            "total": sum(part["n"] for part in parts),
        }

    @classmethod
    def report_primary_metric(cls, metrics: Mapping[str, Any] | None) -> dict[str, float]:
        """``Overall``; a combined run has one a part, under the kit's flattened key."""
        keys = (_PRIMARY, *(f"{name}|{_PRIMARY}" for name in REASONING_PREFIX.values()))
        return {key: float(metrics[key]) for key in keys if metrics and isinstance(metrics.get(key), int | float)}


def _current_score(prediction_file: str | Path | None) -> dict[str, Any] | None:
    """The result of a prediction file as it is now, None where there is none or it is of an earlier file."""
    if prediction_file is None or not Path(prediction_file).exists():
        return None
    score = read_object(result_paths(Path(prediction_file)).score) or {}
    settings = score.get("settings")
    scored = settings.get("prediction_file") if isinstance(settings, dict) else None
    same = isinstance(scored, dict) and scored.get("sha256") == sha256_of(Path(prediction_file))
    return score if same else None
