"""A board as CSV, Markdown and HTML: names are data there too, and a user's own file keeps its lines."""

import csv
import io
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.report.leaderboard.board import rows_of
from medqbench_vlmeval.report.leaderboard.entries import entry_of
from medqbench_vlmeval.report.leaderboard.tables import BEGIN, END, csv_board, exported, write_export
from tests.report.leaderboard.results import result

HOSTILE = [
    "a|b", "a\\|b", "back\\", "two\nlines\r\nand more", "  spaces  ", "=1+1", "\x1b[31mred\u202e",
    "<script>alert(1)</script>", "<!-- medqbench leaderboard: end -->", "&lt;b&gt; &amp;",
    "![x](http://example.org/y.png)", "[link](https://example.org)", "**bold** _it_ `code` ~~gone~~",
    "https://example.org www.example.org @somebody :smile: $x$",
]  # fmt: skip
NAMES = {" ".join(name.split()).replace("\x1b", "\ufffd").replace("\u202e", "\ufffd") for name in HOSTILE}


class Table:
    """Texts of the cells, and the names of all tags, of what must be whole markup."""

    def __init__(self, text):
        root = ElementTree.fromstring(f"<page>{text}</page>")  # noqa: S314  # our own
        self.tags = {element.tag for element in root.iter()} - {"page"}
        self.rows = [["".join(cell.itertext()) for cell in row] for row in root.iter("tr")]


def board_of(*results):
    """The board of perception with these results."""
    return {Task.PERCEPTION: rows_of([entry_of(result.tasks[0]) for result in results])[Task.PERCEPTION]}


def hostile_board():
    (rows,) = board_of(*map(result, HOSTILE)).values()
    return {Task.PERCEPTION: [row for row in rows if row.kind == "own"]}


def export(path, form, boards):
    write_export(path, exported(path, form, boards))
    return path.read_bytes()


def test_markdown_renders_as_a_table_of_the_very_names(tmp_path):
    text = export(tmp_path / "board.md", "markdown", hostile_board()).decode()
    # Every line of a table has the same cells also for a reader that knows no more than escaped pipes.
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(HOSTILE)
    table = Table(MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(text))
    assert {len(row) for row in table.rows} == {13}
    assert {row[1] for row in table.rows[1:]} == NAMES
    assert not table.tags & {"script", "a", "img", "strong", "em", "code", "s", "b"}
    assert not [words for words in ("://", "@some", ":smile:") if words in text]


def test_html_holds_the_very_names(tmp_path):
    table = Table(export(tmp_path / "board.html", "html", hostile_board()).decode())
    assert {row[1] for row in table.rows[1:]} == NAMES
    assert table.tags == {"table", "caption", "thead", "tbody", "tr", "th", "td", "ul", "li"}


def test_csv_of_several_tasks_has_all_measures():
    boards = rows_of([entry_of(result("=1+1").tasks[0]), *map(entry_of, result(task=Task.REASONING).tasks)])
    rows = list(csv.DictReader(io.StringIO(csv_board(boards))))
    assert {row["task"] for row in rows} == {"perception", "no-reference", "comparative"}
    (own,) = (row for row in rows if row["task"] == "perception" and row["kind"] == "own")
    assert (own["model"], own["yes_or_no"], own["completeness"], own["overall"]) == ("'=1+1", "100.00", "", "60.00")
    text = csv_board({Task.PERCEPTION: boards[Task.PERCEPTION]})
    assert text.startswith("kind,model,category,dataset,yes_or_no,")


def test_ranks_reasons_and_published_rows_are_told_apart(tmp_path):
    board = board_of(result("Equal", comparable=True), result("Apart"))
    text = export(tmp_path / "board.md", "markdown", board).decode()
    rows = {row[1]: row for row in Table(MarkdownIt("gfm-like", {"linkify": False}).render(text)).rows}
    assert rows["Equal"][:4] == ["10", "Equal", "–", "60.00"]
    assert rows["Equal"][7:10] == ["23.07 to 88.24", "5", "own"]
    assert (rows["Apart"][0], rows["Apart"][9]) == ("–", "own, not comparable")
    assert (rows["GPT-5"][0], rows["GPT-5"][2], rows["GPT-5"][9]) == ("2", "commercial", "published")
    assert "not comparable: Apart: made for a test" in text


def test_a_readme_keeps_its_lines(tmp_path):
    boards = board_of(result("<!-- medqbench leaderboard: end -->"))
    readme = tmp_path / "README.md"
    readme.write_bytes(f"# Mine\r\n\r\n{BEGIN}\r\nold\r\n{END}\r\nmore\r\n".encode())
    first = export(readme, "markdown", boards)
    assert first.startswith(f"# Mine\r\n\r\n{BEGIN}\r\n".encode())
    assert first.endswith(f"{END}\r\nmore\r\n".encode())
    assert first.count(b"\n") == first.count(b"\r\n")
    assert b"old" not in first
    assert export(readme, "markdown", boards) == first
    assert export(readme, "html", boards).count(b"<table>") == 1


@pytest.mark.parametrize("form", ["csv", "markdown", "html"])
def test_a_file_that_is_no_export_is_left_alone(tmp_path, form):
    boards = rows_of([])
    for content in (b"my,own\n1,2\n", b"\xff", f"{END}{BEGIN}".encode(), f"{BEGIN}{BEGIN}{END}".encode()):
        path = tmp_path / "file"
        path.write_bytes(content)
        with pytest.raises(BadInput, match="left as it is"):
            exported(path, form, boards)
        assert path.read_bytes() == content
    (tmp_path / "empty").touch()
    for path in (tmp_path / "absent", tmp_path / "empty"):
        assert export(path, form, boards) == export(path, form, boards)
    path.chmod(0o444)
    with pytest.raises(RunFailed, match="read-only"):
        exported(path, form, boards)
