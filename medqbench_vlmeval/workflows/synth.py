"""``medqbench synth``: from a folder of clean images to a set that runs. What may be handed on lies in one folder.
Which source came from which file stands beside it, in ``DIR.private.csv``, because names of files may tell patients."""

from __future__ import annotations

from collections import Counter
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

from medqbench_vlmeval import __version__
from medqbench_vlmeval.benchmark import SEVERITIES, Split, Task
from medqbench_vlmeval.data.sources import hub_file
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import sha256_of, write_text, writing
from medqbench_vlmeval.report.figures.contact_sheet import write_contact_sheet
from medqbench_vlmeval.report.text import markdown_text
from medqbench_vlmeval.steps import step
from medqbench_vlmeval.synth.calibration import read_strengths
from medqbench_vlmeval.synth.catalogue import DEGRADATIONS, Degradation, recalibrated
from medqbench_vlmeval.synth.originals import AskedImages, Originals, read_originals
from medqbench_vlmeval.synth.plan import Plan, make_plan
from medqbench_vlmeval.synth.produce import IMAGES, Produced, produce, table_text

CARD, SHEET = "README.md", "contact_sheet.png"
_PRIVATE = ("source", "path", "frame", "made smaller by", "notes")
_TASKS = (Task.PERCEPTION, *Task.REASONING.parts)


@dataclass(frozen=True)
class OwnImages(AskedImages):
    """Images, and the file of ``strengths`` that readers gave the degradations, None for the catalogue's own."""

    _: KW_ONLY
    strengths: Path | None = None

    def catalogue(self) -> tuple[Degradation, ...]:
        """All degradations at their strengths. Raises BadInput where the file is no file of strengths."""
        return recalibrated(DEGRADATIONS.values(), read_strengths(self.strengths) if self.strengths else {})


@dataclass(frozen=True)
class SynthRequest(OwnImages):
    """A set that is asked for: see ``plan.make_plan`` for what is made of the images. ``strict`` refuses where an image
    cannot be used, instead of leaving it out."""

    out: Path
    _: KW_ONLY
    seed: int = 0
    per_image: int = 6
    dev_share: float = 0.2
    degradations: tuple[str, ...] | None = None
    together: bool = False
    name: str = "synth"
    workers: int = 1
    strict: bool = False

    @property
    def private(self) -> Path:
        """The file beside the set that tells where each source came from."""
        return self.out.with_name(f"{self.out.name}.private.csv")


@dataclass(frozen=True)
class SynthSet:
    """What was planned, and what was made of it; nothing is ``produced`` by a dry run."""

    originals: Originals
    plan: Plan
    produced: Produced | None = None
    files: tuple[Path, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Counts, and what was left out and why."""
        return {
            "n_sources": len(self.originals.sources),
            "skipped": [{"path": one.path, "why": one.why} for one in self.originals.skipped],
            "warnings": list(self.originals.warnings),
            "n_images": len(self.plan.pictures),
            "rows": {name: len(rows) for name, rows in self.plan.tables.items()},
            "made": self.produced and self.produced.made,
            "kept": self.produced and self.produced.kept,
            "files": list(map(str, self.files)),
        }


def make_set(request: SynthRequest, dry: bool = False) -> SynthSet:
    """Read the images, plan the set and make it in ``request.out``: pictures, tables, provenance, contact sheet and
    card; what an earlier call made is kept. ``dry`` stops after the plan and writes nothing. Raises BadInput where an
    option is wrong, no image can be used, one cannot with ``strict``, or ``out`` holds anything but the same set or its
    beginning; RunFailed where it cannot be written. MissingDependency where a file takes a package that is not
    installed."""
    known, read = request.catalogue(), read_originals(request)
    if request.strict and read.skipped:
        first = read.skipped[0]
        raise BadInput(
            f"{len(read.skipped)} images cannot be used, the first is {first.path}, which {first.why}; take them away, "
            "or leave out --strict, which leaves them out."
        )
    step("planning")
    plan = make_plan(
        read.sources,
        seed=request.seed,
        per_image=request.per_image,
        dev_share=request.dev_share,
        degradations=request.degradations,
        together=request.together,
        name=request.name,
        known={of.key: of for of in known},
    )
    if dry:
        return SynthSet(read, plan)
    private = _private_text(read)
    _check_private(request.private)
    produced = produce(plan, request.out, request.workers, _settings(request))
    card, sheet = request.out / CARD, request.out / SHEET
    with writing(request.out, "make room there and call again, which goes on from here"):
        if not sheet.exists():
            step("drawing the contact sheet")
            write_contact_sheet(sheet, plan, request.out / IMAGES)
        if not card.exists():
            write_text(card, _card(request, read, plan))
        write_text(request.private, private)
    return SynthSet(read, plan, produced, (*produced.files, sheet, card, request.private))


def _settings(request: SynthRequest) -> dict[str, object]:
    """Options that say how the set was made, without a path of the user's."""
    names = ("modality", "frames", "plane", "crop", "per_image", "dev_share", "degradations", "together", "name")
    told: dict[str, object] = {name: getattr(request, name) for name in names}
    hashed = {"mask": request.mask, "strengths": request.strengths}
    return told | {f"{name}_sha256": path and sha256_of(path) for name, path in hashed.items()}


def _private_text(read: Originals) -> str:
    rows = ((of.key, of.path, of.frame, of.factor, "; ".join(of.notes)) for of in read.originals)
    return table_text([dict(zip(_PRIVATE, row, strict=True)) for row in rows], ",")


def _check_private(path: Path) -> None:
    if path.exists() and not path.read_bytes().startswith(",".join(_PRIVATE).encode()):
        raise BadInput(f"{path} is somebody else's file, in the place of the one that tells sources; move it away.")


def _card(request: SynthRequest, read: Originals, plan: Plan) -> str:
    from jinja2 import Environment, FileSystemLoader

    counts = {name: Counter(row["modality"] for row in rows) for name, rows in plan.tables.items()}
    faults: dict[tuple[str, str], Counter[str]] = {}
    for planned in plan.pictures:
        faults.setdefault((planned.source.modality, planned.fault), Counter())[planned.severity] += 1
    splits = (Split.TEST, Split.DEV)
    tasks = {
        task.value: {of.value: name for of in splits if (name := hub_file(task, of).name) in plan.tables}
        for task in _TASKS
    }
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=False, trim_blocks=True)  # noqa: S701
    return environment.get_template("synth_card.md.j2").render(
        name=markdown_text(request.name),
        version=__version__,
        n_sources=len(read.sources),
        plan=plan,
        request=request,
        tasks={task: files for task, files in tasks.items() if files},
        files=counts,
        modalities=sorted({planned.source.modality for planned in plan.pictures}),
        faults=dict(sorted(faults.items())),
        severities=[of for of in SEVERITIES if any(counts_[of] for counts_ in faults.values())],
    )
