"""A comparison in the terminal and in the workbook: figures in their places, and nothing that runs or recolours."""

import io

import pytest
from openpyxl import load_workbook
from rich.console import Console

from medqbench_vlmeval.report.compare_tables import compare_tables
from medqbench_vlmeval.workflows.compare import compare_runs, write_comparison
from tests.evaluation.scored import choice_row, judged_row, write_scored

EVIL = '=HYPERLINK("http://x")[red]\x1b[2J\u202e'


def shown(result, width=None):
    console = Console(file=io.StringIO(), force_terminal=width is not None, width=width or 80, color_system=None)
    compare_tables(result, console)
    return console.file.getvalue()


def cells(book, sheet):
    return [list(row) for row in book[sheet].iter_rows(values_only=True)]


@pytest.fixture
def pair(tmp_path):
    """Twelve CT questions, 6 right by the one alone; 3 MRI ones, all alike."""
    rights = {"A": [True] * 8 + [False] * 4, EVIL: [True] * 2 + [False] * 10}
    rows = {
        model: [choice_row(str(i), right) for i, right in enumerate(of_model)]
        + [choice_row(f"m{i}", True, modality="MRI") for i in range(3)]
        for model, of_model in rights.items()
    }
    rows[EVIL][2] |= {"prediction": "=1+1 \x1b[31mred", "question": "+cmd|' /C calc'!A0"}
    rows["A"][2]["question"] = rows[EVIL][2]["question"]
    return [write_scored(tmp_path, of_model, model) for model, of_model in rows.items()]


def test_two_runs_in_a_pipe(pair):
    lines = shown(compare_runs(pair).result).splitlines()
    assert lines[0] == 'Perception: a = A, b = =HYPERLINK("http://x")[red]\ufffd[2J\ufffd'
    assert lines[1].split("  ")[-1] == "Only b"
    overall = next(line for line in lines if "Overall" in line).split()
    # 11 and 5 of 15; 2/2^6.
    assert overall[1:5] == ["15", "73.33", "33.33", "+40.00"]
    assert overall[8:10] == ["0.0312", "-"]
    assert overall[-2:] == ["6", "0"]
    modalities = [line.split() for line in lines if line.startswith("modality")]
    assert [line[1:6] for line in modalities] == [
        ["CT", "12", "66.67", "16.67", "+50.00"],
        ["MRI", "3*", "100.00", "100.00", "0.00"],
    ]
    assert modalities[0][-4] == "0.0625"  # Holm over two modalities
    assert any(line.startswith("73.33% against 33.33% on 15 samples: difference +40.00 points (95% ") for line in lines)
    assert any(
        "McNemar p = 0.0312. The smallest difference that so many samples show (80% power): " in x for x in lines
    )
    assert "! no interval, all differences are equal: MRI" in lines
    assert "! * fewer than 10 samples" in lines


@pytest.mark.parametrize("width", [60, 100, 200])
def test_two_runs_in_a_terminal(pair, width):
    text = shown(compare_runs(pair).result, width)
    assert "+40.00" in text
    assert "\x1b[2J" not in text
    assert "\u202e" not in text


def test_a_narrow_terminal_goes_without_some_columns_and_says_so(tmp_path):
    paths = [
        write_scored(tmp_path, [choice_row(str(i), i % n > 0, images=[f"{i // 2}.png"]) for i in range(40)], f"M{n}")
        for n in (3, 2)
    ]
    result = compare_runs(paths).result
    lines = shown(result, 80).splitlines()
    heads = next(line for line in lines if "a - b" in line)
    assert heads.split() == "Group n a - b 95% interval p p images p Holm".split()  # noqa: SIM905
    said = "! no room for: Only a, Only b, Can show, a, b (in a wider terminal, a pipe, or with --out)"
    assert max(len(line) for line in lines[: lines.index(said)]) <= 80
    assert "no room" not in shown(result, 140)
    assert "no room" not in shown(result)


