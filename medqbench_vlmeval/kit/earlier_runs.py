"""What becomes of the replies that earlier runs left in a work folder. The kit takes them up by a file's name, whatever
they were made with. Here a record of that (``MODEL_DATASET_inference.json``) stands beside each prediction file from
the start. Replies made with something else are moved to ``previous/``, or stay in the folder of their run and are
passed over; checkpoints, which are pickles, are moved whole and never opened. Local mode of the PyPI kit writes into
the model's folder: a limited run would cut a prediction file there, and take away the checkpoint of a run of all
samples. All other ways make a folder for each run, and links, in the place of those files, in the model's."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from medqbench_vlmeval.data.columns import SHOWN_TO_MODELS
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import json_object, write_json
from medqbench_vlmeval.kit.guards import replaced
from medqbench_vlmeval.kit.model_calls import GAVE_UP
from medqbench_vlmeval.kit.options import RunOptions
from medqbench_vlmeval.kit.run_files import PREDICTION_SUFFIXES
from medqbench_vlmeval.predictions import read_predictions
from medqbench_vlmeval.prompts import style_hash
from medqbench_vlmeval.runs.files import PREVIOUS
from medqbench_vlmeval.runs.provenance import INFERENCE_RECORD, model_use_path
from medqbench_vlmeval.workflows import result_paths
from medqbench_vlmeval.workflows.robustness import robustness_paths

MadeWith = Mapping[str, str]
"""What decides a dataset's replies, by its name in messages; what a run leaves to its default is not there."""

_STYLE, _WORDING = "prompt style", "prompt sha256"


def earlier_record(predictions: Path) -> MadeWith | None:
    """What the replies at a prediction file's place were made with, by columns, else by the record; None for none."""
    files = [path for path in _reply_files(predictions) if path.is_file()]
    if not files:
        return None
    record = json_object(predictions.with_name(predictions.stem + INFERENCE_RECORD)) or {}
    known = {name: value for name, value in record.items() if isinstance(value, str)}
    for path in files:
        if path.suffix in PREDICTION_SUFFIXES:
            known |= _columns(path)
    return known or {_STYLE: "not on record"}


def _columns(path: Path) -> MadeWith:
    try:
        rows = read_predictions(path).rows
    except BadInput:
        return {_STYLE: "in a file that cannot be read"}
    values: dict[str, set[str]] = {_STYLE: {row.get("prompt_style", "") for row in rows}}
    for row in rows:
        for what in ("sha256", "revision"):
            values.setdefault(f"{row.get('task')} data {what}", set()).add(row.get(f"data_{what}", ""))
    return {name: ", ".join(sorted(texts - {""})) for name, texts in values.items()}


def differences(earlier: MadeWith, now: MadeWith) -> str:
    """In what two runs differ, in words; of a run without a record only what its columns say is compared."""
    names = dict.fromkeys([*now, *earlier]) if "model" in earlier else earlier
    differ = [name for name in names if earlier.get(name, "") != now.get(name, "")]
    if _STYLE in differ:  # each has a wording of its own
        differ = [name for name in differ if name != _WORDING]
    return "; ".join(f"{name} {_shown(earlier.get(name))} and not {_shown(now.get(name))}" for name in differ)


def _shown(value: str | None) -> str:
    return f"'{value if len(value) < 60 else value[:12] + '...'}'" if value else "left out"


def _reply_files(predictions: Path) -> list[Path]:
    """Where the kit may keep replies of a job: its prediction file in any format, and its checkpoints."""
    folder, stem = predictions.parent, predictions.stem
    # Local mode's are named 'RANK WORLD_SIZE _DATASET.pkl': the folder, not the name, says whose they are.
    parts = (path for path in folder.glob("[0-9]*_*.pkl") if stem.endswith(path.stem.lstrip("0123456789")))
    endings = (*PREDICTION_SUFFIXES, "_checkpoint.pkl", "_PREV.pkl")
    return [*(folder / f"{stem}{ending}" for ending in endings), *sorted(parts)]


def _results(predictions: Path) -> list[Path]:
    """The results and records beside a prediction file."""
    own = {*vars(result_paths(predictions)).values(), *vars(robustness_paths(predictions)).values()}
    return [*sorted(own), model_use_path(predictions), predictions.with_name(predictions.stem + INFERENCE_RECORD)]


