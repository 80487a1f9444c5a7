"""The sheet that people rate on: which marks its cells take, and what its guide says."""

from openpyxl import load_workbook

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.report.rating_sheet import RatingRow, fits_cell, write_rating_sheet


def written(tmp_path, *tasks, answer="Sharp."):
    rows = [RatingRow(f"R-{number}", task, "A reference.", answer) for number, task in enumerate(tasks)]
    write_rating_sheet(tmp_path / "r.xlsx", rows, "rating id")
    return load_workbook(tmp_path / "r.xlsx")


def test_cells_take_the_marks_of_their_task_alone(tmp_path):
    page = written(tmp_path, Task.COMPARATIVE, Task.NO_REFERENCE, Task.NO_REFERENCE)["Ratings"]
    allowed = {
        cell: rule.formula1
        for rule in page.data_validations.dataValidation
        for block in rule.sqref.ranges
        for cell in block.cells
    }
    assert len(allowed) == 3 * 4
    assert {allowed[row, column] for row in (2, 3, 4) for column in (5, 6, 7)} == {'"0,1,2"'}
    assert [allowed[row, 8] for row in (2, 3, 4)] == ['"0,2"', '"0,1,2"', '"0,1,2"']
    assert (page.freeze_panes, page.auto_filter.ref) == ("B2", "A1:I4")


def test_a_row_shows_all_of_its_texts(tmp_path):
    page = written(tmp_path, Task.NO_REFERENCE, answer="x" * 58 * 20)["Ratings"]
    assert page["D2"].alignment.wrap_text
    assert page.row_dimensions[2].height == 20 * 15
    assert (fits_cell("x" * 32_767), fits_cell("x" * 32_768)) == (True, False)


def test_the_guide_has_the_criteria_of_the_tasks_drawn(tmp_path):
    guide = [row for row in written(tmp_path, Task.COMPARATIVE)["Guide"].iter_rows(values_only=True) if any(row)]
    text = "\n".join(str(cell) for row in guide for cell in row if cell is not None)
    assert "Does the answer prefer the same image as the reference?" in text
    assert "candidate" not in text
    assert "no-reference" not in text
    at = next(i for i, row in enumerate(guide) if row[0] == "Quality Accuracy")
    assert [row[1] for row in guide[at + 1 : at + 3]] == [2, 0]
