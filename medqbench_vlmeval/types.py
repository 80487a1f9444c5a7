"""Frozen records that the rooms hand to each other. They hold values, and show themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, overload

from medqbench_vlmeval.benchmark import Comparable, Task
from medqbench_vlmeval.provenance import DataUse, Protocol, Provenance, SourceFile

if TYPE_CHECKING:
    from datasets import Dataset
    from pandas import DataFrame

LEVEL = 0.95  # confidence of every interval
WILSON = "Wilson score"  # its interval's name in results
FEW = 10  # cells that rest on fewer samples are marked wherever they are shown


@dataclass(frozen=True)
class ImageForm:
    """What a model is shown of an image; ``conversion`` says how it was made of the data's, None for the same bytes."""

    width: int
    height: int
    mode: str
    format: str
    conversion: str | None = None

    @property
    def in_words(self) -> str:
        """The form without its size: 'PNG of L, from TIFF, grey of I;16 with values of 8 bits'."""
        return f"{self.format} of {self.mode}{f', from {self.conversion}' if self.conversion else ''}"


@dataclass(frozen=True)
class Sample:
    """One question. ``options`` maps letters to texts in the file's order (empty for reasoning), ``answer`` is one of
    the letters, ``description`` the reference text of a reasoning sample. Axes that the data file does not give are
    None; ``question_type`` and a degradation's ``category`` alone are inferred. ``pair`` names the clean image or
    question that a sample belongs to. ``images`` are absolute paths in the order in which a model sees them, none where
    a file was read without them. ``image_refs`` is the file's own text on them, to tell images apart by, never to be
    opened. ``image_forms`` are the images', one each, or none where not known."""

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
    category: str | None = None
    pair: str | None = None
    images: tuple[Path, ...] = ()
    image_refs: tuple[str, ...] = ()
    image_forms: tuple[ImageForm, ...] = ()


@dataclass(frozen=True)
class SampleSet(Sequence[Sample]):
    """The samples of one dataset, a sequence of them; a combined reasoning set has one source file a part.
    ``with_images`` loads the set again with its images, where it has none."""

    name: str
    task: Task
    samples: tuple[Sample, ...]
    sources: Mapping[Task, SourceFile]
    with_images: Callable[[], SampleSet] | None = field(default=None, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.samples)

    @overload
    def __getitem__(self, at: int) -> Sample: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Sample, ...]: ...
    def __getitem__(self, at: int | slice) -> Sample | tuple[Sample, ...]:
        return self.samples[at]

    def to_dataset(self) -> Dataset:
        """Give texts, options A to E, the answer as a ``ClassLabel``, and images, decoded when a row is looked at.
        MissingDependency without the extra ``datasets``."""
        from medqbench_vlmeval.notebook import to_dataset

        return to_dataset(self.with_images() if self.with_images else self)


class PredictionStatus(str, Enum):
    """What is known of a reply before anybody reads it."""

    OK = "ok"
    INFERENCE_FAILED = "inference_failed"
    MISSING = "missing"


@dataclass(frozen=True)
class Prediction:
    """A reply to one sample; ``cut`` marks a cell filled to its limit, ``failure`` says why inference failed."""

    index: str
    text: str
    status: PredictionStatus = PredictionStatus.OK
    cut: bool = False
    failure: str | None = None


@dataclass(frozen=True)
class Answer:
    """What was read in a multiple-choice reply: the option that a careful reader would record, or None, and why."""

    letter: str | None
    rule: str


@dataclass(frozen=True)
class Verdict:
    """One dimension of one sample: ``score`` is 0-2, or None with the ``reason`` why it is unscored. An extractor's is
    on 'choice'; its score is the option's place in the alphabet (1 for A), or 0 where the reply gives no answer.

    ``score`` is a whole number but for the mean of several rounds and the median of a panel, whose single verdicts are
    in ``parts``, by the round's number or the judge's name. ``prompt_sha256`` is of the full prompt, ``reply`` the
    judge's last words, ``judge`` the model's name as served. ``asks`` counts questions put (re-asks included), tokens
    are the server's over all asks (0 where it did not say), of a call that several verdicts share in the first alone.
    ``explanation`` is the judge's sentence on this dimension where one reply holds several; ``note`` says what was
    changed before the judge saw the answer; for ``from_cache`` nothing was paid in this run."""

    dimension: str
    score: int | float | None  # a mark that was read from a file as a whole number is written as one
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

    def score_on(self, dimension: str) -> float | None:
        """The verdict on a dimension, None where there is none."""
        return self.verdicts[dimension].score if dimension in self.verdicts else None


