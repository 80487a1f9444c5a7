"""A work folder as the viewer shows it: scored runs, runs that are at work, and half-written ones. A file that cannot
be read now is named, and looked at again when it has changed; one outside, to which a link leads, is not read. A run's
samples are read when they are asked for, and not kept."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from medqbench_vlmeval.data import ImageStore
from medqbench_vlmeval.data.image_forms import DECODER_ERRORS
from medqbench_vlmeval.data.sources import embedded_folder
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.judge.secrets import masked_lines
from medqbench_vlmeval.report import thumbnails
from medqbench_vlmeval.report.page.content import Gathered, Json, boards_json, comparison_json, runs_json
from medqbench_vlmeval.runs import files
from medqbench_vlmeval.runs.comparison import RunComparison
from medqbench_vlmeval.runs.files import PREVIOUS, SAMPLES_ENDING, SCORE_ENDING, result_paths
from medqbench_vlmeval.runs.progress import PROGRESS_ENDING, is_running, progress_path, read_progress
from medqbench_vlmeval.types import Result, Run

Compare = Callable[[Sequence[Run]], RunComparison | None]
_ENDINGS = (SCORE_ENDING, SAMPLES_ENDING, PROGRESS_ENDING)
_LOOK_EVERY = 0.5  # seconds
_LOG_BYTES, _LOG_LINES = 1 << 14, 15


class WorkFolder:
    """What the viewer knows of a folder, which may go while it is shown; methods may be called from many threads."""

    def __init__(self, root: Path, compare: Compare) -> None:
        self.root, self._store = root.resolve(), ImageStore.default().root
        self._compare, self._comparing = compare, threading.Lock()
        self._compared: tuple[int, list[Json]] = -1, []
        self._looking, self._packing = threading.Lock(), threading.Lock()
        self._looked, self._version = -_LOOK_EVERY, 0
        self._state: Json = {}
        # All runs that were ever here, as they came, with the version that read them; and those of now, with times.
        self._runs: dict[Path, tuple[Run, int]] = {}
        self._here: dict[Path, tuple[int, int, Path]] = {}
        self._gathered = Gathered()
        self._images: dict[str, tuple[Path, str, str | None]] = {}
        self._pictures: dict[int, list[Any]] = {}

    def state_json(self) -> Json:
        """What changes while runs are at work; ``version`` is another where a run has come, changed or gone."""
        with self._looking:
            if time.monotonic() - self._looked >= _LOOK_EVERY:
                is_missing = not self.root.is_dir()
                if not is_missing:
                    self._look()
                self._state |= {"version": self._version, "folder": str(self.root), "missing": is_missing}
                self._looked = time.monotonic()
            return dict(self._state)

    def page_json(self) -> Json:
        """Runs and leaderboards as the page's script reads them; a run keeps its place as long as the viewer lives."""
        state, known, here = self.state_json(), dict(self._runs), self._here
        runs = [run for run, _ in known.values()]
        more = [{"version": number, "gone": name not in here} for name, (_, number) in known.items()]
        listed = [{**one, **facts} for one, facts in zip(runs_json(runs), more, strict=True)]
        return {"seen": state["version"], "runs": listed, "boards": boards_json(runs)}

    def run_json(self, number: str) -> Json:
        """Samples, pictures and answers of the run at that place in the list, from 0. Raises BadInput without it."""
        self.state_json()
        run = {str(place): run for place, (run, _) in enumerate([*self._runs.values()])}.get(number)
        if run is None:
            raise BadInput("This run is not in the folder.")
        beside, gathered = run.paths.score.parent / "images", self._gathered
        is_inside = beside.is_dir() and beside.resolve().is_relative_to(self.root)
        with self._packing:
            answers = gathered.answers_json(files.read_run(run.paths), beside if is_inside else self._store)
            samples = {answer["s"]: gathered.samples[answer["s"]] for answer in answers}
            named = list(gathered.pictures)
            places = dict.fromkeys(place for sample in samples.values() for place in sample["images"])
            pictures = [(place, self._pictures.get(place) or self._picture(place, *named[place])) for place in places]
            return {"samples": list(samples.items()), "pictures": pictures, "answers": answers}

    def compared_json(self) -> list[Json]:
        """All runs that are here compared, worked out once. Raises BadInput where a run is not whole by now."""
        with self._comparing:
            if self._compared[0] != self.state_json()["version"]:
                version, here = self._version, self._here
                runs = [files.read_run(run.paths) for name, (run, _) in dict(self._runs).items() if name in here]
                comparison = self._compare(runs)
                self._compared = version, comparison_json(comparison) if comparison else []
            return self._compared[1]

    def _picture(self, place: int, name: str, folder: Path | None) -> list[Any]:
        """A picture as the page's script knows it (see data.js); the name alone where there is no image."""
        path = thumbnails.find_image(folder, name)
        if path is None and folder != embedded_folder() / "images":
            path = thumbnails.find_image(self._store, name)
        if path is None or (look := thumbnails.look_at(path)) is None:
            return [name]
        width, height, kind, words = look
        self._images[str(place)] = path, f"image/{kind}", words
        shown = max(1, round(width * min(1, thumbnails.LARGE / max(width, height))))
        original = [f"images/{place}/full", *([[f"images/{place}/file", words]] if words else [])]
        self._pictures[place] = [name, width, height, f"images/{place}/small", shown, *original]
        return self._pictures[place]

    def image(self, place: str, form: str) -> tuple[bytes, str]:
        """A picture by its number among those that runs name, as 'small' (the thumbnail), 'full' (what browsers show)
        or 'file', and its media type. Raises BadInput where there is none (any more)."""
        path, kind, words = self._images.get(place, (Path(), "", None))
        with suppress(*DECODER_ERRORS):
            if path.resolve() != path:  # a link has taken its place
                raise FileNotFoundError
            if form == "small" and (small := thumbnails.make_thumbnails([path])[0]):
                return small.data, small.media_type
            if form == "full":
                return (thumbnails.lossless(path), "image/png") if words else (path.read_bytes(), kind)
            if form == "file":
                return path.read_bytes(), "application/octet-stream"
        raise BadInput("This image is not here.")

    def _look(self) -> None:
        """Look at all files that matter, by what their names begin with; a linked one is where it leads."""
        found: dict[Path, dict[str, int]] = {}
        for parent, folders, names in os.walk(self.root):
            folders[:] = sorted(name for name in folders if name != PREVIOUS and not name.startswith("."))
            for name in sorted(name for name in names if name.endswith(_ENDINGS) and not name.startswith(".")):
                try:
                    path = Path(parent, name).resolve(strict=True)
                    changed = path.stat().st_mtime_ns
                except (OSError, RuntimeError):  # it has gone meanwhile, or is a loop of links
                    continue
                for ending in filter(path.name.endswith, _ENDINGS):
                    start = path.name.removesuffix(ending)
                    if start.strip(".") and path.is_relative_to(self.root) and path.is_file():
                        found.setdefault(path.with_name(start), {})[ending] = changed
        here: dict[Path, tuple[int, int, Path]] = {}
        whole: dict[Path, Run] = {}
        half, work = [], []
        for stem, times in found.items():
            paths, key = result_paths(stem, stem=stem.name), str(stem.relative_to(self.root))
            result = _result(paths.score, times.get(SCORE_ENDING), SAMPLES_ENDING in times)
            if isinstance(result, Result):
                run_name = files.at_any_time(stem)
                stamp = times[SCORE_ENDING], times[SAMPLES_ENDING], stem
                here[run_name] = max(here.get(run_name, stamp), stamp)
                whole[stem] = Run(result, (), paths)
            progress = read_progress(progress_path(stem.parent, stem.name)) if PROGRESS_ENDING in times else None
            if progress is not None and (stem not in whole or times[SCORE_ENDING] < progress.updated * 1e9):
                log = self._log(stem.parent / (progress.log or "."))
                work.append({**asdict(progress), "key": key, "running": is_running(progress, time.time()), "log": log})
            elif isinstance(result, str):
                half.append({"name": key, "age": time.time() - max(times.values()) / 1e9, "words": result})
        self._state |= {"work": work, "half": half}
        self._version += here != self._here
        changed_runs = {name: stamp for name, stamp in here.items() if stamp != self._here.get(name)}
        self._runs |= {name: (whole[stem], self._version) for name, (_, _, stem) in changed_runs.items()}
        self._here = here

    def _log(self, path: Path) -> list[str]:
        """The last lines of a log inside the folder, without keys."""
        try:
            path = path.resolve()
            if path.suffix != ".log" or not path.is_relative_to(self.root) or not path.is_file():
                return []
            with path.open("rb") as source:
                before = max(0, path.stat().st_size - _LOG_BYTES)
                source.seek(before)
                if before:
                    source.readline(_LOG_BYTES)  # the rest of a line, in which half a key would not be known as one
                return masked_lines(source.read(_LOG_BYTES).decode("utf-8", errors="replace"))[-_LOG_LINES:]
        except (OSError, RuntimeError, ValueError):
            return []


@lru_cache(4096)
def _result(score: Path, changed: int | None, has_samples: bool) -> Result | str | None:
    """The result of what is a whole run by its score; in words why there is none; None where that is no matter."""
    if changed is None:
        return "samples without a score: the evaluation was stopped; score it again" if has_samples else None
    try:
        result = files.read_result(score)
    except BadInput as error:
        return None if files.is_foreign(score) else str(error)
    return result if has_samples else "a score without its samples: copy them beside it, or score it again"
