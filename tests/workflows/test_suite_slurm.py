"""A suite on a real Slurm cluster of one node: an array, two jobs at once, one that fails, one that is cancelled."""

import subprocess
from pathlib import Path

import pytest

from tests import slurm
from tests.servers import JudgeServer, refusal
from tests.workflows.suites import PERCEPTION, command, states, suite, wait_for
from tests.workflows.test_suite import Gate, samples

pytestmark = [pytest.mark.needs_kit, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster():
    """The environment in which the commands know the cluster."""
    if why := slurm.missing():
        pytest.skip(f"no Slurm can be started: {why}")
    with slurm.slurm() as environment:
        yield environment


def asked(environment, *words):
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_six_jobs_two_at_once_one_fails_one_is_cancelled_and_resumed(cluster, tmp_path):
    gate = Gate()
    with JudgeServer(gate) as slow, JudgeServer(lambda request: refusal(401, "no such key")) as closed:
        file = tmp_path / "s.yaml"
        file.write_text(
            f"datasets: [{PERCEPTION}]\nlimit: 4\nmodels:\n- MedQ-Classical\n"
            f"- name: slow\n  base_url: {slow.base_url}\n- name: closed\n  base_url: {closed.base_url}\n"
            "slurm: {cpus_per_task: 1, time: 20, array_parallelism: 2}\n",
            encoding="utf-8",
        )
        call = subprocess.Popen(
            command(file, "--cluster", "slurm"), env=cluster, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        wait_for(lambda: len(slow.requests) > 1, "a question of the job that waits")
        # One array of three inferences, of which two run at once.
        queue = asked(cluster, "squeue", "--noheader", "--array", "--format=%F %K %j %t").split("\n")
        assert {line.split()[2] for line in queue if line} == {"medqbench"}
        name = (tmp_path / "s" / "jobs").glob(f"slow_{PERCEPTION}-*.engine")
        engine_id = next(name).read_text(encoding="utf-8")
        asked(cluster, "scancel", engine_id)
        gate.open.set()
        out, err = call.communicate(timeout=240)
        assert call.returncode == 1, err
        jobs = states(file)
        assert {name: job["status"] for name, job in jobs.items()} == {
            f"MedQ-Classical {PERCEPTION}": "done",
            f"MedQ-Classical {PERCEPTION} scored": "done",
            f"slow {PERCEPTION}": "failed",
            f"slow {PERCEPTION} scored": "pending",
            f"closed {PERCEPTION}": "failed",
            f"closed {PERCEPTION} scored": "pending",
        }
        assert "ended by a signal" in jobs[f"slow {PERCEPTION}"]["why"]
        assert "The test call to closed failed" in jobs[f"closed {PERCEPTION}"]["why"]
        # The same call: what was cancelled goes on, what failed is tried again.
        code, out, err = suite(file, "--cluster", "slurm", env=cluster)
        assert code == 1
        assert "4 of 6 jobs are done." in out, out + err
        jobs = states(file)
        assert (jobs[f"slow {PERCEPTION}"]["status"], jobs[f"slow {PERCEPTION}"]["tries"]) == ("done", 2)
        assert jobs[f"MedQ-Classical {PERCEPTION}"]["tries"] == 1
        # The local executor's results are the same.
        local = tmp_path / "l.yaml"
        local.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
        assert suite(local)[0] == 1
    for model in ("MedQ-Classical", "slow"):
        results = (samples(tmp_path / folder / "results", model, PERCEPTION) for folder in "sl")
        assert len(set(results)) == 1


def test_a_job_that_slurm_requeues_goes_on_where_it_was(cluster, tmp_path):
    gate = Gate()
    with JudgeServer(gate) as server:
        file = tmp_path / "s.yaml"
        file.write_text(
            f"datasets: [{PERCEPTION}]\nlimit: 4\nmodels:\n- name: net\n  base_url: {server.base_url}\n"
            "slurm: {cpus_per_task: 1, time: 20}\n",
            encoding="utf-8",
        )
        call = subprocess.Popen(
            command(file, "--cluster", "slurm"), env=cluster, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        wait_for(lambda: len(server.requests) > 1, "a question")
        engine_id = next((tmp_path / "s" / "jobs").glob("net_*.engine")).read_text(encoding="utf-8")
        asked(cluster, "scontrol", "requeue", engine_id)
        gate.open.set()
        # Slurm lets two minutes pass before it begins a job again.
        wait_for(lambda: "PENDING" in asked(cluster, "squeue", "--noheader", "--format=%T"), "the job in the queue")
        asked(cluster, "scontrol", "update", f"JobId={engine_id}", "StartTime=now")
        out, err = call.communicate(timeout=240)
    assert call.returncode == 0, out + err
    assert "2 of 2 jobs are done." in out
    assert states(file)[f"net {PERCEPTION}"]["tries"] == 2


def test_what_the_scheduler_refuses_is_said_with_its_words(cluster, tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text(
        f"datasets: [{PERCEPTION}]\nmodels: [MedQ-Chance]\nslurm: {{cpus_per_task: 64, partition: nowhere}}\n",
        encoding="utf-8",
    )
    code, _, err = suite(file, "--cluster", "slurm", env=cluster)
    assert code == 1
    assert "slurm did not take the jobs: " in err
    assert "invalid partition" in err.lower()
    assert {job["status"] for job in states(file).values()} == {"failed", "pending"}
    assert Path(tmp_path / "s" / "jobs").is_dir()
