"""Merging into an OpenVLM-style file: the runs' own members change, and no other byte."""

from __future__ import annotations

import json
import math
import random
import threading
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.report.leaderboard.openvlm import check, merge, meta_of, with_value, zoo_model
from medqbench_vlmeval.runs.files import ScoreFile as Result
from tests.report.examples import combined_score, perception_score, reasoning_score

MINI = "MedQBench_Perception_mini"


def result(score: dict[str, Any]) -> Result:
    return Result(Path(f"{score['model']}_score.json"), score)


def results_in(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["results"]
    return found


def big_board(n_models: int = 250) -> dict[str, Any]:
    """A board of the size and the variety of the public one: floats and whole numbers, texts, missing datasets."""
    dice = random.Random(0)
    results: dict[str, Any] = {}
    for model in range(n_models):
        entry: dict[str, Any] = {
            "META": {
                "Method": [f"Model-{model} (é, 中文)", "https://example.org/a?b=c&d"],
                "Parameters": dice.choice(["", "7B", "0.5B"]),
                "Language Model": "",
                "Vision Model": "ViT-L/14",
                "Org": "Org",
                "Time": "2024/05/31",
                "OpenSource": "Yes",
                "Verified": "Yes",
                "key": model,
                "dir_name": f"kit_model_{model}",
            }
        }
        for dataset in range(dice.randint(5, 20)):
            fields = {f"part {field}": round(dice.uniform(0, 100), 1) for field in range(dice.randint(0, 15))}
            entry[f"Dataset_{dataset}"] = {"Overall": dice.choice([dice.randint(0, 2800), 71.60001]), **fields}
        entry["OCR"] = {"Final Score": 806, "note": "N/A"}
        results[f"Model-{model}"] = entry
    return {"time": "20250917101112", "extra": {"kept": [1.0, 1e3, None]}, "results": results}


@pytest.mark.parametrize("layout", [{"indent": 4}, {"indent": 2}, {"indent": "\t"}, {}, {"separators": (",", ":")}])
def test_no_other_byte_of_a_big_file_changes(tmp_path: Path, layout: dict[str, Any]) -> None:
    file, board = tmp_path / "OpenVLM.json", big_board(60)
    before = json.dumps(board, ensure_ascii=False, **layout)
    file.write_bytes(before.encode("utf-8"))
    new, old = perception_score("Model-New"), perception_score("Model-7", Overall=50.0)
    merged = merge(file, [result(new), result(old)])
    after = file.read_bytes().decode("utf-8")
    assert merged.backup is not None
    assert merged.backup.read_bytes().decode("utf-8") == before
    # What is written is what the json module writes in that layout, so that the whole text can be expected.
    values = {
        "Overall": 60.0, "Yes-or-No": 100.0, "What": 50.0, "How": 0.0, "CT": 200 / 3, "MRI": 50.0,
        "comparable_with_published": 0,
    }  # fmt: skip
    found = json.loads(after)
    assert found["results"]["Model-New"][MINI] == pytest.approx(values)
    assert list(found["results"]["Model-New"][MINI]) == list(values)
    assert found["results"]["Model-7"][MINI]["Overall"] == 50
    board["results"]["Model-7"][MINI] = found["results"]["Model-7"][MINI]
    board["results"]["Model-New"] = found["results"]["Model-New"]
    assert after == json.dumps(board, ensure_ascii=False, **layout)


def test_control_characters_in_the_texts_of_others_stay(tmp_path: Path) -> None:
    file = tmp_path / "OpenVLM.json"
    file.write_text('{"time": "1", "note": "a\tb", "results": {}}', encoding="utf-8")
    assert merge(file, [result(perception_score("One")), result(perception_score("Two"))]).changed
    assert '"note": "a\tb"' in file.read_text(encoding="utf-8")


def test_forms_that_json_dumps_would_not_write_stay(tmp_path: Path) -> None:
    text = (
        '\ufeff{ "results" : {\r\n  "B":{"META":{}, "D": {"Overall": 71.60, "x": 1E2, "y": NaN, "z": -0}},\r\n'
        '  "A\\u00e9\\/": {"E": {}}\r\n},\r\n"time":"2025" , "more":[1,2 ,3] }\r\n\r\n'
    )
    file = tmp_path / "board.json"
    file.write_bytes(text.encode("utf-8"))
    merge(file, [result(perception_score("B"))])
    after = file.read_bytes().decode("utf-8")
    start = after.index(', "MedQ')
    end = start + len(after) - len(text)
    assert after[:start] + after[end:] == text
    merge(file, [result(perception_score("Aé/"))])
    assert list(json.loads(file.read_text(encoding="utf-8-sig"))["results"]["Aé/"]) == ["E", MINI]


KEYS = st.text(max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(
    KEYS, st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=2), max_size=3), max_size=3
)


