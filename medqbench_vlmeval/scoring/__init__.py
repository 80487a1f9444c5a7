"""From answers and verdicts to summaries with counts and intervals. Pure functions, no files."""

from medqbench_vlmeval.scoring.agreement import is_same, measure_agreement, share_same, spearman, weighted_kappa
from medqbench_vlmeval.scoring.conclusions import read_conclusion, score_conclusions
from medqbench_vlmeval.scoring.intervals import mean_interval, wilson
from medqbench_vlmeval.scoring.perception import score_perception
from medqbench_vlmeval.scoring.reasoning import score_reasoning
from medqbench_vlmeval.scoring.reliability import between_judges, between_rounds, pairwise

__all__ = [
    "between_judges",
    "between_rounds",
    "is_same",
    "mean_interval",
    "measure_agreement",
    "pairwise",
    "read_conclusion",
    "score_conclusions",
    "score_perception",
    "score_reasoning",
    "share_same",
    "spearman",
    "weighted_kappa",
    "wilson",
]
