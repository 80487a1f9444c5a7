"""Suites on this machine, with the real kit, real servers and real processes that are killed."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from medqbench_vlmeval.files import held
from medqbench_vlmeval.report.viewer.folder import WorkFolder
from medqbench_vlmeval.workflows.report import compared
from medqbench_vlmeval.workflows.suite_jobs import Job, State, Store
from tests.batch_server import jsonl, vllm_lines
from tests.servers import JudgeServer, refusal
from tests.workflows.suites import NO_REFERENCE, PERCEPTION, command, states, suite, wait_for

pytestmark = [pytest.mark.needs_kit, pytest.mark.slow]


@pytest.fixture
def written(tmp_path):
    def write(text, name="s.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def samples(folder, model, dataset):
    (path,) = Path(folder).rglob(f"{model}_{dataset}_samples.jsonl")
    return path.read_bytes()


def test_a_suite_gives_what_single_runs_give_and_runs_nothing_twice(written, tmp_path):
    file = written(
        f"datasets: [{PERCEPTION}, {NO_REFERENCE}]\nmodels: [MedQ-Classical]\njudges: [rules]\nlimit: 20\n"
        "second_pass: true\n"
    )
    code, out, err = suite(file)
    assert code == 0, err
    # Inference and scoring of two datasets, and a second pass of the one with options, compared.
    assert "6 of 6 jobs are done." in out
    assert "MedQ-Classical on MedQBench_Perception_mini" in out
    assert (tmp_path / "s" / "report" / "report.html").is_file()
    words = ["--model", "MedQ-Classical", "--judge", "rules", "--limit", "20", "--work-dir", str(tmp_path / "single")]
    single = [*command()[:3], "run", "--data", PERCEPTION, NO_REFERENCE, *words]
    assert subprocess.run(single, capture_output=True).returncode == 0
    for dataset in (PERCEPTION, NO_REFERENCE):
        expected = samples(tmp_path / "single", "MedQ-Classical", dataset)
        assert samples(tmp_path / "s" / "results", "MedQ-Classical", dataset) == expected
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "s" / "predictions").rglob("*.xlsx")}
    code, out, err = suite(file)
    assert (code, err.count(": running")) == (0, 0)
    assert "6 of 6 jobs are done." in out
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert {job["tries"] for job in states(file).values()} == {1}
    # Another limit is another question: the replies to the first one stay.
    file.write_text(file.read_text(encoding="utf-8").replace("20", "10"), encoding="utf-8")
    assert {job["status"] for job in states(file).values()} == {"pending"}
    assert suite(file, "--only", "*Perception_mini")[0] == 0
    assert sum(path in before for path in (tmp_path / "s" / "predictions").rglob("*.xlsx")) == len(before)


def test_one_model_that_fails_stops_no_other_and_is_tried_again_alone(written):
    with JudgeServer(lambda request: refusal(401, "no such key")) as server:
        text = f"datasets: [{PERCEPTION}]\nlimit: 10\nmodels:\n- name: net\n  base_url: URL\n- MedQ-Chance\n"
        file = written(text.replace("URL", server.base_url))
        code, out, err = suite(file, "--retry", "1")
    assert code == 1
    assert "2 of 4 jobs are done." in out
    jobs = states(file)
    assert [(job["status"], job["tries"]) for job in jobs.values()] == [
        ("failed", 2),  # once more by --retry
        ("pending", 0),
        ("done", 1),
        ("done", 1),
    ]
    assert "The test call to net failed" in jobs[f"net {PERCEPTION}"]["why"]
    assert "no such key" in err
    assert f"waits for 'net {PERCEPTION}', which failed" in suite("status", file)[1]
    with JudgeServer("A. Yes") as one, JudgeServer("A. Yes") as other:
        addresses = f"[{one.base_url}, {other.base_url}]"
        file.write_text(text.replace("URL", addresses), encoding="utf-8")
        code, _, err = suite(file)
        asked = [len(server.requests) for server in (one, other)]
    assert code == 0, err
    assert err.count(": submitted") == 2  # the others are done
    # Ten questions and a test call of each server, spread over the two.
    assert asked == [6, 6]


def test_keys_reach_the_servers_and_no_file(written, tmp_path, monkeypatch):
    keys = {"NET_KEY": "canary-of-the-model-4711", "OWN_KEY": "canary-of-the-judge-0815"}
    for name, key in keys.items():
        monkeypatch.setenv(name, key)
    with JudgeServer("A good image. The quality is good.") as net, JudgeServer("Score: 2") as judge:
        file = written(
            f"datasets: [{NO_REFERENCE}]\nlimit: 2\n"
            f"models:\n- {{name: net, base_url: {net.base_url}, key_env: NET_KEY}}\n"
            f"judges:\n- {{name: own, base_url: {judge.base_url}, key_env: OWN_KEY, protocol: rubric}}\n"
        )
        code, out, err = suite(file)
    assert code == 0, err
    assert {request.headers["authorization"] for request in net.requests} == {f"Bearer {keys['NET_KEY']}"}
    assert {request.headers["authorization"] for request in judge.requests} == {f"Bearer {keys['OWN_KEY']}"}
    files = [path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()]
    assert len(files) > 10
    assert not any(key.encode() in content for key in keys.values() for content in [*files, out.encode(), err.encode()])


def test_a_job_begins_although_a_call_looks_after_it_at_that_moment(tmp_path):
    store = Store(tmp_path / "s")
    words = ("score", str(tmp_path / "none.xlsx"), "--json")
    job = Job("net set scored", "judge", "net", "set", "rules", words)
    store.write(State(job, "submitted"))
    call = "from medqbench_vlmeval.workflows.suite_engine import JobProcess, Path\n"
    call += f"print('now', flush=True); JobProcess(Path({str(store.path(job))!r}))()"
    env = {**os.environ, "SUBMITIT_EXECUTOR": "local", "SUBMITIT_LOCAL_JOB_ID": "1"}
    with held(store.path(job, ".lock")):  # as a call does that asks whether a process is at work
        child = subprocess.Popen([sys.executable, "-c", call], stdout=subprocess.PIPE, text=True, env=env)
        assert child.stdout.readline() == "now\n"
        with suppress(subprocess.TimeoutExpired):
            child.wait(1)
    assert child.wait(60) == 0
    child.stdout.close()
    state = store.read(job)
    assert (state.status, state.tries) == ("failed", 1)
    assert state.why.startswith("Name the folder for the result files with --out")


def test_without_keep_going_nothing_begins_after_a_failure(written):
    with JudgeServer(lambda request: refusal(401, "no")) as server:
        file = written(
            f"datasets: [{PERCEPTION}]\nlimit: 4\nlocal: {{jobs: 1}}\nmodels:\n"
            f"- name: net\n  base_url: {server.base_url}\n- MedQ-Chance\n"
        )
        code, out, _ = suite(file, "--stop")
    assert code == 1
    assert "0 of 4 jobs are done." in out
    assert [job["status"] for job in states(file).values()] == ["failed", "pending", "pending", "pending"]


class Gate:
    """A model's server whose replies wait until they are let go."""

    def __init__(self):
        import threading

        self.open = threading.Event()

    def __call__(self, request):
        if len(json.dumps(request.body)) > 2000:  # not the test call
            self.open.wait(120)
        return "A. Yes"


