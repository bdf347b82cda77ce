"""The command of a run, typed again, gives the same recipe."""

import json
import shlex

import pytest

from command_line import write_csv
from separatrix import plugins
from separatrix import recipe as recipes
from separatrix.cli.app import build
from separatrix.recipe import TrainRecipe, replace
from separatrix.texts import load_demo, load_splits
from separatrix.training.command import origin_lines, typed_command, versions
from separatrix.training.methods import METHODS, build_recipe
from separatrix.training.verb import train


def typed_again(command):
    """Method, recipe and options of reading of a command, as the parser takes them."""
    program, *words = shlex.split(command)
    assert program == "separatrix"
    _, words = plugins.plugin_words(words)  # of whatever modules other tests have loaded
    _, bound, _ = build(words).parse_args(words, exit_on_error=False, print_error=False)
    options = dict(bound.kwargs)
    method = options.pop("method")
    return bound.args, method, build_recipe(method, options), options


CASES = [
    ("prompt", {"tokens": 5, "lr": 1e-5, "refit": True, "device": "cpu"}),
    ("prompt", {"loss": "token", "words": ("yes please", "no", "it's")}),
    ("prompt", {"init": "descriptions", "descriptions": {"a": "-5 & more", "b": "$x; y"}}),
    ("align", {"pairs": "bank", "epochs": 3, "seed": 7, "model": "gpt2"}),
    ("finetune", {"frozen_layers": 2, "head_lr": 0.01}),
    ("probe", {"pool": "mean", "max_length": 64}),
    ("probe", {"loss": "mse"}),
    ("auto", {"budget": "5min", "candidates": ("probe", "align"), "seed": 3}),
]


@pytest.mark.parametrize(("method", "options"), CASES)
def test_a_command_gives_the_same_recipe(method, options):
    recipe = build_recipe(method, options)
    reading = {
        "text": ("the text", "other"),
        "label": "kind",
        "sep": ";",
        "validation": 0.2,
        "drop_unlabelled": True,
        "by": None,
    }
    command = typed_command("/home/somebody/data/my questions.csv", method, recipe, reading, "/tmp/runs/a run")
    assert "somebody" not in command
    assert "/tmp" not in command
    arguments, again, same, typed = typed_again(command)
    assert (arguments, again, same) == (("my questions.csv",), method, recipe)
    assert {name: typed[name] for name in reading if name in typed} == {
        name: value for name, value in reading.items() if value is not None
    }
    assert typed["out"].name == "a run"
    assert typed["seed"] == recipe.loop.seed


def test_every_default_can_be_typed():
    for method, entry in METHODS.items():
        if entry.run is None:
            assert typed_again(typed_command("q.csv", method, entry.recipe, {}, "run"))[2] == entry.recipe


def test_what_no_flags_give_has_no_command(planted):
    idle = replace(TrainRecipe(), words=("a", "b"))  # without effect: its loss is another one
    assert typed_command("q.csv", "prompt", idle, {}, "run") is None
    assert typed_command(load_splits_of(planted), "prompt", TrainRecipe(), {}, "run") is None


def load_splits_of(planted):
    from separatrix.texts import Texts

    return load_splits(Texts.of(*planted))


def test_the_demo_has_a_command_of_its_own(monkeypatch):
    monkeypatch.setattr(plugins, "_LOADED", [])  # of other tests
    demo = load_demo()
    command = typed_command(demo, "prompt", replace(TrainRecipe(), epochs=3), {}, "runs/demo")
    assert command == "separatrix demo --seed 0 --epochs 3 --out demo"
    assert typed_command(demo, "prompt", replace(TrainRecipe(), tokens=3), {}, "runs/demo") is None
    assert typed_command(demo, "probe", METHODS["probe"].recipe, {}, "runs/demo") is None


def test_each_plugin_stands_behind_a_flag_of_its_own(monkeypatch):
    """And all of them do, whatever was loaded first: an option may come from any."""
    monkeypatch.setattr(plugins, "_LOADED", ["package.losses", "/home/somebody/own poolings.py"])
    command = typed_command("q.csv", "prompt", TrainRecipe(), {}, "run")
    assert "somebody" not in command
    names, words = plugins.plugin_words(shlex.split(command))
    assert names == ["package.losses", "own poolings.py"]
    assert typed_again(shlex.join(words))[2] == TrainRecipe()


def test_a_run_keeps_its_command_and_the_page_shows_it(planted, tiny, tmp_path):
    table = write_csv(tmp_path / "planted.csv", list(zip(*planted, strict=True))[:90])
    options = {"model": str(tiny("bert")), "method": "probe", "pool": "mean", "seed": 4}
    result = train(table, out=tmp_path / "run", **options)
    stored = json.loads((tmp_path / "run" / "result.json").read_text())
    assert stored["command"] == result.command
    assert str(tmp_path) not in result.command
    _, method, recipe, _ = typed_again(result.command)
    assert method == "probe"
    assert recipes.record(recipe)["probe"] == result.recipe["probe"]
    assert recipes.record(recipe)["backbone"] == result.recipe["backbone"]
    assert stored["software"] == versions()
    page = (tmp_path / "run" / "report.html").read_text()
    assert f"<code>{result.command}</code>" in page
    assert str(tmp_path) not in page
    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())
    lines = dict(origin_lines(stored, recipe))
    assert lines["seed"] == "4"
    assert f"train rows {result.recipe['data']['train']['digest']}" in lines["hashes"]
    assert lines["hashes"] in page
