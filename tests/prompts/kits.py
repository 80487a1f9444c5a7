"""Hand-made kits: the three source files with invented texts, in the shape that the real ones have."""

from __future__ import annotations

from pathlib import Path

QUESTION_FILE = """
class Questions:
    def build_prompt(self, line):
        question = line["question"]
        options = {}
        for option in ["A", "B", "C", "D"]:
            if option in line:
                options[option] = str(line[option]).strip()
        option_text = "; ".join([f"{k}={v}" for k, v in options.items()])
        prompt = (
            f"Ask: "
            f"{question}\\n"
            f"Of {option_text}!"
        )
        return prompt
"""
CAPTION_FILE = """
HEAD = "Compare [MLLM DESC] "
PROMPT_TEMPLATES = {
    "completeness": (HEAD + "with [GOLDEN DESC] c"),
    "preciseness": "p [MLLM DESC] [GOLDEN DESC]",
    "consistency": "i [MLLM DESC] [GOLDEN DESC]",
    "quality_accuracy": f"{HEAD}q [GOLDEN DESC]",
}


class Caption:
    def load_data(self, dataset):
        data = load(dataset)
        if "question" not in data:
            data["question"] = ["Describe " "it." for _ in range(len(data))]
        return data
"""
PAIRED_FILE = """
from .medqbench_caption import PROMPT_TEMPLATES

PAIRED_PROMPT_TEMPLATES = {
    "completeness": PROMPT_TEMPLATES["completeness"],
    "preciseness": PROMPT_TEMPLATES["preciseness"],
    "consistency": "pair i [MLLM DESC] [GOLDEN DESC]",
    "quality_accuracy": "pair q [MLLM DESC] [GOLDEN DESC]",
}


class Paired:
    def load_data(self, dataset):
        data = load(dataset)
        if "question" not in data:
            data["question"] = ["Compare them." for _ in range(len(data))]
        return data
"""
FILES = {
    "medqbench_mcq.py": QUESTION_FILE,
    "medqbench_caption.py": CAPTION_FILE,
    "medqbench_paired_description.py": PAIRED_FILE,
}


def make_kit(root: Path, **replaced: str) -> Path:
    """Write a kit's package folder; ``replaced`` maps a file's stem to other source text."""
    package = root / "vlmeval"
    (package / "dataset").mkdir(parents=True)
    (package / "__init__.py").write_text('__version__ = "0.0.1"\n')
    for name, text in FILES.items():
        (package / "dataset" / name).write_text(replaced.get(name.removesuffix(".py"), text))
    return package
