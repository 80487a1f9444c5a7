"""``medqbench push``: scored runs with predictions, cards and page in a dataset or a Space of the Hugging Face hub. The
hub's client finds the token (``HF_TOKEN`` or ``hf auth login``); no option takes one. Images are the benchmark's and
are not sent; the embedded set's thumbnails, which are openly licensed, are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile, ZipFile

from medqbench_vlmeval.benchmark import benchmarks
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.files import as_file_name, read_bytes, sha256_of, write_text
from medqbench_vlmeval.judge.secrets import environment_mask, looks_like_key
from medqbench_vlmeval.report.card import run_card
from medqbench_vlmeval.report.leaderboard.entries import BOARD_TASKS
from medqbench_vlmeval.report.page import write_page
from medqbench_vlmeval.report.paper import paper_table
from medqbench_vlmeval.report.text import markdown, markdown_text, one_line
from medqbench_vlmeval.runs.files import SCORE_ENDING, read_runs
from medqbench_vlmeval.types import Run

_MARK = "<!-- made by medqbench push -->"
# A new Space has a first README by the hub itself, which leads to this page.
_OURS = (_MARK, "docs/hub/spaces-config-reference")
_INDEX = "README.md"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_FRONT = {
    "dataset": "---\npretty_name: {0} results\ntags:\n- medical\n- image-quality-assessment\n- {1}\n"
    "viewer: false\n---\n",
    "space": "---\ntitle: {0} results\nsdk: static\napp_file: index.html\ntags:\n- {1}\n---\n",
}


@dataclass(frozen=True)
class Pushed:
    """What was sent, or would be: names in the repository; ``address`` is None for a dry run. ``without_predictions``
    names runs whose prediction file is not beside them, or is another one by now."""

    files: tuple[str, ...]
    without_predictions: tuple[str, ...]
    address: str | None


def push(
    places: Sequence[Path], repository: str, space: bool = False, public: bool = False, dry: bool = False
) -> Pushed:
    """Send the runs that ``places`` name (see :func:`.runs.read_runs`) to a repository 'USER/NAME', made where absent.
    What is there under other names stays; a README is replaced only where a push wrote it. ``space`` is a static Space
    that shows the page, instead of a dataset; ``public`` is for a new repository; ``dry`` sends nothing. Raises
    BadInput where a place holds no scored run, the name is none, a file holds a key, or the README is somebody's;
    RunFailed where the hub refused or cannot be reached."""
    if not _REPOSITORY.fullmatch(repository):
        raise BadInput(f"--repo {one_line(repository)[:80]} is no repository's name; write USER/NAME.")
    runs, kind = read_runs(places), "space" if space else "dataset"
    with TemporaryDirectory() as name:
        folder = Path(name)
        missing = _gather(runs, folder, kind)
        # The page holds what the runs' files hold; a key is told by the file that it came from.
        paths = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.suffix == ".html")
        _refuse_keys(paths, folder)
        files = tuple(path.relative_to(folder).as_posix() for path in paths)
        address = None if dry else _send(paths, folder, repository, kind, public)
    return Pushed(files, missing, address)


def _gather(runs: Sequence[Run], folder: Path, kind: str) -> tuple[str, ...]:
    missing, cards = [], []
    for run, stem in zip(runs, _stems(runs), strict=True):
        inside, label = folder / "runs" / stem, one_line(f"{run.result.model} on {run.result.dataset}")
        inside.mkdir(parents=True)
        for path in (run.paths.score, run.paths.samples):
            (inside / path.name).write_bytes(read_bytes(path))
        used = run.result.settings.prediction_file
        predictions = run.paths.score.parent / Path(used.name).name
        if predictions.is_file() and sha256_of(predictions) == used.sha256:
            (inside / predictions.name).write_bytes(read_bytes(predictions))
        else:
            missing.append(label)
        write_text(inside / "card.md", run_card(run.result))
        cards.append(f"- [{markdown_text(label)}](runs/{stem}/card.md): {run.result.comparable.words}")
    write_page(folder / ("index.html" if kind == "space" else "report.html"), runs, None)
    results = [run.result for run in runs]
    tables = [
        markdown(paper_table(results, task, intervals=True))
        for task in BOARD_TASKS
        if any(task in result.parts for result in results)
    ]
    page = "" if kind == "space" else "Open `report.html` for every sample, finding and figure.\n\n"
    name = benchmarks(task for result in results for task in result.parts)
    text = "\n".join([f"# {name} results\n\n{page}{chr(10).join(cards)}\n", *tables, _MARK])
    front = _FRONT[kind].format(name, name.replace(" and ", "\n- "))
    write_text(folder / _INDEX, f"{front}\n{text}\n")
    return tuple(missing)


def _stems(runs: Iterable[Run]) -> Iterator[str]:
    """A folder's name a run; two runs of one name are told apart by the hash of their results."""
    used = set()
    for run in runs:
        stem = as_file_name(run.paths.score.name.removesuffix(SCORE_ENDING))
        if stem in used:
            stem += f"-{sha256_of(run.paths.score)[:8]}"
        used.add(stem)
        yield stem


def _refuse_keys(paths: Iterable[Path], folder: Path) -> None:
    mask = environment_mask()
    for path in paths:
        for text in _texts_of(path):
            if looks_like_key(text) or mask(text) != text:
                raise BadInput(
                    f"{path.relative_to(folder)} holds what looks like a key, and nothing is sent; take it out of "
                    "the run's own file, or push the other runs."
                )


def _texts_of(path: Path) -> Iterator[str]:
    """The texts of a file, of a workbook's parts as well."""
    try:
        with ZipFile(path) as parts:
            yield from (parts.read(name).decode("latin-1") for name in parts.namelist() if name.endswith(".xml"))
    except BadZipFile:
        yield read_bytes(path).decode("latin-1")


def _send(paths: Iterable[Path], folder: Path, repository: str, kind: str, public: bool) -> str:
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import EntryNotFoundError

    hub, sdk = HfApi(), "static" if kind == "space" else None
    added = [CommitOperationAdd(path.relative_to(folder).as_posix(), path) for path in paths]
    try:
        address = hub.create_repo(repository, repo_type=kind, private=not public, exist_ok=True, space_sdk=sdk)
        try:
            with TemporaryDirectory() as name:
                index = hub.hf_hub_download(repository, _INDEX, repo_type=kind, local_dir=name)
                is_ours = any(mark in Path(index).read_text(encoding="utf-8", errors="replace") for mark in _OURS)
        except EntryNotFoundError:
            is_ours = True
        if is_ours:
            hub.create_commit(repository, added, commit_message="Results by medqbench push", repo_type=kind)
    except Exception as error:  # noqa: BLE001
        # The client raises errors of its own, of the transport and of the disk.
        lines = environment_mask()(str(error)).strip().splitlines() or [type(error).__name__]
        raise RunFailed(
            f"The hub refused {repository}: {lines[0].rstrip('.:')}. Log in with 'hf auth login' or set HF_TOKEN to a "
            "token that may write, and push again; nothing here was changed."
        ) from None
    if not is_ours:
        raise BadInput(f"{repository} has a README of somebody's, which a push would replace; name another --repo.")
    return str(address)
