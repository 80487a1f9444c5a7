"""Whether a result may be ranked with the published rows: what contradicts it, and what is not on record. A record is
what the prediction file's own columns say; what the caller of a scoring believes is none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from medqbench_vlmeval.benchmark import QUESTION_TYPES, Comparable, Split, Task, dataset_names
from medqbench_vlmeval.data.info import published_counts
from medqbench_vlmeval.judge import RULES
from medqbench_vlmeval.model_use import KIT, ModelUse
from medqbench_vlmeval.provenance import ADOPTED, DataUse, JudgeSettings
from medqbench_vlmeval.types import Sample, TaskResult

# GPT-4o itself, dated or not, also behind a router's prefix; not its mini, audio or search relatives.
_PUBLISHED_JUDGE = re.compile(r"(?:[\w.-]+/)?(?:chat)?gpt-?4o(?:-latest|-\d{4}-\d{2}-\d{2})?", re.IGNORECASE)
# More rounds estimate the same mean with less noise.
_OFFICIAL = re.compile(r"official(-\d+)?")
_MOST_LOST = 1  # percent of the samples; with more the means are over other samples than the published ones
LIMITED = "samples were run"  # the end of the reason that a run with --limit has
_NAMED, _SHOWN = 3, 60  # of a file's own texts: how many, and characters of each
_WRITTEN_BY = "which 'medqbench run' writes beside each reply"
_NO, _UNVERIFIED = Comparable.NO, Comparable.UNVERIFIED
# The best value that is left, and why.
_Doubt = tuple[Comparable, str]


@dataclass(frozen=True)
class Evidence:
    """What is on record of one task's samples and replies. ``styles`` and ``files`` count replies by the prompt style
    and by the sha256 of the data file that they were made with, those without a record under ''. ``n_run`` of the
    ``n_offered`` samples of the whole run, of both tasks of a combined one, were chosen."""

    split: Split | None
    samples: Sequence[Sample]
    n_run: int
    n_offered: int
    data: DataUse
    styles: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, int] = field(default_factory=dict)
    judge: JudgeSettings | None = None
    model_use: ModelUse | None = None


def with_comparable(part: TaskResult, evidence: Evidence) -> TaskResult:
    """The numbers of a task with their ``comparable`` and its reasons: contradictions, else what is not on record."""
    doubts = [*_data_doubts(part.task, evidence), *_asking_doubts(evidence)]
    doubts += [*_judge_doubts(part.task, evidence.judge), *_loss_doubts(part, evidence.judge)]
    worst = Comparable.worst(best for best, _ in doubts)
    reasons = dict.fromkeys(reason for best, reason in doubts if best is worst)
    return replace(part, comparable=worst, not_comparable_because=tuple(reasons))


def _data_doubts(task: Task, evidence: Evidence) -> Iterator[_Doubt]:
    """Whether the samples are the published test split, and the replies were made on the hub's file of it."""
    if task is Task.DEGRADATION:
        yield _UNVERIFIED, "no published rows of MedQ-Deg are at hand"
    counts = published_counts(task, evidence.samples)
    if evidence.split is Split.MINI:
        yield _NO, "the embedded set is not the benchmark's test split"
    elif evidence.split is not None and evidence.split.value.endswith("dev"):
        yield _NO, "the dev split was used; the published rows are of the test split"
    elif counts is None:
        pass
    elif counts.found["n"] != counts.expected["n"]:
        yield _NO, f"{counts.found['n']} samples; the published rows are of {counts.expected['n']}"
    elif not counts.same:
        present, published = (
            " / ".join(str(count[kind]) for kind in QUESTION_TYPES) for count in (counts.found, counts.expected)
        )
        yield _NO, f"{present} Yes-or-No / What / How questions; the published rows are of {published}"
    if evidence.n_run < evidence.n_offered:
        yield _NO, f"only {evidence.n_run} of {evidence.n_offered} {LIMITED}"
    sha256 = evidence.data.sha256
    if set(evidence.files) - {"", sha256}:
        yield _NO, "the predictions were made on another version of the data file"
    if without := evidence.files.get(""):
        yield _UNVERIFIED, f"the data file {_of_replies(without, evidence.files)} is not on record, {_WRITTEN_BY}"
    if sha256 and not evidence.data.revision:
        split = evidence.split or Split.TEST
        name = next(
            (text for text, of in dataset_names(task).items() if of.split is split), next(iter(dataset_names(task)))
        )
        yield (
            _UNVERIFIED,
            f"no revision of the hub is on record for the data file with sha256 {sha256[:8]}, and 'medqbench data info "
            f"{name}' without MEDQBENCH_DATA fetches the hub's own, by which a file of the same bytes is then known",
        )


