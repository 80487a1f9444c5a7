"""The figures: their numbers are the result's, their texts are whole and apart, their files are safe and the same."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from functools import lru_cache
from xml.etree import ElementTree

import pytest
from matplotlib.text import Text
from PIL import Image

from medqbench_vlmeval.benchmark import Comparable, Task
from medqbench_vlmeval.report.figures import themed_svgs, write_figures
from medqbench_vlmeval.report.figures.draw import colour_range, draw
from medqbench_vlmeval.report.figures.plots import caption_of, figures_of, notes_of, words_of
from medqbench_vlmeval.report.figures.style import drawing_settings, safe_svg, text_width, wrapped
from medqbench_vlmeval.scoring.intervals import wilson
from medqbench_vlmeval.types import Cell, Details, Finding, Group, Result
from tests import make
from tests.report.hostile import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"
MEANS = {"Completeness": 1.1, "Preciseness": 0.9, "Consistency": 1.7, "Quality Accuracy": 1.4, "Overall": 5.1}
CONFUSED = Finding(
    "Confused levels",
    "Of 50 answered How questions on a level, 10 took one level for another.",
    "percent",
    Cell(20.0, 11.0, 33.5, 50),
    "Wilson score, samples taken as independent",
    Details(scales={"quality": {"good": {"good": 25, "reject": 5}, "reject": {"good": 5, "reject": 15}}}),
)


def share(right, n):
    """An accuracy with Wilson's interval."""
    low, high = wilson(right, n)
    return Cell(100 * right / n, 100 * low, 100 * high, n, few=n < 10)


def groups(**cells):
    return {name: Group({"Overall": cell}, {}, cell.few) for name, cell in cells.items()}


@lru_cache
def scored(task):
    return make.perception_run().result if task is Task.PERCEPTION else make.reasoning_run(task=task).result


def with_numbers(task, model, comparable=True, reasons=(), **changes) -> Result:
    """A result of one task with other numbers."""
    marks = make.marks_of(comparable, reasons)
    return replace(scored(task), model=model, parts={task: replace(scored(task)[task], **marks, **changes)})


def perception(model="Model-X", less=0, **changes) -> Result:
    """1,305 questions: 900 right, fewer with ``less``; the cells of modality 'Fundus' rest on five questions."""
    kinds = {"Yes-or-No": share(459 - less, 558), "What": share(156, 258), "How": share(285, 489)}
    modality = {"CT": share(300 - less, 400), "MRI": share(250, 400), "Endoscopy": share(347, 500)}
    severity = {"none": share(300, 400), "mild": share(280 - less, 500), "severe": share(320, 405)}
    numbers = {
        "dataset": "MedQBench_Perception",
        "measures": {**kinds, "Overall": share(900 - less, 1305)},
        "groups": {"modality": groups(**modality, Fundus=share(3, 5)), "severity": groups(**severity)},
        "findings": {"level_confusion": CONFUSED},
    }
    return with_numbers(Task.PERCEPTION, model, **{**numbers, **changes})


def reasoning(task=Task.NO_REFERENCE, model="Model-X", **changes) -> Result:
    """221 descriptions (133 pairs) whose means add up to 5.1; MRI rests on eight of them."""
    n = 221 if task is Task.NO_REFERENCE else 133
    cells = {name: Cell(value, value - 0.1, value + 0.1, n) for name, value in MEANS.items()}
    modality = groups(CT=Cell(5.2, n=n - 8), MRI=Cell(4.9, n=8, few=True))
    axes = {"modality": modality, "severity": groups(mild=Cell(5.1, n=n))}
    return with_numbers(task, model, **{"measures": cells, "groups": axes, "findings": {}, **changes})


def named(results):
    return {figure.name: figure for figure in figures_of(results)}


def many_groups(n, runs=2):
    """Runs with ``n`` modalities of long names, the first ones of the fewest samples."""
    modality = {f"{place:02} a modality with quite a long name": share(20, 40 + place) for place in range(n)}
    axes = {**perception()["perception"].groups, "modality": groups(**modality)}
    return [perception(f"Model-{run}", groups=axes) for run in range(runs)]


def parsed(svg):
    return ElementTree.fromstring(svg)  # noqa: S314  # our own


