"""Our texts beside those of the kit's own classes, byte for byte."""

from __future__ import annotations

import importlib
import itertools
import json

import pandas as pd
import pytest

from medqbench_vlmeval.benchmark import DIMENSIONS, Task
from medqbench_vlmeval.judge.protocols import load_protocol
from medqbench_vlmeval.prompts import build_text
from medqbench_vlmeval.types import Sample
from tests.data.rows import RED, text_of

QUESTIONS: list[tuple[str, dict[str, str]]] = [
    ("Is the image sharp?", {"A": "Yes", "B": "No"}),
    ("  What is {seen}?  ", {"A": "  Motion  blur ", "B": "Rings", "C": "50 % noise", "D": "Nothing"}),
    ("How good is it?", {"A": "Good", "C": "Reject"}),
    ("Which letter is 'it'?\nLook twice.", {"B": "B", "D": "D. \\n"}),
    ("质量如何？", {"A": "好", "B": "可用"}),
]
FIVE = ("Which degradation is it?", {"A": "Noise", "B": "Blur", "C": "Rings", "D": "Motion", "E": "Streaks "})
IMAGE = text_of(RED)
# Not as image_a and image_b: git HEAD's own paired class fails on those columns.
PAIR = json.dumps([IMAGE] * 2)
OWN_QUESTIONS = ["Describe it in a word.", "{question} [MLLM DESC]"]
TEXTS = [
    ("Noise and blur. Overall, the quality of this image is usable.", "Mild noise. The quality is good."),
    ("", "reference"),
    ("{x} \\1 \\g<0> %s [MLLM] DESC", "[GOLDEN] $& 噪声\nline two"),
]
SCORERS = {
    Task.NO_REFERENCE: ("medqbench_caption", "MedQBench_Caption_Scorer"),
    Task.COMPARATIVE: ("medqbench_paired_description", "MedQBench_PairedDescription_Scorer"),
}


def test_what_a_model_is_told_of_medq_deg_is_the_text_of_the_kits_own_class(kit, work, monkeypatch, tmp_path):
    rows = [{"image": IMAGE, "question": text, **options} for text, options in (*QUESTIONS, FIVE)]
    path = tmp_path / "MedQ-Robust-simulate-test.tsv"
    pd.DataFrame([{"index": i, "answer": "b", **row} for i, row in enumerate(rows)]).to_csv(path, sep="\t", index=False)
    kits_own = importlib.import_module("vlmeval.dataset.medq_deg_bench").MedQDEGBenchDataset
    # Its only way to a file is the hub's snapshot.
    monkeypatch.setattr(kits_own, "prepare_dataset", lambda *_: {"root": str(tmp_path), "data_file": str(path)})
    dataset = kits_own("MedQDEGBench_simulate_test")
    texts = [dataset.build_prompt(at)[-1]["value"] for at in range(len(rows))]
    samples = [Sample("1", Task.DEGRADATION, text, options) for text, options in (*QUESTIONS, FIVE)]
    assert texts == [build_text(sample) for sample in samples]
    assert "E. Streaks" in texts[-1]


@pytest.mark.parametrize(
    ("kind", "rows", "samples"),
    [
        (
            "MedqbenchMCQDataset",
            [
                {"image": IMAGE, "question": text, **options, "answer": next(iter(options))}
                for text, options in QUESTIONS
            ],
            [Sample("1", Task.PERCEPTION, *question) for question in QUESTIONS],
        ),
        ("MedqbenchCaptionDataset", [{"image": IMAGE}], [Sample("1", Task.NO_REFERENCE, None)]),
        ("MedqbenchPairedDescriptionDataset", [{"image": PAIR}], [Sample("1", Task.COMPARATIVE, None)]),
        (
            "MedqbenchCaptionDataset",
            [{"image": IMAGE, "question": own} for own in OWN_QUESTIONS],
            [Sample("1", Task.NO_REFERENCE, own) for own in OWN_QUESTIONS],
        ),
    ],
    ids=["questions", "no-reference", "comparative", "own-questions"],
)
def test_what_a_model_is_told_is_the_kits_text_and_a_files_own_question_wins(kit, work, tmp_path, kind, rows, samples):
    path = tmp_path / "data.tsv"
    pd.DataFrame([{"index": str(i), "description": "d", **row} for i, row in enumerate(rows)]).to_csv(
        path, sep="\t", index=False
    )
    dataset = getattr(kit, kind)(data_path=str(path))
    messages = [dataset.build_prompt(i) for i in range(len(dataset))]
    texts = [next(part["value"] for part in parts if part["type"] == "text") for parts in messages]
    assert texts == [build_text(sample) for sample in samples]


def test_judge_prompts_are_the_kits(kit):
    protocol, prompts, official = load_protocol("official"), [], []
    for task, dimension, texts in itertools.product(SCORERS, DIMENSIONS, TEXTS):
        module, name = SCORERS[task]
        scorer = getattr(importlib.import_module(f"vlmeval.dataset.{module}"), name)(None, None)
        official.append(scorer.build_prompt(dimension, *texts))
        prompts.append(protocol.prompt(task, dimension, *texts))
    assert prompts == official
    assert len(set(prompts)) > len(DIMENSIONS) * len(TEXTS)
