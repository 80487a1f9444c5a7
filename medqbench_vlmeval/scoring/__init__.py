"""Scoring: from answers and verdicts to typed results with counts and intervals. Pure functions, no files."""

from medqbench_vlmeval.scoring.agreement import (
    between_judges,
    between_rounds,
    compare_scores,
    is_same,
    measure_agreement,
    pairwise,
    read_conclusion,
    score_conclusions,
    share_same,
    weighted_kappa,
)
from medqbench_vlmeval.scoring.intervals import mean_interval, wilson
from medqbench_vlmeval.scoring.summary import score_perception, score_reasoning

__all__ = [
    "between_judges",
    "between_rounds",
    "compare_scores",
    "is_same",
    "mean_interval",
    "measure_agreement",
    "pairwise",
    "read_conclusion",
    "score_conclusions",
    "score_perception",
    "score_reasoning",
    "share_same",
    "weighted_kappa",
    "wilson",
]
