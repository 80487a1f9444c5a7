"""Write the unified diffs of ``patches/`` from kits that are not patched.

    python scripts/make_patches.py KIT_DIR NAME [KIT_DIR NAME ...]

KIT_DIR holds ``vlmeval``; NAME is the diff's file name without its ending. The blocks themselves live in
``medqbench_vlmeval.kit.patching``, which ``medqbench patch`` uses; the diffs are for upstream and for readers.
"""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

from medqbench_vlmeval.kit.patching import HOOKS, State, check

PATCHES = Path(__file__).resolve().parent.parent / "patches"


def diff_of(root: Path) -> str:
    """The diff that ``git apply`` and ``patch -p1`` take in ``root``."""
    parts = []
    for target in check(root):
        if target.state is not State.CLEAN:
            raise SystemExit(f"{target.path}: {target.state.value} {target.why}")
        before = target.path.read_text(encoding="utf-8")
        after = before + target.hook.block.decode()
        parts += difflib.unified_diff(
            before.splitlines(keepends=True),
            after.splitlines(keepends=True),
            f"a/{target.hook.file}",
            f"b/{target.hook.file}",
            n=1,
        )
    return "".join(parts)


def main(arguments: list[str]) -> None:
    if not arguments or len(arguments) % 2:
        raise SystemExit(__doc__)
    for root, name in zip(arguments[::2], arguments[1::2], strict=True):
        target = PATCHES / f"{name}.patch"
        target.write_text(diff_of(Path(root)), encoding="utf-8")
        print(f"{target}: {len(HOOKS)} files")


if __name__ == "__main__":
    main(sys.argv[1:])
