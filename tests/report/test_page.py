"""The page's file: what it holds, and that nothing in it is markup, a script or an address of somebody else."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.report import page as page_room
from medqbench_vlmeval.report.page import is_page, rating, write_page
from medqbench_vlmeval.report.page.page import LIVE, LIVE_STYLE, SCRIPTS, STYLES, json_text
from medqbench_vlmeval.report.thumbnails import (
    FEW_IMAGES,
    LARGE,
    MANY_IMAGES,
    SMALL,
    SMALLEST,
    find_image,
    make_thumbnails,
)
from tests import make
from tests.report import page_runs
from tests.report.page_runs import CLOSING, LONG, MARKUP, RTL, data_of

ASSETS = Path(page_room.__file__).parent / "assets"


def elements(text: str) -> list[tuple[str, dict[str, str | None]]]:
    """Every element of a page with its attributes, as a browser's parser would meet them."""
    parser, elements = HTMLParser(), []
    parser.handle_starttag = lambda tag, attributes: elements.append((tag, dict(attributes)))
    parser.feed(text)
    return elements


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of two runs with images, and a hostile one."""
    folder = tmp_path_factory.mktemp("pages")
    root = folder / "store"
    runs = page_runs.three_runs(root)
    made = {"plain": folder / "new" / "plain.html", "hostile": folder / "hostile.html"}
    write_page(made["plain"], runs, root)
    write_page(made["hostile"], [page_runs.hostile_run()], root)
    return made


@pytest.mark.slow
def test_a_sample_an_image_and_a_reply_are_held_once(pages: dict[str, Path], tmp_path: Path) -> None:
    # The same runs and images give the same bytes.
    root = pages["hostile"].parent / "store"
    write_page(tmp_path / "again.html", page_runs.three_runs(root), root)
    assert pages["plain"].read_bytes() == (tmp_path / "again.html").read_bytes()
    data = data_of(pages["plain"])
    assert [len(answers) for answers in data["answers"]] == [5, 5, 3]
    assert len(data["samples"]) == 5 + 3
    assert [answer["s"] for answer in data["answers"][0]] == [answer["s"] for answer in data["answers"][1]]
    assert [answer["outcome"] for answer in data["answers"][0]] == ["right", "right", "right", "wrong", "no answer"]
    assert [answer["bad"] for answer in data["answers"][1]] == [False] * 5
    first = data["answers"][2][0]
    assert [verdict.get("reply") for verdict in first["verdicts"]] == ["One reply for all of them.", None, None, None]
    assert [verdict.get("same") for verdict in first["verdicts"]] == [None, 0, 0, 0]
    assert (first["sum"], first["stated"], first["reference"]) == (7, "1", "2")
    pictures = data_of(pages["plain"], "pictures")
    assert len(pictures) == 5 + 2
    name, width, height, uri, shown = pictures[0]
    assert (width, height, shown) == (64, 48, 64)
    assert name.endswith(".png")
    with Image.open(BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        assert image.size == (64, 48)


def test_own_runs_and_published_rows_are_told_apart(pages: dict[str, Path]) -> None:
    board = data_of(pages["plain"])["boards"][0]
    own = [row for row in board["rows"] if row["run"] is not None]
    assert [(row["kind"], row["model"], row["run"]) for row in own] == [("own", "Model-Y", 1), ("own", "Model-X", 0)]
    assert own[1]["because"] == ["embedded set"]
    assert own[1]["intervals"][0] == pytest.approx([23.07, 88.24], abs=0.01)
    rest = [row for row in board["rows"] if row["run"] is None]
    assert {row["kind"] for row in rest} == {"published"}
    assert all(row["source"] for row in rest)


def test_two_runs_of_one_name_have_two_keys_and_two_rows(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", [page_runs.perception_run()] * 2, None)
    data = data_of(tmp_path / "page.html")
    name = "Model-X_MedQBench_Perception_mini"
    assert [run["key"] for run in data["runs"]] == [name, f"{name}-2"]
    assert sorted(row["run"] for row in data["boards"][0]["rows"] if row["run"] is not None) == [0, 1]


@pytest.mark.slow
def test_a_combined_run_is_one_run_with_two_tasks(tmp_path: Path) -> None:
    combined = make.combined_run()
    samples = [replace(row.sample, index=str(index)) for index, row in enumerate(combined.rows[3:], 1)]
    rows = tuple(replace(row, sample=sample) for row, sample in zip(combined.rows[3:], samples, strict=True))
    alone = replace(make.reasoning_run(task=Task.COMPARATIVE), rows=rows)
    write_page(tmp_path / "page.html", [combined, alone], None)
    data = data_of(tmp_path / "page.html")
    assert [part["task"] for part in data["runs"][0]["parts"]] == ["no-reference", "comparative"]
    # The single run's samples are the combined one's, under their own names.
    assert len(data["samples"]) == 6
    assert [answer["index"] for answer in data["answers"][1]] == ["1", "2", "3"]


def test_what_an_extractor_read_is_shown(tmp_path: Path) -> None:
    run = page_runs.perception_run()
    read = make.verdict("choice", 2, note="cut")
    write_page(tmp_path / "page.html", [replace(run, rows=(replace(run.rows[4], choice=read),))], None)
    (answer,) = data_of(tmp_path / "page.html")["answers"][0]
    assert answer["extractor"] == {"letter": "B", "reply": "Score: 2", "judge": "judge-x", "note": "cut"}
    assert (answer["outcome"], answer["bad"], answer["reply"]) == ("no answer", True, "I cannot tell.")


def test_nothing_leads_to_a_network(pages: dict[str, Path]) -> None:
    for page in pages.values():
        for tag, attributes in elements(page.read_text("utf-8")):
            assert tag not in ("link", "iframe", "object", "embed", "base", "audio", "video", "source", "img")
            for name in ("src", "href", "action", "poster", "data", "srcset", "xlink:href"):
                value = attributes.get(name)
                assert value is None or value.startswith("#"), (tag, name, value)
            assert not [name for name in attributes if name.startswith("on")]
            assert "style" not in attributes
    style = "".join((ASSETS / name).read_text("utf-8") for name in STYLES)
    assert not re.search(r"url\(|@import", style)


def test_the_policy_allows_this_style_and_script_alone(pages: dict[str, Path]) -> None:
    text = pages["hostile"].read_text("utf-8")
    policy = next(a["content"] for _, a in elements(text) if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src 'self' data:; ")
    assert "unsafe" not in policy
    for kind in ("style", "script"):
        (body,) = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_hostile_texts_are_data_and_come_out_as_they_were(pages: dict[str, Path]) -> None:
    text = pages["hostile"].read_text("utf-8")
    assert "<img" not in text
    assert CLOSING not in text
    assert "\u2028" not in text
    assert [tag for tag, _ in elements(text)].count("script") == 3
    data = data_of(pages["hostile"])
    replies = [answer["reply"] for answer in data["answers"][0]]
    assert replies == [CLOSING, MARKUP, RTL, LONG, "lone \ufffd surrogate \x00 and \x1b[31m"]
    assert data["runs"][0]["model"] == MARKUP + RTL
    # Names that lead out of the folder name no image.
    assert data_of(pages["hostile"], "pictures") == [["passwd"], ["hosts"]]


@pytest.mark.slow
def test_characters_that_no_font_has_keep_nothing_from_being_drawn(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", [page_runs.harsh_run()], None)
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "a\ufffd\ufffd" in text[text.index("<svg") : text.index('<script type="application/json"')]
    answers = data_of(tmp_path / "page.html")["answers"][0]
    assert answers[0]["kinds"] == ["toString", "W" * 10_000]


@given(st.recursive(st.text() | st.floats(allow_nan=False, allow_infinity=False), st.lists))
def test_json_for_a_script_element_closes_none(value: object) -> None:
    text = json_text(value)
    assert not re.search("[<>&\u2028\u2029]", text)
    text.encode()


def test_scripts_never_make_markup_or_code_of_a_text() -> None:
    for name in (*SCRIPTS, LIVE, *rating.SCRIPTS):
        # The name of SVG's namespace is no address that is asked.
        text = (ASSETS / name).read_text("utf-8").replace('"http://www.w3.org/2000/svg"', "")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|import\(", text
        )
        # The served page's own script alone asks for anything.
        assert not re.search(r"XMLHttpRequest|WebSocket|sendBeacon|https?:" + r"|fetch\(" * (name != LIVE), text)
        assert "</script" not in text
    of_ratings = {*rating.SCRIPTS, *rating.STYLES, "rating.html.j2", "image_rating.html.j2"}
    assert {path.name for path in ASSETS.iterdir()} == {
        *SCRIPTS,
        LIVE,
        LIVE_STYLE,
        *STYLES,
        "page.html.j2",
    } | of_ratings


def test_only_plain_names_of_files_in_the_folder_find_an_image(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for folder in ("a", "folder.png"):
        (root / folder).mkdir(parents=True)
    for path in (tmp_path / "out.png", root / "a" / "b.png", root / ".hidden.png", root / "in.png"):
        path.write_bytes(b"x")
    (root / "link.png").symlink_to(tmp_path / "out.png")
    (root / "loop.png").symlink_to(root / "loop.png")
    names = ("..", ".", "", "../out.png", "/etc/passwd", "a/b.png", "a\\b.png", "C:x", "n\0.png", ".hidden.png")
    for name in (*names, "\ud800", "x" * 300, "link.png", "loop.png", "folder.png"):
        assert find_image(root, name) is None, name
    assert find_image(root, "in.png") == (root / "in.png").resolve()


@pytest.mark.slow
def test_the_embedded_images_are_for_the_embedded_set_alone(tmp_path: Path) -> None:
    other = make.make_run(page_runs.questions(images=("ct-01.png",)))
    data = {"perception": replace(other.result.settings.data["perception"], origin="embedded")}
    embedded = replace(other, result=replace(other.result, settings=replace(other.result.settings, data=data)))
    write_page(tmp_path / "embedded.html", [embedded], None)
    write_page(tmp_path / "other.html", [other], tmp_path)
    assert len(data_of(tmp_path / "embedded.html", "pictures")[0]) == 5
    assert data_of(tmp_path / "other.html", "pictures") == [["ct-01.png"]]


def test_images_that_cannot_be_decoded_are_absent_and_no_error(tmp_path: Path) -> None:
    good = page_runs.image_bytes((1, 2, 3))
    # Announces 60,000 x 60,000 pixels in 70 bytes.
    huge = good[:16] + (60_000).to_bytes(4, "big") * 2 + good[24:]
    files = {
        "good.png": good,
        "cut.png": good[:60],
        "text.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "eps.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "huge.png": huge,
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    names = (*files, "absent.png")
    made = make_thumbnails([*(tmp_path / name for name in names), None])
    assert [thumbnail is not None for thumbnail in made] == [True, False, False, False, False, False, False]


def test_transparent_images_lie_on_black(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (255, 255, 255, 0)).save(tmp_path / "clear.png")
    Image.new("CMYK", (8, 8)).save(tmp_path / "cmyk.jpg")
    Image.new("P", (8, 8)).save(tmp_path / "palette.gif")
    made = make_thumbnails(sorted(tmp_path.iterdir()))
    pictures = [Image.open(BytesIO(small.data)).convert("L").getextrema() for small in made if small]
    assert [pictures[0], len(pictures)] == [(0, 0), 3]


def test_thumbnails_hold_no_metadata(tmp_path: Path) -> None:
    image = Image.new("RGB", (32, 32))
    exif = image.getexif()
    exif[0x010E] = "PATIENT NAME"
    image.save(tmp_path / "x.jpg", exif=exif, icc_profile=b"PROFILE" * 50, comment=b"PATIENT NAME")
    (made,) = make_thumbnails([tmp_path / "x.jpg"])
    assert made is not None
    assert not re.search(b"PATIENT|PROFILE", made.data)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "side"), [(FEW_IMAGES, LARGE), (FEW_IMAGES + 1, SMALL), (MANY_IMAGES + 1, SMALLEST)])
def test_many_images_have_small_thumbnails(tmp_path: Path, n: int, side: int) -> None:
    Image.new("L", (700, 350)).save(tmp_path / "x.png")
    made = make_thumbnails([None, *[tmp_path / "x.png"] * n])
    assert {(small.size, small.width) for small in made if small} == {((700, 350), side)}


def test_contrast_is_enough_in_both_themes() -> None:
    """WCAG 2.2: 4.5 to 1 for text, on every ground that the page has."""

    def luminance(colour: str) -> float:
        channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    text = (ASSETS / "theme.css").read_text("utf-8")
    themes = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in re.findall(r"\{[^{}]*\}", text)]
    themes = [theme for theme in themes if "ink" in theme]
    assert len(themes) == 3
    assert themes[1] == themes[2]
    for theme in themes:
        inks, grounds = ("ink", "faint", "accent", "good", "bad", "warn"), ("ground", "panel", "raised", "own")
        pairs = [(ink, ground) for ink in inks for ground in grounds]
        for ink, ground in [*pairs, ("on-accent", "accent"), ("ink", "mark")]:
            low, high = sorted((luminance(theme[ink]), luminance(theme[ground])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, ground)


def test_what_cannot_be_made_or_written_is_said(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(BadInput, match="no run"):
        write_page(path, [], None)
    assert path.read_text() == "old"
    assert not is_page(path)
    with pytest.raises(RunFailed, match="cannot be written"):
        write_page(path / "page.html", [page_runs.perception_run()], None)


@pytest.mark.slow
def test_the_whole_benchmark_fits(tmp_path: Path) -> None:
    """3,308 samples with 2,000 images stay below 15 MB."""
    root = tmp_path / "store"
    noise = [Image.effect_noise((256, 256), 10 + 2 * place) for place in range(20)]
    names = []
    for place in range(2_000):
        out = BytesIO()
        noise[place % 20].rotate(place // 20 * 3).save(out, "JPEG", quality=90)
        names.append(page_runs.stored(root, out.getvalue(), "jpg"))
    run = make.make_run(page_runs.questions(3_308, names))
    rows = [
        replace(row, prediction=replace(row.prediction, text=f"{place} " + "The image shows noise and blur. " * 40))
        for place, row in enumerate(run.rows)
    ]
    write_page(tmp_path / "page.html", [replace(run, rows=tuple(rows))], root)
    assert (tmp_path / "page.html").stat().st_size < 15_000_000
    assert sum(len(picture) == 5 for picture in data_of(tmp_path / "page.html", "pictures")) == 2_000


def luminance(colour: str) -> float:
    """WCAG 2.1's relative luminance of '#rrggbb' or '#rgb'."""
    digits = colour.lstrip("#") if len(colour) == 7 else "".join(2 * digit for digit in colour.lstrip("#"))
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_texts_have_the_contrast_of_wcag_aa_in_each_theme():
    assert luminance("#ffffff") == pytest.approx(1) and luminance("#000") == 0
    blocks = re.findall(r"\{\s*color-scheme: \w+;(.*?)\}", (ASSETS / "theme.css").read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 4  # light, dark by the system, dark by choice, print
    for block in blocks:
        tokens = dict(re.findall(r"--([\w-]+): (#\w+);", block))
        for ground in ("ground", "panel", "raised", "own"):
            for ink in ("ink", "faint", "accent", "good", "bad", "warn"):
                low, high = sorted((luminance(tokens.get(ground, "#fff")), luminance(tokens[ink])))
                assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, ground, tokens)
