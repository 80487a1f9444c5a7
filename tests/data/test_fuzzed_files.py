"""Ten thousand generated files: each is read as what it says, or refused by name; nothing else happens.

One process takes them all. What is read satisfies the invariants of samples (an index of its own, an answer among the
options, images that are there and can be decoded), and its cells are those that the csv module reads. What is refused
is refused with BadInput that names the file, and the row where it is one row's fault. No file outside of the data's
folder and the image store is opened or written, nothing is left behind, and memory stays bounded.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from medqbench_vlmeval.benchmark import Task, registry
from medqbench_vlmeval.data.check import check
from medqbench_vlmeval.data.download import LOCK_NAME, read_lock
from medqbench_vlmeval.data.image_store import ImageStore, is_content_name
from medqbench_vlmeval.data.samples import load_table
from medqbench_vlmeval.data.table import TableReader
from medqbench_vlmeval.errors import BadInput, MedQBenchError
from medqbench_vlmeval.files import opened
from medqbench_vlmeval.predictions import read_predictions, samples_from_table
from medqbench_vlmeval.report.leaderboard.board import add, read_entries
from medqbench_vlmeval.runs.files import read_runs
from tests.data.fuzzing import (
    WATCH,
    Table,
    as_book,
    as_delimited,
    as_json,
    as_json_lines,
    as_parquet,
    furnish,
    image_bytes,
    in_bytes,
    spoiled,
    spoiled_json,
    tables,
)
from tests.make import combined_run, degraded_run, perception_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # decoders warn of most of these files
    pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc"),
]

FILES = {"tables": 3_000, "commas": 1_000, "formats": 2_000, "images": 2_000, "predictions": 2_000}
A_BATCH = 20
MOST_MIB = 900  # an image that is taken may announce 179 million pixels

# What is said of a file as a whole; all else has to name a row or a line.
OF_THE_FILE = re.compile(
    r" is empty| is UTF-16| has a header but no rows|: the header (?:row is not UTF-8|names the column)"
    r"|: no column |: the columns (?:fit no task|do not tell)|: the column '.*' belongs to pairs|: the name of column "
    r"| is not UTF-8 text| is not whole JSON| cannot be read as JSON| is a JSON object| holds \w+, not a list"
    r"|: its columns have different|: rows \d+ and \d+ have| is not a whole \.xlsx| is not an \.xlsx|: its XML is "
    r"| cannot be read as Parquet| unpacks to | has [\d,]+ (?:columns|problems)|: some indexes carry| mixes ",
    re.DOTALL,
)
LIBRARIES = (sys.prefix, sys.base_prefix, "/proc/", str(Path(__file__).parents[2] / "medqbench_vlmeval"))


def peak() -> int:
    return int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))[0]) >> 10


class Place:
    """A folder for generated files beside what they may and may not name, and a tally of what became of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = furnish(root)
        self.known = set(self.folder.rglob("*"))
        self.ends: Counter[str] = Counter()
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        self.before = peak()

    def read(self, path: Path, reader: Callable[[], object]) -> object | None:
        """What the reader gives; None where it refuses the file as it should."""
        said, value = None, None
        with WATCH.over():
            try:
                value = reader()
            except BadInput as error:
                said = str(error)
        assert [name for name in WATCH.written if not name.startswith(f"{self.root}/lmu")] == []
        allowed = (f"{self.folder}/", f"{self.root}/lmu/", str(registry()), *LIBRARIES)
        assert [name for name in WATCH.opened if not name.startswith(allowed)] == []
        self.ends["read" if said is None else "refused"] += 1
        if said is None:
            return value
        assert said.startswith(str(path)), said
        assert len(said) < 1_500, said
        rest = said.removeprefix(str(path))
        assert re.match(r", (?:row|line) \d+", rest) or OF_THE_FILE.match(rest), said
        return None

    def check(self, n: int) -> None:
        """See that so many files were read or refused, that both happened, and that nothing is left."""
        assert self.ends.total() >= n
        assert min(self.ends["read"], self.ends["refused"]) > n // 10, self.ends
        assert peak() - self.before < MOST_MIB
        assert {path for path in self.root.rglob("*") if path.suffix in (".tmp", ".part")} == set()
        for path in (self.root / "lmu").rglob("*"):
            if path.is_file() and path.parent.name != "tables":
                assert is_content_name(path.name), path
                if hashlib.sha256(path.read_bytes()).hexdigest() != path.stem:  # named after what it was made from
                    with Image.open(path, formats=("PNG", "TIFF")) as opened:
                        opened.load()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("LMUData", str(tmp_path / "lmu"))
    monkeypatch.setattr(logging.getLogger("pydicom"), "disabled", True)
    monkeypatch.setattr(os, "fsync", lambda number: None)  # a crash of the machine is no part of this test
    return Place(tmp_path)


