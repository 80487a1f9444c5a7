"""The kit patch, on copies of the real kit."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.kit.patching import HOOKS, State, apply, check, kit_root, revert
from medqbench_vlmeval.kit_version import require_kit

PATCHES = Path(__file__).resolve().parents[2] / "patches"


def copy_kit(target, whole):
    """A copy of the installed kit, unpatched; ``whole`` for one that runs, else just the patched files."""
    kit = require_kit()
    if whole:
        shutil.copytree(kit.package, target / "vlmeval", ignore=shutil.ignore_patterns("__pycache__"))
        if (kit.root / "run.py").is_file() and kit.commit:
            shutil.copy(kit.root / "run.py", target / "run.py")
    else:
        for hook in HOOKS:
            (target / hook.file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(kit.root / hook.file, target / hook.file)
        shutil.copy(kit.package / "__init__.py", target / "vlmeval" / "__init__.py")
    revert(target)
    return target


@pytest.fixture
def root(tmp_path):
    return copy_kit(tmp_path, whole=False)


def contents(root):
    return {hook.file: (root / hook.file).read_bytes() for hook in HOOKS}


def test_apply_and_revert_give_the_bytes_back(root):
    before = contents(root)
    assert {file.state for file in check(root)} == {State.CLEAN}
    assert len(apply(root)) == len(HOOKS)
    assert {file.state for file in check(root)} == {State.APPLIED}
    patched = contents(root)
    assert apply(root) == []
    assert contents(root) == patched
    assert len(revert(root)) == len(HOOKS)
    assert contents(root) == before
    assert revert(root) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "\nx = 1\n",
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text + "# vlmeval.datasets vlmeval.models\n",
        lambda text: "",
    ],
)
@pytest.mark.parametrize("which", [0, 1])
def test_unknown_files_are_left_alone(root, change, which):
    path = root / HOOKS[which].file
    path.write_bytes(change(path.read_text(encoding="utf-8")).encode())
    before = contents(root)
    for action in (apply, revert):
        with pytest.raises(BadInput, match=str(path)):
            action(root)
        assert contents(root) == before


def test_something_behind_or_before_the_patch_is_unknown(root):
    apply(root)
    path = root / HOOKS[0].file
    patched = path.read_bytes()
    for content, words in ((patched + b"x = 1\n", "already, in another way"), (HOOKS[0].block, "what precedes it")):
        path.write_bytes(content)
        with pytest.raises(BadInput, match=f"left alone: .*{words}"):
            revert(root)


def test_a_folder_without_a_kit_is_refused(root, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="holds no VLMEvalKit"):
        kit_root(tmp_path / "empty")
    assert kit_root(root) == root
    assert kit_root(root / "vlmeval") == root


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git to apply a diff")
def test_the_written_diffs_make_the_same_bytes(root):
    name = "vlmevalkit-head" if require_kit().commit else f"{require_kit().distribution}-{require_kit().version}"
    patch = PATCHES / f"{name}.patch"
    if not patch.exists():
        pytest.skip(f"no diff was written for {name}")
    subprocess.run(["git", "apply", str(patch)], cwd=root, check=True)
    by_git = contents(root)
    subprocess.run(["git", "apply", "--reverse", str(patch)], cwd=root, check=True)
    apply(root)
    assert contents(root) == by_git


@pytest.mark.slow
def test_a_patched_kit_knows_our_datasets_by_itself(tmp_path):
    root = copy_kit(tmp_path / "kit", whole=True)
    apply(root)
    (tmp_path / "lmu").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(root), "LMUData": str(tmp_path / "lmu")}

    def python(*arguments):
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout + done.stderr

    names = python("-c", "import sys; sys.argv = ['vlmutil', 'dlist', 'all']; from vlmeval import cli; cli()")
    assert "MedQBench_Perception_mini" in names.split()
    runner = [str(root / "run.py")] if (root / "run.py").exists() else ["-m", "vlmeval"]
    python(*runner, "--data", "MedQBench_Perception_mini", "--model", "MedQ-Chance", "--work-dir", "outputs")
    assert list((tmp_path / "outputs").rglob("MedQ-Chance_MedQBench_Perception_mini_score.json"))
