"""One evaluation, from a prediction file to the result files that a run leaves.

The kit's dataset classes and the command line both call :func:`evaluate`, so that a run and a later
``medqbench score`` on its prediction file give the same numbers.
"""

from medqbench_vlmeval.runs.files import headline, result_paths
from medqbench_vlmeval.types import ResultPaths
from medqbench_vlmeval.workflows.evaluate import Evaluation, Prepared, Request, evaluate, judge_of, prepare

__all__ = [
    "Evaluation",
    "Prepared",
    "Request",
    "ResultPaths",
    "evaluate",
    "headline",
    "judge_of",
    "prepare",
    "result_paths",
]
