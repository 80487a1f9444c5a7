"""Keeping the dataset's prompt in the kit's api-mode.

Local mode honours a dataset's ``force_use_dataset_prompt``; the api-mode pipeline of both supported kits does
not look at it and lets a model put its own prompt in the place of the benchmark's.
"""

from __future__ import annotations

import functools
from typing import Any


def keep_dataset_prompts() -> None:
    """Make the api-mode pipeline honour ``force_use_dataset_prompt``; idempotent."""
    from vlmeval.inference_api import APIEvalPipeline

    produce = APIEvalPipeline._produce_image_tasks
    if getattr(produce, "keeps_dataset_prompts", False):
        return

    @functools.wraps(produce)
    async def produce_image_tasks(self: Any, cfg: Any, existing_results: dict[str, Any]) -> int:
        if getattr(cfg.dataset_obj, "force_use_dataset_prompt", False):
            # The pipeline builds one model object a dataset, so nothing else sees this one.
            cfg.model_obj.use_custom_prompt = _never
        produced: int = await produce(self, cfg, existing_results)
        return produced

    produce_image_tasks.keeps_dataset_prompts = True  # type: ignore[attr-defined]
    APIEvalPipeline._produce_image_tasks = produce_image_tasks


def _never(_dataset: str) -> bool:
    return False
