"""Several processes of torchrun that share a run: an error of one is the end of all. The kit's loop would log it and go
on, in this one process alone, and wait for the others at a point that they reach later or never."""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

from medqbench_vlmeval.errors import MedQBenchError
from medqbench_vlmeval.kit.guards import replaced

# What the kit's runner calls between two points at which its processes wait for each other.
_SHARED = (
    "build_dataset", "build_dataset_from_config", "prepare_reuse_files", "is_prediction_complete", "infer_data_job",
)  # fmt: skip
_WAIT = str(7 * 24 * 3600)  # seconds; a judge, whom one process asks while the others wait, may take hours


def rank() -> int:
    """The number of this process among those of torchrun, 0 where it is alone."""
    return int(os.environ.get("RANK", "0"))


def n_ranks() -> int:
    """How many processes torchrun has started, 1 where it has not."""
    return int(os.environ.get("WORLD_SIZE", "1"))


class RankFailed(BaseException):
    """An error in one of several processes; the kit catches every Exception."""


@contextmanager
def ending_together(names: ModuleType) -> Iterator[None]:
    """Let an error end its process of torchrun's, which ends the others, and processes without a GPU talk by gloo;
    ``names`` is where the kit's runner takes its functions from."""
    if n_ranks() == 1:
        yield
        return
    import torch
    import torch.distributed

    os.environ.setdefault("DIST_TIMEOUT", _WAIT)
    join = torch.distributed.init_process_group

    def init_process_group(*args: Any, **words: Any) -> Any:
        if not torch.cuda.is_available():
            words["backend"] = "gloo"
        return join(*args, **words)

    def fatal(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def called(*args: Any, **words: Any) -> Any:
            try:
                return function(*args, **words)
            except Exception as error:
                if any("torch/distributed" in frame.filename for frame in traceback.extract_tb(error.__traceback__)):
                    raise RankFailed(f"Process {rank()} of {n_ranks()} ends: another one has failed.") from error
                what = str(error) if isinstance(error, MedQBenchError) else f"{type(error).__name__}: {error}"
                raise RankFailed(f"Process {rank()} of {n_ranks()} failed, which ends all: {what}") from error

        return called

    with ExitStack() as undo:
        undo.enter_context(replaced(torch.distributed, "init_process_group", init_process_group))
        # A checkout's script imports them from where they are made.
        for module in (names, *(import_module(f"vlmeval.{part}") for part in ("dataset", "inference"))):
            for name in _SHARED:
                if hasattr(module, name):
                    undo.enter_context(replaced(module, name, fatal(getattr(module, name))))
        yield
