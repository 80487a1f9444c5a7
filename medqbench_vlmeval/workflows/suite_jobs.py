"""What a suite asks for, in its YAML file, and the jobs that it becomes, each with a file that says how far it is.

A job is one model on one dataset, or what is made of its predictions; judging is a job of its own, so that no GPU is
held while a judge is asked. What a job is and how far it is stands in one small file a job, which the job's own process
writes, too: any process may be killed at any moment, and the same call goes on from these files. A job's process holds
the job's lock, so that no job runs twice at once, and a job that is done, with the same inputs, does not begin again.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError

from medqbench_vlmeval.benchmark import BASELINES, ROBUSTNESS, Task, parse_dataset_name, registered_sets
from medqbench_vlmeval.data.sources import place_of
from medqbench_vlmeval.errors import BadInput, MedQBenchError, did_you_mean
from medqbench_vlmeval.files import (
    as_file_name,
    held,
    json_object,
    read_bytes,
    sha256_of,
    sha256_text,
    write_bytes,
    writing,
)
from medqbench_vlmeval.judge import RULES, JudgeOptions
from medqbench_vlmeval.judge.judges import check_judge_name
from medqbench_vlmeval.judge.options import DEFAULT_PROTOCOL, environment
from medqbench_vlmeval.judge.protocols import load_protocol
from medqbench_vlmeval.judge.secrets import is_secret_name, looks_like_key
from medqbench_vlmeval.kit_version import find_kit, zoo_models
from medqbench_vlmeval.models import PUBLISHED_MODELS
from medqbench_vlmeval.prompts.styles import check_style

Kind = Literal["infer", "judge", "passes"]
PENDING, SUBMITTED, RUNNING, DONE, FAILED = "pending", "submitted", "running", "done", "failed"
JOBS = "jobs"
PREDICTIONS = ("{0}", "{1}")
"""What stands in a job's words for the prediction files of the jobs that it needs."""
_STATE = ".json"
TEMPLATE = Path(__file__).with_name("suite.yaml")
_MOST_BYTES = 1 << 20
_MOST_SHOWN = 5
_VARIABLE = re.compile(r"[A-Za-z_]\w*")
# Options of a run that the suite itself gives.
_TAKEN = {"data", "model", "work-dir", "mode", "reuse", "base-url", "key", "limit", "prompt-style", "config"}
_TAKEN |= {"data-config", "robustness", "resume-failed", "no-test-call", "api-mode", "extractor", "dry-run", "help"}


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError("names an environment variable, such as MY_KEY, and never holds the key itself")
    if not environment(name):
        raise ValueError(f"the environment variable {name} is not set")
    return name


def _checked_by(check: Any) -> BeforeValidator:
    """Let a check of this package's say what is wrong with a value."""

    def checked(value: object) -> object:
        try:
            return check(value) if isinstance(value, str) else value
        except MedQBenchError as error:
            raise ValueError(str(error).rstrip(".")) from None

    return BeforeValidator(checked)


_ONE_NAME = BeforeValidator(lambda entry: {"name": entry} if isinstance(entry, str) else entry)
_ONE_TEXT = BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
Variable = Annotated[str, _checked_by(_variable)]
Address = Annotated[str, _checked_by(lambda url: JudgeOptions("server", base_url=url, role="model").endpoint())]
Dataset = Annotated[str, _checked_by(lambda name: name if name in registered_sets() else parse_dataset_name(name).text)]
Count = Annotated[int, Field(ge=1, strict=True)]
Size = Annotated[int, Field(ge=0, strict=True)]


