"""Which samples are compared, what a reader is warned of, and that nothing depends on the order of rows."""

import random

import pytest
from openpyxl import load_workbook

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.provenance import ColumnUse, DataUse, JudgeSettings, Protocol
from medqbench_vlmeval.workflows.compare import compare_runs, write_comparison
from tests.make import choice, judged, scored

HASH_1, HASH_2 = f"{'1' * 64}.png", f"{'2' * 64}.png"


def perception_runs(folder, *columns, **settings):
    """A run a column of right and wrong answers."""
    return [
        scored(folder, [choice(str(i), right) for i, right in enumerate(column)], f"M{number}", **settings)
        for number, column in enumerate(columns)
    ]


def one_part(paths):
    (part,) = compare_runs(paths).to_json()["parts"]
    return part


def test_only_the_same_samples_are_compared(tmp_path):
    rows_a = [*(choice(index) for index in ("07", "x", "3", "4", "5")), choice("6", image_refs=(HASH_2,)), choice("8")]
    rows_b = [
        choice("7.0", False, question="Which degradation is in image 07? ", image_refs=("elsewhere.png",)),
        choice("x"),
        choice("3", question="Another question?"),
        choice("4", options={"A": "Noise", "B": "Ghosts"}),
        choice("5", answer="B"),
        choice("6", image_refs=(HASH_1,)),
        choice("9"),
        choice("10"),
    ]
    part = one_part([scored(tmp_path, rows_a, "A"), scored(tmp_path, rows_b, "B")])
    (pair,) = part["pairs"]
    assert pair["overall"]["n"] == 2
    assert (pair["overall"]["only_a"], pair["overall"]["both"]) == (1, 1)
    assert pair["left_out"] == {
        "only_in_a": {"n": 1, "first": ["8"]},
        "only_in_b": {"n": 2, "first": ["9", "10"]},
        "changed": {"n": 4, "first": ["3", "4", "5", "6"], "differing": ["answer", "image", "options", "question"]},
        "unscored": {"n": 0, "first": []},
    }
    assert part["n_disagreements"] == 1


def test_unscored_descriptions_are_left_out_pairwise(tmp_path):
    rows_a = [judged("1", (2, 2, 2, 2)), judged("2", (None, 1, 1, 1)), judged("3", (1, 1, 1, 1))]
    rows_b = [judged("1", (1, 1, 1, 1)), judged("2"), judged("3"), judged("4", description="Other")]
    paths = [scored(tmp_path, rows, name, "MedQBench_Reasoning") for rows, name in ((rows_a, "A"), (rows_b, "B"))]
    (pair,) = one_part(paths)["pairs"]
    assert (pair["overall"]["a"], pair["overall"]["b"], pair["overall"]["n"]) == (6.0, 6.0, 2)
    assert pair["left_out"]["unscored"] == {"n": 1, "first": ["2"]}


def test_a_combined_run_beside_a_single_one_part_by_part(tmp_path):
    combined = [judged("NoReference:1"), judged("Comparative:1", (0, 0, 0, 0), Task.COMPARATIVE)]
    single = [judged("1", (1, 1, 1, 1), description=combined[0].sample.description)]
    result = compare_runs(
        [
            scored(tmp_path, combined, "A", "MedQBench_Reasoning"),
            scored(tmp_path, single, "B", "MedQBench_Reasoning_NoReference"),
        ]
    ).to_json()
    assert [part["task"] for part in result["parts"]] == ["no-reference"]
    assert result["parts"][0]["pairs"][0]["overall"]["difference"] == 4.0
    assert result["not_compared"] == ["A alone has MedQBench_Reasoning (comparative)"]


def test_folders_with_several_datasets_are_matched_by_name(tmp_path):
    for model in "AB":
        for dataset in ("MedQBench_Perception", "MedQBench_Perception_dev"):
            scored(tmp_path / model, [choice("1", model == "A")], model, dataset)
    parts = compare_runs([tmp_path / "A", tmp_path / "B"]).to_json()["parts"]
    assert [part["dataset"] for part in parts] == ["MedQBench_Perception", "MedQBench_Perception_dev"]
    scored(tmp_path / "A", [choice("1", True)], "C")
    whole = compare_runs([tmp_path])
    assert [(run_set.label, len(run_set.runs)) for run_set in whole.run_sets] == [("A", 2), ("C", 1), ("B", 2)]
    assert [part.runs for part in whole.parts] == [("A", "C", "B"), ("A", "B")]


