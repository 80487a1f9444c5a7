from __future__ import annotations

import hashlib
import json
import logging
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.judge.cache import FILE_NAME, Entry, VerdictStore, VerdictStoreView, default_folder, size_limit
from medqbench_vlmeval.judge.calls import Judgement


def entry(key: str, score: int = 2, reply: str = "Score", judge: str = "j", protocol: str = "rubric") -> Entry:
    return Entry(key, protocol, judge, Judgement({"completeness": score}, reply, "j-2026", 1, 100, 5))


def test_what_was_added_is_found_by_the_next_run(tmp_path: Path) -> None:
    kept = Judgement({"completeness": 1, "preciseness": 2}, "{}\ud83d\n", "m", 2, 7, 3, {"completeness": "why"})
    with VerdictStore(tmp_path / "new" / "folder") as store:
        store.add([Entry("a", "rubric-joint", "j", kept), entry("b", 0)])
    with VerdictStore(tmp_path / "new" / "folder") as store:
        assert store.get("a") == kept
        assert store.get("b").scores == {"completeness": 0}
        assert store.get("c") is None


@settings(max_examples=50)
@given(st.text(), st.text(), st.integers(0, 10**9))
def test_any_reply_comes_back_as_it_was(tmp_path_factory, reply: str, model: str, tokens: int) -> None:
    kept = Judgement({"consistency": 1}, reply, model, 1, tokens, tokens)
    with VerdictStore(tmp_path_factory.mktemp("store")) as store:
        store.add([Entry("k", "rubric", "j", kept)])
        assert store.get("k") == kept


def test_a_later_answer_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    with VerdictStore(tmp_path) as store:
        store.add([entry("a", 0)])
        store.add([entry("a", 1)])
        assert store.get("a").scores == {"completeness": 1}
        assert store.info().n == 1


def test_info_counts_answers_and_tokens_by_protocol_and_judge(tmp_path: Path) -> None:
    with VerdictStore(tmp_path, limit=10**9) as store:
        store.add([entry("a"), entry("b"), entry("c", judge="other"), entry("d", protocol="official")])
        info = store.info()
    assert (info.n, info.limit_bytes, info.path) == (4, 10**9, tmp_path / FILE_NAME)
    assert info.bytes > 0
    assert info.groups == (("official", "j", 1, 100, 5), ("rubric", "j", 2, 200, 10), ("rubric", "other", 1, 100, 5))


def test_clearing_takes_all_or_one_judge_or_one_protocol(tmp_path: Path) -> None:
    with VerdictStore(tmp_path) as store:
        store.add([entry("a"), entry("b", judge="other"), entry("c", protocol="official"), entry("d")])
        assert store.clear(judge="other") == 1
        assert store.clear(judge="j", protocol="official") == 1
        assert store.get("a") is not None
        assert store.clear() == 2
        assert store.info().n == 0


def test_clearing_a_protocol_takes_all_of_its_rounds_and_no_other_protocol(tmp_path: Path) -> None:
    with VerdictStore(tmp_path) as store:
        protocols = ("official", "official-5", "rubric", "rubric-3", "rubric-joint", "rubric-joint-2")
        store.add([entry(name, protocol=name) for name in protocols])
        assert store.clear(protocol="official") == 2
        assert store.clear(protocol="rubric") == 2
        assert store.clear(protocol="rubric-joint-3") == 0
        assert [group[0] for group in store.info().groups] == ["rubric-joint", "rubric-joint-2"]
        assert store.clear(protocol="rubric-joint-2") == 1


def test_an_edited_row_is_asked_again(tmp_path: Path) -> None:
    with VerdictStore(tmp_path) as store:
        store.add([entry("a", 0), entry("b", 0)])
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("UPDATE judgements SET body = replace(body, '\"completeness\": 0', '\"completeness\": 2')")
        connection.execute("UPDATE judgements SET body = replace(body, ': 2', ': 0') WHERE key = 'b'")
    with VerdictStore(tmp_path) as store:
        assert store.get("a") is None
        assert store.damaged == 1


