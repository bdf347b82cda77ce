"""One place where options are checked: type, finiteness, limits; of every field of every recipe."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from separatrix import recipe as recipes
from separatrix.errors import OptionError
from separatrix.recipe.core import LARGEST, checked
from separatrix.recipe.heads import AnswerRecipe
from separatrix.recipe.score import FrozenRecipe, RankRecipe
from separatrix.training.methods import METHODS

WHOLE = [getattr(recipes, name) for name in recipes.__all__ if name.endswith("Recipe")]


def parts(cls: type) -> list[type]:
    inner = [part for spec in dataclasses.fields(cls) if (part := recipes.part_of(spec))]
    return [one for part in inner for one in parts(part)] or [cls]


PARTS = {part.__name__: part for cls in [*WHOLE, RankRecipe, FrozenRecipe, AnswerRecipe] for part in parts(cls)}
FIELDS = [(name, spec.name) for name, part in PARTS.items() for spec in dataclasses.fields(part)]
NUMBERS = [(name, field) for name, field in FIELDS if re.search("int|float", PARTS[name].__annotations__[field])]
WRONG: list[Any] = [float("inf"), -float("inf"), float("nan"), 10**20, -(10**20), 10**5000, 1e300, 1j, "x", [None], {}]


@pytest.mark.parametrize(("part", "name"), NUMBERS)
def test_no_number_is_without_bounds(part: str, name: str) -> None:
    for value in WRONG:
        with pytest.raises(OptionError, match=recipes.flag(name)):
            PARTS[part](**{name: value})


@pytest.mark.parametrize(("part", "name"), FIELDS)
def test_an_option_of_another_kind_is_refused(part: str, name: str) -> None:
    for value in (object(), {"a": 1}, [[1]], b"x", type):
        with pytest.raises(OptionError, match=recipes.flag(name)):
            PARTS[part](**{name: value})


def test_a_value_gets_its_plain_form() -> None:
    assert checked("k", np.int64(3), int | None) == 3
    assert type(checked("k", np.int64(3), int)) is int
    assert type(checked("lr", np.float32(0.5), float)) is float
    assert checked("grid", np.arange(3), tuple[int, ...]) == (0, 1, 2)
    assert checked("layers", -1, tuple[int | str, ...] | None) == (-1,)
    assert checked("model", Path("a/b"), str) == "a/b"
    assert checked("out", "a/b", Path) == Path("a/b")
    assert checked("k", None, int | None) is None
    assert checked("lr", 1, float) == 1
    for kind in (int, float):
        assert checked("k", LARGEST[kind], kind) == LARGEST[kind]


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        (2.0, int, "--k is out of range: got 2.0, expected a whole number, 1 to 2147483647"),
        (0, int, "--k is out of range: got 0, expected a whole number, 1 or more"),
        (True, int, "got True, expected a whole number"),
        (1, bool, "--k cannot be this: got 1, expected True or False"),
        ("a\0b", str, "--k cannot be this: got .*, expected a text"),
        (None, str, "--k cannot be this: got None, expected a text"),
        ("x" * 99, int, r"got 'x{59}\.\.\., expected a whole number"),
        ((1, 0), tuple[int, ...], "got 0, expected a whole number, 1 or more"),
        (["a"], str, r"got \['a'\], expected a text"),
    ],
)
def test_the_sentence_says_what_was_wrong(value: Any, kind: Any, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        checked("k", value, kind, low=1)
    with pytest.raises(OptionError, match="got a number of more digits"):
        checked("k", 10**5000, kind, low=1)  # Python itself refuses to write it


def test_a_part_of_another_kind_is_refused() -> None:
    with pytest.raises(OptionError, match="loop is not a recipe: got 5, expected a LoopRecipe"):
        recipes.TrainRecipe(loop=5)  # type: ignore[arg-type]


def test_a_recipe_comes_back_from_json() -> None:
    import json

    for cls in WHOLE:
        made = cls()
        assert recipes.from_dict(cls, json.loads(recipes.canonical(made))) == made


def test_options_that_change_no_result_do_not_count() -> None:
    one = recipes.TrainRecipe()
    assert recipes.decisive(recipes.replace(one, checkpoint_seconds=1.0)) == recipes.decisive(one)
    assert recipes.decisive(recipes.replace(one, lr=1.0)) != recipes.decisive(one)
    stored = {"method": "prompt", **recipes.to_dict(one)}
    assert "checkpoint_seconds" not in recipes.decisive(one, stored)["loop"]
    assert recipes.decisive(one, stored)["method"] == "prompt"


@pytest.mark.parametrize(
    ("recipe", "stored", "today"),
    [
        (recipes.TrainRecipe, {"prompt": {"layers": "input", "tokens": 3}}, {"prompt_layers": "input", "tokens": 3}),
        (recipes.AlignRecipe, {"pairing": {"draw": "one"}, "answers": {"weights": "distance"}},
         {"pairs_per_row": "one", "vote": "distance"}),
        (recipes.ExtractRecipe, {"vectors": {"pool": ["weighted"], "weights": [1, 2]}},
         {"pool": "weighted", "layer_weights": (1, 2)}),
        (recipes.AssociateRecipe, {"within": "group", "units": ["author"]},
         {"shuffle_within": "group", "shuffle_units": "author"}),
        (recipes.HeadsRecipe, {"reading": {"draw": "random"}, "clusters": {"feature": "grid"}},
         {"sampling": "random", "cluster_feature": "grid"}),
    ],
)  # fmt: skip
def test_an_earlier_name_of_an_option_is_read_as_the_one_of_today(
    recipe: Any, stored: dict[str, Any], today: dict[str, Any]
) -> None:
    read = recipes.from_dict(recipe, stored)
    assert read == recipes.replace(recipe(), **today)
    assert {*re.findall(r"\w+(?=':)", str(recipes.decisive(read, stored)))} - {"pool"} >= {*today} - {"pool"}


def test_an_earlier_name_of_a_choice_is_read_as_the_one_of_today() -> None:
    """The learnt shares of layers were called as the pooling whose weights are given."""
    stored = {"encoder": {"pool": "weighted"}}
    today = recipes.replace(recipes.AlignRecipe(), pool="layer_mix")
    assert recipes.from_dict(recipes.AlignRecipe, stored) == today
    assert recipes.replace(recipes.ExtractRecipe(), pool="weighted").vectors.pool == ("weighted",)


def test_an_option_that_came_later_does_not_count_at_its_default() -> None:
    """A run of a version without it is the run of today; at another value it is not."""
    before = {"method": "prompt", "backbone": {"model": "m"}, "loop": {"lr": 0.1}}
    since = {
        "method": "prompt",
        "backbone": {"model": "m", "depth": None},
        "loop": {"lr": 0.1, "class_weight": None},
        "evaluation": {"order": None},
    }
    recipe = recipes.TrainRecipe()
    assert recipes.decisive(recipe, before) == recipes.decisive(recipe, since) == before
    assert recipes.decisive(recipes.replace(recipe, depth=3)) != recipes.decisive(recipe)
    assert recipes.decisive(recipe, {"backbone": {"depth": 3}}) == {"backbone": {"depth": 3}}


def test_a_choice_that_had_another_name_is_the_same() -> None:
    earlier = {"encoder": {"pool": "weighted"}, "answers": {"weights": "distance"}}
    today = {"encoder": {"pool": "layer_mix"}, "answers": {"vote": "distance"}}
    assert recipes.decisive(recipes.AlignRecipe(), earlier) == recipes.decisive(recipes.AlignRecipe(), today) == today


@pytest.mark.parametrize(
    ("recipe", "hash_of_today"),
    [
        ("prompt", "7acfb831a2578802"),
        ("align", "50c8c021b679f7a5"),
        ("finetune", "cc98e5e49af0a7e0"),
        ("probe", "47ac78977962b205"),
        ("peft", "b05e45c7d41e9101"),
        ("auto", "83bbc9d3dc4af40d"),
    ],
)
def test_hashes_of_recipes_stay(recipe: str, hash_of_today: str) -> None:
    """Runs on disk are found by them. A new option whose default keeps what was done before is declared `later`."""
    assert recipes.digest(recipes.decisive(METHODS[recipe].recipe)) == hash_of_today
