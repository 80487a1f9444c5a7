"""What a run says of itself and of its judge, in a sentence each: for terminal, card and page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medqbench_vlmeval.benchmark import OVERALL, TASK_TITLES, Comparable
from medqbench_vlmeval.judge import RULES
from medqbench_vlmeval.report.terminal import dollars
from medqbench_vlmeval.report.text import LABELS
from medqbench_vlmeval.types import Agreement, ExtractorResult, JudgeUsage, TaskRun, Tokens

_NONE = "-"
_ALARMS = ("same_scores", "speaks_to_grader")


def warnings_of(run: TaskRun) -> list[str]:
    """What a reader of the numbers must know, one sentence each."""
    result = run.result
    warnings = ["baseline: a model without weights, for orientation only"] if run.baseline else []
    if result.comparable is not Comparable.YES:
        because = "; ".join(result.not_comparable_because) or "no reason given"
        warnings.append(f"{result.comparable.words} with the published rows: {because}")
    failed = ", failed ones among them" if result.counts.get("n_inference_failed") else ""
    for name, sentence in LABELS["warnings"].items():
        if count := result.counts.get(name):
            warnings.append(f"{count:,} of {result.n:,} samples {sentence.format(failed=failed)}")
    warnings += [f"inference failed: {reason} ({count:,})" for reason, count in result.inference_failures.items()]
    warnings += [f"unscored: {reason} ({count:,})" for reason, count in result.unscored_reasons.items()]
    if same := result.findings.get("same_scores"):
        judge, scores = same.details.facts.get("judge") or "the judge", same.details.facts.get("scores")
        warnings.append(
            f"{judge} gives {same.cell.value or 0:.2f}% of {same.cell.n} samples the same scores ({scores}): read some "
            "of its replies before these are used"
        )
    return warnings + images_lines(run)


def images_lines(run: TaskRun) -> list[str]:
    """What was done to the images before the model saw them, with the way out, one sentence each."""
    use = run.settings.model_use
    if use is None or (images := use.images) is None:
        return []
    n, db, scale, by_request = images.n, images.psnr, images.scale, "request" in images.seen_in
    original = "; --image-bytes original sends the files as they are" if by_request else ""
    limits = ", ".join(f"{name} {value}" for name, value in use.pixel_limits.items() if "pixel" in name and value)
    own_limits = f"{f' ({limits})' if limits else ''}; an entry of the model's in --config sets its limits"
    lines = []
    if db is not None:
        lines.append(
            f"{images.n_lossy:,} of {n:,} were changed before the model saw them ({', '.join(images.forms)}): PSNR "
            f"{db.mean:.1f} dB on average, {db.low:.1f} at the lowest{original}"
        )
    if scale is not None and (images.n_enlarged or images.n_shrunk):
        lines.append(
            f"{images.n_enlarged:,} were enlarged and {images.n_shrunk:,} shrunk, to {scale.low:.2g} to "
            f"{scale.high:.3g} times their pixels{'' if lines and original else original or own_limits}"
        )
    for number, words in (
        (images.details.get("low"), f"of {n:,} went out with OpenAI's detail 'low'; see --image-detail high"),
        (images.n_left_out, f"were never sent, {use.model_class} left them out"),
        (images.seen_in.get("nowhere"), f"of {n:,} were sent by {use.model_class} in a way that is not on record"),
    ):
        lines += [f"{number:,} {words}"] if number else []
    return [f"images: {line}" for line in lines]


def checks_of(run: TaskRun) -> list[str]:
    """What judging took, and how far the verdicts hold: against stated conclusions, between rounds, between judges."""
    result = run.result
    lines = []
    if result.usage is not None:
        for name, used in (result.usage.by_judge or {"": result.usage}).items():
            if used.total.calls:
                lines.append(f"Judge{f' {name}' if name else ''}: {_usage(used)}")
    if result.kit_reading:
        readings = (
            f"by its {name} {group.overall.value or 0:.2f}% ({group.counts['n_correct']:,} of {group.counts['n']:,}, "
            f"no letter in {group.counts['n_unanswered']:,})"
            for name, group in result.kit_reading.items()
        )
        lines.append(f"Read by the kit, beside the official numbers: {', '.join(readings)}")
    if check := result.conclusions:
        agreed = check.agreement
        lines.append(
            f"Quality accuracy from stated conclusions: {_mean(check.computed)} on {check.n} "
            f"(judge {_mean(check.judge)} on {agreed.n}), the same on {_same(agreed)} of {agreed.n}; disagreements "
            f"(sheet 'Conclusions'): {check.n_disagreements}"
            + ("; one of the panel, 'rules', computes it so itself" if has_rules(run) else "")
        )
    if has_several_verdicts(run):
        shares = ", ".join(f"{title} {_shares(counts)}" for title, counts in result.frequencies.items())
        lines.append(f"Single verdicts of 0 / 1 / 2: {shares}")
    if result.between_rounds:
        lines.append(f"Same score in two rounds: {_by_dimension(result.between_rounds)}")
    if judges := result.between_judges:
        overall = ", ".join(f"{name} {_mean(means.get(OVERALL))}" for name, means in judges.means.items())
        lines.append(f"Overall by judge: {overall}")
        for first, others in judges.pairs.items():
            lines += [f"Same score of {first} and {second}: {_by_dimension(pair)}" for second, pair in others.items()]
    return lines


def extractor_lines(extractor: ExtractorResult) -> list[str]:
    """What the extractor did and took, and what of it is official."""
    not_asked = extractor.n_open - extractor.n_asked
    return [
        f"Extractor {extractor.name}: of {extractor.n_open:,} replies that the rules left open {extractor.n_read:,} "
        f"read, {extractor.n_none:,} without an answer, {extractor.n_failed:,} failed"
        f"{f', {not_asked:,} not asked' if not_asked else ''}; {_usage(extractor.usage, tokens=False)}",
        "The official numbers are the strict ones.",
    ]


def findings_lines(run: TaskRun) -> list[str]:
    """One line a finding, and one that names what the data does not support; nothing for a result without findings."""
    lines = [
        f"{finding.title}: {finding.statement}{' (few samples)' if finding.cell.few else ''}"
        for finding in run.result.findings.values()
    ]
    absent = [f"{name.replace('_', ' ')} ({reason})" for name, reason in run.result.not_found.items()]
    return lines + ([f"Not found: {'; '.join(absent)}"] if absent else [])


def telling_findings(runs: Sequence[TaskRun], most: int = 3) -> list[str]:
    """The findings that say most of some runs, one of a kind, a line each: what puts scores in doubt, then differences
    whose interval leaves out 0, then shares, then what is open; the largest for its interval's width first."""

    def weight(named: tuple[str, TaskRun]) -> tuple[bool, bool, bool, float]:
        finding = named[1].result.findings[named[0]]
        ends, is_share = finding.cell.interval, finding.unit == "percent"
        width = ends[1] - ends[0] if ends and not is_share else 0.0
        kind = named[0] in _ALARMS, not (is_share or finding.is_open), is_share and bool(finding.cell.value)
        return *kind, abs(finding.cell.value or 0.0) / (width or 1.0)

    found = sorted(((name, run) for run in runs for name in run.result.findings), key=weight, reverse=True)
    models, tasks, lines = {run.model for run in runs}, {run.task for run in runs}, dict[str, str]()
    for name, run in found:
        finding = run.result.findings[name]
        whose = (run.model if len(models) > 1 else "", TASK_TITLES[run.task] if len(tasks) > 1 else "")
        lines.setdefault(name, f"{' | '.join(filter(None, (*whose, finding.title)))}: {finding.statement}")
    return list(lines.values())[:most]


