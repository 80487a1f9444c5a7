"""Calls that fail: their reasons in predictions and results, runs without any reply, asking the failed ones again."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.kit.guards import Redaction
from medqbench_vlmeval.kit.model_calls import GAVE_UP, on_record
from medqbench_vlmeval.kit.runner import run
from medqbench_vlmeval.predictions import read_predictions
from tests.canaries import leaks
from tests.kit.runs import PERCEPTION, forget_keys, newest, rows_of, score_of
from tests.servers import JudgeServer, Sent, refusal

KEY = "sk-canary-0123456789-abc"


@pytest.fixture(autouse=True)
def at_once(kit, monkeypatch):
    """The kit's clients wait for a random time before each call, and for up to ten seconds behind one that failed."""
    import vlmeval.api.base

    forget_keys(monkeypatch)
    monkeypatch.setattr(vlmeval.api.base, "rd", SimpleNamespace(random=lambda: 0.0))


def asked(model: Any, text: str = "?") -> str:
    with on_record(Redaction(known=[KEY])):
        return model.generate([{"type": "text", "value": text}])


EMPTY = {"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}


@pytest.mark.parametrize("interface", ["GPT4V", "LMDeployAPI"])
@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (refusal(500, f"busy, your key is {KEY}"), "status 500: busy, your key is ***"),
        (Sent(status=503, body="<html><h1>Bad gateway</h1></html>"), "status 503: an HTML page, 'Bad gateway'"),
        (Sent(status=0), "ConnectionError: Remote end closed connection without response"),
        (Sent(body=json.dumps({"error": {"message": "quota"}})), "status 200: quota"),
        (Sent(body=json.dumps(EMPTY)), "an empty reply (finish_reason content_filter)"),
        (Sent("B"), None),
    ],
    ids=["500", "html", "hangs up", "200 with an error", "filtered", "answers"],
)
def test_a_failed_call_says_why(interface, reply, reason):
    import vlmeval.api

    with JudgeServer(reply) as server:
        url = f"{server.base_url}/chat/completions"
        model = getattr(vlmeval.api, interface)(model="m", api_base=url, key=KEY, retry=2, wait=0, verbose=False)
        assert asked(model) == ("B" if reason is None else f"{GAVE_UP} {reason}")


@pytest.fixture
def own(kit):
    """A class of the kit's kind whose attempts end as the test says."""
    from vlmeval.api.base import BaseAPI

    class Own(BaseAPI):
        is_api = True

        def __init__(self, *outcomes: Any, **settings: Any) -> None:
            super().__init__(**{"retry": 2, "wait": 0, "verbose": False, **settings})
            self._outcomes = iter(outcomes)

        def generate_inner(self, inputs: Any, **kwargs: Any) -> Any:
            outcome = next(self._outcomes)
            if isinstance(outcome, Exception):
                raise outcome
            if isinstance(outcome, str):
                # As the kit's class for Gemini does: nothing is handed on, and words are for who is verbose.
                if self.verbose:
                    logging.getLogger("vlmeval.api.own").error("<class 'x.ClientError'>: %s", outcome)
                return -1, "", ""
            return outcome

    return Own


@pytest.mark.parametrize(
    ("outcomes", "text"),
    [
        ([(-1, "Error: no route", ""), (-1, "Error: no route", "")], f"{GAVE_UP} Error: no route"),
        ([(-1, "Failed to obtain answer via API. ClientNetworkError", None)] * 2, f"{GAVE_UP} ClientNetworkError"),
        ([(-1, "Failed to obtain answer via API.", "quota used up")] * 2, f"{GAVE_UP} quota used up"),
        (["429 slow down", "429 slow down"], f"{GAVE_UP} ClientError: 429 slow down"),
        ([ValueError("first"), KeyError("second")], f"{GAVE_UP} KeyError: 'second'"),
        ([(0, "", ""), (0, "", "")], f"{GAVE_UP} an empty reply"),
        ([(0, None, ""), (0, "C", "")], "C"),
        ([TimeoutError(), (0, "A", "Succeeded! ")], "A"),
    ],
)
def test_whatever_a_class_hands_on_as_a_reply(own, outcomes, text):
    assert asked(own(*outcomes)) == text


