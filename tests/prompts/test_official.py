from __future__ import annotations

from pathlib import Path

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.errors import BadInput, MissingDependency
from medqbench_vlmeval.prompts import build_text, official
from medqbench_vlmeval.prompts.official import official_question, official_templates, official_text
from medqbench_vlmeval.types import Sample

# Hand-made kits: the three source files with invented texts, in the shape that the real ones have.
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
LOADER = """
class Dataset:
    def load_data(self, dataset):
        data = load(dataset)
        if "question" not in data:
            data["question"] = [QUESTION for _ in range(len(data))]
        return data
"""
CAPTION_FILE = """
HEAD = "Compare [MLLM DESC] "
PROMPT_TEMPLATES = {
    "completeness": (HEAD + "with [GOLDEN DESC] c"),
    "preciseness": "p [MLLM DESC] [GOLDEN DESC]",
    "consistency": "i [MLLM DESC] [GOLDEN DESC]",
    "quality_accuracy": f"{HEAD}q [GOLDEN DESC]",
}
""" + LOADER.replace("QUESTION", '"Describe " "it."')
PAIRED_FILE = """
from .medqbench_caption import PROMPT_TEMPLATES

PAIRED_PROMPT_TEMPLATES = {
    "completeness": PROMPT_TEMPLATES["completeness"],
    "preciseness": PROMPT_TEMPLATES["preciseness"],
    "consistency": "pair i [MLLM DESC] [GOLDEN DESC]",
    "quality_accuracy": "pair q [MLLM DESC] [GOLDEN DESC]",
}
""" + LOADER.replace("QUESTION", '"Compare them."')
DEG_FILE = QUESTION_FILE.replace('"D"]', '"D", "E"]').replace("Ask", "Say")
FILES = {
    "medqbench_mcq": QUESTION_FILE,
    "medqbench_caption": CAPTION_FILE,
    "medqbench_paired_description": PAIRED_FILE,
    "medq_deg_bench": DEG_FILE,
}


def make_kit(root: Path, **replaced: str) -> Path:
    """Write a kit's package folder; ``replaced`` gives a file of ``FILES`` another source text."""
    folder = root / "vlmeval" / "dataset"
    folder.mkdir(parents=True)
    for name, text in {**FILES, **replaced}.items():
        (folder / f"{name}.py").write_text(text)
    return folder.parent


def read_all(package: Path) -> None:
    for task in (Task.NO_REFERENCE, Task.COMPARATIVE):
        official_text(task, package)
        official_templates(task, package)
    for task in (Task.PERCEPTION, Task.DEGRADATION):
        official_question(task, package)


def test_the_question_prompt_is_the_kits_format_in_the_kits_order_without_gaps(tmp_path: Path) -> None:
    braces = QUESTION_FILE.replace("{k}={v}", "{{{k}}}={v}")
    package = make_kit(tmp_path, medqbench_mcq=braces)
    texts = {"D": "{four}", "A": " one ", "C": "  ", "E": "five"}
    asked = official_question(Task.PERCEPTION, package).prompt("Is {it} so?", texts)
    assert asked == "Ask: Is {it} so?\nOf {A}=one; {D}={four}!"
    asked = official_question(Task.DEGRADATION, package).prompt("Is {it} so?", texts)
    assert asked == "Say: Is {it} so?\nOf A=one; D={four}; E=five!"


def test_templates_and_default_questions_are_followed_through_other_modules(tmp_path: Path) -> None:
    kit = make_kit(tmp_path)
    assert official_text(Task.NO_REFERENCE, kit) == "Describe it."
    assert official_text(Task.COMPARATIVE, kit) == "Compare them."
    templates = {task: official_templates(task, kit) for task in (Task.NO_REFERENCE, Task.COMPARATIVE)}
    assert templates[Task.NO_REFERENCE]["completeness"] == "Compare [MLLM DESC] with [GOLDEN DESC] c"
    assert templates[Task.NO_REFERENCE]["quality_accuracy"] == "Compare [MLLM DESC] q [GOLDEN DESC]"
    assert templates[Task.COMPARATIVE]["completeness"] == "Compare [MLLM DESC] with [GOLDEN DESC] c"
    assert templates[Task.COMPARATIVE]["consistency"] == "pair i [MLLM DESC] [GOLDEN DESC]"


def test_another_wording_has_another_hash(tmp_path: Path) -> None:
    kits = [make_kit(tmp_path / name) for name in ("one", "same")]
    kits.append(make_kit(tmp_path / "other", medqbench_mcq=QUESTION_FILE.replace("Ask", "Tell")))
    first, same, other = (official_question(Task.PERCEPTION, kit).sha256() for kit in kits)
    assert first == same != other
    assert official_question(Task.DEGRADATION, kits[0]).sha256() not in (first, other)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("medqbench_caption", "PROMPT_TEMPLATES = "),
        ("medqbench_caption", CAPTION_FILE.replace('"preciseness"', '"precision"')),
        ("medqbench_caption", CAPTION_FILE.replace("PROMPT_TEMPLATES =", "TEMPLATES =")),
        ("medqbench_caption", CAPTION_FILE.replace('"Compare [MLLM DESC] "', "open('/etc/passwd').read()")),
        ("medqbench_caption", CAPTION_FILE.replace('"Compare [MLLM DESC] "', "HEAD")),
        ("medqbench_caption", CAPTION_FILE.replace('"p [MLLM DESC] [GOLDEN DESC]"', '"p [GOLDEN DESC]"')),
        ("medqbench_caption", CAPTION_FILE.replace('data["question"] =', 'data["text"] =')),
        ("medqbench_paired_description", PAIRED_FILE.replace('PROMPT_TEMPLATES["preciseness"]', "PROMPT_TEMPLATES[0]")),
        ("medqbench_paired_description", PAIRED_FILE.replace("def load_data", "def load")),
        ("medqbench_mcq", QUESTION_FILE.replace("{question}", "{question!r}")),
        ("medqbench_mcq", QUESTION_FILE.replace("{question}", "{line}")),
        ("medqbench_mcq", QUESTION_FILE.replace("Ask: ", "{question}")),
        ("medqbench_mcq", QUESTION_FILE.replace("prompt = (", "text = (")),
        ("medqbench_mcq", QUESTION_FILE.replace('"; ".join', "join")),
        ("medqbench_mcq", "x = 1"),
        ("medq_deg_bench", DEG_FILE.replace("{question}", "{line}")),
    ],
)
def test_a_kit_of_another_shape_is_refused_by_file(tmp_path: Path, name: str, text: str) -> None:
    package = make_kit(tmp_path, **{name: text})
    with pytest.raises(BadInput, match=rf"{name}\.py.*rubric"):
        read_all(package)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    package = make_kit(tmp_path)
    (package / "dataset" / "medqbench_mcq.py").unlink()
    with pytest.raises(BadInput, match=r"medqbench_mcq\.py.*No such file"):
        read_all(package)


def test_without_a_kit_the_message_names_how_to_install_it_and_own_styles_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(official, "find_kit", lambda: None)
    official.official_question.cache_clear()
    sample = Sample("1", Task.PERCEPTION, "Q?", {"A": "x", "B": "y"})
    with pytest.raises(MissingDependency) as error:
        build_text(sample, "official")
    words = ('pip install "medqbench-vlmeval[kit]"', "git checkout", "rubric", "reasoning")
    assert all(word in str(error.value) for word in words)
    assert "(B) y" in build_text(sample, "letter")
