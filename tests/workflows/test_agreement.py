"""Rating sheets: what is drawn, what a rater can see, and how ratings find their answers again."""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from medqbench_vlmeval.benchmark import DIMENSIONS
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.workflows.agreement import compare_ratings, write_comparison
from medqbench_vlmeval.workflows.rating_sheets import draw_ratings, read_ratings, shares
from tests.make import Answered, perception_run
from tests.report.page_runs import image_bytes
from tests.workflows.ratings import HEADER, fill, rated, write_run, write_table

MODALITIES = ("CT", "MRI", "Fundus")
PNG = image_bytes((9, 9, 9))


def rows_of(n: int) -> list[Answered]:
    """Answers of two tasks and three modalities with texts of their own."""
    return [
        rated(
            f"sample-{i:04}",
            (i % 3, 2, 1, 2 * (i % 2)),
            "comparative" if i % 2 else "no-reference",
            MODALITIES[i % 3],
            f"Answer {sha256_text(str(i))[:12]}.",
        )
        for i in range(n)
    ]


def key_of(path: Path) -> dict[str, Any]:
    return json.loads(path.with_name(f"{path.stem}_key.json").read_text(encoding="utf-8"))["ratings"]


def sheet_rows(path: Path) -> list[tuple[Any, ...]]:
    return list(load_workbook(path)["Ratings"].iter_rows(values_only=True))


def test_the_sheet_has_texts_and_empty_cells(tmp_path: Path) -> None:
    run = write_run(tmp_path, rows_of(12))
    drawn = draw_ratings([run], 6, tmp_path / "r.xlsx")
    header, *rows = sheet_rows(tmp_path / "r.xlsx")
    titles = ("Completeness", "Preciseness", "Consistency", "Quality Accuracy")
    assert header == ("rating id", "task", "reference", "answer", *titles, "comment")
    assert (drawn.n, len(rows), drawn.n_eligible) == (6, 6, 12)
    # Two tasks by three modalities, two samples each: half of 12 is one of each stratum.
    assert set(drawn.strata.values()) == {1}
    by_index = {answered.sample.index: answered for answered in rows_of(12)}
    key = key_of(tmp_path / "r.xlsx")
    for rating_id, task, reference, answer, *empty in rows:
        entry = key[rating_id]
        source = by_index[entry["index"]]
        assert (task, reference) == (source.sample.task.value, source.sample.description)
        assert answer == source.prediction.text
        assert entry["answer_sha256"] == sha256_text(answer)
        assert (entry["run"], entry["model"]) == ("Model-X_MedQBench_Reasoning", "Model-X")
        assert empty == [None] * 5


def test_nothing_in_the_file_says_whose_the_answers_are(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    for model in ("Secret-7B", "Hidden-72B"):
        write_run(folder, rows_of(30), model, judge="judge-canary")
    draw_ratings([folder], 40, tmp_path / "r.xlsx")
    traces = re.compile(rb"Secret|Hidden|7B|72B|judge-canary|sample-\d|samples\.jsonl|MedQBench_|CT\b|Fundus|Score: ")
    with zipfile.ZipFile(tmp_path / "r.xlsx") as archive:
        for name in archive.namelist():
            assert not traces.search(archive.read(name)), name
    book = load_workbook(tmp_path / "r.xlsx")
    assert book.sheetnames == ["Ratings", "Guide"]
    assert {sheet.sheet_state for sheet in book} == {"visible"}
    # Nor does the order: the runs alternate as they would by chance.
    runs = [entry["run"] for _, entry in sorted(key_of(tmp_path / "r.xlsx").items())]
    assert [row[0] for row in sheet_rows(tmp_path / "r.xlsx")[1:]] == sorted(key_of(tmp_path / "r.xlsx"))
    assert 8 < sum(item != other for item, other in pairwise(runs)) < 32


def test_a_draw_can_be_repeated_anywhere(tmp_path: Path) -> None:
    for name in ("one", "other"):
        rows = rows_of(60)
        run = write_run(tmp_path / name, rows if name == "one" else rows[::-1])
        draw_ratings([run], 20, tmp_path / name / "r.xlsx", seed=3)
    assert sheet_rows(tmp_path / "one" / "r.xlsx") == sheet_rows(tmp_path / "other" / "r.xlsx")
    draw_ratings([run], 20, tmp_path / "more.xlsx", seed=4)
    drawn = [
        {entry["index"] for entry in key_of(path).values()}
        for path in (tmp_path / "one/r.xlsx", tmp_path / "more.xlsx")
    ]
    assert drawn[0] != drawn[1]


sizes = st.dictionaries(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.sampled_from("12")), st.integers(1, 40), min_size=1
)