def fuzz(n: int, one: Callable[[Table, Random], None], more: tuple[str, ...] = ()) -> None:
    """Call ``one`` with a sound table and a source of chance, for ``n`` files."""

    @settings(max_examples=n // A_BATCH, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(tables(more), st.randoms(use_true_random=True))
    def batch(sound: Table, random: Random) -> None:
        for _ in range(A_BATCH):
            one(sound, random)

    batch()


def check_samples(place: Place, path: Path) -> None:
    loaded = place.read(path, lambda: load_table(path, None, ImageStore.default()))
    if loaded is None:
        return
    samples, source = loaded
    assert len({sample.index for sample in samples}) == len(samples) == source.n > 0
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    for sample in samples:
        assert sample.index
        assert sample.index == sample.index.strip()
        assert len(sample.images) in {Task.NO_REFERENCE: (1,), Task.COMPARATIVE: (2,)}.get(sample.task, range(1, 101))
        if sample.task.is_choice:
            assert sample.answer in sample.options
            assert len(sample.options) > 1
        for image in sample.images:
            inside = image.is_relative_to(place.root / "lmu") and is_content_name(image.name)
            assert inside or image.resolve().is_relative_to(place.folder), image
            with Image.open(image) as opened:
                opened.load()


def check_cells(place: Place, path: Path, delimiter: str) -> None:
    """The cells are what the csv module reads."""

    def cells() -> list[list[str]]:
        with opened(path) as source:
            table = TableReader(path, source, delimiter.encode())
            return [
                list(table.header),
                *([table.text(row, at) for at in range(len(row.cells))] for row in table.rows()),
            ]

    ours = place.read(path, cells)
    if ours is None:
        return
    try:
        text = io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")
    except UnicodeDecodeError:
        return  # a quote between two bytes of one character, which the cell has whole
    header, *rows = csv.reader(text, delimiter=delimiter)
    blank = ([], [""]) if len(header) > 1 else ()
    assert ours == [[name.strip() for name in header], *(row or [""] for row in rows if row not in blank)]


def test_tables_are_read_as_the_csv_module_reads_them_or_refused(place: Place) -> None:
    def one(sound: Table, random: Random) -> None:
        path = place.folder / "t.tsv"
        path.write_bytes(in_bytes(as_delimited(spoiled(sound, random), random, "\t"), random))
        check_samples(place, path)
        check_cells(place, path, "\t")

    fuzz(FILES["tables"], one)
    place.check(2 * FILES["tables"])


def test_commas_too(place: Place) -> None:
    def one(sound: Table, random: Random) -> None:
        path = place.folder / "t.csv"
        path.write_bytes(in_bytes(as_delimited(spoiled(sound, random), random, ","), random))
        check_cells(place, path, ",")

    fuzz(FILES["commas"], one)
    place.check(FILES["commas"])


def test_other_formats_are_read_or_refused(place: Place) -> None:
    writers = {"t.jsonl": as_json_lines, "t.parquet": as_parquet, "t.csv": partial(as_delimited, delimiter=",")}

    def one(sound: Table, random: Random) -> None:
        name = random.choice(("t.jsonl", "t.parquet", "t.parquet", "t.csv"))
        path = place.folder / name
        path.write_bytes(in_bytes(writers[name](spoiled(sound, random), random), random))
        check_samples(place, path)
        path.unlink()

    fuzz(FILES["formats"], one)
    place.check(FILES["formats"])


def test_data_check_tells_all_of_it(place: Place) -> None:
    def one(sound: Table, random: Random) -> None:
        path = place.folder / "t.tsv"
        path.write_bytes(in_bytes(as_delimited(spoiled(sound, random), random, "\t"), random))
        checked = place.read(path, lambda: check(str(path)))
        if checked is not None:
            assert checked.n or checked.errors
            assert all(len(line) < 1_500 for line in (*checked.errors, *checked.notes))

    fuzz(FILES["commas"], one)
    place.check(FILES["commas"])


def test_images_are_whole_or_refused(place: Place) -> None:
    path, image = place.folder / "t.tsv", place.folder / "x.img"

    def one(sound: Table, random: Random) -> None:
        image.write_bytes(image_bytes(random))
        path.write_bytes(b"index\tdescription\timage_path\n1\tSharp.\tx.img\n")
        check_samples(place, path)

    fuzz(FILES["images"], one)
    place.check(FILES["images"])


def test_predictions_are_read_or_refused(place: Place) -> None:
    writers = {
        "p.tsv": lambda table, random: as_delimited(table, random, "\t"),
        "p.csv": lambda table, random: as_delimited(table, random, ","),
        "p.json": as_json,
        "p.jsonl": as_json_lines,
        "p.xlsx": as_book,
    }

    def one(sound: Table, random: Random) -> None:
        name = random.choice(list(writers))
        path = place.folder / name
        path.write_bytes(in_bytes(writers[name](spoiled(sound, random), random), random))
        table = place.read(path, lambda: read_predictions(path))
        if table is None:
            return
        indexes = [prediction.index for prediction in table.predictions]
        assert len(set(indexes)) == len(indexes) == len(table.rows) > 0
        assert all(row.keys() == set(table.columns) for row in table.rows)
        known = place.read(path, lambda: samples_from_table(table))
        if known is not None:
            assert [sample.index for sample in known.samples] == indexes

    fuzz(FILES["predictions"], one, ("prediction",))
    place.check(FILES["predictions"])


LOCK = {"files": [{"repository": "a/b", "name": "x.tsv", "commit": "0" * 40, "size": 7, "sha256": "0" * 64}]}


@pytest.mark.parametrize("made", [perception_run, combined_run, degraded_run])
def test_the_packages_own_files_are_read_or_refused_by_name(tmp_path: Path, monkeypatch, made) -> None:
    monkeypatch.setattr(os, "fsync", lambda number: None)
    run = made(tmp_path / "run")
    add(tmp_path / "board", [run.result])
    score, lines = (paths.read_text(encoding="utf-8") for paths in (run.paths.score, run.paths.samples))
    board = next((tmp_path / "board").glob("*.json"))
    sound = json.loads(score), [json.loads(line) for line in lines.splitlines()], json.loads(board.read_text()), LOCK
    lock = tmp_path / LOCK_NAME
    readers = (
        (run.paths.score.parent, lambda: read_runs([run.paths.score.parent])),
        (run.paths.score.parent, lambda: read_runs([run.paths.score.parent])),
        (board, lambda: read_entries(board)),
        (lock, lambda: read_lock(tmp_path)),
    )
    random = Random(5)
    for _ in range(300):
        at = random.randrange(4)
        values = [spoiled_json(value, random) if place == at else value for place, value in enumerate(sound)]
        for path, value in ((run.paths.score, values[0]), (board, values[2]), (lock, values[3])):
            path.write_text(json.dumps(value), encoding="utf-8")
        run.paths.samples.write_text("\n".join(map(json.dumps, values[1])), encoding="utf-8")
        path, reader = readers[at]
        try:
            reader()
        except MedQBenchError as error:
            assert str(path) in str(error)
            assert len(str(error)) < 1_500


def test_they_are_ten_thousand() -> None:
    assert sum(FILES.values()) >= 10_000
