"""Our texts beside those of the kit's own classes, byte for byte. The kit's import takes some ten seconds."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from medqbench_vlmeval.benchmark import DIMENSIONS, Task
from medqbench_vlmeval.judge import load_protocol
from medqbench_vlmeval.prompts import build_text
from medqbench_vlmeval.types import Sample
from tests.data.rows import RED, text_of

pytestmark = [pytest.mark.slow, pytest.mark.needs_kit]

QUESTIONS: list[tuple[str, dict[str, str]]] = [
    ("Is the image sharp?", {"A": "Yes", "B": "No"}),
    ("  What is {seen}?  ", {"A": "  Motion  blur ", "B": "Rings", "C": "50 % noise", "D": "Nothing"}),
    ("How good is it?", {"A": "Good", "C": "Reject"}),
    ("Which letter is 'it'?\nLook twice.", {"B": "B", "D": "D. \\n"}),
    ("质量如何？", {"A": "好", "B": "可用"}),
]
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
CLASSES = {
    "asked": "MedqbenchMCQDataset",
    "described": "MedqbenchCaptionDataset",
    "compared": "MedqbenchPairedDescriptionDataset",
    "owned": "MedqbenchCaptionDataset",
}
JUDGED = list(itertools.product(SCORERS, DIMENSIONS, TEXTS))


def write_tsv(path: Path, rows: list[dict[str, str]]) -> str:
    pd.DataFrame(rows).to_csv(path, sep="\t", index=False)
    return str(path)


@pytest.fixture(scope="module")
def said_by_kit(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("kit")
    image = {"image": text_of(RED)}
    # Not as image_a and image_b: git HEAD's own paired class fails on those columns.
    pair = {"image": json.dumps([image["image"]] * 2)}
    rows = {
        "asked": [{**image, "question": text, **options, "answer": next(iter(options))} for text, options in QUESTIONS],
        "described": [{**image, "description": "d"}],
        "compared": [{**pair, "description": "d"}],
        "owned": [{**image, "description": "d", "question": own} for own in OWN_QUESTIONS],
    }
    rows = {name: [{"index": str(i), **row} for i, row in enumerate(table)] for name, table in rows.items()}
    job = {
        "folder": str(folder),
        "datasets": {name: [CLASSES[name], write_tsv(folder / f"{name}.tsv", table)] for name, table in rows.items()},
        "judge": [[*SCORERS[task], dimension, *texts] for task, dimension, texts in JUDGED],
    }
    script = Path(__file__).with_name("kit_texts.py")
    done = subprocess.run([sys.executable, str(script)], input=json.dumps(job), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def test_questions_and_task_texts_are_the_kits_and_a_files_own_question_wins(said_by_kit: dict[str, Any]) -> None:
    assert said_by_kit["texts"] == {
        "asked": [build_text(Sample(str(i), Task.PERCEPTION, *asked)) for i, asked in enumerate(QUESTIONS)],
        "described": [build_text(Sample("0", Task.NO_REFERENCE, None))],
        "compared": [build_text(Sample("0", Task.COMPARATIVE, None))],
        "owned": [build_text(Sample("0", Task.NO_REFERENCE, own)) for own in OWN_QUESTIONS],
    }


def test_judge_prompts_are_the_kits(said_by_kit: dict[str, Any]) -> None:
    official = load_protocol("official")
    ours = [official.prompt(task, dimension, *texts) for task, dimension, texts in JUDGED]
    assert ours == said_by_kit["judge"]
    assert len(set(ours)) > len(DIMENSIONS) * len(TEXTS)