@given(sizes, st.integers(1, 300))
def test_places_are_in_proportion(strata: dict[tuple[str, str, str], int], n: int) -> None:
    result = shares(strata, n)
    total = sum(strata.values())
    assert sum(result.values()) == min(n, total)
    for stratum, size in strata.items():
        assert 0 <= result[stratum] <= size
        assert abs(result[stratum] - min(n, total) * size / total) < 1


def test_largest_remainders_by_hand() -> None:
    # Of 10 places for 6, 3 and 2 of 11: 5.45, 2.73, 1.82; the two left over go to the second and the third.
    strata = {("t", "m", name): size for name, size in (("a", 6), ("b", 3), ("c", 2))}
    assert list(shares(strata, 10).values()) == [5, 3, 2]


def test_what_cannot_be_rated_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = [*rows_of(4), rated("failed-1", None), rated("long-1", answer="x" * 40_000)]
    rows.append(rated("unscored-1", (None, None, None, None)))
    drawn = draw_ratings([write_run(tmp_path, rows)], 200, tmp_path / "r.xlsx")
    assert (drawn.n, drawn.n_eligible, drawn.n_too_long, drawn.n_not_judged) == (4, 4, 1, 2)


def test_formulas_in_answers_are_texts(tmp_path: Path) -> None:
    rows = [rated("a-1", answer='=HYPERLINK("http://x")'), rated("a-2", answer="bad \x0b\ud800 text")]
    draw_ratings([write_run(tmp_path, rows)], 2, tmp_path / "r.xlsx")
    cells = [row[3] for row in load_workbook(tmp_path / "r.xlsx")["Ratings"].iter_rows(min_row=2)]
    assert {cell.data_type for cell in cells} == {"s"}
    filled = fill(tmp_path / "r.xlsx", tmp_path / "done.xlsx", dict.fromkeys(key_of(tmp_path / "r.xlsx"), (2, 2, 2, 2)))
    # The sheet shows U+FFFD for what a cell cannot hold; the hash is of the answer itself.
    result = compare_ratings(tmp_path / "Model-X_MedQBench_Reasoning_samples.jsonl", [filled])
    assert result.to_json()["n"] == 2


@pytest.mark.parametrize("there", ["r.xlsx", "r_key.json"])
def test_somebodys_work_is_never_overwritten(tmp_path: Path, there: str) -> None:
    run = write_run(tmp_path, rows_of(4))
    (tmp_path / there).write_text("mine", encoding="utf-8")
    with pytest.raises(BadInput, match="there already"):
        draw_ratings([run], 2, tmp_path / "r.xlsx")
    assert (tmp_path / there).read_text(encoding="utf-8") == "mine"
    assert len(list(tmp_path.glob("r*"))) == 1


def test_a_page_and_a_sheet_of_one_draw_share_their_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMUData", str(tmp_path / "data"))
    write_run(tmp_path / "outputs" / "deep" / "er", rows_of(8))
    drawn = draw_ratings([tmp_path / "outputs"], 4, tmp_path / "r.xlsx", html=tmp_path / "page.html")
    assert (drawn.page, drawn.key) == (tmp_path / "page.html", tmp_path / "page_key.json")
    # The images that the run names are not on this machine.
    assert drawn.n_no_image == 4
    assert {row[0] for row in sheet_rows(tmp_path / "r.xlsx")[1:]} == set(key_of(tmp_path / "page.html"))
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert all(rating_id in text for rating_id in key_of(tmp_path / "page.html"))
    # Long answers do not fit a cell, but a page.
    write_run(tmp_path / "long", [rated("long-1", answer="x" * 40_000)])
    assert draw_ratings([tmp_path / "long"], 4, html=tmp_path / "long.html").n_too_long == 0


