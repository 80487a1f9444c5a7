"""Tables for papers: the published layout, ranks, marks and names that are text."""

import re
import shutil
import subprocess

import pytest

from medqbench_vlmeval.benchmark import Comparable, Task
from medqbench_vlmeval.errors import RunFailed
from medqbench_vlmeval.report.paper import paper_table, write_tables
from medqbench_vlmeval.report.text import latex, markdown
from tests.report.hostile import HOSTILE
from tests.report.leaderboard.results import result

GPT5 = {"Yes-or-No": 82.26, "What": 60.47, "How": 58.28, "Overall": 68.97}


def run(model="Model-X", less=0.0, **changes):
    """A comparable run with the numbers of GPT-5's published row, less some points."""
    values = {name: value - less for name, value in GPT5.items()}
    return result(model, **{"comparable": True, "values": values, "few": False, **changes})


def texts(results, task=Task.PERCEPTION, published=True, intervals=False):
    table = paper_table(results, task, published, intervals)
    return latex(table, "tab:x"), markdown(table)


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
    columns = len(re.search(r"\\begin\{tabular\}\{(.*)\}", body)[1].replace(r"p{0.23\linewidth}", "l"))
    inside = body.split("\\toprule")[1].split("\\bottomrule")[0]
    for line in inside.strip().split("\n"):
        if line.endswith("\\\\") and "\\multicolumn" not in line:
            assert len(re.findall(r"(?<!\\)&", line)) == columns - 1
            assert not line.startswith(("[", "*"))


def test_perception_in_the_published_layout():
    tex, text = texts([run()])
    assert_sound(tex)
    assert "Model & Yes-or-No & What & How & Overall \\\\" in tex
    assert "Model-X & \\textbf{82.26} & \\textbf{60.47} & 58.28 & \\textbf{68.97} \\\\" in tex
    # GPT-5's published numbers are the same, and so share the rank.
    assert "GPT-5$^{\\ddagger}$ & \\textbf{82.26} & \\textbf{60.47} & 58.28 & \\textbf{68.97}" in tex
    assert "& \\underline{58.69} & 59.31" in tex
    assert "Human expert$^{\\ddagger}$ & -- & -- & -- & 82.50 \\\\" in tex
    assert "| Model | Yes-or-No | What | How | Overall |" in text
    assert "| Model-X | **82.26** | **60.47** | 58.28 | **68.97** |" in text
    assert text.index("*Human*") < text.index("*Commercial*") < text.index("*Own runs*")


def test_reasoning_in_the_published_layout():
    values = {"Completeness": 1.1, "Preciseness": 0.9, "Consistency": 1.7, "Quality Accuracy": 1.4, "Overall": 5.1}
    tex, text = texts([result(task=Task.NO_REFERENCE, comparable=True, values=values, n=221)], Task.NO_REFERENCE)
    assert_sound(tex)
    assert "Model & Completeness & Preciseness & Consistency & \\shortstack[r]{Quality\\\\Accuracy} & Overall" in tex
    assert "| Model-X | _1.100_\\* | 0.900\\* | 1.700\\* | 1.400\\* | 5.100\\* |" in text
    assert "Model-X: n = 221, MedQBench\\_Reasoning\\_NoReference\\_mini, judge judge-x, protocol official." in text


def test_only_comparable_models_are_ranked():
    apart = run("Apart", -30, comparable=False, because=["another judge"])
    baseline = run("MedQ-Classical", -29, baseline=True)
    unverified = run("Open", -28, comparable=Comparable.UNVERIFIED, because=["no record"])
    tex, text = texts([run("A", 10), run("B", 20), apart, baseline, unverified], published=False)
    overall = {line.split("|")[1].strip(): line.split("|")[5].strip() for line in text.splitlines() if "|" in line}
    assert overall["A"] == "**58.97**"
    assert overall["B"] == "_48.97_"
    assert overall["Apart†"] == "98.97"
    assert overall["Open§"] == "96.97"
    assert list(overall)[-2:] == ["Open§", "Apart†"]
    assert "§ Not verified as comparable with the published rows: Open: no record." in text
    assert overall["MedQ-Classical"] == "97.97"
    assert "Apart$^{\\dagger}$" in tex
    assert "† Not comparable with the published rows: Apart: another judge." in text
    assert "GPT-5" not in tex + text


def test_runs_on_other_data_are_set_apart_and_two_of_one_model_are_two_lines():
    other = run("Other", data={"sha256": "12" * 32, "samples_sha256": "34" * 32})
    _, text = texts([run("A"), run("A", 10), other], published=False)
    assert "| Other† |" in text
    assert "| A | **82.26** |" in text
    assert "| A #2 | _72.26_ |" in text


def test_intervals_and_few_samples():
    tex, text = texts([result("A", comparable=True)], published=False, intervals=True)
    assert_sound(tex)
    # Wilson's interval of 1 of 2.
    assert re.search(r"50\.00\$\^\{\*\}\$.*\n.*\{\\scriptsize \{\[\}9\.45, 90\.55\{\]\}\}", tex)
    assert r"50.00\* (9.45 to 90.55)" in text
    assert r"\* fewer than 10 samples" in text


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex (Debian's texlive-latex-base)")
@pytest.mark.parametrize(("intervals", "hostile_too"), [(False, False), (True, False), (True, True)])
def test_tables_compile_and_fit_a_page(tmp_path, intervals, hostile_too):
    hostile = [run(name.encode("ascii", "ignore").decode(), 5) for name in HOSTILE] if hostile_too else []
    runs = [run("LLaVA-OneVision-1.5-8B-Instruct"), result("Qwen2.5-VL-72B-Instruct", Task.REASONING), *hostile]
    tables = [path.read_text() for path in write_tables(runs, tmp_path, intervals=intervals) if path.suffix == ".tex"]
    document = ["\\documentclass{article}", "\\begin{document}", *tables, "\\end{document}"]
    (tmp_path / "paper.tex").write_text("\n".join(document))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60)
    log = done.stdout.decode(errors="replace")
    assert done.returncode == 0, log[-3000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000
    # One word that is wider than the column of names stands out of it.
    assert hostile_too or "Overfull \\hbox" not in log


def test_a_measure_without_a_number_and_one_that_is_alone():
    _, text = texts([result("A", values={"How": None})], published=False)
    assert "| A† | 100.00\\* | 50.00\\* | – | 60.00\\* |" in text
    _, text = texts([run("A")], published=False)
    assert "| A | 82.26 |" in text
    assert "Best" not in text


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(name):
    tex, text = texts([run(name), run("B", 5)], intervals=True)
    assert_sound(tex)
    assert "<script" not in text
    lines = [line for line in text.split("\n") if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {6}
    assert "](" not in text.replace("\\](", "")
    assert "\n---\n" not in text


def test_files_for_the_tasks_that_have_runs(tmp_path):
    stems = ("perception", "no-reference", "comparative")
    for results, n in (([run("A"), result("A", Task.REASONING)], 3), ([run("A")], 1), ([], 0)):
        names = [path.name for path in write_tables(results, tmp_path)]
        assert names == [f"{stem}.{ending}" for stem in stems[:n] for ending in ("tex", "md")]
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunFailed):
        write_tables([run("A")], tmp_path / "file")


def test_an_empty_table_is_sound():
    tex, text = texts([], Task.COMPARATIVE, published=False)
    assert_sound(tex)
    assert sum(line.startswith("|") for line in text.splitlines()) == 2
