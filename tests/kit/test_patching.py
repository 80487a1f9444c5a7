"""Patches of the kit: what they do to its files, on copies of the installed kit and of older ones."""

import base64
import difflib
import hashlib
import os
import runpy
import shutil
import signal
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.kit import patching
from medqbench_vlmeval.kit.patching import State, apply, check, kit_and_names, kit_root, parse, patches, revert
from medqbench_vlmeval.kit_version import require_kit
from tests.commands import run

PATCHES = Path(__file__).resolve().parents[2] / "patches"
NAMES = ["dataset-prompt", "exit-code", "gloo", "image-bytes", "plugins", "redact-keys"]
OLD = ("0.0.18", "0.0.19")


def copy_kit(source, target, whole=False):
    """A copy of a kit, unpatched: ``whole`` for one that runs, else what patches concern."""
    if whole:
        shutil.copytree(source / "vlmeval", target / "vlmeval")
    files = {hunk.file for diffs in patches().values() for patch in diffs for hunk in patch.hunks}
    for file in files | {"vlmeval/run.py", "vlmeval/__init__.py"}:
        if (source / file).is_file():
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / file, target / file)
    revert(target)
    return target


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda number: None)  # no test cuts the power
    return copy_kit(require_kit().root, tmp_path / "kit")


def contents(root):
    return {path: path.read_bytes() for path in sorted(root.rglob("*.py"))}


def states(root, *names):
    return {looked.patch.name: looked.state for looked in check(root, names)}


def runner(root):
    return next(path for path in (root / "vlmeval/run.py", root / "run.py") if path.is_file())


def test_apply_and_revert_give_the_bytes_back(root):
    before = contents(root)
    assert states(root) == dict.fromkeys(NAMES, State.CLEAN)
    would = apply(root, dry_run=True)
    assert contents(root) == before
    changed = apply(root)
    assert would == changed
    assert len(changed) == 9
    assert states(root) == dict.fromkeys(NAMES, State.APPLIED)
    patched = contents(root)
    assert {path for path in patched if patched[path] != before[path]} == set(changed)
    assert apply(root) == {}
    assert contents(root) == patched
    assert revert(root).keys() == changed.keys()
    assert contents(root) == before
    assert revert(root) == {}


@pytest.mark.parametrize("name", NAMES)
def test_each_patch_by_itself(root, name):
    before = contents(root)
    for path, (_, content) in apply(root, [name]).items():
        compile(content, path, "exec")
    assert states(root) == {**dict.fromkeys(NAMES, State.CLEAN), name: State.APPLIED}
    apply(root)
    revert(root, [name])
    assert states(root) == {**dict.fromkeys(NAMES, State.APPLIED), name: State.CLEAN}
    revert(root)
    assert contents(root) == before


