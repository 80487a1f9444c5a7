"""The images themselves in a folder beside the page: links to the files, or copies. None is ever replaced, and one
removed only where its name is made from its content and the image store has it too."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from medqbench_vlmeval.data.image_store import is_content_name
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import replacing, sha256_of, write_bytes, writing
from medqbench_vlmeval.report.thumbnails import Thumbnail, find_image, is_plain, lossless

FOLDER = "images"
_OF_IMAGES = re.compile(r"\.(?:png|jpe?g|gif|webp|tiff?|bmp|j2k|jp2|p[gnp]m)$", re.IGNORECASE)


class Originals:
    """The folder of a page's originals while the page is made; ``root`` is that of the image store. Raises BadInput
    where its name is taken by a link or a file."""

    def __init__(self, page: Path, root: Path | None) -> None:
        self._folder, self._root = page.parent / FOLDER, root
        self._used: dict[str, Path] = {}
        if self._folder.is_symlink() or (self._folder.exists() and not self._folder.is_dir()):
            way = "move it away, choose another --out or use --images thumbnails"
            raise BadInput(f"{self._folder} is a link or no folder; {way}.")

    def add(self, name: str, source: Path, small: Thumbnail) -> list[object]:
        """Put an image there and return its address from the page; where browsers need a copy the copy's, and a pair:
        the original's, and how the copy shows it. Raises RunFailed where it cannot be written."""
        with writing(self._folder, "choose another --out, or --images thumbnails"):
            self._folder.mkdir(parents=True, exist_ok=True)
            if not is_plain(name) or not _OF_IMAGES.search(name) or self._is_taken(name, source):
                # An image may hold a page too, which its name must not make of it.
                name = f"{sha256_of(source)}{source.suffix if _OF_IMAGES.search(source.name) else '.image'}"
            self._used[name] = source
            target, address = self._folder / name, f"{FOLDER}/{quote(name)}"
            if not os.path.lexists(target):
                try:
                    os.link(source, target)
                except OSError:  # another disk, one without links, a file of another user's
                    with replacing(target) as temporary:
                        shutil.copy2(source, temporary)
            if small.shown_as is None:
                return [address]
            shown = f"{sha256_of(source)}-shown.png"
            if not os.path.lexists(self._folder / shown):
                write_bytes(self._folder / shown, lossless(source))
        return [f"{FOLDER}/{shown}", [address, small.shown_as]]

    def _is_taken(self, name: str, source: Path) -> bool:
        """Whether the name is that of another image of the page, or of a file that is not this image."""
        try:
            there, wanted = (self._folder / name).lstat(), source.stat()
        except FileNotFoundError:
            return False
        is_same = (there.st_size, there.st_mtime_ns) == (wanted.st_size, wanted.st_mtime_ns)
        return not is_same or self._used.get(name, source) != source

    def tidy(self) -> None:
        """Remove the images of an earlier page that this one has not, where the image store has them."""
        for path in self._folder.glob("*"):
            kept = is_content_name(path.name) and path.name not in self._used and find_image(self._root, path.name)
            with suppress(OSError):
                if kept and path.lstat().st_size == kept.stat().st_size:
                    path.unlink()
