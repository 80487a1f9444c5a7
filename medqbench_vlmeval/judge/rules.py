"""The embedded judge 'rules': no network, no key, the same verdicts every time, not comparable.

It reads the stated conclusion and the quality attributes of answer and reference and scores:

- completeness: the share of the reference's findings that the answer has with the same side (and, in a
  comparison, for the same image). From 3/4: 2; more than none: 1; none: 0.
- preciseness: contradictions, that is findings turned into their opposite. None: 2; one, or a conclusion one
  level off, or a bare conclusion without findings: 1; more, or the opposite conclusion, or nothing said: 0.
- consistency: the burden of the degradations that the answer describes (mild 1, moderate or unsaid 2, severe 3,
  summed) against its own conclusion. Burden 0 supports good, 1 good or usable, 2 and 3 usable, a single severe
  one usable or reject, 4 and 5 usable or reject, more reject. On the supported level 2, next to it 1, else 0. In
  a comparison the image of less burden should be preferred: 2, no difference told: 1, the other: 0. Where the
  reference itself fails this measure, the answer is forgiven as much. No conclusion: 0; no findings: at most 1.
- quality accuracy: the same level 2, the next 1, the opposite or none 0; for a pair the same preference 2, else 0.

What the reference does not say is not scored: a verdict then carries the reason instead of a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medqbench_vlmeval.answers import attributes as lexicon
from medqbench_vlmeval.answers.attributes import Finding, Key, findings
from medqbench_vlmeval.answers.conclusion import SAME, conclusion_of, steps_apart
from medqbench_vlmeval.benchmark import DIMENSIONS, QUALITY_LEVELS, Task
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.judge.calls import OnProgress, Progress, texts_to_judge
from medqbench_vlmeval.judge.options import RULES
from medqbench_vlmeval.types import Judged, JudgeSettings, Prediction, Protocol, Sample, Verdict

VERSION = "2"
COMPLETE_SHARE = 0.75
NO_CONCLUSION = "the reference states no conclusion that the embedded judge can read"
NO_FINDINGS = "the reference names no quality attribute that the embedded judge knows"


@dataclass(frozen=True)
class _Text:
    """What the judge reads in a text: its findings and its conclusion (a level, an image, 'same' or None)."""

    findings: Mapping[Key, Finding]
    conclusion: str | int | None


class RulesJudge:
    """The embedded judge; see the module's docstring for its rules."""

    @property
    def name(self) -> str:
        return RULES

    @property
    def protocol(self) -> str:
        return RULES

    def describe(self) -> JudgeSettings:
        """The settings of a result; the hash is of the rules' documentation and lexicon."""
        rules = repr((VERSION, __doc__, lexicon.ATTRIBUTES, lexicon.GOOD_WORDS, lexicon.BAD_WORDS))
        return JudgeSettings(RULES, protocol=Protocol(RULES, VERSION, sha256_text(rules)))

    def n_calls(self, samples: Sequence[Sample], predictions: Sequence[Prediction]) -> int:
        """Four verdicts for each sample that is judged."""
        return len(texts_to_judge(samples, predictions)[0]) * len(DIMENSIONS)

    def judge(
        self, samples: Sequence[Sample], predictions: Sequence[Prediction], on_progress: OnProgress | None = None
    ) -> list[Judged]:
        """Judge each sample's prediction (see ``calls.Judge.judge``)."""
        texts, reasons = texts_to_judge(samples, predictions)
        total = len(texts) * len(DIMENSIONS)
        done = 0
        judged = {index: Judged(index, {}, reason) for index, reason in reasons.items()}
        for sample, text in texts:
            verdicts = self.verdicts(sample.task, text, sample.description or "")
            judged[sample.index] = Judged(sample.index, verdicts)
            done += len(verdicts)
            if on_progress:
                on_progress(Progress(done, total, 0, 0, 0, RULES))
        return [judged[sample.index] for sample in samples]

    def verdicts(self, task: Task, answer: str, reference: str) -> dict[str, Verdict]:
        """The four verdicts on an answer."""
        said, meant = _read(task, answer), _read(task, reference)
        scored = {
            "completeness": _completeness(said, meant),
            "preciseness": _preciseness(task, said, meant),
            "consistency": _consistency(task, said, meant),
            "quality_accuracy": _quality_accuracy(task, said, meant),
        }
        digest = sha256_text(f"{task.value}\0{answer}\0{reference}")
        return {
            dimension: Verdict(dimension, score, None if score is not None else words, words, digest, RULES, asks=0)
            for dimension, (score, words) in scored.items()
        }


