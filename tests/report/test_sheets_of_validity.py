"""The sheets 'Conclusions' and 'Reliability', and what the terminal says of a judge's verdicts."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from openpyxl import load_workbook
from rich.console import Console

from medqbench_vlmeval.report import run_summary, write_workbook
from medqbench_vlmeval.report.sample_tables import judge_words
from tests.report.examples import combined_score, reasoning_samples, reasoning_score

CONCLUSIONS = {
    "n": 3,
    "n_stated": 3,
    "Quality Accuracy": 1.25,
    "judge": 1.0,
    "agreement": {"n": 2, "accuracy": 50.0, "kappa": None},
    "n_disagreements": 1,
}
CELL = {"n": 3, "same": 200 / 3, "kappa": 0.5}
TITLES = ("Completeness", "Preciseness", "Consistency", "Quality Accuracy")
ROUNDS = {title: {"n_pairs": 9, "same": 90.0, "kappa": None, "mean_absolute_difference": 0.1} for title in TITLES}
JUDGES = {
    "means": {name: {**dict.fromkeys(TITLES, 1.5), "Overall": 6.0} for name in ("a", "[b]b")},
    "pairs": {"a": {"[b]b": dict.fromkeys(TITLES, CELL)}},
}


def samples() -> list[dict[str, Any]]:
    """The example's rows: the judge gave 2, 0 and nothing; computed 2, 2 and 0."""
    rows = reasoning_samples()
    for row, stated, computed in zip(rows, ("good", "good", "reject"), (2, 2, 0), strict=True):
        row["conclusion"] = {"stated": stated, "reference": "good", "quality_accuracy": computed}
        row["verdicts"] = {"quality_accuracy": {"reply": "=2+2 the\nsame level " * 40}}
    return rows


def written(folder: Path, score: dict[str, Any], rows: list[dict[str, Any]]) -> Any:
    path = folder / "m_report.xlsx"
    write_workbook(path, score, rows)
    return load_workbook(path)


def lines(sheet: Any) -> list[list[Any]]:
    return [[cell for cell in row if cell is not None] for row in sheet.iter_rows(values_only=True)]


def test_disagreements_are_listed_with_the_judges_words(tmp_path: Path) -> None:
    book = written(tmp_path, reasoning_score(conclusions=CONCLUSIONS), samples())
    assert book.sheetnames[-5:] == ["Fundus", "Conclusions", "Samples", "Chart data", "Settings"]
    found = lines(book["Conclusions"])
    assert found[2] == ["Reasoning, no-reference", 1.25, 3, 1, 2, 50, 1]
    listed = found[found.index([]) + 2 :]
    assert [line[:6] for line in listed] == [["2", "Fundus", "good", "good", 2, 0]]
    words = listed[0][6]
    assert words.startswith("=2+2 the same level")
    assert words.endswith(" …")
    assert len(words) == 400
    assert "f" not in {cell.data_type for row in book["Conclusions"].iter_rows() for cell in row}


def test_a_combined_run_names_tasks_and_images(tmp_path: Path) -> None:
    score = combined_score()
    score["Comparative"]["conclusions"] = CONCLUSIONS
    rows = samples() + samples()
    for row in rows[3:]:
        row.update(index=f"c{row['index']}", task="comparative")
        row["conclusion"] = {"stated": 2, "reference": "same", "quality_accuracy": 2}
    found = lines(written(tmp_path, score, rows)["Conclusions"])
    # Only the comparative part has computed conclusions.
    assert [line[:7] for line in found[5:]] == [
        ["c2", "comparative", "Fundus", "second image", "no difference", 2, 0],
    ]


def test_no_disagreement_is_an_empty_list_and_no_block_no_sheet(tmp_path: Path) -> None:
    book = written(tmp_path, reasoning_score(conclusions={**CONCLUSIONS, "n_disagreements": 0}), [])
    assert lines(book["Conclusions"])[-1][0] == "index"
    assert "Conclusions" not in written(tmp_path, reasoning_score(), samples()).sheetnames


def test_rounds_and_judges_have_their_tables(tmp_path: Path) -> None:
    book = written(tmp_path, reasoning_score(between_rounds=ROUNDS, between_judges=JUDGES), samples())
    found = lines(book["Reliability"])
    assert ["Completeness", 9, 90, 0.1] in found
    assert ["[b]b", 1.5, 1.5, 1.5, 1.5, 6] in found
    assert ["a / [b]b", *[3, 200 / 3, 0.5] * 4] in found
    assert "Reliability" not in written(tmp_path, reasoning_score(), samples()).sheetnames