class EarlierRuns:
    """Stands between the kit and earlier runs' files; ``models`` are the true names by those that the kit is given."""

    def __init__(self, models: Mapping[str, str], options: RunOptions, limit: int | None) -> None:
        self._models, self._settings = models, options.reply_settings
        self._infers, self._resumes, self._limit = options.mode != "eval", options.resume_failed, limit
        self._indexes: dict[str, dict[str, Any]] = {}
        self._kept: dict[Path, Path] = {}

    @contextmanager
    def watch(self, names: ModuleType) -> Iterator[None]:
        """Look at what the kit is about to take up; ``names`` is where its runner takes its functions from. Replies
        are texts meanwhile: a spreadsheet makes no links (which may be dropped), formulas or missing values of them."""
        import xlsxwriter

        prepare, workbook = names.prepare_reuse_files, xlsxwriter.Workbook
        texts = {"strings_to_urls": False, "strings_to_formulas": False}

        def text_workbook(filename: Any = None, options: Any = None) -> Any:
            return workbook(filename, {**(options or {}), **texts})

        with ExitStack() as undo:
            undo.enter_context(replaced(names, "prepare_reuse_files", lambda **words: self._prepare(prepare, words)))
            for reader in map(import_module, ("vlmeval.inference", "vlmeval.inference_api")):
                undo.enter_context(replaced(reader, "load", self._reading(reader.load)))
                undo.enter_context(replaced(reader, "dump", _dumping_whole(reader.dump)))
            undo.enter_context(replaced(xlsxwriter, "Workbook", text_workbook))
            undo.callback(self._put_back)
            yield

    def _reading(self, load: Callable[..., Any]) -> Callable[..., Any]:
        """The kit's ``load``, which of a prediction file of ours gives the texts of the run's own samples."""

        def load_texts(path: Any, *args: Any, **words: Any) -> Any:
            indexes = self._indexes.get(Path(path).stem) if isinstance(path, str | Path) else None
            if indexes is None or Path(path).suffix not in PREDICTION_SUFFIXES:
                return load(path, *args, **words)
            import pandas as pd

            replies = read_predictions(Path(path)).predictions
            # By its own sentence alone the kit knows what to ask again.
            texts = [reply.text if reply.failure is None else f"{GAVE_UP} {reply.failure}" for reply in replies]
            each = zip(replies, texts, strict=True)
            rows = [(indexes[reply.index], text) for reply, text in each if reply.index in indexes]
            return pd.DataFrame(rows, columns=["index", "prediction"], dtype=object)

        return load_texts

    def _prepare(self, original: Callable[..., dict[str, Any]], words: dict[str, Any]) -> dict[str, Any]:
        from medqbench_vlmeval.kit.datasets import DATASET_CLASSES

        dataset, predictions = words["dataset"], Path(words["result_file"])
        if not isinstance(dataset, DATASET_CLASSES):
            return original(**words)
        model = self._models.get(words["model_name"], words["model_name"])
        style, sample_set = dataset.prompt_style, dataset.first_set
        made = {"model": model, _STYLE: style, _WORDING: style_hash(style, sample_set.task), "window": dataset.window}
        for task, source in sample_set.sources.items():
            made |= {f"{task.value} data sha256": source.sha256, f"{task.value} data revision": source.revision or ""}
            named = {of: source.columns.read.get(of, "") for of in source.columns.named if of in SHOWN_TO_MODELS}
            made |= {f"{task.value} columns": ", ".join(f"{of}={name}" for of, name in named.items())}
        now = {name: value for name, value in {**made, **self._settings(model)}.items() if value}
        self._indexes[predictions.stem] = {str(index): index for index in dataset.data["index"]}
        in_models_folder = Path(words["pred_root_meta"], predictions.name)
        if predictions.parent != in_models_folder.parent:
            # Links will take the place of what local mode left there.
            formats = [in_models_folder.with_suffix(suffix) for suffix in PREDICTION_SUFFIXES]
            set_aside([*formats, *_results(in_models_folder)], copy=True)
        # Two runs that begin within one second share a folder as well.
        self._clear(predictions, now)
        found = any(path.is_file() for path in _reply_files(predictions))
        files = import_module("vlmeval.smp.file")
        list_runs = files.list_eval_run_dirs

        def list_fitting(*args: Any, **more: Any) -> list[str]:
            # What is there already is not replaced by another run's.
            return [] if found else self._fitting(list_runs(*args, **more), predictions, now)

        with replaced(files, "list_eval_run_dirs", list_fitting):
            context = original(**{**words, "reuse": words["reuse"] or self._resumes})
        if self._resumes:
            self._resume(predictions, model)
        record = predictions.with_name(predictions.stem + INFERENCE_RECORD)
        if self._infers:
            write_json(record, now)
        if context["source_eval_id"]:
            for path in (record, model_use_path(predictions)):
                # The kit takes replies along, of an interrupted run too, and not their records.
                earlier = Path(words["pred_root_meta"], context["source_eval_id"], path.name)
                if earlier.is_file() and not path.exists():
                    shutil.copy2(earlier, path)
        return context

    def _resume(self, predictions: Path, model: str) -> None:
        """See that nothing but failed samples will be asked, and keep the file that the run replaces."""
        if not predictions.is_file():
            raise BadInput(
                f"--resume-failed finds no replies of {model} for {predictions.stem} that fit this run; run it without."
            )
        replies = {reply.index: reply for reply in read_predictions(predictions).predictions}
        wanted = self._indexes[predictions.stem]
        if missing := sum(index not in replies for index in wanted):
            raise BadInput(
                f"--resume-failed asks failed samples again, and {missing:,} of {len(wanted):,} were never asked; give "
                "the former --limit, or run without --resume-failed."
            )
        failed = sum(replies[index].failure is not None for index in wanted)
        if not failed:
            _say(f"No sample of {predictions.stem} failed, and none is asked again.")
            return
        records = (model_use_path(predictions), predictions.with_name(predictions.stem + INFERENCE_RECORD))
        set_aside([predictions, *records], copy=True)
        of_all = f"{failed:,} of {len(wanted):,} samples of {predictions.stem} failed"
        _say(f"{of_all} and {'is' if failed == 1 else 'are'} asked again.")

    def _clear(self, predictions: Path, now: MadeWith) -> None:
        """Make a folder with replies fit for a run in it."""
        earlier = earlier_record(predictions)
        if earlier is None:
            return
        wrong = differences(earlier, now)
        if not self._infers:
            if wrong:
                _say(f"The replies in {predictions} were made with {wrong}, and are evaluated as such.")
            return
        mine = [*_reply_files(predictions), *_results(predictions)]
        for path in filter(Path.is_symlink, mine):
            # Through a link the kit would write into the folder of another run.
            target = path.resolve()
            path.unlink()
            if not wrong and target.is_file():
                shutil.copy2(target, path)
        if wrong and (moved := set_aside(mine)):
            _say(
                f"The replies for {predictions.stem} in {predictions.parent} were made with {wrong}; they are set "
                f"aside in {moved[0].parent}. To go on with them, repeat the former options."
            )
        elif not wrong and self._limit is not None:
            n = max((len(read_predictions(path).rows) for path in mine[:3] if path.is_file()), default=0)
            if n > self._limit:
                raise BadInput(
                    f"{predictions} holds {n:,} predictions, and with --limit {self._limit} the kit would leave "
                    f"{self._limit} of them in it. Evaluate that part with --mode eval, or give another --work-dir."
                )
            # The kit takes checkpoints away when a limited run ends; they may be of a run of all samples.
            for path in mine:
                if path.suffix == ".pkl" and path.is_file():
                    self._kept[path] = path.with_name(f"{path.name}.kept")
                    shutil.copy2(path, self._kept[path])

    def _fitting(self, runs: Sequence[str], predictions: Path, now: MadeWith) -> list[str]:
        """The earlier runs whose replies may be taken up, the latest first."""
        fitting: list[str] = []
        other: tuple[str, str] | None = None
        for run in runs:
            earlier = earlier_record(Path(run) / predictions.name)
            if earlier is not None and not (wrong := differences(earlier, now)):
                fitting.append(run)
            elif earlier is not None and not fitting:
                other = other or (run, wrong)
        if other:
            evaluates = not self._infers and not fitting
            end = "and are evaluated as such" if evaluates else "stay there and are not used"
            _say(f"The replies for {predictions.stem} in {other[0]} were made with {other[1]}, {end}.")
            return [other[0]] if evaluates else fitting
        return fitting

    def _put_back(self) -> None:
        while self._kept:
            path, copy = self._kept.popitem()
            # A run that was interrupted has gone on with what the checkpoint held.
            copy.replace(copy if path.exists() else path)
            copy.unlink(missing_ok=True)


