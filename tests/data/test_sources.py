"""Where files are looked for: folders, the package, and a server on this machine that speaks the hub's protocol."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from medqbench_vlmeval.benchmark import Split, Task, parse_dataset_name
from medqbench_vlmeval.data import load_dataset, samples_sha256
from medqbench_vlmeval.data.sources import hub_revision_of, load_file, place_of
from medqbench_vlmeval.errors import BadInput
from tests.data.rows import GREEN, RED, Write, description, pair, question
from tests.make import DATASETS
from tests.servers import LocalServer, Sent


def test_combined_reasoning_from_a_folder(write_tsv: Write, tmp_path: Path) -> None:
    write_tsv([description("1"), description("2")], "medqbench_description_dev.tsv")
    write_tsv([pair("1")], "medqbench_paired_description_dev.tsv")
    name = parse_dataset_name("MedQBench_Reasoning_dev")
    loaded = load_dataset(name, tmp_path)
    assert [sample.index for sample in loaded.samples] == ["NoReference:1", "NoReference:2", "Comparative:1"]
    assert [sample.task for sample in loaded.samples] == [Task.NO_REFERENCE, Task.NO_REFERENCE, Task.COMPARATIVE]
    assert {task: source.n for task, source in loaded.sources.items()} == {Task.NO_REFERENCE: 2, Task.COMPARATIVE: 1}
    assert loaded.sources[Task.COMPARATIVE].origin == "folder"
    single = load_dataset(parse_dataset_name("MedQBench_Reasoning_NoReference_dev"), tmp_path)
    assert samples_sha256(single.samples) == samples_sha256(loaded.samples[:2])
    assert load_file(tmp_path).samples == load_dataset(name, tmp_path, images=False).samples
    with pytest.raises(BadInput, match="is made of two: give the folder"):
        load_dataset(name, tmp_path / "medqbench_description_dev.tsv")
    with pytest.raises(BadInput, match=r"has no file medqbench_description_test\.tsv; its tables are"):
        load_dataset(parse_dataset_name("MedQBench_Reasoning"), tmp_path)


def test_folder_named_by_the_environment(write_tsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tsv([question("1")], "medqbench_QA_test.tsv")
    monkeypatch.setenv("MEDQBENCH_DATA", str(tmp_path))
    name = parse_dataset_name("MedQBench_Perception")
    loaded = load_dataset(name)
    assert loaded.sources[Task.PERCEPTION].path == path
    assert loaded.sources[Task.PERCEPTION].origin == "folder"
    assert place_of(name.task, name.split) == (path, "MEDQBENCH_DATA")
    dev = parse_dataset_name("MedQBench_Perception_dev")
    with pytest.raises(BadInput, match=r"medqbench_QA_dev\.tsv is not in the folder .*MEDQBENCH_DATA"):
        load_dataset(dev)
    assert place_of(dev.task, dev.split) is None
    # The file that is named by hand wins.
    other = write_tsv([question("9")], "other.tsv")
    assert load_dataset(name, other).samples[0].index == "9"


@pytest.mark.parametrize("text", DATASETS.values())
def test_embedded_set(text: str) -> None:
    loaded = load_dataset(parse_dataset_name(text))
    assert {source.origin for source in loaded.sources.values()} == {"embedded"}
    expected = {Task.COMPARATIVE: 2}
    assert all(len(sample.images) == expected.get(sample.task, 1) for sample in loaded.samples)
    assert place_of(Task.PERCEPTION, Split.MINI)


COMMIT = "0123456789abcdef0123456789abcdef01234567"
PREFIX = "/v1/datasets/jiyaoliufd/MedQ-Bench/resolve/"
LOAD = """
import json, sys
from medqbench_vlmeval.data import describe, load_dataset
from medqbench_vlmeval.data.sources import place_of
from medqbench_vlmeval.errors import MedQBenchError
from medqbench_vlmeval.benchmark import Split, Task, parse_dataset_name
name = parse_dataset_name(sys.argv[1])
try:
    loaded = load_dataset(name, images="images" in sys.argv)
except MedQBenchError as error:
    print(json.dumps({"error": type(error).__name__, "message": str(error)}))
else:
    images = [path.read_bytes().hex() for sample in loaded.samples for path in sample.images]
    here = None if name.task is Task.REASONING else "{} ({})".format(*place_of(name.task, name.split))
    print(json.dumps({"info": describe(loaded).to_json(), "images": images, "where": here}))
