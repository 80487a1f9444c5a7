"""The house: which room may import which, and what starting a command loads."""

import ast
import importlib
import json
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import medqbench_vlmeval

PACKAGE = Path(medqbench_vlmeval.__file__).parent

VOCABULARY = {
    "errors",
    "benchmark",
    "types",
    "files",
    "kit_version",
    "model_use",
    "models",
    "provenance",
    "notebook",
    "steps",
    "__init__",
}
ORDER = ("data", "prompts", "predictions", "answers", "judge", "scoring", "runs", "report", "workflows", "kit", "cli")
BEFORE = {room: set(ORDER[:place]) for place, room in enumerate(ORDER)} | {"baselines": set(), "synth": {"data"}}
BEFORE["kit"] |= {"baselines"}
BEFORE["cli"] |= {"synth"}
BEFORE["workflows"] |= {"synth"}
BEFORE["report"] |= {"synth"}


# Functions at a border where names are not ours: what a request's body, the kit's keywords and options, and files hold.
OPEN = {}
UNTYPED = ("dict[str, Any]", "Mapping[str, Any]", "Json")
# 37,419 before a benchmark is made from one's own images (at most 1,800 more) and suites (at most 1,000 more).
MOST_LINES = 39_850


@pytest.mark.parametrize("folder", ["benchmarks", "scripts"])
def test_scripts_and_benchmarks_still_import_what_they_use(folder):
    files = sorted((Path(__file__).parents[1] / folder).glob("*.py"))
    assert len(files) > 5
    for path in files:
        importlib.import_module(f"{folder}.{path.stem}")


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path):
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else parts[0].removesuffix(".py")


@cache
def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path):
    """Dotted names that a module imports, anywhere in it."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_import_only_what_comes_before_them(path):
    room = room_of(path)
    for name in imported(path):
        parts = name.split(".")
        if room != "kit":
            assert parts[0] not in ("vlmeval", "torch"), f"only kit/ may import {name}"
        if parts[0] != "medqbench_vlmeval" or len(parts) == 1:
            continue
        target = parts[1]
        if target in VOCABULARY or target in ("__version__", room):
            continue
        if room == "__init__":  # the public names, each of the room that has it
            assert target in {*ORDER} - {"cli", "report"}
        elif room == "__main__":
            assert target == "cli"
        else:
            assert room in BEFORE, f"{room} is no room"
            assert target in BEFORE[room], f"{room} may not import {target}"


def test_the_house_stays_small():
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert [str(path) for path, n in lines.items() if n > 600] == []
    assert max(Counter(path.parent for path in lines).values()) <= 25
    assert len(lines) <= 203
    assert sum(lines.values()) <= MOST_LINES


def public_functions(path):
    """Names and nodes of the functions of a module, and of the methods of its classes, that other modules may call."""
    for node in parsed(path).body:
        inside = node.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_") else [node]
        for node in inside:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield node.name, node


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_records_and_not_dicts_cross_the_borders(path):
    module = str(path.relative_to(PACKAGE).with_suffix(""))
    for name, function in public_functions(path):
        if "json" in name or f"{module}.{name}" in OPEN or module.partition("/")[0] in ("cli", "kit"):
            continue
        arguments = [node.annotation for node in ast.walk(function.args) if isinstance(node, ast.arg)]
        texts = [ast.unparse(annotation) for annotation in (function.returns, *arguments) if annotation is not None]
        untyped = [text for text in texts if any(words in text for words in UNTYPED)]
        assert not untyped, f"{module}.{name} takes or gives {untyped}: use a record, or say '_json' where it is JSON"


def run_python(code, *arguments):
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)


LOADED = """
import json, sys
from medqbench_vlmeval.cli.main import main
for words in json.loads(sys.argv[1]):
    try:
        main(words)
    except SystemExit as end:
        assert not end.code, (words, end.code)
    heavy = {"torch", "vlmeval", "pandas", "numpy", "transformers"} & set(sys.modules)
    assert not heavy, (words, heavy)
"""


def test_commands_start_without_torch_kit_and_pandas():
    commands = [
        "--help",
        "doctor --quick",
        "leaderboard show",
        "list models",
        "list datasets",
        "list protocols",
        "run --help",
        "data info MedQBench_Perception_mini",
        "score --help",
        "judge --help",
        "judge cache info",
        "agreement --help",
        "compare --help",
        "robustness --help",
        "report --help",
        "view --help",
        "leaderboard export --help",
        "patch --help",
    ]
    # In one process, in which whatever one of them loads would stay.
    done = run_python(LOADED, json.dumps([words.split() for words in commands]))
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_scoring_comparing_and_reporting_do_without_them_too(tmp_path):
    rows = "\n".join(f"{i},Is it sharp?,Yes,No,A,{'AB'[i % 2]}" for i in range(4))
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(f"index,question,A,B,answer,prediction\n{rows}\n", encoding="utf-8")
    a, b = (str(tmp_path / name) for name in "ab")
    commands = [
        ["score", f"{a}.csv", "--out", a],
        ["score", f"{b}.csv", "--out", b],
        ["compare", a, b],
        ["leaderboard", "export", a, "--csv", f"{a}.csv2", "--openvlm", f"{a}.json"],
        ["report", a, b, "--out", f"{a}-report"],
    ]
    done = run_python(LOADED.replace('"numpy", ', ""), json.dumps(commands))
    assert done.returncode == 0, done.stderr


def test_importing_the_package_loads_nothing_heavy():
    heavy = {"typer", "numpy", "vlmeval", "pandas", "pydantic"}
    done = run_python(f"import sys, medqbench_vlmeval; assert not {heavy} & set(sys.modules)")
    assert done.returncode == 0, done.stderr
