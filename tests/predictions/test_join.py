"""Predictions beside their samples, and samples from a prediction file alone."""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from operator import attrgetter
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import Task, parse_dataset_name
from medqbench_vlmeval.data import load_dataset, samples_sha256
from medqbench_vlmeval.data.image_cells import image_keys, image_names
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.predictions import PredictionTable, join, read_predictions, samples_from_table
from medqbench_vlmeval.predictions.join import check_content
from medqbench_vlmeval.types import Prediction, Sample
from tests.make import DATASETS
from tests.predictions.test_files import dump

PERCEPTION = {"question": "What is it?", "A": "Blur", "B": "None", "C": "", "answer": "B", "modality": "ct"}


def table(*replies: tuple[str, str]) -> PredictionTable:
    rows = tuple({"index": index, "prediction": text} for index, text in replies)
    predictions = tuple(Prediction(index, text) for index, text in replies)
    return PredictionTable(Path("m.tsv"), "0" * 64, ("index", "prediction"), rows, predictions)


def samples(*indexes: str) -> list[Sample]:
    return [Sample(index, Task.PERCEPTION, "?") for index in indexes]


@given(st.permutations(["1", "2", "x", "NoReference:3"]))
def test_join_keeps_the_samples_order(order: list[str]) -> None:
    joined = join(samples("1", "2", "x", "NoReference:3"), table(*((index, f"to {index}") for index in order)))
    assert [p.text for p in joined] == ["to 1", "to 2", "to x", "to NoReference:3"]


def test_join_by_number_where_it_is_one_samples_only() -> None:
    joined = join(samples("7", "08", "9.0"), table(("7.0", "a"), ("8", "b"), ("9", "c")))
    assert [(p.index, p.text) for p in joined] == [("7", "a"), ("08", "b"), ("9.0", "c")]
    exact = join(samples("7", "007"), table(("007", "a"), ("7", "b")))
    assert [p.text for p in exact] == ["b", "a"]
    with pytest.raises(BadInput, match=r"'7\.0' is not in the data"):
        join(samples("7", "007"), table(("7.0", "a")))
    with pytest.raises(BadInput, match="both mean sample '7'"):
        join(samples("7", "8"), table(("7", "a"), ("7.0", "b")))


def test_join_marks_what_is_missing_and_names_strangers() -> None:
    joined = join(samples("1", "2"), table(("2", "b")))
    assert [(p.index, p.status.name) for p in joined] == [("1", "MISSING"), ("2", "OK")]
    with pytest.raises(BadInput) as error:
        join(samples("1"), table(*((f"q{at}", "x") for at in range(7))))
    assert "'q0', 'q1', 'q2', 'q3', 'q4' and 2 more" in str(error.value)
    assert "predictions of another dataset?" in str(error.value)


@cache
def samples_of(name: str) -> tuple[Sample, ...]:
    return load_dataset(parse_dataset_name(name)).samples


@pytest.mark.parametrize("suffix", ["xlsx", "csv", "tsv", "json", "jsonl"])
@pytest.mark.parametrize(("task", "name"), DATASETS.items())
@pytest.mark.parametrize("with_task", [True, False])
def test_samples_come_back_from_a_prediction_file(
    tmp_path, suffix: str, name: str, task: Task, with_task: bool
) -> None:
    known = samples_of(name)
    rows = []
    for sample in known:
        paths = [str(path) for path in sample.images]
        row = {"index": sample.index, "task": sample.task.value, "question": sample.question}
        row |= {letter: sample.options.get(letter) for letter in "ABCDE"} if sample.options else {}
        row |= {"answer": sample.answer} if sample.answer else {"description": sample.description}
        row |= {"modality": sample.modality, "question_type": sample.question_type, "severity": sample.severity}
        row |= {"image_path": paths[0] if len(paths) == 1 else paths, "prediction": "Noise"}
        rows.append(row)
    random.Random(3).shuffle(rows)
    frame = pd.DataFrame(rows, dtype=object)
    path = dump(frame if with_task else frame.drop(columns="task"), tmp_path / f"m.{suffix}")
    read_task, rebuilt_samples, _ = samples_from_table(read_predictions(path))
    assert read_task is task
    assert samples_sha256(rebuilt_samples) == samples_sha256(known)
    by_index = {sample.index: sample for sample in rebuilt_samples}
    same = attrgetter("task", "options", "answer", "modality", "question_type", "severity", "description")
    for sample in known:
        again = by_index[sample.index]
        assert same(again) == same(sample)
        assert (again.images, image_names(again)) == ((), image_names(sample))
        assert image_keys(again) == image_keys(sample)