def test_foreign_lines_windows_line_ends_and_modes_stay(root):
    for number, path in enumerate(contents(root)):
        lines = path.read_bytes().splitlines()
        lines[0:0] = [b"# mine", b"# and mine"]
        lines[len(lines) // 2 : len(lines) // 2] = [b"", b"# mine too"] if lines[len(lines) // 2] == b"" else []
        path.write_bytes(b"".join(line + b"\r\n" for line in lines))
        path.chmod([0o644, 0o600, 0o755][number % 3])
    before, modes = contents(root), {path: path.stat().st_mode for path in contents(root)}
    assert len(apply(root)) == 9
    assert all(b"\n" not in content.replace(b"\r\n", b"") for content in contents(root).values())
    assert states(root) == dict.fromkeys(NAMES, State.APPLIED)
    revert(root)
    assert contents(root) == before
    assert {path: path.stat().st_mode for path in before} == modes


@pytest.mark.parametrize(
    ("file", "old", "new", "unknown"),
    [
        ("vlmeval/config.py", "    supported_VLM.update(grp)\n", "    supported_VLM.update(grp)\nx = 1\n", "plugins"),
        ("vlmeval/config.py", "    supported_VLM.update(grp)\n", "    supported_VLM.update(grp)", "plugins"),
        ("vlmeval/config.py", None, "", "plugins"),
        ("run.py", "backend='nccl'", "backend='mpi'", "gloo"),
        ("run.py", "No valid datasets to evaluate.", "Nothing.", "exit-code"),
        ("vlmeval/inference_api.py", "and model.use_custom_prompt(dataset_name)\n", "\n", "dataset-prompt"),
        ("vlmeval/smp/log.py", "import logging\n", "import logging as logging\n", "redact-keys"),
        ("vlmeval/smp/vlm.py", "def encode_image_to_base64(", "def encode(", "image-bytes"),
    ],
)
def test_what_is_not_known_is_left_alone(root, file, old, new, unknown):
    path = runner(root) if file == "run.py" else root / file
    text = path.read_text(encoding="utf-8")
    assert old is None or old in text
    path.write_text(new if old is None else text.replace(old, new), encoding="utf-8", newline="")
    before = contents(root)
    assert states(root) == {**dict.fromkeys(NAMES, State.CLEAN), unknown: State.UNKNOWN}
    for action in (apply, revert):
        with pytest.raises(
            BadInput, match=f"^Nothing changed: patch '{unknown}' does not know the kit \\(others may\\). {path}"
        ):
            action(root)
    assert contents(root) == before
    others = [name for name in NAMES if name != unknown]
    apply(root, others)
    revert(root, others)
    assert contents(root) == before


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["keep", "drop", "add"])), max_size=12), st.booleans())
def test_any_diff_goes_on_and_comes_off(runs, windows):
    """Runs of lines that are kept, dropped and added, no line twice; the diff is the standard library's."""
    lines = [("head\n", "keep")]
    lines += [(f"line {at} {number}\n", what) for at, (n, what) in enumerate(runs) for number in range(n)]
    before, after = ([line for line, what in lines if what != other] for other in ("add", "drop"))
    patch = parse("any", "Any\n\n" + "".join(difflib.unified_diff(before, after, "a/any.py", "b/any.py", n=1)))
    old, new = ("".join(text).replace("\n", "\r\n" if windows else "\n").encode() for text in (before, after))
    foreign = b"# foreign\n"
    content = foreign + old
    for hunk in patch.hunks:
        assert hunk.state_in(content) is State.CLEAN
        content = hunk.replaced_in(content)
        assert hunk.state_in(content) is State.APPLIED
    assert content == foreign + new
    for hunk in patch.hunks:
        content = hunk.turned().replaced_in(content)
    assert content == foreign + old


def test_a_diff_whose_trailing_blanks_an_editor_has_cut_is_the_same():
    for path in sorted(PATCHES.glob("*.patch")):
        text = path.read_text(encoding="utf-8")
        assert parse("any", text) == parse("any", "".join(f"{line.rstrip(' ')}\n" for line in text.splitlines()))


def test_lines_that_stand_twice_are_not_known(root):
    path = root / "vlmeval" / "inference_api.py"
    path.write_bytes(path.read_bytes() * 2)
    assert states(root, "dataset-prompt") == {"dataset-prompt": State.UNKNOWN}


def test_something_behind_the_plugins_block(root):
    apply(root, ["plugins"])
    path = root / "vlmeval" / "dataset" / "__init__.py"
    path.write_bytes(path.read_bytes() + b"x = 1\n")
    with pytest.raises(BadInput, match="it was modified, or is newer"):
        revert(root)


def test_what_the_kit_has_already_is_not_touched(root):
    """By another text in the same place; as it came, by git or by a wheel's record."""
    path = runner(root)
    path.write_text(path.read_text(encoding="utf-8").replace("backend='nccl'", "backend=choose('gloo', 'nccl')"))
    before = contents(root)
    assert states(root, "gloo") == {"gloo": State.THERE}
    assert apply(root, ["gloo"]) == revert(root, ["gloo"]) == {}
    assert contents(root) == before


