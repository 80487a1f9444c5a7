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
PREDICTIONS = ("{0}", "{1}")
"""What stands in a job's words for the prediction files of the jobs that it needs."""
_STATE = ".json"


@dataclass(frozen=True)
class Job:
    """One unit of work. ``words`` are those behind 'medqbench', with ``PREDICTIONS`` of the jobs that it
    ``needs``, by name; ``key`` is another one where any input is another. GPUs, torchrun's processes and nodes
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
    machine; times are in seconds since 1970. ``result`` is the prediction or score file, ``cost_usd`` what judging may
    cost by estimate, all tries together."""

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

    @property
    def seconds(self) -> float:
        """How long its last try took; 0 where none has ended."""
        return max(0.0, self.ended - self.began) if self.began else 0.0


def jobs_of(suite: Suite) -> list[Job]:
    """The jobs of a suite in the order of its file, each behind those that it needs."""
    jobs: list[Job] = []
    limit = ["--limit", str(suite.limit)] if suite.limit else []
    for model in suite.models:
        for dataset in suite.official:
            first = _infer(suite, model, dataset, limit)
            jobs.append(first)
            judges: Sequence[JudgeEntry | None] = [None] if task_of(dataset).is_choice else suite.judges
            for judge in judges:
                words = [*limit, *(["--prices", str(suite.prices)] if suite.prices else []), *_judge_words(judge)]
                jobs.append(_after(suite, "judge", [first], words, judge.name if judge else ""))
            if suite.second_pass and task_of(dataset) is not Task.NO_REFERENCE:
                second = _infer(suite, model, dataset + ROBUSTNESS, limit)
                jobs += [second, _after(suite, "passes", [first, second])]
    return jobs


def _infer(suite: Suite, model: ModelEntry, dataset: str, limit: Sequence[str]) -> Job:
    words = ["run", "--data", dataset, "--model", model.name, "--mode", "infer", "--reuse", *limit]
    words += ["--base-url", ",".join(model.base_url)] if model.base_url else []
    words += ["--prompt-style", suite.prompt_style] if suite.prompt_style else []
    for option, value in model.options.items():
        words += [f"--{option}"] if value is True else [] if value is False else [f"--{option}", str(value)]
    resources = model.n_gpus, model.processes, model.nodes, model.key_env
    key = _key(words, _data_key(dataset))
    job = Job(f"{model.name} {dataset}", "infer", model.name, dataset, "", (), (), key, *resources)
    # Replies to other questions, or with other settings, stay where they are.
    place = suite.folder / "predictions" / f"{job.file_name}-{key[:6]}"
    return replace(job, words=(*words, "--work-dir", str(place)))


def _judge_words(judge: JudgeEntry | None) -> list[str]:
    args = {name: value for name, value in (judge.keywords if judge else {}).items() if name != "model"}
    words = ["--judge", judge.name] if judge else []
    return words + (["--judge-args", json.dumps(args, sort_keys=True)] if args else [])


def _after(suite: Suite, kind: Kind, before: Sequence[Job], words: Sequence[str] = (), judge: str = "") -> Job:
    """A job on the predictions of others."""
    first, last = before[0], before[-1]
    command, title, folder = {
        "judge": ("score", judge or "scored", as_file_name(judge or "scored")),
        "passes": ("robustness", "compared", "second-pass"),
    }[kind]
    given = [command, *PREDICTIONS[: len(before)], "--data", first.dataset, "--model", first.model, "--json", *words]
    key = _key(given, *(job.key for job in before))
    given += ["--out", str(suite.folder / "results" / folder)]
    needs = tuple(job.name for job in before)
    return Job(f"{last.name} {title}", kind, first.model, last.dataset, judge, tuple(given), needs, key)


def _key(words: Sequence[str], *before: str) -> str:
    return sha256_text(json.dumps([*words, *before]))


def _data_key(dataset: str) -> str:
    """What stands for the content of a registered set, whose files may change; the published ones are pinned."""
    name = parse_dataset_name(dataset)
    places = (place_of(part, name.split, name.folder) for part in name.task.parts if name.folder is not None)
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
        state = self.read_file(self.path(job)) or State(job)
        if state.is_active:
            return state
        return replace(state, job=job) if state.job.key == job.key else State(job)

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
