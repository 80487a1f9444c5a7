"""The YAML file of a suite: which models on which datasets with which judges, checked with the lines of the file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from medqbench_vlmeval.benchmark import BASELINES, Task, parse_dataset_name, registered_sets
from medqbench_vlmeval.errors import BadInput, MedQBenchError, did_you_mean
from medqbench_vlmeval.files import read_bytes
from medqbench_vlmeval.judge import RULES, JudgeOptions
from medqbench_vlmeval.judge.judges import check_judge_name
from medqbench_vlmeval.judge.options import environment
from medqbench_vlmeval.judge.protocols import load_protocol
from medqbench_vlmeval.judge.secrets import is_secret_name, looks_like_key
from medqbench_vlmeval.prompts.styles import check_style

TEMPLATE = Path(__file__).with_name("suite.yaml")
_MOST_BYTES = 1 << 20
_MOST_SHOWN = 5
_VARIABLE = re.compile(r"[A-Za-z_]\w*")
_TIME = re.compile(r"(?:(\d+)-)?(\d{1,3}):(\d\d)(?::\d\d)?")
# Options of a run that the suite itself gives.
_TAKEN = {"data", "model", "work-dir", "mode", "reuse", "base-url", "key", "limit", "prompt-style", "config"}
_TAKEN |= {"data-config", "robustness", "resume-failed", "no-test-call", "api-mode", "extractor", "dry-run", "help"}


def _named(entry: object) -> object:
    return {"name": entry} if isinstance(entry, str) else entry


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError("names an environment variable, such as MY_KEY, and never holds the key itself")
    if not environment(name):
        raise ValueError(f"the environment variable {name} is not set")
    return name


def _address(url: str) -> str:
    return JudgeOptions("server", base_url=url, role="model").endpoint()


def _minutes(value: object) -> object:
    """Minutes of '[D-]HH:MM[:SS]', Slurm's way to write a time, or of a number, which counts minutes."""
    if isinstance(value, str) and (time := _TIME.fullmatch(value)):
        days, hours, minutes = (int(part or 0) for part in time.groups())
        return (days * 24 + hours) * 60 + minutes
    if isinstance(value, str):  # pydantic takes no TypeError
        raise ValueError("is no time such as '12:00:00' or '2-00:00', or a number of minutes")  # noqa: TRY004
    return value


def _dataset(name: str) -> str:
    if name not in registered_sets():
        parse_dataset_name(name)
    return name


def _protocol(name: str) -> str:
    if name != RULES:
        load_protocol(name)
    return name


def _checked_by(check: Any) -> BeforeValidator:
    """Let a check of this package's say what is wrong with a value."""

    def checked(value: object) -> object:
        try:
            return check(value) if isinstance(value, str) else value
        except MedQBenchError as error:
            raise ValueError(str(error).rstrip(".")) from None

    return BeforeValidator(checked)


Variable = Annotated[str, _checked_by(_variable)]
Address = Annotated[str, _checked_by(_address)]
Dataset = Annotated[str, _checked_by(_dataset)]
Minutes = Annotated[int, BeforeValidator(_minutes), Field(gt=0)]
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
    base_url: Annotated[tuple[Address, ...], BeforeValidator(_listed)] = ()
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
    protocol: Annotated[str, _checked_by(_protocol)] | None = None
    args: Mapping[str, Any] = {}

    @model_validator(mode="after")
    def _check(self) -> JudgeEntry:
        try:
            check_judge_name(self.name, self.base_url)
            if any(is_secret_name(name) and name != "key_env" for name in self.args):
                raise BadInput("A key would stand in files; name its variable with 'key_env'.")
            JudgeOptions.from_kit_kwargs({**self.keywords})
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
    """What a cluster's scheduler is asked for: ``time`` in minutes, ``memory`` in GB, ``array`` jobs at once; ``setup``
    are lines of shell before a job."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    time: Minutes = 24 * 60
    cpus: Count = 8
    memory: Count | None = None
    array: Count = 16
    setup: tuple[str, ...] = ()


class Suite(_Record):
    """What a suite's file says. ``folder`` takes everything; ``limit`` is a number of samples; with ``second_pass``
    options are permuted and images swapped, too; ``budget_usd`` is the most that judges may cost by estimate."""

    folder: Path
    datasets: Annotated[tuple[Dataset, ...], Field(min_length=1)]
    models: Annotated[tuple[Annotated[ModelEntry, BeforeValidator(_named)], ...], Field(min_length=1)]
    judges: tuple[Annotated[JudgeEntry, BeforeValidator(_named)], ...] = ()
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


_RECORDS: Mapping[str, type[_Record]] = {
    "models": ModelEntry, "judges": JudgeEntry, "local": Local, "slurm": Slurm,
}  # fmt: skip


def task_of(dataset: str) -> Task:
    """The task of a dataset's name."""
    return parse_dataset_name(dataset).task


