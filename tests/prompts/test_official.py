from __future__ import annotations

from pathlib import Path

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.errors import BadInput, MissingDependency
from medqbench_vlmeval.prompts import build_text, official
from medqbench_vlmeval.prompts.official import read_texts
from medqbench_vlmeval.types import Sample
from tests.prompts.kits import CAPTION_FILE, PAIRED_FILE, QUESTION_FILE, make_kit


def test_the_question_prompt_is_the_kits_format_in_the_kits_order_without_gaps(tmp_path: Path) -> None:
    braces = QUESTION_FILE.replace("{k}={v}", "{{{k}}}={v}")
    texts = read_texts(make_kit(tmp_path, medqbench_mcq=braces))
    asked = texts.question_prompt("Is {it} so?", {"D": "{four}", "A": " one ", "C": "  "})
    assert asked == "Ask: Is {it} so?\nOf {A}=one; {D}={four}!"


def test_templates_and_default_questions_are_followed_through_other_modules(tmp_path: Path) -> None:
    texts = read_texts(make_kit(tmp_path))
    assert texts.task_texts == {Task.NO_REFERENCE: "Describe it.", Task.COMPARATIVE: "Compare them."}
    templates = texts.templates
    assert templates[Task.NO_REFERENCE]["completeness"] == "Compare [MLLM DESC] with [GOLDEN DESC] c"
    assert templates[Task.NO_REFERENCE]["quality_accuracy"] == "Compare [MLLM DESC] q [GOLDEN DESC]"
    assert templates[Task.COMPARATIVE]["completeness"] == "Compare [MLLM DESC] with [GOLDEN DESC] c"
    assert templates[Task.COMPARATIVE]["consistency"] == "pair i [MLLM DESC] [GOLDEN DESC]"


def test_another_wording_has_another_hash(tmp_path: Path) -> None:
    first = read_texts(make_kit(tmp_path / "one"))
    same = read_texts(make_kit(tmp_path / "same"))
    other = read_texts(make_kit(tmp_path / "other", medqbench_mcq=QUESTION_FILE.replace("Ask", "Tell")))
    assert first.question_sha256() == same.question_sha256() != other.question_sha256()


@pytest.mark.parametrize(
    ("stem", "text"),
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


def test_without_a_kit_the_message_names_how_to_install_it_and_own_styles_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(official, "find_kit", lambda: None)
    official.official_texts.cache_clear()
    sample = Sample("1", Task.PERCEPTION, "Q?", {"A": "x", "B": "y"})
    with pytest.raises(MissingDependency) as error:
        build_text(sample, "official")
    words = ('pip install "medqbench-vlmeval[kit]"', "git checkout", "rubric", "reasoning")
    assert all(word in str(error.value) for word in words)
    assert "(B) y" in build_text(sample, "letter")
