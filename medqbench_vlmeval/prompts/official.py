"""The benchmark's official texts, read with ``ast`` from the source files of the installed kit, without importing it,
so that no copy of them can grow old here. What is more than constants, concatenation, f-strings of plain names, dict
and list literals, and names that lead to such values is refused: a changed source is never half understood."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import DIMENSIONS, Task
from medqbench_vlmeval.errors import BadInput, MissingDependency
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.kit_version import find_kit

ANSWER_MARKER = "MLLM DESC"
REFERENCE_MARKER = "GOLDEN DESC"

NO_OFFICIAL_TEXTS = (
    "The official texts are read from the installed VLMEvalKit, and none is installed: install it with 'pip install "
    "\"medqbench-vlmeval[kit]\"' (or a git checkout of it with 'pip install -e PATH_OF_THE_CHECKOUT'), or choose this "
    "package's own wording: '--protocol rubric' for the judge, the prompt style 'letter' or 'reasoning' for questions."
)

_QUESTION_FILES = {Task.PERCEPTION: "medqbench_mcq.py", Task.DEGRADATION: "medq_deg_bench.py"}
_TASK_FILES = {Task.NO_REFERENCE: "medqbench_caption.py", Task.COMPARATIVE: "medqbench_paired_description.py"}
_TEMPLATE_NAMES = {Task.NO_REFERENCE: "PROMPT_TEMPLATES", Task.COMPARATIVE: "PAIRED_PROMPT_TEMPLATES"}
# Stand for the fields where the question prompt is shown or hashed; no question holds a NUL.
_SHOWN_FIELDS = {name: f"\0{name}\0" for name in ("question", "options", "letter", "text")}
_MAX_DEPTH = 20


class SourceModule:
    """A source file as a syntax tree, with the values of its module-level names."""

    def __init__(self, path: Path) -> None:
        """Parse ``path``. Raises BadInput where the file is not there or is not Python."""
        self.path = path
        try:
            self.tree = ast.parse(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise unexpected(path, f"it cannot be read ({error.strerror or error})") from error
        except (SyntaxError, ValueError) as error:
            raise unexpected(path, f"it is not readable Python ({error})") from error

    def value_of(self, name: str, depth: int = 0) -> Any:
        """The value of a module-level name, also of a sibling's. Raises BadInput where it is no plain constant."""
        if depth > _MAX_DEPTH:
            raise unexpected(self.path, f"'{name}' refers to itself")
        for node in reversed(self.tree.body):
            match node:
                case ast.ImportFrom(level=1, module=str(module), names=aliases):
                    for alias in aliases:
                        if (alias.asname or alias.name) == name:
                            sibling = SourceModule(self.path.parent / f"{module.replace('.', '/')}.py")
                            return sibling.value_of(alias.name, depth + 1)
                case ast.Assign(targets=targets, value=value) if name in [getattr(to, "id", None) for to in targets]:
                    return self.evaluate(value, {}, depth + 1)
                case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value) if target == name:
                    return self.evaluate(value, {}, depth + 1)
        raise unexpected(self.path, f"it does not define '{name}'")

    def method(self, name: str) -> ast.FunctionDef:
        """The one method of this name among the module's classes. Raises BadInput where there is none or several."""
        classes = [node for node in self.tree.body if isinstance(node, ast.ClassDef)]
        methods = [item for node in classes for item in node.body if isinstance(item, ast.FunctionDef)]
        named = [method for method in methods if method.name == name]
        if len(named) != 1:
            raise unexpected(self.path, f"it defines '{name}' {len(named)} times, once was expected")
        return named[0]

    def evaluate(self, node: ast.expr, fields: Mapping[str, str], depth: int = 0) -> Any:
        """The value of an expression; ``fields`` are names that are not the module's. BadInput for no constant."""
        if depth > _MAX_DEPTH:
            raise unexpected(self.path, f"line {node.lineno} is nested too deeply")
        inner: Callable[[ast.expr], Any] = lambda part: self.evaluate(part, fields, depth + 1)  # noqa: E731
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return fields[node.id] if node.id in fields else self.value_of(node.id, depth + 1)
        if isinstance(node, ast.Subscript):
            container, key = inner(node.value), inner(node.slice)
            if not isinstance(container, dict) or key not in container:
                raise unexpected(self.path, f"line {node.lineno} looks up an item that is not there")
            return container[key]
        if isinstance(node, ast.JoinedStr):
            return "".join(self._text(inner(part), part) for part in node.values)
        if isinstance(node, ast.FormattedValue) and node.conversion == -1 and node.format_spec is None:
            return inner(node.value)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._text(inner(node.left), node) + self._text(inner(node.right), node)
        if isinstance(node, ast.Dict) and all(key is not None for key in node.keys):
            return dict(zip([inner(key) for key in node.keys if key is not None], map(inner, node.values), strict=True))
        if isinstance(node, ast.List | ast.Tuple):
            return [inner(item) for item in node.elts]
        raise unexpected(self.path, f"line {node.lineno} is more than a constant text")

    def _text(self, value: Any, node: ast.expr) -> str:
        if not isinstance(value, str):
            raise unexpected(self.path, f"line {node.lineno} was expected to be a text")
        return value


def unexpected(path: Path, what: str) -> BadInput:
    """The error for a kit whose source is not as it was when this package was made."""
    return BadInput(
        f"The official texts cannot be read from {path}: {what}. Install a kit version that this package supports "
        "(ms-vlmeval 0.0.20), or use the judge protocol 'rubric' and the prompt style 'letter' or 'reasoning'."
    )


