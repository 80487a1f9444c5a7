"""The findings of a run for the terminal: a sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from medqbench_vlmeval.report.runs import RunPart, mapping, text

FINDINGS_KEY = "findings"
NOT_FOUND = "not_found"


def findings_of(part: RunPart) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The findings of one task by name, in the result's order; none where the result has none."""
    for name, found in mapping(part.score.get(FINDINGS_KEY)).items():
        if name != NOT_FOUND and text(mapping(found).get("statement")):
            yield name, mapping(found)


def absent_findings(part: RunPart) -> dict[str, str]:
    """Why findings are absent, by name."""
    absent = mapping(mapping(part.score.get(FINDINGS_KEY)).get(NOT_FOUND))
    return {str(name): str(reason) for name, reason in absent.items()}


def findings_lines(part: RunPart) -> list[str]:
    """One line a finding, and one that names what the data does not support; nothing for a result without findings."""
    lines = [
        f"{title_of(name, found)}: {found['statement']}" + (" (few samples)" if found.get("few") is True else "")
        for name, found in findings_of(part)
    ]
    absent = absent_findings(part)
    if absent:
        lines.append(f"Not found: {'; '.join(f'{words_of(name)} ({reason})' for name, reason in absent.items())}")
    return lines


def title_of(name: str, found: Mapping[str, Any]) -> str:
    """A finding's title."""
    return text(found.get("title")) or words_of(name)


def words_of(name: str) -> str:
    """A finding's name in words: 'modality_gap' -> 'modality gap'."""
    return name.replace("_", " ")
