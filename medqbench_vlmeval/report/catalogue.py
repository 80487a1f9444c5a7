"""What there is to choose from and what each takes: models (read from the kit's source), datasets, judges, ..."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from medqbench_vlmeval.benchmark import ALL_DATASET_NAMES, BASELINES, PUBLISHED_SIZES, Split, own_names
from medqbench_vlmeval.data.sources import place_of
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.judge.options import KEY_VARIABLES, KIT_PREFIX, RULES
from medqbench_vlmeval.judge.protocols import PROTOCOLS
from medqbench_vlmeval.kit_version import NO_KIT, ZooModel, find_kit, zoo_models
from medqbench_vlmeval.models import ENDPOINTS, PUBLISHED_MODELS, SERVICES, PublishedModel, gpu_memory
from medqbench_vlmeval.prompts.styles import STYLES
from medqbench_vlmeval.report.table import EXTRA, Column, Entry, Table, columns, table

_KIT, _SOURCES, _NOTHING = "the kit", "the kit (its source files)", "nothing"


def _models() -> Table:
    zoo = zoo_models(kit)[0] if (kit := find_kit()) else {}
    rows = []
    for alias, of in PUBLISHED_MODELS.items():
        name = next((name for name in of.zoo if name in zoo), None)
        if kit and (name or not of.zoo):
            made = ZooModel(of.made_by, of.settings.get("model", ""), of.settings.get("model_path"))
            what = f"the zoo's {name}" if name else f"the kit's class {of.made_by}"
            rows.append(_model_row(alias, what, zoo[name] if name else made, of))
    rows += [(name, "baseline, no weights", _KIT, *6 * [None]) for name in BASELINES]
    rows += [_model_row(name, "zoo", model) for name, model in zoo.items() if name not in PUBLISHED_MODELS]
    extra = [Column(head, only="sheet") for head in ("key", "backend", "weights", "gated", "class")]
    heads = [Column("model"), Column("what", optional=EXTRA), *columns("needs", ("GPU GiB", "count")), *extra]
    notes = [
        "GPU GiB: an estimate, parameters in the name x 2 bytes x 1.2",
        "any other name with --base-url: a served model",
    ]
    return table("models", heads, rows, notes if kit else [NO_KIT])


def _model_row(name: str, what: str, model: ZooModel, published: PublishedModel | None = None) -> Sequence[Entry]:
    """A row by what a model takes: the variable of its key and the one beside it, or weights on a GPU."""
    if (of := SERVICES.get(model.kit_class)) is None:
        needs = f"weights of {model.repository}" if model.repository else "weights"
        memory, gated = gpu_memory(name) or gpu_memory(model.repository or ""), published.gated if published else None
        return name, what, needs, memory, None, None, model.weights, gated, model.kit_class
    key, backend, needed = of.key_of(model.served_as), of.backend, of.backend if of.is_needed else ""
    if published and (endpoint := ENDPOINTS.get(published.vendor)):
        key, backend, needed = " or ".join(endpoint.keys), endpoint.address, ""
    needs = ", ".join(filter(None, (key, needed, "network")))
    return name, what, needs, None, key or None, backend or None, None, None, model.kit_class


def _datasets() -> Table:
    from medqbench_vlmeval.data import load

    rows = []
    own = {text: name for text, name in own_names().items() if not name.second_pass}
    for text, name in {**ALL_DATASET_NAMES, **own}.items():
        places = [place for part in name.task.parts if (place := place_of(part, name.split, name.folder))]
        here = len(places) == len(name.task.parts)
        of_test = name.split is Split.TEST and name.folder is None
        n = sum(PUBLISHED_SIZES[part] for part in name.task.parts) if of_test else None
        size = f"{sum(path.stat().st_size for path, _ in places) / 2**20:,.2f} MiB" if here else None
        paths = ", ".join(str(path) for path, _ in places) if here else None
        away = ("not here yet", "network") if name.folder is None else ("not there any more", "data register")
        where, needs = (places[0][1], _NOTHING) if here else away
        if text.endswith(name.split.value):
            n = n or (len(load(text).samples) if here else None)
            rows.append((text, name.task.value, name.split.value, n, size, where, needs, paths))
    task, split, path = (Column(head, only="sheet") for head in ("task", "split", "path"))
    heads = (Column("dataset"), task, split, *columns(("n", "count"), ("size", "mark"), "where", "needs"), path)
    notes = ["of MedQBench, a name without _test means the same, and NAME_robustness is its second pass"]
    return table("datasets", heads, rows, notes)


def _judges() -> Table:
    from medqbench_vlmeval.judge.usage import PER, load_prices

    key = f"key ({' or '.join(KEY_VARIABLES)}), network"
    rows = [(RULES, "embedded, deterministic; not comparable", _NOTHING)]
    for name, of in load_prices().models.items():
        needs = f"{_KIT}, {key}" if name.startswith(KIT_PREFIX) else key
        rows.append((name, f"${of.input:g} + ${of.output:g} per {PER:,.0f} tokens", needs))
    notes = ["any other name: a model of an OpenAI-compatible server (--judge-base-url)", "A,B: a panel of several"]
    return table("judges", columns("judge", "what", "needs"), rows, notes)


def _protocols() -> Table:
    rows = []
    for name in PROTOCOLS:
        what = ("published wording", _SOURCES) if "official" in name else ("wording of this package's own", _NOTHING)
        rows.append((name, what[0], {"official-5": 20, "rubric-joint": 1}.get(name, 4), what[1]))
    heads = columns("protocol", "what", ("calls a sample", "count"), "needs")
    return table("protocols", heads, rows, ["NAME-N asks N rounds and takes the mean"])


def _styles() -> Table:
    words = ("the benchmark's own wording, alone comparable", "the option letter alone", "reasons, then an answer")
    rows = zip(STYLES, (*words, "an option and a confidence in percent"), (_SOURCES, *3 * [_NOTHING]), strict=True)
    notes = ["'letter' and 'confidence' suit multiple-choice questions alone"]
    return table("styles", columns("style", "what", "needs"), rows, notes)


KINDS: Mapping[str, Callable[[], Table]] = {
    "models": _models, "datasets": _datasets, "judges": _judges, "protocols": _protocols, "styles": _styles,
}  # fmt: skip


def catalogue(kind: str, words: str = "") -> Table:
    """The things of a kind (a name in ``KINDS``) whose name holds ``words``, in any case. Raises BadInput where there
    is no such kind, or nothing of this name."""
    if kind not in KINDS:
        raise BadInput(f"'{kind}' is nothing to list; choose one of {', '.join(KINDS)}.")
    whole = KINDS[kind]()
    rows = [row for row in whole.rows if words.casefold() in str(row.entries[0]).casefold()]
    if not rows:
        raise BadInput(f"None of the {len(whole.rows)} {kind} has '{words}' in its name.")
    return replace(whole, title=f"{len(rows)}{f' of {len(whole.rows)}' if words else ''} {kind}", rows=rows)