@dataclass(frozen=True, repr=False)
class Cell:
    """One number with what it rests on. ``value`` is in percent (0-100) for accuracies and shares, 0-2 for a judge's
    dimension, 0-8 for their sum, in points for differences of percentages; None where nothing was scored. ``low`` and
    ``high`` are the ends of the 95% interval, None where there is none. ``n`` counts the samples behind it,
    ``n_clusters`` the groups that share an image; ``few`` marks fewer than ten. A share has its ``counts``.

    >>> Cell(68.97, 66.41, 71.42, n=1305)
    Cell(68.97, 95% interval 66.41 to 71.42, n=1305)
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    n_clusters: int | None = None
    few: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends, or None where there is no interval."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def __repr__(self) -> str:
        value = "no value" if self.value is None else f"{self.value:.2f}"
        interval = "" if self.interval is None else f", 95% interval {self.low:.2f} to {self.high:.2f}"
        n = "" if self.n is None else f", n={self.n}"
        return f"Cell({value}{interval}{n}{', few samples' if self.few else ''})"


@dataclass(frozen=True)
class Group:
    """The numbers of the samples with one value on an axis, such as all CT images. ``measures`` maps 'Overall' (and,
    for reasoning, the four dimensions) to cells. ``counts`` has ``n`` and, for perception, ``n_correct`` and
    ``n_unanswered``; for reasoning ``n_scored``, ``n_unscored`` and ``n_clusters``."""

    measures: Mapping[str, Cell]
    counts: Mapping[str, int]
    few: bool = False

    @property
    def overall(self) -> Cell:
        """The group's 'Overall': accuracy in percent, or the sum of the four means (0-8)."""
        return self.measures["Overall"]


@dataclass(frozen=True)
class Mistake:
    """How often the level ``right`` was taken for the level ``chosen``; the share is of all samples with ``right``."""

    scale: str
    right: str
    chosen: str
    share: Cell


@dataclass(frozen=True)
class FailureGroup:
    """Samples that share ``values`` (by axis): the share of failures in percent, and its adjusted p."""

    values: Mapping[str, str]
    share: Cell
    p: float


@dataclass(frozen=True)
class LetterBias:
    """How the letters that were chosen differ from those of the right options, for questions with the same options."""

    n: int
    few: bool
    distance: float
    letters: Mapping[str, LetterUse]


