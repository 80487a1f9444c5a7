"""The smallest difference between two models that a number of samples can show."""

from __future__ import annotations

import math
from statistics import NormalDist

from medqbench_vlmeval.scoring.intervals import LEVEL

POWER = 0.8
METHOD = f"two-sided {1 - LEVEL:.0%} test with {POWER:.0%} power, from the differences seen in these samples"

_Z_LEVEL = NormalDist().inv_cdf(0.5 + LEVEL / 2)
_Z_POWER = NormalDist().inv_cdf(POWER)
_STEPS = 60  # halvings; far below what a double can tell apart


def detectable_share(n: float, discordant: float) -> float | None:
    """The smallest difference of two accuracies, as a share (0-1), that McNemar's test shows with 80% power.

    It solves ``sqrt(n) d = z_level sqrt(q) + z_power sqrt(q - d²)`` for d, with ``q = discordant`` the share of
    samples that one side alone has right (R. J. Connor, Biometrics 43, 1987, p. 207). A difference cannot be
    greater than q: where that is what comes out (few samples, or hardly any discordant ones), the least discordance
    that goes with a difference is taken, ``q = d``. The exact test needs slightly more.

    Args:
        n: samples; of samples in clusters their number over the design effect.
        discordant: 0-1.

    Returns:
        None where not even a difference of 1 would show.
    """
    if n <= 0:
        return None
    room = n - _Z_LEVEL**2 + _Z_POWER**2
    if room >= 0:
        found = math.sqrt(discordant) * (_Z_LEVEL * math.sqrt(n) + _Z_POWER * math.sqrt(room)) / (n + _Z_POWER**2)
        if 0 < found <= discordant:
            return found

    def shows(share: float) -> bool:
        return math.sqrt(n * share) >= _Z_LEVEL + _Z_POWER * math.sqrt(1 - share)

    if not shows(1.0):
        return None
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high


def detectable_mean(standard_error: float | None) -> float | None:
    """The smallest difference of two means that is shown with 80% power: ``(z_level + z_power) SE``.

    ``SE`` is that of the mean paired difference (J. Cohen, Statistical Power Analysis, 1988, ch. 2, with the normal
    distribution in place of t). None where it is unknown or 0: differences that are all equal say nothing of others.
    """
    return (_Z_LEVEL + _Z_POWER) * standard_error if standard_error else None
