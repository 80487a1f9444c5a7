"""The commands that make a run again, without keys and with what is secret in URLs masked."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from medqbench_vlmeval.data.hub import REVISION_VARIABLE
from medqbench_vlmeval.judge import DEFAULT_PROTOCOL, RULES
from medqbench_vlmeval.judge.masking import MARK
from medqbench_vlmeval.judge.options import PUBLIC_URL
from medqbench_vlmeval.judge.private import is_secret_name, shown_extra, shown_url, url_secrets
from medqbench_vlmeval.report.runs import RunPart, mapping, text
from medqbench_vlmeval.tasks import ALL_DATASET_NAMES

_OFFICIAL = "official"
# What an evaluation of a part of its samples says of itself.
_PART_RUN = re.compile(r"only (\d+) of \d+ samples were run")


def run_again(parts: Sequence[RunPart]) -> str | None:
    """``python run.py ...`` for a run of one of the benchmark's datasets; None for one of a file of its own.

    Inference and judging are the kit's to configure; options that a result does not record (a model's own settings,
    the number of calls in flight) are left to their defaults.
    """
    first = parts[0]
    if first.dataset not in ALL_DATASET_NAMES:
        return None
    words = ["python", "run.py", "--data", first.dataset, "--model", first.model]
    style = first.setting("prompt", "style")
    if style not in (None, _OFFICIAL):
        words += ["--prompt-style", style or _OFFICIAL]
    words += [*_limit_words(parts), *_judge_words(first, for_run=True)]
    revisions = {text(part.data.get("revision")) for part in parts}
    revision = revisions.pop() if len(revisions) == 1 else None
    return (f"{REVISION_VARIABLE}={_quoted(revision)} " if revision else "") + command_line(words)


def score_again(parts: Sequence[RunPart]) -> str:
    """``medqbench score ...`` on the run's prediction file, which needs neither the kit nor the model."""
    first = parts[0]
    words = ["medqbench", "score", first.setting("prediction_file", "name") or "PREDICTIONS"]
    if first.dataset in ALL_DATASET_NAMES:
        # Without the limit, samples that nobody asked the model about would count as wrong.
        words += ["--data", first.dataset, *_limit_words(parts)]
    words += ["--model", first.model, *_judge_words(first, for_run=False), "--out", "results"]
    return command_line(words)


def part_run(parts: Sequence[RunPart]) -> int | None:
    """How many samples were run where it was not all of them; None for a whole run."""
    for part in parts:
        for reason in part.reasons:
            if found := _PART_RUN.fullmatch(reason):
                return int(found[1])
    return None


def shown_command(command: str | Sequence[str]) -> str:
    """A command as it may be shown: values of options that are named like a secret are masked, and those of URLs.

    A text that no shell could split is masked whole.
    """
    try:
        words = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError:
        return MARK
    shown: list[str] = []
    secret = False
    for word in words:
        name, equals, value = word.partition("=")
        option = name.startswith("-") and "://" not in name
        if secret and not (option and _is_option(name)):
            shown.append(MARK)
            secret = False
            continue
        secret = False
        # VARIABLE=value before a command and --option=value; a key in either is none of the reader's.
        if equals and name and (option or name.isidentifier()):
            shown.append(f"{name}={MARK if is_secret_name(name) else _masked(value)}")
            continue
        secret = option and is_secret_name(name)
        shown.append(_masked(word))
    return command_line(shown)


def command_line(words: Sequence[str]) -> str:
    """Words quoted for a shell, on one line: control characters are written as bash's ``$'...'`` takes them."""
    return " ".join(map(_quoted, words))


def _is_option(word: str) -> bool:
    """Whether a word is an option's name, and no key that begins with a dash."""
    return word.startswith("--") and word[2:].replace("-", "").isalpha()


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    escaped = "".join(_escaped(character) for character in word)
    return f"$'{escaped}'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _masked(word: str) -> str:
    if word.lstrip().startswith(("{", "[")):
        try:
            found = json.loads(word)
        except (ValueError, RecursionError):
            return MARK if "://" in word or is_secret_name(word) else word
        return json.dumps(shown_extra({"": found})[""], ensure_ascii=False)
    return shown_url(word) if "://" in word and url_secrets(word) else word


def _limit_words(parts: Sequence[RunPart]) -> list[str]:
    limit = part_run(parts)
    return [] if limit is None else ["--limit", str(limit)]


def _judge_words(part: RunPart, for_run: bool) -> list[str]:
    """The judge's options; a run of the kit takes what it has no option for in ``--judge-args``."""
    judge, name = mapping(part.settings.get("judge")), part.setting("judge", "name")
    if name is None:
        extractor = text(mapping(part.settings.get("extractor")).get("name"))
        return ["--extractor", extractor] if extractor else []
    words = ["--judge", name.replace(", ", ",")]
    if name == RULES:
        return words
    options = _options(judge)
    if url := options.pop("base_url", None):
        words += ["--judge-base-url", url]
    protocol = part.setting("protocol", "name") or DEFAULT_PROTOCOL
    members = [mapping(member) for member in judge.get("members") or ()]
    panel = [_member(member, protocol) for member in members]
    if any(len(member) > 1 for member in panel):
        options["panel"] = panel
    if protocol != DEFAULT_PROTOCOL and not members:
        if for_run:
            options["protocol"] = protocol
        else:
            words += ["--protocol", protocol]
    if options:
        words += ["--judge-args", json.dumps(options, ensure_ascii=False)]
    return words


def _member(judge: Mapping[str, Any], protocol: str) -> dict[str, Any]:
    """One of a panel, by what it does not share with a judge of no options."""
    own = text(mapping(judge.get("protocol")).get("name")) or protocol
    asked_by = {} if own == DEFAULT_PROTOCOL or judge.get("name") == RULES else {"protocol": own}
    return {"model": judge.get("name"), **_options(judge), **asked_by}


def _options(judge: Mapping[str, Any]) -> dict[str, Any]:
    """What of a judge's address and parameters is not the default, masked once more."""
    if judge.get("members"):
        return {}
    known = {"temperature": 0.0, "max_tokens": None}
    found = {name: value for name, value in mapping(judge.get("parameters")).items() if known.get(name, ...) != value}
    url = text(judge.get("base_url"))
    return {**({"base_url": shown_url(url)} if url and url != PUBLIC_URL else {}), **shown_extra(found)}
