"""The cache of raw replies: what comes back, what survives, and what earlier versions left."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import DIMENSIONS, Task
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.judge import JudgeOptions, build_judge, replies
from medqbench_vlmeval.judge.cache import FILE_NAME, ReplyCache, Row, default_folder
from medqbench_vlmeval.judge.calls import Reply
from medqbench_vlmeval.judge.judges import build_extractor
from medqbench_vlmeval.types import Prediction, Sample
from tests.judge.asking import ask, scores
from tests.servers import JudgeServer

EARLIER = Path(__file__).parent / "data" / "cache_before_raw_replies.sqlite3"


def row(key: str, text: str = "Score: 2", judge: str = "j", protocol: str = "rubric") -> Row:
    return key, protocol, judge, Reply((text,), "j-2026", 100, 5)


def test_what_was_added_is_found_by_the_next_run(tmp_path: Path) -> None:
    reply = Reply(("no idea", None, "{}\ud83d\n"), "m", 7, 3)
    with ReplyCache(tmp_path / "new" / "folder") as cache:
        cache.add([("a", "rubric-joint", "j", reply), row("b", "Score: 0")])
        cache.add([row("b", "Score: 1")])
    with ReplyCache(tmp_path / "new" / "folder") as cache:
        assert cache.get("a") == reply
        assert cache.get("b") == Reply(("Score: 1",), "j-2026", 100, 5)
        assert cache.get("c") is None
        assert cache.info().n == 2


@settings(max_examples=50)
@given(st.lists(st.none() | st.text(), max_size=3), st.text(), st.integers(0, 10**9))
def test_any_reply_comes_back_as_it_was(tmp_path_factory, texts: list[str | None], model: str, tokens: int) -> None:
    reply = Reply(tuple(texts), model, tokens, tokens)
    with ReplyCache(tmp_path_factory.mktemp("cache")) as cache:
        cache.add([("k", "rubric", "j\ud83d", reply)])
        assert cache.get("k") == reply


def test_clearing_takes_all_or_one_judge_or_one_protocol_in_all_rounds(tmp_path: Path) -> None:
    with ReplyCache(tmp_path) as cache:
        protocols = ("official", "official-5", "rubric", "rubric-3", "rubric-joint", "rubric-joint-2")
        cache.add([row(name, protocol=name) for name in protocols])
        cache.add([row("other", protocol="rubric", judge="other")])
        chosen = [
            ("other", None),
            ("j", "official"),
            (None, "rubric"),
            (None, "rubric-joint-3"),
            (None, "rubric-joint-2"),
        ]
        assert [cache.clear(*names) for names in chosen] == [1, 2, 2, 0, 1]
        assert [group.protocol for group in cache.info().groups] == ["rubric-joint"]
        assert cache.clear() == 1
        assert cache.info().n == 0


@pytest.mark.parametrize(
    "body",
    [
        "{half",
        '{"texts": [], "mood": "good"}',
        b"\x00\xff",
        "[]",
        '{"texts": [5]}',
        '{"texts": ["2"], "prompt_tokens": "x"}',
        '{"texts": ["2"], "served_as": 1}',
    ],
)
def test_a_row_that_is_damaged_or_of_a_later_version_is_asked_again(tmp_path: Path, body: object) -> None:
    with ReplyCache(tmp_path) as cache:
        cache.add([row("a"), row("b")])
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("UPDATE replies SET body = ? WHERE key = 'a'", (body,))
    with ReplyCache(tmp_path) as cache:
        assert cache.get("a") is None
        assert cache.get("b") is not None
        assert cache.info().groups == (("rubric", "j", 2, 100, 5),)


def judged_again(folder: Path, protocol: str, **options: bool) -> dict[str, dict[str, tuple[object, ...]]]:
    """What the cache of the version before says about the two samples that filled it."""
    samples = [Sample(str(i), Task.NO_REFERENCE, None, description=f"Reference {i}.") for i in range(2)]
    predictions = [Prediction(sample.index, f"Answer {sample.index}.") for sample in samples]
    with ReplyCache(folder, **options) as cache:
        judge = build_judge(JudgeOptions("judge-1", "http://h/v1", protocol=protocol, no_calls=True), cache)
        return {
            sample.index: {
                name: (verdict.score, verdict.asks, verdict.explanation, verdict.judge)
                for name, verdict in sample.verdicts.items()
            }
            for sample in judge.judge(samples, predictions)
        }


@pytest.mark.parametrize("options", [{}, {"read_only": True}])
def test_replies_that_an_earlier_version_kept_are_read(tmp_path: Path, options: dict[str, bool]) -> None:
    shutil.copy(EARLIER, tmp_path / FILE_NAME)
    before = (tmp_path / FILE_NAME).read_bytes()
    for _ in range(2):
        # The first answer got its score at once, the second one when it was asked again.
        assert judged_again(tmp_path, "rubric", **options) == {
            "0": dict.fromkeys(DIMENSIONS, (2, 1, None, "judge-1-served")),
            "1": dict.fromkeys(DIMENSIONS, (1, 2, None, "judge-1-served")),
        }
        # Of the second answer one reply had two of the scores and the next one the others.
        scores = {"completeness": 1, "preciseness": 2, "consistency": 0, "quality_accuracy": 2}
        for index, asks in (("0", 1), ("1", 2)):
            assert judged_again(tmp_path, "rubric-joint", **options)[index] == {
                name: (score, asks if name == "completeness" else 0, f"why {name}", "judge-1-served")
                for name, score in scores.items()
            }
        with ReplyCache(tmp_path, **options) as cache:
            extractor = build_extractor(JudgeOptions("ext", "http://h/v1", no_calls=True), cache)
            sample = Sample("q", Task.PERCEPTION, "Q?", options={"A": "Noise", "B": "Motion blur"}, answer="B")
            assert extractor.read([(sample, "blurry I guess")])["q"].score == 2
            assert [group[:3] for group in cache.info().groups] == [
                ("choice", "ext", 1), ("rubric", "judge-1", 8), ("rubric-joint", "judge-1", 2)
            ]  # fmt: skip
    assert ((tmp_path / FILE_NAME).read_bytes() == before) is bool(options)


@pytest.mark.parametrize(
    "change",
    [
        "PRAGMA user_version = 7",
        "ALTER TABLE replies DROP COLUMN created",
        "ALTER TABLE replies RENAME COLUMN body TO said",
        "CREATE TABLE new (key TEXT PRIMARY KEY, protocol, judge, body, created, mood TEXT NOT NULL);"
        "DROP TABLE replies; ALTER TABLE new RENAME TO replies",
        "CREATE TABLE new (key, protocol, judge, body, created); DROP TABLE replies; ALTER TABLE new RENAME TO replies",
    ],
)
def test_a_file_of_another_schema_is_set_aside_once(tmp_path: Path, caplog, change: str) -> None:
    with ReplyCache(tmp_path) as cache:
        cache.add([row("a")])
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.executescript(change)
    with ReplyCache(tmp_path, read_only=True) as cache:
        assert cache.get("a") is None
    caplog.clear()
    with ReplyCache(tmp_path) as cache:
        assert cache.get("a") is None
        cache.add([row("b")])
    (aside,) = tmp_path.glob("*.other-schema-*.sqlite3")
    assert "another version of this package" in caplog.text and aside.name in caplog.text
    caplog.clear()
    with ReplyCache(tmp_path) as cache:
        assert cache.get("b") is not None
    assert caplog.text == ""
    assert [*tmp_path.glob("*.other-schema-*.sqlite3")] == [aside]


def test_more_columns_that_may_stay_empty_do_no_harm(tmp_path: Path, caplog) -> None:
    with ReplyCache(tmp_path) as cache:
        cache.add([row("a")])
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.executescript("PRAGMA user_version = 0; ALTER TABLE replies ADD COLUMN mood TEXT")
    with ReplyCache(tmp_path) as cache:
        cache.add([row("b")])
        assert None not in (cache.get("a"), cache.get("b"))
    assert caplog.text == ""


@pytest.mark.parametrize("options", [{}, {"read_only": True}])
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: path.mkdir(), "a folder"),
        (os.mkfifo, "a pipe"),
        (lambda path: path.symlink_to("/dev/null"), "dev"),
    ],
)
def test_what_is_no_file_is_refused_by_name(tmp_path: Path, make, kind: str, options: dict[str, bool]) -> None:
    make(tmp_path / FILE_NAME)
    with pytest.raises(BadInput, match=rf"judge_verdicts.sqlite3 is .*{kind}.* MEDQBENCH_JUDGE_CACHE"):
        ReplyCache(tmp_path, **options)


def test_a_better_reader_reads_paid_replies_for_nothing(tmp_path: Path, monkeypatch) -> None:
    with JudgeServer("My verdict: deux") as server, ReplyCache(tmp_path) as cache:
        (paid,), (again,) = ask(server, store=cache), ask(server, store=cache, no_calls=True)
        monkeypatch.setattr(replies, "parse_score", lambda text: 2 if "deux" in text else None)
        (read,) = ask(server, store=cache, no_calls=True)
    assert scores(paid) == scores(again) == dict.fromkeys(DIMENSIONS)
    assert scores(read) == dict.fromkeys(DIMENSIONS, 2)
    assert len(server.requests) == 4 * 3


@pytest.mark.parametrize("damage", ["no database", "overwritten middle", "cut"])
def test_a_damaged_file_is_set_aside_whole(tmp_path: Path, caplog, damage: str) -> None:
    path = tmp_path / FILE_NAME
    with ReplyCache(tmp_path) as cache:
        cache.add([row(f"{number:040d}", "words " * 50) for number in range(400)])
    whole = path.read_bytes()
    path.write_bytes(
        {
            "no database": b"half of a journal\n" * 1000,
            "overwritten middle": whole[: 4096 * 2] + b"\xff" * (len(whole) - 4096 * 2),
            "cut": whole[: len(whole) // 2],
        }[damage]
    )
    spoiled = path.read_bytes()
    with caplog.at_level(logging.WARNING), ReplyCache(tmp_path) as cache:
        replies = [cache.get(f"{number:040d}") for number in range(400)]
        cache.add([row("new")])
        assert cache.get("new") is not None
    assert set(replies) <= {None, Reply(("words " * 50,), "j-2026", 100, 5)}
    [aside] = tmp_path.glob("*.damaged-*.sqlite3")
    assert aside.read_bytes() == spoiled
    assert caplog.text.count("is damaged") == 1
    with ReplyCache(tmp_path) as cache:
        assert cache.get("new") is not None


NO_DATABASE = b"no database" * 1000


@pytest.mark.parametrize(
    ("before", "n"), [(None, 0), (None, 0), (None, 0), (EARLIER.read_bytes(), 11), (NO_DATABASE, 0)]
)
def test_many_stores_open_and_share_one_file(tmp_path: Path, caplog, before: bytes | None, n: int) -> None:
    """A new file, one of an earlier version, which one of them takes over, and a damaged one, which one sets aside."""
    if before is not None:
        (tmp_path / FILE_NAME).write_bytes(before)
    together = threading.Barrier(8)

    def add(part: int) -> None:
        together.wait()
        with ReplyCache(tmp_path) as cache:
            for number in range(10):
                cache.add([row(f"{part}-{number}")])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))
    with ReplyCache(tmp_path) as cache:
        assert cache.info().n == n + 80
    assert len(list(tmp_path.glob("*.damaged-*.sqlite3"))) == (before == NO_DATABASE)
    assert (caplog.text == "") is (before != NO_DATABASE)


def test_a_folder_that_cannot_be_made_costs_a_warning(tmp_path: Path, caplog) -> None:
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING), ReplyCache(tmp_path / "file" / "cache") as cache:
        cache.add([row("a")])
        assert cache.get("a") is None
        assert cache.info().n == 0
    assert caplog.text.count("cannot be written") == 1


def test_a_lock_that_lasts_costs_a_warning_and_goes_by(tmp_path: Path, caplog) -> None:
    with caplog.at_level(logging.WARNING), ReplyCache(tmp_path, patience=0.05) as cache:
        other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        cache.add([row("a")])
        cache.add([row("b")])
        other.close()
        cache.add([row("c")])
    assert caplog.text.count("cannot be written (database is locked)") == 1
    with ReplyCache(tmp_path) as cache:
        assert [cache.get(key) is not None for key in "abc"] == [False, False, True]


READ_ONLY = """
import os, sys, logging
from pathlib import Path
logging.basicConfig(format="%(message)s")
from medqbench_vlmeval.judge.cache import ReplyCache
from medqbench_vlmeval.judge.calls import Reply
folder = Path(sys.argv[1])
with ReplyCache(folder) as cache:
    cache.add([("a", "p", "j", Reply(("r",), "j"))])