def test_what_cannot_be_compared(tmp_path):
    (run,) = perception_runs(tmp_path, [True])
    with pytest.raises(BadInput, match="two runs or more"):
        compare_runs([run])
    with pytest.raises(
        BadInput, match=r"needs two runs or more, and this is one: .*M0_MedQBench_Perception_score.json"
    ):
        compare_runs([run, run])
    reasoning = scored(tmp_path, [judged("1")], "B", "MedQBench_Reasoning")
    with pytest.raises(BadInput, match="no task in common: M0 alone has MedQBench_Perception"):
        compare_runs([run, reasoning])
    same = scored(tmp_path, [judged("1")], "M0", "MedQBench_Reasoning")
    with pytest.raises(BadInput, match="are of one model, M0; name those of another"):
        compare_runs([run, same])
    other = scored(tmp_path, [choice("0", True, question="Else?")], "C")
    with pytest.raises(BadInput, match=r"no perception sample in common.*1 of one index with other content"):
        compare_runs([run, other])


def test_two_runs_of_one_model_and_dataset_are_two_sets(tmp_path):
    """Rescored by another judge, say: folder by folder, and in one folder one by one."""
    (alone,) = perception_runs(tmp_path, [True])
    for folder in ("x", "y"):
        for dataset in ("MedQBench_Perception_dev", "MedQBench_Perception"):
            scored(tmp_path / folder, [choice("0", True)], "M", dataset)
    run_sets = compare_runs([tmp_path]).run_sets
    named = [(run_set.label, {run.paths.score.parent.name for run in run_set.runs}) for run_set in run_sets]
    assert named == [("M0", {tmp_path.name}), ("M #1", {"x"}), ("M #2", {"y"})]
    folder = tmp_path / "twice"
    for name in ("x", "y"):
        path = scored(folder, [choice("0", True)], "M")
        for ending in ("_score.json", "_samples.jsonl"):
            path.with_name(path.name.replace("_score.json", ending)).rename(folder / f"{name}{ending}")
    run_sets = compare_runs([folder, alone]).run_sets
    named = [(run_set.label, run_set.runs[0].paths.score.name) for run_set in run_sets]
    assert named == [("M #1", "x_score.json"), ("M #2", "y_score.json"), ("M0", alone.name)]


def judged_runs(folder, *settings):
    return [
        scored(folder, [judged("1"), judged("2", (1, 1, 1, 1))], f"M{i}", "MedQBench_Reasoning", **of_run)
        for i, of_run in enumerate(settings)
    ]


def test_other_judges_are_a_loud_warning(tmp_path):
    gpt = {"judge": JudgeSettings("gpt-4o"), "protocol": Protocol("rubric", "1", "ab")}
    served = {**gpt, "judge": JudgeSettings("gpt-4o", "x")}
    assert one_part(judged_runs(tmp_path, gpt, served))["warnings"] == []
    assert one_part(judged_runs(tmp_path, gpt, {**gpt, "judge": JudgeSettings("qwen")}))["warnings"] == [
        "judged differently: the difference mixes models and judges (M0: gpt-4o / rubric / 1; M1: qwen / rubric / 1)"
    ]
    (warning,) = one_part(judged_runs(tmp_path, gpt, {**gpt, "protocol": Protocol("rubric", "1", "cd")}))["warnings"]
    assert warning.startswith("judged differently")


def test_other_prompts_data_and_the_same_replies_are_said(tmp_path):
    of_data = [DataUse(None, None, None, "file", ColumnUse(), samples_sha256, 2) for samples_sha256 in ("aa", "bb")]
    settings = [
        {"prompt_style": style, "data": {"no-reference": data}}
        for style, data in zip(("official", "letter"), of_data, strict=True)
    ]
    part = one_part(judged_runs(tmp_path, *settings))
    assert part["warnings"] == [
        "asked differently: the difference mixes models and prompts (M0: official; M1: letter)",
        "the runs' data differ (hash of the samples): samples that differ are left out",
    ]
    assert "the same replies, every one: M0, M1" in part["notes"]


