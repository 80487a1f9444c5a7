"""What the page's comparison is told, worked out by hand."""

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.report.page.content import comparison_json
from medqbench_vlmeval.workflows.compare import compare_runs
from tests.make import choice, judged, make_run


def test_runs_stand_best_first_and_pairs_name_them_by_place():
    right = {"A": "12", "B": "1234", "C": ""}
    runs = [make_run([choice(i, i in of_run) for i in "12345"], model=model) for model, of_run in right.items()]
    (told,) = comparison_json(compare_runs(runs))
    assert [(run["label"], run["value"], run["places"], run["nth"]) for run in told["runs"]] == [
        ("B", 80.0, [1, 3], 0), ("A", 40.0, [1, 3], 0), ("C", 0.0, [1, 3], 0)
    ]  # fmt: skip
    # A less B is -40; as B comes first, the pair is told as B less A, with the ends turned around.
    pairs = {(pair["a"], pair["b"]): pair for pair in told["pairs"]}
    assert [pairs[key]["value"] for key in ((0, 1), (0, 2), (1, 2))] == [40.0, 80.0, 40.0]
    assert pairs[0, 1]["ends"][0] <= 40 <= pairs[0, 1]["ends"][1]
    assert (pairs[0, 1]["same"], pairs[0, 1]["n"], pairs[0, 1]["significant"]) == (60.0, 5, False)
    assert told["samples"][2] == ["3", "CT · What", "Which degradation is in image 3?", "A"]
    assert told["letters"] == [["A", "A", "A", "A", "B"], ["A", "A", "B", "B", "B"], ["B"] * 5]
    assert told["scores"][1] == [1, 1, 0, 0, 0]
    assert told["errors"][1] == [0, 0, 1, 1, 1]


def test_two_runs_of_one_model_and_spellings_of_an_index(tmp_path):
    """A combined run spells its indexes in another way; the second run of a model is its number 1."""
    combined = [judged("NoReference:1"), judged("Comparative:1", task=Task.COMPARATIVE)]
    alone = judged("1", (1, 1, 1, 1), description=combined[0].sample.description)
    runs = [
        make_run(combined, tmp_path / "x", dataset="MedQBench_Reasoning"),
        *(make_run([alone], tmp_path / name, model="Y", dataset="MedQBench_Reasoning_NoReference") for name in "yz"),
    ]
    (told,) = comparison_json(compare_runs(runs))
    named = [(run["label"], run["dataset"], run["nth"]) for run in told["runs"]]
    assert named == [
        ("Model-X", "MedQBench_Reasoning", 0),
        ("Y #1", "MedQBench_Reasoning_NoReference", 0),
        ("Y #2", "MedQBench_Reasoning_NoReference", 1),
    ]
    assert told["samples"][0][0] == ["NoReference:1", "1", "1"]
    assert (told["letters"], told["scores"], told["unit"]) == (None, [[8], [4], [4]], "score")
