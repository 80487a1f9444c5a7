"""Judge calls in flight: ours beside the kit's own class, on one local server that takes 200 ms a call.

    python -m benchmarks.judging [SAMPLES]

Four calls a sample, 32 in flight asked of both; the server is a process of its own. The kit's class is run on
fewer samples and its time is scaled up, since it keeps one call in flight and sleeps between calls. Ours is
measured with an empty cache on the disk, whole evaluation with result files, and the judging part alone.

    python -m benchmarks.judging throughput [CALLS]

Calls of 5 ms, 64 in flight, to a server of bare asyncio in another process: ours with verdicts read and each reply kept
on the disk, beside the OpenAI SDK's own client that only receives its objects. Three rounds each, in turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from benchmarks.machine import machine
from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.types import Prediction, Sample
from tests.servers import JudgeServer, completion

DELAY, NPROC = 0.2, 32
KITS_SAMPLES = 10
QUICK, MANY, ROUNDS = 0.005, 64, 3


def serve() -> None:
    """Serve until standard input is closed; answer each line of it with the most calls in flight so far."""
    with JudgeServer("Score: 2", delay=DELAY) as server:
        print(server.base_url, flush=True)
        for _ in sys.stdin:
            print(server.max_in_flight, flush=True)


class QuickReplies(asyncio.Protocol):
    """Answers each request of a connection after 5 ms with the same completion."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._read = b""
        body = json.dumps(completion("Score: 2", "judge")).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._answer = head.encode() + body

    def data_received(self, data: bytes) -> None:
        self._read += data
        while True:
            head, mark, rest = self._read.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0) if mark else 0
            if not mark or len(rest) < length:
                return
            self._read = rest[length:]
            asyncio.get_running_loop().call_later(QUICK, self._transport.write, self._answer)


async def serve_quickly() -> None:
    server = await asyncio.get_running_loop().create_server(QuickReplies, "127.0.0.1", 0, backlog=256)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    # Until standard input is closed.
    await asyncio.to_thread(sys.stdin.read)


@contextlib.contextmanager
def served(how: str = "serve") -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "benchmarks.judging", how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.stdin.close()


def most_in_flight(process: subprocess.Popen[str]) -> int:
    assert process.stdin and process.stdout
    print(file=process.stdin, flush=True)
    return int(process.stdout.readline())


def write_predictions(path: Path, n: int) -> Path:
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out, delimiter="\t")
        table.writerow(["index", "task", "question", "description", "modality", "prediction"])
        for i in range(n):
            text = f"Sample {i} shows mild noise. Overall, the quality of this image is usable."
            table.writerow([i, "no-reference", "Describe.", text, "CT", text])
    return path


def ours(path: Path, url: str, cache: Path) -> tuple[float, float | None]:
    """Seconds of a whole evaluation, and of its judging alone (None where nothing had to be asked)."""
    from medqbench_vlmeval.workflows import Request, evaluate

    moments: list[float] = []
    judge = {"model": "judge", "api_base": url, "key": "none", "nproc": NPROC}
    request = Request(
        prediction_file=path,
        model="m",
        dataset="MedQBench_Reasoning_NoReference",
        out=path.parent / "out",
        judge=judge,
        cache=cache,
        on_progress=lambda _: moments.append(time.perf_counter()),
    )
    started = time.perf_counter()
    evaluate(request)
    # The first answer came one call after the first question.
    return time.perf_counter() - started, moments[-1] - moments[0] + DELAY if moments else None


def theirs(path: Path, url: str) -> float:
    from vlmeval.dataset import MedqbenchCaptionDataset

    started = time.perf_counter()
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        MedqbenchCaptionDataset.evaluate(
            str(path), model="judge", api_base=f"{url}/chat/completions", key="none", nproc=NPROC
        )
    return time.perf_counter() - started