def test_figures_hold_the_cells_of_the_result_and_the_counts_of_its_finding():
    result = perception("A", 20)
    figures = named([result])
    for stem, axis in (("radar_modality", "modality"), ("heatmap_modality", "modality"), ("severity", "severity")):
        (run,) = figures[f"{stem}_perception"].runs
        for name, group in result["perception"].groups[axis].items():
            assert run.cell(name) == group.overall
    (run,) = figures["question_type_perception"].runs
    assert run.cells == result["perception"].measures
    assert figures["question_type_perception"].n("Overall") == "1,305"
    figures = named([reasoning(Task.COMPARATIVE)])
    assert set(figures) == {"dimension_comparative", "heatmap_modality_comparative"}
    (run,) = figures["dimension_comparative"].runs
    assert {name: cell.value for name, cell in run.cells.items()} == MEANS
    assert run.cell("Consistency").interval == pytest.approx((1.6, 1.8))
    (run,) = figures["heatmap_modality_comparative"].runs
    assert (run.cell("CT").value, run.cell("CT").n, run.cell("CT").interval) == (5.2, 125, None)
    assert run.cell("MRI").few
    figure = named([perception()])["confusion_perception"]
    (matrix,) = figure.matrices
    assert (matrix.levels, matrix.counts) == (("good", "reject"), ((25, 5), (5, 15)))
    assert "Model-X: 20.0% mistaken (95% interval 11.0 to 33.5) of 50." in caption_of(figure)


def test_lines_are_the_published_ones():
    figures = named([perception(), reasoning()])
    references = figures["question_type_perception"].references
    assert {label: values["Overall"] for label, values in references.items()} == {
        "GPT-5, highest published": 68.97, "human experts, published": 82.5,
    }  # fmt: skip
    human = {"human experts, all questions, published: 82.50": {"Overall": 82.5}}
    assert figures["severity_perception"].references == human
    ((best, values),) = figures["dimension_no-reference"].references.items()
    assert (best, values["Overall"]) == ("GPT-5, highest published", 5.679)


def test_runs_stand_best_first_and_those_that_are_not_comparable_last():
    apart = perception("Best", comparable=False, reasons=("another judge",))
    unverified = perception("Open", 5, comparable=Comparable.UNVERIFIED, reasons=("no record",))
    runs = [perception("Low", 90), apart, unverified, perception("High", 10)]
    figure = named(runs)["severity_perception"]
    shown = ["High", "Low", "Open\N{NO-BREAK SPACE}§", "Best\N{NO-BREAK SPACE}†"]
    assert [run.shown for run in figure.runs] == shown
    assert "§ Not verified as comparable with the published results: Open (no record)." in caption_of(figure)
    assert "Not comparable with the published results: Best (another judge)." in caption_of(figure)
    # A run looks the same in all figures: its place is that of its first appearance.
    assert {run.label: run.place for run in figure.runs} == {"Low": 0, "Best": 1, "Open": 2, "High": 3}


def test_runs_of_different_data_are_said_to_be_so():
    for dataset, differs in (("MedQBench_Perception_dev", True), ("MedQBench_Perception", False)):
        figure = named([perception("A"), perception("B", dataset=dataset)])["radar_modality_perception"]
        assert ("different data" in caption_of(figure)) is differs


def test_tasks_stand_apart_and_what_the_data_lack_is_left_out():
    """Two modalities make no radar; the runs have no confusion and, in reasoning, no severity."""
    names = {f"{stem}_{task}" for stem in ("dimension", "heatmap_modality") for task in ("no-reference", "comparative")}
    names |= {f"{stem}_perception" for stem in ("question_type", "severity", "heatmap_modality")}
    assert set(named([make.perception_run().result, make.combined_run().result])) == names


def test_a_result_without_groups_and_numbers_has_no_figures(tmp_path):
    nothing = dict.fromkeys(("Overall", "Yes-or-No", "What", "How"), Cell(None))
    empty = perception(measures=nothing, groups={}, findings={})
    assert figures_of([empty]) == []
    assert write_figures([empty], tmp_path / "out") == []
    assert themed_svgs([]) == {}
    assert not (tmp_path / "out").exists()


