"""What tests read of a workbook: its lines, and that nothing in it is more than a text or a number."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from openpyxl import load_workbook


def lines(sheet: Any) -> list[list[Any]]:
    """The rows of a sheet without their empty cells."""
    return [[cell for cell in row if cell is not None] for row in sheet.iter_rows(values_only=True)]


def is_text_and_numbers(path: Path) -> bool:
    """Whether a workbook is whole XML without a formula, an address or an error value as a cell."""
    with zipfile.ZipFile(path) as packed:
        for name in packed.namelist():
            if name.endswith((".xml", ".rels")):
                ElementTree.fromstring(packed.read(name))  # noqa: S314
            if name.startswith("xl/worksheets/sheet") and re.search(rb"<f[ >]", packed.read(name)):
                return False
    return {cell.data_type for sheet in load_workbook(path) for row in sheet.iter_rows() for cell in row} <= {"s", "n"}
