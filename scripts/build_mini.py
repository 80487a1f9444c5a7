"""Rebuild the embedded set: ``python scripts/build_mini.py [FOLDER]`` (needs the extra ``synth``)."""

from __future__ import annotations

import sys
from pathlib import Path

from medqbench_vlmeval.synth import write_mini

HOME = Path(__file__).resolve().parent.parent / "medqbench_vlmeval" / "data" / "mini"


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else HOME
    written = write_mini(out)
    size = sum(path.stat().st_size for path in written)
    print(f"{len(written)} files, {size / 1e6:.2f} MB in {out}")


if __name__ == "__main__":
    main()
