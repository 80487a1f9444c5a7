"""Patches that let VLMEvalKit discover plugins by entry points.

Neither supported kit has a plugin mechanism. The patch appends a short block to two of its modules: after it,
``vlmeval.dataset`` calls what packages declare under the entry-point group ``vlmeval.datasets``, and
``vlmeval.config`` what they declare under ``vlmeval.models``. A file is only touched when its end is known,
all files or none are changed, and ``revert`` gives the original bytes back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.files import replacing, writing
from medqbench_vlmeval.kit_version import require_kit


class State(str, Enum):
    """What a file of a kit looks like to this patch."""

    CLEAN = "not patched"
    APPLIED = "patched"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Hook:
    """A block for the end of one kit module. ``last_line`` is what a known, unpatched module ends with."""

    file: str
    group: str
    last_line: str

    @property
    def block(self) -> bytes:
        """The appended text; it needs nothing but the standard library and never breaks the kit's import."""
        return f"""

# Plugins: call what installed packages declare under the entry-point group '{self.group}'.
def _load_plugins():
    import warnings
    from importlib.metadata import entry_points
    for plugin in entry_points(group='{self.group}'):
        try:
            plugin.load()()
        except Exception as err:
            warnings.warn(f'Plugin {{plugin.value}} could not be loaded: {{type(err).__name__}}: {{err}}')


_load_plugins()
""".encode()


HOOKS = (
    Hook(
        "vlmeval/dataset/__init__.py", "vlmeval.datasets", "__all__.extend([cls.__name__ for cls in DATASET_CLASSES])"
    ),
    Hook("vlmeval/config.py", "vlmeval.models", "    supported_VLM.update(grp)"),
)


@dataclass(frozen=True)
class FileState:
    """A kit file and its state; ``why`` says what is unknown about it."""

    path: Path
    hook: Hook
    state: State
    why: str = ""


def kit_root(kit_dir: Path | None) -> Path:
    """The folder that holds ``vlmeval``: a checkout, a ``site-packages``, or the package folder itself. Raises BadInput
    where ``kit_dir`` holds no VLMEvalKit. Raises MissingDependency where no folder was given and no kit is
    installed."""
    if kit_dir is None:
        return require_kit().root
    for root in (kit_dir, kit_dir.parent):
        if (root / "vlmeval" / "__init__.py").is_file() and (root == kit_dir or kit_dir.name == "vlmeval"):
            return root
    raise BadInput(f"{kit_dir} holds no VLMEvalKit; give a checkout's folder or the folder that holds 'vlmeval'.")


def check(root: Path) -> list[FileState]:
    """Look at each file that the patch concerns; nothing is changed."""
    return [_look(root / hook.file, hook) for hook in HOOKS]


def _look(path: Path, hook: Hook) -> FileState:
    if not path.is_file():
        return FileState(path, hook, State.UNKNOWN, "the file is missing")
    content = path.read_bytes()
    rest = content.removesuffix(hook.block)
    as_known, named = rest.endswith(f"{hook.last_line}\n".encode()), hook.group.encode() in rest
    if as_known and not named:
        return FileState(path, hook, State.CLEAN if rest == content else State.APPLIED)
    why = f"its last line is not '{hook.last_line.strip()}'"
    if rest != content:
        why = "the plugin block is there, but what precedes it is not known"
    elif named:
        why = f"it names '{hook.group}' already, in another way"
    return FileState(path, hook, State.UNKNOWN, why)


def apply(root: Path) -> list[Path]:
    """Append the blocks to all files, or to none; returns the files that were changed. Raises BadInput where a file is
    unknown; nothing is changed. Raises RunFailed where a file cannot be written; what was changed before is put
    back."""
    return _change(root, State.CLEAN, lambda content, block: content + block)


def revert(root: Path) -> list[Path]:
    """Take the blocks away again, from all files or from none (see :func:`apply`)."""
    return _change(root, State.APPLIED, bytes.removesuffix)


def _change(root: Path, state: State, changed: Callable[[bytes, bytes], bytes]) -> list[Path]:
    """Change the files that are in a state; ``changed`` gives the new bytes of the old ones and the block."""
    files = check(root)
    for file in files:
        if file.state is State.UNKNOWN:
            raise BadInput(f"{file.path} is left alone: {file.why}. Restore the kit's own file first.")
    done: dict[Path, bytes] = {}
    for file in files:
        if file.state is state:
            before = file.path.read_bytes()
            try:
                with writing(file.path, "the kit is as it was"):
                    _put(file.path, changed(before, file.hook.block))
            except RunFailed:
                for path, original in done.items():
                    _put(path, original)
                raise
            done[file.path] = before
    return list(done)


def _put(path: Path, content: bytes) -> None:
    mode = path.stat().st_mode
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    path.chmod(mode)
