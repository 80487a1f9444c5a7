"""One evaluation, from a prediction file to the result files that a run leaves.

The kit's dataset classes and the command line both call :func:`evaluate`, so that a run and a later
``medqbench score`` on its prediction file give the same numbers.
"""

from medqbench_vlmeval.evaluation.outputs import ResultPaths, headline, result_paths, single_scores
from medqbench_vlmeval.evaluation.pipeline import Evaluation, Request, evaluate

__all__ = ["Evaluation", "Request", "ResultPaths", "evaluate", "headline", "result_paths", "single_scores"]
