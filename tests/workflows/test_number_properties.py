"""What may never change a number: the order of rows, the way a file was split, the letters of the options."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.answers import extract_choice
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.workflows import Request, evaluate
from tests.make import score_of

Row = dict[str, Any]

TEXTS = ["Blur", "Severe blur", "No blur", "Motion blur", "motion", "Noise", "None", "Шум", "运动伪影", "Café (1/f)"]
LEVELS = ["good", "usable", "reject"]
# Each example writes result files, the workbook too.
# A failure is not made smaller: that would take minutes.
few_files = settings(
    max_examples=4,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@st.composite
def questions(draw: st.DrawFn) -> list[Row]:
    rows: list[Row] = []
    for index in range(draw(st.integers(4, 24))):
        kind = draw(st.sampled_from(["Yes-or-No", "What", "How"]))
        texts = {
            "Yes-or-No": ["Yes", "No"],
            "What": draw(st.lists(st.sampled_from(TEXTS), min_size=3, max_size=4, unique=True)),
            "How": ["Good", "Usable", "Reject"],
        }[kind]
        letters = "ABCD"[: len(texts)]
        chosen = draw(st.sampled_from(range(len(texts))))
        reply = draw(
            st.sampled_from([letters[chosen], texts[chosen], f"The answer is **{letters[chosen]}**.", "I cannot tell."])
            | st.text(max_size=30).map("I see {}".format)
        )
        rows.append(
            {
                "index": index,
                "question": "Which?",
                **dict(zip(letters, texts, strict=True)),
                "answer": draw(st.sampled_from(letters)),
                "question_type": kind,
                "modality": draw(st.sampled_from(["CT", "MRI", "fundus"])),
                "severity": draw(st.sampled_from(["none", "mild", "severe"])),
                "image_path": f"images/{draw(st.integers(0, 6))}.png",
                "prediction": reply,
            }
        )
    return rows


@st.composite
def descriptions(draw: st.DrawFn) -> list[Row]:
    def text() -> str:
        finding = draw(st.sampled_from(["The scan is noisy.", "Edges are soft.", "No artifact is seen.", "Dunkel."]))
        return f"{finding} Overall, the quality of this image is {draw(st.sampled_from(LEVELS))}."

    rows = [
        {
            "index": index,
            "question": "Describe.",
            "description": text(),
            "modality": draw(st.sampled_from(["CT", "MRI"])),
            "severity": draw(st.sampled_from(["none", "mild"])),
            "image_path": f"images/{draw(st.integers(0, 5))}.png",
            "prediction": draw(st.sampled_from([text(), "", "It is hard to say."])),
        }
        for index in range(draw(st.integers(3, 14)))
    ]
    # A run in which one dimension has no verdict at all is refused.
    rows[0]["description"] = rows[0]["prediction"] = "The scan is noisy. Overall, the quality of this image is usable."
    return rows


def numbers(folder: Path, rows: Sequence[Row]) -> Mapping[str, Any]:
    """The whole score of these rows but what names the file and the moment."""
    path = folder / "m_d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = "Reasoning_NoReference" if "description" in rows[0] else "Perception"
    score = score_of(
        evaluate(Request(path, "m", f"MedQBench_{task}", out=folder / "out", judge={"model": "rules"}, stem="s"))
    )
    written = json.loads((folder / "out" / "s_score.json").read_text(encoding="utf-8"))
    assert written["n"] == score["n"] == len(rows)
    data = {name: value["samples_sha256"] for name, value in written.pop("settings")["data"].items()}
    return {**written, "data": data}


@few_files
@given(rows=questions(), data=st.data())
def test_the_order_of_questions_changes_no_number(tmp_path: Path, rows: list[Row], data: st.DataObject) -> None:
    assert numbers(tmp_path, data.draw(st.permutations(rows))) == numbers(tmp_path, rows)


@few_files
@given(rows=descriptions(), data=st.data())
def test_the_order_of_descriptions_changes_no_number(tmp_path: Path, rows: list[Row], data: st.DataObject) -> None:
    assert numbers(tmp_path, data.draw(st.permutations(rows))) == numbers(tmp_path, rows)


@few_files
@given(rows=questions(), data=st.data())
def test_counts_of_the_parts_add_up_to_those_of_the_whole(tmp_path: Path, rows: list[Row], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(rows) - 1))
    whole, *parts = (numbers(tmp_path, some) for some in (rows, rows[:cut], rows[cut:]))
    for name in ("n", "n_correct", "n_unanswered"):
        assert whole[name] == sum(part[name] for part in parts)
    for axis, groups in whole["groups"].items():
        if "_x_" in axis:
            continue
        for group, cell in groups.items():
            of_parts = [part["groups"][axis][group] for part in parts if group in part["groups"].get(axis, {})]
            assert [cell["n"], cell["n_correct"]] == [sum(c[name] for c in of_parts) for name in ("n", "n_correct")]
    assert whole["Overall"] == pytest.approx(sum(part["Overall"] * part["n"] for part in parts) / whole["n"])


@few_files
@given(rows=questions(), data=st.data())
def test_a_repeated_row_is_refused(tmp_path: Path, rows: list[Row], data: st.DataObject) -> None:
    twice = [*rows, data.draw(st.sampled_from(rows))]
    with pytest.raises(BadInput, match=r"m_d\.jsonl.*index"):
        numbers(tmp_path, data.draw(st.permutations(twice)))


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(texts=st.lists(st.sampled_from(TEXTS), min_size=2, max_size=4, unique=True), data=st.data())
def test_a_text_is_the_same_answer_under_any_letter(texts: list[str], data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(texts))
    reply = data.draw(st.sampled_from(["{}", "**{}**", "The answer is {}.", "I would say: {}."])).format(text)
    moved = data.draw(st.permutations(texts))
    first, second = (dict(zip("ABCD", order, strict=False)) for order in (texts, moved))
    letter, letter_again = extract_choice(reply, first), extract_choice(reply, second)
    assert letter is not None
    assert first[letter] == text
    assert letter_again is not None
    assert second[letter_again] == text
