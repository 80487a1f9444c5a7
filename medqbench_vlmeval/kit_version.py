"""Which VLMEvalKit is installed, and what it names, found without importing it: that takes seconds, and torch."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from medqbench_vlmeval.errors import MissingDependency

NO_KIT = (
    "VLMEvalKit is not installed. Install it from PyPI with 'pip install \"medqbench-vlmeval[kit]\"', or install a git "
    "checkout of VLMEvalKit with 'pip install -e PATH_OF_THE_CHECKOUT'."
)

_ON_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# The arguments of the zoo's classes that say where weights are.
WEIGHTS = ("model_path", "llava_path", "ckpt_pth", "model_pth", "ckpt", "model_name_or_path", "pretrained")
_MERGES = re.compile(r"\w+\.update\(\w+\)")


@dataclass(frozen=True)
class InstalledKit:
    """A VLMEvalKit found on ``sys.path``. ``package`` is the folder ``vlmeval``; ``distribution`` is 'ms-vlmeval',
    'vlmeval', or 'checkout' where no distribution claims the folder; ``commit`` is set for a git checkout."""

    package: Path
    distribution: str
    version: str
    commit: str | None

    @property
    def root(self) -> Path:
        return self.package.parent

    @property
    def label(self) -> str:
        commit = f" (git {self.commit[:8]})" if self.commit else ""
        return f"{self.distribution} {self.version}{commit}"


def find_kit() -> InstalledKit | None:
    """The kit that ``import vlmeval`` would load, or None."""
    spec = importlib.util.find_spec("vlmeval")
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).parent
    commit = _git_commit(package.parent)
    for distribution in ("ms-vlmeval", "vlmeval"):
        try:
            installed = importlib.metadata.distribution(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
        # A checkout on PYTHONPATH shadows an installed distribution, whose version would then be a lie.
        if commit is None and package.resolve() == Path(str(installed.locate_file("vlmeval"))).resolve():
            return InstalledKit(package, distribution, installed.version, None)
    version = re.search(r"__version__\s*=\s*['\"]([^'\"]+)", (package / "__init__.py").read_text(encoding="utf-8"))
    name = "vlmeval" if commit else "checkout"
    return InstalledKit(package, name, version.group(1) if version else "unknown", commit)


@dataclass(frozen=True)
class ZooModel:
    """A model of the kit's zoo as its source has it: its class, the identifier that a service knows it by ('' where
    there is none), and where its weights are, a path or the hub's repository."""

    kit_class: str
    served_as: str
    weights: str | None

    @property
    def repository(self) -> str | None:
        """The hub's repository of its weights."""
        return self.weights if self.weights and _ON_HUB.fullmatch(self.weights) else None


def zoo_models(kit: InstalledKit) -> tuple[dict[str, ZooModel], bool]:
    """The models that the source of the kit's ``config.py`` names, of two the last, and whether these are all."""
    tree = ast.parse((kit.package / "config.py").read_text(encoding="utf-8"))
    tables = (node for node in ast.walk(tree) if isinstance(node, ast.Dict))
    pairs = [pair for table in tables for pair in zip(table.keys, table.values, strict=True)]
    assigned = (node for node in tree.body if isinstance(node, ast.Assign))
    pairs += [(to.slice, one.value) for one in assigned for to in one.targets if isinstance(to, ast.Subscript)]
    loops = [ast.unparse(inner) for outer in tree.body if isinstance(outer, ast.For) for inner in outer.body]
    whole = all(isinstance(key, ast.Constant) for key, _ in pairs) and all(map(_MERGES.fullmatch, loops))
    models: dict[str, ZooModel] = {}
    for key, value in pairs:
        if isinstance(key, ast.Constant) and isinstance(value, ast.Call):
            # 'copy.deepcopy(models["gpt-5-2025-08-07"])' takes what the copied model takes.
            strings = [node.value for node in ast.walk(value) if isinstance(node, ast.Constant)]
            models[str(key.value)] = next((models[of] for of in strings[:1] if of in models), None) or _zoo_model(value)
    return models, whole


def _zoo_model(made: ast.Call) -> ZooModel:
    """A model by the expression that makes it: 'partial(api.GPT4V, model=...)'."""
    values = {str(word.arg): getattr(word.value, "value", None) for word in made.keywords}
    given = {name: value for name, value in values.items() if isinstance(value, str)}
    kit_class = ast.unparse(made.args[0] if made.args else made.func).rpartition(".")[2]
    return ZooModel(kit_class, given.get("model", ""), next((given[name] for name in WEIGHTS if name in given), None))


def spells_dataset(kit: InstalledKit, name: str) -> bool:
    """Whether the name of a dataset stands in the kit's source; some names are made while it is imported."""
    quoted = (f"'{name}'".encode(), f'"{name}"'.encode())
    sources = (path.read_bytes() for path in (kit.package / "dataset").rglob("*.py"))
    return any(text in source for source in sources for text in quoted)


def require_kit() -> InstalledKit:
    """The installed kit. Raises MissingDependency where there is none; the message names both ways to get one."""
    kit = find_kit()
    if kit is None:
        raise MissingDependency(NO_KIT)
    return kit


def _git_commit(root: Path) -> str | None:
    head = root / ".git" / "HEAD"
    if not head.is_file():
        return None
    text = head.read_text(encoding="utf-8").strip()
    name = text.removeprefix("ref: ")
    if name == text:
        return text
    reference, packed = root / ".git" / name, root / ".git" / "packed-refs"
    if reference.is_file():
        return reference.read_text(encoding="utf-8").strip()
    lines = packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else []
    return next((line.split()[0] for line in lines if line.endswith(name)), None)