def has_several_verdicts(run: TaskRun) -> bool:
    """Whether a sample has more than one verdict a dimension: of several rounds or several judges."""
    return bool(run.result.between_rounds or run.result.between_judges)


def has_rules(run: TaskRun) -> bool:
    """Whether the embedded judge is one of a panel; its quality accuracy is the computed one."""
    judge = run.settings.judge
    return judge is not None and any(member.name == RULES for member in judge.members)


def _usage(usage: JudgeUsage, tokens: bool = True) -> str:
    total, now = usage.total, usage.this_run or Tokens(0, 0, 0)
    counted = f" {total.prompt_tokens:,} + {total.completion_tokens:,} tokens," if tokens else ""
    this_run = f"{now.calls:,} calls, {dollars(now.cost_usd)}"
    return f"{total.calls:,} calls,{counted} {dollars(total.cost_usd)}; this run {this_run}"


def _shares(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    return " / ".join(f"{100 * count / total:.1f}" for count in counts.values()) + "%" if total else _NONE


def _by_dimension(cells: Mapping[str, Agreement]) -> str:
    return ", ".join(f"{title} {_same(cell)}" for title, cell in cells.items())


def _same(cell: Agreement) -> str:
    if cell.same is None:
        return _NONE
    return f"{cell.same:.1f}%" + (f" (kappa {cell.kappa:.3f})" if cell.kappa is not None else "")


def _mean(value: float | None) -> str:
    return _NONE if value is None else f"{value:.3f}"
