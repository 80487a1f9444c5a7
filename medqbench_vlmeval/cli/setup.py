"""``medqbench data``, ``doctor`` and ``patch``: what a data file holds, what is installed and missing, kits that find
this package by themselves. Nothing of the kit is imported."""

from __future__ import annotations

import difflib
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from medqbench_vlmeval import __version__
from medqbench_vlmeval.cli.options import AsJson, Columns, completed, print_result
from medqbench_vlmeval.kit_version import NO_KIT, find_kit

data_app = typer.Typer(help="Fetch, check, look at and export data files.", no_args_is_help=True)
patch_app = typer.Typer(help="Patch a VLMEvalKit: plugins, hidden keys, exit codes and more.", no_args_is_help=True)

_KIT_AND_NAMES = "A checkout or the folder that holds 'vlmeval', and patches; default: the installed kit, all patches."
KitAndNames = Annotated[list[str] | None, typer.Argument(metavar="KIT_DIR|NAME", help=_KIT_AND_NAMES)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing.")]

_KINDS = ["models", "datasets", "judges", "protocols", "styles"]


@data_app.command()
def info(
    data: Annotated[
        list[str], typer.Argument(help="Datasets' names or data files.", autocompletion=completed("datasets"))
    ],
    images: Annotated[bool, typer.Option("--images", help="Read the images too, and compare their looks.")] = False,
    columns: Columns = None,
    as_json: AsJson = False,
) -> None:
    """Say what data files hold: columns, counts, scores without a look at an image, and what stands twice."""
    from medqbench_vlmeval.data import describe, load
    from medqbench_vlmeval.data.sources import other_splits
    from medqbench_vlmeval.report.data_tables import info_tables
    from medqbench_vlmeval.report.terminal import progress_shown

    with progress_shown():
        first, *more = [load(place, images, columns) for place in data]
        infos = [describe(first, more or other_splits(first, images, columns), images), *map(describe, more)]
    content = [info.to_json() for info in infos]
    print_result(as_json, lambda: content if more else content[0], lambda: chain(*map(info_tables, infos)))


@data_app.command()
def download(
    names: Annotated[list[str] | None, typer.Argument(help="Datasets; default: MedQ-Bench's test files.")] = None,
    to: Annotated[Path | None, typer.Option(help="A folder; default: MEDQBENCH_DATA, else the hub's cache.")] = None,
    revision: Annotated[str | None, typer.Option(help="A commit, branch or tag; later fetches use it too.")] = None,
) -> None:
    """Fetch data files from the hub, go on where an earlier call was cut off, and check what is there by its hash."""
    from medqbench_vlmeval.data.sources import download as fetch
    from medqbench_vlmeval.report.terminal import progress_shown, show

    with progress_shown():
        done = fetch(names or (), to, revision)
    show(f"{path}  {file.size / 2**20:,.1f} MiB, sha256 {file.sha256}, commit {file.commit}" for path, file in done)
    if not done:
        print("Nothing to fetch: embedded sets are inside this package.")
    elif to is not None:
        print(f"Used by all commands with MEDQBENCH_DATA={to.expanduser().absolute()}; SHA256SUMS checks a copy.")


@data_app.command("check")
def check_data(
    data: Annotated[str, typer.Argument(help="A data file or a dataset's name.", autocompletion=completed("datasets"))],
    columns: Columns = None,
    as_json: AsJson = False,
) -> None:
    """List all that is wrong with a data file, by row, and exit with 2 where anything is; notes do not count."""
    from medqbench_vlmeval.data.check import check
    from medqbench_vlmeval.report.data_tables import problems
    from medqbench_vlmeval.report.terminal import progress_shown

    with progress_shown():
        checked = check(data, columns)
    print_result(as_json, lambda: asdict(checked), lambda: problems(checked))
    if checked.errors:
        raise typer.Exit(2)


@data_app.command()
def export(
    data: Annotated[str, typer.Argument(help="A dataset's name or a data file.", autocompletion=completed("datasets"))],
    to: Annotated[Path, typer.Option("--to", help="A new or empty folder.")],
    columns: Columns = None,
) -> None:
    """Write a dataset as Parquet with its images and a card, for 'datasets' and the hub; nothing is sent."""
    from medqbench_vlmeval.report.terminal import progress_shown, show
    from medqbench_vlmeval.workflows.export import export as write

    with progress_shown():
        written = write(data, to, columns)
    show(map(str, written))


@data_app.command("register")
def register_set(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder with data files, as 'synth' makes it.")],
    name: Annotated[str, typer.Argument(help="What --data shall call it.")],
) -> None:
    """Give a folder of data files a name for --data; 'medqbench list datasets' shows it."""
    from medqbench_vlmeval.benchmark import registry
    from medqbench_vlmeval.data.registered import register

    for sample_set in register(folder, name):
        print(f"{sample_set.name}  {len(sample_set):,} samples")
    print(f"--data {name} runs them all, of the test split; the names are kept in {registry()}.")


@data_app.command("unregister")
def unregister_set(name: Annotated[str, typer.Argument(help="A registered name.")]) -> None:
    """Take a registered name away; the folder stays as it is."""
    from medqbench_vlmeval.data.registered import unregister

    print(f"{name} is free again; {unregister(name)} stays as it is.")


def list_names(
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(_KINDS)}.", autocompletion=_KINDS.copy)],
    words: Annotated[str, typer.Argument(help="Only names that hold this.")] = "",
    as_json: AsJson = False,
) -> None:
    """Say what there is to choose from, and what each takes: a key, weights, the kit, the network."""
    from medqbench_vlmeval.report.catalogue import catalogue

    found = catalogue(kind, words)
    heads = [column.head.replace(" ", "_") for column in found.columns]
    print_result(as_json, lambda: [dict(zip(heads, row.entries, strict=True)) for row in found.rows], lambda: [found])


