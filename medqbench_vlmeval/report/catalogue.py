"""What there is to choose from, and what each takes: models, datasets, judges, protocols and prompt styles.

Nothing is imported of the kit: its models are read from its source.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

from medqbench_vlmeval.benchmark import ALL_DATASET_NAMES, BASELINES, PUBLISHED_NAMES, PUBLISHED_SIZES, Split
from medqbench_vlmeval.data.sources import place_of
from medqbench_vlmeval.errors import BadInput, MissingDependency
from medqbench_vlmeval.judge.options import KEY_VARIABLES, KIT_PREFIX, RULES
from medqbench_vlmeval.judge.protocols import PROTOCOLS, load_protocol
from medqbench_vlmeval.kit_version import NO_KIT, find_kit, zoo_models
from medqbench_vlmeval.prompts.styles import STYLES
from medqbench_vlmeval.report.table import Table, columns, table

_KIT, _NOTHING = "the kit", "nothing"


def _models() -> Table:
    kit = find_kit()
    zoo = zoo_models(kit)[0] if kit else {}
    rows = [(name, "baseline, no weights", _KIT) for name in BASELINES]
    for alias, names in PUBLISHED_NAMES.items():
        rows += [(alias, f"the zoo's {name}", zoo[name]) for name in names if name in zoo][:1]
    rows += [(name, "zoo", need) for name, need in zoo.items()]
    notes = ["any other name together with --base-url: a served model"] if kit else [NO_KIT]
    return table("", columns("model", "what", "needs"), rows, notes)


def _datasets() -> Table:
    from medqbench_vlmeval.data import load

    rows = []
    for text, name in ALL_DATASET_NAMES.items():
        if not text.endswith(name.split.value):
            continue
        places = [place_of(part, name.split) for part in name.task.parts]
        paths = [place[0] for place in places if place]
        is_here = len(paths) == len(places)
        n = sum(PUBLISHED_SIZES[part] for part in name.task.parts) if name.split is Split.TEST else None
        if n is None and is_here:
            n = len(load(text).samples)
        size = f"{sum(path.stat().st_size for path in paths) / 2**20:,.2f} MiB" if is_here else None
        where = ", ".join(dict.fromkeys(place[1] for place in places if place)) if is_here else "not here yet"
        needs = _NOTHING if is_here else "network (the hub, once)"
        rows.append((text, name.task.value, name.split.value, n, size, where, needs))
    heads = columns("dataset", "task", "split", ("n", "count"), ("size", "mark"), "where", "needs")
    return table("", heads, rows, ["a name without _test means the same", "NAME_robustness: its second pass"])


def _judges() -> Table:
    from medqbench_vlmeval.judge.usage import PER, load_prices

    key, prices = f"key ({' or '.join(KEY_VARIABLES)}), network", load_prices().models
    rows = [(RULES, "embedded, deterministic; not comparable", _NOTHING)]
    for name, of in prices.items():
        needs = f"{_KIT}, {key}" if name.startswith(KIT_PREFIX) else key
        rows.append((name, f"${of.input:g} + ${of.output:g} per {PER:,.0f} tokens", needs))
    rows.append((f"{KIT_PREFIX}NAME", "a judge of the kit's", f"{_KIT}, {key}"))
    notes = ["any other name: a model of an OpenAI-compatible server (--judge-base-url)", "A,B: a panel of several"]
    return table("", columns("judge", "what", "needs"), rows, notes)


def _protocols() -> Table:
    rows = []
    for name in PROTOCOLS:
        calls = None
        with contextlib.suppress(MissingDependency):
            protocol = load_protocol(name)
            calls = protocol.rounds * max(map(len, protocol.templates.values()))
        is_official = name.startswith("official")
        what = "published wording" if is_official else "this package's wording, hardened against hostile answers"
        rows.append((name, what, calls, f"{_KIT} (its source files)" if is_official else _NOTHING))
    heads = columns("protocol", "what", ("calls a sample", "count"), "needs")
    return table("", heads, rows, ["NAME-N asks N rounds and takes the mean"])


def _styles() -> Table:
    words = (
        "the benchmark's own wording; the only comparable one",
        "the option letter alone",
        "reasons, then an answer",
    )
    needs = (f"{_KIT} (its source files)", _NOTHING, _NOTHING)
    return table("", columns("style", "what", "needs"), zip(STYLES, words, needs, strict=True))


KINDS: Mapping[str, Callable[[], Table]] = {
    "models": _models, "datasets": _datasets, "judges": _judges, "protocols": _protocols, "styles": _styles,
}  # fmt: skip


def catalogue(kind: str, words: str = "") -> Table:
    """The things of a kind (a name in ``KINDS``) whose name holds ``words``, in any case.

    Raises:
        BadInput: there is no such kind, or nothing of this name.
    """
    if kind not in KINDS:
        raise BadInput(f"'{kind}' is nothing to list; choose one of {', '.join(KINDS)}.")
    whole = KINDS[kind]()
    rows = [row for row in whole.rows if words.casefold() in str(row.entries[0]).casefold()]
    if not rows:
        raise BadInput(f"None of the {len(whole.rows)} {kind} has '{words}' in its name.")
    count = f"{len(rows)} of {len(whole.rows)}" if words else f"{len(rows)}"
    return Table(f"{count} {kind}", whole.columns, rows, whole.notes)


def names_of(kind: str) -> Iterator[str]:
    """The names of a kind, for a shell that completes them; a second name of one dataset is among them."""
    if kind == "datasets":
        yield from ALL_DATASET_NAMES
    else:
        yield from (str(row.entries[0]) for row in KINDS[kind]().rows)
