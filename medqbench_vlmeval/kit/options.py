"""The options of a run: this package's own, those of the kit's that a run has to know, and keys.

Our own options travel to our dataset classes in the environment, wherever the kit makes them. Keys do so too, since the
kit writes its command line into files.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from medqbench_vlmeval.benchmark import ALL_DATASET_NAMES, SECOND_PASS_NAMES, Task, dataset_names
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import read_json
from medqbench_vlmeval.judge import parse_judge_args
from medqbench_vlmeval.judge.judges import extractor_name
from medqbench_vlmeval.kit.model_use import BYTES_VARIABLE, DETAIL_VARIABLE, IMAGE_BYTES, IMAGE_DETAILS
from medqbench_vlmeval.kit.run_files import Job
from medqbench_vlmeval.prompts import check_style

STYLE_VARIABLE = "MEDQBENCH_PROMPT_STYLE"
LIMIT_VARIABLE = "MEDQBENCH_LIMIT"
EXTRACTOR_VARIABLE = "MEDQBENCH_EXTRACTOR"

_CLASSES = ("MedQBenchPerception", "MedQBenchNoReference", "MedQBenchComparative", "MedQBenchReasoning")
# The kit's parser takes abbreviations; of options that may hold a key none must slip past this module.
_ABBREVIATED_KEY = re.compile(r"--(?:ke|judge-ke?|judge-arg?|judge-ar)(?:=|$)")

Entries = Mapping[str, Mapping[str, object]]
"""What ``--config`` or ``--data-config`` give by each dataset's name: arguments for its class."""


@dataclass(frozen=True)
class RunOptions:
    """What of a run's command line this package reads.

    ``limit``, ``extractor``, ``prompt_style``, ``image_bytes`` and ``image_detail`` are None where they are not given;
    ``datasets`` and ``models`` are those of the configuration file where there is one.
    """

    datasets: tuple[str, ...]
    models: tuple[str, ...]
    entries: Entries
    config: str | None
    base_url: str | None
    work_dir: Path
    mode: str
    api_mode: bool
    robustness: bool = False
    limit: int | None = None
    extractor: str | None = None
    prompt_style: str | None = None
    image_bytes: str | None = None
    image_detail: str | None = None

    def official_name(self, dataset: str) -> str:
        """The name that a dataset of the run has in its class; entries may give it another one."""
        return str(self.entries.get(dataset, {}).get("dataset", dataset))

    def is_second_pass(self, dataset: str) -> bool:
        """Whether a dataset of the run is a second pass of this package's."""
        return self.official_name(dataset) in SECOND_PASS_NAMES

    def is_multiple_choice(self, dataset: str) -> bool:
        """Whether a dataset of the run is this package's multiple-choice one in its official order."""
        by_class = self.entries.get(dataset, {}).get("class") == "MedQBenchPerception"
        return by_class or dataset in dataset_names(Task.PERCEPTION)

    def jobs(self) -> list[Job]:
        """The model x dataset pairs that the run is asked for; a dataset's name or its class tells this package's."""
        names = {*ALL_DATASET_NAMES, *SECOND_PASS_NAMES}
        own = {name: name in names or self.entries.get(name, {}).get("class") in _CLASSES for name in self.datasets}
        pairs = [(model, dataset) for model in self.models for dataset in self.datasets]
        return [Job(model, name, self.mode, own[name], self.is_second_pass(name)) for model, name in pairs]


def read_options(arguments: Sequence[str]) -> tuple[list[str], RunOptions]:
    """Split off our own options, and read the kit's that a run needs to know about.

    Returns:
        The words for the kit, and the values of both kinds.

    Raises:
        BadInput: the value of an option of ours, or an entry of a configuration, cannot be used.
    """
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    own.add_argument("--prompt-style", type=lambda text: check_style(text) if text else None)
    # The kit's parser would take the shorter ones for its own option, which means a file's first rows.
    own.add_argument("--limit", "--limi", "--lim", "--li", type=lambda text: _limit_of(text, "--limit"))
    own.add_argument("--extractor", type=extractor_name)
    own.add_argument("--image-bytes", choices=IMAGE_BYTES)
    own.add_argument("--image-detail", choices=IMAGE_DETAILS)
    own.add_argument("--robustness", action="store_true")
    own.add_argument("--dry-run", action="store_true")
    options, rest = own.parse_known_args(arguments)
    if options.dry_run:
        raise BadInput(
            "A run has no --dry-run: what its judge costs depends on predictions that are yet to come. Make them with "
            "--mode infer, then 'medqbench score PREDICTIONS --judge NAME --dry-run' says what judging them costs."
        )
    kit = argparse.ArgumentParser(add_help=False)
    kit.add_argument("--data", nargs="+", default=[])
    kit.add_argument("--model", nargs="+", default=[])
    kit.add_argument("--work-dir", type=Path, default=Path("./outputs"))
    kit.add_argument("--mode", default="all")
    kit.add_argument("--api-mode", action="store_true")
    for option in ("--config", "--data-config", "--base-url"):
        kit.add_argument(option)
    kit.parse_known_args(rest, options)
    values = vars(options)
    entries, models = _configured(values["config"], values.pop("data_config"), values["api_mode"])
    datasets, named = values.pop("data"), values.pop("model")
    if values["config"]:
        datasets, named = entries, models
    del values["dry_run"]
    return rest, RunOptions(tuple(datasets), tuple(named), entries, **values)