@given(OBJECTS, st.tuples(KEYS, KEYS, KEYS), VALUES, st.sampled_from([None, 0, 1, 4, "\t"]), st.booleans())
@settings(max_examples=150, deadline=None)
def test_setting_a_value_is_setting_it_in_the_object(
    board: dict[str, Any], path: tuple[str, ...], value: Any, indent: int | str | None, ascii_only: bool
) -> None:
    text = json.dumps(board, indent=indent, ensure_ascii=ascii_only)
    after = with_value(text, path, value)
    expected = json.loads(text)
    expected.setdefault(path[0], {}).setdefault(path[1], {})[path[2]] = value
    # Dumping compares the order of keys too.
    assert json.dumps(json.loads(after)) == json.dumps(expected)
    assert with_value(after, path, value) == after


def test_the_same_run_again_changes_nothing_and_keeps_the_backup(tmp_path: Path) -> None:
    file = tmp_path / "new" / "board.json"
    first = merge(file, [result(combined_score())])
    assert (first.changed, first.backup) == (True, None)
    assert first.members == (
        ("Model-X", "MedQBench_Reasoning_NoReference_mini"),
        ("Model-X", "MedQBench_Reasoning_Comparative_mini"),
    )
    found = results_in(file)["Model-X"]["MedQBench_Reasoning_NoReference_mini"]
    means = {"Overall": 5.5, "Completeness": 1.5, "Preciseness": 1.0, "Consistency": 2.0, "Quality Accuracy": 1.0}
    assert found == {**means, "Fundus": 5.5, "comparable_with_published": 0}
    content = file.read_bytes()
    again = merge(file, [result(combined_score())])
    assert (again.changed, again.backup, file.read_bytes()) == (False, None, content)
    merge(file, [result(perception_score())])
    assert (tmp_path / "new" / "board.json.bak").read_bytes() == content
    assert check(file).problems == ()
    assert (check(file).models, check(file).results) == (1, 3)


def test_a_model_is_found_by_its_folder_and_its_meta_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "board.json"
    file.write_text(json.dumps(big_board(3)), encoding="utf-8")
    assert merge(file, [result(perception_score("kit_model_1"))]).members == (("Model-1", MINI),)
    found = results_in(file)
    assert "kit_model_1" not in found
    assert found["Model-1"]["META"] == big_board(3)["results"]["Model-1"]["META"]
    # A name that is given is meant.
    assert merge(file, [result(perception_score("kit_model_1"))], "kit_model_1").members == (("kit_model_1", MINI),)


def test_one_dataset_has_one_key(tmp_path: Path) -> None:
    file = tmp_path / "board.json"
    merge(file, [result(perception_score("A", dataset="MedQBench_Perception_test"))])
    score = perception_score("A", dataset="MedQBench_Perception", Overall=61.0)
    assert merge(file, [result(score)]).members == (("A", "MedQBench_Perception_test"),)
    assert merge(file, [result({**score, "model": "B"})]).members == (("B", "MedQBench_Perception_test"),)
    assert merge(file, [result(perception_score("A", dataset="custom"))]).members == (
        ("A", "MedQBench_Perception_custom"),
    )
    assert results_in(file)["A"]["MedQBench_Perception_test"]["Overall"] == 61