def test_a_group_that_only_one_run_has():
    other = perception("B", groups={"modality": groups(CT=share(50, 100))})
    figure = named([perception("A"), other])["heatmap_modality_perception"]
    assert figure.groups == ("CT", "MRI", "Endoscopy", "Fundus", "Overall")
    assert figure.n("CT") == "100 to 400"
    assert [sorted(run.cells) for run in figure.runs if run.label == "B"] == [["CT", "Overall"]]


def test_of_many_groups_the_largest_are_drawn_and_the_rest_is_said():
    plots = {figure.kind: figure for figure in figures_of(many_groups(14))}
    assert [group[:2] for group in plots["heatmap"].groups] == [f"{place:02}" for place in range(5, 14)] + ["Ov"]
    assert [group[:2] for group in plots["radar"].groups] == [f"{place:02}" for place in range(2, 14)]
    assert (plots["heatmap"].left_out, plots["radar"].left_out) == (5, 2)
    assert "The largest groups are drawn, 5 more are in the workbooks." in caption_of(plots["heatmap"])
    assert "01 a modality" not in caption_of(plots["radar"])


def test_every_run_has_its_key_whatever_its_name():
    figure = named([perception("_x"), perception("y")])["severity_perception"]
    with drawing_settings():
        (legend,) = draw(figure).drawing.legends
    human = "human experts, all questions, published: 82.50"
    assert [text.get_text().strip() for text in legend.get_texts()] == ["_x", "y", human]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    results = [perception(HOSTILE[0]), perception(HOSTILE[1], 50, comparable=False)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return folder, results, write_figures(results, folder)


@pytest.mark.slow
def test_files_are_whole_and_the_same_each_time(written, tmp_path):
    folder, results, paths = written
    assert {path.name for path in paths} == {path.name for path in folder.iterdir()}
    assert {path.suffix for path in paths} == {".png", ".svg", ".md"}
    assert len(paths) == 11
    for path in (path for path in paths if path.suffix == ".png"):
        with Image.open(path) as image:
            assert image.width >= 1000
            assert len(image.convert("L").getcolors(256) or ()) > 20
    # The same results give the same bytes.
    again = write_figures(results, tmp_path)
    assert [path.name for path in again] == [path.name for path in paths]
    for path in again:
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_texts_are_texts_and_say_what_is_not_comparable(written):
    folder, _, paths = written
    for path in (path for path in paths if path.suffix == ".svg"):
        root = parsed(path.read_text("utf-8"))
        assert root.find(f"{SVG}title").text
        assert re.search("percent|counts", root.find(f"{SVG}desc").text)
        assert "<script" not in path.read_text("utf-8")
    text = "".join(parsed((folder / "heatmap_modality_perception.svg").read_text("utf-8")).itertext())
    # A name that looks like markup is shortened as text, and not changed where ids are.
    assert all(words in text for words in ("68.97", "书生·万象", '`id="figure"`'))
    assert "\x00" not in text
    captions = (folder / "captions.md").read_text("utf-8")
    assert captions.count("## ") == 5
    assert "Not comparable with the published results" in captions
    assert "<script" not in captions


def test_a_value_says_its_run_measure_interval_and_n():
    figures = named([perception("A", 20), reasoning()])
    dots = figures["question_type_perception"]
    assert dots.groups[0] == "Yes-or-No"
    words = words_of(dots, "value-0-0")
    assert words == f"A: Yes-or-No {interval_words(dots.runs[0].cell('Yes-or-No'))}"
    assert words_of(dots, "reference-1-3") == "human experts, published: Overall 82.50"
    assert words_of(dots, "axes_1") is None
    confused = figures["confusion_perception"]
    assert words_of(confused, "count-0-0-1") == "A, quality: good taken for reject: 5 of 30"


def interval_words(cell):
    return f"{cell.value:.2f} ({cell.low:.2f} to {cell.high:.2f}), n = {cell.n:,}"


@pytest.mark.slow
def test_every_value_of_a_drawing_can_be_pointed_at(written):
    """Two runs: four measures and five modalities with Overall a run, the published rows, and two by two counts."""
    titles = {name: parsed(svg).findall(f".//{SVG}g/{SVG}title") for name, svg in themed_svgs(written[1]).items()}
    figures = named(written[1])
    for name in ("question_type_perception", "heatmap_modality_perception", "severity_perception"):
        figure = figures[name]
        values = sum(run.cell(group).value is not None for run in figure.runs for group in figure.groups)
        published = sum(group in values for values in figure.references.values() for group in figure.groups)
        assert len(titles[name]) == values + (published if name.startswith("question") else 0), name
    assert len(titles["confusion_perception"]) == 4 * len(figures["confusion_perception"].matrices)


@pytest.mark.slow
def test_a_heat_map_has_the_scale_of_its_colours():
    with drawing_settings():
        drawing = draw(named([perception()])["heatmap_modality_perception"]).drawing
        words = [text for text, _ in texts_of(drawing)]
    assert len(drawing.axes) == 2
    assert "accuracy, %" in words


def test_inline_figures_follow_the_page(written):
    ids: list[str] = []
    for name, svg in themed_svgs(written[1]).items():
        root = parsed(svg)
        assert svg.startswith("<svg")
        assert root.get("role") == "img"
        assert root.find(f"{SVG}title").get("id") in root.get("aria-labelledby").split()
        own = [element.get("id") for element in root.iter() if element.get("id")]
        assert all(each.startswith(f"{name}-") for each in own)
        assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg)) <= set(own)
        ids += own
        assert "currentColor" in svg
        assert "#0b0c0e" not in svg
        # Rules would hold for the whole page, and its policy forbids styles.
        assert "<style" not in svg and "style=" not in svg
        assert "http://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", svg)
    assert len(ids) == len(set(ids))


