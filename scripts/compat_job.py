"""What one cell of the compatibility matrix runs: the package's commands on fixed input, and what comes out.

    python scripts/compat_job.py FOLDER [--run]

Run by an environment's own interpreter (``scripts/compat.py`` does it). Replies of two made-up models to the embedded
sets are scored, compared, rated, reported and exported; with ``--run`` the kit runs the baseline MedQ-Classical on
the embedded sets. ``FOLDER/results.json`` gets what came out by name, without what names the environment: versions,
dates, paths. Two environments agree where the two files are the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

DATASETS = ("MedQBench_Perception_mini", "MedQBench_Reasoning_mini", "MedQDeg_mini")
MODELS = ("Alpha", "Beta")
TYPES = ("Yes-or-No", "What", "How")
MODALITIES = ("CT", "MRI", "Fundus", "Endoscopy", "Histopathology")
SEVERITIES = ("none", "mild", "severe")
DEGRADATIONS = ("noise", "blur", "motion artifacts", "low contrast")
LEVELS = ("good", "usable", "reject")
RUN = ("MedQBench_Perception_mini", "MedQBench_Reasoning_mini")
DIMENSIONS = ("Completeness", "Preciseness", "Consistency", "Quality Accuracy")
# What differs between environments by right: nothing else is left out.
_OF_ENVIRONMENT = frozenset({"python", "package", "kit", "kit_version", "versions", "date", "created", "files", "path"})
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\d.+:]*")


def replies(dataset: str, model: str) -> list[tuple[str, str]]:
    """(index, reply) pairs: right and wrong letters in several forms, references of this and of other samples."""
    from medqbench_vlmeval import load

    samples = list(load(dataset))
    step = 3 + MODELS.index(model)
    answered = []
    for at, sample in enumerate(samples):
        if sample.options:
            letters = list(sample.options)
            letter = sample.answer if at % step else letters[(at // step) % len(letters)]
            text = sample.options[letter]
            forms = (letter, f"The answer is {letter}.", f"{text}.", f"**{letter}**: {text}", "I cannot tell.")
            answered.append((sample.index, forms[at % (len(forms) - at % 7 % 2)]))
        else:
            other = samples[(at + at % step) % len(samples)].description or ""
            answered.append((sample.index, other if at % 5 else other.partition(". ")[0] + "."))
    return answered


def write_predictions(folder: Path) -> dict[tuple[str, str], Path]:
    """Prediction files, each of the three sets in another format; the workbooks by pandas, as the kit writes them."""
    import pandas as pd

    paths = {}
    for dataset, suffix in zip(DATASETS, (".xlsx", ".jsonl", ".csv"), strict=True):
        for model in MODELS:
            path, rows = folder / f"{model}_{dataset}{suffix}", replies(dataset, model)
            if suffix == ".xlsx":
                pd.DataFrame(rows, columns=["index", "prediction"]).to_excel(path, index=False)
            elif suffix == ".jsonl":
                lines = (json.dumps({"index": index, "prediction": text}) for index, text in rows)
                path.write_text("\n".join(lines), encoding="utf-8")
            else:
                with path.open("w", encoding="utf-8", newline="") as out:
                    csv.writer(out).writerows([("index", "prediction"), *rows])
            paths[dataset, model] = path
    return paths


def write_large(folder: Path) -> dict[str, Path]:
    """Data files of 1,200 questions and of 300 descriptions, with images that samples share, and three models' replies
    to each: enough samples for the ways of drawing and testing that small sets do not reach. Returned by model and
    task."""
    draw, paths = Random(1).random, {}  # noqa: S311 - of Random only random() is the same in every Python
    axes = (TYPES, MODALITIES, SEVERITIES, DEGRADATIONS)
    questions = [
        [f"q{at}", f"x{int(draw() * 500)}.png", f"Question {at}?", "Good", "Usable", "Reject", "ABC"[int(draw() * 3)]]
        for at in range(1200)
    ]
    rows = [[*row, *(of[int(draw() ** 2 * len(of))] for of in axes)] for row in questions]
    names = "question_type modality severity degradation"
    _write_table(folder / "large_QA.tsv", f"index image_path question A B C answer {names}".split(), rows)
    described = []
    for at in range(300):
        modality, severity, degradation, level = (
            of[int(draw() * len(of))] for of in (MODALITIES, SEVERITIES, DEGRADATIONS, LEVELS)
        )
        text = f"The {modality} image shows {severity} {degradation}. Overall, the quality is {level}."
        described.append([f"d{at}", f"x{int(draw() * 120)}.png", text, modality, severity, degradation])
    names = "index image_path description modality severity degradation"
    _write_table(folder / "large_description.tsv", names.split(), described)
    for place in range(3):
        chance = 0.4 + 0.2 * place
        answers = [(row[0], row[6] if draw() < chance else "ABC"[int(draw() * 3)]) for row in rows]
        texts = [
            (row[0], described[at if draw() < chance else int(draw() * 300)][2]) for at, row in enumerate(described)
        ]
        for task, pairs in (("QA", answers), ("description", texts)):
            path = folder / f"M{place}_large_{task}.tsv"
            _write_table(path, ("index", "prediction"), pairs)
            paths[f"M{place}", task] = path
    return paths


def _write_table(path: Path, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out, delimiter="\t").writerows([head, *rows])


def medqbench(*words: object) -> str:
    """Run a command in this process and return what it prints. Raises SystemExit, which names it, where it fails."""
    from medqbench_vlmeval.cli.main import main as command

    with redirect_stdout(StringIO()) as out:
        try:
            command(list(map(str, words)))
        except SystemExit as left:
            if left.code:
                sys.exit(f"medqbench {' '.join(map(str, words))} ended with {left.code}")
    return out.getvalue()


def results(folder: Path) -> Iterator[tuple[str, Any]]:
    """Run all commands in ``folder``; yield what each leaves by name."""
    for (dataset, model), path in write_predictions(folder).items():
        out = folder / "runs" / model
        medqbench("score", path, "--data", dataset, "--model", model, "--judge", "rules", "--out", out)
        for name in ("score.json", "samples.jsonl"):
            yield f"{model}_{dataset}_{name}", content_of(next(out.glob(f"{model}_{dataset}_{name}")))
    for dataset in DATASETS:
        yield f"compare {dataset}", json.loads(medqbench("compare", *_scores(folder, dataset), "--json"))
        yield f"data info {dataset}", json.loads(medqbench("data", "info", dataset, "--json"))
    for (model, task), path in write_large(folder).items():
        data, out = folder / f"large_{task}.tsv", folder / "large" / model
        medqbench("score", path, "--data", data, "--model", model, "--judge", "rules", "--out", out)
        yield f"large {path.stem}", content_of(next(out.glob(f"{model}_*{task}*score.json")))
    for task in ("QA", "description"):
        scores = sorted((folder / "large").rglob(f"*{task}*_score.json"))
        yield f"large compare {task}", json.loads(medqbench("compare", *scores, "--json"))
    verdicts = next((folder / "runs" / "Alpha").glob("*Reasoning_mini_samples.jsonl"))
    yield "agreement", json.loads(medqbench("agreement", verdicts, _human(folder, verdicts), "--json"))
    yield "report", json.loads(medqbench("report", "runs", "--out", "report", "--images", "none", "--json"))
    for path in sorted((folder / "report" / "tables").iterdir()):
        yield f"report {path.name}", path.read_text(encoding="utf-8")
    for path in sorted((folder / "report").glob("*.xlsx")):
        yield f"report {path.name}", dict(_cells(path))
    medqbench("data", "export", DATASETS[0], "--to", "exported")
    yield "data export", list(_exported(folder / "exported"))


def run_results(folder: Path) -> Iterator[tuple[str, Any]]:
    """Let the kit run a baseline; yield its score and sample files."""
    words = ("--data", *RUN, "--model", "MedQ-Classical", "--judge", "rules", "--work-dir", "outputs")
    if find_spec("vlmeval.inference_api"):
        medqbench("run", *words)
    else:  # a kit from before 0.0.20, whose own runner knows the datasets when it is patched
        medqbench("patch", "apply", "plugins")
        subprocess.run([sys.executable, "-m", "vlmeval.run", *words], check=True)
    for dataset in RUN:
        for name in ("score.json", "samples.jsonl"):
            found = sorted((folder / "outputs").rglob(f"MedQ-Classical_{dataset}_{name}"))
            yield f"run {dataset}_{name}", content_of(found[0])


def _scores(folder: Path, dataset: str) -> list[Path]:
    return [folder / "runs" / model / f"{model}_{dataset}_score.json" for model in MODELS]


def _human(folder: Path, verdicts: Path) -> Path:
    """A rater's table; 0 and 2 are ratings of both tasks."""
    path = folder / "human.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(["index", *DIMENSIONS])
        for at, line in enumerate(verdicts.read_text(encoding="utf-8").splitlines()):
            row = json.loads(line)
            table.writerow([row["index"], *(2 * (at * (place + 2) % 5 % 2) for place in range(len(DIMENSIONS)))])
    return path