@pytest.mark.parametrize("n", [1, 0])
def test_images_beyond_the_limit_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    monkeypatch.setenv("LMUData", str(tmp_path / "data"))
    store = tmp_path / "data" / "images" / "MedQBench"
    store.mkdir(parents=True)
    (store / "1.png").write_bytes(PNG)
    monkeypatch.setattr("medqbench_vlmeval.report.page.rating.MOST_BYTES", n * len(PNG))
    # Three answers on one image, which is in the page once.
    rows = [replace(row, sample=replace(row.sample, image_refs=("1.png",))) for row in rows_of(3)]
    run = write_run(tmp_path / "runs", rows)
    if n:
        assert draw_ratings([run], 3, html=tmp_path / "r.html").n_no_image == 0
        return
    with pytest.raises(BadInput, match=r"r\.html: the images have 0 MB, and at most 0 go into a page; draw fewer"):
        draw_ratings([run], 3, tmp_path / "r.xlsx", html=tmp_path / "r.html")
    assert not list(tmp_path.glob("r[._]*"))


def test_what_cannot_be_drawn_from(tmp_path: Path) -> None:
    run = write_run(tmp_path, rows_of(4))
    for verdicts, n, out, words in (
        ([run], 2, "r.csv", "xlsx"),
        ([run], 0, "r.xlsx", "--n 0"),
        ([run, run], 2, "r.xlsx", "named twice"),
        ([tmp_path / "no.jsonl"], 2, "r.xlsx", "does not exist"),
        ([write_run(tmp_path / "f", [rated("x-1", None)])], 2, "r.xlsx", "no judged answer"),
        ([run, write_run(tmp_path / "again", rows_of(4))], 2, "r.xlsx", "same name"),
    ):
        with pytest.raises(BadInput, match=words):
            draw_ratings(verdicts, n, tmp_path / out)
    assert not list(tmp_path.glob("r*"))
    for options, words in (
        ({}, "Name a rating page with --html"),
        ({"html": tmp_path / "r.htm"}, ".html is the ending of such"),
        ({"html": tmp_path / "r.html", "reference": "later"}, "--reference later: shown, hidden, after"),
    ):
        with pytest.raises(BadInput, match=words):
            draw_ratings([run], 2, **options)


def rated_sheet(tmp_path: Path, n: int = 12) -> tuple[Path, Path, dict[str, Any]]:
    """A run, an empty sheet of all its answers, and the key's entries."""
    run = write_run(tmp_path / "runs", rows_of(n))
    draw_ratings([run], n, tmp_path / "r.xlsx")
    return run, tmp_path / "r.xlsx", key_of(tmp_path / "r.xlsx")


def as_judged(entries: dict[str, Any], n: int = 12) -> dict[str, list[float | None]]:
    """By rating id, the judge's own scores."""
    by_index = {
        answered.sample.index: [verdict.score for verdict in answered.judged.verdicts.values()]
        for answered in rows_of(n)
    }
    return {rating_id: by_index[entry["index"]] for rating_id, entry in entries.items()}


def test_a_filled_sheet_finds_its_answers(tmp_path: Path) -> None:
    run, sheet, entries = rated_sheet(tmp_path)
    result = compare_ratings(run, [fill(sheet, tmp_path / "r_filled.xlsx", as_judged(entries))]).to_json()
    assert (result["n"], result["n_verdicts_unrated"], result["n_disagreements"]) == (12, 0, 0)
    assert {cell["accuracy"] for cell in result["dimensions"].values()} == {100.0}
    assert result["dimensions"]["Completeness"]["kappa"] == 1.0
    assert result["dimensions"]["Preciseness"]["kappa"] is None  # the judge always said 2
    assert result["raters"] == ["r_filled"]


def test_raters_have_a_median_and_are_compared_in_pairs(tmp_path: Path) -> None:
    run, sheet, entries = rated_sheet(tmp_path)
    scores = as_judged(entries)
    (wrong, *_) = scores
    lower = {**scores, wrong: [0 if score else 2 for score in scores[wrong]]}
    files = [
        fill(sheet, tmp_path / f"{name}.xlsx", given) for name, given in (("a", scores), ("b", lower), ("c", scores))
    ]
    result = compare_ratings(run, files, sheet.with_name("r_key.json"))
    assert result.to_json()["n_disagreements"] == 0  # two of three agree with the judge
    assert result.to_json()["dimensions"]["Preciseness"]["n_between_marks"] == 0
    against = result.to_json()["by_rater"]
    assert [against[name]["Preciseness"]["same"] for name in "abc"] == [100.0, pytest.approx(1100 / 12), 100.0]
    assert result.to_json()["between_raters"]["a"]["c"]["Preciseness"]["same"] == 100.0
    assert result.to_json()["between_raters"]["a"]["b"]["Preciseness"]["same"] == pytest.approx(1100 / 12)
    pair = compare_ratings(run, files[:2], sheet.with_name("r_key.json"))
    # The median of 2 and 0 is 1: one off.
    assert pair.to_json()["dimensions"]["Preciseness"]["n"] == 12
    (row,) = [entry for entry in pair.disagreements_to_json() if entry["dimension"] == "preciseness"]
    assert (row["judge"], row["rated"], row["ratings"]) == (2, 1.0, {"a": 2.0, "b": 0.0})
    assert row["index"] == entries[wrong]["index"]
    assert row["judge_said"] == "Score: 2"


