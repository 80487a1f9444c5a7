"""Many models on many datasets with many judges, unattended: what is to be done, and the loop that has it done."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from medqbench_vlmeval.benchmark import ROBUSTNESS
from medqbench_vlmeval.data import load, stratified
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import check_room, held
from medqbench_vlmeval.judge import JudgeOptions, build_judge
from medqbench_vlmeval.judge.budget import estimates, total
from medqbench_vlmeval.judge.usage import load_prices
from medqbench_vlmeval.runs.progress import FAILED as ENDED
from medqbench_vlmeval.runs.progress import ProgressFile, progress_path
from medqbench_vlmeval.types import Prediction
from medqbench_vlmeval.workflows.estimate import budget_of
from medqbench_vlmeval.workflows.evaluate import request_for
from medqbench_vlmeval.workflows.suite_engine import LOCAL, Engine
from medqbench_vlmeval.workflows.suite_jobs import (
    DONE,
    FAILED,
    JOBS,
    PENDING,
    SUBMITTED,
    Job,
    State,
    Store,
    Suite,
    machine_gpus,
)


@dataclass(frozen=True)
class Planned:
    """A job with what it would ask: ``calls`` of a model or a judge, and what a judge's would cost in US dollars (None:
    no price known)."""

    state: State
    calls: int
    cost_usd: float | None = 0.0


def plan(suite: Suite, jobs: Sequence[Job]) -> list[Planned]:
    """What the jobs would ask; nothing is asked, and nothing is written. Where predictions are yet to come, a judge's
    calls are worked out from the reference answers. Raises BadInput where data cannot be used."""
    store = Store(suite.folder)
    states = {job.name: store.read(job) for job in jobs}

    @cache
    def n_samples(dataset: str) -> int:
        n = len(load(dataset))
        return min(n, suite.limit or n)

    @cache
    def of_references(dataset: str, judge: str) -> tuple[int, float | None]:
        samples = list(load(dataset))
        chosen = stratified(samples, suite.limit) if suite.limit else {sample.index for sample in samples}
        samples = [sample for sample in samples if sample.index in chosen]
        replies = [Prediction(sample.index, sample.description or sample.answer or "good") for sample in samples]
        options = JudgeOptions.from_kit_kwargs({**_keywords(suite, judge), "no_calls": True})
        sums = total(estimates(build_judge(options), samples, replies, load_prices(suite.prices)))
        return int(sums["to_ask"] or 0), sums["cost_usd"]

    plans = []
    for state in states.values():
        job, planned = state.job, Planned(state, 0)
        if state.status != DONE and job.kind == "infer":
            planned = Planned(state, n_samples(job.dataset.removesuffix(ROBUSTNESS)))
        elif state.status != DONE and job.judge:
            before = states[job.needs[0]]
            of = cost_of(suite, job, before) if before.status == DONE else of_references(job.dataset, job.judge)
            planned = Planned(state, *of)
        plans.append(planned)
    return plans


def cost_of(suite: Suite, job: Job, before: State) -> tuple[int, float | None]:
    """The calls that judging the predictions of a job would take, and their cost (None: no price known)."""
    judge, place = {**_keywords(suite, job.judge), "no_calls": True}, suite.folder / "results"
    request = request_for(Path(before.result or ""), place, job.dataset, job.model, judge, limit=suite.limit)
    sums = budget_of(replace(request, prices=suite.prices)).total
    return int(sums["to_ask"] or 0), sums["cost_usd"]


def _keywords(suite: Suite, judge: str) -> dict[str, object]:
    return dict(next(entry for entry in suite.judges if entry.name == judge).keywords)


@contextmanager
def alone(suite: Suite) -> Iterator[None]:
    """Hold a suite's folder against other processes. Raises BadInput where another suite uses it, RunFailed where it
    cannot be written to or the disk is full."""
    lock = suite.folder / JOBS / "suite.lock"
    check_room([lock], "make room there, or name another 'folder' in the file")
    try:
        with held(lock, timeout=0):
            yield
    except TimeoutError:
        raise BadInput(
            f"Another 'medqbench suite' uses {suite.folder}: wait for it ('medqbench suite status' shows how far it "
            "is), or name another 'folder' in the file."
        ) from None


def wanted(jobs: Sequence[Job], only: str | None) -> list[Job]:
    """The jobs that a pattern names ('Qwen*', '*Perception*', a judge), with those that they need. Raises BadInput
    where it names none."""
    names = {
        job.name
        for job in jobs
        if only is None or any(fnmatchcase(text, only) for text in (job.name, job.model, job.dataset, job.judge))
    }
    if not names:
        raise BadInput(f"--only {only} names none of the {len(jobs)} jobs; --dry-run shows them.")
    needed = names | {name for job in jobs if job.name in names for name in job.needs}
    return [job for job in jobs if job.name in needed]


@dataclass
class Loop:
    """Hands jobs to an engine until there is nothing left to do; ``tell`` hears of each change. A job that failed in an
    earlier call is tried again, and one that fails now ``retry`` times more; without ``keep_going`` no job begins after
    the first failure. A judge whose price is not known, or that would cost more than is left of the budget, is not
    asked: its job fails."""

    suite: Suite
    jobs: Sequence[Job]
    engine: Engine
    retry: int = 0
    keep_going: bool = True
    tell: Callable[[State], None] = lambda _: None
    _tries: Counter[str] = field(default_factory=Counter)
    _told: dict[str, State] = field(default_factory=dict)

    def run(self) -> list[State]:
        """Run the jobs; returns what became of each. Raises BadInput where a job needs more GPUs than there are,
        RunFailed where the scheduler fails; what it has goes on. Ctrl-C ends this machine's jobs first."""
        try:
            return self._run()
        except KeyboardInterrupt:
            self.engine.end([state for state in map(self._store.read, self.jobs) if state.is_active])
            raise

    def _run(self) -> list[State]:
        self._store = Store(self.suite.folder)
        self._cards = self.suite.local.gpus if self.suite.local.gpus is not None else machine_gpus()
        most = max(job.gpus for job in self.jobs)
        if self.engine.cluster == LOCAL and self._cards and most > len(self._cards):
            raise BadInput(f"A model needs {most} GPUs, and this machine has {len(self._cards)}; use --cluster slurm.")
        file = ProgressFile(progress_path(self._store.jobs, "suite"), self.suite.folder.name, "all jobs")
        while True:
            states = {job.name: self._seen(job) for job in self.jobs}
            counts = Counter(state.status for state in states.values())
            failed = f"{counts[FAILED]} failed" if counts[FAILED] else ""
            file.told("jobs", counts[DONE], len(states), failed)
            active = [state for state in states.values() if state.is_active]
            ready = [state for state in states.values() if self._is_ready(state, states)]
            if not active and not ready:
                if counts[DONE] < len(states):
                    file.told(ENDED, more=f"{failed}; {counts[DONE]} of {len(states)} jobs are done")
                else:
                    file.remove()
                return list(states.values())
            chosen = [paid for state in self._fitting(ready, active) for paid in self._affordable(state, states)]
            for state in self.engine.submit(chosen):
                self._heard(state)
            if active or chosen:
                time.sleep(self.engine.poll)

    def _heard(self, state: State) -> State:
        if self._told.get(state.job.name, State(state.job)).status != state.status:
            self.tell(state)
        self._told[state.job.name] = state
        return state

    def _seen(self, job: Job) -> State:
        """How far a job is; one whose process is gone has failed, one that the scheduler runs again has not."""
        if (told := self._told.get(job.name)) and told.status in (PENDING, DONE):
            return told  # nobody but this call changes it
        state = self._store.read(job)
        if state.status == FAILED and self.engine.is_alive(state):
            return self._heard(replace(state, status=SUBMITTED))
        if state.is_active and not self.engine.is_alive(state):
            state = self._store.read(job)  # it may have ended in between
            if state.is_active:
                why = "Its process is gone without a word: it was killed, or its machine ran out of memory."
                state = self._store.write(replace(state, status=FAILED, why=why, ended=time.time()))
        return self._heard(state)

    def _is_ready(self, state: State, states: Mapping[str, State]) -> bool:
        if state.status not in (PENDING, FAILED) or self._tries[state.job.name] > self.retry:
            return False
        lost = [name for name, of in states.items() if of.status == FAILED and self._tries[name] > self.retry]
        return (self.keep_going or not lost) and all(states[name].status == DONE for name in state.job.needs)

    def _fitting(self, ready: Sequence[State], active: Sequence[State]) -> Iterator[State]:
        """The jobs that may begin beside those that are at work, with the GPUs that they get of this machine."""
        if self.engine.cluster != LOCAL:
            yield from ready
            return
        room = self.suite.local.jobs - len(active)
        free = [card for card in self._cards if not any(card in state.cards for state in active)]
        for state in ready:
            n = min(state.job.gpus, len(self._cards))
            if room > 0 and n <= len(free):
                yield replace(state, cards=tuple(free[:n]))
                free, room = free[n:], room - 1

    def _affordable(self, state: State, states: Mapping[str, State]) -> Iterator[State]:
        """Count a try; yield the job with what judging may cost, or keep that it cannot be paid, which is a failure."""
        job, budget = state.job, self.suite.budget_usd
        self._tries[job.name] += 1
        if budget is None or not job.judge:
            yield state
            return
        _, cost = cost_of(self.suite, job, states[job.needs[0]])
        left = budget - sum(other.cost_usd for other in self._store.all())
        if cost is not None and cost <= left:
            yield replace(state, cost_usd=state.cost_usd + cost)
            return
        why = f"No price of {job.judge} is known, which 'budget_usd' needs: name it in the file of 'prices'."
        if cost is not None:
            why = f"Judging would cost ${cost:,.2f} by estimate, and ${max(0.0, left):,.2f} of the budget are left."
        self._tries[job.name] = self.retry + 1
        self._heard(self._store.write(replace(state, status=FAILED, why=why, ended=time.time())))
