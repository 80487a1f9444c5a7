"""Merging into an OpenVLM-style file: the runs' own members change, and no value of another one."""

import json
import random
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import MODALITIES, Task
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.report.leaderboard.openvlm import merge
from tests.report.leaderboard.results import result, write_at_once

MINI = "MedQBench_Perception_mini"


def scores(*results):
    return [(Path(f"{result.model}_score.json"), result) for result in results]


def results_in(file):
    return json.loads(file.read_text(encoding="utf-8-sig"))["results"]


def big_board(n_models=250):
    """A board of the size and the variety of the public one: floats and whole numbers, texts, missing datasets."""
    dice = random.Random(0)
    results = {}
    for model in range(n_models):
        named = {"Method": [f"Model-{model} (é, 中文)", "https://example.org/a?b=c&d"], "Org": "", "key": model}
        entry = {"META": {**named, "Vision Model": "ViT-L/14", "dir_name": f"kit_model_{model}"}}
        for dataset in range(dice.randint(5, 20)):
            fields = {f"part {field}": round(dice.uniform(0, 100), 1) for field in range(dice.randint(0, 15))}
            entry[f"Dataset_{dataset}"] = {"Overall": dice.choice([dice.randint(0, 2800), 71.60001]), **fields}
        entry["OCR"] = {"Final Score": 806, "note": "N/A"}
        results[f"Model-{model}"] = entry
    return {"time": "20250917101112", "extra": {"kept": [1.0, 1e3, None]}, "results": results}


@pytest.mark.slow
@pytest.mark.parametrize("layout", [{"indent": 4}, {"indent": 2}, {"indent": "\t"}, {}, {"separators": (",", ":")}])
@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_big_file_keeps_its_layout_and_everybody_elses_values(tmp_path, layout, ascii_only, ending):
    file, board = tmp_path / "OpenVLM.json", big_board(30)
    before = json.dumps(board, ensure_ascii=ascii_only, **layout) + ending
    if ending == "\r\n":
        before = before.replace("\r\n", "\n").replace("\n", "\r\n")
    file.write_bytes(before.encode("utf-8"))
    report = merge(file, scores(result("Model-New"), result("Model-7", overall=50.0)))
    assert report.backup.read_bytes().decode("utf-8") == before
    after = file.read_bytes().decode("utf-8")
    merged = json.loads(after)
    values = {
        "Overall": 60.0, "Yes-or-No": 100.0, "What": 50.0, "How": 0.0, "CT": 200 / 3, "MRI": 50.0,
        "Histopathology": 50.0, "Endoscopy": 50.0, "Fundus": 50.0, "comparable_with_published": 0,
    }  # fmt: skip
    assert merged["results"]["Model-New"][MINI] == pytest.approx(values)
    assert list(merged["results"]["Model-New"][MINI]) == list(values)
    assert merged["results"]["Model-7"][MINI]["Overall"] == 50
    board["results"]["Model-7"][MINI] = merged["results"]["Model-7"][MINI]
    board["results"]["Model-New"] = merged["results"]["Model-New"]
    # What is written is what the json module writes in that layout, so that the whole text can be expected.
    expected = json.dumps(board, ensure_ascii=ascii_only, **layout) + ending.replace("\r", "")
    assert after == (expected.replace("\n", "\r\n") if ending == "\r\n" and "\n" in expected else expected)


def test_control_characters_and_a_byte_order_mark_are_read(tmp_path):
    file = tmp_path / "OpenVLM.json"
    file.write_text('\ufeff{"time": "1", "note": "a\tb", "results": {}}', encoding="utf-8")
    assert merge(file, scores(result("One"), result("Two"))).changed
    text = file.read_text(encoding="utf-8")
    assert (text[0], json.loads(text[1:])["note"], json.loads(text[1:])["time"]) == ("\ufeff", "a\tb", "1")
    # The time stays unless it is to change.
    merge(file, scores(result("One")), stamp=True)
    assert len(json.loads(file.read_text(encoding="utf-8-sig"))["time"]) == 14


KEYS = st.text(max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.dictionaries(
    KEYS, st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=2), max_size=3), max_size=3
)


