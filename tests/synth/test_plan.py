"""What is planned from sources whose pixels are never read: balance, no answer in the text, splits, the same bytes."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from io import StringIO
from itertools import combinations, pairwise
from math import sqrt
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.synth.catalogue import DEGRADATIONS, STRUCTURES, Planned, Source, alike, of_modality
from medqbench_vlmeval.synth.images import Picture
from medqbench_vlmeval.synth.plan import Plan, make_plan
from medqbench_vlmeval.synth.produce import table_text
from medqbench_vlmeval.synth.texts import NOTHING

MODALITIES = tuple(STRUCTURES)
KINDS = ("Yes-or-No", "What", "How")


def never() -> NoReturn:
    raise AssertionError("a plan read pixels")


def source(number: int, modality: str, group: str = "") -> Source:
    load: partial[Picture] = partial(never)
    key = hashlib.sha256(f"{number} {modality}".encode()).hexdigest()[:16]
    return Source(key, modality, f"{modality} image", "authentic", f"a/{number}.png", load, group=group)


def some(n: int, modalities: Sequence[str] = MODALITIES) -> list[Source]:
    return [source(number, modalities[number % len(modalities)]) for number in range(n)]


def plan_of(sources: Sequence[Source], seed: int = 5, per_image: int = 8, **options: object) -> Plan:
    return make_plan(sources, seed=seed, per_image=per_image, dev_share=0.2, **options)  # type: ignore[arg-type]


def rows(plan: Plan, task: str) -> list[dict[str, str]]:
    named = {f"medqbench_{task}_{split}.tsv" for split in ("dev", "test")}
    return [dict(row) for name, of in plan.tables.items() if name in named for row in of]


def by_path(plan: Plan) -> dict[str, Planned]:
    return {f"images/{picture.file_name}": picture for picture in plan.pictures}


def text_of(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("question", *"ABCD"))


PLANS = {
    "sources": st.integers(1, 12).flatmap(
        lambda n: st.sampled_from([(m,) for m in MODALITIES] + [MODALITIES]).map(lambda of: some(n, of))
    ),
    "seed": st.integers(0, 2**40),
    "per_image": st.integers(3, 21),
    "together": st.booleans(),
}


@settings(max_examples=25, deadline=None)
@given(**PLANS)
def test_each_question_is_asked_of_one_source_as_often_with_each_answer(
    sources: list[Source], seed: int, per_image: int, together: bool
) -> None:
    plan = plan_of(sources, seed, per_image, together=together)
    asked, pictures = rows(plan, "QA"), by_path(plan)
    assert len(asked) == len(pictures) == per_image * len(sources)
    assert {row["image_path"] for row in asked} == set(pictures)
    answers: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for row in asked:
        answers[(pictures[row["image_path"]].source.key, *text_of(row))][row["answer"]] += 1
    for (_, _, *options), counts in answers.items():
        assert sorted(counts) == list("ABCD"[: sum(map(bool, options))])
        assert len(set(counts.values())) == 1
    # So letters and yes and no are balanced over any set of sources, of whichever number of options.
    letters = Counter((row["question_type"], bool(row["C"]), bool(row["D"]), row["answer"]) for row in asked)
    assert all(letters[(*key[:3], "A")] == n for key, n in letters.items())


@settings(max_examples=25, deadline=None)
@given(**PLANS)
def test_the_answer_is_right_and_no_other_option_is(
    sources: list[Source], seed: int, per_image: int, together: bool
) -> None:
    plan = plan_of(sources, seed, per_image, together=together)
    pictures = by_path(plan)
    for row in rows(plan, "QA"):
        picture, right = pictures[row["image_path"]], row[row["answer"]]
        known = of_modality(picture.source.modality)
        names = [fault.name for fault, _ in picture.put_on]
        options = [row[letter] for letter in "ABCD" if row[letter]]
        assert len(set(options)) == len(options)
        assert (row["modality"], row["severity"]) == (picture.source.modality, picture.severity)
        assert row["degradation"] == (" and ".join(names) or "none")
        assert row["source"] == ("simulated distortion" if names else "authentic")
        for (one, _), (other, _) in combinations(picture.put_on, 2):
            assert not alike(one, other)
        asked = [fault for fault in known if fault.asked in row["question"] or fault.amount in row["question"]]
        if row["question_type"] == "Yes-or-No":
            if "visible degradation" in row["question"]:
                assert right == ("No" if names else "Yes")
            else:
                shown = any(fault.name in names for fault in asked)
                assert right == ("Yes" if shown else "No")
                if not shown:
                    assert not any(alike(fault, of) for fault in asked for of, _ in picture.put_on)
        elif row["question_type"] == "How" and options[0] in ("Good", "Usable", "Reject"):
            assert right == {"none": "Good", "mild": "Usable", "severe": "Reject"}[picture.severity]
        elif row["question_type"] == "How":
            shown = any(fault.name in names for fault in asked)
            assert right == (picture.severity.title() if shown else "None")
        elif not names:
            assert right == NOTHING
        elif " together with " in right:
            assert right.casefold() == " together with ".join(sorted(names)).casefold()
            assert picture.also_severity == picture.severity
        else:
            assert right.casefold() == names[0].casefold()
            if picture.also:
                assert (picture.severity, picture.also_severity) == ("severe", "mild")
        if row["question_type"] == "What":
            of_options = [
                [fault for fault in known if fault.name.casefold() in option.casefold().split(" together with ")]
                for option in options
                if option != NOTHING
            ]
            assert all(of_options)
            single = [fault for faults in of_options for fault in faults if len(faults) == 1]
            assert not any(alike(a, b) for a, b in combinations(single, 2))
        specific = [fault.scope for fault in DEGRADATIONS.values() if fault.name in names]
        assert row["scope"] in {"general", "modality-specific"}
        assert row["scope"] == "general" or specific or asked


@settings(max_examples=25, deadline=None)
@given(**PLANS)
def test_references_and_pairs_are_balanced_in_each_source(
    sources: list[Source], seed: int, per_image: int, together: bool
) -> None:
    plan = plan_of(sources, seed, per_image, together=together)
    pictures = by_path(plan)
    severities: dict[str, Counter[str]] = {of.key: Counter() for of in sources}
    for picture in plan.pictures:
        severities[picture.source.key][picture.severity] += 1
    for counts in severities.values():
        assert counts["none"] >= 1
        assert together or abs(counts["mild"] - counts["severe"]) <= 1
    described = Counter((pictures[row["image_path"]].source.key, row["severity"]) for row in rows(plan, "description"))
    assert described == Counter((key, grade) for key, counts in severities.items() for grade in counts)
    pairs: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in rows(plan, "paired_description"):
        first, second = (pictures[path] for path in json.loads(row["image_path"]))
        assert first.source.key == second.source.key
        ranks = [("none", "mild", "severe").index(of.severity) for of in (first, second)]
        better = "first" if ranks[0] < ranks[1] else "second"
        assert row["description"].endswith(f"the {better} image is of higher quality.")
        assert row["difficulty"] == {1: "fine-grained", 2: "coarse-grained"}[abs(ranks[0] - ranks[1])]
        pairs[first.source.key].append((row["difficulty"], better))
    for of in pairs.values():
        if len(of) == 2:
            assert {difficulty for difficulty, _ in of} == {"coarse-grained", "fine-grained"}
            assert {better for _, better in of} == {"first", "second"}
    assert together or all(len(of) == 2 for of in pairs.values())


def test_types_and_severities_are_balanced_and_each_degradation_is_shown() -> None:
    for per_image in (6, 8, 12):
        asked = rows(plan_of(some(210), per_image=per_image), "QA")
        for axis, values in (("question_type", KINDS), ("severity", ("none", "mild", "severe"))):
            counts = Counter(row[axis] for row in asked)
            assert set(counts) == set(values)
            assert all(abs(counts[value] / len(asked) - 1 / 3) < 0.06 for value in values), (per_image, axis, counts)
        shown = {(row["modality"], row["degradation"]) for row in asked} - {(of, "none") for of in MODALITIES}
        assert shown == {(fault.modality, fault.name) for fault in DEGRADATIONS.values()}


def test_five_images_of_one_modality_have_every_type_from_eight_pictures_on() -> None:
    for modality in MODALITIES:
        for seed in range(6):
            test = plan_of(some(5, [modality]), seed).tables["medqbench_QA_test.tsv"]
            assert {row["question_type"] for row in test} >= {"Yes-or-No", "What"}


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 40), seed=st.integers(0, 2**32), per_group=st.integers(1, 4), share=st.floats(0.01, 0.9))
def test_splits_share_no_file_and_neither_is_empty(n: int, seed: int, per_group: int, share: float) -> None:
    sources = [source(number, "CT", f"scan {number // per_group}") for number in range(n)]
    plan = make_plan(sources, seed=seed, per_image=3, dev_share=share)
    group = {f"images/{of.file_name}": of.source.group for of in plan.pictures}
    of_split: dict[str, set[str]] = {"dev": set(), "test": set()}
    for name, of in plan.tables.items():
        for row in of:
            paths = [row["image_path"]] if "paired" not in name else json.loads(row["image_path"])
            of_split[name.rpartition("_")[2].partition(".")[0]] |= {group[path] for path in paths}
    assert not of_split["dev"] & of_split["test"]
    if len(set(group.values())) > 1:
        assert of_split["dev"]
        assert of_split["test"]


def test_without_a_dev_share_and_of_one_image_there_is_a_test_split_alone() -> None:
    for plan in (plan_of(some(1)), make_plan(some(9), seed=1, per_image=3, dev_share=0)):
        assert list(plan.tables) == [f"medqbench_{of}_test.tsv" for of in ("QA", "description", "paired_description")]


@settings(max_examples=25, deadline=None)
@given(n=st.integers(3, 12), seed=st.integers(0, 2**32), at=st.integers(0, 11))
def test_order_of_sources_does_not_matter_and_another_source_changes_no_other(n: int, seed: int, at: int) -> None:
    sources = some(n)
    whole = plan_of(sources, seed, 6)
    assert plan_of([*sources[::-1], sources[0]], seed, 6) == whole
    left = sources[at % n].key
    fewer = plan_of([of for of in sources if of.key != left], seed, 6)
    assert [picture for picture in whole.pictures if picture.source.key != left] == list(fewer.pictures)
    for task in ("QA", "description", "paired_description"):
        kept = {row["index"]: row for row in rows(whole, task)}
        assert all(kept[row["index"]] == row for row in rows(fewer, task))


def test_names_and_indices_are_different_and_rows_stand_in_the_order_of_their_indices() -> None:
    plan = plan_of(some(60), name="mine")
    names = [picture.file_name for picture in plan.pictures]
    assert len(set(names)) == len(names)
    indices = [row["index"] for of in plan.tables.values() for row in of]
    assert len(set(indices)) == len(indices)
    assert all(index.startswith("mine-") for index in indices)
    for of in plan.tables.values():
        assert [row["index"] for row in of] == sorted(row["index"] for row in of)
    # The pictures of one source follow each other, so that it is read once.
    keys = [picture.source.key for picture in plan.pictures]
    assert len(set(keys)) == 1 + sum(a != b for a, b in pairwise(keys))


def digest(seed: int) -> str:
    tables = plan_of(some(21), seed, together=True).tables
    return hashlib.sha256("".join(name + table_text(of) for name, of in tables.items()).encode()).hexdigest()


def test_the_same_seed_gives_the_same_bytes_in_another_process_and_another_seed_does_not() -> None:
    code = "from tests.synth.test_plan import digest; print(digest(3))"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "1", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    # This process has another seed of hashes.
    assert ran.stdout.strip() == digest(3) != digest(4)


def test_columns_are_those_of_the_embedded_tables() -> None:
    begin, end = ["index", "image_path"], ["modality", "severity"]
    columns = {
        "QA": [*begin, "question", *"ABCD", "answer", "question_type", *end, "degradation", "scope", "source"],
        "description": [*begin, "description", *end, "degradation", "source"],
        "paired_description": [*begin, "description", *end, "difficulty", "source"],
    }
    plan = plan_of(some(10))
    for task, names in columns.items():
        for split in ("dev", "test"):
            text = table_text(plan.tables[f"medqbench_{task}_{split}.tsv"])
            assert next(csv.reader(StringIO(text), delimiter="\t")) == names


def test_a_seldom_degradation_alone_gives_questions_without_distractors() -> None:
    plan = plan_of(some(4, ["CT"]), degradations={"ct-ring"})
    asked = rows(plan, "QA")
    assert {row["question_type"] for row in asked} == {"Yes-or-No", "How"}
    assert {row["degradation"] for row in asked} == {"none", "ring artifacts"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sources": []}, "no image"),
        ({"per_image": 2}, "--per-image"),
        ({"dev_share": 1.0}, "--dev-share"),
        ({"dev_share": float("nan")}, "--dev-share"),
        ({"degradations": {"ct-rings"}}, "'ct-rings'.*ct-ring"),
        ({"degradations": {"mr-bias"}}, "no degradation for CT"),
        ({"sources": [source(1, "PET")]}, "no degradation for PET"),
    ],
)
def test_what_cannot_be_planned_is_refused(change: dict[str, object], message: str) -> None:
    options: dict[str, object] = {"sources": some(2, ["CT"]), "seed": 1, "per_image": 6, "dev_share": 0.2, **change}
    sources = options.pop("sources")
    with pytest.raises(BadInput, match=message):
        make_plan(sources, **options)  # type: ignore[arg-type]


# What a reader without the pictures may know of a row.
KNOWN = {
    "words": lambda row, _: " ".join(text_of(row)),
    "letters and lengths": lambda row, _: " ".join(
        f"{letter}{len(row[letter])} {letter}:{row[letter].replace(' ', '_')}" for letter in "ABCD"
    ),
    "index, order and file": lambda row, at: " ".join([*row["index"][-12:], *row["image_path"][-16:], f"o{at // 50}"]),
}


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "together"), [(1, False), (2, True), (3, False)])
@pytest.mark.parametrize("modalities", [MODALITIES, ("CT",), ("Endoscopy", "MRI")], ids="-".join)
def test_a_model_without_pictures_scores_at_chance(modalities: Sequence[str], seed: int, together: bool) -> None:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    plan = plan_of(some(90, modalities), seed, 8, together=together)
    asked, pictures = rows(plan, "QA"), by_path(plan)
    groups = [pictures[row["image_path"]].source.key for row in asked]
    answers = [row["answer"] for row in asked]
    chances = [1 / sum(bool(row[letter]) for letter in "ABCD") for row in asked]
    expected, spread = sum(chances), sqrt(sum(p * (1 - p) for p in chances))
    for name, known in KNOWN.items():
        told = [known(row, at) for at, row in enumerate(asked)]
        model = make_pipeline(CountVectorizer(ngram_range=(1, 3), token_pattern=r"\S+"), MultinomialNB())
        guessed = cross_val_predict(model, told, answers, groups=groups, cv=GroupKFold(3))
        right = sum(map(str.__eq__, guessed, answers))
        assert right <= expected + 2.6 * spread, (name, right, expected, spread)
    # Whoever knows the most frequent answer to every text of this very set is right once in each block.
    seen: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for row in asked:
        seen[text_of(row)][row["answer"]] += 1
    assert sum(max(counts.values()) for counts in seen.values()) == round(expected)
