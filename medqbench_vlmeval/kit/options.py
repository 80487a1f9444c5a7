"""The command line of a run: our own options, those of the kit's that a run has to know, and keys.

The kit writes its command line into files, so that keys are moved from it to the environment.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import ALL_DATASET_NAMES, SECOND_PASS_NAMES, Task
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.judge import parse_judge_args
from medqbench_vlmeval.judge.judges import extractor_name
from medqbench_vlmeval.prompts import check_style

# Environment variables that carry options of a run to our dataset classes, wherever the kit makes them.


STYLE_VARIABLE = "MEDQBENCH_PROMPT_STYLE"


@contextmanager
def variable(name: str, value: str | None) -> Iterator[None]:
    """Set an environment variable for a while; None leaves it as it is."""
    if value is None:
        yield
        return
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


# ``--limit`` of a run: the same stratified subset for every model, and for the kit's own ways of running too.
#
# The kit's own option, where it has one, takes a file's first rows. The environment variable carries the
# number to our
# dataset classes, wherever the kit makes them.


LIMIT_VARIABLE = "MEDQBENCH_LIMIT"
# The kit's parser would take the shorter ones for its own option, which means first rows.
LIMIT_OPTIONS = ("--limit", "--limi", "--lim", "--li")


def limit_of(text: str, where: str) -> int:
    """The number of samples that a text gives.

    Raises:
        BadInput: it is not a whole number of 1 or more.
    """
    try:
        limit = int(text)
    except ValueError:
        limit = 0
    if limit < 1:
        raise BadInput(f"{where} is '{text}'; it must be a whole number of samples, 1 or more.")
    return limit


def takes_limit(runner: Path) -> bool:
    """Whether a kit's own runner has the option (the PyPI kit's has, git HEAD's has not)."""
    return "'--limit'" in runner.read_text(encoding="utf-8")


def limit_in_environment() -> int | None:
    """The limit in the environment, None where there is none.

    Raises:
        BadInput: the variable is no such number.
    """
    text = os.environ.get(LIMIT_VARIABLE, "").strip()
    return limit_of(text, f"The environment variable {LIMIT_VARIABLE}") if text else None


def limited(limit: int | None) -> AbstractContextManager[None]:
    """Put a limit into the environment for a while; None leaves it as it is."""
    return variable(LIMIT_VARIABLE, None if limit is None else str(limit))


_OUR_CLASSES = ("MedQBenchPerception", "MedQBenchNoReference", "MedQBenchComparative", "MedQBenchReasoning")
# The kit's parser takes abbreviations; of options that may hold a key none must slip past this module.
_ABBREVIATED_KEY = re.compile(r"--(?:ke|judge-ke?|judge-arg?|judge-ar)(?:=|$)")


def take_ours(arguments: Sequence[str]) -> tuple[list[str], argparse.Namespace]:
    """Split off our own options, and read the kit's that a run needs to know about.

    Returns:
        The words for the kit, and the values of both kinds; ``limit``, ``extractor`` and ``prompt_style`` are None
        where they are not given.

    Raises:
        BadInput: the value of an option of ours cannot be used.
    """
    ours = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    ours.add_argument("--prompt-style")
    ours.add_argument(*LIMIT_OPTIONS)
    ours.add_argument("--extractor")
    ours.add_argument("--robustness", action="store_true")
    ours.add_argument("--dry-run", action="store_true")
    found, rest = ours.parse_known_args(arguments)
    if found.dry_run:
        raise BadInput(
            "A run has no --dry-run: what its judge costs depends on predictions that are yet to come. Make them with "
            "--mode infer, then 'medqbench score PREDICTIONS --judge NAME --dry-run' says what judging them costs."
        )
    limit = None if found.limit is None else limit_of(found.limit, "--limit")
    extractor = None if found.extractor is None else extractor_name(found.extractor)
    prompt_style = check_style(found.prompt_style) if found.prompt_style else None
    kits = argparse.ArgumentParser(add_help=False)
    kits.add_argument("--data", nargs="+", default=[])
    kits.add_argument("--model", nargs="+", default=[])
    kits.add_argument("--config")
    kits.add_argument("--data-config")
    kits.add_argument("--base-url")
    kits.add_argument("--work-dir", default="./outputs")
    kits.add_argument("--mode", default="all")
    kits.add_argument("--api-mode", action="store_true")
    ours_read = argparse.Namespace(
        limit=limit, extractor=extractor, robustness=found.robustness, prompt_style=prompt_style
    )
    return rest, kits.parse_known_args(rest, ours_read)[0]


