"""Two prediction files compared, and what keeps a second pass from being taken for a result."""

from __future__ import annotations

import json

import openpyxl
import pytest

from medqbench_vlmeval.benchmark import parse_dataset_name
from medqbench_vlmeval.data import load_dataset, make_second_pass
from medqbench_vlmeval.data.second_pass import permutation_of, permutation_text
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.files import sha256_of
from medqbench_vlmeval.report.robustness_tables import robustness_tables
from medqbench_vlmeval.report.terminal import show
from medqbench_vlmeval.workflows.robustness import compare_passes, read_comparison, robustness_paths
from tests.commands import run
from tests.report.printed import printed

PERCEPTION = "MedQBench_Perception_mini"
PAIRS = "MedQBench_Reasoning_Comparative_mini"


def samples_of(dataset):
    return load_dataset(parse_dataset_name(dataset), images=False)


def write(folder, model, dataset, reply, drop=(), **columns):
    """A prediction file as our dataset classes make it; ``reply`` gives the text for a sample as it is shown."""
    first = samples_of(dataset.removesuffix("_robustness"))
    again = dataset.endswith("_robustness")
    shown = make_second_pass(first) if again else first
    officials = {sample.index: sample for sample in first.samples}
    rows = []
    for sample in shown.samples:
        if sample.index in drop:
            continue
        row = {"index": sample.index, "task": sample.task.value, "question": sample.question}
        row |= {letter: sample.options.get(letter) for letter in "ABCD"} if sample.options else {}
        row |= {"answer": sample.answer} if sample.answer else {"description": sample.description}
        row |= {
            "modality": sample.modality,
            "data_sha256": first.sources[sample.task].sha256,
            "prompt_style": "official",
        }
        if again:
            row["permutation"] = permutation_text(permutation_of(officials[sample.index]))
            row.pop("description", None)
        rows.append({**row, **columns, "prediction": reply(sample)})
    path = folder / f"{model}_{dataset}.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def right(sample):
    return sample.answer


def both(folder, reply, reply_again=None, model="m", dataset=PERCEPTION):
    """The files of two passes; ``reply`` also gives the second one's texts unless others are named."""
    again = write(folder, model, f"{dataset}_robustness", reply_again or reply)
    return write(folder, model, dataset, reply), again


def compared(tmp_path, first, second, dataset=PERCEPTION, **more):
    return compare_passes((first, second), "m", f"{dataset}_robustness", tmp_path / "out", **more)


def test_a_model_that_looks_is_consistent_and_one_that_says_a_is_not(tmp_path):
    result = compared(tmp_path, *both(tmp_path, right)).result
    assert result["n"] == 75
    assert result["debiased"]["percent"] == result["consistency"]["percent"] == 100
    assert result["left_out"] == {"first_pass_alone": 0, "second_pass_alone": 0, "order_fixed": 0, "other_content": 0}
    always = compared(tmp_path, *both(tmp_path, lambda _: "A", lambda _: "The answer is A.")).result
    n_right = sum(sample.answer == "A" for sample in samples_of(PERCEPTION).samples)
    assert always["first"]["count"] == n_right
    assert always["consistency"]["count"] == always["right_in_both"]["count"] == 0


@pytest.mark.parametrize(("place", "kind"), [("first", "first_place_twice"), ("second", "second_place_twice")])
def test_a_preference_for_a_place_is_told_from_one_for_an_image(tmp_path, place, kind):
    passes = both(tmp_path, lambda _: f"Overall, the {place} image is of higher quality.", dataset=PAIRS)
    result = compared(tmp_path, *passes, PAIRS).result
    assert result["preferences"][kind]["count"] == result["n"] == 20
    assert result["quality_accuracy"]["debiased"]["mean"] == 1
    assert any("no judge was asked" in note for note in result["notes"])


@pytest.mark.parametrize(("dataset", "reply"), [(PERCEPTION, "B"), (PAIRS, "The first image is better.")])
def test_what_is_read_back_shows_what_was_written(tmp_path, dataset, reply):
    result = compared(tmp_path, *both(tmp_path, lambda _: reply, dataset=dataset), dataset)
    read, written = (printed(robustness_tables(of)) for of in (read_comparison(result.paths.score), result.comparison))
    assert read == written