def _asking_doubts(evidence: Evidence) -> Iterator[_Doubt]:
    if others := [f"'{style[:_SHOWN]}'" for style in evidence.styles if style not in ("", "official")]:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        yield _NO, f"the prompt style {', '.join(others[:_NAMED])}{more} is not the official one"
    if without := evidence.styles.get(""):
        yield _UNVERIFIED, f"the prompt style {_of_replies(without, evidence.styles)} is not on record, {_WRITTEN_BY}"
    if (use := evidence.model_use) is not None and use.images is not None and use.images.way != KIT:
        yield _NO, f"images were sent as '{use.images.way}'; the published rows were made with the kit's own encoding"


def _of_replies(without: int, counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    return "of the replies" if without == total else f"of {without:,} of {total:,} replies"


def _judge_doubts(task: Task, judge: JudgeSettings | None) -> Iterator[_Doubt]:
    """Whether GPT-4o judged by the official protocol."""
    if judge is None:
        if not task.is_choice:
            yield _UNVERIFIED, "the judge is not on record"
        return
    if judge.name == RULES:
        yield _NO, "the embedded judge 'rules' is not the published judge"
        return
    if judge.protocol and judge.protocol.name == ADOPTED:
        yield _UNVERIFIED, "the verdicts are adopted from the kit's own class, which keeps no reply of its judge's"
        if not (judge.name.startswith("unknown") or _PUBLISHED_JUDGE.fullmatch(judge.name.partition(" (")[0])):
            yield _NO, f"the judge '{judge.name}' is not the published one (GPT-4o)"
        return
    if judge.protocol is None or not _OFFICIAL.fullmatch(judge.protocol.name):
        yield _NO, f"the judge protocol '{judge.protocol and judge.protocol.name}' is not the official one"
    for name in dict.fromkeys([judge.name, *(judge.served_as.split(", ") if judge.served_as else ())]):
        if not _PUBLISHED_JUDGE.fullmatch(name):
            yield _NO, f"the judge '{name}' is not the published one (GPT-4o)"
    if not judge.served_as:
        yield _UNVERIFIED, "the model that answered for the judge is not on record, since no reply of a server names it"


def _loss_doubts(part: TaskResult, judge: JudgeSettings | None) -> Iterator[_Doubt]:
    """Samples without a number of their own: a few leave a doubt, more make the means those of other samples."""
    failed, missing = part.counts["n_inference_failed"], part.counts["n_missing"]
    unscored = max(0, part.counts.get("n_unscored", 0) - failed - missing)
    best = Comparable.NO if 100 * (failed + missing + unscored) > _MOST_LOST * part.n else Comparable.UNVERIFIED
    adopted = judge is not None and judge.protocol is not None and judge.protocol.name == ADOPTED
    again = "--judge NAME has all judged anew" if adopted else "scoring again asks the judge only about those"
    for count, words in (
        (failed, "samples failed in inference, and 'medqbench run ... --resume-failed' asks only those again"),
        (missing, "predictions are missing, which a run of all samples makes"),
        (unscored, f"samples are unscored, and {again}"),
    ):
        if count:
            yield best, f"{count:,} of {part.n:,} {words}"