def test_the_median_of_two_raters_may_lie_between_marks(tmp_path: Path) -> None:
    run = write_run(tmp_path, [rated("1", (1, 2, 2, 2)), rated("2", (2, 2, 2, 2))])
    first = write_table(tmp_path / "a.csv", HEADER, [("1", 1, 2, 2, 2), ("2", 2, 2, 2, 2)])
    second = write_table(tmp_path / "b.csv", HEADER, [("1", 2, 2, 2, 2), ("2", 2, 2, 2, 2)])
    result = compare_ratings(run, [first, second]).to_json()
    # 1.5 is half a point from 1 and from 2: neither verdict could have been the same.
    cell = result["dimensions"]["Completeness"]
    assert (cell["accuracy"], cell["n_between_marks"]) == (50.0, 1)
    assert {rater: cells["Completeness"]["same"] for rater, cells in result["by_rater"].items()} == {"a": 100, "b": 50}
    assert "by_rater" not in compare_ratings(run, [first]).to_json()


def test_notes_below_the_ratings_do_no_harm(tmp_path: Path) -> None:
    run, sheet, entries = rated_sheet(tmp_path)
    filled = fill(sheet, tmp_path / "r_filled.xlsx", as_judged(entries))
    book = load_workbook(filled)
    page = book["Ratings"]
    page.cell(page.max_row + 2, 1).value = "Note: done on Tuesday, see overleaf."
    book.save(filled)
    assert compare_ratings(run, [filled]).to_json()["n"] == 12
    page.cell(page.max_row, 5).value = 2
    book.save(filled)
    with pytest.raises(BadInput, match=r"row 15: the rating id 'Note: done on .*' is not in the key"):
        compare_ratings(run, [filled])
    table = write_table(tmp_path / "t.csv", HEADER, [("sample-0001", 2, 2, 2, 2), ("Tuesday", "", "", "", "")])
    assert compare_ratings(run, [table]).to_json()["n"] == 1
    rows = [("", 2, 2, 2, 2), ("", "", "", "", "")]
    with pytest.raises(BadInput, match="row 2: there are ratings, but the cell 'index' is empty"):
        compare_ratings(run, [write_table(tmp_path / "t.csv", HEADER, rows)])


def test_a_rater_who_filled_nothing_is_no_rater(tmp_path: Path) -> None:
    run, sheet, entries = rated_sheet(tmp_path)
    filled = fill(sheet, tmp_path / "anna.xlsx", as_judged(entries))
    with pytest.raises(BadInput, match=r"no cell is filled in yet, here or in another row of rater 'r'"):
        compare_ratings(run, [filled, sheet])


def test_another_sheet_in_front_is_named(tmp_path: Path) -> None:
    run, sheet, entries = rated_sheet(tmp_path)
    filled = fill(sheet, tmp_path / "r_filled.xlsx", as_judged(entries))
    book = load_workbook(filled)
    book.move_sheet("Guide", -1)
    book.save(filled)
    with pytest.raises(BadInput, match="the first row of the first sheet has How to rate"):
        compare_ratings(run, [filled])


def export(path: Path, entries: dict[str, Any], rater: str = "Anna", **changes: Any) -> Path:
    """What a rating page exports: ratings by rating id, and a comment on each."""
    ratings = [
        {"rating id": name, **dict(zip(DIMENSIONS, scores, strict=True)), "comment": f"on {name}"}
        for name, scores in entries.items()
    ]
    content = {"format": "medqbench ratings 1", "rater": rater, "reference": "hidden", "ratings": ratings}
    path.write_text(json.dumps({**content, **changes}), encoding="utf-8")
    return path


