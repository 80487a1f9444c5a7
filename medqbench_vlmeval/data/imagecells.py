"""What a cell of an image column holds: base64, a path, a list of either, or another row's index."""

from __future__ import annotations

import ast
import base64
import binascii
import json
import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from medqbench_vlmeval.errors import BadInput

ALIAS_LENGTH = 64
"""A cell of the ``image`` column up to this length may be another row's index, whose image it stands for."""

_WHITESPACE = b" \t\r\n\v\f"
_DATA_URI = re.compile(rb"data:[\w.+/-]*(?:;[\w=.+-]+)*,", re.IGNORECASE)
_BYTES_LITERAL = re.compile(rb"""b(['"])([A-Za-z0-9+/=_-]*)\1""")
_URL_ALPHABET = bytes.maketrans(b"-_", b"+/")
_SNAPSHOT = re.compile(r"[0-9a-f]{40}")


def split_list(cell: bytes, where: str) -> list[bytes]:
    """The items of a cell: of a JSON or Python list of strings, else the cell itself.

    Raises:
        BadInput: the cell stands in brackets and is not a list of strings.
    """
    plain = cell.strip()
    if not (plain.startswith(b"[") and plain.endswith(b"]")):
        return [plain] if plain else []
    items: object = None
    try:
        text = plain.decode("utf-8")
        try:
            items = json.loads(text)
        except ValueError:
            # A list as Python prints it, with single quotes; literal_eval runs nothing.
            items = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        items = None
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise BadInput(f"{where}: the cell stands in brackets but is not a list of texts.")
    return [item.strip().encode("utf-8", errors="surrogatepass") for item in items]


def decode_base64(cell: bytes, where: str) -> bytes:
    """The bytes of one base64 text; a data URI's head, white space and absent padding are accepted.

    Raises:
        BadInput: it is not base64.
    """
    try:
        return base64.b64decode(cell, validate=True)
    except binascii.Error:
        pass
    literal = _BYTES_LITERAL.fullmatch(cell)
    if literal:
        cell = literal.group(2)
    head = _DATA_URI.match(cell)
    if head:
        if b";base64" not in head.group().lower():
            raise BadInput(f"{where}: the image is a data URI without base64.")
        cell = cell[head.end() :]
    cell = cell.translate(_URL_ALPHABET, _WHITESPACE).rstrip(b"=")
    try:
        return base64.b64decode(cell + b"=" * (-len(cell) % 4), validate=True)
    except binascii.Error:
        start = cell[:24].decode("ascii", errors="replace")
        raise BadInput(
            f"{where}: the image is not base64 (it starts with '{start}', {len(cell)} characters)."
        ) from None


def plain_path(text: str, where: str) -> PurePosixPath:
    """A path of a data file, checked to be relative and without '..'.

    Raises:
        BadInput: it could leave the folder.
    """
    windows = PureWindowsPath(text)
    if text.startswith(("/", "\\", "~")) or windows.drive or ".." in windows.parts or not windows.parts:
        raise BadInput(
            f"{where}: the image path '{text[:200]}' must be relative to the data file's folder and stay inside it."
        )
    return PurePosixPath(text)


def path_inside(root: Path, text: str, where: str, trusted: bool) -> Path:
    """The file that a path of a data file names.

    Args:
        root: the data file's folder.
        text: the path as the cell has it.
        where: names file and row in errors.
        trusted: the folder was laid out by this package or by the hub's client, whose links lead outside.

    Raises:
        BadInput: the path leaves the folder, also by a link, or there is no such file.
    """
    path = root / plain_path(text, where)
    try:
        present = path.is_file()
        real = path.resolve()
    except (OSError, RuntimeError) as error:
        raise BadInput(f"{where}: the image path '{text[:200]}' cannot be read: {error}.") from None
    if not present:
        raise BadInput(f"{where}: the image {path} does not exist.")
    if not trusted and not any(real.is_relative_to(allowed) for allowed in _allowed_roots(root)):
        raise BadInput(f"{where}: the image path '{text[:200]}' is a link that leads out of the folder {root}.")
    return path.absolute()


def _allowed_roots(root: Path) -> tuple[Path, ...]:
    inside = root.resolve()
    # A snapshot of the hub's cache holds links to its own blobs folder.
    if _SNAPSHOT.fullmatch(inside.name) and inside.parent.name == "snapshots":
        return (inside, inside.parent.parent / "blobs")
    return (inside,)