def test_the_terminal_says_it_in_a_line_each() -> None:
    console = Console(file=io.StringIO(), force_terminal=False, width=40)
    run_summary(reasoning_score(conclusions=CONCLUSIONS, between_rounds=ROUNDS, between_judges=JUDGES), console)
    assert isinstance(console.file, io.StringIO)
    found = console.file.getvalue().splitlines()
    assert (
        "Quality accuracy from stated conclusions: 1.250 on 3 (judge 1.000 on 2), the same on 50.0% of 2; "
        "disagreements (sheet 'Conclusions'): 1"
    ) in found
    assert (
        "Same score in two rounds: Completeness 90.0%, Preciseness 90.0%, Consistency 90.0%, Quality Accuracy 90.0%"
    ) in found
    assert "Overall by judge: a 6.000, [b]b 6.000" in found
    assert any(line.startswith("Same score of a and [b]b: Completeness 66.7% (kappa 0.500), ") for line in found)


def test_scores_between_the_marks_are_not_shown_rounded(tmp_path: Path) -> None:
    rows = samples()
    rows[0]["scores"]["completeness"], rows[0]["score"] = 1.6, 6.6
    rows[1]["scores"]["quality_accuracy"] = 0.4
    book = written(tmp_path, reasoning_score(conclusions=CONCLUSIONS, between_rounds=ROUNDS), rows)
    for name in ("Fundus", "Samples"):
        cells = [cell for line in book[name].iter_rows() for cell in line]
        assert {cell.number_format for cell in cells if cell.value in (1.6, 6.6, 0.4)} == {"0.00"}
    (judged,) = [cell for line in book["Conclusions"].iter_rows() for cell in line if cell.value == 0.4]
    assert judged.number_format == "0.00"
    heads = [cell.value for cell in book["Samples"][1]]
    whole = book["Samples"].cell(2, 1 + heads.index("Preciseness"))
    assert (whole.value, whole.number_format) == (1, "#,##0")


def test_a_panel_with_rules_says_so_and_its_members_are_readable(tmp_path: Path) -> None:
    members = [{"name": "a", "base_url": "http://h/v1"}, {"name": "rules", "base_url": None}]
    score = reasoning_score(conclusions=CONCLUSIONS, between_judges=JUDGES)
    score["settings"]["judge"] = {"name": "a, rules", "members": members}
    book = written(tmp_path, score, samples())
    assert "'rules'" in book["Conclusions"]["A2"].value
    found = lines(book["Settings"])
    assert ["settings.judge.members.1.base_url", "http://h/v1"] in found
    assert ["settings.judge.members.2.name", "rules"] in found
    console = Console(file=io.StringIO(), force_terminal=False)
    run_summary(score, console)
    assert isinstance(console.file, io.StringIO)
    assert "one of the panel, 'rules', computes it so itself" in console.file.getvalue()


def test_frequencies_of_several_verdicts_are_told_apart_from_samples(tmp_path: Path) -> None:
    counts = {"0": 2, "1": 1, "2": 5}
    empty = {"0": 0, "1": 0, "2": 0}
    score = reasoning_score(
        between_rounds=ROUNDS, frequencies=dict(zip(TITLES, (counts, counts, counts, empty), strict=True))
    )
    console = Console(file=io.StringIO(), force_terminal=False)
    run_summary(score, console)
    assert isinstance(console.file, io.StringIO)
    found = console.file.getvalue().splitlines()
    share = "25.0 / 12.5 / 62.5%"
    line = f"Completeness {share}, Preciseness {share}, Consistency {share}, Quality Accuracy -"
    assert f"Single verdicts of 0 / 1 / 2: {line}" in found
    note = ["Scored 0, 1, 2: the single verdicts of all rounds and judges."]
    assert note in lines(written(tmp_path, score, samples())["Overview"])
    assert note not in lines(written(tmp_path, reasoning_score(), samples())["Overview"])


def test_words_of_rounds_and_judges_carry_their_names() -> None:
    parts = {"1": {"reply": "Fine.\nScore: 2"}, "2": {"reply": ""}}
    verdict = {"reply": "", "parts": {"a": {"parts": parts}, "b": {"explanation": "All is there.", "reply": "{...}"}}}
    assert judge_words(verdict) == "a: round 1: Fine. Score: 2\nb: All is there."
    assert judge_words(None) is None
