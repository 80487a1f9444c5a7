import re

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.errors import RunFailed
from medqbench_vlmeval.report.paper import BEST, SECOND, latex_table, markdown_table, paper_rows, ranks_of, write_tables
from medqbench_vlmeval.report.text import latex_text, markdown_text
from tests.report.examples import combined_score, perception_score
from tests.report.many import HOSTILE, perception, reasoning


def tables(scores, task=Task.PERCEPTION, published=True, intervals=False):
    rows = paper_rows(scores, task, published)
    return latex_table(task, rows, intervals), markdown_table(task, rows, intervals)


def assert_sound(latex):
    """What a LaTeX run would stop at: unbalanced groups, ends without a begin, lines with too many cells."""
    body = "\n".join(line for line in latex.split("\n") if not line.startswith("%"))
    bare = re.sub(r"\\[\\{}$&#%_]", "", body)
    depth = 0
    for character in bare:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0
    assert not re.search(r"[#%~\"`|<>]", bare)
    # Outside of mathematics there is no bare subscript.
    assert not re.search(r"[_^]", re.sub(r"\$[^$]*\$", "", bare))
    assert re.findall(r"\\begin\{(\w+)\}", body) == re.findall(r"\\end\{(\w+)\}", body)[::-1]
    columns = len(re.search(r"\\begin\{tabular\}\{(\w+)\}", body)[1])
    inside = body.split("\\toprule")[1].split("\\bottomrule")[0]
    for line in inside.strip().split("\n"):
        if line.endswith("\\\\") and "\\multicolumn" not in line:
            assert len(re.findall(r"(?<!\\)&", line)) == columns - 1
            assert not line.startswith(("[", "*"))


def test_perception_in_the_published_layout():
    latex, markdown = tables([perception("Model-X")])
    assert_sound(latex)
    assert "Model & Yes-or-No & What & How & Overall \\\\" in latex
    assert "Model-X & \\textbf{82.26} & \\textbf{60.47} & 58.28 & \\textbf{68.97} \\\\" in latex
    # GPT-5's published numbers are the same, and so share the rank.
    assert "GPT-5$^{\\ddagger}$ & \\textbf{82.26} & \\textbf{60.47} & 58.28 & \\textbf{68.97}" in latex
    assert "& \\underline{58.69} & 59.31" in latex
    assert "Human expert$^{\\ddagger}$ & -- & -- & -- & 82.50 \\\\" in latex
    assert "| Model | Yes-or-No | What | How | Overall |" in markdown
    assert "| Model-X | **82.26** | **60.47** | 58.28 | **68.97** |" in markdown
    assert markdown.index("*Human*") < markdown.index("*Commercial*") < markdown.index("*Own runs*")


def test_reasoning_in_the_published_layout():
    latex, markdown = tables([reasoning("no-reference", comparable=True)], Task.NO_REFERENCE)
    assert_sound(latex)
    assert "Model & Completeness & Preciseness & Consistency & Quality Accuracy & Overall \\\\" in latex
    assert "| Model-X | _1.100_ | 0.900 | 1.700 | 1.400 | 5.100 |" in markdown
    assert "n = 221" in markdown


def test_only_comparable_models_are_ranked():
    apart = perception("Apart", comparable=False, not_comparable_because=["another judge"], Overall=99.0)
    baseline = perception("MedQ-Classical", baseline=True, Overall=98.0)
    rows = paper_rows([perception("A", 10), perception("B", 20), apart, baseline], Task.PERCEPTION, published=False)
    ranked = {row.name: ranks.get("Overall") for row, ranks in zip(rows, ranks_of(Task.PERCEPTION, rows), strict=True)}
    assert ranked == {"A": BEST, "B": SECOND, "Apart": None, "MedQ-Classical": None}
    latex, markdown = latex_table(Task.PERCEPTION, rows), markdown_table(Task.PERCEPTION, rows)
    assert "Apart$^{\\dagger}$" in latex
    assert "| Apart† |" in markdown
    assert "Not comparable with the published rows: Apart: another judge." in markdown
    assert "GPT-5" not in latex + markdown


def test_one_number_alone_is_not_the_best():
    _, markdown = tables([perception("A")], published=False)
    assert "| A | 82.26 |" in markdown
    assert "Best" not in markdown


def test_runs_on_other_data_are_set_apart():
    other = perception("Other")
    other["settings"] = {**other["settings"], "data": {"perception": {"sha256": "12" * 32}}}
    rows = paper_rows([perception("A"), perception("B"), other], Task.PERCEPTION)
    assert [row.name for row in rows if not row.row.comparable] == ["Other"]


def test_both_of_two_runs_of_one_model_are_lines():
    rows = paper_rows([perception("A"), perception("A", 10)], Task.PERCEPTION, published=False)
    assert [row.name for row in rows] == ["A", "A #2"]


def test_intervals_and_few_samples():
    latex, markdown = tables([perception_score("A")], published=False, intervals=True)
    assert_sound(latex)
    assert r"50.00$^{*}$ {\scriptsize {[}9.45, 90.55{]}}" in latex
    assert r"50.00\* (9.45 to 90.55)" in markdown
    assert r"\* Fewer than 10 samples." in markdown


def test_a_measure_without_a_number():
    _, markdown = tables([perception_score("A", How=None)], published=False)
    assert "| A† | 100.00\\* | 50.00\\* | – | 60.00\\* |" in markdown


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(name):
    latex, markdown = tables([perception(name), perception("B", 5)], intervals=True)
    assert_sound(latex)
    assert "<script" not in markdown
    lines = [line for line in markdown.split("\n") if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {6}
    assert "](" not in markdown.replace("\\](", "")
    assert "\n---\n" not in markdown


def test_escapes():
    assert latex_text("a_b & 50% #1 {x} ~^ \\") == (
        r"a\_b \& 50\% \#1 \{x\} \textasciitilde{}\textasciicircum{} \textbackslash{}"
    )
    assert latex_text("a--b ''c") == "a-{}-b '{}'c"
    assert latex_text("[1]*\nx") == "{[}1{]}{*} x"
    assert markdown_text("a|b_c <u>") == r"a\|b\_c &lt;u&gt;"


def test_files_for_the_tasks_that_have_runs(tmp_path):
    written = write_tables([perception("A"), combined_score("A")], tmp_path)
    names = [path.name for path in written]
    stems = ("perception", "no_reference", "comparative")
    assert names == [f"{stem}.{ending}" for stem in stems for ending in ("tex", "md")]
    assert [path.name for path in write_tables([perception("A")], tmp_path / "one")] == [
        "perception.tex",
        "perception.md",
    ]
    assert write_tables([], tmp_path / "none") == []
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunFailed):
        write_tables([perception("A")], tmp_path / "file")


def test_an_empty_table_is_sound():
    assert_sound(latex_table(Task.COMPARATIVE, []))
    assert markdown_table(Task.COMPARATIVE, []).count("\n") == 4
