"""One evaluation, from a prediction file to the result files that a run leaves.

The kit's dataset classes and the command line both call :func:`evaluate`, so that a run and a later
``medqbench score`` on its prediction file give the same numbers.
"""

from medqbench_vlmeval.runs.files import result_paths
from medqbench_vlmeval.runs.result import headline_to_json
from medqbench_vlmeval.types import ResultPaths
from medqbench_vlmeval.workflows.evaluate import Prepared, Request, evaluate, judge_of, prepare

__all__ = [
    "Prepared",
    "Request",
    "ResultPaths",
    "evaluate",
    "headline_to_json",
    "judge_of",
    "prepare",
    "result_paths",
]
