"""Small constructed runs for the findings."""

from pathlib import Path

from medqbench_vlmeval.benchmark import DIMENSIONS, Task
from medqbench_vlmeval.scoring.findings import perception_findings, reasoning_findings
from medqbench_vlmeval.types import Answer, Judged, Prediction, PredictionStatus, Sample
from tests.make import verdict

YES_NO = {"A": "Yes", "B": "No"}
FIRST, SECOND = (f"Overall, the {place} image is of higher quality." for place in ("first", "second"))


def level(name):
    return f"Some noise is visible. The quality of this image is {name}."


def question(right, options=YES_NO, answer="A", letter=None, text="x", image=None, **axes):
    """One question as (sample, prediction, extraction); wrong is the next letter unless ``letter`` says which."""
    letters = list(options)
    chosen = letter or (answer if right else letters[(letters.index(answer) + 1) % len(letters)])
    sample = Sample(
        "?", Task.PERCEPTION, "?", options, answer, images=() if image is None else (Path("/i") / image,), **axes
    )
    return sample, Prediction("?", text), Answer(chosen, "whole reply")


def unanswered(rule, status=PredictionStatus.OK):
    sample = Sample("?", Task.PERCEPTION, "?", YES_NO, "A")
    return sample, Prediction("?", "", status), Answer(None, rule)


GOOD = level("good")


def described(scores, reply=GOOD, reference=GOOD, task=Task.NO_REFERENCE, **axes):
    """One described sample as (sample, prediction, judged); ``scores`` is one for all dimensions or four."""
    four = scores if isinstance(scores, tuple) else (scores,) * 4
    verdicts = {name: verdict(name, score) for name, score in zip(DIMENSIONS, four, strict=True)}
    sample = Sample("?", task, None, description=reference, **axes)
    return sample, Prediction("?", reply), Judged("?", verdicts)


def columns(rows):
    return [list(column) for column in zip(*rows, strict=True)]


def group(n, right, **axes):
    """Questions of which the first ``right`` are answered right."""
    return [question(at < right, **axes) for at in range(n)]


def perception(rows):
    return perception_findings(*columns(rows))


def reasoning(rows):
    return reasoning_findings(*columns(rows))