def test_exports_of_a_rating_page_are_read(tmp_path: Path) -> None:
    run, _, entries = rated_sheet(tmp_path)
    scores = as_judged(entries)
    first, second, *_ = scores
    partly = {**scores, first: [None, 2, None, 0], second: [None] * 4}
    compared = compare_ratings(run, [export(tmp_path / "a.json", scores), export(tmp_path / "b.json", partly, "Bo")])
    result = compared.to_json()
    assert result["raters"] == ["Anna", "Bo"]
    assert (result["n"], result["n_partly_rated"], result["reference"]) == (12, {"Bo": 2}, ["hidden"])
    assert [of["alpha"]["n"] for of in result["among_raters"].values()] == [10, 11, 10, 11]
    judged, others = compared.ratings.disagreements, compared.ratings.rater_disagreements
    assert {case.comments["Anna"] for case in (*judged, *others)} <= {f"on {first}", f"on {second}"}
    alone = compare_ratings(run, [export(tmp_path / "a.json", scores)]).to_json()
    assert (alone["among_raters"], alone["n_partly_rated"]) == ({}, {})


def test_exports_that_were_changed_are_refused(tmp_path: Path) -> None:
    run, _, entries = rated_sheet(tmp_path, 2)
    (one, two), whole = entries, dict.fromkeys(entries, (2, 2, 2, 2))
    rows = [{"rating id": one, **dict.fromkeys(DIMENSIONS, 2)}, {"rating id": two, "completeness": 1}]
    for changes, words in (
        ({"ratings": rows}, r"a\.json, row 2: no 'preciseness'; the export was changed"),
        ({"ratings": [*rows[:1], "R"]}, r"a\.json, row 2: no 'rating id'"),
        ({"ratings": [{**rows[0], "preciseness": 3}]}, r"a\.json, row 1, column 'preciseness': '3' is no rating"),
        ({"ratings": [{**rows[0], "preciseness": True}]}, r"row 1, column 'preciseness': 'True' is no rating"),
        ({"ratings": [{**rows[0], "rating id": "R-of-another"}]}, r"row 1: the rating id 'R-of-another' is not in the"),
        ({"ratings": [rows[0], rows[0]]}, r"row 2: rater 'Anna' rated the answer to .* before \(.*a\.json, row 1\)"),
        ({"ratings": []}, "no rows of ratings"),
        ({"ratings": {}}, "a list of records was expected"),
        ({"format": "medqbench ratings 9"}, "a list of records was expected"),
    ):
        with pytest.raises(BadInput, match=words):
            compare_ratings(run, [export(tmp_path / "a.json", whole, **changes)])
    files = [export(tmp_path / f"{name}.json", whole) for name in "ab"]
    with pytest.raises(BadInput, match=r"b\.json, row 1: rater 'Anna' rated .* before \(.*a\.json, row 1\)"):
        compare_ratings(run, files)
    empty = export(tmp_path / "b.json", dict.fromkeys(entries, (None,) * 4), "Bo")
    with pytest.raises(BadInput, match="no cell is filled in yet, here or in another row of rater 'Bo'"):
        compare_ratings(run, [files[0], empty])


cells = (
    st.none() | st.booleans() | st.integers(-1, 3) | st.floats() | st.text(max_size=3) | st.lists(st.none(), max_size=1)
)
rows_of_export = st.fixed_dictionaries({}, optional=dict.fromkeys(["rating id", *DIMENSIONS, "comment"], cells)) | cells


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(rows_of_export, max_size=3), cells)
def test_an_export_is_read_or_refused_in_a_sentence(tmp_path: Path, ratings: list[Any], rater: Any) -> None:
    path = export(tmp_path / "a.json", {}, rater=rater, ratings=ratings)
    try:
        read = read_ratings([path], key=write_key(tmp_path, ratings))
    except BadInput as error:
        assert str(error).startswith(str(path))
    else:
        assert all(score in (None, 0, 1, 2) for rating in read for score in rating.scores.values())


def write_key(folder: Path, ratings: list[Any]) -> Path:
    """A key that knows every rating id of an export."""
    ids = [str(row["rating id"]) for row in ratings if isinstance(row, dict) and row.get("rating id") is not None]
    path = folder / "a_key.json"
    path.write_text(json.dumps({"ratings": {name.strip(): {"index": name} for name in ids}}), encoding="utf-8")
    return path


