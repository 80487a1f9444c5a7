"""What a result was made from and with, as results hold it: the data, the replies, the prompts and the judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medqbench_vlmeval.model_use import ModelUse

ADOPTED = "adopted"  # the protocol of verdicts from a file that another program judged


@dataclass(frozen=True)
class ColumnUse:
    """Which columns a file's meanings came from. ``read`` maps a meaning to a column's name, ``inferred`` to a sentence
    that says how; ``absent`` meanings were not found, ``ignored`` columns claimed by none, ``named`` by the user."""

    read: Mapping[str, str] = field(default_factory=dict)
    inferred: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    named: tuple[str, ...] = ()


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
class Protocol:
    """The questions that a judge was asked: ``sha256`` is of the templates, None for rules that have none."""

    name: str
    version: str
    sha256: str | None = None
    rounds: int | None = None


@dataclass(frozen=True)
class JudgeSettings:
    """A judge or an extractor as a result names it; ``parameters`` are what was sent with each call, keys masked. A
    panel has its ``members`` and ``combined_by``; ``protocol`` is set for members and extractors."""

    name: str
    served_as: str | None = None
    base_url: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    combined_by: str | None = None
    members: tuple[JudgeSettings, ...] = ()
    protocol: Protocol | None = None


@dataclass(frozen=True)
class DataUse:
    """The data behind one task's samples; ``origin`` is 'file', 'folder', 'embedded', 'hub' or 'prediction file'.
    ``image_forms`` counts the samples' images by the words of their forms, most first; empty where not on record."""

    path: str | None
    sha256: str | None
    revision: str | None
    origin: str
    columns: ColumnUse
    samples_sha256: str
    n: int
    image_forms: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PredictionFile:
    """The file of replies; ``content_sha256`` is of the replies alone, which a rewritten spreadsheet still holds."""

    name: str
    sha256: str
    content_sha256: str


@dataclass(frozen=True)
class Provenance:
    """What a result was made from and with; ``created`` is ISO 8601 in UTC, ``model_use`` None where not on record."""

    data: Mapping[str, DataUse]
    prediction_file: PredictionFile
    prompt_style: str | None
    prompt_sha256: str | None
    versions: Mapping[str, str | None]
    created: str
    protocol: Protocol
    judge: JudgeSettings | None = None
    extractor: JudgeSettings | None = None
    model_use: ModelUse | None = None
