"""A panel of judges, each a real server of its own."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from medqbench_vlmeval.benchmark import DIMENSIONS, Task
from medqbench_vlmeval.errors import JudgeError
from medqbench_vlmeval.files import write_jsonl
from medqbench_vlmeval.judge import JudgeOptions, Progress, build_judge, single_verdicts, usage_of
from medqbench_vlmeval.judge.cache import ReplyCache
from medqbench_vlmeval.types import Judged, Prediction, Run, Sample
from medqbench_vlmeval.workflows import Request, evaluate
from tests.judge.asking import samples_of
from tests.make import score_of
from tests.servers import JudgeServer, Sent, refusal
from tests.servers import Request as Call

KEY = "sk-canary-panel"
Script = str | Sent | Callable[[Call], str | Sent]


@contextlib.contextmanager
def servers(**scripts: Script) -> Iterator[dict[str, JudgeServer]]:
    """One server a judge, by the judge's name."""
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(JudgeServer(script)) for name, script in scripts.items()}


def keywords(judges: dict[str, JudgeServer], **common: Any) -> dict[str, Any]:
    members = [{"model": name, "base_url": server.base_url} for name, server in judges.items()]
    return {"panel": members, "key": KEY, "protocol": "rubric", "retry": 0, "nproc": 4, **common}


def ask(judges: dict[str, JudgeServer], n: int = 1, store: Any = None, **common: Any) -> list[Judged]:
    options = JudgeOptions.from_kit_kwargs(keywords(judges, **common))
    return build_judge(options, store).judge(*samples_of(n))


def test_the_median_of_three_counts_and_each_verdict_is_kept() -> None:
    with servers(a="Score: 0", b="Score: 2", c=Sent("Score: 2", model="c-2026")) as judges:
        (judged,) = ask(judges)
        assert [len(server.requests) for server in judges.values()] == [4, 4, 4]
        assert judges["b"].requests[0].body["model"] == "b"
    for dimension in DIMENSIONS:
        verdict = judged.verdicts[dimension]
        assert verdict.score == 2
        assert {name: part.score for name, part in verdict.parts.items()} == {"a": 0, "b": 2, "c": 2}
        assert verdict.parts["c"].judge == "c-2026"
        assert verdict.judge == "a-served, b-served, c-2026"
    usage = usage_of(single_verdicts([judged]))
    assert (usage.calls, usage.prompt_tokens) == (12, 1200)


def test_a_median_of_the_others_is_none() -> None:
    with servers(a="Score: 2", b="I would rather not say.", c="Score: 2") as judges:
        (judged,) = ask(judges)
    verdict = judged.verdicts["completeness"]
    assert verdict.score is None
    assert verdict.reason.startswith("b: ")
    # What the others said was paid for and stays.
    assert {name: part.score for name, part in verdict.parts.items()} == {"a": 2, "b": None, "c": 2}


def test_rounds_of_a_member_are_its_mean() -> None:
    def alternating(request: Call) -> str:
        return f"Score: {len(judges['a'].requests) % 2}"

    with servers(a=alternating, b="Score: 2") as judges:
        (judged,) = ask(judges, protocol="rubric-2", nproc=1)
    verdict = judged.verdicts["consistency"]
    assert list(verdict.parts["a"].parts) == ["1", "2"]
    rounds = [part.score for part in verdict.parts["a"].parts.values()]
    assert verdict.parts["a"].score == sum(rounds) / 2
    assert verdict.score == (sum(rounds) / 2 + 2) / 2


def test_what_one_member_gave_is_kept_when_the_next_cannot_be_asked(tmp_path: Path) -> None:
    with ReplyCache(tmp_path) as store:
        with servers(a="Score: 2", b=refusal(401, "invalid api key", "invalid_api_key")) as judges:
            with pytest.raises(JudgeError) as error:
                ask(judges, n=2, store=store)
            assert KEY not in str(error.value)
        with servers(a="Score: 2", b="Score: 1") as judges:
            judged = ask(judges, n=2, store=store)
            assert [len(server.requests) for server in judges.values()] == [0, 8]
    assert judged[0].verdicts["completeness"].score == 1.5


def scored(folder: Path, judges: dict[str, JudgeServer], **common: Any) -> Run:
    path = folder / "m_MedQBench_Reasoning_NoReference.jsonl"
    write_jsonl(
        path,
        (
            {"index": i, "task": "no-reference", "question": "Q", "description": "d", "prediction": f"text {i}"}
            for i in range(4)
        ),
    )
    return evaluate(Request(path, "m", "MedQBench_Reasoning_NoReference", folder, judge=keywords(judges, **common)))


def test_a_panels_result_has_single_scores_and_agreement(tmp_path: Path) -> None:
    def strict(request: Call) -> str:
        return "Score: 0" if "text 3" in request.prompt else "Score: 2"

    with servers(a="Score: 2", b=strict) as judges:
        found = scored(tmp_path, judges)
    between = score_of(found)["between_judges"]
    assert between["means"]["a"]["Overall"] == 8
    assert between["means"]["b"]["Completeness"] == 1.5
    # a is constant, so kappa says nothing.
    assert between["pairs"]["a"]["b"]["Completeness"] == {"n": 4, "same": 75.0, "kappa": None}
    assert score_of(found)["Completeness"] == 1.75
    rows = [json.loads(line) for line in found.paths.samples.read_text(encoding="utf-8").splitlines()]
    parts = rows[3]["verdicts"]["preciseness"]["parts"]
    assert {name: part["score"] for name, part in parts.items()} == {"a": 2, "b": 0}
    assert rows[3]["scores"]["preciseness"] == 1
    assert [one["name"] for one in score_of(found)["settings"]["judge"]["members"]] == ["a", "b"]
    assert not score_of(found)["comparable"]
    for path in vars(found.paths).values():
        assert KEY.encode() not in path.read_bytes()


def test_rules_can_sit_in_a_panel(tmp_path: Path) -> None:
    with servers(a="Score: 2") as judges:
        options = keywords(judges)
        options["panel"].append({"model": "rules"})
        samples = [Sample("1", Task.NO_REFERENCE, None, description="Noise. The quality of this image is good.")]
        judge = build_judge(JudgeOptions.from_kit_kwargs(options))
        (judged,) = judge.judge(samples, [Prediction("1", "Noise. The quality of this image is reject.")])
    assert judged.verdicts["quality_accuracy"].score == 1  # 2 from the server, 0 from the rules


def test_members_of_different_sizes_fill_one_bar() -> None:
    told: list[Progress] = []
    with JudgeServer("Score: 1") as server:
        members = [{"model": "a", "protocol": "rubric-2"}, {"model": "rules"}, {"model": "b", "protocol": "rubric"}]
        judge = build_judge(JudgeOptions.from_kit_kwargs({"panel": members, "base_url": server.base_url}))
        judge.judge(*samples_of(3), on_progress=told.append)
    # Two rounds of four dimensions, four embedded verdicts, and four calls a sample.
    assert {one.total for one in told} == {3 * (8 + 4 + 4)}
    assert [one.done for one in told] == sorted(one.done for one in told)
    assert [told[0].model, told[-1].model, told[-1].done] == ["a", "b", 48]
