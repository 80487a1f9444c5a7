"""The look of runs."""

from medqbench_vlmeval.report.colours import look_of, places_of
from tests import make


def test_a_model_looks_the_same_on_all_tasks_and_its_second_run_does_not():
    runs = [
        make.perception_run(model="A"),
        make.perception_run(model="B"),
        make.combined_run(model="A"),
        make.perception_run(model="A", dataset="MedQBench_Perception_dev"),
        make.combined_run(model="C"),
        make.reasoning_run(model="A"),
    ]
    assert places_of([run.result for run in runs]) == [0, 1, 0, 2, 3, 2]


def test_looks_repeat_late():
    assert len({look_of(place) for place in range(84)}) == 84
