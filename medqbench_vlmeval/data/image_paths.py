"""The images that a data file names by path: files of its folder, else members of a zip archive beside it. A path is
somebody else's text: it stays in the folder, and a member is read in memory under the name that a row asks for, so that
whatever else an archive holds is never looked at."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from medqbench_vlmeval.data.image_store import FileState, ImageStore, StoredImage
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import MAX_FILE_BYTES, MAX_LINES

COMMIT = re.compile(r"[0-9a-f]{40}")
LONGEST_PATH = 4096
_ARCHIVE = "images.zip"
# A member of more bytes than this is at most so many times as large as it is in the archive.
_SMALL, _MOST_RATIO = 1 << 26, 200
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError, ValueError)


class ImageFolder:
    """Where the images of one data file are found by the paths in its cells. Links of ``trusted`` folders (our own, the
    hub's) may lead out of them. ``fetch`` brings a path of the hub's repository to this machine; None where paths are
    local files."""

    def __init__(self, table: Path, trusted: bool = False, fetch: Callable[[str], Path] | None = None) -> None:
        self._root, self._stem, self._trusted, self._fetch = table.absolute().parent, table.stem, trusted, fetch
        self._real = self._root.resolve()

    def image(
        self, store: ImageStore, cell: bytes, where: str, window: str = "", decode: bool = True, fetch: bool = True
    ) -> StoredImage:
        """The image that a cell names, ready to be shown; BadInput where there is none, or none that can be. For
        ``decode`` see :meth:`.ImageStore.check_file`; without ``fetch`` nothing is fetched."""
        try:
            text = cell.decode("utf-8")
        except UnicodeDecodeError:
            raise BadInput(f"{where}: the image path is not UTF-8 text.") from None
        name = self._name(text, where)
        if self._fetch is not None and fetch:
            return store.check_file(self._fetch(name), where, window, decode)
        path = self._root / name
        try:
            present, real = path.is_file(), path.resolve()
        except (OSError, RuntimeError) as error:
            raise BadInput(f"{where}: the image path '{text[:200]}' cannot be read: {str(error)[:200]}.") from None
        if not present:
            return self._member(store, name, where, window)
        allowed = [self._real]
        # A snapshot of the hub's cache holds links to its own blobs folder.
        if COMMIT.fullmatch(allowed[0].name) and allowed[0].parent.name == "snapshots":
            allowed.append(allowed[0].parent.parent / "blobs")
        if not self._trusted and not any(real.is_relative_to(folder) for folder in allowed):
            raise BadInput(
                f"{where}: the image path '{text[:200]}' is a link that leads out of the folder {self._root}."
            )
        return store.check_file(path, where, window, decode)

    def _name(self, text: str, where: str) -> str:
        """A path of a cell relative to the folder, checked to stay inside."""
        inside = text[: LONGEST_PATH + 1]
        for root in (self._root, self._real):
            with suppress(ValueError):
                inside = str(PurePath(inside).relative_to(root))
        windows = PureWindowsPath(inside)
        odd = "\0" in text or len(text) > LONGEST_PATH or windows.drive or ".." in windows.parts or not windows.parts
        if odd or inside.startswith(("/", "\\", "~")):
            raise BadInput(f"{where}: the image path '{text[:200]}' must stay inside the data file's folder.")
        return PurePosixPath(inside).as_posix()

    @cached_property
    def _members(self) -> dict[str, tuple[zipfile.ZipFile, zipfile.ZipInfo, FileState] | None]:
        """What the archives beside the data file hold, by name; None for what stands twice."""
        members: dict[str, tuple[zipfile.ZipFile, zipfile.ZipInfo, FileState] | None] = {}
        for path in dict.fromkeys((self._root / _ARCHIVE, self._root / f"{self._stem}.zip")):
            if path.is_file() and (self._trusted or path.resolve().is_relative_to(self._real)):
                try:
                    state, archive = FileState.of(path), zipfile.ZipFile(path)
                except _ZIP_ERRORS as error:
                    raise BadInput(f"{path} cannot be read as a zip archive of images ({error}).") from None
                if len(archive.infolist()) > MAX_LINES:
                    raise BadInput(f"{path} has more than {MAX_LINES:,} members, which is the most that is read.")
                for info in archive.infolist():
                    members[info.filename] = None if info.filename in members else (archive, info, state)
        return members

    def _member(self, store: ImageStore, name: str, where: str, window: str) -> StoredImage:
        tops = ("images/", f"{self._stem}/")
        spellings = (name, *(f"{top}{name}" for top in tops), *(name.removeprefix(top) for top in tops))
        spelled = next((each for each in spellings if each in self._members), None)
        if spelled is None:
            archives = f", in the folder or in {_ARCHIVE} or {self._stem}.zip" if self._members else ""
            raise BadInput(f"{where}: the image {self._root / name[:200]} does not exist{archives}.")
        if (member := self._members[spelled]) is None:
            raise BadInput(f"{where}: the image '{name[:200]}' stands twice in the archives beside the data file.")
        archive, info, state = member
        place = f"{where}: {Path(state.path).name}, {name[:200]}"
        if info.file_size > min(MAX_FILE_BYTES, max(_SMALL, _MOST_RATIO * info.compress_size)):
            raise BadInput(f"{place}: the image unpacks to {info.file_size:,} bytes, which is more than is read.")
        try:
            data = archive.read(info)
        except _ZIP_ERRORS as error:
            raise BadInput(f"{place}: the image cannot be unpacked ({error}).") from None
        return replace(store.put(data, place, window), source=state)