def dataset_entries(known: argparse.Namespace) -> tuple[dict[str, Mapping[str, Any]], list[str]]:
    """The dataset entries of ``--config`` or ``--data-config``, by name, and the models of the run.

    They are checked before anything is paid.

    Raises:
        BadInput: not JSON of that shape, or an entry that the kit would infer and then fail on.
    """
    option, text = "--data-config", known.data_config or "{}"
    if known.config:
        option = f"--config {known.config}"
        try:
            text = Path(known.config).read_text(encoding="utf-8")
        except OSError as error:
            raise BadInput(f"{known.config} cannot be read: {error.strerror}.") from None
    try:
        config = json.loads(text)
    except ValueError as error:
        raise BadInput(f"{option} is not JSON: {error}.") from None
    entries = config.get("data") if known.config and isinstance(config, dict) else config
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise BadInput(f"{option} must give a JSON object for each dataset's name.")
    if known.config and not isinstance(config.get("model"), dict):
        raise BadInput(f"{option} must have the objects 'model' and 'data'.")
    for name, entry in entries.items():
        # The kit's local mode writes predictions under one of the two names and reads them under the other.
        if entry.get("class") in _OUR_CLASSES and entry.get("dataset", name) != name and not known.api_mode:
            raise BadInput(
                f"{option} calls the dataset '{entry['dataset']}' by the name '{name}'; the kit's local mode needs the "
                "dataset's own name there (or use --api-mode)."
            )
    return entries, list(config["model"]) if known.config else known.model


def is_ours(dataset: str, entries: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a dataset of a run is of this package, by its name or by the class of its entry."""
    return (
        dataset in ALL_DATASET_NAMES
        or dataset in SECOND_PASS_NAMES
        or entries.get(dataset, {}).get("class") in _OUR_CLASSES
    )


def is_multiple_choice(dataset: str, entries: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a dataset of a run is our multiple-choice one in its official order."""
    known = ALL_DATASET_NAMES.get(dataset)
    return (known is not None and known.task is Task.PERCEPTION) or (
        entries.get(dataset, {}).get("class") == "MedQBenchPerception"
    )


def hide_keys(arguments: list[str], only_ours: bool) -> list[str]:
    """Move keys from the command line to the environment, and return what is left for the kit.

    Args:
        only_ours: whether all datasets of the run are of this package, which reads its own variable.

    Raises:
        BadInput: an option that may hold a key is abbreviated, or ``--judge-args`` cannot be read.
    """
    for word in arguments:
        if _ABBREVIATED_KEY.match(word):
            raise BadInput(f"Write '{word.partition('=')[0]}' out: --judge-key, --judge-args or --key.")
    keys = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    keys.add_argument("--key")
    keys.add_argument("--judge-key")
    keys.add_argument("--judge-args")
    found, rest = keys.parse_known_args(arguments)
    if found.key:
        # The kit's client for --base-url prefers this variable to its option.
        os.environ["LMDEPLOY_API_KEY"] = found.key
    judge_key = found.judge_key
    if found.judge_args:
        judge_args = parse_judge_args(found.judge_args)
        if only_ours:
            judge_key = judge_args.pop("key", None) or judge_key
        rest += ["--judge-args", json.dumps(judge_args)] if judge_args else []
    if judge_key and only_ours:
        os.environ["MEDQBENCH_JUDGE_KEY"] = judge_key
    elif judge_key:
        # Other datasets of the run get their judge from the kit, which knows no other way than its option.
        rest += ["--judge-key", judge_key]
    return rest


# ``--extractor`` of a run: the environment carries the name to our dataset class, wherever the kit makes it.


EXTRACTOR_VARIABLE = "MEDQBENCH_EXTRACTOR"


def extractor_in_environment() -> str | None:
    """The extractor that the environment names, None where it names none.

    Raises:
        BadInput: it names the rules, or several models.
    """
    text = os.environ.get(EXTRACTOR_VARIABLE, "").strip()
    return extractor_name(text, EXTRACTOR_VARIABLE) if text else None


def extracting(name: str | None) -> AbstractContextManager[None]:
    """Put an extractor's name into the environment for a while; None leaves it as it is."""
    return variable(EXTRACTOR_VARIABLE, name)


def require_multiple_choice(name: str | None, multiple_choice: bool) -> None:
    """Say that an extractor that was asked for has nothing to read.

    Raises:
        BadInput: no dataset of the run is multiple-choice.
    """
    if name is not None and not multiple_choice:
        raise BadInput(
            "--extractor reads multiple-choice replies, and no dataset of this run is MedQBench_Perception; leave it "
            "out. Reasoning replies are judged with --judge."
        )