def _read(task: Task, text: str) -> _Text:
    return _Text(findings(text, task is Task.COMPARATIVE), conclusion_of(task, text))


def _completeness(said: _Text, meant: _Text) -> tuple[int | None, str]:
    if not meant.findings:
        return None, NO_FINDINGS
    shared = [key for key, finding in meant.findings.items() if _relation(key, finding, said.findings) > 0]
    share = len(shared) / len(meant.findings)
    words = f"{len(shared)} of {len(meant.findings)} findings of the reference: {_names(shared)}"
    return 2 if share >= COMPLETE_SHARE else int(share > 0), words


def _preciseness(task: Task, said: _Text, meant: _Text) -> tuple[int | None, str]:
    if not meant.findings and meant.conclusion is None:
        return None, NO_FINDINGS
    if not said.findings and said.conclusion is None:
        return 0, "nothing is said about quality"
    against = [key for key, finding in meant.findings.items() if _relation(key, finding, said.findings) < 0]
    apart = steps_apart(task, said.conclusion, meant.conclusion)
    words = f"contradictions: {_names(against)}; conclusions {apart} apart"
    if len(against) > 1 or apart > 1:
        return 0, words
    return 1 if against or apart == 1 or not said.findings else 2, words


def _consistency(task: Task, said: _Text, meant: _Text) -> tuple[int | None, str]:
    if meant.conclusion is None:
        return None, NO_CONCLUSION
    if said.conclusion is None:
        return 0, "no conclusion"
    own, expected = _support(task, said), _support(task, meant)
    score = min(2, own + 2 - expected)
    if not said.findings and meant.findings:
        score = min(score, 1)
    return score, f"findings support the conclusion '{said.conclusion}' to {own} of 2, the reference's to {expected}"


def _quality_accuracy(task: Task, said: _Text, meant: _Text) -> tuple[int | None, str]:
    if meant.conclusion is None:
        return None, NO_CONCLUSION
    words = f"'{said.conclusion}' for '{meant.conclusion}'"
    if said.conclusion is None:
        return 0, f"no conclusion for '{meant.conclusion}'"
    return 2 - steps_apart(task, said.conclusion, meant.conclusion), words


def _relation(key: Key, finding: Finding, others: Mapping[Key, Finding]) -> int:
    """1 if the others hold this finding, -1 if they hold its opposite, 0 if they do not speak of it."""
    attribute, image = key
    relations = set()
    for (name, of_image), other in others.items():
        if name != attribute:
            continue
        sides = other.sides
        if image is not None and of_image is not None and image != of_image:
            # Of two images, noise in the first says that the second is cleaner.
            sides = frozenset({"good": "bad", "bad": "good"}[side] for side in sides)
        agrees = not sides or not finding.sides or bool(sides & finding.sides)
        relations.add(1 if agrees else -1)
    return max(relations, default=0)


def _support(task: Task, text: _Text) -> int:
    """How well a text's findings support its conclusion, 0-2."""
    if task is Task.COMPARATIVE:
        first, second = (_balance(text.findings, image) for image in (1, 2))
        if text.conclusion == SAME:
            return 2 if first == second else 1
        if first == second:
            return 1
        return 2 if text.conclusion == (1 if first < second else 2) else 0
    strengths = [finding.strength for finding in text.findings.values() if "bad" in finding.sides]
    supported = [QUALITY_LEVELS.index(level) for level in _supported_levels(sum(strengths), len(strengths))]
    at = QUALITY_LEVELS.index(str(text.conclusion))
    return 2 - min(abs(at - level) for level in supported)


def _supported_levels(burden: int, n: int) -> tuple[str, ...]:
    if burden == 0:
        return ("good",)
    if burden == 1:
        return ("good", "usable")
    if burden <= 3 and not (n == 1 and burden == 3):
        return ("usable",)
    return ("usable", "reject") if burden <= 5 else ("reject",)


def _balance(found: Mapping[Key, Finding], image: int) -> int:
    """Burden of an image less its merits."""
    of_image = [finding for (_, at), finding in found.items() if at == image]
    bad = sum(finding.strength for finding in of_image if "bad" in finding.sides)
    return bad - sum(1 for finding in of_image if "good" in finding.sides)


def _names(keys: Sequence[Key]) -> str:
    return ", ".join(name if image is None else f"{name} (image {image})" for name, image in keys) or "none"
