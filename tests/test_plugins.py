"""A loss of the user's own, from a file outside the package, is an option in help, training and prediction."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import separatrix as sx
from separatrix.analysis.cluster import METHODS as CLUSTERINGS
from separatrix.cli import main
from separatrix.errors import OptionError
from separatrix.geometry.project import METHODS as PROJECTIONS
from separatrix.heads.features import FEATURES
from separatrix.learn.objectives import OBJECTIVES
from separatrix.learn.objectives.contrast import ALIGNED
from separatrix.learn.objectives.groups import NUISANCES
from separatrix.learn.objectives.movement import MOVERS, PUSHES, STARTS
from separatrix.learn.objectives.pairs import SCHEMES
from separatrix.models.pool import LAYER_POOLS
from separatrix.models.starts import INITS
from separatrix.models.suffix import READS
from separatrix.plugins import load_plugins
from separatrix.points import Points
from separatrix.recipe import (
    LOSSES,
    CentroidRecipe,
    ClusterRecipe,
    CompareRecipe,
    LossRecipe,
    ProjectRecipe,
    PromptRecipe,
)
from separatrix.recipe.align import AimRecipe, GroupRecipe, PairRecipe
from separatrix.recipe.vectors import AttentionRecipe, VectorsRecipe
from served import run_served

PAGE = Path(__file__).parents[1] / "docs" / "plugins.md"


@pytest.fixture
def plugin(tmp_path):
    """The module of the page, as a file; its entry is gone afterwards."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    path = tmp_path / "margin_loss.py"
    path.write_text(code, encoding="utf-8")
    yield path
    if "margin" in OBJECTIVES:
        del OBJECTIVES["margin"]


def test_an_entry_is_a_choice_at_once_and_none_before(plugin):
    with pytest.raises(OptionError, match="unknown --loss: got 'margin'"):
        LossRecipe(loss="margin")
    load_plugins([str(plugin)])
    assert LossRecipe(loss="margin").loss == "margin"
    assert "margin" not in LOSSES.built_in


def test_a_loss_from_outside_trains_and_predicts_on_the_command_line(plugin, tiny, tmp_path, capsys):
    rows = [("the cat is big", "cat"), ("a dog was here", "dog"), ("the cat was new", "cat"), ("old dog", "dog")] * 8
    data = tmp_path / "rows.csv"
    data.write_text("text,label\n" + "".join(f"{text} {place},{label}\n" for place, (text, label) in enumerate(rows)))
    options = ["--model", str(tiny("bert")), "--epochs", "1", "--tokens", "2", "--quiet", "--json"]
    run = ["--plugin", str(plugin), "--loss", "margin", "--temperature", "50", "--out", str(tmp_path / "run")]
    assert main(["train", str(data), *options, *run]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["method"] == "prompt"
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert set(json.loads(lines[-1])["parts"]) == {"margin"}
    out = str(tmp_path / "answers.csv")
    assert main(["predict", str(tmp_path / "run"), str(data), "--out", out, "--plugin", str(plugin), "--quiet"]) == 0
    del OBJECTIVES["margin"]  # as in a process that has not loaded the module
    capsys.readouterr()
    assert main(["predict", str(tmp_path / "run"), str(data), "--out", out, "--overwrite", "--quiet"]) == 2
    assert "name the module that adds it with --plugin" in capsys.readouterr().err


def test_the_help_names_it(plugin, tmp_path):
    """In a process of its own, as a user types it: the flags are made once, when the command is imported."""
    code = "import sys\nfrom separatrix.cli import main\nsys.exit(main(sys.argv[1:]))"
    assert "margin" in run_served(code, ["train", "--help", f"--plugin={plugin}"], tmp_path / "printed")


@pytest.mark.parametrize("name", ["no_such_module_anywhere", "missing.py"])
def test_a_module_that_is_not_there_is_one_sentence(name, capsys):
    assert main(["train", "x.csv", "--plugin", name]) == 2
    assert f"--plugin {name} cannot be imported" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("registry", "recipe", "field"),
    [
        (LAYER_POOLS, lambda name: VectorsRecipe(pool=(name,)), "mean"),
        (INITS, lambda name: PromptRecipe(init=name), "normal"),
        (READS, lambda name: PromptRecipe(positions=name), "last"),
        (FEATURES, lambda name: AttentionRecipe(features=(name,)), "descriptors"),
        (MOVERS, lambda name: CentroidRecipe(mover=name), "ema"),
        (STARTS, lambda name: CentroidRecipe(start=name), "mean"),
        (PUSHES, lambda name: CentroidRecipe(push_rule=name), "away"),
        (SCHEMES, lambda name: PairRecipe(pairs=name), "bank"),
        (ALIGNED, lambda name: AimRecipe(loss=name), "nca"),
        (NUISANCES, lambda name: GroupRecipe(invariance=name), "flipped"),
        (PROJECTIONS, lambda name: ProjectRecipe(method=name), "pca"),
        (PROJECTIONS, lambda name: CompareRecipe(method=(name,)), "pca"),
        (CLUSTERINGS, lambda name: ClusterRecipe(method=name), "kmeans"),
    ],
    ids=[
        "pool",
        "init",
        "positions",
        "features",
        "mover",
        "start",
        "push",
        "pairs",
        "align loss",
        "invariance",
        "project",
        "compare",
        "cluster",
    ],
)
def test_every_dictionary_makes_options(registry, recipe, field):
    with pytest.raises(OptionError, match="own"):
        recipe("own")
    registry["own"] = registry[field]
    try:
        assert "own" in repr(recipe("own"))
    finally:
        del registry["own"]
    with pytest.raises(OptionError, match="own"):
        recipe("own")