import encodings.idna, json
folder.chmod(0o555)
for part in folder.iterdir():
    part.chmod(0o444)
if os.getuid() == 0:
    os.setresuid(65534, 65534, 65534)
with ReplyCache(folder) as cache:
    print(cache.get("a").texts)
    cache.add([("b", "p", "j", Reply(("s",), "j"))])
    print(cache.get("b"))
"""


@pytest.mark.skipif(os.name == "nt", reason="permissions")
def test_a_folder_that_may_only_be_read_still_gives_its_replies(tmp_path: Path) -> None:
    # pytest's own folder is private to its user; root becomes another user in the child.
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    cache = tmp_path / "cache"
    cache.mkdir()
    done = subprocess.run([sys.executable, "-c", READ_ONLY, str(cache)], capture_output=True, text=True, timeout=60)
    cache.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["('r',)", "None"]
    assert done.stderr.count("cannot be written") == 1


FULL = """
import logging, resource, signal, sys
from pathlib import Path
logging.basicConfig(format="%(message)s")
from medqbench_vlmeval.judge import JudgeOptions, build_judge
from medqbench_vlmeval.judge.cache import ReplyCache
from medqbench_vlmeval.types import Prediction, Sample
from medqbench_vlmeval.benchmark import Task
import aiohttp
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
samples = [Sample(str(i), Task.NO_REFERENCE, None, description=f"reference {i}") for i in range(100)]
predictions = [Prediction(sample.index, f"answer {sample.index}") for sample in samples]
with ReplyCache(Path(sys.argv[1])) as cache:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    judged = build_judge(JudgeOptions("j", sys.argv[2], protocol="rubric", nproc=16), cache).judge(samples, predictions)
    print(sum(verdict.score for one in judged for verdict in one.verdicts.values()))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="limits")