@dataclass(frozen=True)
class Finding:
    """One line of the examination: ``state`` is 'ok', 'missing' or 'note'."""

    state: str
    name: str
    text: str


def doctor(
    quick: Annotated[bool, typer.Option("--quick", help="Do not try the kit's import, some ten seconds.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what is installed, which kit, which datasets are present and what is missing."""
    findings = [
        Finding("ok", "medqbench-vlmeval", f"{__version__}, Python {platform.python_version()}"),
        *_kit(quick),
        *_data(),
        *_keys(),
    ]
    width = max(len(finding.name) for finding in findings)
    lines = [f"{finding.state:8} {finding.name:{width}}  {finding.text}" for finding in findings]
    print_result(as_json, lambda: list(map(asdict, findings)), lambda: lines)


def _kit(quick: bool) -> list[Finding]:
    from medqbench_vlmeval.kit.imports import import_problems
    from medqbench_vlmeval.kit.patching import check

    kit = find_kit()
    if kit is None:
        return [Finding("missing", "VLMEvalKit", NO_KIT)]
    names: dict[str, list[str]] = {}
    for looked in check(kit.root):
        names.setdefault(looked.state.value, []).append(looked.patch.name)
    states = "; ".join(f"{state}: {', '.join(of_state)}" for state, of_state in names.items())
    if not quick and sys.stderr.isatty():
        print("Importing the kit; --quick leaves that out.", file=sys.stderr)
    return [
        Finding("ok", "VLMEvalKit", f"{kit.label} in {kit.root}"),
        *(Finding("missing", f"VLMEvalKit's {name}", why) for name, why in ([] if quick else import_problems())),
        *(Finding("ok", name, metadata.version(name)) for name in ("torch", "transformers") if find_spec(name)),
        Finding("note", "kit patches", f"{states} ('medqbench run' needs none)"),
    ]


def _data() -> list[Finding]:
    from medqbench_vlmeval.report.catalogue import catalogue

    findings, absent = [], "not here yet; fetched when first used, or by 'medqbench data download'"
    for name, *_, where, _, path in (row.entries for row in catalogue("datasets").rows):
        findings.append(Finding("ok" if path else "note", str(name), f"{path} ({where})" if path else absent))
    return findings


def _keys() -> list[Finding]:
    from medqbench_vlmeval.judge.cache import FILE_NAME, default_folder
    from medqbench_vlmeval.judge.options import KEY_VARIABLES, environment

    text = f"none of {', '.join(KEY_VARIABLES)} is set, also not in .env; '--judge rules' needs none"
    if names := [name for name in KEY_VARIABLES if environment(name)]:
        text = f"{', '.join(names)} set"
    cache = default_folder() / FILE_NAME
    size = f"{cache.stat().st_size / 2**20:,.1f} MiB in {cache}" if cache.is_file() else f"empty ({cache})"
    return [Finding("note", "judge key", text), Finding("note", "judge cache", size)]


@patch_app.command()
def check(words: KitAndNames = None) -> None:
    """Say of each patch whether the kit has it; exit code 1 where one is half there, or the kit is unknown to it."""
    from medqbench_vlmeval.kit import patching

    root, names = patching.kit_and_names(words or ())
    print(f"{'kit':14}{root.resolve()}")
    looked = patching.check(root, names)
    for one in looked:
        print(f"{one.state.value:14}{one.patch.name:16}{one.why or one.patch.title}")
    if any(one.state in (patching.State.UNKNOWN, patching.State.PARTIAL) for one in looked):
        raise typer.Exit(1)


@patch_app.command()
def apply(words: KitAndNames = None, dry_run: DryRun = False) -> None:
    """Patch the kit, all files or none; its own run.py, 'python -m vlmeval' and 'vlmutil' then know the datasets and
    models. 'medqbench patch check' lists the patches."""
    from medqbench_vlmeval.kit import patching

    _list(patching.apply(*patching.kit_and_names(words or ()), dry_run), "patched", dry_run)


@patch_app.command()
def revert(words: KitAndNames = None, dry_run: DryRun = False) -> None:
    """Give the kit its original bytes back."""
    from medqbench_vlmeval.kit import patching

    _list(patching.revert(*patching.kit_and_names(words or ()), dry_run), "restored", dry_run)


def _list(changes: Mapping[Path, tuple[bytes, bytes]], done: str, dry_run: bool) -> None:
    for path, (before, after) in changes.items():
        print(f"{f'would be {done}' if dry_run else done:18}{path}")
        if dry_run:
            old, new = (text.decode(errors="replace").splitlines() for text in (before, after))
            print("\n".join(difflib.unified_diff(old, new, "before", "after", n=1, lineterm="")))
    if not changes:
        print("Nothing was to be done; 'medqbench patch check' says how the kit stands to each patch.")
