"""A reader's machine, on which the commands of the documentation are run as they stand there.

Real: the kit and its runs of the baselines, the embedded sets, every command of the package. Imitated on 127.0.0.1,
and reached as the pages say: a hub with files under the benchmark's names (of the embedded sets' questions), a judge
and model server (OpenAI's protocol), its batches, and a hub that takes what is pushed. Baselines stand in for models
with weights.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path

import pytest

from medqbench_vlmeval.benchmark import Split, Task
from medqbench_vlmeval.cli.main import main
from medqbench_vlmeval.data.sources import embedded_folder, hub_file
from medqbench_vlmeval.judge import tokens
from medqbench_vlmeval.kit_version import find_kit
from tests.batch_server import BatchServer, jsonl, vllm_lines
from tests.data.files_hub import FIRST, FilesHub, Repository, Store, close_session, point_at
from tests.data.rows import mini_rows, text_of
from tests.documentation import ROOT, Command, replaced
from tests.hub import Hub
from tests.servers import Request, Sent

TOKEN = "-".join(("local", "token", "of", "tests"))
KEY = "-".join(("local", "key", "of", "tests"))
CHANCE, CLASSICAL = "MedQ-Chance", "MedQ-Classical"
PERCEPTION, BOTH = "MedQBench_Perception_mini", "MedQBench_Reasoning_mini"
QUICKSTART = ["run", "--data", PERCEPTION, BOTH, "--model", CLASSICAL, "--judge", "rules"]

# The hub's splits here are every so manyth sample of the embedded sets.
EVERY = {Task.PERCEPTION: 6, Task.NO_REFERENCE: 4, Task.COMPARATIVE: 4, Task.DEGRADATION: 2}


def judged(request: Request) -> str:
    """A judge that gives everything a 2, in any protocol, and a model that says B."""
    text = json.dumps(request.messages)
    if "response_format" in request.body or '\\"completeness\\"' in text:
        dimensions = ("completeness", "preciseness", "consistency", "quality_accuracy")
        return json.dumps({name: {"reason": "so", "score": 2} for name in dimensions})
    return "Because.\nScore: 2" if "core" in text else "B"


class Servers(BatchServer):
    """One address for the judge, served models and batches."""

    def answer(self, method: str, path: str, headers: dict[str, str], data: bytes) -> Sent:
        if not path.endswith("/chat/completions"):
            return super().answer(method, path, headers, data)
        from tests.servers import completion

        request = Request(path, headers, json.loads(data))
        return Sent(body=json.dumps(completion(judged(request), str(request.body["model"]))))


def tables() -> dict[str, dict[str, bytes]]:
    """The files of the benchmark's repositories, made of the embedded sets' questions with their images inside."""
    files: dict[str, dict[str, bytes]] = {}
    for task, every in EVERY.items():
        of_task = [Split.SIMULATE_DEV, Split.SIMULATE_TEST] if task is Task.DEGRADATION else [Split.DEV, Split.TEST]
        for split in of_task:
            named, rows = hub_file(task, split), mini_rows(hub_file(task, Split.MINI).name)
            files.setdefault(named.repository, {})[named.name] = _with_images(rows[::every])
    return files


def _with_images(rows: list[dict[str, str]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, [*rows[0], "image"], delimiter="\t", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        paths = json.loads(row["image_path"]) if row["image_path"].startswith("[") else [row["image_path"]]
        images = [text_of((embedded_folder() / path).read_bytes()) for path in paths]
        writer.writerow({**row, "image": images[0] if len(images) == 1 else json.dumps(images)})
    return out.getvalue().encode()


@dataclass
class Reader:
    """Somebody who types the commands of a page, one after the other, in ``folder``."""

    folder: Path
    places: dict[str, str]
    key: bool = True
    printed: dict[str, str] = field(default_factory=dict)
    exports: dict[str, str] = field(default_factory=dict)
    notes: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    push_to: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext

    def is_shown(self, command: Command) -> bool:
        """Whether the page shows what a command prints."""
        return f"printed by: {command.text}" in self.notes

    def words(self, command: Command, own: dict[str, str]) -> list[str]:
        """The words of a command with real things in the place of placeholders, and globs as a shell reads them."""
        words = []
        for word in replaced(command.words, {**self.places, **own}):
            found = sorted(glob(word)) if "*" in word and not word.startswith("{") else []  # noqa: PTH207
            words += found or [word]
        return words

    def run(self, arguments: Sequence[str], variables: dict[str, str] | None = None) -> tuple[int, str]:
        """Exit code and all output of ``medqbench ARGUMENTS``, in this process."""
        said, before = io.StringIO(), dict(os.environ)
        os.environ.update(variables or {})
        if not self.key:
            for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
                os.environ.pop(name, None)
        code: object = None
        try:
            pushing = self.push_to() if arguments[:1] == ["push"] else contextlib.nullcontext()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), pushing:
                main(arguments)
        except SystemExit as end:
            code = end.code
        finally:
            os.environ.clear()
            os.environ.update(before)
        return (code if isinstance(code, int) else 0 if code is None else 1), said.getvalue()

    def shell(self, words: Sequence[str], variables: dict[str, str] | None = None) -> tuple[int, str]:
        """The same of another program, or of ``python -m medqbench_vlmeval`` where a process of its own is needed."""
        env = {**os.environ, "PYTHONPATH": str(ROOT), **(variables or {})}
        done = subprocess.run(list(words), env=env, capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, done.stdout + done.stderr

    def view(self, arguments: Sequence[str]) -> tuple[int, str]:
        """Start the viewer, look at its page once, and press Ctrl-C: 130 is its exit code then."""
        command = [sys.executable, "-m", "medqbench_vlmeval", *arguments]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "BROWSER": "true"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        with subprocess.Popen(command, env=env, **pipes) as process:  # type: ignore[call-overload]
            first = process.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+/\S*", first)
            assert address, first
            with urllib.request.urlopen(address[0], timeout=30) as answer:
                assert answer.status == 200
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read()
            return process.wait(30), first + rest


def rate(key: Path, page: str = "1") -> None:
    """What two raters export from a rating page, as its script writes it: answers that an earlier page drew."""
    drawn = json.loads(key.read_text(encoding="utf-8"))
    for rater in ("Anna", "Bo"):
        ratings = [
            {"rating id": name, "completeness": 1, "preciseness": 2, "consistency": 1, "quality_accuracy": 2}
            | {"comment": "", "rated_at": ""}
            for name in drawn["ratings"]
        ]
        content = {"format": "medqbench ratings 1", "page": drawn.get("page", page), "rater": rater}
        whole = {**content, "reference": drawn.get("reference", "shown"), "version": "0", "ratings": ratings}
        Path(f"ratings-{page}-{rater}.json").write_text(json.dumps(whole), encoding="utf-8")


def run_batch(calls: Path, answers: Path) -> None:
    """What ``vllm run-batch`` would write (imitated): an answer to each call."""
    lines = [json.loads(line) for line in calls.read_text(encoding="utf-8").splitlines()]
    answers.write_text(jsonl(vllm_lines(lines, judged)), encoding="utf-8")


def copied_kit(folder: Path) -> Path:
    """The installed kit's files, to be patched; sources alone."""
    kit = find_kit()
    assert kit is not None
    shutil.copytree(kit.package, folder / "vlmeval", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    return folder


@contextlib.contextmanager
def machine(folder: Path) -> Iterator[Callable[[Path], Reader]]:
    """The servers, and a way to sit down at the machine: in a copy of the folder that the first run left."""
    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.lower().endswith("_proxy") or name.startswith(("HF_", "MEDQBENCH_", "OPENAI_", "WANDB", "MLFLOW")):
                patch.delenv(name)
        server = stack.enter_context(Servers(judged))
        files, takes = stack.enter_context(FilesHub(stack.enter_context(Store()))), stack.enter_context(Hub(TOKEN))
        files.repositories = {name: Repository({FIRST: held}) for name, held in tables().items()}
        patch.setattr(tokens, "load_encoding", lambda name: None)
        point_at(files.address, folder / "hub", patch)
        stack.callback(close_session)
        (folder / "lmu").mkdir()
        for name, value in {
            "LMUData": folder / "lmu",
            "XDG_CONFIG_HOME": folder / "config",
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": server.base_url,
            "OPENAI_API_BASE": f"{server.base_url}/chat/completions",
            "QWEN_KEY": KEY,
            "WANDB_MODE": "offline",
            "MLFLOW_TRACKING_URI": (folder / "mlflow").as_uri(),
            "MLFLOW_ALLOW_FILE_STORE": "true",
        }.items():
            patch.setenv(name, str(value))

        @contextlib.contextmanager
        def push_to() -> Iterator[None]:
            with pytest.MonkeyPatch.context() as inner:
                point_at(takes.address, folder / "hub", inner)
                inner.setenv("HF_TOKEN", TOKEN)
                yield
            close_session()

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        places = {"8765": port, "http://127.0.0.1:8000/v1": server.base_url, "https://router/v1": server.base_url}
        base = folder / "base"
        base.mkdir()
        first = Reader(base, places, push_to=push_to)
        patch.chdir(base)
        patch.setenv("MEDQBENCH_JUDGE_CACHE", str(folder / "cache"))
        _prepare(first)

        def sit_down(at: Path) -> Reader:
            shutil.copytree(base, at, symlinks=True)
            patch.chdir(at)
            patch.setenv("MEDQBENCH_JUDGE_CACHE", str(at / "cache"))
            return Reader(at, dict(places), printed=dict(first.printed), done=first.done, push_to=push_to)

        yield sit_down


def _prepare(reader: Reader) -> None:
    """The quickstart's run, and what readers of later pages have: more runs, and a data file of their own."""
    code, said = reader.run(QUICKSTART)
    assert code == 0, said
    reader.printed[json.dumps(QUICKSTART)] = said
    more = [PERCEPTION, BOTH, "MedQBench_Reasoning_NoReference"]
    code, said = reader.run(["run", "--data", *more, "--model", CHANCE, "--judge", "rules"])
    assert code == 0, said
    predictions = f"outputs/{CHANCE}/{CHANCE}_{PERCEPTION}.xlsx"
    code, said = reader.run(["score", predictions, "--data", PERCEPTION, "--model", "Third", "--out", "third"])
    assert code == 0, said
    rows = [{**row, "grade": row["severity"], "Frage": row["question"]} for row in mini_rows("medqbench_QA_mini.tsv")]
    rows = [{name: row[name] for name in row if name not in {"severity", "question"}} for row in rows]
    shutil.copytree(embedded_folder() / "images", "images")
    Path("own").mkdir()
    shutil.copytree("images", "own/images")
    for name in ("mine.tsv", "own/medqbench_QA_test.tsv"):
        with open(name, "w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, list(rows[0]), delimiter="\t", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    shutil.copy(embedded_folder() / "MedQ-Robust-mini.tsv", "MedQ-Robust-simulate-test.tsv")
