"""The sheets 'Findings', 'Conclusions' and 'Reliability', and what the terminal says of a judge's verdicts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from openpyxl import load_workbook

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.provenance import JudgeSettings
from medqbench_vlmeval.report.run_tables import run_summary
from medqbench_vlmeval.report.sample_tables import judge_words
from medqbench_vlmeval.report.sentences import findings_lines
from medqbench_vlmeval.report.workbook import write_workbook
from medqbench_vlmeval.types import Agreement, ConclusionCheck, PanelCheck, Run, Verdict
from tests.make import choice, combined_run, judged, make_run, reasoning_run, verdict
from tests.report.books import lines
from tests.report.printed import printed

LEVELS = {"A": "None", "B": "Mild", "C": "Severe"}
TITLES = ("Completeness", "Preciseness", "Consistency", "Quality Accuracy")
CONCLUSIONS = ConclusionCheck(3, 3, 1.25, 1.0, Agreement(2, 50.0, None), 1)
ROUNDS = dict.fromkeys(TITLES, Agreement(9, 90.0, None, 0.1))
JUDGES = PanelCheck(
    {name: {**dict.fromkeys(TITLES, 1.5), "Overall": 6.0} for name in ("a", "[b]b")},
    {"a": {"[b]b": dict.fromkeys(TITLES, Agreement(3, 200 / 3, 0.5))}},
)
BLOCKS = {"conclusions": CONCLUSIONS, "between_rounds": ROUNDS, "between_judges": JUDGES}


def with_findings() -> Run:
    rows = [choice(f"a{at}", at < 5, source="captured", severity="mild") for at in range(10)]
    rows += [choice(f"b{at}", at < 9, source="authentic", severity="none") for at in range(10)]
    rows += [
        choice(f"c{at}", at % 2 == 0, options=LEVELS if at % 2 == 0 else {"B": "Mild", "C": "Severe"},
               answer="B", question_type="How") for at in range(12)
    ]  # fmt: skip
    return make_run(rows)


def changed(run: Run, task: Task = Task.NO_REFERENCE, **blocks: Any) -> Run:
    parts = {**run.result.parts, task: replace(run.result[task], **blocks)}
    return replace(run, result=replace(run.result, parts=parts))


def written(folder: Path, run: Run) -> Any:
    path = folder / "m_report.xlsx"
    write_workbook(path, run)
    return load_workbook(path)


def test_each_finding_is_a_line_and_its_confusion_matrix_is_coloured(tmp_path: Path) -> None:
    run = with_findings()
    sheet = written(tmp_path, run)["Findings"]
    rows = {row[1].value: row for row in sheet.iter_rows(min_row=3, max_row=14)}
    finding = run.result["perception"].findings["severity_profile"]
    cells = [cell.value for cell in rows[finding.title]]
    assert cells[:2] == ["Perception", finding.title]
    assert cells[2:7] == [finding.cell.value, finding.cell.low, finding.cell.high, "points", 20]
    assert cells[8] == finding.statement
    assert rows[finding.title][2].number_format == "0.00"
    texts = lines(sheet)
    reason = run.result["perception"].not_found["modality_gap"]
    assert ["Perception", "modality gap", f"not found: {reason}"] in texts
    at = next(place for place, row in enumerate(texts) if row[:2] == ["Right level (severity)", "Chosen:"])
    assert texts[at][2:] == ["mild", "severe"]
    assert texts[at + 1] == ["mild", 6, 6]
    assert texts[at + 3][:2] == ["mild taken for severe", 50]
    assert {str(rule.sqref) for rule in sheet.conditional_formatting} == {f"D{at + 2}:E{at + 2}"}


def test_lines_for_the_terminal() -> None:
    run = with_findings()
    sentences = findings_lines(run.result.tasks[0])
    finding = run.result["perception"].findings["severity_profile"]
    assert f"{finding.title}: {finding.statement}" in sentences
    assert sentences[-1].startswith("Not found: modality gap (")
    few = replace(finding, cell=replace(finding.cell, few=True))
    (line,) = findings_lines(changed(run, Task.PERCEPTION, findings={"x": few}, not_found={}).result.tasks[0])
    assert line.endswith("(few samples)")


def test_both_reasoning_tasks_stand_in_one_sheet_with_tasks_and_images_named(tmp_path: Path) -> None:
    first, second = (f"Overall, the {place} image is of higher quality." for place in ("first", "second"))
    rows = [judged(f"NoReference:{at}", (at % 3,) * 4) for at in range(12)]
    for at in range(12):
        reference = (first, second)[at % 2]
        texts = {"text": first, "description": reference, "modality": None}
        rows.append(judged(f"Comparative:{at}", (2,) * 4, Task.COMPARATIVE, **texts))
    book = written(tmp_path, make_run(rows))
    texts = lines(book["Findings"])
    assert ["Reasoning, no-reference", "Weakest dimension"] in [row[:2] for row in texts]
    assert ["Reasoning, comparative", "Position bias in pairs"] in [row[:2] for row in texts]
    assert ["Right where the second image is better", 0, 0] in [row[:3] for row in texts]
    assert ["comparative", "first image", "second image", 0, 2] in [row[1:6] for row in lines(book["Conclusions"])]


def with_conclusions() -> Run:
    """The judge gave 2 and 0; the conclusions say 2 and 2, so the second sample is listed."""
    words = "=2+2 the\nsame level " * 40
    low = {name: verdict(name, 1) for name in ("completeness", "preciseness", "consistency")}
    low["quality_accuracy"] = replace(verdict("quality_accuracy", 0), reply=words)
    return make_run([judged("1"), judged("2", verdicts=low, modality="Fundus")])


def test_disagreements_are_listed_with_the_judges_words(tmp_path: Path) -> None:
    book = written(tmp_path, with_conclusions())
    assert book.sheetnames[-4:] == ["Conclusions", "Samples", "Chart data", "Settings"]
    rows = lines(book["Conclusions"])
    assert rows[2][:6] == ["Reasoning, no-reference", 2, 2, 1, 2, 50]
    (listed,) = rows[rows.index([]) + 2 :]
    assert listed[:6] == ["2", "Fundus", "good", "good", 2, 0]
    words = listed[6]
    assert words.startswith("=2+2 the same level")
    assert words.endswith(" …")
    assert len(words) == 400
    assert "f" not in {cell.data_type for row in book["Conclusions"].iter_rows() for cell in row}


def test_what_a_result_lacks_has_no_sheet_and_no_lines(tmp_path: Path) -> None:
    bare = changed(reasoning_run(), findings={}, not_found={}, conclusions=None)
    assert not {"Findings", "Conclusions", "Reliability"} & set(written(tmp_path, bare).sheetnames)
    assert findings_lines(bare.result.tasks[0]) == []
    agreed = make_run([judged("1")])
    assert lines(written(tmp_path, agreed)["Conclusions"])[-1][0] == "index"


def test_rounds_and_judges_have_their_tables_and_a_line_each_in_the_terminal(tmp_path: Path) -> None:
    run = changed(reasoning_run(), **BLOCKS)
    rows = lines(written(tmp_path, run)["Reliability"])
    assert ["Completeness", 9, 90, 0.1] in rows
    assert ["[b]b", 1.5, 1.5, 1.5, 1.5, 6] in rows
    assert ["a / [b]b", *[3, 200 / 3, 0.5] * 4] in rows
    sentences = printed(run_summary(run.result))
    assert (
        "Quality accuracy from stated conclusions: 1.250 on 3 (judge 1.000 on 2), the same on 50.0% of 2; "
        "disagreements (sheet 'Conclusions'): 1"
    ) in sentences
    assert (
        "Same score in two rounds: Completeness 90.0%, Preciseness 90.0%, Consistency 90.0%, Quality Accuracy 90.0%"
    ) in sentences
    assert "Overall by judge: a 6.000, [b]b 6.000" in sentences
    assert any(line.startswith("Same score of a and [b]b: Completeness 66.7% (kappa 0.500), ") for line in sentences)


def test_scores_between_the_marks_are_not_shown_rounded(tmp_path: Path) -> None:
    run = make_run([judged("1", (1.6, 1, 2, 0.4)), judged("2", (2, 2, 2, 2))])
    book = written(tmp_path, run)
    for name in ("CT", "Samples"):
        cells = [cell for line in book[name].iter_rows(min_col=2) for cell in line]
        assert {c.number_format for c in cells if c.value in (1.6, 0.4) and c.number_format != "0.000"} == {"0.00"}
    heads = [cell.value for cell in book["Samples"][1]]
    whole = book["Samples"].cell(2, 1 + heads.index("Preciseness"))
    assert (whole.value, whole.number_format) == (1, "#,##0")


def test_a_panel_with_rules_says_so_and_its_members_are_readable(tmp_path: Path) -> None:
    members = (JudgeSettings("a", base_url="http://h/v1"), JudgeSettings("rules"))
    panel = JudgeSettings("a, rules", combined_by="median", members=members)
    run = changed(reasoning_run(), **BLOCKS)
    run = replace(run, result=replace(run.result, settings=replace(run.result.settings, judge=panel)))
    book = written(tmp_path, run)
    assert "'rules'" in book["Conclusions"]["A2"].value
    settings = lines(book["Settings"])
    assert ["settings.judge.members.1.base_url", "http://h/v1"] in settings
    assert ["settings.judge.members.2.name", "rules"] in settings
    assert any("one of the panel, 'rules', computes it so itself" in line for line in printed(run_summary(run.result)))


def test_frequencies_of_several_verdicts_are_told_apart_from_samples(tmp_path: Path) -> None:
    counts, empty = {"0": 2, "1": 1, "2": 5}, {"0": 0, "1": 0, "2": 0}
    frequencies = dict(zip(TITLES, (counts, counts, counts, empty), strict=True))
    run = changed(reasoning_run(), between_rounds=ROUNDS, frequencies=frequencies)
    share = "25.0 / 12.5 / 62.5%"
    line = f"Completeness {share}, Preciseness {share}, Consistency {share}, Quality Accuracy -"
    assert f"Single verdicts of 0 / 1 / 2: {line}" in printed(run_summary(run.result))
    note = ["Scored 0, 1, 2: the single verdicts of all rounds and judges."]
    assert note in lines(written(tmp_path, run)["Overview"])
    assert note not in lines(written(tmp_path, combined_run())["Overview"])


def test_words_of_rounds_and_judges_carry_their_names(tmp_path: Path) -> None:
    def said(reply: str, **fields: Any) -> Verdict:
        return replace(verdict("completeness", 2, **fields), reply=reply)

    parts = {"1": said("Fine.\nScore: 2"), "2": said("")}
    whole = said("", parts={"a": said("", parts=parts), "b": said("{...}", explanation="All is there.", note="cut")})
    assert judge_words(whole) == "a: round 1: Fine. Score: 2\nb: All is there."
    assert judge_words(None) is None
    others = {name: verdict(name, 2) for name in ("preciseness", "consistency", "quality_accuracy")}
    run = make_run([judged("1", verdicts={"completeness": replace(whole, note="answer cut"), **others})])
    sheet = written(tmp_path, run)["Samples"]
    first = dict(zip([cell.value for cell in sheet[1]], sheet[2], strict=True))
    # Replies are long; explanations alone stand with the sample.
    assert first["judge's reasons"].value == "Completeness: b: All is there."
    assert first["note"].value == "answer cut"
