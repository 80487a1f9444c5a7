"""Which column of a file holds which meaning.

The published files' columns are partly unknown, and users bring files of their own: a meaning is looked up in a
table of accepted names, without regard to case, blanks, dashes and underscores, and what was found, what was
not and what nobody claimed is kept for the results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medqbench_vlmeval.data.values import words
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.tasks import OPTION_LETTERS, Task

# Names by priority: the first one that the file has is taken. Spelled without separators, in lower case.
ACCEPTED: Mapping[str, tuple[str, ...]] = {
    "index": ("index", "id", "idx", "sampleid", "questionid", "qid"),
    "question": ("question", "query", "questiontext", "prompt"),
    "A": ("a", "optiona", "choicea", "opta"),
    "B": ("b", "optionb", "choiceb", "optb"),
    "C": ("c", "optionc", "choicec", "optc"),
    "D": ("d", "optiond", "choiced", "optd"),
    "answer": ("answer", "correctanswer", "correctoption", "gtanswer", "answerletter", "groundtruth", "gt", "label"),
    "description": (
        "description",
        "referencedescription",
        "reference",
        "referencetext",
        "goldendescription",
        "golddescription",
        "goldendesc",
        "gtdescription",
        "groundtruth",
        "caption",
        "desc",
    ),
    "image": ("image", "images", "imagebase64", "base64", "img", "imgbase64", "imagedata"),
    "image_path": ("imagepath", "imagepaths", "imgpath", "imagefile", "imagefilename", "imagename", "filename", "path"),
    "image_a": ("imagea", "image1", "imga", "img1", "firstimage", "imagefirst"),
    "image_b": ("imageb", "image2", "imgb", "img2", "secondimage", "imagesecond"),
    "image_path_a": ("imagepatha", "imageapath", "imagepath1", "image1path", "imgpatha", "imgpath1", "patha", "path1"),
    "image_path_b": ("imagepathb", "imagebpath", "imagepath2", "image2path", "imgpathb", "imgpath2", "pathb", "path2"),
    "modality": ("modality", "imagemodality", "imagingmodality", "imagetype"),
    "question_type": ("questiontype", "qtype", "typeofquestion", "type", "questioncategory", "category"),
    "severity": (
        "severity",
        "severitylevel",
        "degradationlevel",
        "degradationseverity",
        "distortionlevel",
        "distortionseverity",
    ),
    "scope": ("scope", "questionscope", "generalorspecific", "generalvsspecific", "generality", "specificity"),
    "source": ("source", "imagesource", "datasource", "imageorigin", "origin"),
    "difficulty": ("difficulty", "difficultylevel", "pairdifficulty", "granularity", "pairtype", "comparisontype"),
    "degradation": ("degradation", "degradationtype", "distortion", "distortiontype", "artifact", "artifacttype"),
    "task": ("task",),
}

IMAGE_MEANINGS = ("image", "image_path", "image_a", "image_b", "image_path_a", "image_path_b")
AXES = ("modality", "question_type", "severity", "scope", "source", "difficulty", "degradation")

_PERCEPTION = ("index", "question", *OPTION_LETTERS, "answer", "image", "image_path", *AXES)
_NO_REFERENCE = ("index", "question", "description", "image", "image_path", *AXES)
_COMPARATIVE = ("index", "question", "description", *IMAGE_MEANINGS, *AXES)
_MEANINGS = {Task.PERCEPTION: _PERCEPTION, Task.NO_REFERENCE: _NO_REFERENCE, Task.COMPARATIVE: _COMPARATIVE}
_REQUIRED = {
    Task.PERCEPTION: ("index", "question", "A", "B", "answer"),
    Task.NO_REFERENCE: ("index", "description"),
    Task.COMPARATIVE: ("index", "description"),
}


@dataclass(frozen=True)
class Columns:
    """``names`` maps a meaning to the column's name in the file, ``positions`` to its place in a row."""

    names: Mapping[str, str]
    positions: Mapping[str, int]
    ignored: tuple[str, ...]


def find_columns(header: Sequence[str], meanings: Sequence[str]) -> Columns:
    """Resolve meanings by the table of accepted names; a column serves one meaning at most."""
    keys: dict[str, int] = {}
    for position, name in enumerate(header):
        keys.setdefault("".join(words(name)), position)
    taken: dict[str, int] = {}
    for meaning in meanings:
        for key in ACCEPTED[meaning]:
            if key in keys and keys[key] not in taken.values():
                taken[meaning] = keys[key]
                break
    used = set(taken.values())
    return Columns(
        {meaning: header[position] for meaning, position in taken.items()},
        taken,
        tuple(name for position, name in enumerate(header) if position not in used),
    )


def resolve_columns(header: Sequence[str], task: Task, path: Path, images: bool) -> Columns:
    """The columns of one task's file.

    Args:
        header: the column names as the file has them.
        task: a single task.
        path: named in errors.
        images: whether the file must say where its images are.

    Raises:
        BadInput: a meaning that the task cannot do without has no column; the message names the meaning, the
            accepted names and the columns that are there.
    """
    columns = find_columns(header, _MEANINGS[task])
    missing = [meaning for meaning in _REQUIRED[task] if meaning not in columns.names]
    if missing:
        meaning = missing[0]
        more = f" (also missing: {', '.join(missing[1:])})" if missing[1:] else ""
        raise BadInput(
            f"{path}: no column for the {task.value} task's '{meaning}'{more}. Accepted names, in any spelling: "
            f"{', '.join(ACCEPTED[meaning])}; columns there: {_listed(header)}."
        )
    if task is Task.NO_REFERENCE:
        pair = find_columns(header, ("image_a", "image_b", "image_path_a", "image_path_b"))
        if pair.names:
            raise BadInput(
                f"{path}: the column '{next(iter(pair.names.values()))}' belongs to pairs of images, but a file of the "
                "no-reference task was expected; give this file to the comparative task."
            )
    if images and not has_images(columns):
        wanted = (
            "'image_a' and 'image_b', 'image' or 'image_path'"
            if task is Task.COMPARATIVE
            else "'image' or 'image_path'"
        )
        raise BadInput(
            f"{path}: no column for the images. A column {wanted} is needed; columns there: {_listed(header)}."
        )
    return columns


def has_images(columns: Columns) -> bool:
    """Whether some column, or a pair of columns, says where images are."""
    found = columns.names
    return (
        "image" in found
        or "image_path" in found
        or ("image_a" in found and "image_b" in found)
        or ("image_path_a" in found and "image_path_b" in found)
    )


def _listed(header: Sequence[str]) -> str:
    names = [name if len(name) <= 40 else f"{name[:40]}..." for name in header[:40]]
    more = f" and {len(header) - 40} more" if len(header) > 40 else ""
    return ", ".join(names) + more