def test_what_git_has_is_the_kits_own(root):
    apply(root, ["dataset-prompt"])
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert states(root, "dataset-prompt") == {"dataset-prompt": State.APPLIED}
    subprocess.run([*git, "add", "vlmeval/inference_api.py"], check=True)
    subprocess.run([*git, "commit", "-qm", "merged"], check=True)
    assert states(root, "dataset-prompt") == {"dataset-prompt": State.THERE}
    assert revert(root, ["dataset-prompt"]) == {}


def test_what_a_wheels_record_has_is_the_kits_own(root):
    apply(root, ["dataset-prompt"])
    info = root / "ms_vlmeval-9.dist-info"
    info.mkdir()
    content = (root / "vlmeval/inference_api.py").read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
    (info / "RECORD").write_text(f"vlmeval/inference_api.py,sha256={digest},{len(content)}\n")
    assert states(root, "dataset-prompt") == {"dataset-prompt": State.THERE}
    (info / "RECORD").write_text(f"vlmeval/inference_api.py,sha256={digest[::-1]},{len(content)}\n")
    assert states(root, "dataset-prompt") == {"dataset-prompt": State.APPLIED}


def test_folders_without_a_kit_and_words_that_are_no_patch(root, tmp_path, monkeypatch):
    (tmp_path / "vlmeval").mkdir()
    (tmp_path / "vlmeval" / "__init__.py").touch()
    for place in (tmp_path / "vlmeval", tmp_path, tmp_path / "nowhere"):
        with pytest.raises(BadInput, match="holds no VLMEvalKit"):
            kit_root(place)
    assert kit_root(root) == kit_root(root / "vlmeval") == root
    monkeypatch.chdir(root / "vlmeval")
    assert kit_root(Path()) == root
    assert kit_and_names(["gloo", str(root), "plugins"]) == (root, ["gloo", "plugins"])
    with pytest.raises(BadInput, match=r"'glo' is no patch; .* Did you mean 'gloo'\?"):
        kit_and_names([str(root), "glo"])
    with pytest.raises(BadInput, match=r"glo holds no VLMEvalKit; give .* or a patch"):
        kit_and_names(["glo"])


def test_links_out_of_the_kit_are_not_followed(root, tmp_path):
    outside = tmp_path / "elsewhere.py"
    path = root / "vlmeval" / "config.py"
    path.rename(outside)
    path.symlink_to(outside)
    before = outside.read_bytes()
    with pytest.raises(BadInput, match=r"config\.py is a link that leads out of the kit"):
        apply(root)
    assert outside.read_bytes() == before
    inside = root / "vlmeval" / "real_config.py"
    path.unlink()
    outside.rename(inside)
    path.symlink_to(inside)
    apply(root)
    assert path.is_symlink()
    assert b"vlmeval.models" in inside.read_bytes()


@pytest.mark.parametrize("place", ["vlmeval/smp/status_report.py", "vlmeval/smp"])
def test_read_only_files_and_folders_are_refused_before_anything_is_written(root, place):
    path, before = root / place, contents(root)
    mode = stat.S_IMODE(path.stat().st_mode)
    path.chmod(mode & ~0o222)
    with pytest.raises(RunFailed, match=rf"{place} cannot be written \(it is read-only\); the kit is as it was"):
        apply(root)
    path.chmod(mode)
    assert contents(root) == before


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_write_that_fails_puts_back_what_was_changed(root, monkeypatch, interrupted):
    """What a full disk, or rights that the bits do not show, would do, or who interrupts, at each of the nine files."""
    before, put = contents(root), patching._put
    for place in range(9):
        calls = iter(range(100))

        def failing(path, content, calls=calls, place=place):
            fails = next(calls) == place
            if fails and not interrupted:
                raise OSError(28, "No space left on device")
            put(path, content)
            if fails:
                raise KeyboardInterrupt

        monkeypatch.setattr(patching, "_put", failing)
        with pytest.raises(KeyboardInterrupt if interrupted else RunFailed):
            apply(root)
        assert contents(root) == before


