"""The labelled replies are read as labelled, except those of the held-out sets that ``KNOWN`` lists with a reason."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.error_budget import EVIDENCE, family_table, labelled, open_table, rule_table, whole_table
from medqbench_vlmeval.answers import extract, extract_choice

DOCS = Path(__file__).resolve().parents[2] / "docs" / "answers.md"

# The size of each set, by the first word of its lines' notes.
KINDS = {
    "heldout.jsonl": {"ordinary": 344, "hard": 238},
    "heldout2.jsonl": {"ordinary": 232, "hard": 133},
    "heldout3.jsonl": {"ordinary": 279, "hard": 75},
    "heldout4.jsonl": {"ordinary": 346, "hard": 89},
}
SETS = {
    name: [json.loads(line) for line in (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines()]
    for name in ("replies.jsonl", *KINDS)
}
STYLES = sorted({row["style"] for row in SETS["replies.jsonl"]})
# File -> 1-based line -> why the label is not met.
KNOWN: dict[str, dict[int, str]] = {
    # Kinds that no real reply was seen to have: their rules are gone.
    "heldout.jsonl": {138: "'Only C remains.'"},
    "heldout2.jsonl": {
        240: "'the third one: Both A and B', where the options judged one by one are those two",
        262: "'Not bad enough for A, not clean enough for C: B.'",
        266: "'... so the blur is not confined to any one of them: D.'",
        295: "'不是A，也不是C，而是B。'",
        307: "'Although it looks similar to CT, ... it is an MRI.'",
        325: "'不是运动模糊，画面上的圆形结构是气泡。'",
        347: "options judged one by one, the last one called correct",
        365: "'My working answers A and D were both wrong. The one that explains each of the findings is B.'",
    },
    # This set was not used to mend anything: it stays evidence.
    "heldout3.jsonl": {
        71: "'Correction: the right grade is C' does not overrule an earlier 'which would be B'",
        159: "a Chinese sentence around the option's English text",
        283: "'Actually no, ... Mild it is'",
        292: "'Yes' in the last sentence, behind a letter that belongs to a name",
        297: "a Chinese sentence that ends with a Chinese option",
        325: "'Yes (A)' behind an arrow at the end of a worked answer",
    },
    # Nor was this one.
    "heldout4.jsonl": {
        49: "... and lies in another focal plane: D.'",
        60: "'Final: A.' on the line that begins with 'Initial impression: B.' is not seen as a label",
        212: "'D. Excellent  <-- my choice' in a repeated list of the options",
        260: "'Perhaps a bubble.' behind 'Hard to tell', which is taken for a refusal",
        282: "'... is explained by A' after the three other letters were ruled out",
        285: "'so the right image is better', where the other image was described before it",
        340: "'Yes, there's an artifact.' between two sentences of reasons",
        373: "'the boundary of the lesion is unclear' is taken for a reader who cannot tell; 'Unclear' is an option",
    },
}


@pytest.mark.parametrize("style", STYLES)
def test_replies_of_a_style_are_read_as_labelled(style: str) -> None:
    wrong = [
        (row["reply"], row["expected"], extract(row["reply"], row["options"]))
        for row in SETS["replies.jsonl"]
        if row["style"] == style and extract_choice(row["reply"], row["options"]) != row["expected"]
    ]
    assert wrong == []


@pytest.mark.parametrize("name", list(KINDS))
def test_labels_hold(name: str) -> None:
    wrong = {
        line: (row["reply"], row["expected"], letter)
        for line, row in enumerate(SETS[name], start=1)
        if (letter := extract_choice(row["reply"], row["options"])) != row["expected"]
    }
    assert {line: case for line, case in wrong.items() if line not in KNOWN[name]} == {}
    assert set(KNOWN[name]) <= set(wrong), "a listed line is read as labelled: take it off the list"


def test_replies_of_a_real_small_model_are_read_as_labelled() -> None:
    rows = [json.loads(line) for line in (Path(__file__).parent / "small_model.jsonl").read_text("utf-8").splitlines()]
    wrong = [row["reply"] for row in rows if extract_choice(row["reply"], row["options"]) != row["expected"]]
    assert len(rows) == 165
    assert wrong == ["A. Severe is a choice of the option that is incorrect."]  # read as A


@pytest.mark.parametrize("name", list(SETS))
def test_the_set_is_whole(name: str) -> None:
    assert all(row["expected"] is None or row["expected"] in row["options"] for row in SETS[name])
    if name in KINDS:
        assert Counter(row["note"].split(":")[0] for row in SETS[name]) == KINDS[name]
    else:
        labels = Counter(row["expected"] for row in SETS[name])
        assert len(SETS[name]) >= 450 and len(STYLES) >= 12
        assert labels[None] >= 300 and min(labels[letter] for letter in "ABCD") >= 15


def test_the_documented_error_budget_is_what_the_rules_give() -> None:
    rows = labelled(*EVIDENCE)
    extractors = {"ours": extract_choice}
    documented = DOCS.read_text(encoding="utf-8")
    again = "print the tables with 'python -m benchmarks.extraction' and put them into docs/answers.md"
    for table in (rule_table(rows), open_table(rows)):
        assert "\n".join(table) + "\n\n" in documented, again
    for line in whole_table(rows, extractors)[2:] + family_table(rows, extractors)[2:]:
        # In the docs the kit's columns follow.
        assert any(row.startswith(line) for row in documented.splitlines()), f"{line}: {again}"
    assert {row.style for row in rows if row.family == "Claude"} == {
        "claude",
        "claude-haiku",
        "claude-opus-4",
        "claude-sonnet-4",
    }


# 'E' alone and 'E. None' answer with a letter that the four options do not have.
_OF_FIVE = {"E", "E. None"}


@pytest.mark.slow
def test_a_fifth_option_that_no_reply_is_about_changes_no_letter():
    rows = [row for rows in SETS.values() for row in rows if len(row["options"]) == 4 and row["reply"] not in _OF_FIVE]
    assert len(rows) > 800
    for row in rows:
        five = {**row["options"], "E": "Chemical shift displacement"}
        assert extract_choice(row["reply"], five) == extract_choice(row["reply"], row["options"]), row["reply"]


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("E", "E"),
        ("(e)", "E"),
        ("Answer: E. Streaks", "E"),
        ("The streaks point to option E.", "E"),
        ("\\boxed{E}", "E"),
        ("Streaks", "E"),
        ('{"answer": "E"}', "E"),
        ("It could be D or E.", None),
        ("F", None),
    ],
)
def test_letters_up_to_e(reply, letter):
    options = {"A": "Noise", "B": "Blur", "C": "Rings", "D": "Motion", "E": "Streaks"}
    assert extract_choice(reply, options) == letter
