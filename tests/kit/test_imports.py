"""What the kit's import lacks is one sentence with the remedy: the real kit, with modules hidden from it."""

import json
import os
import subprocess
import sys

import pytest

from medqbench_vlmeval.kit.imports import explained

HIDER = """
import sys
class Hider:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"decord", "portalocker"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hider())
"""


@pytest.mark.parametrize(
    ("error", "name", "words"),
    [
        (
            ModuleNotFoundError("No module named 'rouge_score'", name="rouge_score"),
            "rouge_score",
            "pip install rouge_score",
        ),
        (
            ModuleNotFoundError("No module named 'cv2.x'", name="cv2.x"),
            "cv2",
            "not installed: pip install opencv-python",
        ),
        (ImportError("libGL.so.1: cannot open shared object file"), "import", "'apt-get install libgl1'"),
        (RuntimeError("operator torchvision::nms does not exist"), "import", "of one release from one index"),
        (
            ImportError("cannot import name 'AutoModelForVision2Seq' from 'transformers'"),
            "import",
            "this kit needs an older transformers: pip install 'transformers<5'",
        ),
        (
            ModuleNotFoundError("No module named 'vlmeval.inference_api'", name="vlmeval.inference_api"),
            "import",
            "'medqbench run' needs ms-vlmeval 0.0.20 or newer",
        ),
        (ImportError(), "import", "fails with ImportError (); install the kit anew"),
    ],
)
def test_an_error_is_explained_with_its_remedy(error, name, words):
    found, why = explained(error)
    assert found == name
    assert words in why


@pytest.mark.slow
@pytest.mark.needs_kit
def test_doctor_names_all_that_is_hidden_and_a_run_the_first_of_it(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HIDER, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    medqbench = [sys.executable, "-m", "medqbench_vlmeval"]

    def ran(*words):
        environment = {**os.environ, "PYTHONPATH": path}
        return subprocess.run([*medqbench, *words], env=environment, capture_output=True, text=True, check=False)

    found = {row["name"]: (row["state"], row["text"]) for row in json.loads(ran("doctor", "--json").stdout)}
    for module in ("decord", "portalocker"):
        assert found[f"VLMEvalKit's {module}"] == ("missing", f"is not installed: pip install {module}")
    words = "--data", "MedQBench_Perception_mini", "--model", "MedQ-Chance", "--work-dir", str(tmp_path / "work")
    done = ran("run", *words)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("medqbench: VLMEvalKit cannot be used: its ")
    assert "is not installed: pip install " in last
    assert "Traceback" not in done.stderr
