"""Frozen records that the rooms hand to each other. They hold values, never behaviour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from medqbench_vlmeval.benchmark import Task


@dataclass(frozen=True)
class Sample:
    """One question of the benchmark, in this package's terms.

    ``options`` maps option letters to texts in the file's order (empty for reasoning); ``answer`` is a letter
    of ``options``; ``description`` is the reference text of a reasoning sample. Axes that the data file does
    not give are None: nothing but ``question_type`` is ever inferred. ``images`` holds absolute paths, in the
    order in which a model sees them; it is empty where a file was read without its images. ``image_refs`` is what
    such a file says of them: names and paths as text of its author, to tell images apart by, never to be opened.
    """

    index: str
    task: Task
    question: str | None
    options: Mapping[str, str] = field(default_factory=dict)
    answer: str | None = None
    description: str | None = None
    modality: str | None = None
    question_type: str | None = None
    severity: str | None = None
    scope: str | None = None
    source: str | None = None
    difficulty: str | None = None
    degradation: str | None = None
    images: tuple[Path, ...] = ()
    image_refs: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColumnUse:
    """Which columns a file's meanings came from.

    ``read`` maps a meaning to the column's name in the file, ``inferred`` maps a meaning to a sentence that
    says how and for how many rows, ``absent`` names the meanings that were looked for and not found and
    ``ignored`` the columns that no meaning claimed.
    """

    read: Mapping[str, str] = field(default_factory=dict)
    inferred: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceFile:
    """Where samples came from: ``sha256`` is of the file's bytes, ``revision`` the hub's commit where known."""

    path: Path
    sha256: str
    revision: str | None
    origin: str  # 'file', 'folder', 'embedded' or 'hub'
    columns: ColumnUse
    n: int


@dataclass(frozen=True)
class SampleSet:
    """The samples of one dataset; a combined reasoning set has one source file a part."""

    name: str
    task: Task
    samples: tuple[Sample, ...]
    sources: Mapping[Task, SourceFile]


class PredictionStatus(str, Enum):
    """What is known of a reply before anybody reads it."""

    OK = "ok"
    INFERENCE_FAILED = "inference_failed"
    MISSING = "missing"


@dataclass(frozen=True)
class Prediction:
    """A model's reply to one sample. ``cut`` marks a spreadsheet cell that was filled to its limit."""

    index: str
    text: str
    status: PredictionStatus = PredictionStatus.OK
    cut: bool = False


@dataclass(frozen=True)
class Extraction:
    """``letter`` is the option that a careful reader would record, or None; ``rule`` names what decided it."""

    letter: str | None
    rule: str


@dataclass(frozen=True)
class Verdict:
    """One dimension of one sample: ``score`` is 0-2, or None with the ``reason`` why it is unscored.

    An extractor's verdict is on the dimension 'choice'; its score is the option's place in the alphabet (1 for A), or 0
    where the extractor says that the reply gives no answer.

    ``score`` is a whole number but for the mean of several rounds and the median of a panel, whose single
    verdicts are in ``parts``, by the round's number or the judge's name. ``prompt_sha256`` is of the full
    prompt, ``reply`` the judge's last words, ``judge`` the model's name as the server gave it, ``asks`` the
    number of questions put (re-asks included), ``prompt_tokens`` and ``completion_tokens`` what the server
    counted over all asks (0 where it did not say); a call that several verdicts share is counted in the first
    of them alone. ``explanation`` is the judge's sentence on this dimension where one reply holds several,
    ``note`` says what was changed before the judge saw the answer, ``from_cache`` that nothing was paid for it
    in this run.
    """

    dimension: str
    score: float | None
    reason: str | None
    reply: str
    prompt_sha256: str
    judge: str
    asks: int = 1
    prompt_tokens: int = 0
    completion_tokens: int = 0
    explanation: str | None = None
    note: str | None = None
    parts: Mapping[str, Verdict] = field(default_factory=dict)
    from_cache: bool = False


@dataclass(frozen=True)
class Judged:
    """A reasoning sample with its four verdicts, or with the reason why it was not put to the judge."""

    index: str
    verdicts: Mapping[str, Verdict]
    unscored: str | None = None


# The scores that a judge gave, as columns.


def scores_of(judged: Sequence[Judged], dimension: str) -> list[float | None]:
    """The scores of one dimension, parallel to ``judged``; None where there is none."""
    return [one.verdicts[dimension].score if dimension in one.verdicts else None for one in judged]
