"""The notebooks of examples/ run, cell by cell in one process, as a reader would run them.

Their cells are executed here and not by a kernel: nbclient with ipykernel would add some thirty packages, and a process
that loads PyTorch once more for each notebook. Tiny random models stand in for the named ones.
"""

import json
from pathlib import Path

import pytest

from separatrix.recipe import DEFAULT_MODEL
from stand_in import stand_in

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))


@pytest.fixture
def tiny_default(tiny, tmp_path, monkeypatch):
    """The default model is a tiny one, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    stand_in(monkeypatch, {DEFAULT_MODEL: tiny("bert")})


@pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")  # a random model deserves them
@pytest.mark.usefixtures("tiny_default")
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook):
    names = {"__name__": "notebook"}
    for number, cell in enumerate(json.loads(notebook.read_text("utf-8"))["cells"]):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{notebook.name}, cell {number}", "exec"), names)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(notebook):
    content = json.loads(notebook.read_text("utf-8"))
    assert (content["nbformat"], content["metadata"]["kernelspec"]["name"]) == (4, "python3")
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert len(code) >= 3
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
