"""Looking for a key in everything that a command left."""

from __future__ import annotations

import base64
import html
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus


def forms_of(canary: str) -> set[bytes]:
    """A key as it is, escaped for JSON (once and twice) and for a URL, and in base64 at every alignment."""
    texts = {canary, json.dumps(canary)[1:-1], json.dumps(json.dumps(canary)[1:-1])[1:-1]}
    texts |= {quote(canary), quote(canary, safe=""), quote_plus(canary), html.escape(canary)}
    forms = {text.encode() for text in texts}
    for shift in range(3):
        # Whole groups of three bytes alone: their four characters do not depend on what is around them.
        skipped = (3 - shift) % 3
        whole = canary.encode()[skipped:]
        whole = whole[: len(whole) // 3 * 3]
        forms |= {base64.b64encode(whole), base64.urlsafe_b64encode(whole)}
    return forms


def contents(*folders: Path) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of all files in the folders; of zip files (workbooks) also what is packed in them."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if not path.is_file():
                continue
            yield str(path), path.read_bytes()
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as packed:
                    for name in packed.namelist():
                        yield f"{path}:{name}", packed.read(name)


def leaks(canaries: list[str], *folders: Path, said: str = "", but: set[str] | None = None) -> list[str]:
    """Where a key is found: in a file below the folders (except those named ``but``), or in what was ``said``."""
    found = []
    places = [(name, data) for name, data in contents(*folders) if Path(name).name not in (but or set())]
    for name, data in [*places, ("output", said.encode())]:
        for canary in canaries:
            found += [f"{form!r} in {name}" for form in sorted(forms_of(canary)) if form in data]
    return found
