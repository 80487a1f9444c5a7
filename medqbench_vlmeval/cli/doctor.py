"""``medqbench doctor``: what is installed and what is missing, without importing any of it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from dataclasses import dataclass
from typing import Any

from medqbench_vlmeval.installed import NO_KIT, find_kit, package_version

_TO_RUN = ("torch", "transformers")
_TO_BUILD = {"skimage": "scikit-image", "pydicom": "pydicom", "nilearn": "nilearn"}


@dataclass(frozen=True)
class Finding:
    """One line of the examination: ``state`` is 'ok', 'missing' or 'note'."""

    state: str
    name: str
    text: str


def examine() -> list[Finding]:
    """Look at packages, kit, patch, data files and keys; nothing is imported or changed."""
    return [
        Finding("ok", "medqbench-vlmeval", f"{package_version()}, Python {platform.python_version()}"),
        *_kit(),
        *(_package(name, "needed to run models, comes with the kit") for name in _TO_RUN),
        *_synth(),
        *_data(),
        *_keys(),
    ]


def _kit() -> list[Finding]:
    from medqbench_vlmeval.kit.patching import check

    kit = find_kit()
    if kit is None:
        return [Finding("missing", "VLMEvalKit", NO_KIT)]
    states = sorted({one.state.value for one in check(kit.root)})
    return [
        Finding("ok", "VLMEvalKit", f"{kit.label} in {kit.root}"),
        Finding("note", "kit patch", f"{' / '.join(states)} ('medqbench run' needs no patch)"),
    ]


def _package(name: str, why: str, module: str | None = None) -> Finding:
    if importlib.util.find_spec(module or name) is None:
        return Finding("missing", name, why)
    return Finding("ok", name, importlib.metadata.version(name))


def _synth() -> list[Finding]:
    why = "only needed to rebuild the embedded set: pip install 'medqbench-vlmeval[synth]'"
    found = [_package(name, why, module) for module, name in _TO_BUILD.items()]
    return [Finding("note", one.name, one.text) if one.state == "missing" else one for one in found]


def _data() -> list[Finding]:
    from medqbench_vlmeval.data import where_is
    from medqbench_vlmeval.tasks import ALL_DATASET_NAMES, Split, Task

    found = []
    for name in ALL_DATASET_NAMES.values():
        if name.task is Task.REASONING or name.text == name.text.removesuffix(f"_{name.split.value}"):
            continue
        place = where_is(name)
        state = "ok" if place else "missing" if name.split is Split.MINI else "note"
        found.append(Finding(state, name.text, place or "not here yet; fetched from the hub when first used"))
    return found


def _keys() -> list[Finding]:
    from medqbench_vlmeval.judge.environment import environment
    from medqbench_vlmeval.judge.options import KEY_VARIABLES
    from medqbench_vlmeval.judge.store_place import FILE_NAME, default_folder

    there = [name for name in KEY_VARIABLES if environment(name)]
    names = ", ".join(KEY_VARIABLES)
    text = (
        f"{', '.join(there)} set" if there else f"none of {names} is set, also not in .env; '--judge rules' needs none"
    )
    cache = default_folder() / FILE_NAME
    kept = f"{cache.stat().st_size / 2**20:,.1f} MiB in {cache}" if cache.is_file() else f"empty ({cache})"
    return [Finding("note", "judge key", text), Finding("note", "judge cache", kept)]


def show(findings: list[Finding], as_json: bool) -> None:
    """Print the findings, as JSON or as lines."""
    if as_json:
        from medqbench_vlmeval.cli.terminal import print_json

        rows: list[dict[str, Any]] = [vars(one) for one in findings]
        print_json(rows)
        return
    width = max(len(one.name) for one in findings)
    for one in findings:
        print(f"{one.state:8} {one.name:{width}}  {one.text}")
