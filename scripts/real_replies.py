"""Precision and recall of the answer rules on real replies: python scripts/real_replies.py CHECKOUTS

CHECKOUTS is a folder with checkouts of public repositories that hold outputs of real models, each under its own name:
``MMMU`` (MMMU-Benchmark/MMMU), ``BLINK_Benchmark`` (zeyofu/BLINK_Benchmark), ``M3CoT`` (LightChen233/M3CoT) and
``MATH-V`` (mathllm/MATH-V). ``tests/answers/real_replies.csv`` holds ids, hashes and labels of the replies that were
read by hand, under the rule of ``tests/answers/README.md``, and no texts.

Prints how many labelled replies were found unchanged, and precision and recall in all, by source, by length and by the
rule that decided. Replies whose label two readers may differ on are counted apart. Ends with 2 where a file is missing.
"""

from __future__ import annotations

import argparse
import ast
import csv
import hashlib
import json
import re
import string
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medqbench_vlmeval.answers import extract, extract_choice

LABELS = Path(__file__).resolve().parents[1] / "tests" / "answers" / "real_replies.csv"
IMAGES = ("the first image", "the second image", "the third image", "the fourth image")
POINTS = tuple(f"Point {letter}" for letter in "ABCD")
# The options of BLINK's tasks are the same for all questions of a task; its output files do not repeat them.
BLINK = {
    "Relative_Depth": ("A is closer", "B is closer"),
    "Forensic_Detection": IMAGES,
    "Jigsaw": IMAGES[1:3],
    "Art_Style": IMAGES[1:3],
    "Visual_Similarity": IMAGES[1:3],
    "Multi-view_Reasoning": ("left", "right"),
    "Visual_Correspondence": POINTS,
    "Semantic_Correspondence": POINTS,
    "Functional_Correspondence": POINTS,
    "Relative_Reflectance": ("A is darker", "B is darker", "About the same"),
    "IQ_Test": tuple(f"picture {letter}" for letter in "ABCD"),
    "Spatial_Relation": ("yes", "no"),
    "Object_Localization": ("Box A", "Box B"),
}


@dataclass(frozen=True)
class Reply:
    """One reply of a model to a question with options."""

    id: str
    options: dict[str, str]
    text: str

    @property
    def source(self) -> str:
        return self.id.rpartition("/")[0]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Label:
    """What a reader recorded: a letter or None; ``doubtful`` where another reader may differ."""

    id: str
    sha256: str
    letter: str | None
    doubtful: bool
    part: str


def lettered(texts: Iterable[object]) -> dict[str, str]:
    return dict(zip(string.ascii_uppercase, map(str, texts), strict=False))


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file if line.strip())


def m3cot(root: Path) -> Iterator[Reply]:
    for path in sorted(root.glob("experiment/zero-shot/*/*.jsonl")):
        for row in lines(path):
            prompt, reply = row["messages"][0], row["messages"][-1]
            asked = dict(re.findall(r"^\(([A-Z])\) (.*)$", prompt, re.MULTILINE))
            yield Reply(f"m3cot/{path.parent.name}/{path.stem}/{row['id']}", asked or lettered(row["choices"]), reply)


def mmmu_pro(root: Path) -> Iterator[Reply]:
    for path in sorted(root.glob("mmmu-pro/output/*.jsonl")):
        for row in lines(path):
            options = row["options"]
            texts = ast.literal_eval(options) if isinstance(options, str) else options
            yield Reply(f"mmmu-pro/{path.stem}/{row['id']}", lettered(texts), row["response"])


def blink(root: Path) -> Iterator[Reply]:
    for path in sorted(root.glob("eval/saved_outputs/*/*.json")):
        options = BLINK.get(path.stem.replace(" ", "_"), ())
        splits = json.loads(path.read_text(encoding="utf-8")) if options else {}
        for row in (row for rows in splits.values() for row in rows):
            reply = str(row.get("full_prediction", ""))
            yield Reply(f"blink/{path.parent.name}/{row['idx']}", lettered(options), reply)


def math_v(root: Path) -> Iterator[Reply]:
    questions = {row["id"]: row["options"] for row in lines(root / "data" / "test.jsonl")}
    for path in sorted(root.glob("outputs/*-source/*/*.jsonl")):
        for row in lines(path):
            texts = questions.get(str(row["id"])) or ()
            if len(texts) > 1:
                yield Reply(f"math-v/{path.stem}/{row['id']}", lettered(texts), str(row["response"]))


SOURCES = {"M3CoT": m3cot, "MMMU": mmmu_pro, "BLINK_Benchmark": blink, "MATH-V": math_v}


def read_labels() -> dict[str, Label]:
    with LABELS.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        labels = [
            Label(row["id"], row["sha256"], row["letter"] or None, row["doubtful"] == "yes", row["part"])
            for row in rows
        ]
    return {label.id: label for label in labels}


def length_of(text: str) -> str:
    return next((f"up to {most:5,} characters" for most in (100, 300, 1000, 3000) if len(text) <= most), "longer")


def line_of(name: str, pairs: list[tuple[str | None, str | None]]) -> str:
    """Precision: right letters of all letters read; recall: right letters of all letters labelled; in percent."""
    read = sum(letter is not None for letter, _ in pairs)
    labelled = sum(label is not None for _, label in pairs)
    right = sum(letter is not None and letter == label for letter, label in pairs)
    shares = [f"{100 * right / whole:6.1f}" if whole else "     -" for whole in (read, labelled)]
    return f"{name:52.52}{len(pairs):7}{shares[0]:>11}{shares[1]:>9}{read - right:7}{labelled - right:8}"


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkouts", type=Path)
    parser.add_argument("--kit", action="store_true", help="also read the replies as the installed kit does")
    given = parser.parse_args(words)
    root = given.checkouts
    if missing := [name for name in SOURCES if not (root / name).is_dir()]:
        print(f"{root} has no folder {', '.join(missing)}: check these repositories out there.", file=sys.stderr)
        return 2
    labels = read_labels()
    replies = [reply for name, load in SOURCES.items() for reply in load(root / name) if reply.id in labels]
    same = [reply for reply in replies if reply.sha256 == labels[reply.id].sha256]
    print(f"{len(same)} of {len(labels)} labelled replies found unchanged")
    tables: dict[str, dict[str, list[tuple[str | None, str | None]]]] = defaultdict(lambda: defaultdict(list))
    for reply in same:
        label, answer = labels[reply.id], extract(reply.text, reply.options)
        pair = (answer.letter, label.letter)
        tables["part"][f"{label.part}{', doubtful' if label.doubtful else ''}"].append(pair)
        if not label.doubtful:
            for table, key in (("source", reply.source), ("length", length_of(reply.text)), ("rule", answer.rule)):
                tables[table][key].append(pair)
    for table, groups in tables.items():
        print(f"\n{'by ' + table:52}replies  precision   recall  wrong  missed")
        for name, pairs in sorted(groups.items()):
            print(line_of(name, pairs))
    if given.kit:
        sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
        from benchmarks.extraction import kit_can_infer, kit_class

        print(f"\n{'not doubtful ones':52}replies  precision   recall  wrong  missed")
        sure = [(reply, labels[reply.id].letter) for reply in same if not labels[reply.id].doubtful]
        for name, read in (
            ("ours", extract_choice),
            ("the kit's class", kit_class()),
            ("`can_infer`", kit_can_infer()),
        ):
            print(line_of(name, [(read(reply.text, reply.options), letter) for reply, letter in sure]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
