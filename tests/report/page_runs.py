"""Runs for the page: small ones with images on the disk, one whose every text is hostile, and one with harsh words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from medqbench_vlmeval.benchmark import Comparable, Task
from medqbench_vlmeval.types import Cell, Conclusion, Details, Finding, Run
from tests import make

CLOSING = "</script><script>document.title='owned'</script>"
MARKUP = "<img src='https://example.invalid/x.png' onerror='document.title=1'><b>bold</b> & &lt;i&gt; {{ 7 * 7 }}"
RTL = "\u202eevil\u202c \u05e9\u05dc\u05d5\u05dd \u2028 \u2029 <!-- -->"
LONG = "x" * 100_000 + "<script>" + "y" * 100_000
OPTIONS = {"A": "Yes", "B": "No"}


def image_bytes(colour: tuple[int, int, int], size: tuple[int, int] = (64, 48), kind: str = "PNG") -> bytes:
    out = BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


def stored(root: Path, data: bytes, suffix: str = "png") -> str:
    """Put an image where an image store keeps it; its name."""
    name = f"{hashlib.sha256(data).hexdigest()}.{suffix}"
    path = root / name[:2] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return name


def questions(n: int = 5, images: Sequence[str] = (), right: bool = False, **fields: Any) -> list[make.Answered]:
    """The five questions over and over, with indexes from 1; one reply looks like a formula.

    ``right`` makes every answer right.
    """
    answered = []
    for place in range(n):
        modality, kind, severity, answer, correct = make.FIVE_QUESTIONS[place % 5]
        named = {"question": f"Question {place + 1}?", "modality": modality, "question_type": kind, **fields}
        if images:
            named["image_refs"] = (images[place % len(images)],)
        reply = {"correct": True} if right else {"correct": correct, "text": "=1+1" if place % 5 == 3 else None}
        answered.append(
            make.choice(str(place + 1), answer=answer, options=OPTIONS, severity=severity, **reply, **named)
        )
    return answered


def perception_run(root: Path | None = None, model: str = "Model-X", right: bool = False) -> Run:
    """The five questions, one image each where there is a folder for them."""
    images = [] if root is None else [stored(root, image_bytes((40 * place, 90, 200))) for place in range(5)]
    value = Comparable.UNVERIFIED if right else Comparable.NO
    return make.make_run(questions(5, images, right), model=model, comparable=value, reasons=("embedded set",))


def reasoning_run(root: Path, model: str = "Model-X") -> Run:
    """Three judged pairs with one judge's reply for all four dimensions; the third is without verdicts."""
    names = tuple(stored(root, image_bytes(colour)) for colour in ((255, 0, 0), (0, 255, 0)))
    run = make.reasoning_run(task=Task.COMPARATIVE, model=model)
    rows = []
    for row, kinds in zip(run.rows, ((), ("wrong preference",), ()), strict=True):
        verdicts = {name: replace(each, reply="One reply for all of them.") for name, each in row.verdicts.items()}
        sample = replace(row.sample, image_refs=names)
        rows.append(replace(row, sample=sample, verdicts=verdicts, error_kinds=kinds, conclusion=Conclusion(1, 2, 0)))
    return replace(run, rows=tuple(rows))


def three_runs(root: Path) -> list[Run]:
    """A model with failures, one without, and the first one's judged pairs."""
    return [perception_run(root), perception_run(root, "Model-Y", right=True), reasoning_run(root)]


def finding(title: str, statement: str, *ends: float, **details: Any) -> dict[str, Finding]:
    cell = Cell(0.0, *ends, n=5) if ends else Cell(0.0, n=5)
    return {"modality_gap": Finding(title, statement, "points", cell, "by hand", Details(**details))}


def with_part(run: Run, **changes: Any) -> Run:
    ((task, part),) = run.result.parts.items()
    return replace(run, result=replace(run.result, parts={task: replace(part, **changes)}))


def hostile_run() -> Run:
    """A perception run in which names, groups, questions, replies and findings all attack the page."""
    texts = (CLOSING, MARKUP, RTL, LONG, "lone \ud800 surrogate \x00 and \x1b[31m")
    modalities = ("__proto__", "constructor", MARKUP, RTL, CLOSING)
    options, images = {"A": MARKUP, "B": CLOSING}, ("../../../etc/passwd", "/etc/hosts")
    fields: dict[str, Any] = {"options": options, "image_refs": images}
    answered = [
        make.choice(f"{place}{text[:60]}", True, text=text, question=text[:5000], modality=modality, **fields)
        for place, (text, modality) in enumerate(zip(texts, modalities, strict=True))
    ]
    run = make.make_run(answered, model=MARKUP + RTL, dataset=CLOSING, reasons=(CLOSING, RTL))
    cells = {MARKUP: Cell(1.0, n=3), "__proto__": Cell(2.0, n=3)}
    findings = finding(MARKUP, CLOSING, -1.0, 1.0, groups=cells)
    rows = tuple(replace(row, rule=CLOSING, error_kinds=(MARKUP, "__proto__")) for row in run.rows)
    return replace(with_part(run, findings=findings, not_found={MARKUP: CLOSING}), rows=rows)


def harsh_run() -> Run:
    """Words without a break, names of what every object has, an axis that some samples lack, and 50,000 hits in one."""
    word = "W" * 10_000
    modalities = (word, "constructor", "\u202eabc", None, None)
    fields = {"question": word, "options": {"constructor": word, "__proto__": word}, "image_refs": (word,)}
    answered = []
    for question, modality in zip(questions(), modalities, strict=True):
        sample = replace(question.sample, index=question.sample.index + word, modality=modality, **fields)
        answered.append(replace(question, sample=sample, prediction=replace(question.prediction, index=sample.index)))
    answered[4] = replace(answered[4], prediction=replace(answered[4].prediction, text="x " * 50_000))
    correct = [question.sample.index for question in answered[:3]]
    run = make.make_run(answered, model=word, dataset=word, reasons=(word,))
    rows = tuple(
        replace(row, correct=row.sample.index in correct, unscored=word, error_kinds=("toString", "toString", word))
        for row in run.rows
    )
    part = run.result["perception"]
    by_modality = {name: group for name, group in part.groups["modality"].items() if name == word}
    by_modality["a\x01\ud800"] = by_modality[word]
    run = with_part(run, findings=finding(word, word), groups={"modality": by_modality}, interval_method="\x02\udfff")
    return replace(run, rows=rows)


def data_of(page: Path, name: str = "data") -> Any:
    """What a page holds in one of its script elements."""
    _, _, rest = page.read_text("utf-8").partition(f'<script type="application/json" id="{name}">')
    return json.loads(rest.partition("</script>")[0])