def test_a_model_in_this_process(kit):
    from vlmeval.vlm.base import BaseModel

    class Local(BaseModel):
        def generate_inner(self, message: Any, dataset: Any = None) -> Any:
            if message[0]["value"] == "none":
                return None
            raise RuntimeError("CUDA out of memory")

    assert asked(Local(), "none") == f"{GAVE_UP} the model's class gave no text (None)"
    with pytest.raises(RuntimeError, match="CUDA"):
        asked(Local())
    # In api-mode a worker whose call raises would leave its sample, and the run with it, waiting for ever.
    said: list[str] = []
    worker = threading.Thread(target=lambda: said.append(asked(Local())))
    worker.start()
    worker.join()
    assert said == [f"{GAVE_UP} RuntimeError: CUDA out of memory"]


class Flaky:
    """What a server says that fails for some questions; both functions take a question's number, in their order."""

    def __init__(self, fails: Any, says: Any = "The answer is B. Reply {}".format) -> None:
        self._fails, self._says = fails, says
        self.n_asked = 0
        self._seen: dict[str, int] = {}
        self._lock = threading.Lock()

    def __call__(self, request: Any) -> Any:
        content = request.messages[-1]["content"]
        if not isinstance(content, list) or len(content) < 2:
            return "ready"
        with self._lock:
            self.n_asked += 1
            at = self._seen.setdefault(json.dumps(content), len(self._seen))
        return refusal(500, f"down for {KEY}") if self._fails(at) else self._says(at)


def served(work, server, *more):
    words = ["--data", PERCEPTION, "--model", "m", "--base-url", server.base_url, "--key", KEY, "--retry", "1"]
    return run([*words, "--limit", "10", "--work-dir", str(work), *more])


@pytest.mark.slow
@pytest.mark.parametrize("mode", [[], pytest.param(["--api-mode"], marks=pytest.mark.slow)], ids=["local", "api-mode"])
def test_a_run_records_the_reasons_and_without_any_reply_leaves_what_was_there(kit, work, tmp_path, capfd, mode):
    flaky = Flaky(lambda at: at % 5 == 0)
    with JudgeServer(flaky) as server:
        assert served(work, server, *mode) == 0
    reason = "status 500: down for ***"
    score = score_of(work, "m", PERCEPTION)
    assert (score["n"], score["n_inference_failed"], score["inference_failures"]) == (10, 2, {reason: 2})
    rows = rows_of(work, "m", PERCEPTION)
    assert sorted(row.get("failure") or "" for row in rows) == [""] * 8 + [reason] * 2
    assert {row["prediction"] for row in rows if row.get("failure")} == {f"{GAVE_UP} {reason}"}
    said = capfd.readouterr()
    assert f"! inference failed: {reason} (2)" in said.out
    board = (work / "leaderboard" / "leaderboard.json").read_bytes()
    with JudgeServer(refusal(503, "gone")) as server:
        other = [
            "--data",
            PERCEPTION,
            "--model",
            "other",
            "--base-url",
            server.base_url,
            "--retry",
            "1",
            "--limit",
            "10",
        ]
        assert run([*other, "--work-dir", str(work), *mode]) == 1
    said = capfd.readouterr()
    assert (
        "None of the 10 samples of other on MedQBench_Perception_mini has a reply (10 x status 503: gone)" in said.err
    )
    assert "medqbench: The test call to other failed: status 503: gone. The run goes on." in said.err
    assert not list(work.rglob("other_*_score.json"))
    assert (work / "leaderboard" / "leaderboard.json").read_bytes() == board
    assert newest(work, f"other_{PERCEPTION}.xlsx").exists()
    assert not leaks([KEY], tmp_path, said="".join(said))


