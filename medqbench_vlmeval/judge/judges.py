"""Judges that are models, panels of judges, and the extractor: who is asked what, behind one interface each."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from statistics import median

from medqbench_vlmeval.benchmark import DIMENSIONS
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.judge.cache import ReplyCache
from medqbench_vlmeval.judge.calls import Call, Judge, OnProgress, assemble, combine, counted_once, texts_to_judge
from medqbench_vlmeval.judge.client import KitClient
from medqbench_vlmeval.judge.engine import NOT_ASKED, CachedModel
from medqbench_vlmeval.judge.options import KIT_PREFIX, RULES, JudgeOptions
from medqbench_vlmeval.judge.protocols import PROTOCOLS, choice_protocol, load_protocol
from medqbench_vlmeval.provenance import JudgeSettings, Protocol
from medqbench_vlmeval.types import Judged, Prediction, Sample, Verdict


class ModelJudge(CachedModel):
    """A model that scores reasoning replies (see ``calls.Judge``)."""

    def n_calls(self, samples: Sequence[Sample], predictions: Sequence[Prediction]) -> int:
        """All calls, equal ones and those in the store included."""
        texts, _ = texts_to_judge(samples, predictions)
        return sum(self._protocol.rounds * len(self._protocol.questions(sample.task)) for sample, _ in texts)

    def calls(
        self, samples: Sequence[Sample], predictions: Sequence[Prediction]
    ) -> tuple[list[Call], Mapping[str, str]]:
        """All calls that judging these predictions takes, and why some samples need none (by index)."""
        texts, reasons = texts_to_judge(samples, predictions)
        return self.calls_for(texts), reasons

    def judge(
        self, samples: Sequence[Sample], predictions: Sequence[Prediction], on_progress: OnProgress | None = None
    ) -> list[Judged]:
        """Judge each sample's prediction (see ``calls.Judge.judge``; errors are those of ``CachedModel.verdicts``)."""
        calls, reasons = self.calls(samples, predictions)
        return assemble(samples, reasons, calls, self.verdicts(calls, on_progress))


class PanelJudge:
    """Judges with different names. A dimension has a score where each gave one: the median is of the same judges in
    every sample. Single verdicts are in a verdict's ``parts`` by the judge's name."""

    def __init__(self, members: Sequence[Judge]) -> None:
        self.members = tuple(members)
        self.name = ", ".join(member.name for member in members)
        self.protocol = _joined(member.protocol for member in members)

    def describe(self) -> JudgeSettings:
        """See ``calls.Judge.describe``; each member's own settings are in ``members``."""
        members = [member.describe() for member in self.members]
        protocols = [member.protocol for member in members if member.protocol is not None]
        return JudgeSettings(
            self.name,
            _joined(member.served_as for member in members) or None,
            parameters={member.name: member.parameters for member in members},
            combined_by="median",
            members=tuple(members),
            protocol=Protocol(
                self.protocol,
                _joined(protocol.version for protocol in protocols),
                _joined(str(protocol.sha256) for protocol in protocols),
            ),
        )

    def n_calls(self, samples: Sequence[Sample], predictions: Sequence[Prediction]) -> int:
        """The members' calls together."""
        return sum(member.n_calls(samples, predictions) for member in self.members)

    def judge(
        self, samples: Sequence[Sample], predictions: Sequence[Prediction], on_progress: OnProgress | None = None
    ) -> list[Judged]:
        """Judge each sample's prediction by every member, one after the other (see ``calls.Judge.judge``)."""
        n_calls = [member.n_calls(samples, predictions) for member in self.members]
        of_members: list[list[Judged]] = []
        for member, before in zip(self.members, accumulate(n_calls, initial=0), strict=False):
            of_members.append(member.judge(samples, predictions, _as_panels(on_progress, before, sum(n_calls))))
        return [self._combined(judged) for judged in zip(*of_members, strict=True)]

    def _combined(self, judged: Sequence[Judged]) -> Judged:
        if judged[0].unscored is not None:
            return judged[0]
        by_name = {member.name: sample.verdicts for member, sample in zip(self.members, judged, strict=True)}
        parts = {dimension: {name: of[dimension] for name, of in by_name.items()} for dimension in DIMENSIONS}
        return Judged(judged[0].index, {dimension: combine(verdicts, median) for dimension, verdicts in parts.items()})


