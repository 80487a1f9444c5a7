"""Finding the images that result files name: a name is somebody else's text, and never leads out of its folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from medqbench_vlmeval.data.sources import embedded_folder
from medqbench_vlmeval.report.runs import RunPart

_LONGEST = 255
_PLAIN = re.compile(r"[^\x00-\x1f\x7f/\\:]+")
_EMBEDDED = "embedded"


def folders_of(part: RunPart, image_root: Path | None) -> tuple[Path, ...]:
    """The folders in which a task's images may lie.

    The embedded set's images have names that other folders may use for other images, so that they are looked for in
    this package alone, and by nobody else.
    """
    if part.data.get("origin") == _EMBEDDED:
        return (embedded_folder() / "images",)
    return () if image_root is None else (image_root,)


class Finder:
    """Looks names up in folders, each directly or under its first two characters as in an image store."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [folder.resolve() for folder in folders]
        self._known: dict[str, Path | None] = {}

    def find(self, name: str) -> Path | None:
        """The file of that name; None where there is none, or the name or a link leads anywhere else."""
        if name not in self._known:
            self._known[name] = self._find(name)
        return self._known[name]

    def _find(self, name: str) -> Path | None:
        if not _PLAIN.fullmatch(name) or name.startswith(".") or len(name.encode(errors="replace")) > _LONGEST:
            return None
        for folder in self._folders:
            for path in (folder / name[:2] / name, folder / name):
                try:
                    found = path.resolve()
                    if found.is_relative_to(folder) and found.is_file():
                        return found
                except (OSError, RuntimeError, ValueError):
                    # A loop of links, a folder without rights, half a character in the name: no image.
                    continue
        return None