def test_shared_images_are_said_and_counted(tmp_path):
    paths = [
        scored(tmp_path, [choice(str(i), i < n, image_refs=(f"{i // 2}.png",)) for i in range(8)], f"M{n}")
        for n in (6, 3)
    ]
    part = one_part(paths)
    cell = part["pairs"][0]["overall"]
    assert (cell["n"], cell["n_clusters"]) == (8, 4)
    # Only M6 has 3, 4 and 5: 3 of 3 samples, and images with 1 and 2.
    assert (cell["p"], cell["p_clustered"]) == (0.25, 0.5)
    assert any("samples share images: McNemar takes them as independent" in note for note in part["notes"])
    unnamed = [scored(tmp_path, [choice(str(i), i < n, image_refs=()) for i in range(8)], f"N{n}") for n in (6, 3)]
    assert any("name no image" in note for note in one_part(unnamed)["notes"])
    # One run that names them is enough.
    assert one_part([paths[0], unnamed[1]])["pairs"][0]["overall"]["n_clusters"] == 4


def test_several_runs_are_ranked_on_what_all_have(tmp_path):
    good, bad = [True] * 20, [False] * 15 + [True] * 5
    paths = perception_runs(tmp_path, bad, good, good[:19] + [False])
    scored(tmp_path, [choice(str(i), right) for i, right in enumerate(bad[:-1])], "M0")
    part = one_part(paths)
    assert [(row["run"], row["n"]) for row in part["ranking"]] == [("M1", 19), ("M2", 19), ("M0", 19)]
    assert [(row["place"], row["places"]) for row in part["ranking"]] == [(1, [1, 2]), (1, [1, 2]), (3, [3, 3])]
    assert [(pair["a"], pair["b"], pair["overall"]["n"]) for pair in part["pairs"]] == [
        ("M0", "M1", 19), ("M0", "M2", 19), ("M1", "M2", 20)
    ]  # fmt: skip
    # 15 samples one way, twice, and 1: 2/2^15 times 3 and 2, but never below the one before.
    assert [pair["overall"]["p_holm"] for pair in part["pairs"]] == [3 * 2**-14, 3 * 2**-14, 1.0]
    assert [pair["distinct"] for pair in part["pairs"]] == [True, True, False]


def test_a_baseline_is_what_all_others_are_compared_with(tmp_path):
    good, bad = [True] * 20, [False] * 15 + [True] * 5
    best, base, worst = perception_runs(tmp_path, good, [False] + good[:19], bad)
    part = compare_runs([worst, base, best], baseline="M1").parts[0]
    assert [(pair.a, pair.b) for pair in part.pairs] == [("M0", "M1"), ("M2", "M1")]
    assert [pair.overall.cell.value for pair in part.pairs] == [5.0, -70.0]
    # 1 sample one way; 14 of 14 the other way, times 2: no third pair is in the family.
    assert [pair.overall.p_holm for pair in part.pairs] == [1.0, 2 * 2**-13]
    assert (part.baseline, part.ranking) == ("M1", ())
    for name, runs in ((str(base), [best, worst]), (str(base), [tmp_path]), (str(base.parent / "M1_*"), [best, worst])):
        again = compare_runs(runs, baseline=name).parts[0]
        assert [(pair.a, pair.overall.p_holm) for pair in again.pairs] == [("M0", 1.0), ("M2", 2 * 2**-13)]
    for name, words in (
        ("M9", r"none of the models \(M0, M1, M2\), and no place"),
        (str(tmp_path), "several: M0, M1, M2"),
    ):
        with pytest.raises(BadInput, match=words):
            compare_runs([best, base, worst], baseline=name)
    alone = scored(tmp_path / "b", [judged("1")], "B", "MedQBench_Reasoning")
    with pytest.raises(BadInput, match="No other run has a task of the baseline B"):
        compare_runs([best, worst], baseline=str(alone))
    again = scored(tmp_path / "b", [choice("1")], "M0")
    with pytest.raises(BadInput, match="M0 is several runs: M0 #1, M0 #2"):
        compare_runs([best, again], baseline="M0")
    assert compare_runs([again], baseline=str(best)).baseline == "M0 #2"


