"""A loss of the user's own, from a file outside the package, is an option in help, training and prediction."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from separatrix.cli import main
from separatrix.errors import OptionError
from separatrix.heads.features import FEATURES
from separatrix.learn.objectives import OBJECTIVES
from separatrix.learn.objectives.contrast import ALIGNED
from separatrix.learn.objectives.groups import NUISANCES
from separatrix.learn.objectives.movement import MOVERS, PUSHES, STARTS
from separatrix.learn.objectives.pairs import SCHEMES
from separatrix.models.pool import LAYER_POOLS
from separatrix.models.suffix import READS
from separatrix.plugins import load_plugins
from separatrix.recipe import LOSSES, CentroidRecipe, LossRecipe, PromptRecipe
from separatrix.recipe.align import AimRecipe, GroupRecipe, PairRecipe
from separatrix.recipe.vectors import AttentionRecipe, VectorsRecipe

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


def test_the_help_names_it(plugin):
    """In a process of its own, as a user types it: the flags are made once, when the command is imported."""
    words = [sys.executable, "-m", "separatrix", "train", "--help", f"--plugin={plugin}"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "margin" in done.stdout


@pytest.mark.parametrize("name", ["no_such_module_anywhere", "missing.py"])
def test_a_module_that_is_not_there_is_one_sentence(name, capsys):
    assert main(["train", "x.csv", "--plugin", name]) == 2
    assert f"--plugin {name} cannot be imported" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("registry", "recipe", "field"),
    [
        (LAYER_POOLS, lambda name: VectorsRecipe(pool=(name,)), "mean"),
        (READS, lambda name: PromptRecipe(positions=name), "last"),
        (FEATURES, lambda name: AttentionRecipe(features=(name,)), "descriptors"),
        (MOVERS, lambda name: CentroidRecipe(mover=name), "ema"),
        (STARTS, lambda name: CentroidRecipe(start=name), "mean"),
        (PUSHES, lambda name: CentroidRecipe(push_rule=name), "away"),
        (SCHEMES, lambda name: PairRecipe(pairs=name), "bank"),
        (ALIGNED, lambda name: AimRecipe(loss=name), "nca"),
        (NUISANCES, lambda name: GroupRecipe(invariance=name), "flipped"),
    ],
    ids=["pool", "positions", "features", "mover", "start", "push", "pairs", "align loss", "invariance"],
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
