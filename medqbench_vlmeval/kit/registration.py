"""Put datasets, baselines and the published tables' model names into the kit's registries, in place: other modules have
imported these by name. A patched kit calls both functions while it is being imported (see ``patches/``): hence no
import of ``vlmeval`` at the top, and none of ``vlmeval.config`` in :func:`register_datasets`, which runs before it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from medqbench_vlmeval.benchmark import BASELINES
from medqbench_vlmeval.kit_version import require_kit
from medqbench_vlmeval.models import ENDPOINTS, PUBLISHED_MODELS, PublishedModel


def register() -> None:
    """Register datasets, aliases and baselines with the installed kit; idempotent. MissingDependency without a kit."""
    require_kit()
    register_datasets()
    register_models()


def register_datasets() -> None:
    """Make the kit know the dataset classes and their names; idempotent."""
    # The kit's package comes first: its base class imported alone would make the import circular.
    import vlmeval.dataset as kit

    from medqbench_vlmeval.kit.datasets import DATASET_CLASSES

    for cls in DATASET_CLASSES:
        if cls not in kit.DATASET_CLASSES:
            kit.DATASET_CLASSES.append(cls)
        kit.SUPPORTED_DATASETS.extend(name for name in cls.supported_datasets() if name not in kit.SUPPORTED_DATASETS)
        setattr(kit, cls.__name__, cls)


def register_models() -> None:
    """Put baselines and the published tables' model names into the kit's zoo; idempotent."""
    from vlmeval.config import supported_VLM

    from medqbench_vlmeval.kit.baseline import MedQBaseline

    for name in BASELINES:
        supported_VLM.setdefault(name, partial(MedQBaseline, name.removeprefix("MedQ-").lower()))
    for alias, model in PUBLISHED_MODELS.items():
        if (entry := _entry_of(model, supported_VLM)) is not None:
            supported_VLM.setdefault(alias, entry)


def _entry_of(model: PublishedModel, zoo: Mapping[str, Any]) -> Callable[..., Any] | None:
    """What builds a published model: the zoo's entry, or one of ours; None where the kit has no entry and no class."""
    import vlmeval.api
    import vlmeval.vlm

    name = next((name for name in model.zoo if name in zoo), None)
    made_by = getattr(vlmeval.api, model.made_by, None) or getattr(vlmeval.vlm, model.made_by, None)
    entry = zoo[name] if name else partial(made_by) if made_by and not model.zoo else None
    # The settings are those of one class; another kit may serve the model through another one.
    if entry is None or entry.func is not (made_by or entry.func) or not (model.settings or model.vendor):
        return entry
    alias = AliasOf(entry, **model.settings)
    alias.published = model
    return alias


class AliasOf(partial):  # type: ignore[type-arg]
    """A published model's entry in the zoo, which is told the vendor's address and the key when it is built."""

    published: PublishedModel

    def __call__(self, *args: Any, **given: Any) -> Any:
        """Build the model. BadInput where its key is missing. What is ``given`` goes before everything else."""
        at = ENDPOINTS.get(self.published.vendor)
        own = {"key", "api_base", "backend"} & given.keys()
        called = at.called(self.published.name, os.environ) if at and not own else None
        if at is None or called is None:
            return super().__call__(*args, **given)
        place = {at.argument: called[0]} if at.argument == "api_base" else {}
        model = super().__call__(*args, **{**self.published.official, **place, "key": called[1], **given})
        setattr(model, at.argument, called[0])
        return model
