"""Run the kit tests against a VLMEvalKit checkout and record what came out.

    python scripts/check_kit.py CHECKOUT [--slow] [--patched] [--record docs/kit-head.md]

The checkout, or another folder that holds ``vlmeval``, shadows the installed kit by PYTHONPATH; its requirements must
be installed. ``--slow`` adds the real model and runs of the kit's own runner. ``--patched`` runs the tests on a copy
with all patches: what ``medqbench run`` does must be the same there. The record names the checkout's commit, the date
and each test's outcome.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from datetime import date
from pathlib import Path

from medqbench_vlmeval.kit.patching import apply

ROOT = Path(__file__).resolve().parent.parent


def patched_copy(checkout: Path, target: Path) -> Path:
    """A copy of a kit with all patches in it; of git it has the commit alone."""
    shutil.copytree(checkout / "vlmeval", target / "vlmeval")
    if (checkout / ".git").is_dir():
        shutil.copy2(checkout / "run.py", target / "run.py")
        head = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, check=True).stdout
        (target / ".git").mkdir()
        (target / ".git" / "HEAD").write_bytes(head)
    apply(target)
    return target


def run_tests(checkout: Path, slow: bool, report: Path) -> int:
    """Run ``tests/kit`` on the checkout; the outcome is written to ``report`` in JUnit's format."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(checkout), str(ROOT)])}
    command = [sys.executable, "-m", "pytest", "-q", "tests/kit", f"--junitxml={report}"]
    command += [] if slow else ["-m", "not slow"]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def outcomes(report: Path) -> list[tuple[str, str]]:
    """(test, outcome) pairs of a JUnit report that this script's own run has just written."""
    cases = []
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - not from outside
        names = {child.tag for child in case}
        outcome = "failed" if names & {"failure", "error"} else "skipped" if "skipped" in names else "passed"
        cases.append((f"{str(case.get('classname')).removeprefix('tests.kit.')}: {case.get('name')}", outcome))
    return cases


def label_of(checkout: Path) -> str:
    """The kit's own label as this package sees it under the checkout."""
    code = "from medqbench_vlmeval.kit_version import require_kit; print(require_kit().label)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(checkout), str(ROOT)])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("--patched", action="store_true")
    parser.add_argument("--record", type=Path)
    arguments = parser.parse_args()
    checkout = arguments.checkout.resolve()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.patched:
            checkout = patched_copy(checkout, Path(folder) / "kit")
        report = Path(folder) / "report.xml"
        code = run_tests(checkout, arguments.slow, report)
        rows, label = outcomes(report), label_of(checkout)
    if arguments.record:
        lines = [
            "# The kit tests on a git checkout",
            "",
            f"Written by `scripts/check_kit.py` on {date.today()}: {label}{' with all patches' * arguments.patched},",
            f"{sum(outcome == 'passed' for _, outcome in rows)} of {len(rows)} passed.",
            "",
            "| test | outcome |",
            "| --- | --- |",
            *(f"| `{name}` | {outcome} |" for name, outcome in rows),
            "",
        ]
        arguments.record.write_text("\n".join(lines), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