def test_runs_that_share_no_sample_are_compared_apart(tmp_path):
    rows = {
        name: [choice("1", question=f"Set {name[0]}?"), choice("2", False, question="?")] for name in ("x1", "x2", "y1")
    }
    rows |= {name: [choice("1", question="Set y?"), choice("2", question=f"Only {name}?")] for name in ("y2", "z1")}
    rows["z1"][0] = choice("1", question="Set z?")
    rows["y1"][1] = choice("2", False, question="Only y1?")
    paths = [scored(tmp_path, of_run, name, f"MedQBench_{name[0]}") for name, of_run in rows.items()]
    comparison = compare_runs(paths)
    assert [(part.dataset, part.runs) for part in comparison.parts] == [
        ("MedQBench_x", ("x1", "x2")),
        ("MedQBench_y", ("y1", "y2")),
    ]
    assert comparison.not_compared == ("z1 shares no sample with the others on MedQBench_z (perception)",)


def test_what_the_runs_answered_alike(tmp_path):
    """Both wrong with different letters is not the same answer; nor is no answer twice."""
    replies = [["A", "B", "none"], ["A", "C", "none"]]
    options = {"A": "Noise", "B": "Blur", "C": "Ghosts"}
    paths = [
        scored(
            tmp_path,
            [choice(str(i), None if t == "none" else t == "A", text=t, options=options) for i, t in enumerate(of_run)],
            f"M{n}",
        )
        for n, of_run in enumerate(replies)
    ]
    for path, letter in zip(paths, "BC", strict=True):
        samples = path.with_name(path.name.replace("_score.json", "_samples.jsonl"))
        samples.write_text(samples.read_text("utf-8").replace('"extracted": "B"', f'"extracted": "{letter}"'), "utf-8")
    (pair,) = compare_runs(paths).parts[0].pairs
    assert (pair.agreement.same, pair.agreement.kappa) == (pytest.approx(100 / 3), 1.0)


def test_runs_of_one_model_are_numbered(tmp_path):
    paths = [scored(folder, [choice("1", True)], "M") for folder in (tmp_path, tmp_path / "b")]
    result = compare_runs(paths).to_json()
    assert [run["label"] for run in result["runs"]] == ["M #1", "M #2"]
    third = scored(tmp_path, [choice("1", True)], "M #1")
    labels = [run["label"] for run in compare_runs([*paths, third]).to_json()["runs"]]
    assert len(set(labels)) == 3


def test_the_order_of_rows_changes_nothing(tmp_path):
    draw = random.Random(3)
    thirds = [0.2, 1 / 3, 2 / 3, 1.4, 2]
    rows_a = [judged(str(i), [draw.choice(thirds) for _ in range(4)], severity="mild") for i in range(60)]
    rows_b = [judged(str(i), [draw.choice(thirds) for _ in range(4)]) for i in range(60)]
    paths = [scored(tmp_path, rows, name, "MedQBench_Reasoning") for rows, name in ((rows_a, "A"), (rows_b, "B"))]
    comparison = compare_runs(paths)
    for path in paths:
        samples = path.with_name(path.name.replace("_score.json", "_samples.jsonl"))
        lines = samples.read_text(encoding="utf-8").splitlines()
        draw.shuffle(lines)
        samples.write_text("\n".join(lines), encoding="utf-8")
    again = compare_runs(paths)
    assert (again.to_json(), again.parts) == (comparison.to_json(), comparison.parts)
    files = write_comparison(comparison, tmp_path / "x"), write_comparison(again, tmp_path / "y")
    assert files[0][0].read_bytes() == files[1][0].read_bytes()
    assert compare_runs(paths, seed=1).to_json() != comparison.to_json()


def test_a_file_of_a_run_is_never_replaced(tmp_path):
    a, b = perception_runs(tmp_path, [True], [False])
    result = compare_runs([a, b])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "compare.json").hardlink_to(a)
    with pytest.raises(BadInput, match="would replace a file of a run"):
        write_comparison(result, tmp_path / "out")


