"""What is to be made of a set of source pictures: pictures with degradations and seeds, and tables' rows.

Questions come in blocks. A block is two to four pictures of one source which are asked the same question with the same
options in the same order, and each option is right for exactly one of them. So nothing but the picture tells the
answer: whatever reads question and options is right once in each block. Names of files and indices are hashes, and
rows stand in their order. Everything of a source is drawn from the seed and the source's own key: another source among
them changes nothing.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations, product, zip_longest
from typing import TypeAlias, TypeVar

import numpy as np

from medqbench_vlmeval.benchmark import OPTION_LETTERS, QUESTION_TYPES, Split, Task
from medqbench_vlmeval.data.sources import hub_file
from medqbench_vlmeval.errors import BadInput, did_you_mean
from medqbench_vlmeval.synth import texts
from medqbench_vlmeval.synth.catalogue import DEGRADATIONS, GRADES, Degradation, Planned, Source, alike
from medqbench_vlmeval.synth.texts import Question

# One row of a table: its columns in order.
Row: TypeAlias = Mapping[str, str]
_T = TypeVar("_T")

_YES_OR_NO, _WHAT, _HOW = QUESTION_TYPES
# Type and number of options of a block.
_BLOCKS = ((_YES_OR_NO, 2), (_WHAT, 3), (_WHAT, 4), (_HOW, 3))
_ROUND = 8


@dataclass(frozen=True)
class Plan:
    """``pictures`` have different file names, and each can be made alone; ``tables`` maps a file's name to its rows,
    whose ``image_path`` is ``images/`` and a picture's file name, or a JSON list of two such."""

    seed: int
    pictures: tuple[Planned, ...]
    tables: Mapping[str, tuple[Row, ...]]


def row(index: str, paths: str, words: Row, picture: Planned, axes: Row) -> Row:
    """A row on ``picture``; of a pair the worse one."""
    before = {"modality": picture.source.modality, "severity": picture.severity}
    return {"index": index, "image_path": paths, **words, **before, **axes, "source": picture.origin}


def question_row(index: str, picture: Planned, question: Question, kind: str) -> Row:
    """A row of the perception table."""
    options = dict(zip_longest(OPTION_LETTERS[:4], question.options, fillvalue=""))
    right = OPTION_LETTERS[question.options.index(question.right)]
    words = {"question": question.text, **options, "answer": right, "question_type": kind}
    return row(index, _path(picture), words, picture, {"degradation": picture.fault, "scope": question.scope})


def description_row(index: str, picture: Planned, rng: np.random.Generator | None = None) -> Row:
    """A row of the no-reference table; ``rng`` chooses the wording."""
    words = {"description": texts.describe(picture, rng)}
    return row(index, _path(picture), words, picture, {"degradation": picture.fault})


def pair_row(
    index: str, better: Planned, worse: Planned, better_first: bool, rng: np.random.Generator | None = None
) -> Row:
    """A row of the comparative table: coarse-grained are none and severe, fine-grained are neighbouring severities."""
    first, second = (better, worse) if better_first else (worse, better)
    words = {"description": texts.compare(first, second, rng)}
    coarse = (better.severity, worse.severity) == ("none", "severe")
    axes = {"difficulty": "coarse-grained" if coarse else "fine-grained"}
    return row(index, f'["{_path(first)}", "{_path(second)}"]', words, worse, axes)


def _path(picture: Planned) -> str:
    return f"images/{picture.file_name}"