def test_keys_are_masked_and_nothing_else(root, monkeypatch):
    apply(root, ["redact-keys"])
    redact = runpy.run_path(str(root / "vlmeval/smp/log.py"))["redact"]
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.setenv("OTHER_TOKEN", "canary-token")
    monkeypatch.setattr(sys, "argv", ["run.py", "--note=monkey", "--data", "a_key", "MME", "--judge-key", "k3y"])
    kept = {"skip_reason": "", "data": ["--data", "a_key", "MME"], "n": 1, "note": "k3yboard"}
    assert redact(kept) == kept
    assert redact({"argv": sys.argv, "said": "with canary-token"}) == {
        "argv": ["run.py", "--note=monkey", "--data", "a_key", "MME", "--judge-key", "***"],
        "said": "with ***",
    }


_KILLED = """
import os, signal, sys
from pathlib import Path
from medqbench_vlmeval.kit import patching
rest, put = int(sys.argv[2]), Path.replace
def replace(self, target):
    global rest
    rest -= 1
    if rest < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return put(self, target)
Path.replace = replace
patching.apply(Path(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("n_files", [0, 6])
def test_a_killed_call_is_finished_or_taken_back_by_the_next(root, n_files):
    before = contents(root)
    for end in (apply, revert):
        killed = subprocess.run([sys.executable, "-c", _KILLED, str(root), str(n_files)], timeout=60)
        assert killed.returncode == -signal.SIGKILL
        assert list(root.rglob("*.tmp"))
        assert len({path for path, content in contents(root).items() if content != before[path]}) == n_files
        assert (State.PARTIAL in states(root).values()) == (n_files == 6)
        end(root)
        assert set(states(root).values()) == {State.APPLIED if end is apply else State.CLEAN}
        # With nothing to write there is nothing to look for.
        assert not list(root.rglob("*.tmp")) or n_files == 0
        revert(root)
        assert contents(root) == before


def test_the_commands(root, capsys):
    before = contents(root)

    def says(*words, code=0):
        ended, out, err = run(capsys, "patch", *words)
        assert ended == code, err
        return out.splitlines() or err

    lines = says("check", root)
    assert lines[0] == f"kit           {root.resolve()}"
    assert "not patched   gloo            Run torchrun on machines without a GPU" in lines
    said = says("apply", root, "gloo", "--dry-run")
    assert said[0] == f"would be patched  {runner(root)}"
    assert "+            backend='nccl' if torch.cuda.is_available() else 'gloo'," in said
    assert contents(root) == before
    assert says("apply", root, "gloo") == [f"patched           {runner(root)}"]
    assert says("apply", root, "gloo")[0].startswith("Nothing was to be done")
    assert says("check", root, "gloo")[1].startswith("patched       gloo")
    runner(root).write_bytes(runner(root).read_bytes().replace(b"torch.cuda", b"torch.xpu"))
    assert says("check", root, "gloo", code=0)[1].startswith("already there gloo")
    runner(root).write_bytes(b"")
    assert says("check", root, "gloo", code=1)[1].startswith("unknown       gloo")
    assert "Nothing changed: patch 'exit-code' does not know" in says("apply", root, code=2)


def test_what_an_earlier_version_patched_is_the_plugins_patch(root):
    """Its blocks were appended to two files."""
    before = contents(root)
    for file, group in (("dataset/__init__.py", "vlmeval.datasets"), ("config.py", "vlmeval.models")):
        path = root / "vlmeval" / file
        block = f"""

