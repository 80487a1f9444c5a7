"""Patches of VLMEvalKit: the unified diffs of ``patches/``, applied to and taken back from a kit's own files, all or
none. ``NAME.KITS.patch`` is ``NAME.patch`` for kits whose lines differ. A hunk counts where its lines stand exactly
once in a file. The state is read off the files: what was killed half way is finished or taken back by the next call."""

from __future__ import annotations

import re
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import cache
from hashlib import sha256
from pathlib import Path

from medqbench_vlmeval.errors import BadInput, did_you_mean
from medqbench_vlmeval.files import check_writable, replacing, writing
from medqbench_vlmeval.kit_version import require_kit

_ADVICE = "the kit is as it was"


class State(str, Enum):
    """What a kit's files look like to a patch; of the diffs of one name the first in this order counts."""

    APPLIED = "patched"
    PARTIAL = "half patched"
    CLEAN = "not patched"
    THERE = "already there"
    UNKNOWN = "unknown"
    ABSENT = "not needed"


@dataclass(frozen=True)
class Hunk:
    """Whole lines of a file, before and after; ``at_end`` where no line follows them."""

    file: str
    before: bytes
    after: bytes
    at_end: bool

    def turned(self) -> Hunk:
        """The way back."""
        return Hunk(self.file, self.after, self.before, self.at_end)

    def replaced_in(self, content: bytes) -> bytes | None:
        """``content`` with the lines after in place of those before, in its line ends; None unless these stand once."""
        for end in (b"\n", b"\r\n"):
            lines, old = b"\n" + content, b"\n" + self.before.replace(b"\n", end)
            place = lines.find(old)
            rest = content[place + len(old) - 1 :]
            if place >= 0 and lines.rfind(old) == place and not (self.at_end and rest):
                return content[:place] + self.after.replace(b"\n", end) + rest
        return None

    def state_in(self, content: bytes) -> State:
        """Whether the lines after stand there, those before, or neither."""
        if self.turned().replaced_in(content) is not None:
            return State.APPLIED
        return State.UNKNOWN if self.replaced_in(content) is None else State.CLEAN


@dataclass(frozen=True)
class Patch:
    """A diff of ``patches/``. ``present`` are files and texts in them that tell of such a change of the kit's own."""

    name: str
    title: str
    hunks: tuple[Hunk, ...]
    present: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PatchState:
    """What a kit is to a patch; ``why`` says what is unknown, missing, or whose the change is."""

    patch: Patch
    state: State
    why: str = ""


@cache
def patches() -> dict[str, list[Patch]]:
    """By name the diffs that this package brings, one for each family of kits."""
    # A wheel has them beside this file, a checkout beside the package.
    inside, beside = (Path(__file__).parents[up].glob("patches/*.patch") for up in (0, 2))
    by_name: dict[str, list[Patch]] = {}
    for path in sorted([*inside] or beside, key=lambda path: path.stem):
        patch = parse(path.name.partition(".")[0], path.read_text(encoding="utf-8"))
        by_name.setdefault(patch.name, []).append(patch)
    return by_name


def parse(name: str, text: str) -> Patch:
    """The patch in a text, whose first line is its title; the diffs in it have lines of context, or are at an end."""
    head, *parts = re.split(r"^--- .*\n\+\+\+ b/(.*)\n", text, flags=re.MULTILINE)
    hunks = []
    for file, diff in zip(parts[::2], parts[1::2], strict=True):
        for body in re.split(r"^@@ .*\n", diff, flags=re.MULTILINE)[1:]:
            # A line after one that ends the file without a newline says so.
            lines = re.sub(r"\n\\ .*\n", "\0\n", body).split("\n")[:-1]
            tagged = [(line[:1], f"{line[1:]}\n".replace("\0\n", "")) for line in lines]
            before, after = ("".join(line for tag, line in tagged if tag != other).encode() for other in "+-")
            hunks.append(Hunk(file, before, after, at_end=tagged[-1][0] in ("+", "-")))
    present = re.findall(r"^Present-if: (\S+) holds (.+)$", head, re.MULTILINE)
    return Patch(name, head.partition("\n")[0], tuple(hunks), tuple(present))


def kit_and_names(words: Sequence[str]) -> tuple[Path, list[str]]:
    """The folder of a kit (see :func:`kit_root`) and the patches that these words name. BadInput for another word."""
    others = [word for word in words if word not in patches()]
    if len(others) > 1:
        known = ", ".join(patches())
        raise BadInput(f"'{others[1]}' is no patch; there are {known}.{did_you_mean(others[1], patches())}")
    return kit_root(Path(others[0]) if others else None), [word for word in words if word in patches()]


def kit_root(kit_dir: Path | None) -> Path:
    """The folder that holds ``vlmeval``, which ``kit_dir`` is or may be. Raises BadInput where that is no VLMEvalKit;
    MissingDependency for None where no kit is installed."""
    if kit_dir is None:
        return require_kit().root
    for root in (kit_dir, kit_dir.absolute().parent):
        files = (root / "vlmeval" / file for file in ("__init__.py", "config.py", "dataset/__init__.py"))
        if (root == kit_dir or kit_dir.absolute().name == "vlmeval") and all(path.is_file() for path in files):
            return root
    ways = f"give a checkout's folder, the folder that holds 'vlmeval', or a patch ({', '.join(patches())})"
    raise BadInput(f"{kit_dir} holds no VLMEvalKit; {ways}.")