def test_results_do_not_replace_the_ratings(tmp_path: Path) -> None:
    run, sheet, entries = rated_sheet(tmp_path)
    ratings = fill(sheet, tmp_path / "agreement.xlsx", as_judged(entries))
    before = ratings.read_bytes()
    comparison = compare_ratings(run, [ratings], sheet.with_name("r_key.json"))
    with pytest.raises(BadInput, match="would replace the ratings themselves"):
        write_comparison(comparison, tmp_path)
    assert ratings.read_bytes() == before
    assert not (tmp_path / "agreement.json").exists()


def test_empty_cells_and_missing_verdicts_are_counted(tmp_path: Path) -> None:
    run = write_run(tmp_path, [rated("1", (2, None, 2, 2)), rated("2"), rated("3")])
    table = write_table(tmp_path / "t.csv", HEADER, [("1", 2, 2, "", 2), ("2", 2, 2, "", 2)])
    result = compare_ratings(run, [table]).to_json()
    counts = {title: (row["n"], row["n_unscored"], row["n_not_rated"]) for title, row in result["dimensions"].items()}
    assert list(counts.values()) == [(2, 0, 0), (1, 1, 0), (0, 0, 2), (2, 0, 0)]
    assert (result["n"], result["n_verdicts_unrated"]) == (2, 1)


@pytest.mark.parametrize(
    ("name", "delimiter"), [("t.csv", ","), ("t.tsv", "\t"), ("german.csv", ";"), ("t.json", ""), ("t.jsonl", "")]
)
def test_tables_of_ones_own(tmp_path: Path, name: str, delimiter: str) -> None:
    run = write_run(tmp_path, [rated("7"), rated("8", (0, 1, 2, 0))])
    path = tmp_path / name
    rows = [(7.0, 2, 2, 1, 2), (8, 0, "1.0", 2, 0)]
    if delimiter:
        write_table(path, HEADER, rows, delimiter)
    else:
        records = [dict(zip(HEADER, row, strict=True)) for row in rows]
        text = "\n".join(map(json.dumps, records)) if name.endswith("l") else json.dumps(records)
        path.write_text(text, encoding="utf-8")
    result = compare_ratings(run, [path])
    assert result.to_json()["n"] == 2
    assert [(entry["index"], entry["dimension"], entry["rated"]) for entry in result.disagreements_to_json()] == [
        ("7", "consistency", 1.0)
    ]


def test_a_column_tells_raters_and_models_apart(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    write_run(folder, [rated("1")], "A")
    write_run(folder, [rated("1", (0, 0, 0, 0))], "B")
    header = (*HEADER, "model", "rater")
    rows = [("1", 2, 2, 2, 2, "A", "x"), ("1", 2, 2, 2, 2, "A", "y"), ("1", 1, 0, 0, 0, "B", "x")]
    table = write_table(tmp_path / "t.csv", header, rows)
    result = compare_ratings(folder, [table])
    assert (result.to_json()["raters"], result.to_json()["n"]) == (["x", "y"], 2)
    assert [(row["model"], row["dimension"]) for row in result.disagreements_to_json()] == [("B", "completeness")]
    assert result.to_json()["groups"]["model"]["A"]["Completeness"] == {"n": 1, "same": 100.0, "kappa": None}
    # One of the two runs alone: the other's ratings are told, not lost in silence.
    alone = compare_ratings(folder / "A_MedQBench_Reasoning_samples.jsonl", [table]).to_json()
    assert (alone["n"], alone["n_ratings_of_other_runs"], alone["other_runs"]) == (1, 1, ["B"])
    ambiguous = write_table(tmp_path / "u.csv", HEADER, [("1", 2, 2, 2, 2)])
    with pytest.raises(BadInput, match=r"index '1' is in A_.*column 'model' or 'run'"):
        compare_ratings(folder, [ambiguous])


def test_judge_against_judge(tmp_path: Path) -> None:
    run = write_run(tmp_path / "one", [rated("1"), rated("2", (1, 1, 1, 0))])
    other = write_run(tmp_path / "other", [rated("1"), rated("2", (1.6, 1, 0.5, 0))], judge="judge-2")
    result = compare_ratings(run, [other])
    assert (result.to_json()["against"], result.to_json()["raters"]) == ("judge", ["judge-2 (rubric)"])
    assert [row["dimension"] for row in result.disagreements_to_json()] == ["completeness", "consistency"]
    changed = write_run(tmp_path / "changed", [rated("1", answer="another"), rated("2")])
    with pytest.raises(BadInput, match="other predictions"):
        compare_ratings(run, [changed])
    with pytest.raises(BadInput, match="mixed"):
        compare_ratings(run, [other, write_table(tmp_path / "t.csv", HEADER, [("1", 2, 2, 2, 2)])])


def test_a_run_under_another_name_is_known_by_its_texts(tmp_path: Path) -> None:
    _, sheet, entries = rated_sheet(tmp_path)
    filled = fill(sheet, tmp_path / "r_filled.xlsx", as_judged(entries))
    renamed = write_run(tmp_path / "renamed", rows_of(12), "New-Name")
    assert compare_ratings(renamed, [filled]).to_json()["n"] == 12


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (("1", 3, 2, 2, 2), r"t.csv, row 2, column 'Completeness': '3' is no rating"),
        (("1", 2, -1, 2, 2), r"column 'preciseness': '-1'"),
        (("1", 2, 2, "1.5", 2), r"'1.5'"),
        (("1", 2, 2, "good", 2), r"'good'"),
        (("1", 2, 2, 2, "nan"), r"'nan'"),
        (("", 2, 2, 2, 2), r"row 2: there are ratings, but the cell 'index' is empty"),
        (("9", 2, 2, 2, 2), "no index in common"),
        (("p", 2, 2, 2, 1), r"column 'quality_accuracy': 1 is no rating of a comparative sample; 0 or 2"),
    ],
)
def test_a_wrong_rating_is_named_by_row_and_column(tmp_path: Path, cells: tuple[Any, ...], words: str) -> None:
    run = write_run(tmp_path, [rated("1"), rated("p", task="comparative")])
    with pytest.raises(BadInput, match=words):
        compare_ratings(run, [write_table(tmp_path / "t.csv", HEADER, [cells])])


