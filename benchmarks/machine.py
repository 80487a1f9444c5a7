"""One line about the machine, for the head of every benchmark's output."""

from __future__ import annotations

import os
import platform
from datetime import date


def machine() -> str:
    """Date, processors, Python and system."""
    return f"{date.today()}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"
