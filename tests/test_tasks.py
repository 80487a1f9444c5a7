import pytest

from medqbench_vlmeval.benchmark import (
    ALL_DATASET_NAMES,
    SECOND_PASS_NAMES,
    DatasetName,
    Split,
    Task,
    dimension_scores,
    parse_dataset_name,
)
from medqbench_vlmeval.errors import BadInput


def test_sixteen_names_of_medq_bench_and_five_of_medq_deg_and_no_suffix_means_test():
    assert [name for name in ALL_DATASET_NAMES if name.startswith("MedQDeg")] == [
        "MedQDeg_simulate_test", "MedQDeg_simulate_dev", "MedQDeg_good_test", "MedQDeg_good_dev", "MedQDeg_mini",
    ]  # fmt: skip
    assert len(ALL_DATASET_NAMES) == 16 + 5
    assert parse_dataset_name("MedQDeg_good_dev") == DatasetName("MedQDeg_good_dev", Task.DEGRADATION, Split.GOOD_DEV)
    assert parse_dataset_name("MedQBench_Reasoning").split is Split.TEST
    assert parse_dataset_name("MedQBench_Reasoning_NoReference_mini").task is Task.NO_REFERENCE
    assert parse_dataset_name("MedQBench_Perception_dev").split is Split.DEV


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(BadInput, match="Did you mean 'MedQBench_Perception_mini'"):
        parse_dataset_name("MedQBench_Perceptoin_mini")


def test_a_second_pass_has_a_name_of_its_own_and_is_none_of_the_others():
    name = parse_dataset_name("MedQBench_Perception_mini_robustness")
    assert (name.task, name.split, name.second_pass) == (Task.PERCEPTION, Split.MINI, True)
    assert name.first_pass == parse_dataset_name("MedQBench_Perception_mini")
    assert parse_dataset_name("MedQBench_Reasoning_robustness").first_pass.text == "MedQBench_Reasoning"
    assert len(SECOND_PASS_NAMES) == 12
    assert not set(SECOND_PASS_NAMES) & set(ALL_DATASET_NAMES)
    with pytest.raises(BadInput, match=r"there are second passes of perception .* and of pairs .* alone"):
        parse_dataset_name("MedQBench_Reasoning_NoReference_mini_robustness")


def test_a_pairs_quality_accuracy_knows_no_one():
    assert dimension_scores(Task.COMPARATIVE, "quality_accuracy") == (0, 2)
    assert dimension_scores(Task.NO_REFERENCE, "quality_accuracy") == (0, 1, 2)
