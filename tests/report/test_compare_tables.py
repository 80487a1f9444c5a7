"""A comparison in the terminal and in the workbook: figures in their places, and nothing that runs or recolours."""

import pytest
from openpyxl import load_workbook

from medqbench_vlmeval.report.compare_tables import compare_markdown, compare_tables, write_compare
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
    assert "! no room for: p, MDE (80% power), Only a, Only b (in a wider terminal, or a pipe)" in said
    for width in (200, None):
        text = "\n".join(shown(compare_runs(runs), width))
        assert "p (clustered by image)" in text
        assert "no room" not in text


def test_the_workbook_of_two_runs(pair, read_sheet, tmp_path):
    heads, *rows = read_sheet(pair, "By group")
    book = load_workbook(tmp_path / "compare.xlsx")
    assert book.sheetnames == ["Summary", "By group", "Samples, perception", "Settings"]
    for sheet in book:
        assert not [cell for row in sheet.iter_rows() for cell in row if cell.data_type not in ("s", "n", "b")]
    groups = {row[heads.index("Group")]: dict(zip(heads, row, strict=True)) for row in rows}
    assert groups["Overall"]["a - b"] == 40.0
    assert (groups["CT"]["Only a"], groups["CT"]["p Holm"], groups["CT"]["Few"]) == (6, 0.0625, None)
    assert groups["MRI"]["Few"] == "n < 10"
    p = book["By group"].cell(2, heads.index("p") + 1)
    assert p.number_format == '[<0.0001]"<0.0001";0.0000'
    heads, *rows = read_sheet(pair, "Samples, perception")
    shown = [dict(zip(heads, row, strict=True)) for row in rows]
    assert [row["index"] for row in shown if row["differ"]] == ["2", "3", "4", "5", "6", "7"]
    name = EVIL.replace("\x1b", "\ufffd").replace("\u202e", "\ufffd")
    assert (shown[2]["A"], shown[2][name], shown[2]["only right"]) == ("A ✓", "B ✗", "A")
    assert (shown[2][f"{name}: reply"], shown[8][f"{name}: reply"]) == ("=1+1 \ufffd[31mred", None)
    assert shown[2]["question"] == "+cmd|' /C calc'!A0"
    dataset = "MedQBench_Perception_mini"
    assert any(row[0] == "dataset" and row[2:4] == [dataset] * 2 for row in read_sheet(pair, "Settings"))
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
    ranked = [line.split()[:4] for line in lines[2:5]]
    assert ranked == [["1", "A", "1-3", "*8.000"], ["2", "B", "1-3", "*5.333"], ["3", "C", "1-3", "*4.000"]]
    assert "Reasoning, no-reference: all pairs (Holm over 3)" in lines
    heads, *rows = read_sheet(comparison, "Samples, no-reference")
    assert heads == ["index", "modality", "question", "reference", "differ", "A", "B", "C"]
    assert [row[4:] for row in rows] == [["yes", 8, 8 / 2, 0], ["yes", 8, 4, 4], [None, 8, 8, 8]]
    assert len(read_sheet(comparison, "By group")) == 1 + 3 * (1 + 4 + 1)
    heads, *rows = read_sheet(compare_runs(runs[:2]), "Samples, no-reference")
    assert rows[0][heads.index("B: reply")].startswith("Answer 0:")


def test_matrices_and_samples_of_several_runs(read_sheet, tmp_path):
    """A has 16 right, B the first 8 of them, C those and one more that A has not."""
    right = {"A": range(16), "B": range(8), "C": [*range(8), 17]}
    runs = [make_run([choice(str(i), i in of_run) for i in range(20)], model=model) for model, of_run in right.items()]
    comparison = compare_runs(runs)
    rows = read_sheet(comparison, "Models x models")
    assert rows[3][0] == "Perception: 3 runs on the 20 samples that all of them have"
    # 2/2^8 of A and B times 3; 20/2^9 of A and C, with 8 and 1 alone, times 2 is more than 0.05.
    assert [row[:4] + row[6:7] for row in rows[5:8]] == [
        [1, "A", "1-2", 80, 20], [2, "C", "1-3", 45, 20], [3, "B", "2-3", 40, 20]
    ]  # fmt: skip
    starts = [place for place, row in enumerate(rows) if row[0] and str(row[0]).startswith("Perception: ")][1:]
    difference, same, kappa = (rows[start + 2 : start + 5] for start in starts)
    # 16, 9 and 8 of 20; the same letter on 11 (8 and 3 of 4 that none has), 12 and 19 of 20.
    assert [row[2:5] for row in difference] == [[None, 35, 40], [-35, None, 5], [-40, -5, None]]
    assert [row[2:5] for row in same] == [[None, 55, 60], [55, None, 95], [60, 95, None]]
    # Right half by chance: .8 * .4 + .2 * .6 is 0.44 of A and B, so (0.6 - 0.44) / 0.56.
    assert kappa[0][4] == pytest.approx(0.16 / 0.56)
    sheet = load_workbook(tmp_path / "compare.xlsx")["Models x models"]
    cells = {cell.value: cell for row in sheet.iter_rows() for cell in row}
    assert [cells[value].font.b for value in (35, 40, 5)] == [False, True, False]
    heads, *rows = read_sheet(comparison, "Samples, perception")
    assert load_workbook(tmp_path / "compare.xlsx")["Samples, perception"].auto_filter.ref
    shown = {row[0]: dict(zip(heads, row, strict=True)) for row in rows}
    assert "only wrong" not in heads  # nobody is
    assert [shown["17"][name] for name in ("runs wrong", "only right", "C")] == [2, "C", "A ✓"]
    assert (shown["9"]["only right"], shown["19"]["runs wrong"], shown["9"]["B"]) == ("A", 3, "B ✗")


def test_differences_from_a_baseline_and_the_markdown(pair):
    runs = [
        make_run([choice(str(i), i < n) for i in range(20)], model=model)
        for model, n in (("b|a", 19), ("x", 8), ("y", 20))
    ]
    comparison = compare_runs(runs, baseline="b|a")
    lines = shown(comparison)
    assert lines[0] == "Perception: all less b|a (Holm over 2)"
    # 1 of 20 one way; 11 of 11 the other way: 2/2^11, times 2.
    assert [" ".join(line.split()) for line in lines[2:4]] == [
        "y b|a 20 100.00 95.00 +5.00 0.00 to 15.00 1.0000 1.0000 34.83 no difference shown",
        "x b|a 20 40.00 95.00 -55.00 -80.00 to -30.00 0.0010 0.0020 43.77 worse",
    ]
    text = compare_markdown(comparison, ["Failed: b|a."])
    assert text.startswith("<!-- medqbench compare -->\n\n## MedQ-Bench: models compared\n\nFailed: b\\|a.\n")
    assert "| x | b\\|a | 20 | 40.00 | 95.00 | -55.00 |" in text
    assert "<details>" not in text
    text = compare_markdown(compare_runs(runs))
    assert "| 1 | y | 1-2 | 100.00 |" in text
    several = [make_run([choice(str(i), i < n) for i in range(20)], model=f"M{n}") for n in range(9)]
    folded = "<details><summary>Perception: all pairs (Holm over 36)</summary>\n\n| Run a |"
    assert compare_markdown(compare_runs(several)).count(folded) == 1
    assert "\x1b" not in compare_markdown(pair)