def _is_judged(dataset: str) -> bool:
    return not task_of(dataset).is_choice


def read_suite(path: Path) -> Suite:
    """Read and check a suite's file; paths in it count from its folder, and ``folder`` is by default one with the
    file's name beside it. Raises BadInput, with the line, for what is no YAML, an unknown key or name (with the nearest
    one), a value out of range, and a variable that is not set."""
    text = read_bytes(path, _MOST_BYTES)
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        content = yaml.safe_load(text)
        twice = next(_twice(root), None) if root is not None else None
    except (yaml.YAMLError, RecursionError, UnicodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or "it cannot be read"
        raise BadInput(f"{path}{where} is not YAML: {what}.") from None
    if not isinstance(root, yaml.MappingNode) or not isinstance(content, dict):
        raise BadInput(f"{path} holds no keys; 'medqbench suite init FILE' writes one to begin with.")
    if twice:
        raise BadInput(f"{path}, line {twice[0]}: '{twice[1]}' stands twice.")
    content.setdefault("folder", path.stem)
    try:
        suite = Suite.model_validate(content)
    except ValidationError as error:
        # What is left of a list whose entries are wrong is none of the user's mistakes.
        problems = [problem for problem in error.errors() if problem["type"] != "too_short"] or error.errors()
        raise BadInput(" ".join(_sentence(path, root, problem) for problem in problems[:_MOST_SHOWN])) from None
    beside = path.parent
    prices = None if suite.prices is None else beside / suite.prices.expanduser()
    return suite.model_copy(update={"folder": beside / suite.folder.expanduser(), "prices": prices})


def _sentence(path: Path, root: yaml.Node, problem: Any) -> str:
    """What is wrong in a sentence, with the line."""
    # Names of types stand between those of keys where several would do.
    place = [part for part in problem["loc"] if not str(part).startswith(("function", "str", "int", "float", "bool"))]
    line = _line_of(root, place)
    key = place[-1] if place else "the file"
    what = f"'{key}'" if isinstance(key, str) else f"entry {int(key) + 1} of '{place[-2]}'"
    if problem["type"] == "extra_forbidden":
        record: type[_Record] = Suite if len(place) == 1 else _RECORDS[str(place[0])]
        hint = did_you_mean(str(key), record.model_fields) or f" Keys here: {', '.join(record.model_fields)}."
        return f"{path}, line {line}: {what} is unknown.{hint}"
    if problem["type"] == "missing":
        return f"{path}, line {line}: {what} is missing."
    return f"{path}, line {line}: {what}: {problem['msg'].removeprefix('Value error, ').rstrip('.')}."


def line_of_model(path: Path, name: str) -> int:
    """The line of a suite's file in which a model stands."""
    root = yaml.compose(read_bytes(path, _MOST_BYTES), yaml.SafeLoader)
    entries = yaml.safe_load(read_bytes(path, _MOST_BYTES))["models"]
    names = [entry["name"] if isinstance(entry, dict) else entry for entry in entries]
    return _line_of(root, ["models", names.index(name)])


def _line_of(node: yaml.Node | None, place: Sequence[object]) -> int:
    """The line, from 1, of what stands at a place, or of the nearest around it."""
    line = node.start_mark.line + 1 if node else 1
    for part in place:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = node.value[part], node.value[part]
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _twice(node: yaml.Node) -> Iterator[tuple[int, str]]:
    """The keys, with their lines, that an object of the file has twice, of which YAML would take the last."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield key.start_mark.line + 1, key.value
            seen.add(key.value)
            yield from _twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _twice(value)


def machine_gpus() -> tuple[int, ...]:
    """The GPUs that this process may use, by CUDA_VISIBLE_DEVICES or the devices that the driver shows."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(int(number) for number in visible.split(",") if number.strip().isdecimal())
    return tuple(range(len([path for path in Path("/dev").glob("nvidia*") if path.name[6:].isdecimal()])))
