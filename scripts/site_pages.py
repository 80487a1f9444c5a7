"""A hook of mkdocs (``hooks`` in ``mkdocs.yml``): the site's page of changes is made from ``CHANGELOG.md``."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

CHANGES = Path(__file__).resolve().parents[1] / "CHANGELOG.md"
HEAD = "---\nsearch:\n  boost: 0.2\n---\n\n"  # It names everything: a search shall find the pages themselves first.


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add ``changes.md``: links to ``docs/`` lead to the site's own pages."""
    text = CHANGES.read_text("utf-8").replace("](docs/", "](")
    files.append(File.generated(config, "changes.md", content=HEAD + text))
    return files