def make_plan(
    sources: Sequence[Source],
    *,
    seed: int,
    per_image: int,
    dev_share: float,
    degradations: Collection[str] | None = None,
    together: bool = False,
    name: str = "synth",
    known: Mapping[str, Degradation] = DEGRADATIONS,
) -> Plan:
    """The pictures and the published files' rows of a benchmark from ``sources``; their pixels are not read.

    Each source gives ``per_image`` pictures (at least 3; from 8 on each source has questions of all three types), each
    with one question, and a description of one picture of each severity, a coarse and a fine pair, the better picture
    first in one of them. Sources with the same key count once.
    A share ``dev_share`` (0 to below 1) of the groups of sources goes to the dev split; a split without any has no
    tables. ``degradations`` are the keys to be used, ``known`` the catalogue, perhaps with readers' strengths.
    ``together`` puts two degradations on each picture that is asked what it shows: a weaker second one, or two of the
    same severity that are to be named both. ``name`` begins every index.

    Raises BadInput where there is no source, a number is out of its range, a key is unknown, or a modality is left
    without a degradation.
    """
    faults = _faults(sources, degradations, known)
    if per_image < 3:
        raise BadInput("--per-image takes a whole number from 3 on.")
    if not 0.0 <= dev_share < 1.0:
        raise BadInput("--dev-share takes a number from 0 to below 1.")
    by_key = {source.key: source for source in sorted(sources, key=lambda of: (of.key, of.origin), reverse=True)}
    dev = _dev_groups({source.group or source.key for source in sources}, seed, dev_share)
    pictures: list[Planned] = []
    tables: dict[str, list[Row]] = {}
    for key, source in sorted(by_key.items()):
        split = Split.DEV if (source.group or key) in dev else Split.TEST
        asked = _Scene(source, faults[source.modality], seed).ask(per_image, together)
        rows = {Task.PERCEPTION: [question_row(_index(name, "p", seed, of[0]), *of) for of in asked]}
        planned = sorted((picture for picture, *_ in asked), key=lambda picture: picture.file_name)
        rows |= _reasoning(source, seed, planned, name)
        pictures += planned
        for task, of in rows.items():
            tables.setdefault(hub_file(task, split).name, []).extend(of)
    ordered = {file: tuple(sorted(rows, key=lambda row: row["index"])) for file, rows in sorted(tables.items()) if rows}
    return Plan(seed, tuple(pictures), ordered)


def _faults(
    sources: Sequence[Source], degradations: Collection[str] | None, known: Mapping[str, Degradation]
) -> dict[str, _Known]:
    if not sources:
        raise BadInput("There is no image to make a benchmark of.")
    for key in sorted(degradations or ()):
        if key not in known:
            raise BadInput(f"--degradations names '{key}', which is no degradation's key.{did_you_mean(key, known)}")
    chosen = [of for of in known.values() if degradations is None or of.key in degradations]
    faults = {of.modality: tuple(d for d in chosen if d.modality == of.modality) for of in sources}
    for modality, of_it in sorted(faults.items()):
        if not of_it:
            raise BadInput(
                f"There is no degradation for {modality}, the modality of some images"
                f"{', among those that --degradations names; name one more' if degradations else ''}."
            )
    return {modality: _Known.of(of_it) for modality, of_it in faults.items()}


