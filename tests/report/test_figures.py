import json
import re
import warnings
from xml.etree import ElementTree

import pytest
from matplotlib.text import Text
from PIL import Image

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.report.figures import themed_svgs, write_figures
from medqbench_vlmeval.report.figures.draw import colour_range, draw
from medqbench_vlmeval.report.figures.plots import Confusion, caption_of, figures_of, notes_of
from medqbench_vlmeval.report.figures.style import drawing_settings, look_of, safe_svg, text_width, wrapped
from medqbench_vlmeval.report.standings import run_labels, shortened
from medqbench_vlmeval.runs.result import parts_of
from tests.report.examples import combined_score, perception_score
from tests.report.many import HOSTILE, cell, perception, reasoning

SVG = "{http://www.w3.org/2000/svg}"


def named(scores):
    return {figure.name: figure for figure in figures_of(scores)}


def parsed(svg):
    return ElementTree.fromstring(svg)  # noqa: S314  # our own


# The data


def test_figures_hold_the_cells_of_the_result():
    score = perception("A", 20)
    found = named([score])
    for stem, axis in (("radar_modality", "modality"), ("heatmap_modality", "modality"), ("severity", "severity")):
        (run,) = found[f"{stem}_perception"].runs
        for group, known in score["groups"][axis].items():
            point = run.points[group]
            assert (point.value, point.low, point.high) == (known["accuracy"], known["low"], known["high"])
            assert (point.n, point.few) == (known["n"], known["n"] < 10)
    (run,) = found["bars_question_type_perception"].runs
    for measure in ("Yes-or-No", "What", "How", "Overall"):
        point = run.points[measure]
        assert point.value == score[measure]
        assert [point.low, point.high] == score["intervals"][measure]
    assert run.points["Overall"].n == 1305
    assert run.points["How"].n == 489


def test_figures_of_reasoning_hold_sums_and_means():
    found = named([reasoning("comparative")])
    assert set(found) == {"bars_dimension_comparative", "heatmap_modality_comparative"}
    (run,) = found["bars_dimension_comparative"].runs
    assert {name: point.value for name, point in run.points.items()} == {
        "Completeness": 1.1,
        "Preciseness": 0.9,
        "Consistency": 1.7,
        "Quality Accuracy": 1.4,
        "Overall": 5.1,
    }
    assert run.points["Consistency"].ends == pytest.approx((1.6, 1.8))
    (run,) = found["heatmap_modality_comparative"].runs
    assert (run.points["CT"].value, run.points["CT"].n, run.points["CT"].ends) == (5.1 + 0.1, 125, None)
    assert run.points["MRI"].few


def test_confusion_holds_the_counts_of_the_finding():
    figure = named([perception()])["confusion_perception"]
    assert isinstance(figure, Confusion)
    (matrix,) = figure.matrices
    assert matrix.levels == ("good", "reject")
    assert matrix.counts == ((25, 5), (5, 15))
    assert matrix.n == 50


def test_lines_are_the_published_ones():
    found = named([perception(), reasoning()])
    best, human = found["bars_question_type_perception"].references
    assert (best.label, best.values["Overall"]) == ("GPT-5, highest published", 68.97)
    assert human.values == {"Overall": 82.5}
    assert found["severity_perception"].references[0].values["mild"] == 82.5
    assert found["bars_dimension_no-reference"].references[0].values["Overall"] == 5.679
    assert len(found["bars_dimension_no-reference"].references) == 1


def test_runs_stand_best_first_and_those_that_are_not_comparable_last():
    apart = perception("Best", comparable=False, not_comparable_because=["another judge"])
    figure = named([perception("Low", 90), apart, perception("High", 10)])["severity_perception"]
    assert [run.shown for run in figure.runs] == ["High", "Low", "Best\N{NO-BREAK SPACE}†"]
    caption = caption_of(figure)
    assert "Not comparable with the published results: Best (another judge)." in caption
    # A run looks the same in all figures: its place is that of its first appearance.
    assert {run.label: run.place for run in figure.runs} == {"Low": 0, "Best": 1, "High": 2}


