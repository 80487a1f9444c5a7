"""The second pass's samples: derangements that depend on nothing but the sample."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import Task, parse_dataset_name
from medqbench_vlmeval.data import load_dataset, make_second_pass
from medqbench_vlmeval.data.second_pass import permutation_of, permutation_text, permuted, read_permutation
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.types import Sample

PERCEPTION = parse_dataset_name("MedQBench_Perception_mini")
LEVELS = {"A": "Good", "B": "Usable", "C": "Reject"}


def question(index="1", options=None, answer="A", text="How good is it?"):
    return Sample(index, Task.PERCEPTION, text, options=options or LEVELS, answer=answer)


@st.composite
def questions(draw):
    letters = draw(st.sampled_from(["AB", "AC", "ABC", "BCD", "ABCD", "ABCDE"]))
    options = {letter: draw(st.text("abc ,", min_size=1, max_size=6)) for letter in letters}
    return question(draw(st.text(min_size=1, max_size=8)), options, draw(st.sampled_from(letters)))


@settings(max_examples=60, deadline=None)
@given(questions())
def test_no_text_stays_and_every_text_is_there(sample):
    permutation, shown = permutation_of(sample), permuted(sample)
    assert set(permutation) == set(permutation.values()) == set(sample.options) == set(shown.options)
    assert all(new != old for new, old in permutation.items())
    assert shown.options == {new: sample.options[old] for new, old in permutation.items()}
    assert shown.answer != sample.answer
    assert shown.options[shown.answer] == sample.options[sample.answer]
    assert read_permutation(permutation_text(permutation)) == permutation
    assert permutation_of(sample) == permutation


def test_all_derangements_are_drawn_about_equally_often():
    drawn = [permutation_text(permutation_of(question(str(i)))) for i in range(600)]
    assert set(drawn) == {"A:B B:C C:A", "A:C B:A C:B"}
    # 600 fair draws lie within 300 ± 4 standard deviations of 12.2.
    assert abs(drawn.count("A:B B:C C:A") - 300) < 49
    four = {permutation_text(permutation_of(question(str(i), {**LEVELS, "D": "None"}))) for i in range(300)}
    assert len(four) == 9


def test_a_permutation_is_the_same_for_ever_and_in_every_process():
    # Written down once: an interrupted second pass is resumed by another process, maybe of a later version.
    assert permutation_text(permutation_of(question("1"))) == "A:C B:A C:B"
    assert permutation_text(permutation_of(question("mini-p002", {**LEVELS, "D": "None"}))) == "A:B B:C C:D D:A"


def test_neither_row_order_nor_the_spelling_of_an_index_matters():
    whole = load_dataset(PERCEPTION, images=False)
    shown = {sample.index: sample for sample in make_second_pass(whole).samples}
    turned = replace(whole, samples=whole.samples[::-1])
    assert {sample.index: sample for sample in make_second_pass(turned).samples} == shown
    assert permutation_of(question("7")) == permutation_of(question("07")) == permutation_of(question("7.0"))


def test_a_pair_is_swapped_and_loses_its_reference():
    pair = Sample(
        "1", Task.COMPARATIVE, "Is the first image better?", description="The first.", images=(Path("a"), Path("b"))
    )
    shown = permuted(pair)
    assert shown.images == (Path("b"), Path("a"))
    assert (shown.question, shown.description) == (pair.question, None)
    assert permutation_of(replace(pair, index="Comparative:1")) == permutation_of(pair) == {"1": "2", "2": "1"}


@pytest.mark.parametrize(
    ("names_places", "texts"),
    [
        (True, "None of the above; All of the above; Both A and C; A and B; A or B; Option B; Neither of these"),
        (True, "Both a and c; (a) and (b); options b, c"),
        (False, "Artifact; Noise, and a few rings; A ring; Both of them; CT and MRI; Grade C"),
        (False, "Both a blur and a ring; both a and b waves; Blur (a) and noise"),
    ],
)
def test_options_that_name_places_stay_where_they_are(names_places, texts):
    for text in texts.split("; "):
        assert (permutation_of(question(options={**LEVELS, "D": text})) is None) == names_places, text


def test_a_set_without_any_order_is_refused():
    whole = load_dataset(parse_dataset_name("MedQBench_Reasoning_NoReference_mini"), images=False)
    assert permuted(whole.samples[0]) is None
    with pytest.raises(BadInput, match="no sample with options or images whose order"):
        make_second_pass(whole)


def test_of_both_reasoning_tasks_the_pairs_alone_are_asked_again():
    both = load_dataset(parse_dataset_name("MedQBench_Reasoning_mini"), images=False)
    again = load_dataset(parse_dataset_name("MedQBench_Reasoning_mini_robustness"), images=False)
    assert again.name == "MedQBench_Reasoning_mini_robustness"
    pairs = [sample.index for sample in both.samples if sample.task is Task.COMPARATIVE]
    assert [sample.index for sample in again.samples] == pairs


@pytest.mark.parametrize("text", ["", "A:A B:B", "A:B", "A:B B:B", "A:B A:C", "A:C B:A", "1:2 2:1 ", "x", "A:B B:A;"])
def test_what_is_no_permutation_is_not_read_as_one(text):
    assert (read_permutation(text) is not None) == (text == "1:2 2:1 ")
