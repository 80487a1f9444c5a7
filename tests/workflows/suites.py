"""Suites run as users run them: a process of the command, whose jobs are processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PERCEPTION = "MedQBench_Perception_mini"
NO_REFERENCE = "MedQBench_Reasoning_NoReference_mini"
_SECONDS = 240.0


def command(*words: object) -> list[str]:
    """The words of a call of 'medqbench suite'."""
    return [sys.executable, "-m", "medqbench_vlmeval", "suite", *map(str, words)]


def suite(*words: object, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a call."""
    done = subprocess.run(command(*words), capture_output=True, text=True, env=env, timeout=_SECONDS)
    return done.returncode, done.stdout, done.stderr


def states(file: Path) -> dict[str, dict[str, Any]]:
    """What 'suite status' says of each job, by name."""
    code, out, err = suite("status", file, "--json")
    assert code == 0, err
    return {state["job"]["name"]: state for state in json.loads(out)["jobs"]}


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """What the condition gives once it gives something true; fails after minutes."""
    end = time.monotonic() + _SECONDS
    while not (found := condition()):
        assert time.monotonic() < end, f"in vain: {what}"
        time.sleep(0.05)
    return found
