"""What the documentation site has that no page of ``docs/`` has: a hook of mkdocs makes the page of changes from
``CHANGELOG.md``, and an extension of griffe shows the examples in docstrings as code. Both are named
in ``mkdocs.yml``.
"""

import re
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

CHANGES = Path(__file__).resolve().parents[1] / "CHANGELOG.md"
HEAD = "---\nsearch:\n  boost: 0.2\n---\n\n"  # It names everything: a search shall find the pages themselves first.
_GROUP = re.compile(r"^(?![-\s#])(.+)\n(?=- )", re.M)
_EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.M)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add ``changes.md``: links to ``docs/`` lead to the site's own pages, and the line above a list is a heading."""
    text = _GROUP.sub(r"### \1\n\n", CHANGES.read_text("utf-8").replace("](docs/", "]("))
    files.append(File.generated(config, "changes.md", content=HEAD + text))
    return files


class Examples(griffe.Extension):
    """Puts fences around the examples of a docstring; Markdown takes ``>>>`` for quotations."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = _EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", obj.docstring.value)
