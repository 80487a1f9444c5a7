"""Run the package with several Pythons, libraries and kits, compare what comes out, and record it.

    python scripts/compat.py                                           # every Python, oldest and newest libraries
    python scripts/compat.py --python 3.13 --libraries newest --tests   # one cell, with the quick tests
    python scripts/compat.py --python 3.11 --libraries --kit 0.0.19 0.0.20

A cell is an environment of its own, made by ``uv`` (``pip install uv``) in a temporary folder and removed afterwards;
its interpreter runs ``scripts/compat_job.py``. 'Oldest' are the lowest versions of what ``setup.py`` names that have a
wheel for that Python. ``docs/compatibility.md`` has a row a cell; a run writes the rows of its own cells anew and keeps
the others. The exit code is 1 where a cell fails or differs from the others.

On two idle cores a cell takes about a minute and 0.5 GB; of a kit 4 minutes and 7 GB, of which every further version in
the same Python takes a minute.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "compatibility.md"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
# Of the libraries named in the record; 'openpyxl' is the test extra's.
SHOWN = (
    "pandas",
    "numpy",
    "scipy",
    "pyarrow",
    "pillow",
    "openpyxl",
    "huggingface_hub",
    "datasets",
    "openai",
    "pydantic",
)
EXTRAS = "[datasets,dicom,synth,wandb,mlflow]"
HEAD = ("Python", "libraries", "kit", "results", "quick tests", "day", *SHOWN)
# Kits of before transformers 5, with which they do not import though they allow it; transformers 4 brings a
# huggingface_hub of before 1.0.
KIT_NEEDS = {"0.0.18": ("transformers<5", "datasets>=4"), "0.0.19": ("transformers<5", "datasets>=4")}
BEGIN, END = "<!-- cells: written by scripts/compat.py -->", "<!-- end of cells -->"
_NONE, _STEP_SECONDS, _TEST_SECONDS = "–", 1800, 3600
_RESOLUTION = {"oldest": "lowest-direct", "newest": "highest"}


@dataclass
class Cell:
    """One environment: ``results`` is the start of the hash of what came out, or why nothing did."""

    python: str
    libraries: str
    kit: str = _NONE
    results: str = ""
    tests: str = _NONE
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str]:
        return self.python.rpartition(".")[0] if self.python.count(".") > 1 else self.python, self.libraries, self.kit

    @property
    def row(self) -> tuple[str, ...]:
        own = (self.python, self.libraries, self.kit, self.results, self.tests, str(date.today()))
        return *own, *(self.versions.get(name, _NONE) for name in SHOWN)


def ran(command: Sequence[object], seconds: int = _STEP_SECONDS, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command; what it says is captured."""
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=False, **options)  # type: ignore[call-overload]


def must(command: Sequence[object], seconds: int = _STEP_SECONDS, **options: object) -> str:
    """Run a command and return what it prints. Raises RuntimeError with its last words where it fails."""
    done = ran(command, seconds, **options)
    if done.returncode:
        raise RuntimeError((done.stderr or done.stdout).strip()[-1500:])
    return done.stdout


def interpreters(named: Iterable[str]) -> Iterator[Path]:
    """Interpreters by path or version ('3.12'), without those that are not there."""
    for name in named:
        path = shutil.which(name) or shutil.which(f"python{name}")
        known = path and ran([path, "-c", "import sys; print(sys.executable)"])
        if known and known.returncode == 0:
            yield Path(known.stdout.strip())
        else:
            print(f"No interpreter '{name}' is on PATH; its cells are left as they are.", file=sys.stderr)


class Environment:
    """A virtual environment with the package, editable, in a folder of its own."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.folder, self.python = folder, folder / "env" / "bin" / "python"
        must(["uv", "venv", "--quiet", "--python", python, folder / "env"])

    def install(self, *words: object) -> None:
        must(["uv", "pip", "install", "--quiet", "--python", self.python, *words])

    def versions(self) -> dict[str, str]:
        listed = json.loads(must(["uv", "pip", "list", "--quiet", "--format", "json", "--python", self.python]))
        return {one["name"].replace("-", "_"): one["version"] for one in listed}

    def job(self, name: str, *words: str) -> Path:
        """Run the job in a folder of its own, with a home of its own; the path of its results comes back."""
        folder = self.folder / name
        folder.mkdir()
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MEDQBENCH", "PYTHON", "XDG"))}
        home = {"HOME": str(folder), "LMUData": str(folder / "LMUData"), "PYTHONPATH": str(ROOT)}
        must([self.python, ROOT / "scripts" / "compat_job.py", folder, *words], cwd=folder, env=kept | home)
        return folder / "results.json"

    def tests(self) -> str:
        """Run the quick tests that need no kit; '1,234 passed, 5 skipped' comes back. The libraries of the record keep
        their versions; what else the tests' tools take may become newer."""
        pinned, versions = self.folder / "pinned.txt", self.versions()
        pinned.write_text("".join(f"{name}=={versions[name]}\n" for name in SHOWN), encoding="utf-8")
        self.install("-c", pinned, "-e", f"{ROOT}[test]")
        command = [self.python, "-m", "pytest", "-q", "-m", "not slow", "--ignore=tests/kit", "-p", "no:cacheprovider"]
        done = ran(command, _TEST_SECONDS, cwd=ROOT)
        (self.folder / "tests.txt").write_text(done.stdout, encoding="utf-8")
        failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        print("\n".join(failed), file=sys.stderr)
        return done.stdout.strip().splitlines()[-1].partition(" in ")[0].replace("|", "/")


