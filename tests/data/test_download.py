"""Files from a server on this machine that speaks the hub's protocol: whole, checked, at a recorded commit."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import Split, Task
from medqbench_vlmeval.data import download as downloads
from medqbench_vlmeval.data import load
from medqbench_vlmeval.data.download import LOCK_NAME, HubFile, fetch, locked_file, read_lock, revision_for
from medqbench_vlmeval.data.sources import download, hub_file, hub_revision_of
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.steps import heard_by
from tests.commands import run
from tests.data.files_hub import FIRST, SECOND, FilesHub, Repository, Store, close_session, point_at
from tests.data.rows import GREEN, RED, Write, description, pair, question
from tests.servers import Sent

REPOSITORY, NAME = "jiyaoliufd/MedQ-Bench", "medqbench_description_test.tsv"
FILE = HubFile(REPOSITORY, NAME)
BYTES = b"index\tdescription\n" + b"1\tSharp.\n" * 60_000  # 540 kB


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("HF_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(time, "sleep", lambda _: None)  # the client waits before it tries again
    yield lambda address: point_at(address, tmp_path / "cache", monkeypatch)
    close_session()


@pytest.fixture
def hub(point: Callable[[str], None]) -> Iterator[FilesHub]:
    with Store() as store, FilesHub(store) as server:
        point(server.address)
        server.repositories[REPOSITORY] = Repository({FIRST: {NAME: BYTES}})
        yield server


def starts(hub: FilesHub) -> list[int]:
    return [asked.start for asked in hub.store.asked if asked.method == "GET"]


def test_a_cut_line_is_taken_up_where_it_broke(hub: FilesHub, tmp_path: Path) -> None:
    hub.store.cuts = [100_000, 50_000]
    told: list[tuple[str, int, int | None, str]] = []
    with heard_by(lambda *step: told.append(step)):
        path, commit = fetch(FILE, "main", tmp_path / "to")
    assert (path.read_bytes(), commit) == (BYTES, FIRST)
    # Of the last 16 KiB what had come is asked for again.
    assert starts(hub) == [0, 6 << 14, 9 << 14]
    assert [file.name for file in path.parent.iterdir()] == [NAME]
    assert told
    assert all(step[:3:2] == (f"downloading {NAME}, MiB", 0) for step in told)


def test_what_an_ended_process_had_is_not_sent_again(
    hub: FilesHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.store.cuts = [200_000, 0, 0, 0, 0, 0, 0]
    with pytest.raises(RunFailed, match="the same command goes on where it stopped"):
        fetch(FILE, "main", tmp_path)
    assert not (tmp_path / NAME).exists()
    hub.store.cuts.clear()
    hub.store.asked.clear()
    assert fetch(FILE, FIRST, tmp_path)[0].read_bytes() == BYTES
    assert starts(hub) == [12 << 14]


def test_a_server_without_ranges_sends_it_all_again(hub: FilesHub, tmp_path: Path) -> None:
    hub.store.takes_ranges, hub.store.cuts = False, [100_000]
    assert fetch(FILE, "main", tmp_path)[0].read_bytes() == BYTES
    # Clients before 1.4 add what comes to what they had, so that it has to come once more.
    assert starts(hub) in ([0, 6 << 14], [0, 6 << 14, 0])


def test_a_server_without_ranges_is_not_asked_for_ever(hub: FilesHub, tmp_path: Path) -> None:
    hub.store.takes_ranges, hub.store.cuts = False, [100_000, len(BYTES)] * 30
    with suppress(RunFailed):  # clients before 1.4
        fetch(FILE, "main", tmp_path)
    assert len(starts(hub)) < 6
    hub.store.cuts.clear()
    assert fetch(FILE, "main", tmp_path)[0].read_bytes() == BYTES


def test_bytes_that_are_not_the_hubs_are_refused(hub: FilesHub, tmp_path: Path) -> None:
    hub.store.files[sha256(BYTES)] = BYTES[:-1] + b"?"
    with pytest.raises(RunFailed, match="damaged on its way") as error:
        fetch(FILE, "main", tmp_path)
    assert sha256(BYTES) in str(error.value)
    assert sha256(BYTES[:-1] + b"?") in str(error.value)
    assert list(tmp_path.glob("*.tsv")) == list(tmp_path.glob(".*.part")) == []
    hub.store.files[sha256(BYTES)] = BYTES
    assert fetch(FILE, "main", tmp_path)[0].read_bytes() == BYTES


GATED = Sent(status=403, headers={"X-Error-Code": "GatedRepo"})
OFTEN = Sent(status=429, headers={"Retry-After": "77"})


@pytest.mark.parametrize(
    ("repository", "error", "words"),
    [
        (
            None,
            BadInput,
            "is not there or not open to you: log in with 'hf auth login' or set HF_TOKEN, or put it into",
        ),
        (
            Repository({}, refusal=GATED),
            BadInput,
            "is open to those whom its owners let in: ask on its page, then",
        ),
        (
            Repository({}, refusal=OFTEN),
            RunFailed,
            "HTTP 429 for .* \\(asked too often; .*\\): try again in 77 s, or put",
        ),
        (
            Repository({}, refusal=Sent(status=503)),
            RunFailed,
            r"\(127.0.0.1\) answers HTTP 503 .*: try again later",
        ),
        (
            Repository({}),
            BadInput,
            "has no revision 'main': correct MEDQBENCH_REVISION or --revision, or put",
        ),
        (
            Repository({FIRST: {}}),
            BadInput,
            "has no such file at revision 'main': look at its page, or put it into",
        ),
    ],
)
def test_every_refusal_is_one_sentence(
    hub: FilesHub, tmp_path: Path, repository: Repository | None, error: type[Exception], words: str
) -> None:
    del hub.repositories[REPOSITORY]
    if repository:
        hub.repositories[REPOSITORY] = repository
    with pytest.raises(error, match=words) as raised:
        fetch(FILE, "main", tmp_path)
    assert NAME in str(raised.value)
    assert ". " not in str(raised.value)
    assert "MEDQBENCH_DATA" not in str(raised.value)


def test_a_login_page_is_told_from_a_hub(hub: FilesHub, tmp_path: Path) -> None:
    hub.repositories[REPOSITORY].refusal = Sent(status=200, body="<html>Please log in")
    with pytest.raises(RunFailed, match="the answer is not a hub's: a login page, a proxy, or a wrong HF_ENDPOINT"):
        fetch(FILE, "main", tmp_path)


def test_an_unreachable_hub_is_asked_once(point: Callable[[str], None], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    point(f"http://user:secret@127.0.0.1:{port}")
    words = r"could not be fetched from the hub \(127.0.0.1; Connect\w*Error: .*\): set HF_ENDPOINT to a mirror"
    with pytest.raises(RunFailed, match=words) as error:
        fetch(FILE, "main")
    assert "secret" not in str(error.value)
    assert "MEDQBENCH_DATA" in str(error.value)


@pytest.mark.parametrize("at", ["hub", "store"])
def test_an_address_that_never_answers_is_given_up(
    hub: FilesHub, point: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    monkeypatch.setattr(downloads, "_ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        if at == "hub":
            point(address)
        else:
            monkeypatch.setattr(Store, "base_url", address)
        with pytest.raises(RunFailed, match=r"TimeoutError: no answer in 0.2 s; HF_HUB_ETAG_TIMEOUT allows more"):
            fetch(FILE, "main", tmp_path)


def test_the_token_goes_to_the_hub_alone(
    hub: FilesHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    code, out, err = run(capsys, "data", "download", "MedQBench_Reasoning_NoReference", "--to", tmp_path)
    assert {asked.token for asked in hub.asked} == {"Bearer hf_secret"}
    assert {asked.token for asked in hub.store.asked} == {None}
    hub.repositories[REPOSITORY].refusal = GATED
    refused = run(capsys, "data", "download", "MedQBench_Perception", "--to", tmp_path)
    written = [path.read_text(encoding="latin-1") for path in tmp_path.iterdir() if path.is_file()]
    assert code == 0
    assert not any("hf_secret" in text for text in (out, err, *map(str, refused), *written))


@pytest.mark.slow
def test_download_records_commit_size_and_hash_and_keeps_to_the_commit(
    hub: FilesHub, tmp_path: Path, write_tsv: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {hub_file(task, Split.TEST).name: write_tsv([row]).read_bytes() for task, row in ROWS.items()}
    new = {name: data.replace(b"sharp", b"blunt").replace(b"image", b"picture") for name, data in old.items()}
    hub.repositories[REPOSITORY] = Repository({FIRST: old, SECOND: new})
    folder = tmp_path / "to"
    code, out, _ = run(capsys, "data", "download", "--to", folder)
    assert code == 0
    assert out.splitlines()[-1].startswith(f"Used by all commands with MEDQBENCH_DATA={folder};")
    lock = json.loads((folder / LOCK_NAME).read_text(encoding="utf-8"))
    assert {file["repository"] for file in lock["files"]} == {REPOSITORY}
    assert {file["name"]: (file["size"], file["sha256"], file["commit"]) for file in lock["files"]} == {
        name: (len(data), sha256(data), FIRST) for name, data in old.items()
    }
    checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True, check=False)
    assert checked.returncode == 0
    assert sorted(checked.stdout.splitlines()) == sorted(f"{name}: OK" for name in old)
    # The branch moves: what is recorded goes on to be fetched, and nothing is asked for files that are there.
    hub.repositories[REPOSITORY].main = SECOND
    hub.asked.clear()
    assert run(capsys, "data", "download", "--to", folder)[0] == 0
    assert hub.asked == []
    (folder / NAME).unlink()
    assert run(capsys, "data", "download", "--to", folder)[0] == 0
    assert (folder / NAME).read_bytes() == old[NAME]
    # From the folder, samples have the recorded commit.
    monkeypatch.setenv("MEDQBENCH_DATA", str(folder))
    source = load("MedQBench_Reasoning_NoReference").sources[Task.NO_REFERENCE]
    assert (source.origin, source.revision, source.sha256) == ("folder", FIRST, sha256(old[NAME]))
    # The folder that MEDQBENCH_DATA names is the default, and --revision changes what is fetched from then on.
    assert run(capsys, "data", "download", "MedQBench_Reasoning_NoReference", "--revision", "main")[0] == 0
    assert (folder / NAME).read_bytes() == new[NAME]
    assert revision_for(REPOSITORY, folder) == SECOND
    assert load("MedQBench_Reasoning_NoReference").sources[Task.NO_REFERENCE].revision == SECOND


ROWS = {Task.PERCEPTION: question("1"), Task.NO_REFERENCE: description("1"), Task.COMPARATIVE: pair("1")}


@pytest.fixture
def folder(hub: FilesHub, tmp_path: Path, write_tsv: Write, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the no-reference test file, downloaded, which MEDQBENCH_DATA names; the hub is gone since."""
    hub.repositories[REPOSITORY].commits[FIRST][NAME] = write_tsv([description("1")]).read_bytes()
    download(["MedQBench_Reasoning_NoReference"], tmp_path / "to")
    hub.repositories.clear()
    monkeypatch.setenv("MEDQBENCH_DATA", str(tmp_path / "to"))
    return tmp_path / "to"


