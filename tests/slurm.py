"""A real Slurm on this machine alone: munged, slurmctld and slurmd, started and stopped by a test."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")
CPUS = 2
_SECONDS = 60.0


def missing() -> str | None:
    """Why there can be no Slurm here, None where there can."""
    if absent := [name for name in PROGRAMS if _found(name) is None]:
        return f"{', '.join(absent)} are not installed (Debian: slurm-wlm and munge)"
    return None if os.geteuid() == 0 else "slurmd runs jobs of its own user alone where it is not root's"


def _found(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _configuration(folder: Path, socket_path: Path) -> str:
    control, node = _free_ports(2)
    host = socket.gethostname().partition(".")[0]
    return f"""
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={socket_path}
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1
KillWait=30
ReturnToService=2
SlurmctldTimeout=120
SlurmdTimeout=120
NodeName={host} NodeAddr=127.0.0.1 CPUs={CPUS} RealMemory=1000 State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


@contextlib.contextmanager
def slurm() -> Iterator[Mapping[str, str]]:
    """The environment in which sbatch and squeue know the cluster, which has one node with ``CPUS`` cores."""
    # A socket's path has at most 108 bytes, and munge refuses folders that others may write to.
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/run"))
    started: list[subprocess.Popen[bytes]] = []
    try:
        for name in ("state", "spool"):
            (folder / name).mkdir()
        key, socket_path = folder / "munge.key", folder / "munge.socket"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        folder.chmod(0o755)
        conf = folder / "slurm.conf"
        conf.write_text(_configuration(folder, socket_path), encoding="utf-8")
        environment = {**os.environ, "SLURM_CONF": str(conf), "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}

        def start(*words: object) -> None:
            command = [str(word) for word in words]
            log = (folder / f"{command[0]}.out").open("wb")
            started.append(
                subprocess.Popen([str(_found(command[0])), *command[1:]], env=environment, stdout=log, stderr=log)
            )

        names = [f"--{part}-file={folder / f'munge.{part}'}" for part in ("pid", "log", "seed")]
        start("munged", "--foreground", f"--key-file={key}", f"--socket={socket_path}", *names)
        _wait(socket_path.exists, started, folder)
        start("slurmctld", "-D", "-f", conf)
        start("slurmd", "-D", "-f", conf)

        def is_idle() -> bool:
            asked = subprocess.run(
                ["/usr/bin/env", "sinfo", "-h", "-o", "%t"], env=environment, capture_output=True, text=True
            )
            return asked.stdout.split() == ["idle"]

        _wait(is_idle, started, folder)
        yield environment
    finally:
        for process in reversed(started):
            process.terminate()
        for process in reversed(started):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(condition: object, started: list[subprocess.Popen[bytes]], folder: Path) -> None:
    end = time.monotonic() + _SECONDS
    while not condition():  # type: ignore[operator]
        logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in folder.glob("*.[lo][ou][gt]"))
        assert all(process.poll() is None for process in started), logs
        assert time.monotonic() < end, logs
        time.sleep(0.1)