"""


class Hub(LocalServer):
    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []

    def answer(self, method: str, path: str, headers: dict[str, str], data: bytes) -> Sent:
        self.asked.append((method, path))
        revision, _, name = path.removeprefix(PREFIX).partition("/")
        known = {"X-Repo-Commit": COMMIT}
        if revision not in ("main", COMMIT):
            return Sent(status=404, headers={**known, "X-Error-Code": "RevisionNotFound"})
        if name not in self.files:
            return Sent(status=404, headers={**known, "X-Error-Code": "EntryNotFound"})
        body = self.files[name]
        return Sent(body=body, headers={**known, "ETag": f'"{hashlib.sha256(body).hexdigest()}"'})


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        yield server


def load(hub: Hub, tmp_path: Path, *arguments: str, **more: str) -> dict:
    # The hub's client reads its settings when it is imported: hence a process of its own.
    proxies = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
    clean = {key: text for key, text in os.environ.items() if key.lower() not in proxies and not key.startswith("HF_")}
    settings = {"HF_ENDPOINT": hub.base_url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1", **more}
    command = [sys.executable, "-c", LOAD, *arguments]
    done = subprocess.run(command, env={**clean, **settings}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_fetches_one_file_and_names_the_commit(
    hub: Hub, tmp_path: Path, write_tsv: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tsv([description("1"), description("2")])
    hub.files = {"medqbench_description_test.tsv": path.read_bytes(), "medqbench_QA_test.tsv": b"not asked for"}
    loaded = load(hub, tmp_path, "MedQBench_Reasoning_NoReference", "images")
    source = loaded["info"]["parts"]["no-reference"]["source"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (source["revision"], source["origin"], source["sha256"]) == (COMMIT, "hub", digest)
    assert loaded["images"] == [RED.hex(), RED.hex()]
    assert loaded["where"] == f"{source['path']} (hub cache)"
    assert {name.rpartition("/")[2] for _, name in hub.asked} == {"medqbench_description_test.tsv"}
    # Once here, it is not fetched again, and it is there without the network.
    before = [command for command, _ in hub.asked].count("GET")
    load(hub, tmp_path, "MedQBench_Reasoning_NoReference")
    assert [command for command, _ in hub.asked].count("GET") == before
    offline = load(hub, tmp_path, "MedQBench_Reasoning_NoReference", HF_HUB_OFFLINE="1")
    assert offline["info"]["n"] == 2
    # A file of the same bytes, wherever it lies, is known by them.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    assert hub_revision_of(digest) == COMMIT
    assert hub_revision_of("0" * 64) is None
    # Where the cache has no links, and for files that it does not name by their sha256.
    snapshot = tmp_path / "plain" / "datasets--jiyaoliufd--MedQ-Bench" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "medqbench_description_test.tsv").write_bytes(path.read_bytes())
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "plain"))
    assert hub_revision_of(digest) == COMMIT
    assert hub_revision_of("0" * 64) is None


@pytest.mark.slow
def test_images_by_path_come_one_by_one_at_the_same_commit(hub: Hub, tmp_path: Path, write_tsv: Write) -> None:
    table = write_tsv([pair("1", image_a="", image_b="", image_path='["images/one.png", "images/two.jpg"]')])
    hub.files = {"images/one.png": RED, "images/two.jpg": GREEN, "images/other.png": RED}
    hub.files["medqbench_paired_description_dev.tsv"] = table.read_bytes()
    loaded = load(hub, tmp_path, "MedQBench_Reasoning_Comparative_dev", "images")
    assert loaded["images"] == [RED.hex(), GREEN.hex()]
    fetched = [name for command, name in hub.asked if command == "GET"]
    assert sorted(fetched)[:2] == [f"{PREFIX}{COMMIT}/images/one.png", f"{PREFIX}{COMMIT}/images/two.jpg"]
    hub.asked.clear()
    load(hub, tmp_path, "MedQBench_Reasoning_Comparative_dev")
    assert not any("images/" in name for _, name in hub.asked)


@pytest.mark.slow
def test_revision_of_the_environment_is_asked_for(hub: Hub, tmp_path: Path, write_tsv: Write) -> None:
    hub.files = {"medqbench_description_test.tsv": write_tsv([description("1")]).read_bytes()}
    load(hub, tmp_path, "MedQBench_Reasoning_NoReference", MEDQBENCH_REVISION=COMMIT)
    assert all(name.startswith(f"{PREFIX}{COMMIT}/") for _, name in hub.asked)
    wrong = load(hub, tmp_path, "MedQBench_Reasoning_NoReference", MEDQBENCH_REVISION="v9")
    assert wrong["error"] == "BadInput"
    assert (
        "asked for medqbench_description_test.tsv, has no revision 'v9': correct MEDQBENCH_REVISION" in wrong["message"]
    )


@pytest.mark.parametrize("name", ["MedQBench_Perception_dev", "MedQBench_Reasoning"])
def test_an_absent_file_is_named_with_the_ways_out(hub: Hub, tmp_path: Path, name: str) -> None:
    failure = load(hub, tmp_path, name)
    assert failure["error"] == "BadInput"
    for part in ("medqbench_", "jiyaoliufd/MedQ-Bench", "MEDQBENCH_DATA", "data_path"):
        assert part in failure["message"]
    assert failure["message"].count(". ") == 0


# The hub's client tries a refused connection again for 20 seconds.
@pytest.mark.parametrize(
    "settings", [{"HF_HUB_OFFLINE": "1"}, pytest.param({"HF_ENDPOINT": "http://127.0.0.1:9"}, marks=pytest.mark.slow)]
)
def test_without_the_hub_the_error_names_the_ways_out(hub: Hub, tmp_path: Path, settings: dict[str, str]) -> None:
    failure = load(hub, tmp_path, "MedQBench_Perception", **settings)
    assert (failure["error"], hub.asked) == ("RunFailed", [])
    for part in ("medqbench_QA_test.tsv", "MEDQBENCH_DATA", "data_path"):
        assert part in failure["message"]