def test_drawing_leaves_a_users_settings_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    themed_svgs([perception(groups={}, findings={})])
    assert dict(matplotlib.rcParams) == before


@pytest.mark.slow
def test_groups_and_levels_are_text_whatever_they_hold(tmp_path):
    bad = "\x00\x0b \ud800 \ufffe\uffff\r\n $x$ </svg><script>&"
    axes = {
        axis: {name + bad: group for name, group in of_axis.items()}
        for axis, of_axis in perception()["perception"].groups.items()
    }
    scales = {"quality" + bad: {"good" + bad: {"good" + bad: 3, "reject" + bad: 1}}}
    confused = replace(CONFUSED, details=Details(scales=scales), method=bad)
    written = write_figures([perception("m" + bad, groups=axes, findings={"level_confusion": confused})], tmp_path)
    assert {path.stem for path in written} >= {"radar_modality_perception", "confusion_perception"}
    for path in written:
        if path.suffix == ".svg":
            assert "\ufffe" not in "".join(parsed(path.read_text("utf-8")).itertext())
    assert "CT\ufffd" in (tmp_path / "captions.md").read_text("utf-8")


def texts_of(drawing):
    """All that is written in a drawing, with its box in dots."""
    drawing.draw_without_rendering()
    texts = [text for text in drawing.findobj(Text) if text.get_visible() and text.get_text()]
    return [(text.get_text(), text.get_window_extent()) for text in texts]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dots", "heatmap", "radar", "curve", "confusion"])
@pytest.mark.parametrize(("n", "runs"), [(4, 2), (14, 5), (14, 2), (4, 5)])
def test_texts_stay_inside_and_apart(kind, n, runs):
    (figure,) = [figure for figure in figures_of(many_groups(n, runs)) if figure.kind == kind]
    with drawing_settings():
        sheet = draw(figure)
        room = sheet.box.transformed(sheet.drawing.dpi_scale_trans)
        texts = texts_of(sheet.drawing)
    for place, (text, box) in enumerate(texts):
        assert room.x0 <= box.x0 and box.x1 <= room.x1 and room.y0 <= box.y0 and box.y1 <= room.y1, text
        overlapping = [other for other, at in texts[:place] if box.padded(-1).overlaps(at)]
        assert not overlapping, (text, overlapping)


@pytest.mark.slow
def test_many_runs_get_a_panel_each_up_to_a_number():
    figures = named([perception(f"Model {n}", n) for n in range(30)])
    curve = figures["severity_perception"]
    with drawing_settings():
        drawing = draw(curve).drawing
    assert (len(drawing.axes), drawing.get_figwidth()) == (24, 7.2)
    assert "6 more runs are in the heat map and the tables" in notes_of(curve)