@dataclass(frozen=True)
class LetterUse:
    """One letter: how often it was chosen and how often it is right, in percent, with the difference in points."""

    chosen: float
    right: float
    difference: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Details:
    """What a finding rests on, empty where it has no such thing. ``groups`` are the compared groups' values,
    ``compared`` names both sides. ``shares``, ``kinds`` and ``reasons`` are in percent with their counts. ``scales``
    maps scale -> right level -> chosen level -> count. ``facts`` are numbers and sentences to show as they are."""

    groups: Mapping[str, Cell] = field(default_factory=dict)
    compared: tuple[tuple[str, ...], ...] = ()
    shares: Mapping[str, Cell] = field(default_factory=dict)
    kinds: Mapping[str, Cell] | None = None
    reasons: Mapping[str, Cell] | None = None
    scales: Mapping[str, Mapping[str, Mapping[str, int]]] | None = None
    mistakes: tuple[Mistake, ...] = ()
    failure_groups: tuple[FailureGroup, ...] = ()
    by_options: Mapping[str, LetterBias] | None = None
    characters: Mapping[str, float] | None = None
    clustered: tuple[float, float] | None = None
    n_clusters: int | None = None
    facts: Mapping[str, str | int | float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One sentence about a run with the figure behind it. ``unit`` is 'percent' (0-100), 'points' (a difference of
    percentages), 'score' (the judge's scale: means 0-2, sums 0-8 and their differences) or 'correlation' (-1 to 1).
    ``statement`` claims a difference only where the interval leaves out 0."""

    title: str
    statement: str
    unit: str
    cell: Cell
    method: str
    details: Details = field(default_factory=Details)

    @property
    def is_open(self) -> bool:
        """Whether it is a difference, or a correlation, whose interval does not leave out 0."""
        ends = self.cell.interval
        return self.unit != "percent" and (ends is None or ends[0] <= 0 <= ends[1])


Contrasts = Mapping[str, Mapping[str, Mapping[str, Group]]]
"""Axis -> group -> degree -> two measures in percent and :data:`DIFFERENCE`, the second less the first in points."""
DIFFERENCE = "difference"


@dataclass(frozen=True)
class Agreement:
    """How two scorers of the same ``n`` samples agree: ``same`` in percent, quadratic weighted ``kappa`` (or None)."""

    n: int
    same: float | None
    kappa: float | None
    mean_absolute_difference: float | None = None


@dataclass(frozen=True)
class ConclusionCheck:
    """Mean quality accuracy (0-2) by the stated conclusions, and by the judge (None where no sample has both)."""

    n: int
    n_stated: int
    computed: float
    judge: float | None
    agreement: Agreement
    n_disagreements: int


@dataclass(frozen=True)
class PanelCheck:
    """The members of a panel: each judge's means by measure, and each pair's agreement by measure."""

    means: Mapping[str, Mapping[str, float | None]]
    pairs: Mapping[str, Mapping[str, Mapping[str, Agreement]]]


@dataclass(frozen=True)
class Tokens:
    """Calls (re-asks included) and tokens as the server counted them; ``cost_usd`` is None where it is not known."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None = None


@dataclass(frozen=True)
class JudgeUsage:
    """What judging took: over all verdicts, in this run alone, and for each judge of a panel."""

    total: Tokens
    this_run: Tokens | None = None
    by_judge: Mapping[str, JudgeUsage] = field(default_factory=dict)


@dataclass(frozen=True)
class ExtractorResult:
    """What a model read in replies that the rules leave open; accuracy without it is strict, with it lenient."""

    name: str
    served_as: str | None
    protocol: Protocol
    n_open: int
    n_asked: int
    n_read: int
    n_none: int
    n_failed: int
    strict: Mapping[str, Group]
    lenient: Mapping[str, Group]
    usage: JudgeUsage


@dataclass(frozen=True, repr=False)
class TaskResult:
    """The numbers of one task of one run. ``measures`` maps Yes-or-No, What, How and Overall (perception, percent) or
    the four dimensions (0-2) and Overall (0-8) to cells; ``counts`` has ``n`` and what became of the samples
    (``n_correct``, ``n_unanswered``, ``n_scored``, ``n_unscored``, ``n_inference_failed``, ``n_missing``, ``n_cut``,
    ``n_clusters``). ``groups`` maps axis ('modality') -> value ('CT') -> group, ``crossed`` two axes
    ('modality_x_severity') -> outer -> inner value -> group. ``clustered`` is Overall with its interval over images
    (perception). ``not_found`` says why a finding is absent, ``frequencies`` counts verdicts (dimension -> score ->
    count), ``inference_failures`` failed samples by reason. ``not_comparable_because`` says what contradicts where
    ``comparable`` is no, and what is not on record where it is unverified. ``kit_reading`` is accuracy by the kit's own
    readers, by name. ``drops`` are MedQ-Deg's from L0, ``calibration`` is of replies that state a confidence."""

    task: Task
    measures: Mapping[str, Cell]
    counts: Mapping[str, int]
    few: bool
    interval_level: float
    interval_method: str
    groups: Mapping[str, Mapping[str, Group]]
    crossed: Mapping[str, Mapping[str, Mapping[str, Group]]]
    dataset: str = ""
    findings: Mapping[str, Finding] = field(default_factory=dict)
    not_found: Mapping[str, str] = field(default_factory=dict)
    drops: Contrasts = field(default_factory=dict)
    calibration: Contrasts = field(default_factory=dict)
    clustered: Cell | None = None
    rules: Mapping[str, int] = field(default_factory=dict)
    unscored_reasons: Mapping[str, int] = field(default_factory=dict)
    inference_failures: Mapping[str, int] = field(default_factory=dict)
    frequencies: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    conclusions: ConclusionCheck | None = None
    between_rounds: Mapping[str, Agreement] | None = None
    between_judges: PanelCheck | None = None
    extractor: ExtractorResult | None = None
    kit_reading: Mapping[str, Group] = field(default_factory=dict)
    usage: JudgeUsage | None = None
    comparable: Comparable = Comparable.NO
    not_comparable_because: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """How many samples the run has of this task."""
        return self.counts["n"]

    @property
    def overall(self) -> Cell:
        """Overall: accuracy in percent, or the sum of the four means (0-8)."""
        return self.measures["Overall"]

    def __repr__(self) -> str:
        cells = self.measures.items()
        values = ", ".join(f"{name} {'-' if cell.value is None else f'{cell.value:.2f}'}" for name, cell in cells)
        return f"TaskResult({self.task.value}, n={self.n}: {values})"


@dataclass(frozen=True, repr=False)
class Result:
    """The content of a ``_score.json``: a :class:`TaskResult` for each task (``result["perception"]``), and what all
    was made from. ``task`` is the combined one for a run of both reasoning tasks."""

    model: str
    dataset: str
    task: Task
    parts: Mapping[Task, TaskResult]
    settings: Provenance
    baseline: bool = False

    def __getitem__(self, task: Task | str) -> TaskResult:
        return self.parts[Task(task)]

    @property
    def comparable(self) -> Comparable:
        """The worst of its parts."""
        return Comparable.worst(part.comparable for part in self.parts.values())

    @property
    def not_comparable_because(self) -> tuple[str, ...]:
        """The reasons of the parts that make it what it is, each once."""
        decisive = [part for part in self.parts.values() if part.comparable is self.comparable]
        return tuple(dict.fromkeys(reason for part in decisive for reason in part.not_comparable_because))

    def __repr__(self) -> str:
        parts = ", ".join(map(repr, self.parts.values()))
        return f"Result({self.model} on {self.dataset}, {self.comparable.words}: {parts})"

    def _repr_html_(self) -> str:
        from medqbench_vlmeval.notebook import html_table

        return html_table(self)

    @property
    def tasks(self) -> tuple[TaskRun, ...]:
        """The run's single tasks, each with the run's name and settings: what tables, figures and boards show."""
        return tuple(TaskRun(self.model, self.baseline, self.settings, part) for part in self.parts.values())


@dataclass(frozen=True)
class TaskRun:
    """One task of one run with the run's model and settings; ``result`` has its numbers."""

    model: str
    baseline: bool
    settings: Provenance
    result: TaskResult

    @property
    def task(self) -> Task:
        """The single task."""
        return self.result.task

    @property
    def data(self) -> DataUse:
        """The data file behind this task's samples."""
        return self.settings.data[self.task.value]


@dataclass(frozen=True)
class Conclusion:
    """What an answer and its reference conclude: a level, an image (1 or 2), 'same', or None where none can be read;
    ``quality_accuracy`` is 0, 1 or 2, None where the reference's conclusion cannot be read or there is no answer."""

    stated: str | int | None
    reference: str | int | None
    quality_accuracy: int | None


@dataclass(frozen=True)
class SampleRow:
    """One line of a ``_samples.jsonl``: a sample, the reply and how it was read or judged. A question has
    ``extracted``, ``rule`` and ``correct``, ``choice`` where an extractor was asked, and ``confidence`` (0-100%) where
    the reply states one. Reasoning has ``verdicts``, ``conclusion`` and ``score``, the sum of the four (0-8), None
    while one is missing. ``unscored`` says why there is no score (of a question: no reply; it counts as wrong)."""

    sample: Sample
    prediction: Prediction
    error_kinds: tuple[str, ...] = ()
    unscored: str | None = None
    comparable: Comparable = Comparable.NO
    extracted: str | None = None
    rule: str | None = None
    correct: bool | None = None
    choice: Verdict | None = None
    confidence: float | None = None
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    conclusion: Conclusion | None = None
    score: float | None = None

    def score_on(self, dimension: str) -> float | None:
        """The verdict on a dimension, None where there is none."""
        return self.verdicts[dimension].score if dimension in self.verdicts else None


@dataclass(frozen=True)
class ResultPaths:
    """The three files that stand beside a prediction file or in an output folder."""

    score: Path
    samples: Path
    report: Path


@dataclass(frozen=True, repr=False)
class Run:
    """A scored run: its result, one row a sample in the file's order, and the files that hold them."""

    result: Result
    rows: tuple[SampleRow, ...]
    paths: ResultPaths

    def __repr__(self) -> str:
        return f"Run({len(self.rows)} samples, {self.result!r})"

    def _repr_html_(self) -> str:
        return self.result._repr_html_()

    def to_frame(self) -> DataFrame:
        """One row a sample as a ``pandas.DataFrame``: its axes and texts, the reply, and how it was read or judged."""
        from medqbench_vlmeval.notebook import frame

        return frame(self.rows)
