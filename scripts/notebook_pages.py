"""A hook of mkdocs that shows the notebooks of ``docs/notebooks`` as pages: their text, code, printed outputs and
pictures, with a link to the notebook itself. Named in ``mkdocs.yml``.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "notebooks"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook, and its pictures."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        pictures: list[bytes] = []
        parts = list(_parts(json.loads(path.read_text(encoding="utf-8")), path.stem, pictures))
        parts.insert(1, f"[The notebook itself]({path.name})")
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content="\n\n".join(parts)))
        for number, picture in enumerate(pictures, 1):
            files.append(File.generated(config, f"notebooks/{path.stem}-{number}.png", content=picture))
    return files


def _parts(notebook: dict[str, Any], name: str, pictures: list[bytes]) -> Iterator[str]:
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield text
            continue
        yield f"```python\n{text}\n```"
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "image/png" in data:
                pictures.append(base64.b64decode("".join(data["image/png"])))
                yield f"![What the cell above draws]({name}-{len(pictures)}.png)"
            else:
                said = "".join(output.get("text", data.get("text/plain", "")))
                yield f"```text\n{said.rstrip()}\n```"