def processes(folder, *words):
    """The numbers of processes that work on a suite's folder, by what stands in their command lines."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line and all(word in line for word in words):
            found.append(int(path.parent.name))
    return found


def test_killing_the_suite_loses_nothing_and_a_new_call_waits_for_its_jobs(written, tmp_path):
    gate = Gate()
    with JudgeServer(gate) as server:
        file = written(f"datasets: [{PERCEPTION}]\nlimit: 4\nmodels:\n- name: net\n  base_url: {server.base_url}\n")
        first = subprocess.Popen(command(file), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: len(server.requests) > 1, "a question")
        # The viewer shows the suite beside the run that is at work.
        shown = {(work["model"], work["dataset"]) for work in WorkFolder(tmp_path / "s", compared).state_json()["work"]}
        assert shown == {("s", "all jobs"), ("net", PERCEPTION)}
        # Two calls at once in one folder are refused.
        code, _, err = suite(file)
        assert code == 2
        assert "Another 'medqbench suite' uses" in err
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert states(file)[f"net {PERCEPTION}"]["status"] == "running"
        second = subprocess.Popen(command(file), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: processes(file.name, "suite", "-m"), "the second call")
        gate.open.set()
        out, err = second.communicate(timeout=240)
    assert second.returncode == 0, err
    assert "2 of 2 jobs are done." in out
    assert [job["tries"] for job in states(file).values()] == [1, 1]
    # Four questions and one test call: nothing was asked twice.
    assert len(server.requests) == 5
    assert processes(tmp_path) == []


def test_a_job_that_is_killed_has_failed_and_goes_on(written, tmp_path):
    gate = Gate()
    with JudgeServer(gate) as server:
        file = written(f"datasets: [{PERCEPTION}]\nlimit: 4\nmodels:\n- name: net\n  base_url: {server.base_url}\n")
        call = subprocess.Popen(
            command(file, "--retry", "1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        wait_for(lambda: len(server.requests) > 1, "a question")
        for number in processes(tmp_path, "submitit"):
            os.kill(number, signal.SIGKILL)
        for number in processes(tmp_path, "--work-dir"):
            os.kill(number, signal.SIGKILL)
        gate.open.set()
        out, err = call.communicate(timeout=240)
    assert call.returncode == 0, err
    assert "Its process is gone without a word" in err
    assert "2 of 2 jobs are done." in out
    assert states(file)[f"net {PERCEPTION}"]["tries"] == 2


def test_ctrl_c_ends_a_suite_and_its_jobs_and_the_same_call_goes_on(written, tmp_path):
    gate = Gate()
    with JudgeServer(gate) as server:
        file = written(f"datasets: [{PERCEPTION}]\nlimit: 4\nmodels:\n- name: net\n  base_url: {server.base_url}\n")
        call = subprocess.Popen(
            command(file), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        wait_for(lambda: len(server.requests) > 1, "a question")
        os.killpg(call.pid, signal.SIGINT)
        _, err = call.communicate(timeout=240)
        assert call.returncode == 130
        assert err.splitlines()[-1].startswith("medqbench: interrupted; what is done stays")
        assert "Traceback" not in err
        gate.open.set()
        wait_for(lambda: processes(tmp_path) == [], "the end of all processes")
        code, out, err = suite(file)
    assert code == 0, err
    assert "2 of 2 jobs are done." in out


def test_a_budget_lets_no_judge_begin_that_would_cost_more(written, tmp_path):
    (tmp_path / "prices.json").write_text('{"models": {"own": {"input": 1000, "output": 1000}}}', encoding="utf-8")
    with JudgeServer("Score: 1") as judge:
        file = written(
            f"datasets: [{NO_REFERENCE}]\nlimit: 5\nmodels: [MedQ-Chance]\nbudget_usd: BUDGET\nprices: prices.json\n"
            f"judges:\n- rules\n- {{name: own, base_url: {judge.base_url}, protocol: rubric}}\n- {{name: free, "
            f"base_url: {judge.base_url}}}\n"
        )
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("BUDGET", "0.5"), encoding="utf-8")
        code, out, _ = suite(file, "--dry-run", "--json")
        planned = {each["state"]["job"]["name"]: each for each in json.loads(out)["jobs"]}
        own = planned[f"MedQ-Chance {NO_REFERENCE} own"]
        assert (code, own["calls"]) == (0, 20)  # four dimensions of five samples
        assert own["cost_usd"] > 0.5
        assert planned[f"MedQ-Chance {NO_REFERENCE} free"]["cost_usd"] is None
        assert not (tmp_path / "s").exists()
        assert suite(file)[0] == 1
        jobs = states(file)
        assert "of the budget are left" in jobs[f"MedQ-Chance {NO_REFERENCE} own"]["why"]
        assert "No price of free is known" in jobs[f"MedQ-Chance {NO_REFERENCE} free"]["why"]
        assert jobs[f"MedQ-Chance {NO_REFERENCE} rules"]["status"] == "done"
        assert judge.requests == []
        file.write_text(text.replace("BUDGET", "1000"), encoding="utf-8")
        assert suite(file, "--only", "own")[0] == 0
        assert len(judge.requests) == 20


def test_verdicts_of_a_batch_leave_a_suites_judge_no_call(written, tmp_path):
    file = written(f"datasets: [{NO_REFERENCE}]\nlimit: 5\nmodels: [MedQ-Chance, MedQ-Classical]\njudges: [rules]\n")
    assert suite(file)[0] == 0
    predictions = sorted(str(path) for path in (tmp_path / "s" / "predictions").rglob("*.xlsx"))
    assert len(predictions) == 2
    calls, answers = tmp_path / "calls.jsonl", tmp_path / "answers.jsonl"
    judge = ["judge", "export", *predictions, "--judge", "qwen", "--protocol", "rubric", "--out", str(calls)]
    subprocess.run([*command()[:3], *judge], check=True)
    # vLLM needs a GPU: this writes what it would, in its format.
    answers.write_text(jsonl(vllm_lines(map(json.loads, calls.open()), "Score: 2")), encoding="utf-8")
    subprocess.run([*command()[:3], "judge", "import", str(answers), "--judge", "qwen"], check=True)
    with JudgeServer("Score: 0") as server:
        text = file.read_text(encoding="utf-8").replace("rules]", "rules, JUDGE]")
        entry = f"{{name: qwen, base_url: {server.base_url}, protocol: rubric}}"
        file.write_text(text.replace("JUDGE", entry), encoding="utf-8")
        code, out, err = suite(file, "--dry-run", "--json")
        assert [each["calls"] for each in json.loads(out)["jobs"]] == [0] * 6
        code, out, err = suite(file)
        assert (code, server.requests) == (0, []), err
    scores = [json.loads(path.read_bytes()) for path in (tmp_path / "s" / "results" / "qwen").glob("*_score.json")]
    assert [score["Overall"] for score in scores] == [8.0, 8.0]  # four dimensions with 2 each


def test_a_folder_that_cannot_be_written_to_is_said_before_anything_begins(written, tmp_path):
    (tmp_path / "s").write_text("a file", encoding="utf-8")
    code, _, err = suite(written(f"datasets: [{PERCEPTION}]\nmodels: [MedQ-Chance]\n"))
    assert code == 1
    assert "name another 'folder' in the file" in err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_disk_that_fills_up_loses_nothing(tmp_path):
    disk, gate = tmp_path / "disk", Gate()
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        with JudgeServer(gate) as server:
            file = disk / "s.yaml"
            file.write_text(
                f"datasets: [{PERCEPTION}]\nlimit: 4\nmodels:\n- name: net\n  base_url: {server.base_url}\n",
                encoding="utf-8",
            )
            call = subprocess.Popen(command(file), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            wait_for(lambda: len(server.requests) > 1, "a question")
            fill = disk / "fill"
            with suppress(OSError), fill.open("wb", buffering=0) as full:
                while True:
                    full.write(bytes(4096))
            gate.open.set()
            _, err = call.communicate(timeout=240)
            assert call.returncode == 1
            assert "No space left on device" in err or "the disk is full" in err
            wait_for(lambda: processes(disk) == [], "the end of all processes")
            assert "the disk is full" in suite(file)[2]
            fill.unlink()
            code, out, err = suite(file)
        assert code == 0, err
        assert "2 of 2 jobs are done." in out
    finally:
        subprocess.run(["umount", disk], check=True)


def test_names_and_clusters_that_are_not_there_are_refused(written):
    file = written(f"datasets: [{PERCEPTION}]\nmodels:\n- MedQ-Chance\n- Qwen2.5-VL-7X\n")
    code, _, err = suite(file, "--dry-run")
    assert code == 2
    assert f"{file}, line 4: " in err
    assert "Qwen2.5-VL-7B" in err
    file = written(f"datasets: [{PERCEPTION}]\nmodels: [MedQ-Chance]\n")
    env = {**os.environ, "PATH": str(Path(command()[0]).parent)}
    code, _, err = suite(file, "--cluster", "slurm", env=env)
    assert code == 2
    assert "There is no Slurm here" in err
    code, _, err = suite(file, "--cluster", "slurn")
    assert "--cluster slurn is none of local, slurm" in err
    code, _, err = suite(file, "--only", "Qwen*")
    assert code == 2
    assert "--only Qwen* names none of the 2 jobs" in err
