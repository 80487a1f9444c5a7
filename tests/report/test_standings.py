"""Labels of runs: short, different, on one line, and told apart by the plainest fact that differs."""

from __future__ import annotations

from dataclasses import replace

from medqbench_vlmeval.report.standings import run_labels, shortened
from tests import make
from tests.report.hostile import HOSTILE


def test_labels_differ_and_are_short() -> None:
    (run,) = make.perception_run().result.tasks
    labels = run_labels([replace(run, model=name) for name in HOSTILE])
    assert len(set(labels)) == len(HOSTILE)
    assert all(len(label) <= 42 and label.isprintable() for label in labels)
    assert labels[4].endswith("12500")
    assert labels[5].endswith("13000")


def test_runs_of_one_model_are_told_apart_by_what_differs() -> None:
    runs = [make.reasoning_run(model="M", judge=judge).result.tasks[0] for judge in ("rules", "gpt-4o")]
    assert run_labels(runs) == ["M (rules)", "M (gpt-4o)"]
    assert run_labels(runs[:1] * 3) == ["M", "M #2", "M #3"]


def test_a_cut_keeps_both_ends() -> None:
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghijk", 6) == "ab…ijk"
    # Two columns a character: one, the cut, and one of the end.
    assert shortened("图像质量评价", 6) == "图…价"