def rebuilt(tmp_path: Path, *rows: dict[str, str]) -> tuple[Task, list[Sample]]:
    path = tmp_path / "m.json"
    path.write_text(json.dumps([{"prediction": "A", **row} for row in rows]), encoding="utf-8")
    return samples_from_table(read_predictions(path))[:2]


def test_the_task_is_told_from_the_columns(tmp_path: Path) -> None:
    assert rebuilt(tmp_path, {"index": "1", **PERCEPTION})[0] is Task.PERCEPTION
    text = {"description": "Good."}
    assert rebuilt(tmp_path, {"index": "1", **text, "image_path": "a.png"})[0] is Task.NO_REFERENCE
    assert rebuilt(tmp_path, {"index": "1", **text, "image_path": "['a.png', 'b.png']"})[0] is Task.COMPARATIVE
    assert rebuilt(tmp_path, {"index": "1", **text, "image_a": "", "image_b": ""})[0] is Task.COMPARATIVE
    assert rebuilt(tmp_path, {"index": "1", **text, "task": "no-reference"})[0] is Task.NO_REFERENCE
    task, both = rebuilt(tmp_path, {"index": "NoReference:1", **text}, {"index": "Comparative:1", **text})
    assert task is Task.REASONING
    assert [sample.task for sample in both] == [Task.NO_REFERENCE, Task.COMPARATIVE]
    # A combined run that was cut short (--limit) is still a combined run.
    assert rebuilt(tmp_path, {"index": "NoReference:1", **text})[0] is Task.REASONING


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"index": "1"}], "--data"),
        ([{"index": "1", "description": "There is noise."}], "name the data file with --data"),
        ([{"index": "1", "description": "Good.", "task": "perception"}], "Or name the data file with --data"),
        ([{"index": "1", **PERCEPTION, "answer": "E"}], "the answer 'E' is not one of the options"),
        ([{"index": index, "description": "x"} for index in ("NoReference:1", "2")], "some indexes carry a part's"),
        ([{"index": task, "task": task, **PERCEPTION} for task in ("perception", "comparative")], "mixes"),
    ],
)
def test_what_cannot_be_rebuilt_is_said(tmp_path: Path, rows: list[dict[str, str]], words: str) -> None:
    with pytest.raises(BadInput) as error:
        rebuilt(tmp_path, *rows)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("references", "task"),
    [
        (["Noisy. Overall, the quality of this image is reject.", "Sharp. Quality: good."], Task.NO_REFERENCE),
        (["Image A is sharper than image B.", "Overall, the first image is of higher quality."], Task.COMPARATIVE),
        (["Of the two images the quality of the second image is good."], Task.COMPARATIVE),
        (["The left image is blurred; the quality is usable.", "The right one is better."], Task.COMPARATIVE),
    ],
)
def test_references_tell_the_task_where_images_were_dropped(tmp_path: Path, references: list[str], task: Task) -> None:
    rows = [{"index": str(at), "description": text} for at, text in enumerate(references)]
    assert rebuilt(tmp_path, *rows)[0] is task


def test_pythons_words_for_no_reply_are_one_where_an_option_says_so() -> None:
    first, second = samples("1", "2")
    asked = [replace(first, options={"A": "Blur", "B": "none"}), replace(second, options={"A": "Blur", "B": "Noise"})]
    joined = join(asked, table(("1", "None"), ("2", "None")))
    assert [(reply.status.name, reply.failure) for reply in joined] == [
        ("OK", None),
        ("INFERENCE_FAILED", "no text (None)"),
    ]