def test_a_radar_has_five_runs_at_most():
    for n, drawn in ((5, True), (6, False)):
        assert ("radar_modality_perception" in named([perception(f"M{at}") for at in range(n)])) is drawn


@pytest.mark.slow
@pytest.mark.parametrize(("runs", "rows"), [(4, [4]), (6, [3, 3]), (9, [3, 3, 3]), (13, [4, 3, 3, 3])])
def test_no_panel_stands_alone_and_short_rows_are_centred(runs, rows):
    figure = named([perception(f"Model {n}", n) for n in range(runs)])["confusion_perception"]
    with drawing_settings():
        sheet = draw(figure)
    assert len(sheet.drawing.axes) == runs
    by_row: dict[float, list[float]] = {}
    for axes in sheet.drawing.axes:
        assert axes.get_xlabel() == "chosen level"
        box = axes.get_position()
        by_row.setdefault(round(box.y0, 3), []).append((box.x0 + box.x1) / 2)
    assert [len(by_row[y]) for y in sorted(by_row, reverse=True)] == rows
    middles = [sum(row) / len(row) for row in by_row.values()]
    assert max(middles) - min(middles) < 0.03
    labelled = [axes.get_ylabel() for axes in sheet.drawing.axes].count("right level")
    assert labelled == len(rows)


@pytest.mark.slow
@pytest.mark.parametrize("runs", [1, 5])
def test_known_modalities_are_named_in_full(runs):
    names = ("CT", "MRI", "Histopathology", "Endoscopy", "Fundus")
    axes = {"modality": groups(**dict.fromkeys(names, share(20, 40)))}
    figures = named([perception(f"m{run}", groups=axes) for run in range(runs)])
    for stem in ("radar", "heatmap"):
        with drawing_settings():
            words = " ".join(text for text, _ in texts_of(draw(figures[f"{stem}_modality_perception"]).drawing))
        assert all(name in words for name in names), stem


def test_nearly_equal_numbers_look_so():
    """The colours span at least a fifth of the scale: 20 points around 51."""
    axes = {"modality": groups(CT=share(50, 100), MRI=share(52, 100))}
    measures = {**perception()["perception"].measures, "Overall": Cell(51.0)}
    figure = named([perception(groups=axes, measures=measures)])["heatmap_modality_perception"]
    assert colour_range(figure) == pytest.approx((41.0, 61.0))


def test_lines_break_behind_blanks_and_marks_else_anywhere():
    with drawing_settings():
        lines = wrapped("qwen2_5-vl-7b is a model; " + "x" * 60, 1.0, 6.5).split("\n")
        assert (lines[0], lines[1].strip("x"), "".join(lines).count("x")) == ("qwen2_5-vl-7b is a", "model; ", 60)
        assert all(text_width(line, 6.5) <= 1.0 for line in lines)
        assert wrapped("hospital/qwen2_5-vl", 0.6, 6.5) == "hospital/\nqwen2_5-vl"


def test_figures_keep_drawing_and_lose_everything_else():
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 300 150">'
        "<title>T</title><script>alert(1)</script><style>*{}</style><foreignObject><p>x</p></foreignObject>"
        '<image xlink:href="https://example.invalid/x.png"/><a xlink:href="javascript:x"><text>in a link</text></a>'
        '<g onclick="alert(1)" style="fill: currentColor; background: url(//example.invalid); font: bold 9px Sans">'
        '<use xlink:href="#m1"/><use xlink:href="other.svg#m1"/><rect fill="url(#p)" stroke="URL( \'//x\')"/>'
        "<text>a &lt;b&gt; c</text></g></svg>"
    )
    assert ElementTree.tostring(safe_svg(svg, "a-"), encoding="unicode") == (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 300 150"><g fill="currentColor" font-weight="bold" '
        'font-size="9px" font-family="Sans"><use href="#a-m1" /><use /><rect fill="url(#a-p)" />'
        "<text>a &lt;b&gt; c</text></g></svg>"
    )