def _cells(path: Path) -> Iterator[tuple[str, list[list[str]]]]:
    """A workbook's texts and numbers by sheet, read by openpyxl as a user's script would."""
    from openpyxl import load_workbook

    for sheet in load_workbook(path).worksheets:
        rows = [["" if value is None else str(value) for value in row] for row in sheet.iter_rows(values_only=True)]
        yield sheet.title, [row for row in rows if not re.search("Python|version|date", " ".join(row), re.IGNORECASE)]


def _exported(folder: Path) -> Iterator[dict[str, Any]]:
    """Rows of the exported Parquet files as 'datasets' gives them back; images as the hash of their bytes."""
    from datasets import Image, Sequence, load_dataset

    files = sorted(map(str, folder.rglob("*.parquet")))
    rows = load_dataset("parquet", data_files=files, split="train", cache_dir=str(folder / "cache"))
    rows = rows.cast_column("images", Sequence(Image(decode=False))) if "images" in rows.column_names else rows
    for row in rows:
        yield {name: _hashed(value) for name, value in row.items()}


def _hashed(value: Any) -> Any:
    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        return hashlib.sha256(value["bytes"]).hexdigest()
    return [_hashed(each) for each in value] if isinstance(value, list) else value


def content_of(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]


def plain(value: Any, names: Mapping[str, str]) -> Any:
    """A value without what names its environment; ``names`` has what stands for the folder and for files' hashes."""
    if isinstance(value, dict):
        return {name: plain(of, names) for name, of in value.items() if name not in _OF_ENVIRONMENT}
    if isinstance(value, list):
        return [plain(each, names) for each in value]
    if isinstance(value, str):
        for text, name in names.items():
            value = value.replace(text, name)
        return _TIME.sub("TIME", value)
    return value


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", action="store_true")
    given = parser.parse_args(None if arguments is None else list(arguments))
    folder = given.folder.resolve()
    os.chdir(folder)
    named = (run_results if given.run else results)(folder)
    content = dict(named)
    # A workbook's bytes hold the time at which it was written.
    hashes = {hashlib.sha256(path.read_bytes()).hexdigest(): path.name for path in folder.rglob("*.xlsx")}
    content = plain(content, {str(folder): "FOLDER", **hashes})
    (folder / "results.json").write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