def ours_quickly(url: str, n: int) -> float:
    """Seconds for so many calls through our engine, with an empty cache on the disk."""
    from medqbench_vlmeval.judge import JudgeOptions, build_judge
    from medqbench_vlmeval.judge.cache import ReplyCache

    samples = [Sample(f"s{i}", Task.NO_REFERENCE, None, description=f"reference {i}") for i in range(n // 4)]
    options = JudgeOptions("judge", url, key="none", nproc=MANY, protocol="rubric", retry=0)
    with tempfile.TemporaryDirectory() as folder, ReplyCache(Path(folder)) as store:
        judge = build_judge(options, store)
        started = time.perf_counter()
        judged = judge.judge(samples, [Prediction(sample.index, f"answer {sample.index}") for sample in samples])
        seconds = time.perf_counter() - started
    assert all(verdict.score == 2 for sample in judged for verdict in sample.verdicts.values())
    return seconds


def sdk_quickly(url: str, n: int) -> float:
    """Seconds for so many calls through the SDK, with prompts as long as ours."""
    from openai import AsyncOpenAI

    async def all_of_them() -> float:
        async with AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as client:
            calls = iter(range(n))

            async def worker() -> None:
                for _ in calls:
                    prompt = {"role": "user", "content": "x" * 1500}
                    await client.chat.completions.create(model="judge", messages=[prompt], temperature=0.0)  # type: ignore[list-item]

            started = time.perf_counter()
            await asyncio.gather(*(worker() for _ in range(MANY)))
            return time.perf_counter() - started

    return asyncio.run(all_of_them())


def throughput(n: int) -> None:
    with served("serve-quickly") as (url, _):
        ours_quickly(url, 400)
        sdk_quickly(url, 400)
        rounds = [(ours_quickly(url, n), sdk_quickly(url, n)) for _ in range(ROUNDS)]
    print(machine())
    print(f"{n} calls of {QUICK * 1000:.0f} ms, {MANY} in flight")
    for mine, theirs_ in rounds:
        print(f"ours {n / mine:6.0f} calls/s   SDK {n / theirs_:6.0f} calls/s   our time {mine / theirs_:.2f} of it")
    print(f"median ratio {statistics.median(mine / theirs_ for mine, theirs_ in rounds):.2f}")


def main(n: int) -> None:
    name = "m_MedQBench_Reasoning_NoReference.tsv"
    with tempfile.TemporaryDirectory() as folder_name, served() as (url, process):
        folder = Path(folder_name)
        for part in ("warm", "ours", "theirs"):
            (folder / part).mkdir()
        ours(write_predictions(folder / "warm" / name, 1), url, folder / "warm")
        mine, judging = ours(write_predictions(folder / "ours" / name, n), url, folder / "ours")
        mine_flight = most_in_flight(process)
        again, _ = ours(folder / "ours" / name, url, folder / "ours")
        with served() as (their_url, their_process):
            kit = theirs(write_predictions(folder / "theirs" / "theirs.tsv", KITS_SAMPLES), their_url)
            kit_flight = most_in_flight(their_process)
    calls = 4 * n
    ideal = calls * DELAY / NPROC
    assert judging is not None
    scaled = kit * n / KITS_SAMPLES
    print(machine())
    print(f"{calls} calls of {DELAY * 1000:.0f} ms, {NPROC} in flight asked for; ideal {ideal:.2f} s")
    print(f"ours, judging      {judging:8.2f} s  {judging / ideal:6.2f} x ideal, at most {mine_flight} in flight")
    print(f"ours, whole        {mine:8.2f} s  {mine / ideal:6.2f} x ideal")
    print(f"ours, again        {again:8.2f} s  all from the cache")
    print(f"the kit, whole     {scaled:8.2f} s  (measured {kit:.2f} s on {4 * KITS_SAMPLES} calls), at most "
          f"{kit_flight} in flight")  # fmt: skip
    print(f"ratio of the whole {scaled / mine:8.1f}")


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    elif sys.argv[1:] == ["serve-quickly"]:
        asyncio.run(serve_quickly())
    elif sys.argv[1:2] == ["throughput"]:
        throughput(int(sys.argv[2]) if len(sys.argv) > 2 else 4000)
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 354)