def test_row_order_and_the_data_file_change_no_number(tmp_path):
    first, second = both(
        tmp_path,
        lambda sample: "AB"[len(sample.index + sample.question) % 2],
        lambda sample: "BA"[len(sample.question) % 2],
    )
    expected = compared(tmp_path, first, second).result
    rows = json.loads(second.read_text(encoding="utf-8"))
    second.write_text(json.dumps(rows[::-1]), encoding="utf-8")
    result = compared(tmp_path, first, second, sample_set=samples_of(PERCEPTION)).result
    for key in ("first", "second", "difference", "consistency", "letters"):
        assert result[key] == expected[key]


def test_common_samples_are_compared_and_the_others_counted(tmp_path):
    first = write(tmp_path, "m", PERCEPTION, right, drop={"mini-p001"})
    second = write(
        tmp_path, "m", f"{PERCEPTION}_robustness", right, drop={"mini-p002", "mini-p003"}, prompt_style="letter"
    )
    rows = json.loads(second.read_text(encoding="utf-8"))
    changed = next(row for row in rows if row["index"] == "mini-p004")
    changed["A"] = "something else"
    second.write_text(json.dumps(rows), encoding="utf-8")
    result = compared(tmp_path, first, second, sample_set=samples_of(PERCEPTION)).result
    assert result["n"] == 75 - 4
    assert result["left_out"] == {"first_pass_alone": 2, "second_pass_alone": 1, "order_fixed": 0, "other_content": 1}
    assert "the passes were made with different prompt styles: official and letter" in result["notes"]
    assert sum("they are left out" in note for note in result["notes"]) == 3
    some = compared(tmp_path, first, second, sample_set=samples_of(PERCEPTION), only={"mini-p005", "mini-p006"})
    assert some.result["n"] == 2


def test_failed_and_unreadable_replies_are_counted(tmp_path):
    failed = "Failed to obtain answer via API."
    one, *_ = samples_of(PERCEPTION).samples
    files = both(tmp_path, right, lambda sample: "I cannot tell." if sample.index == one.index else failed)
    result = compared(tmp_path, *files).result
    assert result["n_unanswered"] == {"first": 0, "second": 75, "either": 75}
    assert (result["debiased"]["percent"], result["consistency"]["count"]) == (50, 0)
    with pytest.raises(RunFailed, match=rf"None of the 75 samples of {files[1].name} has a reply"):
        compared(tmp_path, *both(tmp_path, right, lambda _: failed))


