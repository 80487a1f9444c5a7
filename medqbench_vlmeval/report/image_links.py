"""Links from a workbook's samples to their images on this machine.

A sample row names its images without their folders. The name is somebody else's text: it is looked up where this
package keeps images, under a pattern that leaves no way out of that folder, and linked where such a file exists.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from medqbench_vlmeval.data import ImageStore, embedded_folder
from medqbench_vlmeval.data.images import is_content_name
from medqbench_vlmeval.report.runs import RunPart

LONGEST_LINK = 2_000  # characters; spreadsheets take 2,079 at most

_EMBEDDED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.(?:png|jpg)")


class ImageLinks:
    """Finds the images of a run's samples, each file once.

    Args:
        parts: the run's tasks; the images of the embedded set are looked for where a task was scored on it.
        folder: where the workbook will lie; links are relative to it where that is possible.
    """

    def __init__(self, parts: Sequence[RunPart], folder: Path) -> None:
        self._store = ImageStore.default()
        self._embedded = embedded_folder() / "images"
        self._embedded_tasks = {part.task.value for part in parts if part.data.get("origin") == "embedded"}
        self._folder = folder.absolute()
        self._known: dict[tuple[str, bool], str | None] = {}

    def of(self, row: Mapping[str, Any], name: str) -> str | None:
        """The address of one image of a sample, percent-escaped, or None where there is no such file here."""
        embedded = str(row.get("task")) in self._embedded_tasks
        key = (name, embedded)
        if key not in self._known:
            self._known[key] = self._address(name, embedded)
        return self._known[key]

    def _address(self, name: str, embedded: bool) -> str | None:
        if is_content_name(name):
            path = self._store.place(name)
        elif embedded and _EMBEDDED.fullmatch(name):
            path = self._embedded / name
        else:
            return None
        try:
            if not path.is_file():
                return None
        except OSError:  # a folder that may not be looked into
            return None
        address = link_to(path, self._folder)
        return address if len(address) <= LONGEST_LINK else None


def link_to(path: Path, folder: Path) -> str:
    """The address of an absolute path for a file in ``folder``: relative, or absolute where they share no drive."""
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:
        return path.as_uri()
    return quote(relative.replace(os.sep, "/"))