def test_a_name_cannot_reorder_a_sentence_of_the_workbook(pair, tmp_path):
    book = load_workbook(write_comparison(compare_runs(pair), tmp_path / "out")[1])
    said = [row[0] for row in cells(book, "Summary") if row[0]]
    assert any("not comparable" in words for words in said)
    assert not [words for words in said if "\u202e" in words]
    small = book["By group"].cell(2, 14)
    assert small.number_format == '[<0.0001]"<0.0001";0.0000'


def test_the_workbook_of_two_runs(pair, tmp_path):
    _, path = write_comparison(compare_runs(pair), tmp_path / "out")
    book = load_workbook(path)
    assert book.sheetnames == ["Summary", "By group", "Disagreements", "Settings"]
    for sheet in book:
        assert not [cell for row in sheet.iter_rows() for cell in row if cell.data_type not in ("s", "n", "b")]
    heads, *rows = cells(book, "By group")
    groups = {row[heads.index("Group")]: dict(zip(heads, row, strict=True)) for row in rows}
    assert groups["Overall"]["a - b"] == 40.0
    assert (groups["CT"]["Only a right"], groups["CT"]["p Holm"], groups["CT"]["Few"]) == (6, 0.0625, None)
    assert groups["MRI"]["Few"] == "few"
    heads, *rows = cells(book, "Disagreements")
    assert [row[0] for row in rows] == ["2", "3", "4", "5", "6", "7"]
    first = dict(zip(heads, rows[0], strict=True))
    name = EVIL.replace("\x1b", "\ufffd").replace("\u202e", "\ufffd")
    assert (first["A: right"], first[f"{name}: right"], first[f"{name}: read as"]) == ("yes", "no", "B")
    assert first[f"{name}: reply"] == "=1+1 \ufffd[31mred"
    assert first["question"] == "+cmd|' /C calc'!A0"
    assert ["dataset", "MedQBench_Perception", "MedQBench_Perception"] in cells(book, "Settings")


def test_warnings_stand_above_the_table(tmp_path):
    paths = [
        write_scored(tmp_path, [judged_row("1")], model, "MedQBench_Reasoning", judge={"name": judge})
        for model, judge in (("A", "x"), ("B", "y"))
    ]
    found = compare_runs(paths)
    lines = shown(found.result).splitlines()
    assert (
        lines[0]
        == "!! judged differently: the difference mixes models and judges (A: x / official / 1; B: y / official / 1)"
    )
    assert any(
        "difference 0.000 points (no interval: a single sample or image), Wilcoxon p = 1.0000" in line for line in lines
    )
    book = load_workbook(write_comparison(found, tmp_path / "out")[1])
    assert [lines[0][3:]] in [[row[0]] for row in cells(book, "Summary")]


def test_reasoning_and_several_runs(tmp_path):
    paths = []
    for model, sums in (("A", (2, 2, 2)), ("B", (1, 1, 2)), ("C", (0, 1, 2))):
        rows = [judged_row(str(i), (score,) * 4) for i, score in enumerate(sums)]
        paths.append(write_scored(tmp_path, rows, model, "MedQBench_Reasoning"))
    found = compare_runs(paths)
    lines = shown(found.result).splitlines()
    assert lines[0] == "Reasoning, no-reference: 3 runs on the 3 samples that all of them have"
    assert [line.split()[:3] for line in lines[2:5]] == [["1", "A", "8.000"], ["2", "B", "5.333"], ["3", "C", "4.000"]]
    assert lines[3].split()[-2:] == ["1,", "3"]
    assert "All pairs (Holm over 3)" in lines
    _, path = write_comparison(found, tmp_path / "out")
    book = load_workbook(path)
    heads, *rows = cells(book, "Disagreements")
    assert heads == ["index", "task", "modality", "A: sum", "B: sum", "C: sum"]
    assert rows == [["0", "no-reference", "CT", 8, 4, 0], ["1", "no-reference", "CT", 8, 4, 4]]
    assert len(cells(book, "By group")) == 1 + 3 * (1 + 4 + 1)
    two = compare_runs(paths[:2])
    assert "4.000 points" not in shown(two.result)
    heads, *rows = cells(load_workbook(write_comparison(two, tmp_path / "two")[1]), "Disagreements")
    assert rows[0][heads.index("B: Preciseness")] == 1
    assert rows[0][heads.index("B: reply")] == "Answer to 0."
