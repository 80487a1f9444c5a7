"""One table in every form: intervals, counts, marks and notes are where each form has them."""

from __future__ import annotations

import pytest

from medqbench_vlmeval.report.table import EXTRA, Column, Item, Kind, Row, Table, flat, value_words
from medqbench_vlmeval.report.text import html_table, latex, markdown
from medqbench_vlmeval.types import Cell
from tests.report.printed import printed

TABLE = Table(
    "Accuracy & more",
    (
        Column("Model"),
        Column("Overall, %", "percent", interval="95%", n="n", width=12),
        Column("p", "p", optional=1),
        Column("Judge", optional=EXTRA),
        Column("Correct", "count", only="sheet"),
    ),
    (
        Row(("=a|b", Cell(50.0, 23.066, 76.934, n=12), 0.00001, None, 6), "own"),
        Row((Item("c", mark="†"), Item(Cell(100.0, n=5, few=True), bold=True), 0.5, "rules", 5)),
    ),
    ("† not comparable",),
)


def shown(table: Table, width: int | None = None) -> list[str]:
    return [line.rstrip() for line in printed([table], width) if line.strip()]


def test_a_pipe_has_everything_but_what_is_for_sheets() -> None:
    assert shown(TABLE) == [
        "Accuracy & more",
        "Model  Overall, %    95% interval   n        p  Judge",
        "=a|b        50.00  23.07 to 76.93  12  <0.0001  -",
        "c         *100.00               -   5   0.5000  rules",
        "! † not comparable",
        "! * fewer than 10 samples",
    ]


def test_a_name_loses_its_middle_and_never_its_ends() -> None:
    table = Table("", (Column("Model"), Column("Mean", "score")), (Row(("a" * 20 + "z" * 20, 1.5)),))
    (line,) = (line for line in shown(table, 30) if "1.500" in line)
    name, score = line.split()
    assert (name.strip("az"), len(name), score) == ("…", 22, "1.500")
    # Not even the narrowest table fits: the row is a sentence.
    assert shown(table, 10)[-1] == "  1.500"


def test_markdown() -> None:
    assert markdown(TABLE).splitlines() == [
        "### Accuracy &amp; more",
        "",
        "| Model | Overall, % | 95% interval | n | p | Judge |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
        r"| =a\|b | 50.00 | 23.07 to 76.93 | 12 | &lt;0.0001 | – |",
        r"| c† | **100.00**\* | – | 5 | 0.5000 | rules |",
        "",
        "- † not comparable",
        r"- \* fewer than 10 samples",
    ]


def test_latex_has_headings_over_all_columns_and_intervals_below_their_numbers() -> None:
    table = Table(
        "50 % of #1",
        (Column("Model"), Column("Overall", "percent", interval="95%", inline=True)),
        (
            Row(("Own runs",), "heading"),
            Row((Item("a_b", mark="†"), Item(Cell(1.0, 0.5, 2.0, few=True), underlined=True))),
        ),
    )
    assert latex(table, "tab:x").splitlines() == [
        r"% Best with \usepackage{booktabs}.",
        r"\begin{table}[t]",
        r"\centering",
        r"\providecommand{\toprule}{\hline}",
        r"\providecommand{\midrule}{\hline}",
        r"\providecommand{\bottomrule}{\hline}",
        r"\caption{50 \% of \#1.}",
        r"\label{tab:x}",
        r"\footnotesize\setlength{\tabcolsep}{3pt}",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"Model & Overall \\",
        r"\midrule",
        r"\multicolumn{2}{l}{\textit{Own runs}} \\",
        r"a\_b$^{\dagger}$ & \underline{1.00}$^{*}$ \\",
        r" & {\scriptsize {[}0.50, 2.00{]}} \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\par\smallskip",
        r"\parbox{\linewidth}{\footnotesize",
        "{*} fewer than 10 samples",
        "}",
        r"\end{table}",
    ]


def test_html_takes_nothing_for_markup() -> None:
    table = Table(
        "", (Column("<b>"), Column("n", "count")), (Row(("<script>", 3)), Row(("<i>",), "heading")), ("a & b",)
    )
    assert "".join(html_table(table).splitlines()) == (
        '<table><thead><tr><th>&lt;b&gt;</th><th align="right">n</th></tr></thead>'
        '<tbody><tr><td>&lt;script&gt;</td><td align="right">3</td></tr>'
        '<tr><th colspan="2"><i>&lt;i&gt;</i></th></tr></tbody></table><ul><li>a &amp; b</li></ul>'
    )


@pytest.mark.parametrize(
    ("value", "kind", "shown"),
    [
        (12, "count", "12"), (1.005, "score", "1.005"), (66.666, "percent", "66.67"), (66.666, "share", "66.7"),
        (1.5, "points", "+1.50"), (-0.001, "points", "0.00"), (-0.001, "score_points", "-0.001"), (1.0, "mark", "1"),
        (1.5, "mark", "1.50"), (0.00009, "p", "<0.0001"), (1e-4, "p", "0.0001"), (float("inf"), "percent", "inf"),
        (0.25, "number", "0.25"),
    ],
)  # fmt: skip
def test_a_kind_decides_the_digits(value: float, kind: Kind, shown: str) -> None:
    assert value_words(value, kind) == shown


def test_brief_columns_show_the_value_alone_in_text() -> None:
    table = Table("", (Column("A", "percent", interval="A", n="A n", brief=True),), (Row((Cell(1.0, 0.0, 2.0, n=3),)),))
    assert [column.head for column in flat(table, for_text=True).columns] == ["A"]
    shown = flat(table, for_text=False)
    assert [column.head for column in shown.columns] == ["A", "A low", "A high", "A n"]
    assert [item.value for _, items in shown.rows for item in items] == [1.0, 0.0, 2.0, 3]
