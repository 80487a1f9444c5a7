"""What a dataset holds, the hash of its content, and the stratified subset: its proportions and its nesting."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import QUESTION_TYPES, Task, parse_dataset_name
from medqbench_vlmeval.data import describe, load_dataset, samples_sha256, stratified
from medqbench_vlmeval.data.samples import load_table
from medqbench_vlmeval.data.sources import load_file
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.types import Sample
from tests.data.rows import Write, question


def test_samples_hash_sees_content_and_not_spelling(write_tsv: Write) -> None:
    def digest(*rows: dict[str, str]) -> str:
        return samples_sha256(load_table(write_tsv(rows), Task.PERCEPTION, None)[0])

    base = digest(question("1"), question("2"))
    assert base == digest(question("2.0", answer="1"), question("1"))
    assert base == digest(question("1", modality="MRI", image="x"), question("2"))
    assert base != digest(question("1"), question("3"))
    assert base != digest(question("1", answer="A"), question("2"))
    assert base != digest(question("1", A="Blurred"), question("2"))
    assert base != digest(question("1", question="Else?"), question("2"))


def test_describe_counts_and_compares_with_the_published_split(write_tsv: Write) -> None:
    path = write_tsv([question(str(at), question_type="How" if at < 2 else "What") for at in range(3)])
    sample_set = load_dataset(parse_dataset_name("MedQBench_Perception_test"), path)
    info = json.loads(json.dumps(describe(sample_set).to_json()))
    part = info["parts"]["perception"]
    assert (info["n"], part["images"], part["n"]) == (3, 1, 3)
    assert part["counts"]["question_type"] == {"How": 2, "What": 1}
    assert "severity" not in part["counts"]
    assert part["source"]["columns"]["absent"] == ["severity", "scope", "source", "difficulty", "degradation"]
    assert part["published"]["expected"] == {"n": 1305, "Yes-or-No": 558, "What": 258, "How": 489}
    assert part["published"]["found"] == {"n": 3, "Yes-or-No": 0, "What": 1, "How": 2}
    assert part["published"]["same"] is False
    assert describe(load_file(path)).parts[Task.PERCEPTION].published is None
    counts = dict(zip(QUESTION_TYPES, (558, 258, 489), strict=True))
    many = [question(f"{kind}{at}", question_type=kind) for kind, n in counts.items() for at in range(n)]
    same = describe(load_dataset(parse_dataset_name("MedQBench_Perception"), write_tsv(many), images=False))
    assert same.parts[Task.PERCEPTION].published.same


def made(sizes):
    """Samples by (modality, question type)."""
    return [
        Sample(f"{modality}-{kind}-{i}", Task.PERCEPTION, None, modality=modality, question_type=kind)
        for (modality, kind), n in sizes.items()
        for i in range(n)
    ]


PERCEPTION = made(
    {("CT", "How"): 200, ("CT", "What"): 80, ("MRI", "How"): 100, ("MRI", "What"): 100, ("Fundus", "How"): 20}
)


def counts(samples, chosen, axis):
    return Counter(getattr(sample, axis) for sample in samples if sample.index in chosen)


def test_proportions_by_hand():
    chosen = stratified(PERCEPTION, 50)
    assert counts(PERCEPTION, chosen, "modality") == {"CT": 28, "MRI": 20, "Fundus": 2}
    ct = [sample for sample in PERCEPTION if sample.modality == "CT"]
    assert counts(ct, chosen, "question_type") == {"How": 20, "What": 8}


def test_the_same_for_any_order_and_any_spelling_of_an_index():
    whole = [Sample(str(i), Task.PERCEPTION, None, modality="CT") for i in range(40)]
    again = [Sample(f"{i}.0", Task.PERCEPTION, None, modality="CT") for i in range(40)]
    shuffled = random.Random(1).sample(whole, len(whole))
    assert stratified(whole, 11) == stratified(shuffled, 11)
    assert {index.removesuffix(".0") for index in stratified(again, 11)} == stratified(whole, 11)
    by_hash = sorted(range(40), key=lambda i: hashlib.sha256(f"0:{i}".encode()).hexdigest())
    assert stratified(whole, 11) == {str(i) for i in by_hash[:11]}
    assert stratified(whole, 11, seed=1) != stratified(whole, 11)


def test_a_combined_set_takes_what_its_parts_take_alone():
    alone = [Sample(str(i), Task.NO_REFERENCE, None, modality="CT") for i in range(40)]
    both = [Sample(f"NoReference:{i}.0", Task.NO_REFERENCE, None, modality="CT") for i in range(40)]
    both += [Sample(f"Comparative:{i}", Task.COMPARATIVE, None, modality="CT") for i in range(40)]
    chosen = {index.partition(":")[2] for index in stratified(both, 12) if index.startswith("NoReference:")}
    assert chosen == {f"{index}.0" for index in stratified(alone, 6)}


def test_all_and_none():
    assert stratified(PERCEPTION, 500) == stratified(PERCEPTION, 10**9) == {sample.index for sample in PERCEPTION}
    for n in (0, -3):
        with pytest.raises(BadInput, match="1 sample or more"):
            stratified(PERCEPTION, n)


@given(
    st.dictionaries(st.tuples(st.sampled_from("ABCDE"), st.sampled_from("XYZ")), st.integers(1, 12), min_size=1),
    st.integers(0, 5),
)
@settings(deadline=None, max_examples=30)
def test_every_size_is_proportional_and_part_of_the_next(sizes, seed):
    samples = made(sizes)
    whole = Counter(sample.modality for sample in samples)
    subsets = [stratified(samples, n, seed) for n in range(1, len(samples) + 1)]
    for n, chosen in enumerate(subsets, 1):
        assert len(chosen) == n
        for modality, n_chosen in counts(samples, chosen, "modality").items():
            assert abs(n_chosen - n * whole[modality] / len(samples)) < 1
    assert all(small < large for small, large in pairwise(subsets))


def test_both_reasoning_tasks_and_their_severities_are_in_proportion():
    samples = load_dataset(parse_dataset_name("MedQBench_Reasoning_mini"), images=False).samples
    chosen = stratified(samples, len(samples) // 2)
    assert counts(samples, chosen, "task") == {Task.NO_REFERENCE: 10, Task.COMPARATIVE: 10}
    assert set(counts(samples, chosen, "modality").values()) == {4}