def texts(path):
    return {reply.index: reply.text for reply in read_predictions(path).predictions}


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["tsv", "xlsx"])
@pytest.mark.parametrize("mode", [[], pytest.param(["--api-mode"], marks=pytest.mark.slow)], ids=["local", "api-mode"])
def test_failed_samples_alone_are_asked_again(kit, work, monkeypatch, capfd, mode, suffix):
    monkeypatch.setenv("PRED_FORMAT", suffix)
    # What spreadsheets and pandas make of such replies must not happen to them when they are taken up.
    awkward = ["None", "007", "=A", "nan, I think\r\n  A ", "'B'", "1e5", "B\x0b", "null"]
    flaky = Flaky(lambda at: at % 5 == 0, lambda at: f"{awkward[at % len(awkward)]}")
    with JudgeServer(flaky) as server:
        assert served(work, server, *mode) == 0
    first = newest(work, f"m_{PERCEPTION}.{suffix}")
    before, whole = texts(first), first.read_bytes()
    failed = {index for index, text in before.items() if text.startswith(GAVE_UP)}
    assert len(failed) == 2
    again = Flaky(lambda at: False, lambda at: f"The answer is C. Again {at}")
    with JudgeServer(again) as server:
        assert served(work, server, "--resume-failed", *mode) == 0
        assert again.n_asked == 2
    after = texts(newest(work, f"m_{PERCEPTION}.{suffix}"))
    assert {index: text for index, text in after.items() if index not in failed} == {
        index: text for index, text in before.items() if index not in failed
    }
    assert {after[index] for index in failed} == {"The answer is C. Again 0", "The answer is C. Again 1"}
    score = score_of(work, "m", PERCEPTION)
    assert (score["n"], score["n_inference_failed"], score.get("inference_failures")) == (10, 0, None)
    kept = [path.read_bytes() for path in work.rglob(f"m_{PERCEPTION}*.{suffix}")]
    assert whole in kept
    assert "2 of 10 samples of m_MedQBench_Perception_mini failed and are asked again" in capfd.readouterr().err
    with JudgeServer(again) as server:
        assert served(work, server, "--resume-failed", *mode) == 0
        assert again.n_asked == 2
    said = capfd.readouterr()
    assert "No sample of m_MedQBench_Perception_mini failed, and none is asked again." in said.err
    assert "Traceback" not in said.out
    # Each of the ten counts once, whatever failed before.
    assert score["settings"]["model"]["images"]["n"] == 10


@pytest.mark.slow
def test_what_cannot_be_resumed_is_said_before_a_call(kit, work, capfd):
    flaky = Flaky(lambda at: at % 5 == 0)
    with JudgeServer(flaky) as server:
        assert served(work, server, "--resume-failed") == 1
        assert "--resume-failed finds no replies of m for m_MedQBench_Perception_mini" in capfd.readouterr().err
        assert served(work, server) == 0
        assert flaky.n_asked == 10
        assert served(work, server, "--resume-failed", "--limit", "20") == 1
        said = capfd.readouterr()
        assert "10 of 20 were never asked; give the former --limit" in said.err
        assert "Traceback" not in said.out
        assert flaky.n_asked == 10
    with pytest.raises(BadInput, match="leave out --keep-failed"):
        run(["--data", PERCEPTION, "--model", "m", "--resume-failed", "--keep-failed"])


_KILLED = """
import os, signal, sys
from medqbench_vlmeval.kit.runner import run
from medqbench_vlmeval.predictions import read_predictions
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", [[], ["--api-mode"]], ids=["local", "api-mode"])
def test_a_killed_resumption_loses_nothing(kit, work, tmp_path, mode):
    with JudgeServer(Flaky(lambda at: at % 2 == 0)) as server:
        assert served(work, server, *mode) == 0
    first = newest(work, f"m_{PERCEPTION}.xlsx")
    before, whole = texts(first), first.read_bytes()
    process: list[subprocess.Popen[bytes]] = []

    def kill(request: Any) -> Any:
        if len(request.messages[-1]["content"]) < 2:
            return "ready"
        process[0].kill()
        return Sent(status=0)

    with JudgeServer(kill) as server:
        words = ["--data", PERCEPTION, "--model", "m", "--base-url", server.base_url, "--retry", "1", "--limit", "10"]
        words += ["--key", KEY, "--work-dir", str(work), "--resume-failed", *mode]
        process.append(subprocess.Popen([sys.executable, "-c", _KILLED, *words], cwd=tmp_path))
        assert process[0].wait(200) == -signal.SIGKILL
    assert first.read_bytes() == whole
    again = Flaky(lambda at: False, lambda at: "The answer is D.")
    with JudgeServer(again) as server:
        assert served(work, server, "--resume-failed", *mode) == 0
        assert again.n_asked == 5
    after = texts(newest(work, f"m_{PERCEPTION}.xlsx"))
    assert after == {i: "The answer is D." if text.startswith(GAVE_UP) else text for i, text in before.items()}
