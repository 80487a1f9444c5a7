"""Where a suite's jobs run: processes of this machine, or a Slurm cluster, both by submitit; and what a job does there.
submitit pickles a function and its arguments into its own folder; here these are a class of this package and a file's
path, and no pickle is read by anything else."""

from __future__ import annotations

import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import submitit
from submitit.helpers import DelayedSubmission

from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.files import as_file_name, held, write_text
from medqbench_vlmeval.judge.options import environment
from medqbench_vlmeval.judge.secrets import masked_lines
from medqbench_vlmeval.workflows.suite_jobs import (
    DONE,
    FAILED,
    PREDICTIONS,
    RUNNING,
    SUBMITTED,
    Job,
    State,
    Store,
    Suite,
)

CLUSTERS = LOCAL, SLURM = "local", "slurm"
_POLL = {LOCAL: 0.3, SLURM: 3.0}  # seconds
_LOG, _ID = ".log", ".engine"
_LOG_BYTES = 1 << 16
_ENDED = (128 + signal.SIGTERM, 128 + signal.SIGINT, -signal.SIGTERM, -signal.SIGINT, -signal.SIGKILL)
_UNLIMITED = 60 * 24 * 365  # minutes
_GRACE = 20  # seconds; clusters kill after 30


class Engine:
    """submitit with what a suite's file asks for. Raises BadInput where there is no such cluster here."""

    def __init__(self, suite: Suite, cluster: str) -> None:
        if cluster not in CLUSTERS:
            raise BadInput(f"--cluster {cluster} is none of {', '.join(CLUSTERS)}.")
        if cluster == SLURM and not all(map(shutil.which, ("sbatch", "srun", "squeue"))):
            raise BadInput(
                "There is no Slurm here (sbatch, srun and squeue are not found); call this on a login node of the "
                "cluster, or leave --cluster out."
            )
        self.cluster, self.poll, self._suite = cluster, _POLL[cluster], suite
        self._store = Store(suite.folder)
        # What AutoExecutor takes for all clusters leaves out which GPUs a local job sees.
        of_slurm = partial(submitit.AutoExecutor, cluster=SLURM)
        self._executor = partial(
            of_slurm if cluster == SLURM else submitit.LocalExecutor, self._store.jobs / "submitit" / "%j"
        )
        self._ours: dict[str, Any] = {}
        self._queue: tuple[float, frozenset[str]] = 0.0, frozenset()

    def submit(self, states: Sequence[State]) -> Iterator[State]:
        """Hand jobs over; of a cluster's those that need the same go as one array. Yields each state when it is known
        under the engine's name. RunFailed where the scheduler refuses one."""
        for _, group in groupby(sorted(states, key=self._needs), key=self._needs):
            # Their files come first: a job that begins at once reads what it is.
            kept = [replace(state, status=SUBMITTED, why="", cluster=self.cluster, ended=0.0) for state in group]
            for state in kept:
                self._store.path(state.job, _ID).unlink(missing_ok=True)
                self._store.write(state)
            executor = self._executor()
            executor.update_parameters(**self._parameters(kept[0]))
            try:
                with _deaf_to_ctrl_c():
                    jobs = executor.submit_array([JobProcess(self._store.path(state.job)) for state in kept])
            except Exception as error:
                for state in kept:
                    self._store.write(replace(state, status=FAILED, why="The scheduler did not take it."))
                words = str(error).strip().splitlines() or [type(error).__name__]
                raise RunFailed(f"{self.cluster} did not take the jobs: {words[-1]}.") from error
            for state, job in zip(kept, jobs, strict=True):
                self._ours[job.job_id] = job
                # In a file of its own: the job's process may be writing the state by now.
                write_text(self._store.path(state.job, _ID), job.job_id)
                yield state

    def end(self, states: Sequence[State]) -> None:
        """Let jobs of this machine keep what they have and end, and wait for that; those of a cluster go on."""
        jobs = [self._ours[name] for state in states if (name := self._name(state)) in self._ours]
        for job in jobs if self.cluster == LOCAL else ():
            with suppress(OSError):
                os.kill(int(job.job_id), signal.SIGTERM)
        while self.cluster == LOCAL and not all(job.done() for job in jobs):
            time.sleep(self.poll)

    def _name(self, state: State) -> str:
        """The engine's name of a job."""
        path = self._store.path(state.job, _ID)
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def _needs(self, state: State) -> tuple[object, ...]:
        """What jobs have in common that go as one array; on this machine each goes alone."""
        return state.job.gpus, state.job.nodes, state.job.processes, "" if self.cluster == SLURM else state.job.name

    def _parameters(self, state: State) -> dict[str, object]:
        job, asked = state.job, self._suite.slurm.model_dump(exclude_none=True)
        if self.cluster == LOCAL:
            cards = {"gpus_per_node": len(state.cards), "visible_gpus": state.cards}
            return {**cards, "nodes": 1, "tasks_per_node": 1, "timeout_min": _UNLIMITED}
        asked |= {"gpus_per_node": job.gpus} if job.gpus else {}
        asked |= {"nodes": job.nodes, "ntasks_per_node": 1, "job_name": "medqbench", "signal_delay_s": 120}
        return {f"slurm_{name}": value for name, value in asked.items()}

    def is_alive(self, state: State) -> bool:
        """Whether a job that was handed over is still waiting or at work, here or by an earlier call."""
        if self._store.is_locked(state.job):
            return True
        name = self._name(state)
        if state.cluster == SLURM:
            return name.partition("_")[0] in self._queued()
        if (ours := self._ours.get(name)) is not None:
            return not ours.done()
        with suppress(OSError):  # of an earlier call: the number may be another process's by now
            return str(self._store.jobs.absolute()).encode() in Path(f"/proc/{name}/cmdline").read_bytes()
        return False

    def _queued(self) -> frozenset[str]:
        """The jobs of an array, or single ones, that wait or run."""
        if time.monotonic() - self._queue[0] > self.poll / 2:
            listed = subprocess.run(  # noqa: S603 - a command with fixed words
                [str(shutil.which("squeue")), "--noheader", "--me", "--format=%F"],
                capture_output=True,
                text=True,
                timeout=60,
            )
            if listed.returncode != 0:
                raise RunFailed(f"squeue failed: {listed.stderr.strip()}. The jobs go on; call the same again later.")
            self._queue = time.monotonic(), frozenset(listed.stdout.split())
        return self._queue[1]


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Let processes that begin here not hear Ctrl-C, which the terminal sends to all: the call ends them in order."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class JobProcess:
    """What runs where the engine puts it: one job, by its file; it may be called again after a preemption."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._child: subprocess.Popen[str] | None = None

    def __call__(self) -> None:
        """Run the job, and keep what became of it."""
        store, node = Store(self.path.parents[1]), submitit.JobEnvironment()
        state = store.read_file(self.path)
        if state is None or state.status == DONE:
            return
        # submitit would go on after the signal with which a user or a scheduler ends a job.
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        if node.node > 0:  # another node of the job's keeps the state
            self._run(store, state, node)
            return
        # A call that asks whether a process is at work holds the lock for a moment.
        with suppress(TimeoutError), held(store.path(state.job, ".lock")):
            state = store.read_file(self.path) or state
            if state.status == DONE:  # another process was at work, and has ended
                return
            state = store.write(replace(state, status=RUNNING, tries=state.tries + 1, began=time.time()))
            try:
                why, result = self._run(store, state, node)
            except (OSError, ValueError) as error:
                why, result = f"{type(error).__name__}: {error}", None
            end = FAILED if why else DONE
            store.write(replace(state, status=end, why=why, result=result, ended=time.time()))

    def checkpoint(self) -> Any:
        """What submitit runs next where the time is up or another job needs the place: the same, which goes on."""
        self._end()
        return DelayedSubmission(JobProcess(self.path))

    def _end(self) -> None:
        """Let the command keep what it has, as after Ctrl-C."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self._child.kill()

    def _run(self, store: Store, state: State, node: Any) -> tuple[str, str | None]:
        """Run the command of a job; the sentence of what failed, and the result's file."""
        job = state.job
        needed = (store.read_file(store.path(replace(job, name=name))) for name in job.needs)
        files = [state.result or "" for state in needed if state is not None]
        words = [files[PREDICTIONS.index(word)] if word in PREDICTIONS else word for word in job.words]
        command = [sys.executable, *_torchrun(job, node), "-m", "medqbench_vlmeval", *words]
        log = store.path(job, f"{_LOG}{node.node or ''}")
        with log.open("a", encoding="utf-8") as lines:
            began = lines.tell()
            out = subprocess.PIPE if job.kind != "infer" else lines
            # The kit has a variable of its own for a server's key.
            key = environment(job.key_env) if job.key_env else None
            env = {**os.environ, **({"LMDEPLOY_API_KEY": key} if key else {})}
            self._child = subprocess.Popen(command, stdout=out, stderr=lines, text=True, env=env)  # noqa: S603
            printed, _ = self._child.communicate()
        if self._child.returncode:
            return _why(log, began, self._child.returncode), None
        result = _predictions(job) if job.kind == "infer" else json.loads(printed)["files"]["score"]
        return ("", result) if result else (f"It left no prediction file; {log} says more.", None)


