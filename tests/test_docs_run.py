"""Every command in a ``bash`` block of the README and the pages is run, page by page and in order, by a reader who has
the quickstart's run. What a page shows of an output is looked for in it, and Python blocks are executed.

Where a page has a placeholder, or names a thing that is not here, ``PLACES`` and ``OWN`` say what is put there.
``ELSEWHERE`` lists the programs that are not run, and why; ``ENDS`` the commands that end otherwise than with 0;
``BEFORE`` what somebody does by hand between two commands.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from medqbench_vlmeval.benchmark import Task
from tests.data.rows import mini_rows
from tests.doc_workspace import (
    BOTH,
    CHANCE,
    CLASSICAL,
    EVERY,
    PERCEPTION,
    Reader,
    copied_kit,
    machine,
    rate,
    run_batch,
)
from tests.documentation import ROOT, Block, Command, Page, blocks, commands, pages, shows, split_line
from tests.workflows.synth_readers import by_thresholds, export, small

pytestmark = [pytest.mark.slow, pytest.mark.needs_kit]

_OF = "outputs/{0}/{0}_{1}.xlsx"
JUDGED, CHOSEN = _OF.format(CHANCE, BOTH), _OF.format(CHANCE, PERCEPTION)

PLACES = {
    **dict.fromkeys(("PREDICTIONS", "FILE"), JUDGED),
    **dict.fromkeys(("RUN_A", "RUN_DIR", "OLD", "NEW", "outputs/A"), f"outputs/{CHANCE}"),
    **dict.fromkeys(("RUN_B", "outputs/B"), f"outputs/{CLASSICAL}"),
    **dict.fromkeys(("A", "B", "M", "MODEL", "MyModel"), CHANCE),
    # Weights of seven billion parameters are not here: a baseline takes their place, and that the kit has the name is
    # tested apart.
    **dict.fromkeys(("Qwen2.5-VL-7B", "Qwen2.5-VL-7B-Instruct"), CLASSICAL),
    "RUN_C": "third", "DIR": "new-folder", "DATASET": BOTH, "J": "rules", "N": "5", "NAME_OR_FILE": "mine.tsv",
    "/data/runs": "outputs", "/data": "data-folder", "PROJECT": "medq", "EXPERIMENT": "medq", "USER": "me",
}  # fmt: skip
# By what stands in a command: what its placeholders are instead.
OWN = {
    r"medqbench import outputs": {"outputs": "theirs"},
    r"--extractor": {"PREDICTIONS": CHOSEN, "NAME": CHANCE},
    r"score PREDICTIONS --data mine\.tsv": {"PREDICTIONS": CHOSEN},
    r"score PREDICTIONS --data MedQ-Robust": {"PREDICTIONS": "degraded.jsonl"},
    r"score PREDICTIONS --out (rescored|results)": {"PREDICTIONS": CHOSEN},
    r"medqbench robustness": {
        "FIRST": _OF.format(CHANCE, "MedQBench_Perception"),
        "SECOND": _OF.format(CHANCE, "MedQBench_Perception_robustness"),
        "TSV": "MedQBench_Perception",
    },
    # Its vendor's endpoint answers nobody without a key of its own.
    r"--model Mistral-Medium-3": {"Mistral-Medium-3": CHANCE},
    r"--baseline": {"Qwen2.5-VL-7B-Instruct": CHANCE},
    r"data export NAME_OR_FILE": {
        "DIR": "exported",
        "NAME_OR_FILE": "mine.tsv",
        "severity=grade": "severity=grade,question=Frage",
    },
    r"cache clear": {"NAME": "gpt-4o"},
    # A fragment: every run may stand behind it. The hub's files have no such columns, a folder of one's own has.
    r"^MEDQBENCH_COLUMNS='severity=grade,question=Frage' medqbench run \.\.\.": {
        "run": f"run --data MedQBench_Perception --model {CHANCE} --limit 10"
    },
}
# Programs that are not run here, and why.
ELSEWHERE = {
    "pip": "tests do not install; that its extras are there is read in setup.py (tests/test_docs.py)",
    "pytest": "this is it",
    "python": "scripts and benchmarks take minutes; tests/test_docs.py looks that they are there with their options",
    "ruff": ".ci/run runs it",
    "mypy": ".ci/run runs it",
    "mkdocs": ".ci/run runs it",
    "pre-commit": "runs ruff and mypy, which .ci/run runs",
    "docker": "no container is built here",
    "vllm": "serves weights that are not here; what it says to a batch is imitated",
    "git": "clones and commits are no business of this package",
}
# How commands end that do not end with 0, and what they say.
ENDS = {
    "--judge gpt-4o --out judged": (2, "needs a key"),
    "data check mine/medqbench_QA_dev.csv": (2, "problems: 2;"),
}
ONLY_GIT_HEAD = "--data-config"


def _correct() -> None:
    path = Path("mine/medqbench_QA_dev.csv")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("Maybe", "Yes").replace("fundus-99", "fundus-01"), encoding="utf-8")


def _degraded() -> None:
    rows = [{"index": row["index"], "prediction": "A"} for row in mini_rows("MedQ-Robust-mini.tsv")]
    Path("degraded.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def _nothing_judged() -> None:
    # Earlier commands of the page have the verdicts already, and nothing would be left to be exported.
    shutil.rmtree(os.environ["MEDQBENCH_JUDGE_CACHE"], ignore_errors=True)
    for path in Path().glob("calls*"):
        path.unlink()


def _left_by_the_kit() -> None:
    rows = [{**row, "prediction": "A"} for row in mini_rows("medqbench_QA_mini.tsv")[:: EVERY[Task.PERCEPTION]]]
    lines = ["\t".join(cells) for cells in [rows[0], *(row.values() for row in rows)]]
    folder = Path("theirs/Some-VLM")
    folder.mkdir(parents=True)
    (folder / "Some-VLM_MedqbenchMCQ_test.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _clean_images() -> None:
    for seed in range(3):
        path = Path(f"IMAGES/Ultrasound/{seed}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(small("Ultrasound", seed).display()).save(path)


def _readers() -> None:
    for rater in ("Anna", "Bo"):
        export(Path("rating"), rater, by_thresholds(0.1, 0.8)).rename(f"ratings-1-{rater}.json")


# What is done by hand before a command, by what stands in it.
BEFORE: dict[str, Callable[[], object]] = {
    r"synth (rate )?IMAGES": _clean_images,
    r"synth calibrate": _readers,
    r"ratings-\*": lambda: rate(Path("ratings_key.json")),
    r"medqbench import outputs": _left_by_the_kit,
    r"judge export": _nothing_judged,
    r"--baseline main-results": lambda: shutil.copytree("new", "main-results"),
    r"data info mine/medqbench_QA_dev\.csv": _correct,
    r"--data MedQ-Robust-simulate-test\.tsv": _degraded,
}
# Pages that show what somebody without a key sees.
WITHOUT_KEY = {"docs/tutorial.md"}


@pytest.fixture(scope="module")
def sit_down(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Reader]]:
    with machine(tmp_path_factory.mktemp("machine")) as sit_down:
        yield sit_down


def first_match(table: dict[str, object], text: str) -> object | None:
    return next((value for pattern, value in table.items() if re.search(pattern, text)), None)


def run_command(reader: Reader, command: Command) -> None:
    """Run one command and hold its end against the table."""
    if prepared := first_match(BEFORE, command.text):
        prepared()
    words = reader.words(command, first_match(OWN, command.text) or {})
    if "..." in command.text and "run --data" in " ".join(words):
        words = " ".join(words).split()
    program = words[0]
    shown = json.dumps(words)
    variables = {**reader.exports, **command.variables}
    if program == "export":
        reader.exports |= dict(word.split("=", 1) for word in words[1:])
        return
    if program == "cd":
        os.chdir(words[1])
        return
    if words[:2] == ["vllm", "run-batch"]:
        run_batch(Path(words[words.index("-i") + 1]), Path(words[words.index("-o") + 1]))
        return
    arguments = Command(command.place, command.text, tuple(words), {}, True).arguments
    if arguments is None:
        assert program in {"mkdir", "cp"} or program in ELSEWHERE, (
            f"{command.place}: '{program}' is run by no test: name it in ELSEWHERE with the reason, or run it"
        )
        code, said = (0, "") if program in ELSEWHERE else reader.shell(words, variables)
    else:
        shown = json.dumps(arguments)
        if shown in reader.printed and arguments[0] == "run":
            return  # the same run as before, on the same machine
        if arguments[0] == "report" and shown in reader.done and not reader.is_shown(command):
            return  # another page has written it, and this one shows nothing of it
        code, said = _run_ours(reader, arguments, variables)
    expected, words_said = next((end for part, end in ENDS.items() if part in " ".join(words)), (0, ""))
    if arguments and ONLY_GIT_HEAD in arguments and code == 2:
        expected, words_said = 2, "unrecognized arguments"
    if arguments and arguments[0] == "view":
        expected = 130
    assert code == expected, f"{command.place}: {command.text}\n{said[-3000:]}"
    assert words_said in said, said[-3000:]
    reader.printed[shown] = said
    reader.done.add(shown)


def _run_ours(reader: Reader, arguments: list[str], variables: dict[str, str]) -> tuple[int, str]:
    if arguments[0] == "view":
        return reader.view(arguments)
    if arguments[0] == "patch":  # a process of its own, which finds a copy of the kit first
        kit = reader.folder / "kit"
        if not kit.exists():
            copied_kit(kit)
        python = [sys.executable, "-m", "medqbench_vlmeval", *arguments]
        return reader.shell(python, {**variables, "PYTHONPATH": f"{kit}{os.pathsep}{ROOT}"})
    if "MEDQBENCH_COLUMNS" in variables and "MEDQBENCH_DATA" not in variables:
        variables = {**variables, "MEDQBENCH_DATA": "own"}
    return reader.run(arguments, variables)


def look_at(reader: Reader, block: Block) -> None:
    """Hold what a block shows against what its command printed; a command that the page has not run is run now."""
    if not block.note.startswith("printed by: "):
        return
    (command,) = split_line(block.note.removeprefix("printed by: "), block.place, fenced=True)
    shown = json.dumps(
        reader.words(Command(*vars(command).values()), {}) if command.arguments is None else _ours(reader, command)
    )
    if shown not in reader.printed:
        run_command(reader, command)
    missing = shows(block.text, reader.printed[shown])
    assert missing is None, f"{block.place}: no such line: {missing}\n{reader.printed[shown][-3000:]}"


def _ours(reader: Reader, command: Command) -> list[str] | None:
    words = tuple(reader.words(command, first_match(OWN, command.text) or {}))
    return Command(command.place, command.text, words, {}, True).arguments


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_a_page_does_what_it_says(page: Page, sit_down: Callable[[Path], Reader], tmp_path: Path) -> None:
    todo: list[tuple[int, Command | Block]] = [
        (int(command.place.rpartition(":")[2]), command) for command in commands(page) if command.fenced
    ]
    todo += [(block.line, block) for block in blocks(page) if block.note]
    if not todo:
        return
    reader = sit_down(tmp_path / "reader")
    reader.places |= PLACES
    reader.key = page.name not in WITHOUT_KEY
    reader.notes = {block.note for block in blocks(page)}
    for _, thing in sorted(todo, key=lambda pair: pair[0]):
        if isinstance(thing, Command):
            run_command(reader, thing)
        elif thing.note.startswith("file: "):
            Path(thing.note.removeprefix("file: ")).write_text(f"{thing.text}\n", encoding="utf-8")
        else:
            look_at(reader, thing)
