"""Rows of the published shapes and small images for them, and files of such rows."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data import ImageStore
from medqbench_vlmeval.data.samples import load_table
from medqbench_vlmeval.data.sources import embedded_folder
from medqbench_vlmeval.provenance import SourceFile
from medqbench_vlmeval.types import Sample

Write = Callable[..., Path]

MINI = embedded_folder()


def mini_rows(name: str) -> list[dict[str, str]]:
    """The rows of a table of the embedded set."""
    with (MINI / name).open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source, delimiter="\t"))


def load(path: Path, task: Task | None = None) -> tuple[list[Sample], SourceFile]:
    """A file's samples with their images."""
    return load_table(path, task, ImageStore.default())


def encoded(colour: tuple[int, int, int], kind: str = "PNG") -> bytes:
    """The bytes of a small image of one colour."""
    out = io.BytesIO()
    Image.new("RGB", (9, 7), colour).save(out, kind)
    return out.getvalue()


def text_of(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


RED, GREEN, BLUE = encoded((255, 0, 0)), encoded((0, 255, 0), "JPEG"), encoded((0, 0, 255))


def question(index: str = "1", **cells: str) -> dict[str, str]:
    """A perception row; cells override or add columns."""
    options = {"A": "Blur", "B": "Noise", "C": "None", "D": "", "answer": "B"}
    row = {"index": index, "question": "What is the most visible artifact?", **options}
    return {**row, "image": text_of(RED), "modality": "CT", **cells}


def description(index: str = "1", **cells: str) -> dict[str, str]:
    """A no-reference row."""
    return {"index": index, "description": "Sharp. The quality of this image is good.", "image": text_of(RED), **cells}


def pair(index: str = "1", **cells: str) -> dict[str, str]:
    """A comparative row."""
    images = {"image_a": text_of(RED), "image_b": text_of(GREEN)}
    return {"index": index, "description": "The second image is better.", **images, **cells}