def library_cell(python: Path, libraries: str, folder: Path, tests: bool) -> tuple[Cell, Path | None]:
    """Make an environment, run the job and maybe the tests in it."""
    environment, cell, results = Environment(python, folder), Cell("", libraries), None
    cell.python = must([python, "-c", "import platform; print(platform.python_version())"]).strip()
    try:
        wheels = ("--only-binary", ":all:", "--no-binary", "medqbench-vlmeval", "--resolution", _RESOLUTION[libraries])
        environment.install(*wheels, "-e", f"{ROOT}{EXTRAS}", "openpyxl>=3.1")
        cell.versions = environment.versions()
        results = environment.job("job")
        cell.results = digest(results)
        cell.tests = environment.tests() if tests else _NONE
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        cell.results = cell.results or failure(error)
    return cell, results


def kit_cells(python: Path, kits: Sequence[str], folder: Path) -> Iterator[tuple[Cell, Path | None]]:
    """One environment; each kit is installed in the place of the one before, with what that lacks."""
    environment, cells = Environment(python, folder), []
    label = must([python, "-c", "import platform; print(platform.python_version())"]).strip()
    for kit in kits:
        cell, results = Cell(label, "newest", kit), None
        try:
            environment.install("-e", ROOT, "openpyxl>=3.1", f"ms-vlmeval=={kit}", *KIT_NEEDS.get(kit, ()))
            cell.versions = environment.versions()
            results = environment.job(f"job-{kit}", "--run")
            cell.results = digest(results)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            cell.results = failure(error)
        cells.append(cell)
        yield cell, results


def digest(results: Path) -> str:
    return f"`{hashlib.sha256(results.read_bytes()).hexdigest()[:12]}`"


def failure(error: Exception) -> str:
    """A failed step as a cell of the table; all of it goes to the terminal."""
    print(error, file=sys.stderr)
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"failed: {lines[-1][:120].replace('|', '/')}"


def recorded(page: Path) -> dict[tuple[str, str, str], tuple[str, ...]]:
    """The rows of a page by Python, libraries and kit."""
    rows = {}
    if page.exists():
        for line in page.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].splitlines():
            row = tuple(part.strip() for part in line.strip("| ").split("|"))
            if len(row) == len(HEAD) and row[0][:1].isdigit():
                rows[Cell(*row[:3]).key] = row
    return rows


def verdict(rows: Iterable[tuple[str, ...]]) -> tuple[bool, str]:
    """Whether all cells of a kind agree, and the sentence that says so."""
    words, agree = [], True
    for kind, is_of in (("without a kit", lambda row: row[2] == _NONE), ("with a kit", lambda row: row[2] != _NONE)):
        found = [row[3] for row in rows if is_of(row)]
        if not found:
            continue
        same = len(set(found)) == 1 and not found[0].startswith("failed")
        agree &= same
        if not same:
            words.append(f"**Of the {len(found)} cells {kind} not all gave the same results.**")
        elif len(found) == 1:
            words.append(f"The cell {kind} gave results.")
        else:
            words.append(f"All {len(found)} cells {kind} gave the same results, byte for byte.")
    return agree, " ".join(words)


def write_page(page: Path, rows: Sequence[tuple[str, ...]]) -> None:
    """Put the table into the page between its marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    table = [HEAD, ("---",) * len(HEAD), *rows]
    lines = [verdict(rows)[1], "", f"Last run on {date.today()}: {machine}.", ""]
    lines += [f"| {' | '.join(row)} |" for row in table]
    page.write_text(f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def differences(name: str, first: dict[str, object], results: Path) -> None:
    """Print what a cell has other than the first one."""
    content = json.loads(results.read_text(encoding="utf-8"))
    if not first:
        first.update(content)
    if apart := [key for key in sorted({*first, *content}) if first.get(key) != content.get(key)]:
        print(f"{name} differs from the first cell in: {', '.join(apart)}", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="+", default=PYTHONS, help="versions or paths of interpreters")
    parser.add_argument("--libraries", nargs="*", choices=["oldest", "newest", "both"], default=["both"])
    parser.add_argument("--kit", nargs="+", default=[], metavar="VERSION", help="versions of ms-vlmeval")
    parser.add_argument("--tests", action="store_true", help="run the quick tests in every cell without a kit, too")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep environments and results here")
    parser.add_argument("--record", type=Path, default=PAGE)
    given = parser.parse_args()
    if shutil.which("uv") is None:
        parser.error("'uv' is not there; 'pip install uv' installs it")
    libraries = list(_RESOLUTION) if "both" in given.libraries else given.libraries
    rows = recorded(given.record)
    seen: dict[bool, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        base = (given.keep or Path(temporary)).resolve()
        for python in interpreters(given.python):
            version = must([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()
            cells = [(name, base / f"{version}-{name}") for name in libraries]
            for name, folder in [*cells, *([("kit", base / f"{version}-kit")] if given.kit else [])]:
                folder.mkdir(parents=True)
                made = (
                    kit_cells(python, given.kit, folder)
                    if name == "kit"
                    else [library_cell(python, name, folder, given.tests)]
                )
                for cell, results in made:
                    if cell.tests == _NONE and cell.key in rows and cell.results == rows[cell.key][3]:
                        cell.tests = rows[cell.key][4]  # of a run with --tests before
                    rows[cell.key] = cell.row
                    print(*cell.key, cell.results, cell.tests, flush=True)
                    if results:
                        differences(" ".join(cell.key), seen.setdefault(name == "kit", {}), results)
                    write_page(
                        given.record, [rows[key] for key in sorted(rows, key=lambda key: (key[2] != _NONE, key))]
                    )
                if given.keep is None:
                    shutil.rmtree(folder)
    return 0 if verdict(rows.values())[0] else 1


if __name__ == "__main__":
    sys.exit(main())
