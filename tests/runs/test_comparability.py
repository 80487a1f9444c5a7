"""What makes a result comparable, what leaves it unverified, and what contradicts it."""

from dataclasses import replace

import pytest

from medqbench_vlmeval.benchmark import Comparable, Split, Task
from medqbench_vlmeval.model_use import ImageUse, ModelUse
from medqbench_vlmeval.provenance import ColumnUse, DataUse, JudgeSettings, Protocol
from medqbench_vlmeval.runs.comparability import Evidence, with_comparable
from medqbench_vlmeval.types import Sample
from tests.make import perception_run, reasoning_run

KINDS = ["Yes-or-No"] * 558 + ["What"] * 258 + ["How"] * 489
SAMPLES = {
    Task.PERCEPTION: [Sample(str(i), Task.PERCEPTION, "?", question_type=kind) for i, kind in enumerate(KINDS)],
    Task.NO_REFERENCE: [Sample(str(i), Task.NO_REFERENCE, "?") for i in range(221)],
}
PARTS = {
    Task.PERCEPTION: perception_run().result["perception"],
    Task.NO_REFERENCE: reasoning_run().result["no-reference"],
}
NO_LOSS = {"n_unscored": 0, "n_inference_failed": 0, "n_missing": 0}
SHA, OTHER = "ab" * 32, "cd" * 32
HUB = DataUse("t.tsv", SHA, "0123" * 10, "hub", ColumnUse(), "ee" * 32, 0)
GPT4O = JudgeSettings("gpt-4o", "gpt-4o-2024-11-20", protocol=Protocol("official", "1"))


def judged(task=Task.PERCEPTION, judge=None, samples=None, split=Split.TEST, **changes):
    """What becomes of a run that has everything on record but for ``changes``; other changes are counts."""
    chosen = SAMPLES[task] if samples is None else samples
    n = len(chosen)
    counts = {**NO_LOSS, **{name: value for name, value in changes.items() if name.startswith("n_")}, "n": n}
    known = {"styles": {"official": n}, "files": {SHA: n}, "data": HUB, "model_use": None}
    known |= {name: value for name, value in changes.items() if name in known}
    run = {"n_run": n, "n_offered": changes.get("offered", n)}
    evidence = Evidence(split, chosen, judge=judge if task is Task.PERCEPTION else judge or GPT4O, **run, **known)
    part = with_comparable(replace(PARTS[task], counts=counts), evidence)
    return str(part.comparable), list(part.not_comparable_because)


@pytest.mark.parametrize("task", SAMPLES)
def test_all_on_record(task):
    assert judged(task) == ("yes", [])


