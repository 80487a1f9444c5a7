from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.prompts.official import read_texts
from medqbench_vlmeval.types import Sample
from tests.prompts.kits import CAPTION_FILE, PAIRED_FILE, QUESTION_FILE, make_kit


def perception(**options: str) -> Sample:
    return Sample("1", Task.PERCEPTION, "Is {it} so?", options)


def test_the_question_prompt_is_the_kits_format_with_the_samples_texts(tmp_path: Path) -> None:
    texts = read_texts(make_kit(tmp_path))
    assert texts.question_prompt(perception(A=" Yes ", B="No")) == "Ask: Is {it} so?\nOf A=Yes; B=No!"


def test_options_follow_the_kits_letters_and_leave_gaps_out(tmp_path: Path) -> None:
    texts = read_texts(make_kit(tmp_path))
    assert texts.question_prompt(perception(D="four", A="one", C="  ")).endswith("Of A=one; D=four!")


def test_templates_are_followed_through_concatenation_and_other_modules(tmp_path: Path) -> None:
    templates = read_texts(make_kit(tmp_path)).templates
    assert templates[Task.NO_REFERENCE]["completeness"] == "Compare [MLLM DESC] with [GOLDEN DESC] c"
    assert templates[Task.NO_REFERENCE]["quality_accuracy"] == "Compare [MLLM DESC] q [GOLDEN DESC]"
    assert templates[Task.COMPARATIVE]["completeness"] == "Compare [MLLM DESC] with [GOLDEN DESC] c"
    assert templates[Task.COMPARATIVE]["consistency"] == "pair i [MLLM DESC] [GOLDEN DESC]"


def test_task_texts_are_the_default_questions(tmp_path: Path) -> None:
    texts = read_texts(make_kit(tmp_path)).task_texts
    assert texts == {Task.NO_REFERENCE: "Describe it.", Task.COMPARATIVE: "Compare them."}


def test_another_wording_has_another_hash(tmp_path: Path) -> None:
    one = read_texts(make_kit(tmp_path / "one"))
    same = read_texts(make_kit(tmp_path / "same"))
    other = read_texts(
        make_kit(
            tmp_path / "other",
            medqbench_mcq=QUESTION_FILE.replace("Ask", "Tell"),
            medqbench_caption=CAPTION_FILE.replace("] c", "] C"),
        )
    )
    assert one.question_sha256() == same.question_sha256() != other.question_sha256()
    for task in (Task.NO_REFERENCE, Task.COMPARATIVE):
        assert one.templates_sha256(task) == same.templates_sha256(task) != other.templates_sha256(task)


@pytest.mark.parametrize(
    ("stem", "text"),
    [
        ("medqbench_caption", "PROMPT_TEMPLATES = "),
        ("medqbench_caption", CAPTION_FILE.replace('"preciseness"', '"precision"')),
        ("medqbench_caption", CAPTION_FILE.replace("PROMPT_TEMPLATES =", "TEMPLATES =")),
        (
            "medqbench_caption",
            CAPTION_FILE.replace('HEAD = "Compare [MLLM DESC] "', "HEAD = open('/etc/passwd').read()"),
        ),
        ("medqbench_caption", CAPTION_FILE.replace('HEAD = "Compare [MLLM DESC] "', "HEAD = HEAD")),
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
    ],
)
def test_a_kit_of_another_shape_is_refused_by_file(tmp_path: Path, stem: str, text: str) -> None:
    with pytest.raises(BadInput, match=rf"{stem}\.py.*rubric"):
        read_texts(make_kit(tmp_path, **{stem: text}))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    package = make_kit(tmp_path)
    (package / "dataset" / "medqbench_mcq.py").unlink()
    with pytest.raises(BadInput, match=r"medqbench_mcq\.py.*No such file"):
        read_texts(package)


def run_without_kit(code: str, tmp_path: Path) -> str:
    """What a fresh interpreter that finds no kit prints."""
    blind = (
        "import importlib.util\nfind = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'vlmeval' else find(name, *rest)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", blind + code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    return done.stdout.strip()


def test_without_a_kit_the_message_names_how_to_install_it_and_what_works_without(tmp_path: Path) -> None:
    code = (
        "from medqbench_vlmeval.errors import MissingDependency\n"
        "from medqbench_vlmeval.prompts import judge_templates\n"
        "from medqbench_vlmeval.benchmark import Task\n"
        "try:\n    judge_templates(Task.NO_REFERENCE)\nexcept MissingDependency as error:\n    print(error)\n"
    )
    message = run_without_kit(code, tmp_path)
    assert 'pip install "medqbench-vlmeval[kit]"' in message
    assert "git checkout" in message
    assert "rubric" in message
    assert "reasoning" in message


def test_own_styles_need_no_kit(tmp_path: Path) -> None:
    code = (
        "from medqbench_vlmeval.prompts import build_text\nfrom medqbench_vlmeval.types import Sample\n"
        "from medqbench_vlmeval.benchmark import Task\n"
        "print(build_text(Sample('1', Task.PERCEPTION, 'Q?', {'A': 'x', 'B': 'y'}), 'letter'))\n"
    )
    assert "(B) y" in run_without_kit(code, tmp_path)
