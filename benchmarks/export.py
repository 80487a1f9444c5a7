"""``data export`` of a data file with base64 images: the first time, and with its images in the store.

    python -m benchmarks.export [MEGABYTES]

'added' is the peak memory above what the process had before, with ``datasets`` imported (Linux).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.loading import measured, write_table
from benchmarks.machine import machine

EXPORT = """
import datasets, pyarrow.parquet
from pathlib import Path
from medqbench_vlmeval.workflows.export import export
def job():
    return len(export(path, Path(path).with_suffix(".{number}")))
"""


def main(megabytes: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        path, store = Path(name) / "medqbench_QA_test.tsv", Path(name) / "store"
        store.mkdir()
        n = write_table(path, megabytes)
        print(machine())
        print(f"{megabytes} MiB, {n} images")
        for number, when in enumerate(("first", "again")):
            seconds, memory = measured(EXPORT.replace("{number}", str(number)), path, store)
            print(f"{when}: {seconds:.1f} s, {memory:.0f} MiB added")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 628)
