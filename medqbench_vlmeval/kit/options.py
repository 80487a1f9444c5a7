"""The options of a run: this package's own, those of the kit's that a run has to know, and keys. Our own travel to our
dataset classes in the environment, and so do keys: the kit writes its command line into files."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from medqbench_vlmeval.benchmark import (
    BASELINES,
    Task,
    all_names,
    dataset_names,
    known_dataset,
    parse_dataset_name,
    registered_sets,
)
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import as_file_name, read_json
from medqbench_vlmeval.judge.judges import check_judge_name, extractor_name
from medqbench_vlmeval.judge.options import RULES, parse_judge_args
from medqbench_vlmeval.judge.protocols import load_protocol
from medqbench_vlmeval.judge.secrets import shown_extra, words_by_option
from medqbench_vlmeval.kit.guards import shown_arguments
from medqbench_vlmeval.kit.model_use import BYTES_VARIABLE, DETAIL_VARIABLE, IMAGE_BYTES, IMAGE_DETAILS, chosen
from medqbench_vlmeval.kit.run_files import Job
from medqbench_vlmeval.kit_version import InstalledKit, spells_dataset, zoo_models
from medqbench_vlmeval.model_use import KIT
from medqbench_vlmeval.models import PUBLISHED_MODELS
from medqbench_vlmeval.prompts import check_style
from medqbench_vlmeval.prompts.styles import DEFAULT_STYLE

STYLE_VARIABLE = "MEDQBENCH_PROMPT_STYLE"
LIMIT_VARIABLE = "MEDQBENCH_LIMIT"
EXTRACTOR_VARIABLE = "MEDQBENCH_EXTRACTOR"

# The kit's options that change what a model replies. Where it is served, and how patiently it is asked, do not.
_REPLY_OPTIONS = (
    *("--max-tokens", "--temperature", "--top-k", "--top-p", "--repetition-penalty", "--custom-prompt", "--extra-body"),
    *("--thinker", "--video-llm", "--local-media", "--use-vllm"),
)
_CLASS_NAMES = ("MedQBenchPerception", "MedQBenchNoReference", "MedQBenchComparative", "MedQBenchReasoning", "MedQDeg")
_CLASSES = dict(zip(_CLASS_NAMES, Task, strict=True))
# The kit's parser takes abbreviations; of options that may hold a key none must slip past this module.
_ABBREVIATED_KEY = re.compile(r"--(?:ke|judge-ke?|judge-arg?|judge-ar)(?:=|$)")

OTHER_MODELS = "'medqbench list models' lists them; a served model is named freely together with --base-url."

Entries = Mapping[str, Mapping[str, object]]  # of a configuration: arguments for a dataset's class by its name


@dataclass(frozen=True)
class RunOptions:
    """What of a run's command line this package reads; ``datasets``, ``models`` and ``model_entries`` are the
    configuration file's where there is one, ``reply_options`` the kit's that change replies, as they were given."""

    datasets: tuple[str, ...]
    models: tuple[str, ...]
    entries: Entries
    config: str | None
    base_url: str | None
    work_dir: Path
    mode: str
    api_mode: bool
    robustness: bool = False
    test_call: bool = True
    resume_failed: bool = False
    limit: int | None = None
    extractor: str | None = None
    prompt_style: str | None = None
    image_bytes: str | None = None
    image_detail: str | None = None
    judge: str | None = None
    judge_base_url: str | None = None
    judge_args: str | None = None
    reply_options: Mapping[str, str] = field(default_factory=dict)
    model_entries: Mapping[str, object] = field(default_factory=dict)

    @property
    def of_zoo(self) -> bool:
        """Whether the models are named as the kit's zoo names them."""
        return not self.base_url and not self.config

    def reply_settings(self, model: str) -> dict[str, str]:
        """What options or a configuration say that changes a model's replies, without keys."""
        entry = self.model_entries.get(model)
        configured = {"--config": json.dumps(shown_extra(entry), sort_keys=True)} if isinstance(entry, dict) else {}
        bytes_, detail = chosen(BYTES_VARIABLE, IMAGE_BYTES), chosen(DETAIL_VARIABLE, IMAGE_DETAILS)
        sent = {"--image-bytes": bytes_, "--image-detail": detail}
        ways = {name: way for name, way in sent.items() if way != KIT}
        of_alias = PUBLISHED_MODELS[model].settings if self.of_zoo and model in PUBLISHED_MODELS else {}
        ways |= {name: str(value) for name, value in of_alias.items()}
        # Where a model is served changes no reply; a served one is another than the zoo's of the same name.
        served = {"--base-url": "given"} if self.base_url and not self.config else {}
        return {**self.reply_options, **ways, **served, **configured}

    def official_name(self, dataset: str) -> str:
        """The name that a dataset of the run has in its class; entries may give it another one."""
        return str(self.entries.get(dataset, {}).get("dataset", dataset))

    def is_second_pass(self, dataset: str) -> bool:
        """Whether a dataset of the run is a second pass of this package's."""
        name = all_names().get(self.official_name(dataset))
        return name is not None and name.second_pass

    def is_multiple_choice(self, dataset: str) -> bool:
        """Whether a dataset of the run is this package's multiple-choice one in its official order."""
        of_class = _CLASSES.get(str(self.entries.get(dataset, {}).get("class")))
        name = known_dataset(dataset)
        return any(task.is_choice for task in (of_class, name and name.task) if task)

    def jobs(self) -> list[Job]:
        """The model x dataset pairs that the run is asked for; a dataset's name or its class tells this package's."""
        names = all_names()
        own = {name: name in names or self.entries.get(name, {}).get("class") in _CLASSES for name in self.datasets}
        pairs = [(model, dataset) for model in self.models for dataset in self.datasets]
        return [Job(model, name, self.mode, own[name], self.is_second_pass(name)) for model, name in pairs]


