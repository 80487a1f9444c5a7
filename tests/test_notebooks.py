"""The notebooks of the documentation run from first to last cell in a fresh kernel and say what they show."""

import importlib.util
import json
import re

import nbformat
import pytest

from tests.documentation import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
LARGEST_PICTURE = 100_000
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def said(notebook):
    """The text outputs of each code cell; pictures by their kind alone."""
    return [
        [output.get("text") or output["data"]["text/plain"] for output in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


@each
def test_a_notebook_is_whole_small_and_of_no_machine(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert all(cell.outputs or cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"] == list(
        range(1, 1 + sum(cell.cell_type == "code" for cell in notebook.cells))
    )
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"] == []
    pictures = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    assert pictures
    assert max(map(len, pictures)) * 3 / 4 <= LARGEST_PICTURE
    texts = json.dumps([cell for cell in notebook.cells if cell.cell_type == "code"])
    texts = re.sub(r'"image/png": "[^"]*"', "", texts)
    assert re.findall(r"/(?:tmp|home|root|work|Users|var)\b|\d{4}-\d\d-\d\d", texts) == []
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


@pytest.mark.slow
@each
def test_a_notebook_runs_and_says_what_it_shows(path, tmp_path, monkeypatch):
    pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name, folder in {"LMUData": "lmu", "IPYTHONDIR": "ipython", "MPLCONFIGDIR": "mpl"}.items():
        (tmp_path / folder).mkdir()
        monkeypatch.setenv(name, str(tmp_path / folder))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing is fetched
    spec = importlib.util.spec_from_file_location("run_notebooks", ROOT / "scripts" / "run_notebooks.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    (tmp_path / "work").mkdir()
    done = script.executed(path, tmp_path / "work")
    assert said(done) == said(nbformat.read(path, as_version=4))