def test_runs_of_different_data_are_said_to_be_so():
    dev = perception("B", dataset="MedQBench_Perception_dev")
    figure = named([perception("A"), dev])["radar_modality_perception"]
    assert "different data" in caption_of(figure)
    same = named([perception("A"), perception("B")])["radar_modality_perception"]
    assert "different data" not in caption_of(same)


def test_tasks_stand_apart_and_what_the_data_lack_is_left_out():
    found = named([perception_score("A"), combined_score("A")])
    # Two modalities make no radar; the example has no confusion and, in reasoning, no severity.
    assert set(found) == {
        "bars_question_type_perception",
        "severity_perception",
        "heatmap_modality_perception",
        "bars_dimension_no-reference",
        "heatmap_modality_no-reference",
        "bars_dimension_comparative",
        "heatmap_modality_comparative",
    }


def test_a_result_without_groups_and_numbers_has_no_figures(tmp_path):
    nothing = dict.fromkeys(("Overall", "Yes-or-No", "What", "How"))
    empty = perception_score("A", **nothing, groups={}, intervals={}, n=0)
    assert figures_of([empty]) == []
    assert write_figures([empty], tmp_path / "out") == []
    assert themed_svgs([]) == {}
    assert not (tmp_path / "out").exists()


def test_a_group_that_only_one_run_has():
    other = perception("B", groups={"modality": {"CT": {"accuracy": 50.0, "low": 40.0, "high": 60.0, "n": 100}}})
    figure = named([perception("A"), other])["heatmap_modality_perception"]
    assert figure.groups == ("CT", "MRI", "Endoscopy", "Fundus", "Overall")
    assert figure.counts("CT") == (100, 400)
    assert [sorted(run.points) for run in figure.runs if run.label == "B"] == [["CT", "Overall"]]


def test_what_is_no_result_is_refused(tmp_path):
    with pytest.raises(BadInput):
        write_figures([{"task": "chess"}], tmp_path)


# Names


def test_labels_differ_and_are_short():
    parts = [part for name in HOSTILE for part in parts_of(perception_score(name))]
    labels = run_labels(parts)
    assert len(set(labels)) == len(HOSTILE)
    assert all(len(label) <= 42 and label.isprintable() for label in labels)
    assert labels[4].endswith("12500")
    assert labels[5].endswith("13000")


def test_runs_of_one_model_are_told_apart_by_what_differs():
    judged = [reasoning(model="M"), reasoning(model="M")]
    judged[1]["settings"] = {**judged[1]["settings"], "judge": {"name": "gpt-4o"}}
    assert run_labels([parts_of(score)[0] for score in judged]) == ["M (rules)", "M (gpt-4o)"]
    twins = [parts_of(perception_score("M"))[0]] * 3
    assert run_labels(twins) == ["M", "M #2", "M #3"]


def test_a_cut_keeps_both_ends():
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghijk", 6) == "ab…ijk"
    # Two columns a character: one, the cut, and one of the end.
    assert shortened("图像质量评价", 6) == "图…价"


def test_looks_repeat_late():
    assert len({look_of(place) for place in range(84)}) == 84


