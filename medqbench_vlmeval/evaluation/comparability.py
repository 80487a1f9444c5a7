"""When a number may stand beside the published ones, and why not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from medqbench_vlmeval.data import published_counts
from medqbench_vlmeval.records import Sample
from medqbench_vlmeval.tasks import Split, Task

# GPT-4o itself, dated or not, also behind a router's prefix; not its mini, audio or search relatives.
_PUBLISHED_JUDGE = re.compile(r"(?:[\w.-]+/)?(?:chat)?gpt-?4o(?:-latest|-\d{4}-\d{2}-\d{2})?", re.IGNORECASE)


def data_reasons(task: Task, split: Split | None, samples: Sequence[Sample]) -> list[str]:
    """Why these samples are not the published test split, as far as that can be told."""
    if split is Split.MINI:
        return ["the embedded set is not the benchmark's test split"]
    if split is Split.DEV:
        return ["the dev split was used; the published rows are of the test split"]
    counts = published_counts(task, samples)
    if counts["same"]:
        return []
    n_found, n_published = counts["found"].pop("n"), counts["expected"].pop("n")
    if n_found != n_published:
        return [f"{n_found} samples; the published rows are of {n_published}"]
    found, published = (" / ".join(map(str, counts[which].values())) for which in ("found", "expected"))
    return [f"{found} Yes-or-No / What / How questions; the published rows are of {published}"]


def prompt_reasons(style: str | None) -> list[str]:
    """Why the question's wording keeps a result from being compared; an unrecorded style is no reason."""
    return [] if style in (None, "official") else [f"the prompt style '{style}' is not the official one"]


def judge_reasons(judge: str, protocol: str, served_as: str | None) -> list[str]:
    """Why a judge keeps a result from being compared with the published rows, which GPT-4o judged.

    ``served_as`` is what the server called its model, None where it was never asked.
    """
    if judge == "rules":
        return ["the embedded judge 'rules' is not the published judge"]
    # More rounds estimate the same mean with less noise.
    official = re.fullmatch(r"official(-\d+)?", protocol)
    reasons = [] if official else [f"the judge protocol '{protocol}' is not the official one"]
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