def _joined(texts: Iterable[str | None]) -> str:
    return ", ".join(dict.fromkeys(text for text in texts if text))


def _as_panels(on_progress: OnProgress | None, before: int, total: int) -> OnProgress | None:
    """A member's progress as the panel's: ``before`` calls belong to the members before it, of ``total`` in all."""
    if on_progress is None:
        return None
    return lambda member: on_progress(replace(member, done=before + member.done, total=total))


class Extractor(CachedModel):
    """A model that reads letters out of replies; it sees a question's options and the reply alone."""

    def read(self, replies: Sequence[tuple[Sample, str]], on_progress: OnProgress | None = None) -> dict[str, Verdict]:
        """Verdicts on the dimension 'choice' by sample index; those not asked about (``no_calls``) are left out. What
        equal prompts took is counted in the first. Errors are those of ``CachedModel.verdicts``."""
        calls = self.calls_for(replies)
        by_key = self.verdicts(calls, on_progress)
        return {call.index: verdict for call, verdict in counted_once(calls, by_key) if verdict.reason != NOT_ASKED}

    def describe(self) -> JudgeSettings:
        """The extractor's settings, its protocol among them."""
        return replace(super().describe(), protocol=replace(self._protocol.record, rounds=None))


def extractor_name(text: str, option: str = "--extractor") -> str:
    """An extractor's name; BadInput where ``option`` gives no model, the rules, or several models."""
    name = text.strip()
    if not name.removeprefix(KIT_PREFIX).strip():
        raise BadInput(f"{option} wants the name of a model, as its server knows it, or kit:NAME.")
    if name.lower() == RULES:
        raise BadInput(f"{option} names a model for the replies that the rules leave open; 'rules' is none.")
    if "," in name:
        raise BadInput(f"{option} takes one model and not several: '{name}'.")
    return name


def extractor_options(name: str, keywords: Mapping[str, object]) -> JudgeOptions:
    """The options of an extractor: the judge's server and limits with a protocol of its own; BadInput where its name or
    an option cannot be used."""
    of_judge_alone = {"model", "panel", "protocol", "n_rounds"}
    shared = {key: value for key, value in keywords.items() if key not in of_judge_alone}
    return replace(JudgeOptions.from_kit_kwargs({**shared, "model": extractor_name(name)}), role="extractor")


def check_judge_name(name: str, base_url: str | None = None) -> None:
    """Raise BadInput where one of the names is nearly 'rules', unless a server is named, which has its own."""
    for one in (part.strip() for part in name.split(",")):
        if one != RULES and not base_url and difflib.get_close_matches(one.lower(), [RULES], cutoff=0.75):
            raise BadInput(f"'{one}' is not the embedded judge. Did you mean '{RULES}'?")


def build_judge(options: JudgeOptions, store: ReplyCache | None = None, kit_client: KitClient | None = None) -> Judge:
    """The judge, or the panel, that the options name; nothing is asked yet. ``kit_client`` is None where the kit is out
    of reach. Raises BadInput for an unknown protocol or a wrong base URL, MissingDependency for the official protocol
    or a model of the kit's without a kit, JudgeError where the judge needs a key and none is given."""
    check_judge_name(options.name, options.base_url)
    if options.panel:
        return PanelJudge([build_judge(member, store, kit_client) for member in options.panel])
    if options.name == RULES:
        if options.protocol not in (RULES, *PROTOCOLS):
            load_protocol(options.protocol)
        from medqbench_vlmeval.judge.rules import RulesJudge

        return RulesJudge()
    return build_model_judge(options, store, kit_client)


def build_model_judge(
    options: JudgeOptions, store: ReplyCache | None = None, kit_client: KitClient | None = None
) -> ModelJudge:
    """One model as a judge (see :func:`build_judge`)."""
    return ModelJudge(options, load_protocol(options.protocol, options.n_rounds), store, kit_client)


def build_extractor(
    options: JudgeOptions, store: ReplyCache | None = None, kit_client: KitClient | None = None
) -> Extractor:
    """The model that reads what the rules leave open (see :func:`build_judge` and :func:`extractor_options`)."""
    return Extractor(options, choice_protocol(), store, kit_client)
