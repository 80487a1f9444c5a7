"""Reading constants out of a Python source file without running it.

A small evaluator over the syntax tree: constants, concatenation, f-strings whose fields are plain names, dict
and list literals, names and subscripts that lead to such values, and names that a sibling module gives. What
goes beyond that is refused, so that a changed source file is noticed and never half understood.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from medqbench_vlmeval.errors import BadInput

_MAX_DEPTH = 20


class SourceModule:
    """A source file as a syntax tree, with the values of its module-level names."""

    def __init__(self, path: Path) -> None:
        """Parse ``path``.

        Raises:
            BadInput: the file is not there or is not Python.
        """
        self.path = path
        try:
            self.tree = ast.parse(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise unexpected(path, f"it cannot be read ({error.strerror or error})") from error
        except (SyntaxError, ValueError) as error:
            raise unexpected(path, f"it is not readable Python ({error})") from error

    def value_of(self, name: str, depth: int = 0) -> Any:
        """The value of a module-level name, followed through ``from .sibling import name``.

        Raises:
            BadInput: the name is not there or its value is not a plain constant.
        """
        if depth > _MAX_DEPTH:
            raise unexpected(self.path, f"'{name}' refers to itself")
        for node in reversed(self.tree.body):
            if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        sibling = SourceModule(self.path.parent / f"{node.module.replace('.', '/')}.py")
                        return sibling.value_of(alias.name, depth + 1)
            value = _assigned(node, name)
            if value is not None:
                return self.evaluate(value, {}, depth + 1)
        raise unexpected(self.path, f"it does not define '{name}'")

    def method(self, name: str) -> ast.FunctionDef:
        """The one method of this name among the module's classes.

        Raises:
            BadInput: there is none, or more than one.
        """
        classes = [node for node in self.tree.body if isinstance(node, ast.ClassDef)]
        found = [item for node in classes for item in node.body if isinstance(item, ast.FunctionDef)]
        found = [item for item in found if item.name == name]
        if len(found) != 1:
            raise unexpected(self.path, f"it defines '{name}' {len(found)} times, once was expected")
        return found[0]

    def evaluate(self, node: ast.expr, fields: Mapping[str, str], depth: int = 0) -> Any:
        """The value of an expression; ``fields`` gives the names that are not the module's.

        Raises:
            BadInput: the expression is more than a constant.
        """
        if depth > _MAX_DEPTH:
            raise unexpected(self.path, f"line {node.lineno} is nested too deeply")
        inner: Callable[[ast.expr], Any] = lambda part: self.evaluate(part, fields, depth + 1)  # noqa: E731
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return fields[node.id] if node.id in fields else self.value_of(node.id, depth + 1)
        if isinstance(node, ast.Subscript):
            return self._item(inner(node.value), inner(node.slice), node)
        if isinstance(node, ast.JoinedStr):
            return "".join(self._text(inner(part), part) for part in node.values)
        if isinstance(node, ast.FormattedValue) and node.conversion == -1 and node.format_spec is None:
            return inner(node.value)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._text(inner(node.left), node) + self._text(inner(node.right), node)
        if isinstance(node, ast.Dict) and all(key is not None for key in node.keys):
            keys = [inner(key) for key in node.keys if key is not None]
            return dict(zip(keys, map(inner, node.values), strict=True))
        if isinstance(node, ast.List | ast.Tuple):
            return [inner(item) for item in node.elts]
        raise unexpected(self.path, f"line {node.lineno} is more than a constant text")

    def _item(self, container: Any, key: Any, node: ast.expr) -> Any:
        if not isinstance(container, dict) or key not in container:
            raise unexpected(self.path, f"line {node.lineno} looks up an item that is not there")
        return container[key]

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


def _assigned(node: ast.stmt, name: str) -> ast.expr | None:
    if isinstance(node, ast.Assign):
        return node.value if any(isinstance(to, ast.Name) and to.id == name for to in node.targets) else None
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
        return node.value
    return None
