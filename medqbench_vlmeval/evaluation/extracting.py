"""Reading multiple-choice replies: by the rules, and what these leave open by an extractor where one is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from medqbench_vlmeval.answers import extract
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.evaluation.costs import Costs
from medqbench_vlmeval.evaluation.request import Request
from medqbench_vlmeval.evaluation.rows import not_read
from medqbench_vlmeval.judge import build_extractor
from medqbench_vlmeval.judge.extractor import Extractor, extractor_options
from medqbench_vlmeval.judge.prices import load_prices
from medqbench_vlmeval.records import Choice, Extraction, Prediction, Sample
from medqbench_vlmeval.scoring.extractor import score_extractor
from medqbench_vlmeval.tasks import Task

# What these rules found is no text that anybody could read an answer in.
_NO_TEXT = frozenset({"empty", "no reply"})


@dataclass(frozen=True)
class SecondStage:
    """What an extractor did: ``block`` is the object 'extractor' of a result, ``choices`` are by sample index."""

    block: Mapping[str, Any]
    settings: Mapping[str, Any]
    choices: Mapping[str, Choice]


def refuse_extractor(request: Request, task: Task) -> None:
    """Say that an extractor has nothing to do where replies are judged.

    Raises:
        BadInput: a reasoning task, and an extractor is named.
    """
    if request.extractor is not None and task.is_reasoning:
        raise BadInput(
            f"{request.prediction_file} is no multiple-choice file: --extractor reads option letters. Leave it out; "
            "reasoning replies are judged with --judge."
        )


def check_extractor(request: Request, task: Task) -> None:
    """Say what is wrong with the extractor of a request before anything is read or paid.

    Raises:
        BadInput: see :func:`refuse_extractor`, or an option or the price table cannot be used.
        JudgeError: it has no key.
    """
    refuse_extractor(request, task)
    if request.extractor is not None:
        load_prices(request.prices)
        build_extractor(extractor_options(request.extractor, request.judge), None, request.kit_asker)


def read_by_rules(samples: Sequence[Sample], predictions: Sequence[Prediction]) -> list[Extraction]:
    """What the rules read in each prediction; the two sequences are parallel."""
    return [
        extract(prediction.text, sample.options)
        if (reason := not_read(prediction)) is None
        # The kit's failure message is no reply: nothing in it may be read as an answer.
        else Extraction(None, reason)
        for sample, prediction in zip(samples, predictions, strict=True)
    ]


def open_replies(
    samples: Sequence[Sample], predictions: Sequence[Prediction], extractions: Sequence[Extraction]
) -> list[tuple[Sample, str]]:
    """The replies that hold text and in which the rules found no letter, with their samples.

    Failed and missing predictions are none. The three sequences are parallel.
    """
    return [
        (sample, prediction.text)
        for sample, prediction, extraction in zip(samples, predictions, extractions, strict=True)
        if extraction.letter is None and not_read(prediction) is None and extraction.rule not in _NO_TEXT
    ]


@contextmanager
def extractor_of(request: Request) -> Iterator[Extractor | None]:
    """The extractor that a request names, with the cache open; None where it names none.

    Raises:
        BadInput: an option cannot be used.
        JudgeError: it has no key.
    """
    if request.extractor is None:
        yield None
        return
    from medqbench_vlmeval.judge.store import VerdictStore

    options = extractor_options(request.extractor, request.judge)
    if request.cache is None:
        yield build_extractor(options, None, request.kit_asker)
        return
    with VerdictStore(request.cache) as store:
        yield build_extractor(options, store, request.kit_asker)


def second_stage(
    request: Request,
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    extractions: Sequence[Extraction],
) -> SecondStage | None:
    """Have the extractor of a request read what the rules left open; None where the request names none.

    The three sequences are parallel.

    Raises:
        BadInput: an option or the price table cannot be used.
        JudgeError: the extractor cannot be asked; what it said until then is in the cache.
    """
    with extractor_of(request) as extractor:
        if extractor is None:
            return None
        prices = load_prices(request.prices)
        asked = open_replies(samples, predictions, extractions)
        choices = extractor.read(asked, request.on_progress)
        settings = extractor.describe()
    by_index = {choice.index: choice for choice in choices}
    block = {
        **{name: settings[name] for name in ("name", "served_as", "protocol")},
        **score_extractor(samples, extractions, len(asked), by_index),
        "usage": Costs((extractor.name,), prices).of_calls(choices),
    }
    return SecondStage(block, settings, by_index)
