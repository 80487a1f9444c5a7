"""``data check``: everything that is wrong with a data file, by row, and what is only noted."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.data import check as checking
from medqbench_vlmeval.data.check import check
from medqbench_vlmeval.data.sources import load_file
from medqbench_vlmeval.errors import BadInput
from tests.cli.test_commands import run
from tests.data.rows import GREEN, RED, Write, description, encoded, question, text_of

SLOW = ("Perception", "Reasoning")


def images(n: int) -> list[str]:
    """Different images in base64."""
    return [text_of(encoded((10 * at, 0, 0))) for at in range(n)]


def test_every_problem_is_told_by_its_row_and_what_is_good_is_counted(write_tsv: Write) -> None:
    pictures = images(12)
    rows = [
        question("1", image=pictures[1]),
        question("2", image=pictures[2], question=" ", answer="F"),
        question("3", image=pictures[3], B="", C="", answer="A"),
        question("", image=pictures[4]),
        question("1", image=pictures[5]),
        question("6", image=text_of(RED)[:40]),
        question("7", image="99"),
        question("8", image=pictures[8], B="BLUR", answer="A"),
        question("9", image=pictures[9]),
        question("10", image="9", answer="A"),
        question("11", image=""),
        # The image of a row that is wrong is there all the same.
        question("12", image="2", answer="C", question="Else?"),
    ]
    path = write_tsv(rows)
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines[:2], lines[2] + "\tmore", *lines[2:], "13"]) + "\n", encoding="utf-8")
    checked = check(str(path))
    starts = [
        "rows 1 and 6 have the same index '1'; every row needs one of its own.",
        "row 2: 10 cells, but the header names 9 columns; a cell with a tab or a line break in it must stand in double",
        "row 3 (index '2'): the question is empty; the answer 'F' is not one of the options A, B, C, by letter,",
        "row 4 (index '3'): 1 of the options A-E has a text, and a question needs at least two.",
        "row 5: the index is empty; every row needs one of its own.",
        "row 7 (index '6'): ",
        "row 8 (index '7'): ",
        "row 12 (index '11'): no image; the row has neither base64 nor an image path.",
        "row 14: 1 cells, but the header names 9 columns; get the file again.",
        "index '8': two options have the same text.",
        "9 / 10: same question, images and options, other answers",
    ]
    assert [error[: len(start)] for error, start in zip(checked.errors, starts, strict=True)] == starts
    assert "not another row's index either" in checked.errors[6]
    # Rows 1, 8, 9, 10 and 12 of the writer's.
    assert (checked.name, checked.n, checked.images, checked.notes) == (str(path), 5, 4, checked.notes)
    with pytest.raises(BadInput, match="row 2: 10 cells"):
        load_file(path)


def test_what_may_be_meant_is_noted(write_tsv: Write) -> None:
    red, green = text_of(RED), text_of(GREEN)
    write_tsv([question("1", image=green)], "x_dev.tsv")
    twice = [question("1", image=red, severity="3"), question("2", image=red, severity="3")]
    path = write_tsv([*twice, question("3", image=green, severity="mild", question="Else?")], "x_test.tsv")
    checked = check(str(path))
    assert (checked.errors, checked.n, checked.images) == ((), 3, 2)
    assert sorted(line.split(": ", 1)[0] for line in checked.notes) == [
        "compared with x_dev", "question_type", "severity", "x_test", "x_test",
    ]  # fmt: skip
    assert "x_test: 1 / x_test: 2: same question, images and options" in checked.notes
    assert "x_test: 3 / x_dev: 1: same image in several files" in checked.notes
    (path.with_name("x_dev.tsv")).write_text("index\tquestion\n1\tx\n", encoding="utf-8")
    assert "compared with x_dev" in checked.notes
    assert "compared with x_dev" not in check(str(path)).notes


def test_a_file_that_cannot_be_read_and_one_with_too_many_problems(
    write_tsv: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match="the columns fit no task"):
        check(str(write_tsv([{"index": "1", "question": "x"}])))
    path = write_tsv([question(str(at), answer="F") for at in range(30)])
    last = f"{path} has a header but no rows that can be used."
    assert len(check(str(path)).errors) == 31
    assert check(str(path)).errors[-1] == last
    monkeypatch.setattr(checking, "MOST", 4)
    assert [line.split(" (")[0] for line in check(str(path)).errors[:4]] == ["row 1", "row 2", "row 3", "row 4"]
    assert check(str(path)).errors[4].endswith("has 4 problems or more; what follows was not read.")
    # What comes before an unclosed quote is told with it.
    text = path.read_text(encoding="utf-8").replace("\n25\t", '\n"25\t')
    path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(checking, "MOST", 400)
    assert [line.split(" (")[0] for line in check(str(path)).errors[:25]] == [f"row {at}" for at in range(1, 26)]
    assert (
        check(str(path)).errors[25].endswith("a double quote opens a cell and is never closed; the file was cut short.")
    )


def test_the_command_exits_with_two_where_something_is_wrong(
    write_tsv: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    named = ("--columns", "description=Befund")
    row = description()
    row["Befund"] = row.pop("description")
    good = write_tsv([row], "good.tsv")
    assert run(capsys, "data", "check", good, *named) == (
        0, f"{good}: nothing is wrong; samples that can be used: 1, images: 1.\n", ""
    )  # fmt: skip
    bad = write_tsv([{**row, "index": str(at), "Befund": ""} for at in range(60)], "bad.tsv")
    code, out, err = run(capsys, "data", "check", bad, *named)
    assert (code, err) == (2, "")
    assert out.splitlines()[0] == f"{bad}: problems: 61; samples that can be used: 0, images: 0."
    assert out.splitlines()[1] == "!! row 1 (index '0'): the reference description is empty."
    assert out.splitlines()[-1] == "!! and 21 more (--json has all)"
    assert len(out.splitlines()) == 42
    code, out, _ = run(capsys, "data", "check", bad, *named, "--json")
    assert (code, out.count("the reference description is empty")) == (2, 60)


@pytest.mark.parametrize(
    "name", ["MedQDeg_mini", *(pytest.param(f"MedQBench_{of}_mini", marks=pytest.mark.slow) for of in SLOW)]
)
def test_nothing_is_wrong_with_the_embedded_sets(name: str) -> None:
    assert check(name).errors == ()


def test_the_folder_of_both_reasoning_files(tmp_path: Path, write_tsv: Write) -> None:
    (tmp_path / "both").mkdir()
    for name, row in (("description", description()), ("paired_description", description(image=""))):
        write_tsv([row], f"medqbench_{name}_dev.tsv").rename(tmp_path / "both" / f"medqbench_{name}_dev.tsv")
    (problem,) = check(str(tmp_path / "both")).errors[:1]
    assert problem.startswith("/medqbench_paired_description_dev.tsv, row 1 (index '1'): no image")


CELLS = st.fixed_dictionaries(
    {
        "index": st.sampled_from(["1", "2", "3", "4", ""]),
        "question": st.sampled_from(["Is it?", "Else?", " "]),
        "A": st.sampled_from(["Yes", ""]),
        "B": st.sampled_from(["No", "yes", "none"]),
        "answer": st.sampled_from(["A", "B", "1", "No", "E", ""]),
        "image": st.sampled_from([text_of(RED), text_of(GREEN), text_of(RED)[:50], "1", "3", "", "[", "x.png"]),
    }
)


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(CELLS, min_size=1, max_size=5), st.sampled_from(["", "\tmore", "\n7"]))
def test_what_a_load_refuses_is_among_the_problems(write_tsv: Write, rows: list[dict[str, str]], more: str) -> None:
    path = write_tsv(rows)
    path.write_text(path.read_text(encoding="utf-8").rstrip("\n") + more + "\n", encoding="utf-8")
    try:
        load_file(path, images=True)
    except BadInput as refusal:
        first = str(refusal)
    else:
        first = None
    try:
        errors = check(str(path)).errors
    except BadInput as refusal:
        assert str(refusal) == first
    else:
        own = [error for error in errors if not error.endswith(("have the same text.", "other answers"))]
        assert (first is None) == (own == [])
        assert first is None or first.removeprefix(str(path)).lstrip(" ,:") in own or first in own