@cache
def _known_models() -> frozenset[str]:
    """The models that a run knows by name; none where that is known once the kit is imported alone."""
    zoo, whole = zoo_models(kit) if (kit := find_kit()) else ({}, False)
    return frozenset({*zoo, *BASELINES, *PUBLISHED_MODELS} if whole else ())


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelEntry(_Record):
    """A model and how it is run. ``base_url`` names the servers of one that is served, ``key_env`` the variable of its
    key. ``gpus`` are those of one node (None: 1 for a model of the zoo's, 0 for a served one); ``processes`` of
    torchrun share them, each on its part of the samples, on each of ``nodes``. ``options`` are further ones of
    'medqbench run', without dashes."""

    name: str
    base_url: Annotated[tuple[Address, ...], _ONE_TEXT] = ()
    key_env: Variable | None = None
    gpus: Size | None = None
    processes: Count = 1
    nodes: Count = 1
    options: Mapping[str, str | int | float | bool] = {}

    @model_validator(mode="after")
    def _check(self) -> ModelEntry:
        if (known := _known_models()) and not self.base_url and self.name not in known:
            raise ValueError(f"the installed kit has no model '{self.name}'.{did_you_mean(self.name, known)}")
        for option, value in self.options.items():
            if option in _TAKEN or option.startswith("judge"):
                raise ValueError(f"the option '{option}' is not a model's: the suite gives it")
            # The kit's 'max-tokens' is named like a secret, and a number is none.
            if (is_secret_name(option) and isinstance(value, str)) or looks_like_key(str(value)):
                raise ValueError(f"the option '{option}' would stand in files; name a variable with 'key_env'")
        if looks_like_key(self.name):
            raise ValueError("the name looks like a key; name a variable with 'key_env'")
        if self.key_env and not self.base_url:
            raise ValueError("'key_env' belongs to 'base_url'; models of the zoo's have variables of their own")
        if self.processes * self.nodes > 1 and self.base_url:
            raise ValueError("a served model is asked by one process; leave 'processes' and 'nodes' out")
        return self

    @property
    def n_gpus(self) -> int:
        """GPUs of one node."""
        return self.gpus if self.gpus is not None else int(not self.base_url and self.name not in BASELINES)


class JudgeEntry(_Record):
    """A judge, or several with commas between their names; ``args`` are what --judge-args takes."""

    name: str
    base_url: Address | None = None
    key_env: Variable | None = None
    protocol: str | None = None
    args: Mapping[str, Any] = {}

    @model_validator(mode="after")
    def _check(self) -> JudgeEntry:
        try:
            check_judge_name(self.name, self.base_url)
            if any(is_secret_name(name) and name != "key_env" for name in self.args):
                raise BadInput("A key would stand in files; name its variable with 'key_env'.")
            if JudgeOptions.from_kit_kwargs(self.keywords).protocol != RULES:
                load_protocol(self.protocol or DEFAULT_PROTOCOL)
        except MedQBenchError as error:
            raise ValueError(str(error).rstrip(".")) from None
        return self

    @property
    def keywords(self) -> Mapping[str, object]:
        """The judge's keywords, as :class:`.Request` takes them."""
        own = {"model": self.name, "api_base": self.base_url, "key_env": self.key_env, "protocol": self.protocol}
        return {**self.args, **{name: value for name, value in own.items() if value is not None}}


class Local(_Record):
    """This machine: so many ``jobs`` at once, on these ``gpus`` (None: those that the machine shows)."""

    jobs: Count = 2
    gpus: tuple[Size, ...] | None = None


class Slurm(_Record):
    """What a cluster's scheduler is asked for, in submitit's names: ``time`` in minutes, ``mem`` such as
    '64GB', ``array_parallelism`` jobs at once; ``setup`` are lines of shell before a job."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    time: Count = 24 * 60
    cpus_per_task: Count = 8
    mem: str | None = None
    array_parallelism: Count = 16
    setup: tuple[str, ...] | None = None


class Suite(_Record):
    """What a suite's file says. ``folder`` takes everything; ``limit`` is a number of samples; with ``second_pass``
    options are permuted and images swapped, too; ``budget_usd`` is the most that judges may cost by estimate."""

    folder: Path
    datasets: Annotated[tuple[Dataset, ...], Field(min_length=1)]
    models: Annotated[tuple[Annotated[ModelEntry, _ONE_NAME], ...], Field(min_length=1)]
    judges: tuple[Annotated[JudgeEntry, _ONE_NAME], ...] = ()
    limit: Count | None = None
    prompt_style: Annotated[str, _checked_by(check_style)] | None = None
    second_pass: bool = False
    budget_usd: Annotated[float, Field(ge=0)] | None = None
    prices: Path | None = None
    local: Local = Local()
    slurm: Slurm = Slurm()

    @model_validator(mode="after")
    def _check(self) -> Suite:
        for what, names in (("models", self.models), ("judges", self.judges)):
            seen = [entry.name for entry in names]
            if twice := next((name for name in seen if seen.count(name) > 1), None):
                raise ValueError(f"'{twice}' stands twice among the {what}; files would have the same names")
        if not self.judges and (name := next(filter(_is_judged, self.official), None)):
            raise ValueError(f"{name} needs judges: name them, such as 'judges: [{RULES}]'")
        return self

    @property
    def official(self) -> tuple[str, ...]:
        """The datasets, with those of a registered set in place of its name."""
        sets = registered_sets()
        parts = (sets[name].whole() if name in sets else (name,) for name in self.datasets)
        return tuple(dict.fromkeys(part for of in parts for part in of))


_RECORDS: Mapping[str, type[_Record]]
_RECORDS = {"models": ModelEntry, "judges": JudgeEntry, "local": Local, "slurm": Slurm}


def task_of(dataset: str) -> Task:
    """The task of a dataset's name."""
    return parse_dataset_name(dataset).task