def _words(*parts: object) -> list[int]:
    """Four numbers below 2**32 that are the same on every machine."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return [int.from_bytes(digest[at : at + 4], "little") for at in range(0, 16, 4)]


def _place(*parts: object) -> float:
    return _words(*parts)[0] / 2.0**32


def _name(*parts: object) -> str:
    return "".join(f"{word:08x}" for word in _words(*parts))[:12]


def _index(name: str, letter: str, seed: int, *pictures: Planned) -> str:
    return f"{name}-{letter}{_name(seed, letter, *(picture.file_name for picture in pictures))}"


def _dev_groups(groups: Collection[str], seed: int, share: float) -> set[str]:
    """Groups of the dev split, each by its own place; of two groups or more neither split is left without any."""
    places = sorted((_place(seed, "split", group), group) for group in groups)
    if not share or len(places) < 2:
        return set()
    n = sum(place < share for place, _ in places)
    return {group for _, group in places[: min(max(n, 1), len(places) - 1)]}


@lru_cache(maxsize=256)
def _mixes(total: int, most: int) -> tuple[tuple[tuple[int, ...], ...], tuple[float, ...]]:
    """Numbers of blocks of each of ``_BLOCKS`` with ``total`` pictures together, and how likely each is: mixed ones
    more than others, and tilted so that on average the types have the same number of questions. ``most`` is the
    largest number of degradations that are apart: without three there is no question of what is seen."""
    sizes = [n for _, n in _BLOCKS]
    of_type = np.array([[n * (kind == other) for kind, n in _BLOCKS] for other in QUESTION_TYPES], dtype=float)
    counts = [
        of
        for of in product(*(range(total // n + 1) for n in sizes))
        if int(np.dot(of, sizes)) == total and (most >= 3 or not of[1] + of[2]) and (most >= 4 or not of[2])
    ]
    items = np.array(counts) @ of_type.T
    tilt = np.zeros(len(QUESTION_TYPES))
    for _ in range(400):
        weights = np.exp(items @ tilt - np.ptp(items, axis=1))
        weights /= weights.sum()
        tilt += 0.05 * (total / len(QUESTION_TYPES) - weights @ items)
    return tuple(counts), tuple(np.round(weights, 6).tolist())


@dataclass(frozen=True)
class _Known:
    """The degradations of a modality, the keys of those that are alike (in both orders), and how many can be among one
    question's options: 1 to 4."""

    faults: tuple[Degradation, ...]
    alike: frozenset[tuple[str, str]]
    most: int

    @classmethod
    def of(cls, faults: tuple[Degradation, ...]) -> _Known:
        """What is known of these."""
        known = cls(faults, frozenset((a.key, b.key) for a, b in product(faults, repeat=2) if alike(a, b)), 1)
        return replace(known, most=max(n for n in range(1, 5) if known.first(n, range(len(faults)))))

    def first(self, n: int, order: Sequence[int], beside: Sequence[Degradation] = ()) -> tuple[Degradation, ...]:
        """The first ``n`` in this order that are alike neither to each other nor to one ``beside``; () if none are."""
        for places in combinations(order, n):
            chosen = tuple(self.faults[at] for at in places)
            if not any((a.key, b.key) in self.alike for a, b in combinations((*beside, *chosen), 2)):
                return chosen
        return ()


_Asked: TypeAlias = tuple[Planned, Question]


