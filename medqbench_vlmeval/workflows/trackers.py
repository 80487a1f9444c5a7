"""``--wandb`` and ``--mlflow``: scored runs as runs of an experiment tracker, with numbers, settings and files. Who and
where is the tracker's own affair: its login, ``WANDB_MODE``, ``WANDB_BASE_URL``, ``MLFLOW_TRACKING_URI``. What it would
look up by itself (the command line, the environment, the code) is not given to it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from medqbench_vlmeval.errors import MissingDependency, RunFailed
from medqbench_vlmeval.files import sha256_of
from medqbench_vlmeval.judge.secrets import environment_mask, shown_url
from medqbench_vlmeval.report.card import data_facts, settings_facts
from medqbench_vlmeval.report.run_tables import overall_by
from medqbench_vlmeval.report.text import one_line
from medqbench_vlmeval.types import Cell, Result, Run

_TAG = "medqbench.result"
_LONGEST, _LONGEST_NAME = 500, 100  # characters of a setting and of a part of a number's name: trackers refuse more
_MOST_PARAMETERS, _MOST_METRICS = 100, 1000  # of one call to MLflow
_NOT_A_NAME = re.compile(r"[^\w .-]")


@dataclass(frozen=True)
class Tracked:
    """A run and the files that go along with its numbers."""

    run: Run
    files: Sequence[Path]

    @property
    def name(self) -> str:
        """What the tracker calls it."""
        return one_line(f"{self.run.result.model} on {self.run.result.dataset}")

    @property
    def key(self) -> str:
        """The same for the same result, so that nothing is logged twice."""
        return sha256_of(self.run.paths.score)[:16]


def numbers_of(result: Result) -> dict[str, float]:
    """A run's numbers by name: ``perception/Overall`` with its ends ``_low`` and ``_high``, counts
    (``perception/n_unanswered``) and groups (``perception/modality/CT``); in the units of the result."""
    numbers: dict[str, float] = {}
    for run in result.tasks:
        cells: dict[str, Cell] = dict(run.result.measures)
        cells |= {f"modality/{name}": cell for name, cell in overall_by(run, "modality").items()}
        for name, cell in cells.items():
            values = {"": cell.value, "_low": cell.low, "_high": cell.high}
            parts = [_NOT_A_NAME.sub("-", part)[:_LONGEST_NAME].strip(". ") or "-" for part in name.split("/", 1)]
            place = "/".join((run.task.value, *parts))
            numbers |= {f"{place}{end}": value for end, value in values.items() if value is not None}
        numbers |= {f"{run.task.value}/{name}": count for name, count in run.result.counts.items()}
    return numbers


def facts_of(result: Result) -> dict[str, str]:
    """What a run was made from and with, by name, each a short line."""
    facts: dict[str, str | None] = {"model": result.model, "dataset": result.dataset}
    facts |= {"comparable": result.comparable.value, "because": "; ".join(result.not_comparable_because)}
    for run in result.tasks:
        facts |= {f"{run.task.value} {name}": value for name, value in data_facts(run).items()}
    facts |= settings_facts(result.settings)
    return {_NOT_A_NAME.sub("-", name): one_line(value)[:_LONGEST] for name, value in facts.items() if value}


def log_to_wandb(tracked: Sequence[Tracked], project: str) -> list[str]:
    """Log runs to a project of Weights & Biases and say where each is; a result that is there already is renewed.
    Raises MissingDependency where wandb is not installed. Raises RunFailed where it refused."""
    with _asking("wandb", "wandb"):
        import wandb

        # Its description of the machine holds the whole command line.
        quiet = {"console": "off", "silent": True, "x_disable_meta": True, "x_disable_stats": True}
        settings = wandb.Settings(**quiet, x_disable_machine_info=True, disable_git=True, save_code=False)
        lines = []
        for one in tracked:
            result, more = one.run.result, {"resume": "allow", "settings": settings}
            run = wandb.init(project=project, name=one.name, id=one.key, config=facts_of(result), **more)
            try:
                run.summary.update(numbers_of(result))
                artifact = wandb.Artifact(f"medqbench-{one.key}", "evaluation", description=one.name)
                for path in one.files:
                    artifact.add_file(str(path), policy="immutable")
                run.log_artifact(artifact)
                place = run.url or run.dir
            finally:
                run.finish()
            lines.append(f"wandb: {one.name}: {place}")
        return lines


def log_to_mlflow(tracked: Sequence[Tracked], experiment: str) -> list[str]:
    """Log runs to an experiment of MLflow and say where each is; a result that is there already is left as it is.
    Raises MissingDependency where mlflow is not installed. Raises RunFailed where it refused."""
    with _asking("mlflow", "mlflow-skinny"):
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        client = MlflowClient()
        known = client.get_experiment_by_name(experiment)
        place = known.experiment_id if known else client.create_experiment(experiment)
        lines = []
        for one in tracked:
            found = client.search_runs([place], f"tags.`{_TAG}` = '{one.key}'")
            if any(run.info.status == "FINISHED" for run in found):
                lines.append(f"mlflow: {one.name}: is in '{experiment}' already")
                continue
            run = client.create_run(place, tags={_TAG: one.key}, run_name=one.name)
            numbers, facts, number = numbers_of(one.run.result), facts_of(one.run.result), run.info.run_id
            metrics = [Metric(name, value, run.info.start_time, 0) for name, value in numbers.items()]
            for at in range(0, len(metrics), _MOST_METRICS):
                client.log_batch(number, metrics=metrics[at : at + _MOST_METRICS])
            params = [Param(name, value) for name, value in facts.items()]
            for at in range(0, len(params), _MOST_PARAMETERS):
                client.log_batch(number, params=params[at : at + _MOST_PARAMETERS])
            for path in one.files:
                client.log_artifact(number, str(path))
            client.set_terminated(number)
            lines.append(f"mlflow: {one.name}: run {number} in '{experiment}' at {shown_url(client.tracking_uri)}")
        return lines


@contextmanager
def _asking(tracker: str, package: str) -> Iterator[None]:
    try:
        # Clients print addresses for people where ours may be JSON.
        with redirect_stdout(sys.stderr):
            yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != tracker:
            raise
        raise MissingDependency(
            f"--{tracker} needs {package}: pip install 'medqbench-vlmeval[{tracker}]'. The results are written."
        ) from None
    except Exception as error:  # noqa: BLE001
        # A tracker is foreign code with errors of every kind, and what was measured is on disk.
        lines = environment_mask()(str(error)).strip().splitlines() or [type(error).__name__]
        raise RunFailed(
            f"{tracker} refused the run: {lines[0].rstrip('.')}. The results are written; 'medqbench report' with "
            f"--{tracker} sends them again."
        ) from None