# The drawings


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    scores = [perception(HOSTILE[0]), perception(HOSTILE[1], 50, comparable=False)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return folder, scores, write_figures(scores, folder)


def test_files_are_whole(written):
    folder, _, paths = written
    assert {path.name for path in paths} == {path.name for path in folder.iterdir()}
    assert {path.suffix for path in paths} == {".png", ".svg", ".md"}
    assert len(paths) == 11
    for path in paths:
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert image.width >= 1000
                assert len(image.convert("L").getcolors(256) or ()) > 20
        elif path.suffix == ".svg":
            root = parsed(path.read_text("utf-8"))
            assert root.find(f"{SVG}title").text
            assert "percent" in root.find(f"{SVG}desc").text or "counts" in root.find(f"{SVG}desc").text
            assert not [one for one in root.iter() if one.tag in (f"{SVG}script", f"{SVG}foreignObject")]
            assert "<script" not in path.read_text("utf-8")


def test_text_in_svg_is_text_and_names_are_as_they_are(written):
    folder, _, _ = written
    text = "".join(parsed((folder / "heatmap_modality_perception.svg").read_text("utf-8")).itertext())
    assert "68.97" in text
    assert "书生·万象" in text
    # A name that looks like markup is shortened as text, and not changed where ids are.
    assert '`id="figure"`' in text
    assert "\x00" not in text


def test_captions_say_what_is_not_comparable(written):
    folder, _, _ = written
    captions = (folder / "captions.md").read_text("utf-8")
    assert captions.count("## ") == 5
    assert "Not comparable with the published results" in captions
    assert "<script" not in captions


def test_the_same_results_give_the_same_bytes(written, tmp_path):
    folder, scores, paths = written
    again = write_figures(json.loads(json.dumps(scores)), tmp_path)
    assert [path.name for path in again] == [path.name for path in paths]
    for path in again:
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_inline_figures_follow_the_page(written):
    _, scores, _ = written
    found = themed_svgs(scores)
    ids: list[str] = []
    for name, svg in found.items():
        root = parsed(svg)
        assert svg.startswith("<svg")
        assert root.get("role") == "img"
        assert root.find(f"{SVG}title").get("id") in root.get("aria-labelledby").split()
        own = [one.get("id") for one in root.iter() if one.get("id")]
        assert all(one.startswith(f"{name}-") for one in own)
        links = re.findall(r'(?:url\(#|href="#)([^")]+)', svg)
        assert set(links) <= set(own)
        ids += own
        assert "currentColor" in svg
        assert "#0b0c0e" not in svg
        # Rules would hold for the whole page.
        assert "<style" not in svg
        assert "http://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", svg)
    assert len(ids) == len(set(ids))


def test_a_dozen_runs_get_a_panel_each():
    radar = named([perception(f"Model {n}", n) for n in range(12)])["radar_modality_perception"]
    with drawing_settings():
        drawing = draw(radar).drawing
    assert len(drawing.axes) == 12
    assert drawing.get_figwidth() == 7.2


def test_nearly_equal_numbers_look_so():
    cells = {"modality": {"CT": cell(50, 100), "MRI": cell(52, 100)}}
    same = {"Overall": 51.0, "groups": cells, "findings": {}}
    low, high = colour_range(named([perception("A", **same)])["heatmap_modality_perception"])
    assert (low, high) == pytest.approx((41.0, 61.0))


