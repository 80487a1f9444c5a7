"""Scoring: from answers and verdicts to typed results with counts and intervals. Pure functions, no files."""

from medqbench_vlmeval.scoring.intervals import mean_interval, wilson
from medqbench_vlmeval.scoring.summary import score_questions, score_reasoning

__all__ = ["mean_interval", "score_questions", "score_reasoning", "wilson"]
