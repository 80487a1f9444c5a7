"""The counts behind the published tables: the search on tables made by hand, and what the documented page says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "published.md"


def load_script():
    spec = importlib.util.spec_from_file_location("published_counts", ROOT / "scripts" / "published_counts.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for their module
    spec.loader.exec_module(module)
    return module


published = load_script()
SIZES = published.PERCEPTION_SIZES


@pytest.fixture(scope="module")
def perception():
    return published.read_table("perception")


def test_a_count_gives_a_figure_if_it_rounds_to_it():
    # 459 of 558 is 82.2581%, 1 of 32 is 3.125%: a half may go either way.
    n, k = np.array([558, 558, 32, 32, 32]), np.array([459, 459, 1, 1, 1])
    figures = np.array([8226, 8225, 312, 313, 314])
    assert published.gives(k, n, figures, published.PERCENT).tolist() == [True, False, True, True, False]
    assert published.nearest(figures[:1], n[:1], published.PERCENT).tolist() == [459]


def test_the_search_finds_the_sizes_that_a_table_was_made_from():
    # 1/3, 1/2, 1/5 are 3 of 10; 2/3, 1/2, 3/5 are 6 of 10; the third row is no ratio of whole numbers over these sizes.
    parts = np.array([[3333, 5000, 2000], [6667, 5000, 6000], [4111, 5000, 2000]])
    table = published.Table(("one", "two", "three"), parts, np.array([3000, 6000, 3000]), published.PERCENT)
    likely = published.candidates(table, 20, 2)
    assert likely == [published.Candidate(2, (3, 2, 5)), published.Candidate(2, (6, 4, 10))]
    assert published.candidates(table, 9, 2) == []


def test_no_other_split_explains_more_than_two_rows(perception):
    first, *others = published.candidates(perception, published.ALL_QUESTIONS, 2)
    assert (first.rows, first.sizes) == (10, (558, 258, 489))
    # 186:86:163 is the ratio of the split.
    assert {tuple(3 * n // (sum(candidate.sizes) // 435) for n in candidate.sizes) for candidate in others} == {SIZES}
    assert [(candidate.rows, sum(candidate.sizes)) for candidate in others] == [
        (2, 435),
        (2, 870),
        (2, 1740),
        (2, 2175),
    ]


@pytest.mark.slow
def test_with_more_questions_than_there_are_only_multiples_fit(perception):
    likely = published.candidates(perception, 5300, 5)
    assert [candidate.sizes for candidate in likely] == [tuple(times * n for n in SIZES) for times in (1, 2, 3, 4)]
    assert {candidate.rows for candidate in likely} == {10}


def test_overall_alone_has_the_same_total(perception):
    first, second = published.best_sizes(perception.overall, published.ALL_QUESTIONS, perception.scale, 2)
    assert first == (1305, 10)
    assert second == (2059, 8)


def test_two_rows_do_not_come_out(perception):
    rows = {row.model: row for row in published.perception_rows(perception, SIZES)}
    assert len(rows) == 12
    apart = {row.model: row.differences for row in rows.values() if not row.comes_out}
    assert apart == {"GPT-4o": (1, -3, -6, 4), "Gemini-2.5-Pro": (-4, 2, -3, 4)}
    assert rows["GPT-5"].counts == (459, 156, 285)
    micro = dict(zip(perception.models, published.weighted_apart(perception, SIZES), strict=True))
    # Rounding of three percentages and of Overall accounts for 0.01 at most.
    assert {model for model, points in micro.items() if abs(points) > 0.01} == set(apart)
    assert min(abs(points) for points in published.macro_apart(perception)) > 0.9


def test_leaving_questions_out_does_not_explain_them(perception):
    ways = {
        model: published.smaller_sizes(perception, at, SIZES)
        for at, model in enumerate(perception.models)
        if model in ("GPT-4o", "Gemini-2.5-Pro", "GPT-5")
    }
    assert ways.pop("GPT-5") >= 1  # the full sizes at least
    assert set(ways.values()) == {0}


def test_reasoning_rows():
    table = published.read_table("no_reference")
    assert published.best_sizes(table.parts.ravel(), published.ALL_REASONING, table.scale)[0] == (221, 20)
    rows = published.reasoning_rows(table, 221)
    assert [row.model for row in rows if any(row.differences[:4])] == []
    assert {row.model: row.differences[4] for row in rows if not row.comes_out} == {"Qwen2.5-VL-32B": -1, "Grok-4": 1}
    assert (table.parts.sum(axis=1) - table.overall).tolist() == [0, 0, 0, 0, 1]

    table = published.read_table("comparative")
    smallest = published.best_sizes(table.parts.ravel(), published.ALL_REASONING - 221, table.scale)[0]
    assert smallest == (133, 19)
    rows = published.reasoning_rows(table, 133)
    assert {row.model: row.differences for row in rows if not row.comes_out} == {"GPT-4o": (0, 0, 0, 2, 1)}
    assert [row.counts[3] % 2 for row in rows] == [0] * 5
    assert (table.parts.sum(axis=1) - table.overall).tolist() == [0] * 5


@pytest.mark.slow
def test_the_page_shows_what_the_script_prints(perception, capsys):
    published.main()
    printed = capsys.readouterr().out
    page = PAGE.read_text(encoding="utf-8")
    tables = [published.row_lines(published.perception_rows(perception, SIZES), 2)]
    for name, size in published.REASONING_SIZES.items():
        tables.append(published.row_lines(published.reasoning_rows(published.read_table(name), size), 3))
    for table in tables:
        assert "\n".join(table) + "\n" in printed
        assert "\n".join(table) + "\n" in page