def test_a_table_that_says_more_than_the_index_is_believed(tmp_path: Path) -> None:
    run = write_run(tmp_path, [rated("1", answer="It is\r\nnoisy.")])
    header = (*HEADER, "task", "dataset", "prediction", "description")
    row = ("1", 2, 2, 2, 2, "no-reference", "MedQBench_Reasoning", "It is  noisy.", "Reference text of a sample.")
    assert compare_ratings(run, [write_table(tmp_path / "t.csv", header, [row])]).to_json()["n"] == 1
    for column, value in ((5, "comparative"), (6, "Another"), (7, "It is sharp."), (8, "Sharp.")):
        changed = [*row[:column], value, *row[column + 1 :]]
        with pytest.raises(BadInput, match=r"row 2: the \w+ is '.*another dataset or run"):
            compare_ratings(run, [write_table(tmp_path / "t.csv", header, [changed])])


def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    run = write_run(tmp_path, [rated("1"), rated("2")])
    good = [("1", 2, 2, 2, 2)]
    unknown = [*good, *((f"x{i}", 2, 2, 2, 2) for i in range(7))]
    for rows, words in (
        (unknown, r"index 'x0', 'x1', 'x2', 'x3', 'x4' and 2 more is not among the verdicts"),
        ([*good, *good], r"rated the answer to '1' before \(.*row 2\)"),
        ([("1", 2, 2, 2, 2), ("01", 2, 2, 2, 2)], r"rated the answer to '1' before"),
        ([("1", "", "", "", "")], "no cell is filled in yet"),
        ([], "no rows of ratings"),
    ):
        with pytest.raises(BadInput, match=words):
            compare_ratings(run, [write_table(tmp_path / "t.csv", HEADER, rows)])
    with pytest.raises(BadInput, match="no column for any of Completeness"):
        compare_ratings(run, [write_table(tmp_path / "t.csv", ("index", "score"), [("1", 2)])])
    with pytest.raises(BadInput, match="no column 'index' or 'rating id'"):
        compare_ratings(run, [write_table(tmp_path / "t.csv", ("name", "completeness"), [("1", 2)])])
    table = write_table(tmp_path / "t.csv", (*HEADER, "model"), [("1", 2, 2, 2, 2, "Other")])
    with pytest.raises(BadInput, match="ratings are of 'Other', but the verdicts"):
        compare_ratings(run, [table])
    with pytest.raises(BadInput, match="does not exist"):
        compare_ratings(run, [tmp_path / "none.csv"])


