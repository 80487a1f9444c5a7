"""The door to the packages of the extra ``synth``: imported when used, missed with the command that installs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from medqbench_vlmeval.errors import MissingDependency


def package(name: str) -> Any:
    """The module ``name`` of an optional package.

    Raises:
        MissingDependency: the package is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingDependency(
            f"The simulator needs '{name.partition('.')[0]}', which is not installed: "
            "run `pip install 'medqbench-vlmeval[synth]'`."
        ) from error