def _torchrun(job: Job, node: Any) -> list[str]:
    """The words of torchrun before a command that several processes share."""
    if job.processes * job.nodes == 1:
        return []
    words = ["-m", "torch.distributed.run", "--nproc-per-node", str(job.processes)]
    if job.nodes == 1:
        return [*words, "--standalone"]
    port = str(20_000 + int("".join(filter(str.isdigit, node.job_id)) or 0) % 20_000)
    place = ["--master-addr", node.hostnames[0], "--master-port", port]
    return [*words, "--nnodes", str(job.nodes), "--node-rank", str(node.node), *place]


def _predictions(job: Job) -> str | None:
    """The newest prediction file of an inference."""
    model = as_file_name(job.model)
    place = Path(job.words[job.words.index("--work-dir") + 1]) / model
    names = (place.rglob(f"{glob.escape(model)}_{job.dataset}{suffix}") for suffix in (".xlsx", ".tsv", ".json"))
    found = [path for of in names for path in of if not path.is_symlink()]
    return str(max(found, key=lambda path: path.stat().st_mtime_ns)) if found else None


def _why(log: Path, began: int, code: int) -> str:
    """Why a command failed, by what it wrote into the log from ``began`` on: its own sentence, else the last line."""
    with log.open("rb") as source:
        size = source.seek(0, 2)
        source.seek(max(began, size - _LOG_BYTES))
        lines = masked_lines(source.read().decode(errors="replace"))
    if code in _ENDED:
        return f"It was ended by a signal ({code}); the same call goes on from there."
    own = [line.removeprefix("medqbench: ") for line in lines if line.startswith("medqbench: ")]
    # torchrun's report comes behind the words of the process that failed.
    return (own or lines or [f"It ended with exit code {code} and without a word; {log} says more."])[-1]