def read_options(arguments: Sequence[str]) -> tuple[list[str], RunOptions]:
    """The words for the kit, and the options that a run needs to know. Raises BadInput where the value of an option of
    ours, or an entry of a configuration, cannot be used, or an option that may hold a key is abbreviated."""
    for word in arguments:
        if _ABBREVIATED_KEY.match(word):
            raise BadInput(f"Write '{word.partition('=')[0]}' out: --judge-key, --judge-args or --key.")
    # The usage that each parser knows is a part of the run's.
    parser = partial(argparse.ArgumentParser, prog="medqbench run", usage=argparse.SUPPRESS, add_help=False)
    own = parser(allow_abbrev=False)
    own.add_argument("--prompt-style", type=lambda text: check_style(text) if text else None)
    # The kit's parser would take the shorter ones for its own option, which means a file's first rows.
    own.add_argument("--limit", "--limi", "--lim", "--li", type=lambda text: _limit_of(text, "--limit"))
    own.add_argument("--extractor", type=extractor_name)
    own.add_argument("--image-bytes", choices=IMAGE_BYTES)
    own.add_argument("--image-detail", choices=IMAGE_DETAILS)
    own.add_argument("--robustness", action="store_true")
    own.add_argument("--resume-failed", action="store_true")
    own.add_argument("--no-test-call", dest="test_call", action="store_false")
    own.add_argument("--dry-run", action="store_true")
    options, rest = own.parse_known_args(arguments)
    if options.dry_run:
        raise BadInput(
            "A run has no --dry-run: what its judge costs depends on predictions that are yet to come. Make them with "
            "--mode infer, then 'medqbench score PREDICTIONS --judge NAME --dry-run' says what judging them costs."
        )
    if options.resume_failed and {"--keep-failed", "eval"} & set(rest):
        raise BadInput("--resume-failed asks failed samples again; leave out --keep-failed and --mode eval.")
    kit = parser()
    kit.add_argument("--data", nargs="+", default=[])
    kit.add_argument("--model", nargs="+", default=[])
    kit.add_argument("--work-dir", type=Path, default=Path("./outputs"))
    kit.add_argument("--mode", default="all")
    kit.add_argument("--api-mode", action="store_true")
    for option in ("--config", "--data-config", "--base-url", "--judge", "--judge-base-url", "--judge-args"):
        kit.add_argument(option)
    kit.parse_known_args(rest, options)
    values = vars(options)
    del values["dry_run"]
    entries, models = _configured(values["config"], values.pop("data_config"), values["api_mode"])
    datasets, named = values.pop("data"), values.pop("model")
    if values["config"]:
        datasets, named = entries, models
    given = words_by_option(shown_arguments(rest))
    replies = {option: value or "yes" for option, value, _ in given if option in _REPLY_OPTIONS}
    return rest, RunOptions(
        tuple(datasets), tuple(named), entries, **values, reply_options=replies, model_entries=models
    )


def _configured(path: str | None, text: str | None, api_mode: bool) -> tuple[Entries, Mapping[str, object]]:
    """The checked dataset entries of ``--config`` or ``--data-config``, and the models' entries of ``--config``."""
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
        task = _CLASSES.get(str(entry.get("class")))
        called = entry.get("dataset", next(iter(dataset_names(task))) if task and path else name)
        if task and called != name and not api_mode:
            raise BadInput(
                f"{option} calls the dataset '{called}' by the name '{name}'; the kit's local mode needs the "
                "dataset's own name there (or use --api-mode)."
            )
    return entries, config["model"] if path else {}