def test_drawing_leaves_a_users_settings_alone(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    themed_svgs([perception_score(groups={}, findings={})])
    assert dict(matplotlib.rcParams) == before


def test_groups_and_levels_are_text_whatever_they_hold(tmp_path):
    bad = "\x00\x0b \ud800 \ufffe\uffff\r\n $x$ </svg><script>&"
    score = perception("m" + bad)
    for axis in ("modality", "severity"):
        score["groups"][axis] = {name + bad: found for name, found in score["groups"][axis].items()}
    scales = {"quality" + bad: {"good" + bad: {"good" + bad: 3, "reject" + bad: 1}}}
    score["findings"]["level_confusion"]["details"]["scales"] = scales
    written = write_figures([score], tmp_path)
    assert {path.stem for path in written} >= {"radar_modality_perception", "confusion_perception"}
    for path in written:
        if path.suffix == ".svg":
            texts = "".join(ElementTree.fromstring(path.read_text("utf-8")).itertext())  # noqa: S314 - our own
            assert "\ufffe" not in texts
    assert "CT\ufffd" in (tmp_path / "captions.md").read_text("utf-8")


def many_groups(n, runs=2):
    """Runs with ``n`` modalities of long names, the first ones of the fewest samples."""
    names = {f"{place:02} a modality with quite a long name": cell(20, 40 + place) for place in range(n)}
    scores = [perception(f"Model-{run}") for run in range(runs)]
    for score in scores:
        score["groups"]["modality"] = names
    return scores


def test_of_many_groups_the_largest_are_drawn_and_the_rest_is_said():
    plots = {figure.kind: figure for figure in figures_of(many_groups(14)) if not isinstance(figure, Confusion)}
    assert [group[:2] for group in plots["heatmap"].groups] == [f"{place:02}" for place in range(5, 14)] + ["Ov"]
    assert [group[:2] for group in plots["radar"].groups] == [f"{place:02}" for place in range(2, 14)]
    assert (plots["heatmap"].left_out, plots["radar"].left_out) == (5, 2)
    assert "The largest groups are drawn, 5 more are in the workbooks." in caption_of(plots["heatmap"])


def texts_of(drawing):
    """All that is written in a drawing, with its box in dots."""
    drawing.draw_without_rendering()
    texts = [text for text in drawing.findobj(Text) if text.get_visible() and text.get_text()]
    return [(text.get_text(), text.get_window_extent()) for text in texts]


@pytest.mark.parametrize(("n", "runs"), [(4, 2), (14, 2), (4, 5), (14, 5)])
@pytest.mark.parametrize("kind", ["bars", "heatmap", "radar", "curve", "confusion"])
def test_texts_stay_inside_and_apart(kind, n, runs):
    (figure,) = [figure for figure in figures_of(many_groups(n, runs)) if figure.kind == kind]
    with drawing_settings():
        sheet = draw(figure)
        room = sheet.box.transformed(sheet.drawing.dpi_scale_trans)
        found = texts_of(sheet.drawing)
    for place, (text, box) in enumerate(found):
        assert room.x0 <= box.x0 and box.x1 <= room.x1 and room.y0 <= box.y0 and box.y1 <= room.y1, text
        overlapping = [other for other, at in found[:place] if box.padded(-1).overlaps(at)]
        assert not overlapping, (text, overlapping)


def test_names_around_a_small_radar_are_numbers_where_they_are_long_or_many():
    """Five runs have a panel each; the notes say which number is which group."""
    (radar,) = [figure for figure in figures_of(many_groups(14, 5)) if figure.kind == "radar"]
    assert radar.numbered
    assert "(1) 02 a modality with quite a long name 42, (2) 03 a modality" in ". ".join(notes_of(radar))


def test_known_modalities_are_named_in_full():
    names = ("CT", "MRI", "Histopathology", "Endoscopy", "Fundus")
    score = perception(groups={"modality": {name: cell(20, 40) for name in names}})
    for scores in ([score], [{**score, "model": f"m{run}"} for run in range(5)]):
        for figure in figures_of(scores):
            if figure.kind in ("radar", "heatmap"):
                with drawing_settings():
                    words = " ".join(text for text, _ in texts_of(draw(figure).drawing))
                assert all(name in words for name in names), figure.kind


def test_lines_break_behind_blanks_and_marks_else_anywhere():
    with drawing_settings():
        lines = wrapped("qwen2_5-vl-7b is a model; " + "x" * 60, 1.0, 6.5).split("\n")
        assert lines[0] == "qwen2_5-vl-7b is a"
        assert lines[1] == "model;"
        assert "".join(lines[2:]) == "x" * 60
        assert all(text_width(line, 6.5) <= 1.0 for line in lines)


def test_figures_keep_drawing_and_lose_everything_else():
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 300 150">'
        "<title>T</title><script>alert(1)</script><style>*{}</style><foreignObject><p>x</p></foreignObject>"
        '<image xlink:href="https://example.invalid/x.png"/><a xlink:href="javascript:x"><text>in a link</text></a>'
        '<g onclick="alert(1)" style="fill: currentColor; background: url(//example.invalid); font: bold 9px Sans">'
        '<use xlink:href="#m1"/><use xlink:href="other.svg#m1"/><rect fill="url(#p)" stroke="URL( \'//x\')"/>'
        "<text>a &lt;b&gt; c</text></g></svg>"
    )
    safe = safe_svg(svg, "a-")
    assert ElementTree.tostring(safe, encoding="unicode") == (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 300 150"><g fill="currentColor" font-weight="bold" '
        'font-size="9px" font-family="Sans"><use href="#a-m1" /><use /><rect fill="url(#a-p)" />'
        "<text>a &lt;b&gt; c</text></g></svg>"
    )
