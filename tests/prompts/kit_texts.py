"""Run in a process of its own with the real kit: what its classes say to a model and to a judge.

Reads a JSON object {"folder", "datasets": {name: [class, TSV]}, "judge": [[module, class, dimension, answer,
reference]]} from standard input and prints {"texts": {name: [text]}, "judge": [prompt]} as the last line.
"""

from __future__ import annotations

import importlib
import json
import os
import sys


def main() -> None:
    job = json.load(sys.stdin)
    os.environ["LMUData"] = job["folder"]  # noqa: SIM112  # the kit's spelling
    import vlmeval.dataset as kit

    texts = {}
    for name, (kind, path) in job["datasets"].items():
        dataset = getattr(kit, kind)(data_path=path)
        messages = [dataset.build_prompt(i) for i in range(len(dataset))]
        texts[name] = [next(part["value"] for part in parts if part["type"] == "text") for parts in messages]
    prompts = []
    for module, scorer, dimension, answer, reference in job["judge"]:
        made = getattr(importlib.import_module(f"vlmeval.dataset.{module}"), scorer)(None, None)
        prompts.append(made.build_prompt(dimension, answer, reference))
    print("\n" + json.dumps({"texts": texts, "judge": prompts}))


main()