def with_whole_sets(words: Sequence[str], options: RunOptions) -> tuple[list[str], RunOptions, list[str]]:
    """A command line and its options with a registered set's datasets for its name, and a sentence for each set."""
    sets = {name: of.whole() for name, of in registered_sets().items() if name in options.datasets}
    sets = {name: parts for name, parts in sets.items() if name not in options.entries}
    if not sets or options.config:
        return [*words], options, []
    names = tuple(dict.fromkeys(part for name in options.datasets for part in sets.get(name, (name,))))
    notes = [f"{name} is run as {', '.join(parts)}." for name, parts in sets.items()]
    return with_datasets(words, names), replace(options, datasets=names), notes


def with_datasets(words: Sequence[str], names: Sequence[str], config: str | None = None) -> list[str]:
    """A command line with these datasets, and their configuration where there is one, in place of its own."""
    # Abbreviated ones too: what stayed behind the new one would be what counts.
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--data", nargs="+")
    parser.add_argument("--data-config")
    given, rest = parser.parse_known_args(words)
    config = config or given.data_config
    return ["--data", *names, *(["--data-config", config] if config else []), *rest]


def refuse_unknown(what: str, names: Iterable[str], known: Collection[str], advice: str) -> None:
    """Raise BadInput for the first name that is not known, with the nearest that are."""
    by_lower = {one.lower(): one for one in known}
    for name in set(names).difference(known):
        near = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
        hint = f" Nearest names: {', '.join(by_lower[one] for one in near)}." if near else ""
        raise BadInput(f"The installed kit has no {what} '{name}'.{hint} {advice}")


def check_names(options: RunOptions, kit: InstalledKit) -> None:
    """Refuse names that nothing has before the kit is imported, but for those that it may make then."""
    check_style(options.prompt_style or os.environ.get(STYLE_VARIABLE) or DEFAULT_STYLE)
    own = all_names()
    for name in options.datasets:
        known = name in own or name in options.entries or spells_dataset(kit, name)
        if not known and (name.lower().startswith("medq") or difflib.get_close_matches(name, own, cutoff=0.8)):
            parse_dataset_name(name)
        if not known and (path := Path(name).expanduser()).exists():
            raise BadInput(
                f"--data {name} is a path, and a run takes names: 'medqbench data register "
                f"{path if path.is_dir() else path.parent} NAME' gives the set there one."
            )
    zoo, whole = zoo_models(kit)
    # Who has imported the kit may have put models of his own into its zoo.
    if options.of_zoo and whole and "vlmeval.config" not in sys.modules:
        published = {name for name, model in PUBLISHED_MODELS.items() if not model.zoo or zoo.keys() & set(model.zoo)}
        refuse_unknown("model", options.models, {*zoo, *BASELINES, *published}, OTHER_MODELS)
    file_names = {as_file_name(model): model for model in options.models}
    if other := set(options.models).difference(file_names.values()):
        raise BadInput(f"The files of two models would have the same names: run '{other.pop()}' apart.")
    judge_args = parse_judge_args(options.judge_args) if options.judge_args else {}
    check_judge_name(options.judge or RULES, options.judge_base_url or str(judge_args.get("api_base") or ""))
    if isinstance(protocol := judge_args.get("protocol"), str) and protocol != RULES:
        load_protocol(protocol)


@contextmanager
def in_environment(options: RunOptions) -> Iterator[None]:
    """Put this package's own options, where they are given, into the environment for a while."""
    own = {STYLE_VARIABLE: options.prompt_style, LIMIT_VARIABLE: options.limit, EXTRACTOR_VARIABLE: options.extractor}
    own |= {BYTES_VARIABLE: options.image_bytes, DETAIL_VARIABLE: options.image_detail}
    own["VLMEVAL_IMAGE_BYTES"] = options.image_bytes  # that of a kit with the patch 'image-bytes'
    before = {name: os.environ[name] for name in own if name in os.environ}
    os.environ.update({name: str(value) for name, value in own.items() if value is not None})
    try:
        yield
    finally:
        for name in own:
            os.environ.pop(name, None)
        os.environ.update(before)


def limit_in_environment() -> int | None:
    """The number of samples that the environment limits a dataset to, None where it names none."""
    text = os.environ.get(LIMIT_VARIABLE, "").strip()
    return _limit_of(text, f"The environment variable {LIMIT_VARIABLE}") if text else None


def extractor_in_environment() -> str | None:
    """The extractor that the environment names (see ``judges.extractor_name``), None where it names none."""
    text = os.environ.get(EXTRACTOR_VARIABLE, "").strip()
    return extractor_name(text, EXTRACTOR_VARIABLE) if text else None


def _limit_of(text: str, where: str) -> int:
    limit = int(text) if re.fullmatch(r"\s*[+-]?\d+\s*", text) else 0
    if limit < 1:
        raise BadInput(f"{where} is '{text}'; it must be a whole number of samples, 1 or more.")
    return limit


def hide_keys(arguments: list[str], only_own: bool) -> list[str]:
    """Move keys from the command line to the environment, a judge's where all datasets of the run are ``only_own``, and
    return what is left for the kit. BadInput where ``--judge-args`` cannot be read."""
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