def _configured(path: str | None, text: str | None, api_mode: bool) -> tuple[Entries, list[str]]:
    """The checked dataset entries of ``--config`` or ``--data-config``, and the models of ``--config``."""
    option, text = "--data-config", text or "{}"
    if path:
        option = f"--config {path}"
    try:
        config = read_json(Path(path)) if path else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{option} is not JSON: {error}.") from None
    entries = config.get("data") if path and isinstance(config, dict) else config
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise BadInput(f"{option} must give a JSON object for each dataset's name.")
    if path and not isinstance(config.get("model"), dict):
        raise BadInput(f"{option} must have the objects 'model' and 'data'.")
    for name, entry in entries.items():
        # The kit's local mode writes predictions under one of the two names and reads them under the other.
        if entry.get("class") in _CLASSES and entry.get("dataset", name) != name and not api_mode:
            raise BadInput(
                f"{option} calls the dataset '{entry['dataset']}' by the name '{name}'; the kit's local mode needs the "
                "dataset's own name there (or use --api-mode)."
            )
    return entries, list(config["model"]) if path else []


@contextmanager
def in_environment(options: RunOptions) -> Iterator[None]:
    """Put this package's own options, where they are given, into the environment for a while."""
    own = {STYLE_VARIABLE: options.prompt_style, LIMIT_VARIABLE: options.limit, EXTRACTOR_VARIABLE: options.extractor}
    own |= {BYTES_VARIABLE: options.image_bytes, DETAIL_VARIABLE: options.image_detail}
    values = {name: str(value) for name, value in own.items() if value is not None}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def limit_in_environment() -> int | None:
    """The number of samples that the environment limits a dataset to, None where it names none.

    Raises:
        BadInput: the variable is no such number.
    """
    text = os.environ.get(LIMIT_VARIABLE, "").strip()
    return _limit_of(text, f"The environment variable {LIMIT_VARIABLE}") if text else None


def extractor_in_environment() -> str | None:
    """The extractor that the environment names, None where it names none.

    Raises:
        BadInput: it names the rules, or several models.
    """
    text = os.environ.get(EXTRACTOR_VARIABLE, "").strip()
    return extractor_name(text, EXTRACTOR_VARIABLE) if text else None


def _limit_of(text: str, where: str) -> int:
    limit = int(text) if re.fullmatch(r"\s*[+-]?\d+\s*", text) else 0
    if limit < 1:
        raise BadInput(f"{where} is '{text}'; it must be a whole number of samples, 1 or more.")
    return limit


def hide_keys(arguments: list[str], only_own: bool) -> list[str]:
    """Move keys from the command line to the environment, and return what is left for the kit.

    Args:
        only_own: whether all datasets of the run are of this package, which reads its own variable.

    Raises:
        BadInput: an option that may hold a key is abbreviated, or ``--judge-args`` cannot be read.
    """
    for word in arguments:
        if _ABBREVIATED_KEY.match(word):
            raise BadInput(f"Write '{word.partition('=')[0]}' out: --judge-key, --judge-args or --key.")
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for option in ("--key", "--judge-key", "--judge-args"):
        parser.add_argument(option)
    keys, rest = parser.parse_known_args(arguments)
    if keys.key:
        # The kit's client for --base-url prefers this variable to its option.
        os.environ["LMDEPLOY_API_KEY"] = keys.key
    judge_key = keys.judge_key
    if keys.judge_args:
        judge_args = parse_judge_args(keys.judge_args)
        if only_own:
            judge_key = str(judge_args.pop("key", None) or "") or judge_key
        rest += ["--judge-args", json.dumps(judge_args)] if judge_args else []
    if judge_key and only_own:
        os.environ["MEDQBENCH_JUDGE_KEY"] = judge_key
    elif judge_key:
        # Other datasets of the run get their judge from the kit, which knows no other way than its option.
        rest += ["--judge-key", judge_key]
    return rest
