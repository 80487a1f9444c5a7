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

What the reference does not say is not scored: a verdict then carries the reason instead of a number. Of an answer of
more than 100,000 characters the first and the last 50,000 are read, which its verdicts note.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medqbench_vlmeval.answers import attributes as lexicon
from medqbench_vlmeval.answers.attributes import Finding, Key, findings
from medqbench_vlmeval.answers.conclusion import SAME, conclusion_of, steps_apart
from medqbench_vlmeval.answers.plain import MOST_CHARACTERS
from medqbench_vlmeval.benchmark import DIMENSIONS, Task
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.judge.calls import OnProgress, Progress, texts_to_judge
from medqbench_vlmeval.judge.options import RULES
from medqbench_vlmeval.provenance import JudgeSettings, Protocol
from medqbench_vlmeval.types import Judged, Prediction, Sample, Verdict

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

    name = protocol = RULES

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
        by_index = {}
        for n, (sample, text) in enumerate(texts, 1):
            by_index[sample.index] = self.verdicts(sample.task, text, sample.description or "")
            if on_progress:
                on_progress(Progress(n * len(DIMENSIONS), len(texts) * len(DIMENSIONS), 0, 0, 0, RULES))
        return [Judged(sample.index, by_index.get(sample.index, {}), reasons.get(sample.index)) for sample in samples]

    def verdicts(self, task: Task, answer: str, reference: str) -> dict[str, Verdict]:
        """The four verdicts on an answer."""
        of_pair = task is Task.COMPARATIVE
        texts = [_Text(findings(text, of_pair), conclusion_of(task, text)) for text in (answer, reference)]
        scored = {
            "completeness": _completeness(*texts),
            "preciseness": _preciseness(task, *texts),
            "consistency": _consistency(task, *texts),
            "quality_accuracy": _quality_accuracy(task, *texts),
        }
        ends = f"of the answer's {len(answer):,} characters the first and last {MOST_CHARACTERS // 2:,} were read"
        note = ends if len(answer) > MOST_CHARACTERS else None
        digest = sha256_text(f"{task.value}\0{answer}\0{reference}")
        return {
            dimension: Verdict(
                dimension, score, None if score is not None else words, words, digest, RULES, asks=0, note=note
            )
            for dimension, (score, words) in scored.items()
        }


def _completeness(answer: _Text, reference: _Text) -> tuple[int | None, str]:
    if not reference.findings:
        return None, NO_FINDINGS
    shared = [key for key, finding in reference.findings.items() if _relation(key, finding, answer.findings) > 0]
    share = len(shared) / len(reference.findings)
    words = f"{len(shared)} of {len(reference.findings)} findings of the reference: {_names(shared)}"
    return 2 if share >= COMPLETE_SHARE else int(share > 0), words


def _preciseness(task: Task, answer: _Text, reference: _Text) -> tuple[int | None, str]:
    if not reference.findings and reference.conclusion is None:
        return None, NO_FINDINGS
    if not answer.findings and answer.conclusion is None:
        return 0, "nothing is said about quality"
    against = [key for key, finding in reference.findings.items() if _relation(key, finding, answer.findings) < 0]
    apart = steps_apart(task, answer.conclusion, reference.conclusion)
    words = f"contradictions: {_names(against)}; conclusions {apart} apart"
    if len(against) > 1 or apart > 1:
        return 0, words
    return 1 if against or apart == 1 or not answer.findings else 2, words


def _consistency(task: Task, answer: _Text, reference: _Text) -> tuple[int | None, str]:
    if reference.conclusion is None:
        return None, NO_CONCLUSION
    if answer.conclusion is None:
        return 0, "no conclusion"
    own, expected = _support(task, answer), _support(task, reference)
    score = min(2, own + 2 - expected)
    if not answer.findings and reference.findings:
        score = min(score, 1)
    return score, f"findings support the conclusion '{answer.conclusion}' to {own} of 2, the reference's to {expected}"


def _quality_accuracy(task: Task, answer: _Text, reference: _Text) -> tuple[int | None, str]:
    if reference.conclusion is None:
        return None, NO_CONCLUSION
    words = f"'{answer.conclusion}' for '{reference.conclusion}'"
    if answer.conclusion is None:
        return 0, f"no conclusion for '{reference.conclusion}'"
    return 2 - steps_apart(task, answer.conclusion, reference.conclusion), words


def _relation(key: Key, finding: Finding, others: Mapping[Key, Finding]) -> int:
    """1 if the others hold this finding, -1 if they hold its opposite, 0 if they do not speak of it."""
    attribute, image = key
    relations = []
    for (name, of_image), other in others.items():
        if name == attribute:
            sides = other.sides
            if image is not None and of_image is not None and image != of_image:
                # Of two images, noise in the first says that the second is cleaner.
                sides = frozenset({"good": "bad", "bad": "good"}[side] for side in sides)
            relations.append(1 if not sides or not finding.sides or sides & finding.sides else -1)
    return max(relations, default=0)


def _support(task: Task, text: _Text) -> int:
    """How well a text's findings support its conclusion, 0-2."""
    if task is Task.COMPARATIVE:
        # Burden of an image less its merits.
        said = [(at, finding.strength - ("good" in finding.sides)) for (_, at), finding in text.findings.items()]
        first, second = (sum(weight for at, weight in said if at == image) for image in (1, 2))
        if text.conclusion == SAME:
            return 2 if first == second else 1
        if first == second:
            return 1
        return 2 if text.conclusion == (1 if first < second else 2) else 0
    strengths = [finding.strength for finding in text.findings.values() if "bad" in finding.sides]
    burden = sum(strengths)
    if burden <= 1:
        levels = ["good", "usable"][: burden + 1]
    elif burden <= 3 and strengths != [3]:
        levels = ["usable"]
    else:
        levels = ["usable", "reject"] if burden <= 5 else ["reject"]
    return 2 - min(steps_apart(task, text.conclusion, level) for level in levels)


def _names(keys: Sequence[Key]) -> str:
    return ", ".join(name if image is None else f"{name} (image {image})" for name, image in keys) or "none"