def check(root: Path, names: Collection[str] = ()) -> list[PatchState]:
    """Look at what each patch concerns, or each of those ``names``; nothing is changed."""
    wanted = [diffs for name, diffs in patches().items() if not names or name in names]
    return [min((_look(root, diff) for diff in diffs), key=lambda one: [*State].index(one.state)) for diffs in wanted]


def _place(root: Path, file: str) -> Path:
    """Where a kit has a file of a diff; its runner is in the package, or beside it in a checkout."""
    inside = root / "vlmeval" / file
    return inside if file == "run.py" and inside.is_file() else root / file


def _look(root: Path, patch: Patch) -> PatchState:
    files = {hunk.file: _place(root, hunk.file) for hunk in patch.hunks}
    for file, path in files.items():
        if not path.is_file():
            return PatchState(patch, State.ABSENT, f"this kit has no {file}")
        if not path.resolve().is_relative_to(root.resolve()):
            return PatchState(patch, State.UNKNOWN, f"{path} is a link that leads out of the kit")
    contents = {file: path.read_bytes() for file, path in files.items()}
    states = {hunk: hunk.state_in(contents[hunk.file]) for hunk in patch.hunks}
    found = set(states.values())
    if State.UNKNOWN not in found:
        if found == {State.APPLIED} and _is_delivered(root, files.values()):
            return PatchState(patch, State.THERE, "the kit came with it")
        return PatchState(patch, State.PARTIAL if len(found) > 1 else found.pop())
    held = [text.encode() in contents[file] for file, text in patch.present]
    if held and all(held) and State.APPLIED not in found:
        return PatchState(patch, State.THERE, "the kit has a change of its own for this")
    hunk = next(hunk for hunk, state in states.items() if state is State.UNKNOWN)
    line = next(line.strip() for line in hunk.before.decode().splitlines() if line.strip())
    why = f"{files[hunk.file]} is not as any known kit has it around '{line}'; it was modified, or is newer"
    return PatchState(patch, State.UNKNOWN, why)


def _is_delivered(root: Path, paths: Iterable[Path]) -> bool:
    """Whether files are as their makers delivered them: as in git's last commit, or as a wheel's record has them."""
    files = [path.relative_to(root).as_posix() for path in paths]
    if (root / ".git").exists():
        command = ["git", "-C", str(root), "status", "--porcelain", "--ignored", "--", *files]
        with suppress(OSError, subprocess.CalledProcessError):
            return not subprocess.run(command, capture_output=True, check=True).stdout  # noqa: S603 - git itself
        return False
    hashes = (urlsafe_b64encode(sha256((root / file).read_bytes()).digest()).decode().rstrip("=") for file in files)
    lines = [f"{file},sha256={digest}," for file, digest in zip(files, hashes, strict=True)]
    records = [path.read_text(encoding="utf-8") for path in root.glob("*vlmeval-*.dist-info/RECORD")]
    return any(all(line in record for line in lines) for record in records)


def apply(root: Path, names: Collection[str] = (), dry_run: bool = False) -> dict[Path, tuple[bytes, bytes]]:
    """Patch all files that all patches, or those ``names``, concern, or none; returns the bytes before and after of
    what was changed, or would be. Raises BadInput where a file is unknown; RunFailed where one cannot be written."""
    return _change(root, names, dry_run, State.CLEAN)


def revert(root: Path, names: Collection[str] = (), dry_run: bool = False) -> dict[Path, tuple[bytes, bytes]]:
    """Take patches back again, from all files or from none (see :func:`apply`)."""
    return _change(root, names, dry_run, State.APPLIED)


def _change(root: Path, names: Collection[str], dry_run: bool, wanted: State) -> dict[Path, tuple[bytes, bytes]]:
    changes: dict[Path, tuple[bytes, bytes]] = {}
    for one in check(root, names):
        if one.state is State.UNKNOWN:
            raise BadInput(f"Nothing changed: patch '{one.patch.name}' does not know the kit (others may). {one.why}.")
        for hunk in one.patch.hunks if one.state in (State.PARTIAL, wanted) else ():
            path = _place(root, hunk.file).resolve()
            before, content = changes.get(path) or (path.read_bytes(),) * 2
            if hunk.state_in(content) is wanted:
                changes[path] = before, (hunk if wanted is State.CLEAN else hunk.turned()).replaced_in(content) or b""
    if not dry_run:
        _write(root, changes)
    return changes


def _write(root: Path, changes: Mapping[Path, tuple[bytes, bytes]]) -> None:
    for place in {path.parent for path in changes} | changes.keys():
        check_writable(place, _ADVICE)
    with writing(root, _ADVICE):
        for left_behind in (*root.glob(".run.py.*.tmp"), *root.glob("vlmeval/**/.*.py.*.tmp")):
            left_behind.unlink()  # by a call that was killed
    try:
        for path, (_, after) in changes.items():
            with writing(path, _ADVICE):
                _put(path, after)
    except BaseException:
        for path, (before, _) in changes.items():
            if path.read_bytes() != before:
                _put(path, before)
        raise


def _put(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)
        temporary.chmod(path.stat().st_mode)