QUESTION, OPTIONS = "Which artefact does the “left” image show?", {"A": "Motion blur", "B": "None", "C": "3"}
ASKED = Sample("7", Task.PERCEPTION, QUESTION, options=OPTIONS, answer="A", images=(Path("/x") / f"{'a' * 64}.png",))
TOLD = {"index": "7", "prediction": "A", "task": "perception", "question": QUESTION, **OPTIONS, "D": ""}


def repeating(tmp_path: Path, sample: Sample = ASKED, /, **cells: str) -> None:
    """Check a file whose one row repeats a sample with these cells changed."""
    path = tmp_path / "m.json"
    path.write_text(json.dumps([{**TOLD, **cells}]), encoding="utf-8")
    check_content([sample], read_predictions(path))


@pytest.mark.parametrize(
    "cells",
    [
        {},
        {"question": '  which ARTEFACT does the "left" image show ?_x000D_\n'},
        {"question": f"{QUESTION}\nA. Motion blur\nB. None\nAnswer with the letter."},
        {"A": "Motion blur.", "B": "", "C": "3.0", "D": "nan"},
        {"B": "nan"},
        {"image_path": "/elsewhere/" + "a" * 64 + ".png"},
        {"image_path": "scan_7.png", "task": "vqa", "prompt": "Look at it."},
    ],
)
def test_small_differences_are_no_contradiction(tmp_path: Path, cells: dict[str, str]) -> None:
    repeating(tmp_path, **cells)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"question": "Is the image sharp?"}, "'Is the image sharp?' and the data's is 'Which artefact does"),
        ({"A": "Noise"}, "its A is 'Noise' and the data's is 'Motion blur'"),
        ({"B": "Both"}, "its B is 'Both' and the data's is 'None'"),
        ({"C": "3.5"}, "its C is '3.5' and the data's is '3'"),
        ({"D": "Severe"}, "its D is 'Severe' and the data's is ''"),
        ({"task": "comparative"}, "its task is 'comparative' and the data's is 'perception'"),
        ({"image_path": "b" * 64 + ".png"}, "its image_path is another image"),
    ],
)
def test_a_row_that_contradicts_the_data_is_refused(tmp_path: Path, cells: dict[str, str], words: str) -> None:
    with pytest.raises(BadInput) as error:
        repeating(tmp_path, **cells)
    assert "m.json, row 1 (index '7')" in str(error.value)
    assert words in str(error.value)
    assert "made on other data" in str(error.value)


def test_the_first_row_that_differs_is_named_and_order_is_none(tmp_path: Path) -> None:
    known = [Sample(str(at), Task.NO_REFERENCE, "?", description=f"{'It is good. ' * 20}No {at}.") for at in range(5)]
    rows = [{"index": s.index, "description": s.description, "prediction": "x"} for s in known]
    path = tmp_path / "m.json"
    path.write_text(json.dumps(rows[::-1]), encoding="utf-8")
    check_content(known, read_predictions(path))
    rows[3]["description"], rows[4]["description"] = rows[4]["description"], rows[3]["description"]
    path.write_text(json.dumps(rows), encoding="utf-8")
    with pytest.raises(BadInput, match=r"row 4 \(index '3'\): its description is '\.\.\..*No 4\.' and .*No 3\.'"):
        check_content(known, read_predictions(path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    text=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=60),
    change=st.sampled_from(
        [str.upper, str.lower, lambda t: f" {t}\t", lambda t: t.replace(" ", "  "), lambda t: f"{t}_x000D_",
         lambda t: unicodedata.normalize("NFD", t), lambda t: unicodedata.normalize("NFKC", t), lambda t: "nan"]
    ),
)  # fmt: skip
def test_what_tables_do_to_any_text_never_refuses(tmp_path: Path, text: str, change: Callable[[str], str]) -> None:
    sample = replace(ASKED, question=text, options={"A": text, "B": "x"})
    repeating(tmp_path, sample, question=change(text), A=change(text), B="x", C="", D="")