@pytest.mark.slow
@given(MEMBERS, st.dictionaries(KEYS, VALUES, max_size=2), st.sampled_from([None, 0, 1, 4, "\t"]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_other_member_of_any_file_stays(tmp_path_factory, members, extra, indent, ascii_only):
    file = tmp_path_factory.mktemp("board") / "board.json"
    board = {**extra, "results": members}
    file.write_text(json.dumps(board, indent=indent, ensure_ascii=ascii_only), encoding="utf-8", errors="surrogatepass")
    merge(file, scores(result("Model-New")))
    after = json.loads(file.read_text(encoding="utf-8"))
    assert list(after["results"].pop("Model-New")) == ["META", MINI]
    # Dumping compares the order of keys too.
    assert json.dumps(after) == json.dumps(json.loads(json.dumps(board)))


def test_the_same_run_again_changes_nothing_and_keeps_the_backup(tmp_path):
    file = tmp_path / "new" / "board.json"
    first = merge(file, scores(result(task=Task.REASONING)))
    assert (first.changed, first.backup) == (True, None)
    assert first.members == (
        ("Model-X", "MedQBench_Reasoning_NoReference_mini"),
        ("Model-X", "MedQBench_Reasoning_Comparative_mini"),
    )
    means = {"Overall": 5.5, "Completeness": 1.5, "Preciseness": 1.0, "Consistency": 2.0, "Quality Accuracy": 1.0}
    numbers = {**means, **dict.fromkeys(MODALITIES, 5.5), "comparable_with_published": 0}
    assert results_in(file)["Model-X"]["MedQBench_Reasoning_NoReference_mini"] == numbers
    content = file.read_bytes()
    again = merge(file, scores(result(task=Task.REASONING)))
    assert (again.changed, again.backup, file.read_bytes()) == (False, None, content)
    merge(file, scores(result()))
    assert (tmp_path / "new" / "board.json.bak").read_bytes() == content
    assert list(results_in(file)) == ["Model-X"]


def test_a_model_is_found_by_its_folder_and_its_meta_is_not_touched(tmp_path):
    file = tmp_path / "board.json"
    file.write_text(json.dumps(big_board(3)), encoding="utf-8")
    assert merge(file, scores(result("kit_model_1"))).members == (("Model-1", MINI),)
    results = results_in(file)
    assert "kit_model_1" not in results
    assert results["Model-1"]["META"] == big_board(3)["results"]["Model-1"]["META"]
    # A name that is given is meant.
    assert merge(file, scores(result("kit_model_1")), "kit_model_1").members == (("kit_model_1", MINI),)


def test_one_dataset_has_one_key(tmp_path):
    file = tmp_path / "board.json"
    merge(file, scores(result("A", dataset="MedQBench_Perception_test")))
    for model in "AB":
        newer = result(model, dataset="MedQBench_Perception", overall=61.0)
        assert merge(file, scores(newer)).members == ((model, "MedQBench_Perception_test"),)
    assert merge(file, scores(result("A", dataset="custom"))).members == (("A", "MedQBench_Perception_custom"),)
    assert results_in(file)["A"]["MedQBench_Perception_test"]["Overall"] == 61


def test_numbers_of_others_in_our_dataset_stay_and_gone_ones_of_ours_go(tmp_path):
    file = tmp_path / "board.json"
    old = {"Overall (official)": 70.1, "Overall": 1.0, "Completeness": 2, "What": 3}
    file.write_text(json.dumps({"time": "1", "results": {"Model-X": {MINI: old}}}), encoding="utf-8")
    merge(file, scores(result()))
    (dataset, numbers), (meta, _) = results_in(file)["Model-X"].items()
    assert meta == "META"  # without one a table cannot be made
    assert (dataset, list(numbers)[:3]) == (MINI, ["Overall (official)", "Overall", "What"])
    assert numbers["Overall (official)"] == 70.1
    assert "Completeness" not in numbers


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\xff\xfe{}", "is not JSON in UTF-8"),
        ("", "is not JSON in UTF-8"),
        ('{"results": {', "is not JSON in UTF-8"),
        ("[" * 100_000, "is not JSON in UTF-8"),
        ("[]", "no object under 'results'"),
        ('{"time": "1"}', "no object under 'results'"),
        ('{"results": []}', "no object under 'results'"),
        ('{"format": "medqbench-leaderboard", "results": {}}', "is a board of 'medqbench leaderboard add'"),
        ('{"results": {"Model-X": 1}}', "'Model-X' in .* is not an object"),
        ('{"results": {"Model-X": null}}', "'Model-X' in .* is not an object"),
        ('{"results": {"Model-X": {"MedQBench_Perception_mini": 60.0}}}', "mini' of 'Model-X' in .* is not an object"),
        ('{"results": {"Model-X": {}, "Model-X": {}}}', "the name 'Model-X' stands twice"),
        ('{"results": {}, "results": {}}', "the name 'results' stands twice"),
    ],
)
def test_a_file_of_another_kind_is_left_alone(tmp_path, text, words):
    file = tmp_path / "board.json"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(BadInput, match=words):
        merge(file, scores(result()))
    assert file.read_text(encoding="latin-1") == text
    assert not (tmp_path / "board.json.bak").exists()


