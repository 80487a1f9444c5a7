"""One evaluation, from a prediction file to the result files that a run leaves. The kit's dataset classes and the
command line both call :func:`evaluate`, so that a run and a later ``medqbench score`` on its prediction file give the
same numbers."""

from medqbench_vlmeval.runs.files import result_paths
from medqbench_vlmeval.runs.result import headline_to_json
from medqbench_vlmeval.workflows.evaluate import Request, evaluate

__all__ = ["Request", "evaluate", "headline_to_json", "result_paths"]
