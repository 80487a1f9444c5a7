"""Make what a plan says in a folder: pictures by several processes, then tables and provenance. Every picture is made
from its own seed and appears whole or not at all, so a call that was ended at any moment is gone on with by the same
call, and the outcome has the same bytes. Until the set is whole the folder holds ``.making.json``; ``PROVENANCE.json``
comes last and says that the set is whole. A worker holds one source picture at a time."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medqbench_vlmeval import __version__
from medqbench_vlmeval.errors import BadInput, MedQBenchError, RunFailed
from medqbench_vlmeval.files import (
    held,
    json_object,
    reading,
    sha256_of,
    sha256_text,
    write_bytes,
    write_json,
    write_text,
    writing,
)
from medqbench_vlmeval.steps import step
from medqbench_vlmeval.synth.catalogue import Planned, Source
from medqbench_vlmeval.synth.images import Bytes, Picture
from medqbench_vlmeval.synth.plan import Plan

PROVENANCE = "PROVENANCE.json"
IMAGES = "images"
_MAKING, _LOCK = ".making.json", ".making.lock"
_ABOUT = (
    "Made by `medqbench synth`. Faults are simulated; parameters are explained, with units, in the docstring of the "
    "named function. A source's key is made of its pixels and says nothing else of it."
)
_LIBRARIES = ("numpy", "scipy", "pillow", "scikit-image", "finufft", "pydicom", "nibabel")
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Produced:
    """Pictures ``made`` by this call and ``kept`` from an earlier one, and the set's files but for its images."""

    made: int
    kept: int
    files: tuple[Path, ...]


def table_text(rows: Sequence[Mapping[str, object]], delimiter: str = "\t") -> str:
    """One row or more under a header line; quotes only where a cell needs them, lines end with a newline alone."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows([rows[0], *(row.values() for row in rows)])
    return out.getvalue()


def render(planned: Planned, loaded: Picture | None = None) -> Bytes:
    """The pixels of one planned picture, uint8, (H, W) or (H, W, 3). ``loaded`` is its source where that is at hand."""
    picture, rng = loaded or planned.source.load(), np.random.default_rng(planned.seed)
    for degradation, grade in planned.put_on:
        picture = degradation.degrade(picture, grade, rng)
    return picture.display()


def encode(pixels: Bytes, suffix: str) -> bytes:
    """A PNG, or a JPEG at quality 92 without chroma subsampling (its error is far below any simulated one)."""
    out = io.BytesIO()
    if suffix == "png":
        Image.fromarray(pixels).save(out, "PNG", optimize=True)
    else:
        Image.fromarray(pixels).save(out, "JPEG", quality=92, subsampling=0)
    return out.getvalue()


def produce(plan: Plan, out: Path, workers: int, settings: Mapping[str, object] | None = None) -> Produced:
    """Write the pictures, tables and provenance of ``plan`` into ``out``, a new or empty folder, or one in which the
    same was begun. ``workers`` is the number of processes; one works in this process. ``settings`` are values that JSON
    can hold: the options that the plan was made with, for the provenance. A set that is whole already is left as it is.
    Raises BadInput where the folder holds anything else, or a source picture cannot be read; RunFailed where the disk
    is full, a worker was killed, or a picture could not be made."""
    tables = {name: table_text(rows) for name, rows in plan.tables.items() if rows}
    begun: dict[str, Any] = {"seed": plan.seed, "settings": dict(settings or {}), "versions": _versions()}
    begun["tables"] = {name: sha256_text(text) for name, text in tables.items()}
    begun["sources"] = {planned.source.key: _source_json(planned.source) for planned in plan.pictures}
    recipes = {planned.file_name: recipe_json(planned) for planned in plan.pictures}
    key = sha256_text(json.dumps([begun, recipes], sort_keys=True))
    files = (*(out / name for name in tables), out / PROVENANCE)
    if _is_whole(out, key):
        return Produced(0, len(recipes), files)
    with writing(out, "make room there and call again, which goes on from here"), _alone(out):
        write_json(out / _MAKING, {"plan": key})
        for left in (out / IMAGES).glob(".*.tmp"):
            left.unlink()
        hashes, made = _make_all(plan.pictures, out / IMAGES, workers)
        for name, text in tables.items():
            write_text(out / name, text)
        images = {name: {**recipe, "sha256": hashes[name]} for name, recipe in recipes.items()}
        write_json(out / PROVENANCE, {"about": _ABOUT, "plan": key, **begun, "images": images})
        (out / _MAKING).unlink()
    return Produced(made, len(recipes) - made, files)


def _is_whole(out: Path, key: str) -> bool:
    """Whether the folder holds this very set; refuses one that holds anything but this set or its beginning."""
    if out.exists() and not out.is_dir():
        raise BadInput(f"--out {out} is a file; name a new or empty folder.")
    inside = {path.name for path in out.iterdir()} - {_LOCK} if out.exists() else set()
    for name, what in ((_MAKING, "the beginning of another set"), (PROVENANCE, "another set that is finished")):
        if name in inside:
            if (json_object(out / name) or {}).get("plan") != key:
                raise BadInput(
                    f"--out {out} holds {what}: of other images, options or versions of packages (its {name} tells "
                    "which); name a new or empty folder."
                )
            return name == PROVENANCE
    if inside:
        raise BadInput(f"--out {out} holds something already ({min(inside)}); name a new or empty folder.")
    return False


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    try:
        with held(out / _LOCK, 0):
            yield
            (out / _LOCK).unlink()
    except TimeoutError:
        raise BadInput(f"Another process is making the set in {out}; wait for it or name another --out.") from None


def _versions() -> dict[str, str]:
    versions = {"medqbench-vlmeval": __version__}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _source_json(source: Source) -> dict[str, str]:
    """What may be told of a source: nothing of a user's file but its modality."""
    return {"modality": source.modality, "noun": source.noun, "kind": source.kind}