def test_a_full_disk_costs_a_warning_and_no_verdict(tmp_path: Path) -> None:
    with JudgeServer("word " * 100 + "\nScore: 2") as server:
        command = [sys.executable, "-c", FULL, str(tmp_path), server.base_url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert len(server.requests) == 400
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "800"
    assert done.stderr.count("cannot be written") == 1
    with ReplyCache(tmp_path) as cache:
        assert 0 < cache.info().n < 400


@pytest.mark.parametrize(("content", "warnings"), [(None, 0), (b"", 1), (b"garbage " * 5000, 1)])
def test_a_view_of_nothing_or_of_a_damaged_file_is_empty(
    tmp_path: Path, caplog, content: bytes | None, warnings: int
) -> None:
    folder = tmp_path / "cache"
    if content is not None:
        folder.mkdir()
        (folder / FILE_NAME).write_bytes(content)
    with caplog.at_level(logging.WARNING), ReplyCache(folder, read_only=True) as view:
        assert view.info().n == 0
        assert [view.get(key) for key in ("a", "b")] == [None, None]
        view.add([])
    assert caplog.text.count("cannot be read") == warnings
    assert folder.exists() == (content is not None)
    if content is not None:
        assert [path.name for path in folder.iterdir()] == [FILE_NAME]
        assert (folder / FILE_NAME).read_bytes() == content


def test_the_folder_comes_from_the_environment(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEDQBENCH_JUDGE_CACHE", str(tmp_path / "named"))
    assert default_folder() == tmp_path / "named"
    monkeypatch.delenv("MEDQBENCH_JUDGE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert default_folder() == tmp_path / "medqbench"
