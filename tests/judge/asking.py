"""Samples to judge, and judges on scripted servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.judge import JudgeOptions, build_judge
from medqbench_vlmeval.judge.cache import ReplyCache
from medqbench_vlmeval.judge.calls import Progress, Reply
from medqbench_vlmeval.judge.client import Messages
from medqbench_vlmeval.types import Judged, Prediction, Sample
from tests.servers import JudgeServer


def samples_of(n: int = 1, task: Task = Task.NO_REFERENCE) -> tuple[list[Sample], list[Prediction]]:
    """The samples s0, s1, ... with 'reference 0', ... and the predictions 'answer 0', ..."""
    samples = [Sample(f"s{i}", task, None, description=f"reference {i}") for i in range(n)]
    return samples, [Prediction(f"s{i}", f"answer {i}") for i in range(n)]


def judge_on(server: JudgeServer, store: ReplyCache | None = None, **options: Any) -> Any:
    """The judge 'judge-1' on a server: four calls at once, none tried again, with the package's rubric."""
    settings = {"nproc": 4, "retry": 0, "protocol": "rubric", **options}
    return build_judge(JudgeOptions("judge-1", server.base_url, **settings), store)


def ask(
    server: JudgeServer,
    n: int = 1,
    task: Task = Task.NO_REFERENCE,
    store: ReplyCache | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> list[Judged]:
    """What :func:`judge_on` says about :func:`samples_of`."""
    return judge_on(server, store, **options).judge(*samples_of(n, task), on_progress)


def scores(judged: Judged) -> dict[str, float | None]:
    return {dimension: verdict.score for dimension, verdict in judged.verdicts.items()}


def asked_again(request: Any) -> bool:
    """Whether a request follows a reply that was unclear."""
    return len(request.messages) == 3


class Asker:
    """Stands where a client of the kit's would: ``reply`` gives the judge's words about a prompt."""

    def __init__(self, reply: Callable[[str], str], model: str = "asker") -> None:
        self._reply, self._model = reply, model

    async def __aenter__(self) -> Asker:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""

    async def ask(self, messages: Messages, schema: object = None) -> Reply:
        return Reply((self._reply(messages[0]["content"]),), self._model)