def recipe_json(planned: Planned) -> dict[str, Any]:
    """How a picture is made: source, severity, seed, and each degradation with its function and parameters."""
    put_on = [
        {
            "key": of.key,
            "name": of.name,
            "function": of.function,
            "severity": grade,
            "parameters": dict(of.strength(grade)),
        }
        for of, grade in planned.put_on
    ]
    begin = {"source": planned.source.key, "severity": planned.severity, "seed": list(planned.seed)}
    return {**begin, "degradations": put_on}


def _make_all(pictures: Sequence[Planned], folder: Path, workers: int) -> tuple[dict[str, str], int]:
    """Each file's sha256 by its name, and how many were made now."""
    folder.mkdir(parents=True, exist_ok=True)
    by_source: dict[str, list[Planned]] = {}
    for planned in pictures:
        by_source.setdefault(planned.source.key, []).append(planned)
    hashes: dict[str, str] = {}
    made = 0
    step("making pictures", 0, len(pictures))
    for done in _spread(folder, by_source.values(), workers):
        hashes |= {name: sha256 for name, sha256, _ in done}
        made += sum(new for *_, new in done)
        step("making pictures", len(hashes), len(pictures), f"{made:,} new" if made < len(hashes) else "")
    return hashes, made


_Done = list[tuple[str, str, bool]]


def _spread(folder: Path, batches: Iterable[Sequence[Planned]], workers: int) -> Iterator[_Done]:
    """Make batches in other processes."""
    if workers == 1:
        yield from (_make(folder, batch) for batch in batches)
        return
    with (
        _one_thread_each(),
        ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _end_with_parent) as pool,
    ):
        try:
            with _deaf_to_ctrl_c():  # a process that is started inherits it
                waiting = [pool.submit(_make, folder, batch) for batch in batches]
            yield from (future.result() for future in as_completed(waiting))
        except BrokenProcessPool:
            raise RunFailed(
                f"A process that made pictures was ended from outside, mostly for want of memory; call again with "
                f"fewer --workers than {workers}, which goes on from here."
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _make(folder: Path, batch: Sequence[Planned]) -> _Done:
    """Make one source's pictures where they are not there: name, sha256, and whether it was made."""
    loaded: Picture | None = None
    done = []
    for planned in batch:
        path = folder / planned.file_name
        if is_new := not _is_image(path):
            if loaded is None:
                with reading(Path(planned.source.origin)):
                    loaded = planned.source.load()
            try:
                pixels = render(planned, loaded)
            except MedQBenchError:
                raise
            except Exception as error:
                raise RunFailed(
                    f"{planned.fault} ({planned.severity}) could not be put on {planned.source.origin}: {error}. Leave "
                    "the image out, or the degradation with --degradations."
                ) from error
            write_bytes(path, encode(pixels, path.suffix[1:]), durable=False)
        done.append((path.name, sha256_of(path), is_new))
    return done


def _is_image(path: Path) -> bool:
    """Whether a file is there and can be decoded; what a machine without power left behind cannot."""
    try:
        with Image.open(path) as opened:
            opened.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Have the processes that are started use one thread for linear algebra: cores are shared by processes alone."""
    before = {name: os.environ.pop(name) for name in _ONE_THREAD if name in os.environ}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name in _ONE_THREAD:
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    with ExitStack() as undo:
        if threading.current_thread() is threading.main_thread():
            undo.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.SIG_IGN))
        yield


def _end_with_parent() -> None:
    """Let this worker end when the process that started it is killed, which would else leave it waiting for ever."""

    def watch() -> None:
        if (parent := multiprocessing.parent_process()) is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
