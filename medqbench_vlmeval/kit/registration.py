"""Putting datasets and models into the kit's registries, in place and any number of times.

The kit's registries are module globals that other modules have already imported by name, so they are touched
in place and never rebound. Both functions are also the targets of the entry points that a patched kit calls
while it is being imported itself (see ``patches/``); hence no import of ``vlmeval`` at the top of this module,
and none of ``vlmeval.config`` in :func:`register_datasets`, which runs before that module exists.
"""

from __future__ import annotations

from medqbench_vlmeval.installed import require_kit


def register() -> None:
    """Register datasets, aliases and baselines with the installed kit; idempotent.

    Raises:
        MissingDependency: no kit is installed.
    """
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
        if cls.__name__ not in kit.__all__:
            kit.__all__.append(cls.__name__)


def register_models() -> None:
    """Put baselines and the published tables' model names into the kit's zoo; idempotent."""
    from vlmeval.config import supported_VLM

    from medqbench_vlmeval.kit.api_mode import keep_dataset_prompts
    from medqbench_vlmeval.kit.models import BASELINES, aliases

    for name, factory in BASELINES.items():
        supported_VLM.setdefault(name, factory)
    for alias, target in aliases(supported_VLM).items():
        supported_VLM.setdefault(alias, supported_VLM[target])
    keep_dataset_prompts()
