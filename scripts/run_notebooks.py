"""Run the notebooks of the documentation in fresh kernels and keep their outputs: ``python scripts/run_notebooks.py``.

Each runs in an empty folder of its own. What differs from machine to machine stays out of the files: times, kernels,
versions and paths. Pictures get a palette, so that a notebook stays small.
"""

from __future__ import annotations

import base64
import io
import json
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "docs" / "notebooks"


def main() -> None:
    for path in sorted(FOLDER.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as work:
            notebook = executed(path, Path(work))
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{path}  {path.stat().st_size / 1000:.0f} kB")


def executed(path: Path, work: Path) -> Any:
    """A notebook as it is after a run in the folder ``work``, without what is of this machine."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(work)}}).execute()
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = {"tags": tags} if tags else {}
        for output in cell.get("outputs", ()):
            output.pop("metadata", None)
            output["metadata"] = {}
            png = output.get("data", {}).get("image/png")
            if output.output_type == "stream":
                del output["metadata"]
            if png:
                output["data"] = {"image/png": smaller(png), "text/plain": "<Figure>"}
    nbformat.validate(notebook)
    return notebook


def smaller(png: str) -> str:
    """A PNG in base64 with at most 256 colours."""
    from PIL import Image

    out = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(png))) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return base64.b64encode(out.getvalue()).decode("ascii")


if __name__ == "__main__":
    main()