class _Scene:
    """One source on the way to its pictures and questions: what it has shown so far, and its own random numbers."""

    def __init__(self, source: Source, known: _Known, seed: int) -> None:
        self.source, self.known, self.seed = source, known, seed
        self.rng = np.random.default_rng(_words(seed, source.key, "questions"))
        self.shown: Counter[str] = Counter()
        self.grades: Counter[str] = Counter()
        self.made: Counter[tuple[str, ...]] = Counter()

    def ask(self, per_image: int, together: bool) -> list[tuple[Planned, Question, str]]:
        """Pictures with their question and its type. The first block has the picture without degradation."""
        asked: list[tuple[Planned, Question, str]] = []
        for kind, n in self._blocks(per_image):
            clean = not asked
            makers = {_YES_OR_NO: self._yes_or_no, _HOW: self._how}
            block = self._which(n, clean, together) if kind == _WHAT else makers[kind](clean)
            asked += [(*of, kind) for of in block]
        return asked

    def _blocks(self, left: int) -> Iterator[tuple[str, int]]:
        while left:
            total = left if left < 2 * _ROUND else _ROUND
            left -= total
            mixes, weights = _mixes(total, self.known.most)
            mix = mixes[min(int(np.searchsorted(np.cumsum(weights), self.rng.random())), len(mixes) - 1)]
            blocks = [block for block, number in zip(_BLOCKS, mix, strict=True) for _ in range(number)]
            yield from self._shuffled(blocks)

    def _shuffled(self, things: Sequence[_T]) -> list[_T]:
        return [things[int(at)] for at in self.rng.permutation(len(things))]

    def _choice(self, n: int, *beside: Degradation) -> tuple[Degradation, ...]:
        """Degradations that are apart, those that were shown least first; () if there are not so many."""
        faults = self.known.faults
        order = sorted(self._shuffled(range(len(faults))), key=lambda at: self.shown[faults[at].key])
        return self.known.first(n, order, beside)

    def _picture(self, faults: Sequence[Degradation] = (), grade: str = "") -> Planned:
        """The source with no, one or two degradations. Without ``grade`` they have the severity that was shown less,
        else the second one is mild."""
        ahead = self.grades["mild"] - self.grades["severe"]
        given = grade or GRADES[int(ahead > 0 or (ahead == 0 and self.rng.random() < 0.5))] if faults else "none"
        self.grades[given] += 1
        keys = tuple(fault.key for fault in faults)
        self.shown.update(keys)
        again = self.made[(given, *keys)]
        self.made[(given, *keys)] += 1
        # The severities of a degradation have the same random draw: only its strength is different.
        draw = tuple(_words(self.seed, self.source.key, "draw", *keys, again)[:2])
        stem = f"{self.source.modality.lower()}-{_name(self.seed, self.source.key, given, *keys, again)}"
        first, also = (*faults, None, None)[:2]
        return Planned(self.source, first, given, draw, stem, also, "mild" if grade else given)

    def _yes_or_no(self, clean: bool) -> list[_Asked]:
        (fault,) = self._choice(1)
        other = () if clean or self.rng.random() < 2 / 3 else self._choice(1, fault)
        asked = None if not other and self.rng.random() < 1 / 3 else fault
        pictures = {True: self._picture((fault,)), False: self._picture(other)}
        yes_first, wording = bool(self.rng.integers(2)), int(self.rng.integers(texts.WORDINGS))
        noun = self.source.noun
        return [
            (picture, texts.yes_or_no(noun, degraded is (asked is not None), asked, yes_first, wording))
            for degraded, picture in pictures.items()
        ]

    def _how(self, clean: bool) -> list[_Asked]:
        (fault,) = self._choice(1)
        rated = self.rng.random() < 0.5
        other = () if rated or clean or self.rng.random() < 0.5 else self._choice(1, fault)
        second = self._choice(1)[0] if rated else fault
        pictures = {"none": self._picture(other)}
        pictures |= {grade: self._picture((of,), grade) for grade, of in zip(GRADES, (fault, second), strict=True)}
        order, wording = self._shuffled([*pictures]), int(self.rng.integers(texts.WORDINGS))
        asked = None if rated else fault
        return [(of, texts.how(self.source.noun, at, asked, order, wording)) for at, of in pictures.items()]

    def _which(self, n: int, clean: bool, together: bool) -> list[_Asked]:
        nothing = clean or self.rng.random() < 0.8
        count = n - nothing
        faults = self._choice(max(3, count) if together else count)
        shown: list[tuple[Degradation, ...]] = [(fault,) for fault in faults[:count]]
        named, grade = shown, ""
        if together:
            shown = [(faults[at], faults[(at + 1) % len(faults)]) for at in range(count)]
            if self.rng.random() < 0.5:
                # What blurs goes on first, else it would take the other away.
                named = shown = [tuple(sorted(pair, key=lambda fault: "blur" not in fault.name)) for pair in shown]
            else:
                grade = "severe"
        pictures = [self._picture(of, grade) for of in shown]
        if nothing:
            named, pictures = [*named, ()], [*pictures, self._picture()]
        options, wording = tuple(self._shuffled([*map(texts.what_name, named)])), int(self.rng.integers(texts.WORDINGS))
        return [
            (picture, texts.which(self.source.noun, right, options, wording))
            for picture, right in zip(pictures, named, strict=True)
        ]


def _reasoning(source: Source, seed: int, pictures: Sequence[Planned], name: str) -> dict[Task, list[Row]]:
    """A description of one picture of each severity, a coarse and a fine pair; what there are no pictures for is left
    out."""
    rng = np.random.default_rng(_words(seed, source.key, "reasoning"))
    none, mild, severe = ([p for p in pictures if p.severity == grade] for grade in ("none", *GRADES))
    single = [of[int(rng.integers(len(of)))] for of in (none, mild, severe) if of]
    same = [(a, b) for a, b in product(mild, severe) if a.put_on[0][0] is b.put_on[0][0] and not (a.also or b.also)]
    fine = [*product(none, mild)]
    if same and (not fine or rng.random() < 0.5):
        fine = same
    pairs = [of[int(rng.integers(len(of)))] for of in ([*product(none, severe)], fine) if of]
    better_first = bool(rng.integers(2))
    described = [description_row(_index(name, "d", seed, picture), picture, rng) for picture in single]
    compared = [
        pair_row(_index(name, "c", seed, *pair), *pair, better_first is (number == 0), rng)
        for number, pair in enumerate(pairs)
    ]
    return {Task.NO_REFERENCE: described, Task.COMPARATIVE: compared}
