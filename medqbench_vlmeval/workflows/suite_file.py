"""The YAML file of a suite: which models on which datasets with which judges, checked with the lines of the file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError

from medqbench_vlmeval.benchmark import BASELINES, Task, parse_dataset_name, registered_sets
from medqbench_vlmeval.errors import BadInput, MedQBenchError, did_you_mean
from medqbench_vlmeval.files import read_bytes
from medqbench_vlmeval.judge import RULES, JudgeOptions
from medqbench_vlmeval.judge.judges import check_judge_name
from medqbench_vlmeval.judge.options import DEFAULT_PROTOCOL, environment
from medqbench_vlmeval.judge.protocols import load_protocol
from medqbench_vlmeval.judge.secrets import is_secret_name, looks_like_key
from medqbench_vlmeval.prompts.styles import check_style

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


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelEntry(_Record):
    """A model and how it is run.

    ``base_url`` names the servers of one that is served, ``key_env`` the variable of its key. ``gpus`` are those of one
    node (None: 1 for a model of the zoo's, 0 for a served one); ``processes`` of torchrun share them, each on its part
    of the samples, on each of ``nodes``. ``options`` are further ones of 'medqbench run', without dashes.
    """

    name: str
    base_url: Annotated[tuple[Address, ...], _ONE_TEXT] = ()
    key_env: Variable | None = None
    gpus: Size | None = None
    processes: Count = 1
    nodes: Count = 1
    options: Mapping[str, str | int | float | bool] = {}

    @model_validator(mode="after")
    def _check(self) -> ModelEntry:
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


def line_of_model(path: Path, name: str) -> int:
    """The line of a suite's file in which a model stands."""
    content = _loaded(path)
    names = [entry if isinstance(entry, str) else entry["name"] for entry in content["models"]]
    return _line_of(content, ["models", names.index(name)])


def _loaded(path: Path) -> CommentedMap:
    try:
        content = YAML().load(read_bytes(path, _MOST_BYTES))
    except (YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where, what = f", line {mark.line + 1}" if mark else "", getattr(error, "problem", None) or "it cannot be read"
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
