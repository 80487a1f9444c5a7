"""The command line, run in this process."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from medqbench_vlmeval.cli.main import main

MODALITIES = ("CT", "MRI", "Fundus", "Endoscopy")


def predictions_of(path: Path, texts: Iterable[str], task: str = "no-reference") -> Path:
    """A file of judged replies with these texts, one a sample, of one modality after the other."""
    rows = [
        {"index": i, "task": task, "question": "Describe.", "modality": MODALITIES[i % 4], "prediction": text}
        | {"description": f"Case {i} shows mild noise. The quality of this image is usable."}
        for i, text in enumerate(texts)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return end.value.code or 0, captured.out, captured.err