# What differs from a run with everything on record -> the value, and a word of each reason.
PERCEPTION = [
    # prompt style
    ({"styles": {"letter": 1305}}, "no", ["'letter'"]),
    ({"styles": dict.fromkeys(map(str, range(1305)), 1)}, "no", ["style '0', '1', '2' and 1302 more is not the"]),
    ({"styles": {"x" * 99: 1305}}, "no", [f"style '{'x' * 60}' is not"]),
    ({"styles": {"": 1305}}, "unverified", ["the prompt style of the replies is not on record"]),
    ({"styles": {"official": 1300, "": 5}}, "unverified", ["style of 5 of 1,305 replies is not on record"]),
    ({"styles": {"official": 1300, "letter": 5}}, "no", ["'letter'"]),
    # data file: the same bytes at no revision, no record of the replies' own, another one
    ({"data": replace(HUB, revision=None, origin="file")}, "unverified", ["data info MedQBench_Perception"]),
    ({"files": {"": 1305}}, "unverified", ["the data file of the replies is not on record"]),
    ({"files": {"": 1305}, "data": replace(HUB, sha256=None, revision=None)}, "unverified", ["data file of the rep"]),
    ({"files": {OTHER: 1305}}, "no", ["another version of the data file"]),
    ({"files": {SHA: 1304, OTHER: 1}}, "no", ["another version of the data file"]),
    ({"split": Split.MINI}, "no", ["embedded set"]),
    ({"split": Split.DEV}, "no", ["dev split"]),
    ({"split": None}, "yes", []),
    ({"samples": SAMPLES[Task.PERCEPTION][1:]}, "no", ["1304 samples; the published rows are of 1305"]),
    ({"offered": 2000}, "no", ["only 1305 of 2000 samples were run"]),
    # the form of the images, where it is on record
    ({"model_use": ModelUse("m", "M", images=ImageUse("kit", "kit", seen_in={"request": 1}))}, "yes", []),
    (
        {"model_use": ModelUse("m", "M", images=ImageUse("original", "kit", seen_in={"request": 1}))},
        "no",
        ["'original'"],
    ),
    # losses: 13 of 1,305 are 0.996%, 14 are 1.07%
    ({"n_inference_failed": 1}, "unverified", ["1 of 1,305 samples failed in inference"]),
    ({"n_inference_failed": 13}, "unverified", ["13 of 1,305"]),
    ({"n_inference_failed": 14}, "no", ["14 of 1,305"]),
    ({"n_inference_failed": 7, "n_missing": 7}, "no", ["7 of 1,305 samples", "7 of 1,305 predictions are missing"]),
    # several at once: all that is not on record is named, and beside a contradiction nothing else
    ({"styles": {"": 1}, "files": {"": 1}, "n_missing": 1}, "unverified", ["data file", "prompt style", "missing"]),
    ({"styles": {"": 1}, "files": {OTHER: 1}}, "no", ["another version"]),
]
OFFICIAL = Protocol("official", "1")
REASONING = [
    ({"judge": replace(GPT4O, name="openai/gpt-4o", protocol=Protocol("official-5", "1"))}, "yes", []),
    ({"judge": JudgeSettings("gpt-4o", None, protocol=OFFICIAL)}, "unverified", ["the model that answered"]),
    ({"judge": JudgeSettings("gpt-4o", "llama-3-8b", protocol=OFFICIAL)}, "no", ["'llama-3-8b'"]),
    ({"judge": JudgeSettings("gpt-4o-mini", "gpt-4o-mini", protocol=OFFICIAL)}, "no", ["'gpt-4o-mini'"]),
    ({"judge": replace(GPT4O, protocol=Protocol("rubric", "1"))}, "no", ["protocol 'rubric'"]),
    ({"judge": JudgeSettings("rules", protocol=Protocol("rules", "1"))}, "no", ["embedded judge 'rules'"]),
    # 2 of 221 are 0.9%; a sample that failed in inference is unscored too and named once
    ({"n_unscored": 2}, "unverified", ["2 of 221 samples are unscored"]),
    ({"n_unscored": 3}, "no", ["3 of 221 samples are unscored"]),
    ({"n_unscored": 2, "n_inference_failed": 2}, "unverified", ["2 of 221 samples failed in inference"]),
    ({"styles": {"": 221}, "n_unscored": 1}, "unverified", ["prompt style", "1 of 221"]),
]


@pytest.mark.parametrize(
    ("task", "changes", "value", "words"),
    [(task, *case) for task, cases in zip(SAMPLES, (PERCEPTION, REASONING), strict=True) for case in cases],
)
def test_what_is_missing_and_what_contradicts(task, changes, value, words):
    known, reasons = judged(task, **changes)
    assert known == value
    assert len(reasons) == len(words)
    assert all(word in reason for word, reason in zip(words, reasons, strict=True)), reasons


def test_several_parts_are_as_good_as_the_worst():
    def part(value, *reasons):
        return replace(PARTS[Task.NO_REFERENCE], comparable=Comparable(value), not_comparable_because=reasons)

    whole = reasoning_run().result
    for first, second, value, reasons in (
        (part("yes"), part("yes"), "yes", ()),
        (part("yes"), part("unverified", "a"), "unverified", ("a",)),
        (part("no", "a", "b"), part("unverified", "c"), "no", ("a", "b")),
        (part("no", "a"), part("no", "b", "a"), "no", ("a", "b")),
    ):
        result = replace(whole, parts={Task.NO_REFERENCE: first, Task.COMPARATIVE: second})
        assert (result.comparable.value, result.not_comparable_because) == (value, reasons)
