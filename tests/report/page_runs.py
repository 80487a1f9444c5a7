"""Runs for the page: small ones with images on the disk, and one whose every text is hostile."""

from __future__ import annotations

import hashlib
import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from tests.report.examples import perception_samples, perception_score, reasoning_samples, reasoning_score

Run = tuple[dict[str, Any], list[dict[str, Any]]]

CLOSING = "</script><script>document.title='owned'</script>"
MARKUP = "<img src='https://example.invalid/x.png' onerror='document.title=1'><b>bold</b> & &lt;i&gt; {{ 7 * 7 }}"
RTL = "\u202eevil\u202c \u05e9\u05dc\u05d5\u05dd \u2028 \u2029 <!-- -->"
LONG = "x" * 100_000 + "<script>" + "y" * 100_000


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


def perception_run(root: Path, model: str = "Model-X", right: bool = False) -> Run:
    """The five questions of the examples, one image each; ``right`` makes every answer right."""
    rows = perception_samples()
    for place, row in enumerate(rows):
        row["images"] = [stored(root, image_bytes((40 * place, 90, 200)))]
        if right:
            row.update(extracted=row["answer"], correct=True, prediction=f"{row['answer']}.", rule="bare letter")
        row["error_kinds"] = [] if row["correct"] else ["wrong answer" if row["extracted"] else "no answer"]
    return perception_score(model=model), rows


def reasoning_run(root: Path, model: str = "Model-X") -> Run:
    """Three judged pairs with one judge's reply for all four dimensions of the first."""
    names = [stored(root, image_bytes(colour)) for colour in ((255, 0, 0), (0, 255, 0))]
    rows = reasoning_samples("comparative")
    for row in rows:
        row["images"] = names
        row["verdicts"] = {
            name: {"score": score, "reason": None, "reply": "One reply for all of them.", "judge": "judge-1"}
            for name, score in row["scores"].items()
        }
        row["error_kinds"] = ["wrong preference"] if row["scores"].get("quality_accuracy") == 0 else []
        row["conclusion"] = {"stated": 1, "reference": 2, "quality_accuracy": 0}
    return reasoning_score("comparative", model), rows


def hostile_run() -> Run:
    """A perception run in which names, groups, questions, replies and findings all attack the page."""
    score, rows = perception_score(model=MARKUP + RTL, dataset=CLOSING), perception_samples()
    score["not_comparable_because"] = [CLOSING, RTL]
    score["groups"]["modality"] = {
        MARKUP: score["groups"]["modality"]["CT"],
        CLOSING: score["groups"]["modality"]["MRI"],
    }
    score["findings"] = {
        "modality_gap": {
            "title": MARKUP,
            "statement": CLOSING,
            "unit": "points",
            "low": -1.0,
            "high": 1.0,
            "details": {"groups": {MARKUP: {"value": 1.0, "n": 3}, "__proto__": {"value": 2.0, "n": 3}}},
        },
        "not_found": {MARKUP: CLOSING},
    }
    texts = (CLOSING, MARKUP, RTL, LONG, "lone \ud800 surrogate \x00 and \x1b[31m")
    for place, (row, text) in enumerate(zip(rows, texts, strict=True)):
        row.update(
            prediction=text, question=text[:5000], modality=("__proto__", "constructor", MARKUP, RTL, CLOSING)[place]
        )
        row.update(index=f"{place}{text[:60]}", rule=CLOSING, images=["../../../etc/passwd", "/etc/passwd"])
        row["options"] = {"A": MARKUP, "B": CLOSING}
        row["error_kinds"] = [MARKUP, "__proto__"]
    return score, rows


def harsh_run() -> Run:
    """Words without a break, names of what every object has, an axis that some samples lack, and 50,000 hits in one."""
    word = "W" * 10_000
    score, rows = perception_score(model=word, dataset=word), perception_samples()
    score["not_comparable_because"] = [word]
    score["groups"]["modality"] = {word: score["groups"]["modality"]["CT"], "a\x01\ud800": {"accuracy": 1.0, "n": 3}}
    score["intervals"]["method"] = "\x02\udfff"
    score["findings"] = {"modality_gap": {"title": word, "statement": word, "unit": "points"}}
    for row in rows:
        row.update(index=row["index"] + word, question=word, unscored=word, images=[word])
        row["error_kinds"] = ["toString", "toString", word]
        row["options"] = {"constructor": word, "__proto__": word}
    for row, modality in zip(rows, (word, "constructor", "\u202eabc", None, None), strict=True):
        row["modality"] = modality
    rows[4]["prediction"] = "x " * 50_000
    return score, rows


def data_of(page: Path, name: str = "data") -> Any:
    """What a page holds in one of its script elements."""
    found = re.search(
        rf'<script type="application/json" id="{name}">(.*?)</script>', page.read_text("utf-8"), re.DOTALL
    )
    assert found is not None
    return json.loads(found[1])
