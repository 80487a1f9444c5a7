"""Which images a file's rows name, read from their cells without opening anything.

Samples that share an image are not independent, and a result has to know them also where it is made from texts
alone: a data file that is read without its images, or a prediction file that repeats their paths. A cell is text of
somebody else's: it is compared and shown, never a path to follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from medqbench_vlmeval.data.imagecells import ALIAS_LENGTH, decode_base64, split_list
from medqbench_vlmeval.data.images import content_name, is_content_name
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.records import Sample

_LONGEST_PATH = 4096
_NOTHING = frozenset({"", ".", "nan", "none", "null", "n/a"})
_PAIRS = (("image_a", "image_b"), ("image_path_a", "image_path_b"))


class ImageRefs:
    """Collects what one file's rows say about their images; :meth:`add` every row, then ask for :meth:`by_index`."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, ...]] = {}
        self._aliases: dict[str, tuple[str, Mapping[str, bytes]]] = {}

    def add(self, index: str, cells: Mapping[str, bytes]) -> None:
        """Take a row's image cells, by meaning; what cannot be read is no error here and names no image."""
        alias = cells.get("image", b"").strip()
        if 0 < len(alias) <= ALIAS_LENGTH:
            # The row that the cell names may come later in the file.
            self._aliases[index] = (alias.decode("utf-8", errors="replace"), dict(cells))
        else:
            self._found[index] = _refs(cells)

    def by_index(self) -> dict[str, tuple[str, ...]]:
        """Every row's images in their order: base64 as the name that the image store gives it, a path as it stands."""
        borrowed = {index: self._found.get(alias) or _refs(cells) for index, (alias, cells) in self._aliases.items()}
        return {**self._found, **borrowed}


def image_names(sample: Sample) -> tuple[str, ...]:
    """The names of a sample's images without their folders, in the order in which a model sees them."""
    return tuple(path.name for path in sample.images) or tuple(map(_name, sample.image_refs))


def image_keys(sample: Sample) -> tuple[str, ...]:
    """What tells a sample's images from others: the name where it is made from the content, else the whole path.

    Two folders may hold different images of one name; a content's name is the same on every machine.
    """
    refs = tuple(map(str, sample.images)) or sample.image_refs
    return tuple(name if is_content_name(name := _name(ref)) else ref for ref in refs)


def _name(ref: str) -> str:
    # A POSIX path may have backslashes in its names; one without any slash is more likely a Windows path.
    return ref.rpartition("/" if "/" in ref else "\\")[2]


def _refs(cells: Mapping[str, bytes]) -> tuple[str, ...]:
    for names in _PAIRS:
        pair = [cells.get(name, b"").strip() for name in names]
        if all(pair):
            return _known(pair)
    # As where images are loaded: base64 goes before a path.
    return _known(_items(cells.get("image", b""))) or _known(_items(cells.get("image_path", b"")))


def _items(cell: bytes) -> Sequence[bytes]:
    try:
        return split_list(cell, "")
    except BadInput:
        return ()


def _known(cells: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(ref for cell in cells if (ref := _ref(cell)))


def _ref(cell: bytes) -> str:
    # Base64 has no dot; most paths have one near their end and need no attempt.
    if len(cell) > ALIAS_LENGTH and b"." not in cell[-8:]:
        try:
            return content_name(decode_base64(cell, ""), "")
        except BadInput:
            pass
    text = cell.decode("utf-8", errors="replace") if len(cell) <= _LONGEST_PATH else ""
    if text.casefold() in _NOTHING:
        return ""
    # 'a//b.png', './a/b.png' and 'a/b.png' are one file; few paths need that work.
    return str(PurePosixPath(text)) if "//" in text or "./" in text or text.endswith("/") else text