def test_a_file_that_is_a_folder_read_only_or_locked(tmp_path):
    file = tmp_path / "board.json"
    with pytest.raises(BadInput, match="is a folder"):
        merge(tmp_path, scores(result()))
    file.write_text('{"time": "1", "results": {}}', encoding="utf-8")
    file.chmod(0o444)
    with pytest.raises(RunFailed, match="read-only"):
        merge(file, scores(result()))
    file.chmod(0o640)
    with FileLock(tmp_path / ".board.json.lock"), pytest.raises(RunFailed, match=r"lock .* for 0\.05 s"):
        merge(file, scores(result()), timeout=0.05)
    assert json.loads(file.read_text(encoding="utf-8"))["results"] == {}
    merge(file, scores(result()))
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_link_stays_one(tmp_path):
    target = tmp_path / "there" / "board.json"
    merge(target, scores(result("A")))
    (tmp_path / "link.json").symlink_to(target)
    merge(tmp_path / "link.json", scores(result("B")))
    assert (tmp_path / "link.json").is_symlink()
    assert set(results_in(target)) == {"A", "B"}


def test_runs_that_do_not_go_together(tmp_path):
    file = tmp_path / "board.json"
    two = scores(result("A"), result("B"))
    with pytest.raises(BadInput, match="--model names one model, and the runs are of 2: A, B"):
        merge(file, two, "A")
    with pytest.raises(BadInput, match="both of A on this dataset"):
        merge(file, scores(result("A"), result("A", n=4)))
    for task, values, words in (
        (Task.PERCEPTION, {"Overall": None}, "has no 'Overall'"),
        (Task.NO_REFERENCE, {"Overall": 6.0}, "'Overall' of 6, and its dimensions' sum is 5.5"),
    ):
        with pytest.raises(BadInput, match=rf"Model-X_score\.json \(.*{words}; run and score the whole dataset"):
            merge(file, scores(result(task=task, values=values)))
    assert not file.exists()
    assert len(merge(file, two).members) == 2


def test_the_newest_of_several_results_counts(tmp_path):
    old, new = result(), result(overall=61.0, created="2026-11-23T10:00:00+00:00")
    for number, order in enumerate(([old, new], [new, old])):
        merge(tmp_path / f"{number}.json", scores(*order))
        assert results_in(tmp_path / f"{number}.json")["Model-X"][MINI]["Overall"] == 61


WRITER = """
from medqbench_vlmeval.report.leaderboard.openvlm import merge
merge(place, [(Path("x_score.json"), result)])
"""


@pytest.mark.slow
def test_twenty_writers_at_once_lose_nothing(tmp_path):
    file = tmp_path / "board.json"
    file.write_text(json.dumps(big_board(20)), encoding="utf-8")
    write_at_once(WRITER, file, [result(f"New-{number}") for number in range(20)])
    merged = results_in(file)
    assert set(merged) == {*big_board(20)["results"], *(f"New-{number}" for number in range(20))}
    assert {name: merged[name] for name in big_board(20)["results"]} == big_board(20)["results"]
