"""``python -m tests.kit.rank_model WORDS``: 'medqbench run WORDS' with a model of this file's own in the kit's zoo.

The environment's RAISES names the process of torchrun's in which the model fails.
"""

import os
import sys
from typing import Any

from medqbench_vlmeval.cli.main import main
from medqbench_vlmeval.kit.imports import importing_kit

with importing_kit():
    import vlmeval.config
    import vlmeval.dataset
    from vlmeval.vlm.base import BaseModel


class Tiny(BaseModel):
    """Answers by the words of the question, always the same."""

    def generate_inner(self, message: Any, dataset: str | None = None) -> str:
        if os.environ.get("RAISES") == os.environ.get("RANK", "0"):
            raise RuntimeError("no memory is left on this card")
        text = "".join(part["value"] for part in message if part["type"] == "text")
        return f"{'ABCD'[sum(text.encode()) % 4]}. I see no noise."


if __name__ == "__main__":
    vlmeval.config.supported_VLM["Tiny"] = Tiny
    main(["run", *sys.argv[1:]])