OWN = """
import numpy as np

from separatrix.analysis.cluster import METHODS as CLUSTERINGS, ClusterMethod
from separatrix.geometry.cluster import Clustering
from separatrix.geometry.project import METHODS as PROJECTIONS
from separatrix.geometry.project.methods import MapLayout, ProjectionMethod


def first_columns(x, labels, recipe):
    place = lambda points: points[:, : recipe.dimensions].astype(np.float32)
    return MapLayout(place(x), place, tuple(f"column {n}" for n in range(recipe.dimensions)))


def by_sign(vectors, recipe, progress):
    return Clustering("sign", (vectors.values[:, 0] > 0).astype(np.int64), "numpy", 0.0)


PROJECTIONS["columns"] = ProjectionMethod(first_columns, "never")
CLUSTERINGS["sign"] = ClusterMethod(by_sign)
"""


def test_a_map_and_a_clustering_from_outside_are_methods_of_the_commands(tmp_path, capsys):
    (tmp_path / "own_methods.py").write_text(OWN, encoding="utf-8")
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    Points.of(x, {"label": ["a", "b"] * 30}).save(tmp_path / "points")
    plugin = ["--plugin", str(tmp_path / "own_methods.py"), "--quiet", "--json"]
    try:
        words = ["project", str(tmp_path / "points"), "--method", "columns", "--out", str(tmp_path / "map")]
        assert main([*words, *plugin]) == 0, capsys.readouterr().err
        np.testing.assert_array_equal(sx.load(tmp_path / "map").coordinates, x[:, :2])
        words = ["cluster", str(tmp_path / "points"), "--method", "sign", "--out", str(tmp_path / "clusters")]
        assert main([*words, *plugin]) == 0, capsys.readouterr().err
        clusters = sx.load(tmp_path / "clusters")
        assert (clusters.method, clusters.table["cluster"].tolist()) == ("sign", (x[:, 0] > 0).astype(int).tolist())
        assert main([*words[:4], "--choose", "--out", str(tmp_path / "c"), *plugin]) == 2
        assert "--choose has no effect with --method sign" in capsys.readouterr().err
        assert main([*words[:4], "--executor", "processes:2", "--out", str(tmp_path / "c"), *plugin]) == 2
        assert "--method sign needs all points in memory" in capsys.readouterr().err
    finally:
        del PROJECTIONS["columns"], CLUSTERINGS["sign"]
