"""Whether a picture seems to have text burned in near its border, by the shape of what is there. No letter is read."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import find_objects, grey_opening, label

from medqbench_vlmeval.synth.images import Array, Bytes

_BORDER = 0.2
_LETTERS = 4
_LEAST, _MOST = 5, 60  # pixels
_STROKE = 15  # pixels


def shows_text(display: Bytes) -> bool:
    """Whether four letters or more seem to stand in a line in the outer fifth of a picture of display values 0-255.
    Strokes are what a grey opening takes away, letters connected sets of them of a letter's size and fill; those of a
    line stand on one base line, are alike in height, and lie nearer to each other than they are high. Of names and
    dates of 12 to 24 pixels that were drawn into the embedded pictures it finds five in six, of 9 pixels every second;
    upright and dim text is not found."""
    grey = display.max(axis=-1) if display.ndim == 3 else display
    if np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])) > 127:
        grey = 255 - (display.min(axis=-1) if display.ndim == 3 else display)
    boxes = _letters(grey - grey_opening(grey, size=(_STROKE, _STROKE)))
    return any(_line(boxes, box) >= _LETTERS for box in boxes)


def _letters(strokes: Bytes) -> Array:
    """Base line, left, right and height of what may be letters, by their left ends."""
    least = max(0.5 * float(strokes.max()), 90.0)
    marks, _ = label(strokes >= least, structure=np.ones((3, 3)))
    found: list[tuple[float, float, float, float]] = []
    for number, (rows, columns) in enumerate(find_objects(marks), start=1):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        places = (rows.start + rows.stop) / 2 / marks.shape[0], (columns.start + columns.stop) / 2 / marks.shape[1]
        if not _LEAST <= height <= _MOST or width > 1.5 * height or all(_BORDER < at < 1 - _BORDER for at in places):
            continue
        around = slice(max(rows.start - 2, 0), rows.stop + 2), slice(max(columns.start - 2, 0), columns.stop + 2)
        inside = marks[around] == number
        fill = inside.sum() / (height * width)
        if 0.15 <= fill <= (1 if width <= 0.4 * height else 0.95) and np.median(strokes[around][~inside]) < 0.7 * least:
            found.append((rows.stop, columns.start, columns.stop, height))
    return np.array(sorted(found, key=lambda box: box[1])[:2000], dtype=np.float64).reshape(-1, 4)


def _line(boxes: Array, first: Array) -> int:
    """How many letters stand in the line that begins with ``first``."""
    bottom, left, end, height = first
    alike = (boxes[:, 3] > 0.6 * height) & (boxes[:, 3] < 1.7 * height) & (boxes[:, 1] > left)
    n = 1
    for box in boxes[alike & (np.abs(boxes[:, 0] - bottom) <= 0.25 * height)]:
        if box[1] - end > height:
            break
        n, end = n + 1, max(end, box[2])
    return n
