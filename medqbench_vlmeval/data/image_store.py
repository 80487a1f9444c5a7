"""Images under names made from their content. A changed data file can so never show an old image, two rows with the
same image share one file, and processes that write the same image at once write the same bytes. Only what was decoded
once as a whole image is stored."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from medqbench_vlmeval import files
from medqbench_vlmeval.data.grey import WINDOW_VARIABLE
from medqbench_vlmeval.data.image_forms import ONE_LARGE, ReadyImage, make_ready
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.types import ImageForm

# One of the larger files is read at a time, however many threads there are.
_LARGE_BYTES = 1 << 25
# By which the kit takes a file for an image; one of another name goes into the store.
_KNOWN_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".pbm")

CONTENT_NAME = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{3,4}")
_STRICT = threading.Lock()


def data_folder(make: bool = True) -> Path:
    """The kit's data folder, ``~/LMUData`` or what ``LMUData`` names; it is made where it is absent, if asked to.
    BadInput where it cannot be made; of a named folder that is absent the kit takes the other one without a word."""
    named = os.environ.get("LMUData") or "~/LMUData"  # noqa: SIM112 - the kit spells it so
    folder = Path(named).expanduser().absolute()
    try:
        if make:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"cannot be made ({error.strerror}); set LMUData to another one"
        raise BadInput(f"The data folder {named} (LMUData) {why}.") from None
    return folder


class FileState(NamedTuple):
    """A file and what changes when it does: its size, times in ns and inode."""

    path: str
    size: int
    modified: int
    changed: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> FileState:
        """The file as it is now; OSError where it is not there."""
        status = path.stat()
        return cls(str(path.absolute()), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


@dataclass(frozen=True)
class StoredImage:
    """Where an image lies as a model is shown it, its form, and its name among ``image_refs``; ``source`` is the file
    outside of the store that it is or was made from."""

    path: Path
    form: ImageForm
    ref: str
    source: FileState | None = None


class ImageStore:
    """A folder of images under content addresses, ``root/<2 hex>/<64 hex>.<suffix>``. ``window`` is for grey deeper
    than 8 bits of which neither row nor file state one, '' for none. Its methods may be called from many threads and
    processes at once."""

    def __init__(self, root: Path, window: str = "") -> None:
        self.root = root
        self.window = window
        self._checked: dict[tuple[FileState, str, bool], StoredImage] = {}

    @classmethod
    def default(cls, make: bool = True, window: str | None = None) -> ImageStore:
        """The store in :func:`data_folder`; without a ``window`` that of the environment variable MEDQBENCH_WINDOW."""
        window = os.environ.get(WINDOW_VARIABLE, "") if window is None else window
        return cls(data_folder(make) / "images" / "MedQBench", window)

    def put(self, data: bytes, where: str, window: str = "") -> StoredImage:
        """The absolute path of a file with an image as it is shown, which is made where there is none, and its form.
        ``where`` names file and row in errors; for ``window`` see :func:`.image_forms.make_ready`. BadInput where the
        image cannot be shown (see there), or the folder cannot be used."""
        return self._kept(make_ready(data, where, window, self.window, self._has))

    def _kept(self, ready: ReadyImage) -> StoredImage:
        try:
            if not self._has(ready.name, len(ready.data)):
                files.write_bytes(self.place(ready.name), ready.data, durable=False)
        except OSError as error:
            raise BadInput(
                f"the image folder {self.root} cannot be used ({error.strerror}); set LMUData to another folder."
            ) from None
        return StoredImage(self.place(ready.name), ready.form, ready.name)

    def _has(self, name: str, size: int) -> bool:
        with suppress(OSError):
            return self.place(name).stat().st_size == size
        return False

    def place(self, name: str) -> Path:
        """Where the image of that name is kept; the name is one of :func:`content_name`'s."""
        return Path(self.root, name[:2], name)

    def check_file(self, path: Path, where: str, window: str = "", decode: bool = True) -> StoredImage:
        """A file that is used in place, or what it has to be converted to, with its form; BadInput where it is no whole
        image that can be shown. Each version of a file is decoded once, without ``decode`` only for a conversion."""
        try:
            state = FileState.of(path)
            key = (state, window, decode)
            if key not in self._checked:
                known = None if decode else lambda _name, _size: True
                with ONE_LARGE if state.size > _LARGE_BYTES else nullcontext():
                    data = files.read_bytes(path, files.MAX_FILE_BYTES)
                    ready = make_ready(data, f"{where}: {path}", window, self.window, known)
                stays = not ready.form.conversion and path.suffix.lower() in _KNOWN_SUFFIXES
                image = StoredImage(path, ready.form, str(path)) if stays else self._kept(ready)
                self._checked[key] = replace(image, source=state)
        except OSError as error:
            raise BadInput(f"{where}: the image {path} cannot be read: {error.strerror}.") from None
        return self._checked[key]


def is_content_name(name: str) -> bool:
    """Whether a text has the form of :func:`content_name`'s names, which leads to no other folder."""
    return CONTENT_NAME.fullmatch(name) is not None


@contextmanager
def strict_decoding() -> Iterator[None]:
    """Make PIL report truncated files for a while, also where another package told it to fill them with grey."""
    from PIL import ImageFile

    with _STRICT:
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before
