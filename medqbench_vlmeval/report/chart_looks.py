"""How charts look: where they stand, their lines, titles and labels."""

from __future__ import annotations

from typing import Any

# Charts stand at places of their own, in cm: widths of columns depend on the fonts that a machine has.
_WIDTH, _HEIGHT, _GAP = 16.0, 9.0, 0.9
_EMU_A_CM, _EMU_A_POINT = 360_000, 12_700
_MARGIN = 12.0  # points above a chart


def anchor(top: float, right: bool, wide: bool) -> Any:
    """The place of a chart ``top`` points from the sheet's top: in one of two columns, or ``wide`` over both."""
    from openpyxl.drawing.spreadsheet_drawing import AbsoluteAnchor
    from openpyxl.drawing.xdr import XDRPoint2D, XDRPositiveSize2D

    left = _WIDTH + _GAP if right else 0.0
    width = 2 * _WIDTH + _GAP if wide else _WIDTH
    place = XDRPoint2D(round(left * _EMU_A_CM), round((top + _MARGIN) * _EMU_A_POINT))
    return AbsoluteAnchor(pos=place, ext=XDRPositiveSize2D(round(width * _EMU_A_CM), round(_HEIGHT * _EMU_A_CM)))


def fill(colour: str) -> Any:
    """A shape in one colour."""
    from openpyxl.chart.shapes import GraphicalProperties

    return GraphicalProperties(solidFill=colour)


def hairline() -> Any:
    """Pale, thin grid lines."""
    from openpyxl.chart.shapes import GraphicalProperties

    look: Any = GraphicalProperties()
    look.line.solidFill, look.line.width = "D9D9D9", 6_350
    return look


def title(text: str) -> Any:
    """A title of 10 points; the default of 18 takes a third of the chart."""
    from openpyxl.chart.title import title_maker
    from openpyxl.drawing.text import CharacterProperties, ParagraphProperties

    make: Any = title_maker
    title = make(text)
    for paragraph in title.tx.rich.p:
        paragraph.pPr = ParagraphProperties(defRPr=CharacterProperties(sz=1000, b=True))
        for run in paragraph.r or ():
            run.rPr = CharacterProperties(sz=1000, b=True)
    return title


def turned() -> Any:
    """Axis labels at 45 degrees, where level ones would not fit."""
    from openpyxl.chart.text import RichText
    from openpyxl.drawing.text import (
        CharacterProperties,
        Paragraph,
        ParagraphProperties,
        RichTextProperties,
    )

    ends = CharacterProperties(sz=900)
    paragraph = Paragraph(pPr=ParagraphProperties(defRPr=ends), endParaRPr=ends)
    return RichText(bodyPr=RichTextProperties(rot=-2_700_000, vert="horz"), p=[paragraph])