@pytest.mark.parametrize("change", [lambda data: data.replace(b"good", b"poor"), lambda data: data[:-40]])
def test_a_file_that_changed_since_is_refused_where_it_is_loaded(
    folder: Path, change: Callable[[bytes], bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    data = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(change(data))
    both = f"has the sha256 {sha256(change(data))}, and {LOCK_NAME} says {sha256(data)}: it was damaged or changed"
    for read in (
        lambda: load("MedQBench_Reasoning_NoReference"),
        lambda: load(str(folder / NAME)),
        lambda: download(["MedQBench_Reasoning_NoReference"]),
    ):
        with pytest.raises(BadInput, match=both):
            read()
    code, _, err = run(capsys, "data", "info", "MedQBench_Reasoning_NoReference")
    assert (code, err.count("\n")) == (2, 1)
    assert "Delete it and run 'medqbench data download' again" in err


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"files": [{}]}', '{"files": [{"repository": 1, "name": 2, "commit": 3, "size": 4, "sha256": 5}]}'],
)
def test_a_damaged_lock_file_is_named(folder: Path, text: str) -> None:
    (folder / LOCK_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(
        BadInput, match=rf"{LOCK_NAME} is damaged: delete it, and 'medqbench data download' writes another"
    ):
        load("MedQBench_Reasoning_NoReference")


TEXTS = st.text(max_size=5) | st.sampled_from([FIRST, NAME, REPOSITORY])
VALUES = st.recursive(st.none() | st.integers() | TEXTS, lambda inner: st.lists(inner, max_size=2), max_leaves=3)
NAMES = ("repository", "name", "commit", "size", "sha256")
ENTRIES = st.fixed_dictionaries({}, optional=dict.fromkeys((*NAMES, "other"), VALUES)) | VALUES
RECORDS = st.fixed_dictionaries({name: VALUES for name in NAMES if name != "commit"}).map(
    lambda of: {**of, "commit": FIRST}
)


@given(st.fixed_dictionaries({"files": st.lists(ENTRIES | RECORDS, max_size=3) | VALUES}) | VALUES)
def test_a_lock_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    folder = tmp_path_factory.getbasetemp() / "lock"
    folder.mkdir(exist_ok=True)
    (folder / LOCK_NAME).write_text(json.dumps(value), encoding="utf-8")
    with suppress(BadInput):
        assert isinstance(revision_for(REPOSITORY, folder), str)
        assert locked_file(folder, NAME) in (None, *read_lock(folder))


@pytest.mark.parametrize("large", [0, 1 << 20])
def test_a_file_of_the_users_own_is_not_replaced(hub: FilesHub, tmp_path: Path, large: int) -> None:
    hub.large = large
    (tmp_path / NAME).write_bytes(b"mine")
    with pytest.raises(BadInput, match="neither the hub's nor fetched before: move it away or change --to"):
        download(["MedQBench_Reasoning_NoReference"], tmp_path)
    assert (tmp_path / NAME).read_bytes() == b"mine"
    # What was carried here by hand is known by its bytes.
    (tmp_path / NAME).write_bytes(BYTES)
    assert download(["MedQBench_Reasoning_NoReference"], tmp_path)[0][1].commit == FIRST
    assert starts(hub) == []


def test_loading_keeps_to_the_commit_that_was_met_first(hub: FilesHub, write_tsv: Write) -> None:
    first = write_tsv([description("1")]).read_bytes()
    hub.repositories[REPOSITORY] = Repository({FIRST: {NAME: first}, SECOND: {NAME: first + b"\n"}})
    assert load("MedQBench_Reasoning_NoReference").sources[Task.NO_REFERENCE].revision == FIRST
    assert hub_revision_of(sha256(first)) == FIRST
    hub.repositories[REPOSITORY].main = SECOND
    hub.asked.clear()
    assert load("MedQBench_Reasoning_NoReference").sources[Task.NO_REFERENCE].revision == FIRST
    assert hub.asked == []
    # A variable is for its process alone; --revision stays.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDQBENCH_REVISION", SECOND)
        assert load("MedQBench_Reasoning_NoReference").sources[Task.NO_REFERENCE].revision == SECOND
    assert load("MedQBench_Reasoning_NoReference").sources[Task.NO_REFERENCE].revision == FIRST
    download(["MedQBench_Reasoning_NoReference"], revision=SECOND)
    assert load("MedQBench_Reasoning_NoReference").sources[Task.NO_REFERENCE].revision == SECOND


def test_siblings_files_come_from_their_own_repository() -> None:
    assert hub_file(Task.DEGRADATION, Split.GOOD_DEV) == HubFile(
        "jiyaoliufd/MedQ-DEG-Bench", "MedQ-Robust-good-dev.tsv"
    )


@pytest.mark.parametrize("large", [0, 1 << 20])
@pytest.mark.parametrize("to", [None, "to"])
def test_images_that_a_table_names_by_path_come_along(
    hub: FilesHub, tmp_path: Path, write_tsv: Write, monkeypatch: pytest.MonkeyPatch, large: int, to: str | None
) -> None:
    names = ["images/one.png", "images/two.jpg"]
    table = write_tsv([pair("1", image_a="", image_b="", image_path=json.dumps(names))]).read_bytes()
    file = hub_file(Task.COMPARATIVE, Split.TEST).name
    hub.repositories[REPOSITORY] = Repository({FIRST: {file: table, names[0]: RED, names[1]: GREEN}})
    hub.large, folder = large, tmp_path / to if to else None
    for _ in range(2):
        download(["MedQBench_Reasoning_Comparative"], folder)
    hub.repositories.clear()
    if folder:
        monkeypatch.setenv("MEDQBENCH_DATA", str(folder))
        assert [(folder / name).read_bytes() for name in names] == [RED, GREEN]
    (sample,) = load("MedQBench_Reasoning_Comparative", images=True).samples
    assert [path.read_bytes() for path in sample.images] == [RED, GREEN]


def test_threads_that_want_one_image_all_get_it(hub: FilesHub, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        paths = [place for place, _ in pool.map(lambda _: fetch(FILE, FIRST, tmp_path), range(16))]
    assert {path.read_bytes() for path in paths} == {BYTES}
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_folder_that_takes_no_lock_is_named(tmp_path: Path) -> None:
    (tmp_path / ".medqbench-data.lock").mkdir()
    with pytest.raises(RunFailed, match=f"{tmp_path} cannot be written .*choose another folder"):
        downloads.alone(tmp_path)


def test_who_records_at_once_loses_no_file(tmp_path: Path) -> None:
    new = [downloads.LockedFile("u/d", f"{n}.tsv", "a" * 40, 1, "b" * 64) for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda file: downloads.record(tmp_path, file), new))
    assert sorted(read_lock(tmp_path), key=lambda file: file.name) == new


def test_no_hidden_file_comes_into_a_folder(hub: FilesHub, tmp_path: Path) -> None:
    hub.repositories[REPOSITORY].commits[FIRST][".bashrc"] = b"evil"
    with pytest.raises(BadInput, match="would be a hidden file"):
        fetch(HubFile(REPOSITORY, ".bashrc"), FIRST, tmp_path)
    assert list(tmp_path.iterdir()) == []


RUN = "from medqbench_vlmeval.cli.main import main; import sys; main(sys.argv[1:])"


def command(hub: FilesHub, tmp_path: Path, *words: str, **more: str) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    clean = {key: text for key, text in os.environ.items() if not key.lower().endswith("_proxy") and key[:3] != "HF_"}
    settings = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "hf"), "LMUData": str(tmp_path), **more}
    start = [sys.executable, "-c", RUN, *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(start, env={**clean, **settings}, text=True, **pipes)


@pytest.mark.slow
def test_a_killed_process_leaves_what_the_next_one_needs(hub: FilesHub, tmp_path: Path) -> None:
    hub.store.cuts, hub.store.hold = [300_000], threading.Event()
    words = ("data", "download", "MedQBench_Reasoning_NoReference")
    with command(hub, tmp_path, *words) as first:
        while not any(path.stat().st_size == 18 << 14 for path in tmp_path.rglob(".*.part")):
            assert first.poll() is None
            threading.Event().wait(0.02)
        first.kill()
    hub.store.hold.set()
    with command(hub, tmp_path, *words) as second:
        out, err = second.communicate(timeout=60)
    assert (second.returncode, err) == (0, "")
    assert sha256(BYTES) in out
    assert starts(hub) == [0, 18 << 14]
    with command(hub, tmp_path, *words, HF_HUB_OFFLINE="1") as third:
        assert third.communicate(timeout=60) == (out, "")


@pytest.mark.slow
def test_two_processes_at_once_fetch_once(hub: FilesHub, tmp_path: Path) -> None:
    words = ("data", "download", "MedQBench_Reasoning_NoReference", "--to", str(tmp_path / "to"))
    both = [command(hub, tmp_path, *words) for _ in range(2)]
    outs = [process.communicate(timeout=60) for process in both]
    assert outs[0] == outs[1]
    assert starts(hub) == [0]


@pytest.mark.slow
def test_offline_the_missing_file_and_its_place_are_named(hub: FilesHub, tmp_path: Path) -> None:
    words = ("data", "download", "MedQBench_Perception")
    for to, place in (((), "MEDQBENCH_DATA"), (("--to", str(tmp_path / "to")), f"put it into {tmp_path / 'to'}")):
        with command(hub, tmp_path, *words, *to, HF_HUB_OFFLINE="1") as process:
            out, err = process.communicate(timeout=60)
        assert (process.returncode, out, hub.asked) == (1, "", [])
        assert err.startswith(
            f"medqbench: medqbench_QA_test.tsv of {REPOSITORY} is not on this machine, and HF_HUB_OFFLINE forbids"
        )
        assert place in err


@pytest.mark.parametrize("size", ["1000", "0", "-1", "x", None])
def test_a_hub_that_sends_more_than_it_says_is_cut_off(
    hub: FilesHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str | None
) -> None:
    honest = hub.answer

    def lying(method: str, path: str, headers: dict[str, str], data: bytes) -> Sent:
        sent = honest(method, path, headers, data)
        return replace(sent, headers={**sent.headers, "X-Linked-Size": size or ""})

    monkeypatch.setattr(hub, "answer", lying)
    if size is None:
        told = SimpleNamespace(commit_hash=FIRST, etag="0" * 64, size=None, location=hub.store.base_url)
        monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda url: told)
    with pytest.raises(RunFailed, match=NAME):
        fetch(FILE, "main", tmp_path / "to")
    assert sum(file.stat().st_size for file in (tmp_path / "to").glob(".*")) <= 1000
    assert not (tmp_path / "to" / NAME).exists()