def _dumping_whole(dump: Callable[..., Any]) -> Callable[..., Any]:
    """The kit's ``dump``, which leaves the new file or, where it is interrupted, the old one."""

    def dump_whole(data: Any, path: Any, *args: Any, **words: Any) -> Any:
        target = Path(path)
        # Its ending tells the kit the format.
        temporary = target.with_name(f".{os.getpid()}_{target.name}")
        try:
            dump(data, str(temporary), *args, **words)
            # The kit leaves its file to be closed by chance, which no full disk is heard of; a pickle ends with '.'.
            written = temporary.read_bytes()
            if not written or (target.suffix == ".pkl" and not written.endswith(b".")):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    return dump_whole


def _say(sentence: str) -> None:
    print(f"medqbench: {sentence}", file=sys.stderr, flush=True)


def set_aside(paths: Iterable[Path], *, copy: bool = False) -> list[Path]:
    """Move or copy files of one folder, without links, to ``previous/TIME/`` in it, TIME that of the latest, and return
    where they are. A prediction file keeps its name and records, so that it can be scored there."""
    files = [path for path in paths if path.is_file() and not path.is_symlink()]
    if not files:
        return []
    latest = datetime.fromtimestamp(max(path.stat().st_mtime for path in files), timezone.utc)
    folder = files[0].parent / PREVIOUS / f"{latest:%Y-%m-%dT%H-%M-%S-%f}"
    folder.mkdir(parents=True, exist_ok=True)
    for path in files:
        (shutil.copy2 if copy else shutil.move)(path, folder / path.name)
    return [folder / path.name for path in files]