@dataclass(frozen=True)
class QuestionText:
    """The official prompt of a multiple-choice task: ``question`` is a format string with the fields 'question' and
    'options', ``option`` an option's line with 'letter' and 'text'. ``letters`` is the lines' order."""

    question: str
    option: str
    separator: str
    letters: tuple[str, ...]

    def prompt(self, question: str, options: Mapping[str, str]) -> str:
        """The full text of a question, as the kit's own class puts it to a model."""
        texts = {letter: options[letter].strip() for letter in self.letters if options.get(letter)}
        lines = [self.option.format(letter=letter, text=text) for letter, text in texts.items() if text]
        return self.question.format(question=question, options=self.separator.join(lines))

    def sha256(self) -> str:
        """The hash of the prompt with its fields left open."""
        parts = [self.question.format(**_SHOWN_FIELDS), self.option.format(**_SHOWN_FIELDS)]
        return sha256_text(json.dumps([*parts, self.separator, list(self.letters)]))


@cache
def official_question(task: Task, package: Path | None = None) -> QuestionText:
    """The prompt of a multiple-choice task in the installed kit, or in one whose folder ``vlmeval`` is ``package``.
    Raises MissingDependency where no kit is installed; BadInput, which names the file, where one is not as expected."""
    return _question_text(_module(package, _QUESTION_FILES[task]))


@cache
def official_text(task: Task, package: Path | None = None) -> str:
    """What a model is told of a reasoning task (see :func:`official_question`)."""
    return _default_question(_module(package, _TASK_FILES[task]))


@cache
def official_templates(task: Task, package: Path | None = None) -> Mapping[str, str]:
    """The judge's templates of a reasoning task by dimension (see :func:`official_question`)."""
    return _templates(_module(package, _TASK_FILES[task]), _TEMPLATE_NAMES[task])


def _module(package: Path | None, file: str) -> SourceModule:
    if package is None:
        if (kit := find_kit()) is None:
            raise MissingDependency(NO_OFFICIAL_TEXTS)
        package = kit.package
    return SourceModule(package / "dataset" / file)


def _templates(module: SourceModule, name: str) -> Mapping[str, str]:
    templates = module.value_of(name)
    if not isinstance(templates, dict) or set(templates) != set(DIMENSIONS):
        raise unexpected(module.path, f"'{name}' does not hold the dimensions {', '.join(DIMENSIONS)}")
    for dimension, template in templates.items():
        if not isinstance(template, str) or ANSWER_MARKER not in template or REFERENCE_MARKER not in template:
            raise unexpected(module.path, f"the template '{dimension}' of '{name}' lacks its two markers")
    return {dimension: templates[dimension] for dimension in DIMENSIONS}


def _default_question(module: SourceModule) -> str:
    """The text that ``load_data`` repeats for each row: ``data['question'] = ['...' for _ in ...]``."""
    for node in ast.walk(module.method("load_data")):
        match node:
            case ast.Assign(
                targets=[ast.Subscript(slice=ast.Constant(value="question")), *_], value=ast.ListComp(elt=repeated)
            ):
                text = module.evaluate(repeated, {})
                if isinstance(text, str) and text.strip():
                    return text
    raise unexpected(module.path, "'load_data' gives no default question")


def _question_text(module: SourceModule) -> QuestionText:
    assigned: dict[str, ast.expr] = {}
    loops: list[ast.expr] = []
    for node in ast.walk(module.method("build_prompt")):
        match node:
            case ast.Assign(targets=[ast.Name(id=name), *_], value=value):
                assigned[name] = value
            case ast.For(iter=ast.List() as items):
                loops.append(items)
    if len(loops) != 1:
        raise unexpected(module.path, "'build_prompt' does not loop over the option letters once")
    letters = module.evaluate(loops[0], {})
    if not letters or not all(isinstance(letter, str) for letter in letters):
        raise unexpected(module.path, "the option letters of 'build_prompt' are not texts")
    match assigned.get("option_text"):
        case ast.Call(
            func=ast.Attribute(value=between, attr="join"), args=[(ast.ListComp() | ast.GeneratorExp()) as lines]
        ):
            target, separator = lines.generators[0].target, module.evaluate(between, {})
        case _:
            raise unexpected(module.path, "'option_text' of 'build_prompt' is not a join of the options' lines")
    match target:
        case ast.Tuple(elts=[ast.Name(id=letter), ast.Name(id=text)]) if isinstance(separator, str):
            line = _format_of(module, lines.elt, {letter: "letter", text: "text"})
        case _:
            raise unexpected(module.path, "'option_text' of 'build_prompt' is not a join of letter and text")
    if "prompt" not in assigned:
        raise unexpected(module.path, "'build_prompt' does not assign 'prompt'")
    question = _format_of(module, assigned["prompt"], {"question": "question", "option_text": "options"})
    return QuestionText(question, line, separator, (*letters,))


def _format_of(module: SourceModule, node: ast.expr, fields: Mapping[str, str]) -> str:
    """An f-string as a format string; each name of ``fields`` has to occur in it exactly once."""
    marked = module.evaluate(node, {name: f"\0{meaning}\0" for name, meaning in fields.items()})
    pieces = marked.split("\0") if isinstance(marked, str) else []
    if sorted(pieces[1::2]) != sorted(fields.values()):
        raise unexpected(module.path, f"line {node.lineno} does not use {' and '.join(fields)} once each")
    pieces[::2] = [literal.replace("{", "{{").replace("}", "}}") for literal in pieces[::2]]
    pieces[1::2] = [f"{{{field}}}" for field in pieces[1::2]]
    return "".join(pieces)