@pytest.mark.parametrize("ending", [".json", ".xlsx"])
def test_what_is_no_comparison_is_never_replaced(tmp_path, ending):
    a, b = perception_runs(tmp_path, [True], [False])
    result = compare_runs([a, b])
    out = tmp_path / "out"
    for _ in range(2):  # an earlier comparison is replaced
        write_comparison(result, out)
    mine = out / f"compare{ending}"
    mine.write_text('{"mine": 1}', encoding="utf-8")
    with pytest.raises(BadInput, match=f"compare{ending} was not written by 'medqbench compare'"):
        write_comparison(result, out)
    assert mine.read_text(encoding="utf-8") == '{"mine": 1}'


def test_a_prediction_file_that_is_called_compare_is_kept(tmp_path):
    a, b = perception_runs(tmp_path, [True], [False])
    for ending in ("_score.json", "_samples.jsonl"):
        a.with_name(a.name.replace("_score.json", ending)).rename(tmp_path / f"compare{ending}")
    predictions = tmp_path / "compare.json"
    predictions.write_text('{"parts": 1, "not_compared": 2}', encoding="utf-8")
    with pytest.raises(BadInput, match="would replace a file of a run"):
        write_comparison(compare_runs([predictions, b]), tmp_path)


def test_a_run_that_says_nothing_does_not_hide_that_others_differ(tmp_path):
    """The first run records no question and the two others have different ones."""
    rows = [[choice("1", True, question=question), choice("2", True)] for question in (None, "Which?", "How much?")]
    part = one_part([scored(tmp_path, of_run, f"M{i}") for i, of_run in enumerate(rows)])
    assert [row["n"] for row in part["ranking"]] == [1, 1, 1]
    assert [pair["overall"]["n"] for pair in part["pairs"]] == [2, 2, 1]


def test_no_sample_that_all_runs_have(tmp_path):
    paths = [
        scored(tmp_path, [choice(index, True) for index in indexes], f"M{indexes}") for indexes in ("12", "23", "13")
    ]
    part = one_part(paths)
    assert [(row["value"], row["n"]) for row in part["ranking"]] == [(None, 0)] * 3
    write_comparison(compare_runs(paths), tmp_path / "out")


def test_other_splits_are_said(tmp_path):
    paths = [
        scored(tmp_path, [choice("1", True)], model, dataset)
        for model, dataset in (("A", "MedQBench_Perception_dev"), ("B", "MedQBench_Perception"), ("C", "custom"))
    ]
    assert one_part(paths[1:])["warnings"] == []
    assert one_part(paths[:2])["warnings"] == [
        "different splits: an index may stand for another sample in each (A: MedQBench_Perception_dev; "
        "B: MedQBench_Perception)"
    ]


def test_the_order_of_a_judges_parameters_says_nothing(tmp_path):
    settings = [
        {"judge": JudgeSettings("x", parameters=parameters)} for parameters in ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    ]
    assert one_part(judged_runs(tmp_path, *settings))["warnings"] == []


def test_five_runs_analyse_their_samples_and_fewer_do_not(tmp_path):
    # The two runs that are right on the others chose B on the first sample, the weaker three the key.
    columns = [[0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [1, 0, 0, 1, 0], [1, 0, 0, 0, 0], [1, 0, 0, 0, 0]]
    paths = perception_runs(tmp_path, *columns)
    part = one_part(paths)
    second, first = part["items"][:2]  # on that, all three stronger runs agree
    assert (first["index"], first["chosen"], first["notes"]) == ("0", {"A": 1, "B": 2}, ["worth a second look"])
    assert (first["difficulty"]["value"], first["difficulty"]["n"]) == (60.0, 5)
    assert first["discrimination"]["value"] < 0
    assert (second["index"], second["notes"]) == ("4", ["worth a second look", "no model is right"])
    assert "items" not in one_part(paths[:4])
    _, book = write_comparison(compare_runs(paths), tmp_path / "out")
    rows = list(load_workbook(book)["Items"].iter_rows(values_only=True))
    head = next(place for place, row in enumerate(rows) if row[0] == "Index")
    assert rows[head + 2][:8] == (
        "0",
        "CT",
        "What",
        None,
        None,
        "Which degradation is in image 0?",
        "A. Noise",
        "B. Blur (2), A. Noise (1)",
    )
    assert rows[head + 2][-1] == "worth a second look"
    write_comparison(compare_runs(paths[:4]), tmp_path / "few")
    assert "Items" not in load_workbook(tmp_path / "few" / "compare.xlsx").sheetnames
