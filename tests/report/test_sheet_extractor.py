"""The workbook's block with strict and lenient accuracy side by side."""

from medqbench_vlmeval.report.run_tables import add_extractor_block
from medqbench_vlmeval.report.sheet import Book
from medqbench_vlmeval.runs.result import parts_of


def side(overall, low, high):
    return {
        "Overall": overall,
        "What": None,
        "n": 10,
        "counts": {"What": {"n": 0}},
        "intervals": {"level": 0.95, "Overall": [low, high], "What": [None, None]},
    }


def table_of(score):
    sheet = Book("samples.jsonl").add_fixed("Overview")
    add_extractor_block(sheet, parts_of({"task": "perception", "model": "m", "dataset": "d", "groups": {}, **score})[0])
    return [[cell.value for cell in row] for row in sheet.worksheet.iter_rows()]


def test_a_run_without_an_extractor_has_no_block():
    assert [row for row in table_of({}) if any(row)] == []


def test_both_stand_side_by_side():
    block = {
        "name": "=own",
        "strict": side(30.0, 10.5, 60.5),
        "lenient": side(40.0, 16.5, 68.5),
        **{name: n for n, name in enumerate(("n_open", "n_asked", "n_read", "n_none", "n_failed"))},
    }
    table = [row for row in table_of({"extractor": block}) if any(value is not None for value in row)]
    assert table[0] == ["Second stage", "Strict, %", "95% low", "95% high", "Lenient, %", "95% low", "95% high", "n"]
    assert table[1] == ["Overall", 30.0, 10.5, 60.5, 40.0, 16.5, 68.5, 10]
    assert table[3] == ["What", None, None, None, None, None, None, 0]
    assert [row[:2] for row in table[-5:]] == [
        ["Replies that the rules left open", 0],
        ["Put to the extractor", 1],
        ["Letter found", 2],
        ["No answer, says the extractor", 3],
        ["No valid reply of the extractor", 4],
    ]