def test_verdicts_that_are_none(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", HEADER, [("1", 2, 2, 2, 2)])
    run = write_run(tmp_path / "x", [rated("1")])
    text = run.read_text(encoding="utf-8")
    for content, words in (
        (json.dumps({"index": "1", "task": "perception", "extracted": "A"}), "multiple-choice run"),
        ('{"index": "1", "pred', r"line 1: not a whole JSON object"),
        (json.dumps({"index": "1", "task": "comparative", "prediction": "x"}), "no sample of a judged run"),
        (text * 2, "index '1' stands twice"),
        (text.replace('"score": 2', '"score": 7', 1), "the verdict 7 on completeness is not between 0 and 2"),
        ("", "is empty"),
    ):
        path = tmp_path / "v_samples.jsonl"
        path.write_text(content, encoding="utf-8")
        with pytest.raises(BadInput, match=words):
            compare_ratings(path, [table])
    path.unlink()
    perception_run(tmp_path / "y" / "z")
    for folder, words in (("y", "none of its runs is a reasoning run"), ("y/none", "does not exist")):
        with pytest.raises(BadInput, match=words):
            compare_ratings(tmp_path / folder, [table])
    # A folder is searched to any depth; multiple-choice runs in it are passed over.
    assert compare_ratings(tmp_path, [table]).ratings.n == 1
    perception = tmp_path / "p_samples.jsonl"
    perception.write_text(json.dumps({"index": "1", "task": "perception", "extracted": "A"}), encoding="utf-8")
    with pytest.raises(BadInput, match="multiple-choice"):
        compare_ratings(run, [perception])


def test_a_key_that_does_not_fit(tmp_path: Path) -> None:
    run, sheet, entries = rated_sheet(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    filled = fill(sheet, tmp_path / "elsewhere" / "a.xlsx", as_judged(entries))
    with pytest.raises(BadInput, match="as --key"):
        compare_ratings(run, [filled])
    key = sheet.with_name("r_key.json")
    assert compare_ratings(run, [filled], key).to_json()["n"] == 12
    result = json.loads(key.read_text(encoding="utf-8"))
    result["ratings"].popitem()
    other = tmp_path / "elsewhere" / "other_key.json"
    other.write_text(json.dumps(result), encoding="utf-8")
    with pytest.raises(BadInput, match=r"rating id 'R-\w+' is not in the key"):
        compare_ratings(run, [filled])
    wrong = json.loads(key.read_text(encoding="utf-8"))
    next(iter(wrong["ratings"].values()))["run"] = 5
    for text in ("{}", json.dumps(wrong)):
        other.write_text(text, encoding="utf-8")
        with pytest.raises(BadInput, match="is no key of a rating sheet"):
            compare_ratings(run, [filled], other)
    changed = rows_of(12)
    changed[3] = rated("sample-0003", answer="Another answer.")
    with pytest.raises(BadInput, match=r"the answer of 'sample-0003' .* is not the one that was rated"):
        compare_ratings(write_run(tmp_path / "changed", changed), [filled], key)


def test_results_are_written_and_harmless(tmp_path: Path) -> None:
    run = write_run(tmp_path, [rated("1", answer="=1+1"), rated("2", (1, 1, 1, 1))])
    table = write_table(tmp_path / "t.csv", HEADER, [("1", 0, 2, 2, 2), ("2", 1, 1, 1, 1)])
    comparison = compare_ratings(run, [table])
    as_json, as_xlsx = write_comparison(comparison, tmp_path / "out")
    assert json.loads(as_json.read_text(encoding="utf-8"))["n_disagreements"] == 1
    book = load_workbook(as_xlsx)
    assert book.sheetnames == ["Agreement", "Disagreements"]
    header, row = book["Disagreements"].iter_rows(values_only=True)
    result = dict(zip(header, row, strict=True))
    assert (result["dimension"], result["judge"], result["rated"], result["answer"]) == ("Completeness", 2, 0, "=1+1")
    cells = [cell for line in book["Disagreements"].iter_rows() for cell in line]
    assert "f" not in Counter(cell.data_type for cell in cells)
    lines = [[cell for cell in line if cell is not None] for line in book["Agreement"].iter_rows(values_only=True)]
    assert lines[0] == ["Judge judge-1 (rubric) on Model-X against t, 2 answers"]
    # Judge 2, 1 and people 0, 1: 50% the same, mean square difference 2, by chance 5/2 + 1/2 - 2 * 3/2 * 1/2 = 3/2.
    line = next(line for line in lines if line and line[0] == "Completeness")
    assert (line[1:3], line[5]) == ([2, 50], pytest.approx(1 - 2 / 1.5))
