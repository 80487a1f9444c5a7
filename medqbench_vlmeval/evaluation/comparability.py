"""When a number may stand beside the published ones, and why not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from medqbench_vlmeval.records import Sample
from medqbench_vlmeval.tasks import PUBLISHED_QUESTIONS, PUBLISHED_SIZES, QUESTION_TYPES, Split, Task

# GPT-4o itself, dated or not, also behind a router's prefix; not its mini, audio or search relatives.
_PUBLISHED_JUDGE = re.compile(r"(?:[\w.-]+/)?(?:chat)?gpt-?4o(?:-latest|-\d{4}-\d{2}-\d{2})?", re.IGNORECASE)


def data_reasons(task: Task, split: Split | None, samples: Sequence[Sample]) -> list[str]:
    """Why these samples are not the published test split, as far as that can be told."""
    if split is Split.MINI:
        return ["the embedded set is not the benchmark's test split"]
    if split is Split.DEV:
        return ["the dev split was used; the published rows are of the test split"]
    if len(samples) != PUBLISHED_SIZES[task]:
        return [f"{len(samples)} samples; the published rows are of {PUBLISHED_SIZES[task]}"]
    if task is Task.PERCEPTION:
        counts = Counter(sample.question_type for sample in samples)
        if any(counts[kind] != PUBLISHED_QUESTIONS[kind] for kind in QUESTION_TYPES):
            found = " / ".join(str(counts[kind]) for kind in QUESTION_TYPES)
            published = " / ".join(map(str, PUBLISHED_QUESTIONS.values()))
            return [f"{found} Yes-or-No / What / How questions; the published rows are of {published}"]
    return []


def prompt_reasons(style: str | None) -> list[str]:
    """Why the question's wording keeps a result from being compared; an unrecorded style is no reason."""
    return [] if style in (None, "official") else [f"the prompt style '{style}' is not the official one"]


def judge_reasons(judge: str, protocol: str, served_as: str | None) -> list[str]:
    """Why a judge keeps a result from being compared with the published rows, which GPT-4o judged.

    ``served_as`` is what the server called its model, None where it was never asked.
    """
    if judge == "rules":
        return ["the embedded judge 'rules' is not the published judge"]
    reasons = [] if protocol == "official" else [f"the judge protocol '{protocol}' is not the official one"]
    for name in dict.fromkeys([judge, *(served_as.split(", ") if served_as else ())]):
        if not _PUBLISHED_JUDGE.fullmatch(name):
            reasons.append(f"the judge '{name}' is not the published one (GPT-4o)")
    return reasons


def unscored_reasons(score: dict[str, Any]) -> list[str]:
    """Incomplete results are no reason for shame, but their means are over other samples."""
    reasons = []
    if score.get("n_unscored"):
        reasons.append(f"{score['n_unscored']} of {score['n']} samples are unscored")
    if score["n_missing"]:
        reasons.append(f"{score['n_missing']} of {score['n']} predictions are missing")
    return reasons