def test_the_longest_unused_answers_go_when_the_limit_is_reached(tmp_path: Path, caplog) -> None:
    n, limit = 1000, 1_000_000
    with VerdictStore(tmp_path, limit=10**9) as store:
        store.add([entry(f"key-{number:04d}", reply="x" * 1800) for number in range(n)])
    with VerdictStore(tmp_path, limit=10**9) as store:
        assert store.info().bytes > 1.9 * limit
        used = [f"key-{number:04d}" for number in range(100)]
        assert all(store.get(key) for key in used)
    with caplog.at_level(logging.WARNING), VerdictStore(tmp_path, limit=limit) as store:
        assert store.get("key-0999") is not None
    assert 0.7 * limit < (tmp_path / FILE_NAME).stat().st_size <= limit
    with VerdictStore(tmp_path, limit=10**9) as store:
        assert all(store.get(key) for key in [*used, "key-0999"])
        assert store.get("key-0100") is None
    assert "used longest ago were removed" in caplog.text


@pytest.mark.parametrize("damage", ["no database", "overwritten middle", "cut"])
def test_a_damaged_file_is_set_aside_and_saved_from(tmp_path: Path, caplog, damage: str) -> None:
    path = tmp_path / FILE_NAME
    n = 400
    with VerdictStore(tmp_path) as store:
        store.add([entry(f"{number:040d}", number % 3, "words " * 50) for number in range(n)])
    before = path.read_bytes()
    if damage == "no database":
        path.write_bytes(b"half of a journal\n" * 1000)
    elif damage == "overwritten middle":
        middle = len(before) // 2
        path.write_bytes(before[: 4096 * 3] + b"\xff" * 8192 + before[4096 * 5 : middle] + before[middle:])
    else:
        path.write_bytes(before[: len(before) // 2])
    spoiled = path.read_bytes()
    with caplog.at_level(logging.WARNING), VerdictStore(tmp_path) as store:
        found = [store.get(f"{number:040d}") for number in range(n)]
        store.add([entry("new")])
        assert store.get("new") is not None
    assert all(one is None or one.scores == {"completeness": i % 3} for i, one in enumerate(found))
    if aside := list(tmp_path.glob("*.damaged-*.sqlite3")):
        assert aside[0].read_bytes() == spoiled
        assert "is damaged" in caplog.text
    if damage == "no database":
        assert aside
        assert not any(found)
    else:
        assert sum(one is not None for one in found) > n // 10


def test_a_folder_that_cannot_be_made_costs_a_warning(tmp_path: Path, caplog) -> None:
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING), VerdictStore(tmp_path / "file" / "cache") as store:
        store.add([entry("a")])
        assert store.get("a") is None
        assert store.info().n == 0
    assert caplog.text.count("cannot be written") == 1


READ_ONLY = """
import os, sys, logging
from pathlib import Path
logging.basicConfig(format="%(message)s")
from medqbench_vlmeval.judge.cache import Entry, VerdictStore
from medqbench_vlmeval.judge.calls import Judgement
folder = Path(sys.argv[1])
with VerdictStore(folder) as store:
    store.add([Entry("a", "p", "j", Judgement({"completeness": 2}, "r", "j"))])
import encodings.idna, json
folder.chmod(0o555)
for part in folder.iterdir():
    part.chmod(0o444)
if os.getuid() == 0:
    os.setresuid(65534, 65534, 65534)
with VerdictStore(folder) as store:
    print(store.get("a").scores)
    store.add([Entry("b", "p", "j", Judgement({"completeness": 1}, "r", "j"))])
    print(store.get("b"))
"""


@pytest.mark.skipif(os.name == "nt", reason="permissions")
def test_a_folder_that_may_only_be_read_still_gives_its_answers(tmp_path: Path) -> None:
    # pytest's own folder is private to its user; root becomes another user in the child.
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    cache = tmp_path / "cache"
    cache.mkdir()
    done = subprocess.run([sys.executable, "-c", READ_ONLY, str(cache)], capture_output=True, text=True, timeout=60)
    cache.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["{'completeness': 2}", "None"]
    assert done.stderr.count("cannot be written") == 1


FULL = """
import logging, resource, signal, sys
from pathlib import Path
logging.basicConfig(format="%(message)s")
from medqbench_vlmeval.judge import JudgeOptions, build_judge
from medqbench_vlmeval.judge.cache import VerdictStore
from medqbench_vlmeval.types import Prediction, Sample
from medqbench_vlmeval.benchmark import Task
import openai
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
samples = [Sample(str(i), Task.NO_REFERENCE, None, description=f"reference {i}") for i in range(100)]
predictions = [Prediction(sample.index, f"answer {sample.index}") for sample in samples]
with VerdictStore(Path(sys.argv[1])) as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    judged = build_judge(JudgeOptions("j", sys.argv[2], protocol="rubric", nproc=16), store).judge(samples, predictions)
    print(sum(verdict.score for one in judged for verdict in one.verdicts.values()))
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="limits")
def test_a_full_disk_costs_a_warning_and_no_verdict(tmp_path: Path) -> None:
    from tests.servers import JudgeServer

    with JudgeServer("word " * 100 + "\nScore: 2") as server:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path), server.base_url],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert len(server.requests) == 400
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "800"
    assert done.stderr.count("cannot be written") == 1
    with VerdictStore(tmp_path) as store:
        assert 0 < store.info().n < 400


@pytest.mark.parametrize("attempt", range(5))
def test_many_stores_open_and_share_one_new_file(tmp_path: Path, caplog, attempt: int) -> None:
    together = threading.Barrier(8)

    def add(part: int) -> None:
        together.wait()
        with VerdictStore(tmp_path) as store:
            for number in range(10):
                store.add([entry(f"{part}-{number}")])

    threads = [threading.Thread(target=add, args=(part,)) for part in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with VerdictStore(tmp_path) as store:
        assert store.info().n == 80
    assert "cannot be written" not in caplog.text


def test_of_many_that_meet_the_same_damage_one_mends_it(tmp_path: Path, caplog) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 1000)
    together = threading.Barrier(6)

    def add(part: int) -> None:
        together.wait()
        with VerdictStore(tmp_path) as store:
            store.add([entry(str(part))])

    threads = [threading.Thread(target=add, args=(part,)) for part in range(6)]
    with caplog.at_level(logging.WARNING):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with VerdictStore(tmp_path) as store:
        assert store.info().n == 6
    assert len(list(tmp_path.glob("*.damaged-*.sqlite3"))) == 1


def test_the_folder_and_the_limit_come_from_the_environment(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEDQBENCH_JUDGE_CACHE", str(tmp_path / "named"))
    assert default_folder() == tmp_path / "named"
    monkeypatch.delenv("MEDQBENCH_JUDGE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert default_folder() == tmp_path / "medqbench"
    assert size_limit() == 2048 * 2**20
    monkeypatch.setenv("MEDQBENCH_JUDGE_CACHE_MB", "1.5")
    assert size_limit() == 1_572_864
    for text in ("many", "0", "-1", "nan", "inf"):
        monkeypatch.setenv("MEDQBENCH_JUDGE_CACHE_MB", text)
        with pytest.raises(BadInput, match="MEDQBENCH_JUDGE_CACHE_MB"):
            size_limit()


def test_a_row_is_plain_json(tmp_path: Path) -> None:
    with VerdictStore(tmp_path) as store:
        store.add([entry("a")])
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        ((body,),) = connection.execute("SELECT body FROM judgements").fetchall()
    assert json.loads(body)["scores"] == {"completeness": 2}


def locked(folder: Path) -> sqlite3.Connection:
    """A connection that holds the file against all writers."""
    connection = sqlite3.connect(folder / FILE_NAME, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    return connection


def test_answers_wait_while_another_process_holds_the_file(tmp_path: Path, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        with VerdictStore(tmp_path, patience=0.05) as store:
            other = locked(tmp_path)
            store.add([entry("a")])
            store.add([entry("b")])
            assert store.get("a") is None
            other.close()
        assert [line for line in caplog.messages if "cannot be written (database is locked)" in line]
        assert "2 answers that waited are kept" in caplog.text
        with VerdictStore(tmp_path) as store:
            assert store.info().n == 2


def test_a_file_that_was_locked_takes_answers_again_within_the_run(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("medqbench_vlmeval.judge.cache._TRY_AGAIN_AFTER", 0.0)
    with VerdictStore(tmp_path, patience=0.05) as store:
        other = locked(tmp_path)
        store.add([entry("a")])
        other.close()
        store.add([entry("b")])
        with VerdictStore(tmp_path) as another:
            assert another.info().n == 2


def test_a_file_that_stays_locked_costs_a_warning_that_counts(tmp_path: Path, caplog) -> None:
    with VerdictStore(tmp_path):
        other = locked(tmp_path)
        with caplog.at_level(logging.WARNING), VerdictStore(tmp_path, patience=0.05) as store:
            store.add([entry("a"), entry("b")])
        other.close()
    assert caplog.text.count("cannot be written") == 1
    assert "2 answers could not be kept" in caplog.text


@pytest.mark.skipif(os.name == "nt", reason="a file in use cannot be deleted there")
@pytest.mark.parametrize("how", ["file", "folder", "another in its place"])
def test_a_file_that_is_taken_away_during_a_run_is_made_again(tmp_path: Path, caplog, how: str) -> None:
    folder = tmp_path / "cache"
    with VerdictStore(folder) as store:
        store.add([entry("old"), entry("used")])
    with caplog.at_level(logging.WARNING), VerdictStore(folder) as store:
        assert store.get("used") is not None
        store.add([entry("a")])
        if how == "file":
            (folder / FILE_NAME).unlink()
        elif how == "folder":
            shutil.rmtree(folder)
        else:
            (tmp_path / "other").write_bytes(b"garbage " * 5000)
            (tmp_path / "other").replace(folder / FILE_NAME)
        store.add([entry("b")])
        store.add([entry("c")])
    assert caplog.text.count("was deleted or moved") == 1
    with VerdictStore(folder) as store:
        assert all(store.get(key) for key in ("used", "a", "b", "c"))


def test_a_later_versions_answer_is_asked_again(tmp_path: Path) -> None:
    with VerdictStore(tmp_path) as store:
        store.add([entry("a")])
    body = json.dumps({"scores": {}, "reply": "", "judge": "j", "mood": "good"})
    checksum = hashlib.sha256(f"a\0{body}".encode()).hexdigest()[:16]
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("UPDATE judgements SET body = ?, checksum = ?", (body, checksum))
    with VerdictStore(tmp_path) as store:
        assert store.get("a") is None


def test_damaged_rows_are_counted_without_tokens(tmp_path: Path) -> None:
    with VerdictStore(tmp_path) as store:
        store.add([entry("a"), entry("b")])
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("UPDATE judgements SET body = '{half' WHERE key = 'a'")
    with VerdictStore(tmp_path) as store:
        assert store.info().groups == (("rubric", "j", 2, 100, 5),)


def test_a_file_that_cannot_be_read_is_said_and_left_alone(tmp_path: Path, caplog) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"garbage " * 5000)
    with caplog.at_level(logging.WARNING), VerdictStoreView(tmp_path) as store:
        assert store.info().n == 0
        assert [store.get(key) for key in ("a", "b")] == [None, None]
    assert caplog.text.count("cannot be read") == 1
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
