"""What an OpenVLM-style file says of a model itself, as far as the installed kit's configuration knows it."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medqbench_vlmeval.installed import find_kit
from medqbench_vlmeval.tasks import BASELINES

# A repository on the hub: 'organisation/name', and no path on a disk.
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_WEIGHTS = ("model_path", "model_pth", "ckpt", "model_name_or_path", "pretrained")


@dataclass(frozen=True)
class ZooModel:
    """A model of the kit's zoo: ``hub_id`` is the repository that its weights are loaded from, where it names one."""

    name: str
    hub_id: str | None


def meta_of(model: str, config: Path | None = None) -> dict[str, Any]:
    """The ``META`` object for a model that a file does not have yet.

    All fields that the leaderboard's tables read are there; what is not known is the empty text. ``Verified`` is
    'No': the leaderboard's makers have not verified a result that was merged here.

    Args:
        model: the model's name, as the run was given it.
        config: the kit's ``vlmeval/config.py``; the installed kit's by default.
    """
    zoo = None if model in BASELINES else zoo_model(model, config)
    return {
        "Method": [model, f"https://huggingface.co/{zoo.hub_id}" if zoo and zoo.hub_id else ""],
        "Parameters": "",
        "Language Model": "",
        "Vision Model": "",
        "Org": "",
        "Time": "",
        # Weights that the kit loads from a public repository are open; how an API's model is licensed is not said.
        "OpenSource": "Yes" if zoo and zoo.hub_id else "",
        "Verified": "No",
        "dir_name": model,
    }


def zoo_model(model: str, config: Path | None = None) -> ZooModel | None:
    """A model's entry in the kit's configuration, which is read and not imported; None where it has none."""
    if config is None:
        kit = find_kit()
        if kit is None:
            return None
        config = kit.package / "config.py"
    try:
        tree = ast.parse(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        # A kit whose configuration looks otherwise is no reason to fail: nothing is known then.
        return None
    found = None
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == model and isinstance(value, ast.Call):
                    # The last one wins, as in the kit, which updates one mapping by the next.
                    found = ZooModel(model, _hub_id(value))
    return found


def _hub_id(factory: ast.Call) -> str | None:
    """The repository in ``partial(vlm.SomeClass, model_path="organisation/name", ...)``."""
    if not factory.args or ast.unparse(factory.args[0]).startswith("api."):
        return None
    for keyword in factory.keywords:
        value = keyword.value
        if keyword.arg in _WEIGHTS and isinstance(value, ast.Constant) and isinstance(value.value, str):
            return value.value if _HUB_ID.fullmatch(value.value) else None
    return None