def _is_judged(dataset: str) -> bool:
    return not task_of(dataset).is_choice


def read_suite(path: Path) -> Suite:
    """Read and check a suite's file; paths in it count from its folder, and ``folder`` is by default one with the
    file's name beside it. Raises BadInput, with the line, for what is no YAML, an unknown key or name (with the nearest
    one), a value out of range, and a variable that is not set."""
    content = _loaded(path)
    try:
        suite = Suite.model_validate({"folder": path.stem, **content})
    except ValidationError as error:
        # What is left of a list whose entries are wrong is none of the user's mistakes.
        problems = [problem for problem in error.errors() if problem["type"] != "too_short"] or error.errors()
        raise BadInput(" ".join(_sentence(path, content, problem) for problem in problems[:_MOST_SHOWN])) from None
    prices = suite.prices and path.parent / suite.prices.expanduser()
    return suite.model_copy(update={"folder": path.parent / suite.folder.expanduser(), "prices": prices})


def _loaded(path: Path) -> CommentedMap:
    try:
        content = YAML().load(read_bytes(path, _MOST_BYTES))
        # Half a character may stand there as an escape, as in JSON; and what holds itself cannot be written, either.
        json.dumps(content, ensure_ascii=False, skipkeys=True, default=str).encode()
    except (YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where, what = f", line {mark.line + 1}" if mark else "", getattr(error, "problem", None) or "it cannot be read"
        what = "a part of a character is escaped alone; write it whole" if isinstance(error, UnicodeError) else what
        what = "a key stands twice" if isinstance(error, DuplicateKeyError) else what
        raise BadInput(f"{path}{where} is not YAML: {what}.") from None
    if not isinstance(content, CommentedMap):
        raise BadInput(f"{path} holds no keys; 'medqbench suite init FILE' writes one to begin with.")
    return content


def _sentence(path: Path, content: CommentedMap, problem: ErrorDetails) -> str:
    """What is wrong in a sentence, with the line."""
    # Names of types stand between those of keys where several would do.
    place = [part for part in problem["loc"] if not str(part).startswith(("function", "str", "int", "float", "bool"))]
    key = place[-1] if place else "the file"
    what = f"'{key}'" if isinstance(key, str) else f"entry {key + 1} of '{place[-2]}'"
    words = f"{what}: {problem['msg'].removeprefix('Value error, ').rstrip('.')}."
    if problem["type"] == "extra_forbidden":
        record = Suite if len(place) == 1 else _RECORDS[str(place[0])]
        hint = did_you_mean(str(key), record.model_fields) or f" Keys here: {', '.join(record.model_fields)}."
        words = f"{what} is unknown.{hint}"
    elif problem["type"] == "missing":
        words = f"{what} is missing."
    return f"{path}, line {_line_of(content, place)}: {words}"


def _line_of(content: object, place: Sequence[object]) -> int:
    """The line, from 1, of what stands at a place, or of the nearest around it."""
    line = 1
    for part in place:
        if isinstance(content, CommentedMap) and part in content:
            line = content.lc.key(part)[0] + 1
        elif isinstance(content, CommentedSeq) and isinstance(part, int):
            line = content.lc.item(part)[0] + 1
        else:
            break
        content = content[part]
    return line


def machine_gpus() -> tuple[int, ...]:
    """The GPUs that this process may use, by CUDA_VISIBLE_DEVICES or the devices that the driver shows."""
    devices = [path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia*")]
    shown = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(devices))
    return tuple(sorted(int(number) for number in shown.split(",") if number.strip().isdecimal()))


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


@cache
def _states() -> TypeAdapter[State]:
    return TypeAdapter(State)


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
            state: State = _states().validate_python(json_object(path))
            return state
        return None

    def write(self, state: State) -> State:
        """Keep a state; returns it. RunFailed where its file cannot be written."""
        path = self.path(state.job)
        with writing(path, "make room there; the same call goes on"):
            write_bytes(path, json.dumps(asdict(state), indent=1).encode())
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