def test_the_files_and_the_terminal(tmp_path, capsys):
    first, second = both(tmp_path, lambda _: "=A", right)
    before = sha256_of(first), sha256_of(second)
    result = compared(tmp_path, first, second)
    assert (sha256_of(first), sha256_of(second)) == before
    assert [path.name for path in vars(result.paths).values()] == [
        f"m_{PERCEPTION}_robustness_consistency{ending}" for ending in (".json", ".jsonl", ".xlsx")
    ]
    assert json.loads(result.paths.score.read_text(encoding="utf-8")) == result.result
    rows = [json.loads(line) for line in result.paths.samples.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 75
    assert rows[0]["second_text"] == rows[0]["right"]
    book = openpyxl.load_workbook(result.paths.report)
    assert book.sheetnames == ["Robustness", "Pairs"]
    replies = [cell for row in book["Pairs"].iter_rows() for cell in row if cell.value == "=A"]
    assert len(replies) == 75
    assert {cell.data_type for cell in replies} == {"s"}
    show(robustness_tables(result.comparison))
    text = capsys.readouterr().out
    assert "Debiased accuracy (mean of both)" in text
    assert "! a comparison of two passes is no result of the benchmark" in text


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    first, second = both(tmp_path, right)
    with pytest.raises(
        BadInput, match=r"official first one was expected\. The two files seem to be in the wrong order"
    ):
        compared(tmp_path, second, first)
    with pytest.raises(BadInput, match="is not of a second pass: it has no column 'permutation'"):
        compared(tmp_path, first, first)
    with pytest.raises(BadInput, match="is not in the data"):
        compared(tmp_path, first, write(tmp_path, "m", f"{PAIRS}_robustness", lambda _: "x"))
    everything = {sample.index for sample in samples_of(PERCEPTION).samples}
    half = write(tmp_path, "h", f"{PERCEPTION}_robustness", right, drop=everything - {"mini-p001"})
    other = write(tmp_path, "h", PERCEPTION, right, drop={"mini-p001"})
    with pytest.raises(BadInput, match="no sample in common"):
        compared(tmp_path, other, half, sample_set=samples_of(PERCEPTION))
    target = robustness_paths(second, tmp_path).samples
    target.write_bytes(first.read_bytes())
    with pytest.raises(BadInput, match="would replace a prediction file"):
        compare_passes((target, second), "m", "d", tmp_path)


def test_the_command(tmp_path, capsys):
    better = "The {} image is better.".format
    first, second = both(tmp_path, lambda _: better("second"), lambda _: better("first"), dataset=PAIRS)
    code, out, _ = run(capsys, "robustness", first, second, "--out", tmp_path / "o", "--data", PAIRS)
    assert code == 0
    assert "Same image in both orders    100.00" in out
    assert f"m on {PAIRS}_robustness" in out
    code, out, _ = run(capsys, "robustness", first, second, "--out", tmp_path / "o", "--model", "x", "--json")
    result = json.loads(out)
    assert (result["model"], result["comparable"]) == ("x", "no")
    assert (tmp_path / "o" / f"x_{PAIRS}_robustness_consistency.json").exists()
    code, _, err = run(capsys, "robustness", first, tmp_path / "none.json", "--out", tmp_path / "o")
    assert (code, err.count("\n")) == (2, 1)


@pytest.mark.parametrize("dataset", [PERCEPTION, PAIRS])
@pytest.mark.parametrize("more", [[], ["--data"]], ids=["own columns", "data"])
def test_a_second_pass_is_never_scored_as_a_result(tmp_path, capsys, dataset, more):
    second = write(tmp_path, "m", f"{dataset}_robustness", lambda _: "A")
    arguments = [*more, dataset] if more else []
    renamed = tmp_path / f"m_{dataset}.json"
    renamed.write_bytes(second.read_bytes())
    without = [{k: v for k, v in row.items() if k != "permutation"} for row in json.loads(second.read_text())]
    second.write_text(json.dumps(without), encoding="utf-8")
    for path in (renamed, second):
        code, _, err = run(capsys, "score", path, "--out", tmp_path / "o", "--judge", "rules", *arguments)
        assert code == 2
        assert "is of a second pass" in err
        assert "medqbench robustness FIRST SECOND" in err
    assert not (tmp_path / "o").exists()


def test_a_file_with_some_rows_of_a_second_pass_is_none_of_the_first(tmp_path, capsys):
    rows = json.loads(write(tmp_path, "m", f"{PERCEPTION}_robustness", right).read_text(encoding="utf-8"))
    mixed = [{**row, "permutation": row["permutation"] if number == 7 else ""} for number, row in enumerate(rows)]
    path = tmp_path / "mixed.json"
    for content in (mixed, [{"Permutation": row.pop("permutation"), **row} for row in rows]):
        path.write_text(json.dumps(content), encoding="utf-8")
        code, _, err = run(capsys, "score", path, "--out", tmp_path / "o")
        assert code == 2
        assert "is of a second pass" in err
    path.write_text(json.dumps(mixed), encoding="utf-8")
    first = write(tmp_path, "m", PERCEPTION, right)
    with pytest.raises(BadInput, match=r"mixed\.json, row 1: the column 'permutation' does not say what was shown"):
        compared(tmp_path, first, path)
    with pytest.raises(BadInput, match="is of a second pass, and the official first one"):
        compared(tmp_path, path, path)


def test_files_of_two_models_are_told(tmp_path, capsys):
    first = write(tmp_path, "m", PAIRS, lambda _: "The second image is better.")
    second = write(tmp_path, "other", f"{PAIRS}_robustness", lambda _: "The first image is better.")
    code, out, _ = run(
        capsys, "robustness", first, second, "--out", tmp_path, "--data", f"{PAIRS}_robustness", "--json"
    )
    assert code == 0
    assert "the files' names are of different models: m and other" in json.loads(out)["notes"]


def test_a_column_of_that_name_with_something_else_is_nothing_to_us(tmp_path, capsys):
    path = write(tmp_path, "m", PERCEPTION, right, permutation="7")
    code, _, _ = run(capsys, "score", path, "--out", tmp_path / "o")
    assert code == 0


def test_its_result_is_refused_by_the_board(tmp_path, capsys):
    result = compared(tmp_path, *both(tmp_path, right))
    code, _, err = run(capsys, "leaderboard", "add", result.paths.score, "--board", tmp_path / "board")
    assert code == 2
    assert "is not a '_score.json'" in err or "no result" in err
    code, _, err = run(capsys, "leaderboard", "add", tmp_path / "out", "--board", tmp_path / "board")
    assert code == 2
    assert not (tmp_path / "board").exists()
