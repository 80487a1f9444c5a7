"""What a model was and what of a run's images it was shown, as results hold it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

KIT = "kit"  # the way of images that leaves their encoding to the kit, through which the published rows were made


@dataclass(frozen=True)
class Spread:
    """The smallest, the mean and the largest of ``n`` values."""

    n: int
    low: float
    mean: float
    high: float


@dataclass(frozen=True)
class ImageUse:
    """In what form a model got its images, each counted once. ``image_bytes`` ('kit', 'original') and ``image_detail``
    ('kit', 'low', 'high') were asked for, 'mixed' where a run went on with another choice. ``seen_in`` counts places:
    'request' (an HTTP body), 'processor' or 'path' (a model in this process got pixels, or the file's path), 'nowhere'
    (not watched). ``forms`` counts formats ('JPEG q75'; 'pixels' in a processor), ``details`` OpenAI's detail as sent.
    ``n_lossy`` images had their pixels changed, with their ``psnr`` in dB (at the original's size); ``scale`` is pixels
    sent over the file's. ``n_left_out`` images were not sent."""

    image_bytes: str
    image_detail: str
    n: int = 0
    seen_in: Mapping[str, int] = field(default_factory=dict)
    forms: Mapping[str, int] = field(default_factory=dict)
    details: Mapping[str, int] = field(default_factory=dict)
    n_same_bytes: int = 0
    n_lossy: int = 0
    n_enlarged: int = 0
    n_shrunk: int = 0
    n_left_out: int = 0
    bytes_in_files: int = 0
    bytes_sent: int = 0
    psnr: Spread | None = None
    scale: Spread | None = None

    @property
    def way(self) -> str:
        """How images were sent: 'kit' (always, in this process), 'original', 'original, detail high' ..."""
        asked = [self.image_bytes] if "request" in self.seen_in else []
        asked += [f"detail {self.image_detail}"] if self.details else []
        return ", ".join(part for part in asked if part not in (KIT, f"detail {KIT}")) or KIT

    def in_words(self) -> str:
        """Forms, places, details and ranges in one line."""
        forms = ", ".join(f"{count:,} {form}" for form, count in self.forms.items())
        details = "".join(f", detail '{detail}' {count:,}" for detail, count in self.details.items())
        parts = [f"{forms} ({', '.join(self.seen_in)}{details})"]
        parts.append(f"{self.n_same_bytes:,} of {self.n:,} the file's own bytes")
        if (db := self.psnr) is not None:
            parts.append(f"{self.n_lossy:,} with loss, PSNR {db.mean:.1f} dB ({db.low:.1f} to {db.high:.1f})")
        if (times := self.scale) is not None and (self.n_enlarged or self.n_shrunk):
            ends = f"{times.low:.3g} to {times.high:.3g}"
            parts.append(f"{self.n_enlarged:,} enlarged, {self.n_shrunk:,} shrunk ({ends} times the pixels)")
        return "; ".join([*parts, *([f"{self.n_left_out:,} not sent"] if self.n_left_out else [])])


@dataclass(frozen=True)
class ModelUse:
    """The model as it was built and asked: ``settings`` are the plain attributes of its object, keys masked;
    ``generation`` is what stood in its requests beside the messages; ``n_calls`` counts the questions put to it."""

    name: str
    model_class: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)
    pixel_limits: Mapping[str, Any] = field(default_factory=dict)
    n_calls: int = 0
    images: ImageUse | None = None


def changed(use: ImageUse, decibels: float | None, scale: float | None) -> ImageUse:
    """One image whose pixels were changed, by its PSNR where one differs, and by its scale where that is known."""
    psnr, times = (None if value is None else Spread(1, value, value, value) for value in (decibels, scale))
    n_enlarged, n_shrunk = int((scale or 1) > 1), int((scale or 1) < 1)
    n_lossy = int(psnr is not None)
    return replace(use, n_lossy=n_lossy, n_enlarged=n_enlarged, n_shrunk=n_shrunk, psnr=psnr, scale=times)


def joined(first: ImageUse, second: ImageUse) -> ImageUse:
    """The images of a run that was interrupted and of the one that went on with it."""
    values: dict[str, Any] = {}
    for name, value in vars(second).items():
        before = getattr(first, name)
        if isinstance(value, str):
            values[name] = value if value == before else "mixed"
        elif isinstance(value, int):
            values[name] = before + value
        elif isinstance(value, Spread) and before is not None:
            n = before.n + value.n
            mean = (before.n * before.mean + value.n * value.mean) / n
            values[name] = Spread(n, min(before.low, value.low), mean, max(before.high, value.high))
        elif isinstance(value, Mapping):
            values[name] = dict(Counter(before) + Counter(value))
        else:
            values[name] = value or before
    return ImageUse(**values)
