"""From answers and verdicts to summaries with counts and intervals. Pure functions, no files."""

from medqbench_vlmeval.scoring.intervals import mean_interval, wilson
from medqbench_vlmeval.scoring.perception import score_perception
from medqbench_vlmeval.scoring.reasoning import score_reasoning

__all__ = ["mean_interval", "score_perception", "score_reasoning", "wilson"]
