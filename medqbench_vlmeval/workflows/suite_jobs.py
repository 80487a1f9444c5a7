"""The jobs of a suite, and what became of each.

A job is one model on one dataset, or what is made of its predictions; judging is a job of its own, so that no GPU is
held while a judge is asked. What a job is and how far it is stands in one small file a job, which the job's own process
writes, too: any process may be killed at any moment, and the same call goes on from these files. A job's process holds
the job's lock, so that no job runs twice at once, and a job that is done, with the same inputs, does not begin again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from medqbench_vlmeval.benchmark import ROBUSTNESS, Task, parse_dataset_name
from medqbench_vlmeval.data.sources import place_of
from medqbench_vlmeval.files import as_file_name, held, json_object, sha256_of, sha256_text, write_bytes
from medqbench_vlmeval.runs.result import adapter_of
from medqbench_vlmeval.workflows.suite_file import JudgeEntry, ModelEntry, Suite, task_of

Kind = Literal["infer", "judge", "passes"]
PENDING, SUBMITTED, RUNNING, DONE, FAILED = "pending", "submitted", "running", "done", "failed"
JOBS = "jobs"
_STATE, _CHOICES = ".json", "choices"


@dataclass(frozen=True)
class Job:
    """One unit of work. ``words`` are those behind 'medqbench', with '{0}' and '{1}' for the predictions of the jobs
    that it ``needs``, by name; ``key`` is another one where any input is another. GPUs, torchrun's processes and nodes
    as in :class:`.ModelEntry`; ``key_env`` is the variable of the model's key."""

    name: str
    kind: Kind
    model: str
    dataset: str
    judge: str
    words: tuple[str, ...]
    needs: tuple[str, ...] = ()
    key: str = ""
    gpus: int = 0
    processes: int = 1
    nodes: int = 1
    key_env: str | None = None

    @property
    def file_name(self) -> str:
        """What its files begin with."""
        return f"{as_file_name(self.name.replace(' ', '_'))[:80]}-{sha256_text(self.name)[:6]}"


@dataclass(frozen=True)
class State:
    """What became of a job: ``why`` says what failed, in a sentence. ``cards`` are the GPUs that it has of this
    machine; times are in seconds since 1970. ``result`` is the
    prediction or score file, ``cost_usd`` what judging may cost by estimate, all tries together."""

    job: Job
    status: str = PENDING
    why: str = ""
    tries: int = 0
    cluster: str = ""
    cards: tuple[int, ...] = ()
    began: float = 0.0
    ended: float = 0.0
    result: str | None = None
    cost_usd: float = 0.0

    @property
    def is_active(self) -> bool:
        """Whether the engine has it."""
        return self.status in (SUBMITTED, RUNNING)


def jobs_of(suite: Suite) -> list[Job]:
    """The jobs of a suite in the order of its file, each behind those that it needs."""
    jobs: list[Job] = []
    for model in suite.models:
        for dataset in suite.official:
            first = _infer(suite, model, dataset)
            jobs.append(first)
            judges: Sequence[JudgeEntry | None] = suite.judges if not task_of(dataset).is_choice else [None]
            jobs += [_judge(suite, model, first, judge) for judge in judges]
            if suite.second_pass and task_of(dataset) is not Task.NO_REFERENCE:
                second = _infer(suite, model, dataset + ROBUSTNESS)
                jobs += [second, _passes(suite, first, second)]
    return jobs


def _infer(suite: Suite, model: ModelEntry, dataset: str) -> Job:
    words = ["run", "--data", dataset, "--model", model.name, "--mode", "infer", "--reuse"]
    words += ["--base-url", ",".join(model.base_url)] if model.base_url else []
    words += ["--limit", str(suite.limit)] if suite.limit else []
    words += ["--prompt-style", suite.prompt_style] if suite.prompt_style else []
    for option, value in model.options.items():
        words += [f"--{option}"] if value is True else [] if value is False else [f"--{option}", str(value)]
    name, resources = f"{model.name} {dataset}", (model.n_gpus, model.processes, model.nodes)
    job = Job(name, "infer", model.name, dataset, "", tuple(words), (), "", *resources, model.key_env)
    key = _key(words, _data_key(dataset))
    # Replies to other questions, or with other settings, stay where they are.
    place = suite.folder / "predictions" / f"{job.file_name}-{key[:6]}"
    return replace(job, words=(*words, "--work-dir", str(place)), key=key)


def _judge(suite: Suite, model: ModelEntry, first: Job, judge: JudgeEntry | None) -> Job:
    name = judge.name if judge else ""
    place = suite.folder / "results" / (as_file_name(name) if judge else _CHOICES)
    words = ["score", "{0}", "--data", first.dataset, "--model", model.name, "--json"]
    words += ["--limit", str(suite.limit)] if suite.limit else []
    words += ["--prices", str(suite.prices)] if suite.prices else []
    if judge:
        args = {keyword: value for keyword, value in judge.keywords.items() if keyword != "model"}
        words += ["--judge", name, *(["--judge-args", json.dumps(args, sort_keys=True)] if args else [])]
    title = f"{first.name} {name or 'scored'}"
    key = _key(words, first.key)
    return Job(title, "judge", model.name, first.dataset, name, (*words, "--out", str(place)), (first.name,), key)


def _passes(suite: Suite, first: Job, second: Job) -> Job:
    words = ("robustness", "{0}", "{1}", "--data", first.dataset, "--model", first.model, "--json")
    place = str(suite.folder / "results" / "second-pass")
    name, key = f"{second.name} compared", _key(words, first.key, second.key)
    needs = (first.name, second.name)
    return Job(name, "passes", first.model, second.dataset, "", (*words, "--out", place), needs, key)


def _key(words: Sequence[str], *before: str) -> str:
    return sha256_text(json.dumps([*words, *before]))


def _data_key(dataset: str) -> str:
    """What stands for the content of a registered set, whose files may change; the published ones are pinned."""
    name = parse_dataset_name(dataset)
    if name.folder is None:
        return ""
    places = (place_of(part, name.split, name.folder) for part in name.task.parts)
    return " ".join(sha256_of(place[0]) for place in places if place)


class Store:
    """The files of a suite's jobs, in the folder ``jobs`` of the suite's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs = folder / JOBS

    def path(self, job: Job, ending: str = _STATE) -> Path:
        """A file of a job's."""
        return self.jobs / f"{job.file_name}{ending}"

    def read(self, job: Job) -> State:
        """How far a job is; one whose inputs are others now is pending again."""
        state = self.read_file(self.path(job))
        if state is None or (state.job.key != job.key and not state.is_active):
            return State(job)
        return state

    def read_file(self, path: Path) -> State | None:
        """What a file says of its job; None where there is none, or none of this package's."""
        with suppress(ValueError):
            state: State = adapter_of(State).validate_python(json_object(path))
            return state
        return None

    def write(self, state: State) -> State:
        """Keep a state; returns it."""
        write_bytes(self.path(state.job), json.dumps(asdict(state), indent=1).encode())
        return state

    def all(self) -> list[State]:
        """The states of all jobs that the folder knows, by name."""
        states = (self.read_file(path) for path in sorted(self.jobs.glob(f"*{_STATE}")))
        return [state for state in states if state is not None]

    def is_locked(self, job: Job) -> bool:
        """Whether a process is at work on the job."""
        try:
            with held(self.path(job, ".lock"), timeout=0):
                return False
        except TimeoutError:
            return True
