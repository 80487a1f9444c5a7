"""Variables of the environment and of the file ``.env`` in the working folder, which are never exported."""

from __future__ import annotations

import io
import os
from pathlib import Path

from medqbench_vlmeval.errors import BadInput


def environment(name: str) -> str | None:
    """A variable of the environment, else of the file ``.env`` in the working folder; None where it is empty.

    Raises:
        BadInput: the file cannot be read; what is in it is not shown.
    """
    if os.environ.get(name, "").strip():
        return os.environ[name]
    return (_env_file(Path.cwd() / ".env").get(name) or "").strip() or None


def env_file_values() -> dict[str, str]:
    """All that the file ``.env`` in the working folder gives; empty where there is none.

    Raises:
        BadInput: the file cannot be read.
    """
    return {name: value for name, value in _env_file(Path.cwd() / ".env").items() if value}


def _env_file(path: Path) -> dict[str, str | None]:
    try:
        # Windows editors begin a file with a mark that would become a part of the first name.
        text = path.read_text(encoding="utf-8-sig") if path.is_file() else ""
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text; save it as UTF-8, with one NAME=VALUE in a line.") from None
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror}); make it readable for yourself alone (chmod 600)."
        ) from None
    if not text.strip():
        return {}
    from dotenv import dotenv_values

    return dotenv_values(stream=io.StringIO(text), interpolate=False)