# Plugins: call what installed packages declare under the entry-point group '{group}'.
def _load_plugins():
    import warnings
    from importlib.metadata import entry_points
    for plugin in entry_points(group='{group}'):
        try:
            plugin.load()()
        except Exception as err:
            warnings.warn(f'Plugin {{plugin.value}} could not be loaded: {{type(err).__name__}}: {{err}}')


_load_plugins()
"""
        path.write_bytes(path.read_bytes() + block.encode())
    assert states(root) == {**dict.fromkeys(NAMES, State.CLEAN), "plugins": State.APPLIED}
    revert(root)
    assert contents(root) == before


def wheel(folder, requirement):
    """A wheel from the package registry, without what it needs, unpacked; the test is skipped where there is none."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--no-binary=:none:",
        "-d",
        folder,
        requirement,
    ]
    if subprocess.run(command, capture_output=True, timeout=300).returncode:
        pytest.skip(f"{requirement} cannot be downloaded")
    (archive,) = folder.glob("*.whl")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder / "kit")
    return folder / "kit"


def applied_by(tool, root):
    """What ``git apply`` or ``patch`` makes of a kit with the diffs that ``check`` takes for it."""
    taken = {looked.patch for looked in check(root) if looked.state is State.CLEAN}
    for path in sorted(PATCHES.glob("*.patch")):
        if parse(path.name.partition(".")[0], path.read_text(encoding="utf-8")) in taken:
            folder = runner(root).parent if "+++ b/run.py" in path.read_text(encoding="utf-8") else root
            command = ["git", "apply", path] if tool == "git" else ["patch", "-p1", "-s", "-F0", "-i", path]
            subprocess.run(command, cwd=folder, check=True, env={**os.environ, "GIT_CEILING_DIRECTORIES": str(root)})


@pytest.mark.slow
@pytest.mark.parametrize("version", [None, *OLD])
def test_the_diffs_are_those_of_git_and_patch_and_come_off_again(tmp_path, version):
    """On the installed kit and on older ones."""
    source = wheel(tmp_path, f"ms-vlmeval=={version}") if version else require_kit().root
    root = copy_kit(source, tmp_path / "copy")
    before = contents(root)
    assert states(root) == {**dict.fromkeys(NAMES, State.CLEAN)} | ({"dataset-prompt": State.ABSENT} if version else {})
    for tool in ("git", "patch"):
        if shutil.which(tool) is None:
            continue
        copy = tmp_path / tool
        shutil.copytree(root, copy)
        applied_by(tool, copy)
        assert set(states(copy).values()) <= {State.APPLIED, State.ABSENT}
        by_tool = {path.relative_to(copy): content for path, content in contents(copy).items()}
        apply(root)
        assert {path.relative_to(root): content for path, content in contents(root).items()} == by_tool
        revert(root)
        assert contents(root) == before
    for path, (_, content) in apply(root).items():
        compile(content, path, "exec")


@pytest.mark.slow
def test_a_wheel_that_was_really_built_brings_the_patches(root, tmp_path):
    repository = PATCHES.parent
    source = tmp_path / "source"
    for name in ("medqbench_vlmeval", "patches"):
        shutil.copytree(repository / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "mini"))
    for path in repository.glob("*.*"):
        if path.is_file():
            shutil.copy2(path, source / path.name)
    # The sdist first, and of that the wheel.
    build = [sys.executable, "-m", "build", "--outdir", tmp_path / "dist", source]
    # What is installed may be too old to build with; then the registry's is taken.
    done = subprocess.run([*build, "--no-isolation"], capture_output=True, text=True, timeout=300)
    if done.returncode:
        done = subprocess.run(build, capture_output=True, text=True, timeout=300)
    if "No matching distribution" in done.stdout + done.stderr:
        pytest.skip("setuptools cannot be downloaded")
    assert done.returncode == 0, done.stderr[-2000:]
    (archive,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path / "site")
    command = [sys.executable, "-m", "medqbench_vlmeval", "patch", "apply", root]
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert states(root) == dict.fromkeys(NAMES, State.APPLIED)
