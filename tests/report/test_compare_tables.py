"""A comparison in the terminal and in the workbook: figures in their places, and nothing that runs or recolours."""

import pytest
from openpyxl import load_workbook

from medqbench_vlmeval.report.compare_tables import compare_tables, write_compare
from medqbench_vlmeval.workflows.compare import compare_runs
from tests.make import choice, judged, make_run
from tests.report.printed import printed

EVIL = '=HYPERLINK("http://x")[red]\x1b[2J\u202e'


def shown(comparison, width=None):
    return printed(compare_tables(comparison), width)


@pytest.fixture
def read_sheet(tmp_path):
    """Rows of one sheet of the workbook."""

    def read(comparison, sheet):
        write_compare(tmp_path / "compare.xlsx", comparison)
        return [list(row) for row in load_workbook(tmp_path / "compare.xlsx")[sheet].iter_rows(values_only=True)]

    return read


@pytest.fixture
def pair():
    """Twelve CT questions, 6 right by the one alone; 3 MRI ones, all alike."""
    runs = []
    for model, n_right in (("A", 8), (EVIL, 2)):
        questions = [choice(str(i), i < n_right) for i in range(12)]
        reply = "The answer is A." if model == "A" else "=1+1 \x1b[31mred"
        questions[2] = choice("2", model == "A", text=reply, question="+cmd|' /C calc'!A0")
        runs.append(make_run([*questions, *(choice(f"m{i}", True, modality="MRI") for i in range(3))], model=model))
    return compare_runs(runs)


def test_two_runs_in_a_pipe(pair):
    lines = shown(pair)
    assert lines[0] == 'Perception: a = A, b = =HYPERLINK("http://x")[red]\ufffd[2J\ufffd'
    assert lines[1].split("  ")[-2:] == ["Only a", "Only b"]
    overall = next(line for line in lines if "Overall" in line).split()
    # 11 and 5 of 15; 2/2^6.
    assert overall[1:5] == ["15", "73.33", "33.33", "+40.00"]
    assert overall[8:10] == ["0.0312", "-"]
    assert overall[-2:] == ["6", "0"]
    modalities = [line.split() for line in lines if line.startswith("modality")]
    assert [line[1:6] for line in modalities] == [
        ["CT", "12", "66.67", "16.67", "+50.00"],
        ["MRI", "3", "100.00", "100.00", "*0.00"],
    ]
    assert modalities[0][-4] == "0.0625"  # Holm over two modalities
    assert "! no interval, all differences are equal: MRI" in lines
    assert "! * fewer than 10 samples" in lines
    (sentence,) = [line for line in lines if line.startswith("73.33% against 33.33% on 15 samples")]
    assert "difference +40.00 points (95% " in sentence
    assert "McNemar p = 0.0312. Minimum detectable effect (80% power): " in sentence


def test_a_narrow_terminal_goes_without_some_columns_and_says_so():
    runs = [
        make_run([choice(str(i), i % n > 0, image_refs=(f"{i // 2}.png",)) for i in range(40)], model=f"M{n}")
        for n in (3, 2)
    ]
    lines = shown(compare_runs(runs), 80)
    said = " ".join(" ".join(lines).split())
    assert "! no room for: a, b, MDE (80% power), Only a, Only b (in a wider terminal, or a pipe)" in said
    for width in (200, None):
        text = "\n".join(shown(compare_runs(runs), width))
        assert "p (clustered by image)" in text
        assert "no room" not in text


def test_the_workbook_of_two_runs(pair, read_sheet, tmp_path):
    heads, *rows = read_sheet(pair, "By group")
    book = load_workbook(tmp_path / "compare.xlsx")
    assert book.sheetnames == ["Summary", "By group", "Disagreements", "Settings"]
    for sheet in book:
        assert not [cell for row in sheet.iter_rows() for cell in row if cell.data_type not in ("s", "n", "b")]
    groups = {row[heads.index("Group")]: dict(zip(heads, row, strict=True)) for row in rows}
    assert groups["Overall"]["a - b"] == 40.0
    assert (groups["CT"]["Only a"], groups["CT"]["p Holm"], groups["CT"]["Few"]) == (6, 0.0625, None)
    assert groups["MRI"]["Few"] == "n < 10"
    p = book["By group"].cell(2, heads.index("p") + 1)
    assert p.number_format == '[<0.0001]"<0.0001";0.0000'
    heads, *rows = read_sheet(pair, "Disagreements")
    assert [row[0] for row in rows] == ["2", "3", "4", "5", "6", "7"]
    first = dict(zip(heads, rows[0], strict=True))
    name = EVIL.replace("\x1b", "\ufffd").replace("\u202e", "\ufffd")
    assert (first["A: right"], first[f"{name}: right"], first[f"{name}: read as"]) == ("yes", "no", "B")
    assert first[f"{name}: reply"] == "=1+1 \ufffd[31mred"
    assert first["question"] == "+cmd|' /C calc'!A0"
    dataset = "MedQBench_Perception_mini"
    assert ["dataset", dataset, dataset] in read_sheet(pair, "Settings")
    sentences = [row[0] for row in read_sheet(pair, "Summary") if row[0]]
    assert any("not comparable" in sentence for sentence in sentences)
    assert not [sentence for sentence in sentences if "\u202e" in sentence]


def test_warnings_stand_above_the_table(read_sheet):
    runs = [make_run([judged(judge=name)], model=model, judge=name) for model, name in (("A", "x"), ("B", "y"))]
    comparison = compare_runs(runs)
    lines = shown(comparison)
    warning = "judged differently: the difference mixes models and judges (A: x / official / 1; B: y / official / 1)"
    assert lines[0] == f"!! {warning}"
    assert any(
        "difference 0.000 points (no interval: a single sample or image), Wilcoxon p = 1.0000" in line for line in lines
    )
    assert warning in [row[0] for row in read_sheet(comparison, "Summary")]


def test_reasoning_and_several_runs(read_sheet):
    runs = [
        make_run([judged(str(i), (score,) * 4) for i, score in enumerate(scores)], model=model)
        for model, scores in (("A", (2, 2, 2)), ("B", (1, 1, 2)), ("C", (0, 1, 2)))
    ]
    comparison = compare_runs(runs)
    lines = shown(comparison)
    assert lines[0] == "Reasoning, no-reference: 3 runs on the 3 samples that all of them have"
    assert lines[1].endswith("Not significantly different from #")
    ranked = [line.split() for line in lines[2:5]]
    assert [row[:3] for row in ranked] == [["1", "A", "*8.000"], ["2", "B", "*5.333"], ["3", "C", "*4.000"]]
    assert ranked[1][-2:] == ["1,", "3"]
    assert "All pairs (Holm over 3)" in lines
    heads, *rows = read_sheet(comparison, "Disagreements")
    assert heads == ["index", "task", "modality", "A: sum", "B: sum", "C: sum"]
    assert rows == [["0", "no-reference", "CT", 8, 4, 0], ["1", "no-reference", "CT", 8, 4, 4]]
    assert len(read_sheet(comparison, "By group")) == 1 + 3 * (1 + 4 + 1)
    two = compare_runs(runs[:2])
    heads, *rows = read_sheet(two, "Disagreements")
    assert rows[0][heads.index("B: Preciseness")] == 1
    assert rows[0][heads.index("B: reply")].startswith("Answer 0:")