def test_numbers_of_others_in_our_dataset_stay_and_gone_ones_of_ours_go(tmp_path: Path) -> None:
    file = tmp_path / "board.json"
    old = {"Overall (official)": 70.1, "Overall": 1.0, "Completeness": 2, "What": 3}
    file.write_text(json.dumps({"time": "1", "results": {"Model-X": {MINI: old}}}), encoding="utf-8")
    merge(file, [result(perception_score())])
    found = results_in(file)["Model-X"]
    assert list(found) == [MINI]
    assert list(found[MINI])[:3] == ["Overall (official)", "Overall", "What"]
    assert found[MINI]["Overall (official)"] == 70.1
    assert "Completeness" not in found[MINI]


def test_the_time_stays_unless_it_is_to_change(tmp_path: Path) -> None:
    file = tmp_path / "board.json"
    file.write_text('{"time": "20250917", "results": {}}', encoding="utf-8")
    merge(file, [result(perception_score())])
    assert json.loads(file.read_text(encoding="utf-8"))["time"] == "20250917"
    merge(file, [result(perception_score())], stamp=True)
    assert len(json.loads(file.read_text(encoding="utf-8"))["time"]) == 14


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON"),
        ('{"results": {', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "no object under 'results'"),
        ('{"time": "1"}', "no object under 'results'"),
        ('{"results": []}', "no object under 'results'"),
        ('{"format": "medqbench-leaderboard", "results": {}}', "is a local leaderboard"),
        ('{"results": {"Model-X": 1}}', "'Model-X' in .* is not an object"),
        ('{"results": {"Model-X": null}}', "'Model-X' in .* is not an object"),
        ('{"results": {"Model-X": {"MedQBench_Perception_mini": 60.0}}}', "mini' of 'Model-X' in .* is not an object"),
        ('{"results": {"Model-X": {}, "Model-X": {}}}', "'Model-X' twice"),
        ('{"results": {}, "results": {}}', "'results' twice"),
    ],
)
def test_a_file_of_another_kind_is_left_alone(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "board.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=words):
        merge(file, [result(perception_score())])
    assert file.read_text(encoding="utf-8") == text
    assert not (tmp_path / "board.json.bak").exists()


def test_a_file_that_is_not_text_or_read_only_or_locked(tmp_path: Path) -> None:
    file = tmp_path / "board.json"
    file.write_bytes(b"\xff\xfe{}")
    with pytest.raises(BadInput, match="not JSON in UTF-8"):
        merge(file, [result(perception_score())])
    with pytest.raises(BadInput, match="cannot be read"):
        merge(tmp_path, [result(perception_score())])
    file.write_text('{"time": "1", "results": {}}', encoding="utf-8")
    file.chmod(0o444)
    with pytest.raises(RunFailed, match="read-only"):
        merge(file, [result(perception_score())])
    file.chmod(0o640)
    with FileLock(tmp_path / ".board.json.lock"), pytest.raises(RunFailed, match=r"lock .* for 0\.05 s"):
        merge(file, [result(perception_score())], timeout=0.05)
    assert json.loads(file.read_text(encoding="utf-8"))["results"] == {}
    merge(file, [result(perception_score())])
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_link_stays_one(tmp_path: Path) -> None:
    target = tmp_path / "there" / "board.json"
    merge(target, [result(perception_score("A"))])
    (tmp_path / "link.json").symlink_to(target)
    merge(tmp_path / "link.json", [result(perception_score("B"))])
    assert (tmp_path / "link.json").is_symlink()
    assert set(results_in(target)) == {"A", "B"}


def test_runs_that_do_not_go_together(tmp_path: Path) -> None:
    file = tmp_path / "board.json"
    two = [result(perception_score("A")), result(perception_score("B"))]
    with pytest.raises(BadInput, match="--model names one model, and the runs are of 2: A, B"):
        merge(file, two, "A")
    other = perception_score("A", n=4)
    with pytest.raises(BadInput, match="both of A on this dataset"):
        merge(file, [two[0], result(other)])
    for wrong in (
        perception_score(Overall=140.0),
        perception_score(Overall=None),
        perception_score(What=-1.0),
        reasoning_score(Overall=6.0),
        reasoning_score(Completeness=2.5),
    ):
        with pytest.raises(BadInput, match="score that run again"):
            merge(file, [result(wrong)])
    assert not file.exists()
    assert len(merge(file, two).members) == 2


def test_the_newest_of_several_results_counts(tmp_path: Path) -> None:
    old, new = perception_score(), perception_score(Overall=61.0)
    new["settings"] = {**new["settings"], "created": "2026-11-23T10:00:00+00:00"}
    for number, order in enumerate(([old, new], [new, old])):
        merge(tmp_path / f"{number}.json", [result(score) for score in order])
        assert results_in(tmp_path / f"{number}.json")["Model-X"][MINI]["Overall"] == 61


def test_writers_in_turn_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "board.json"
    file.write_text(json.dumps(big_board(20)), encoding="utf-8")
    writers = [
        threading.Thread(target=merge, args=(file, [result(perception_score(f"New-{number}"))])) for number in range(8)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert set(results_in(file)) == {*big_board(20)["results"], *(f"New-{number}" for number in range(8))}


CONFIG = """
from functools import partial
first = {"Model-X": partial(vlm.X, model_path="old/one"), "Local": partial(vlm.X, model_path="/data/weights")}
second = {"Model-X": partial(X, model_path="Some-Org/Model.X-7B", size=7), "Api": partial(api.Y, model="org/y")}
third = {"Bare": partial(vlm.Z), "Odd": 3, **first}
"""


def test_meta_holds_what_the_kit_says_and_no_more(tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text(CONFIG, encoding="utf-8")
    meta = meta_of("Model-X", config)
    assert meta["Method"] == ["Model-X", "https://huggingface.co/Some-Org/Model.X-7B"]
    assert (meta["OpenSource"], meta["Verified"], meta["Parameters"]) == ("Yes", "No", "")
    for name in ("Local", "Api", "Bare"):
        found = zoo_model(name, config)
        assert found is not None
        assert found.hub_id is None
        assert meta_of(name, config)["OpenSource"] == ""
    for name in ("Odd", "absent"):
        assert zoo_model(name, config) is None
    for text in ("def", "\x00"):
        config.write_text(text, encoding="utf-8")
        assert zoo_model("Model-X", config) is None
    assert zoo_model("Model-X", tmp_path / "absent.py") is None


def test_every_problem_of_a_file_is_found(tmp_path: Path) -> None:
    file = tmp_path / "board.json"
    file.write_text(
        '{"results": {"A": {"META": {"Method": ["A", ""]}, "X": {"Overall": NaN}, "X": {"a": "b"}}, "B": 1, "C": {'
        '"MedQBench_Reasoning_NoReference": {"Overall": 9, "Completeness": 1, "Preciseness": 1, "Consistency": 1}}}}',
        encoding="utf-8",
    )
    assert check(file).problems == (
        "It holds NaN, which JSON does not have.",
        "'X' stands twice in one object.",
        "It has no text under 'time'.",
        "'X' of 'A' has no number.",
        "'B' is not an object.",
        "META of 'C' is not there.",
        "'MedQBench_Reasoning_NoReference' of 'C' has no 'Quality Accuracy'.",
        "'MedQBench_Reasoning_NoReference' of 'C' has 'Overall' 9, which is not within 0 and 8.",
    )
    for text, words in (("{", "is not JSON"), ("[]", "neither"), ('{"a": 1}', "neither")):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(BadInput, match=words):
            check(file)


def test_a_share_of_unscored_samples_is_no_contradiction(tmp_path: Path) -> None:
    # Overall is the sum of the four means, whatever samples each rests on; rounding may add up.
    score = reasoning_score(Overall=math.fsum([1.5, 1.0, 2.0, 1.0]) + 0.004)
    merge(tmp_path / "board.json", [result(score)])
    assert Task(score["task"]) is Task.NO_REFERENCE
