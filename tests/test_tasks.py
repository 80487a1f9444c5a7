import pytest

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.tasks import ALL_DATASET_NAMES, Split, Task, dimension_scores, parse_dataset_name


def test_sixteen_names_and_no_suffix_means_test():
    assert len(ALL_DATASET_NAMES) == 16
    assert parse_dataset_name("MedQBench_Reasoning").split is Split.TEST
    assert parse_dataset_name("MedQBench_Reasoning_NoReference_mini").task is Task.NO_REFERENCE
    assert parse_dataset_name("MedQBench_Perception_dev").split is Split.DEV


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(BadInput, match="Did you mean 'MedQBench_Perception_mini'"):
        parse_dataset_name("MedQBench_Perceptoin_mini")


def test_a_pairs_quality_accuracy_knows_no_one():
    assert dimension_scores(Task.COMPARATIVE, "quality_accuracy") == (0, 2)
    assert dimension_scores(Task.NO_REFERENCE, "quality_accuracy") == (0, 1, 2)
