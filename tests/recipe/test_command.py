import shlex

import pytest

from separatrix.recipe import ModelRecipe, TrainRecipe, replace
from separatrix.recipe.command import command_line, differing


def test_only_what_differs_is_named():
    recipe = replace(TrainRecipe(), loss="token", words=("yes", "no"), tokens=3)
    assert differing(recipe, TrainRecipe()) == {"tokens": 3, "loss": "token", "words": ("yes", "no")}
    assert differing(recipe, recipe) == {}


@pytest.mark.parametrize("name", ["a b", "it's", 'say "x"', "$HOME; rm -rf *", "\u4e2d\u6587", "-5", "--out"])
def test_a_shell_reads_the_same_words(name):
    line = command_line(["train", "q.csv"], {"text": name, "words": ("x", "y")}, ModelRecipe())
    words = shlex.split(line)
    assert words[:3] == ["separatrix", "train", "q.csv"]
    assert words[-3:] == ["--words", "x", "y"]
    assert (f"--text={name}" in words) if name.startswith("-") else words[3:5] == ["--text", name]


@pytest.mark.parametrize("value", [None, False, ()])
def test_a_default_that_was_changed_to_nothing_cannot_be_typed(value):
    assert command_line(["train", "q.csv"], {"x": value}, ModelRecipe()) is None
