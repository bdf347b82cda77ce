"""Flags come from the recipes: each option once, with the recipe's default, text and limits, and nothing beside it."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command_line import Cli
from separatrix.cli import options as opts
from separatrix.cli.app import COMMANDS, build, find
from separatrix.cli.flags import ParsedOptions
from separatrix.errors import OptionError
from separatrix.recipe import LOSSES, TrainRecipe, flag, option_names, part_of, replace, to_dict
from separatrix.recipe.align import ALIGN_LOSSES, FINETUNE, AlignRecipe
from separatrix.texts import load_splits

OPTIONS = {
    spec.name: spec for part in map(part_of, dataclasses.fields(TrainRecipe)) for spec in dataclasses.fields(part)
}
CONTRACT = [
    "--text",
    "--label",
    "--group",
    "--model",
    "--method",
    "--loss",
    "--tokens",
    "--readout",
    "--layers",
    "--epochs",
    "--lr",
    "--batch-size",
    "--max-length",
    "--seed",
    "--device",
    "--dtype",
    "--cache",
    "--out",
    "--overwrite",
    "--resume",
    "--json",
    "--quiet",
]


def flags_of(name: str) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(find(name)).parameters.values()
    return {flag(item.name): item for item in parameters if item.kind is inspect.Parameter.KEYWORD_ONLY}


def parse(*words: str) -> dict[str, Any]:
    """The options typed, as a command receives them."""
    return dict(build(["train"]).parse_args(["train", "d", "--out", "r", *words], exit_on_error=False)[1].kwargs)


def test_train_has_every_option_of_the_recipe_with_its_default() -> None:
    found = flags_of("train")
    assert set(found) >= {flag(name) for name in option_names(TrainRecipe())} | set(CONTRACT)
    for name, spec in OPTIONS.items():
        assert found[flag(name)].default == spec.default


@pytest.mark.parametrize("name", COMMANDS)
def test_no_flag_stands_twice(name: str) -> None:
    """`inspect.Signature` refuses a name twice, but a recipe option could hide behind another spelling."""
    assert all(spelling == flag(item.name) for spelling, item in flags_of(name).items())
    assert {"--json", "--quiet"} <= set(flags_of(name))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_examples_texts_and_defaults(cli: Cli, name: str) -> None:
    ran = cli(name, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert COMMANDS[name][1] in " ".join(ran.out.split())  # long summaries are wrapped
    assert f"separatrix {name}" in ran.out.partition("For example:")[2]
    assert all(spelling in ran.out for spelling in flags_of(name))


def test_help_of_train_reads_as_the_recipe_does(cli: Cli) -> None:
    out = " ".join(cli("train", "--help").out.replace("│", " ").split())
    for spec in OPTIONS.values():
        assert spec.metadata["text"] in out
    assert f"number of prompt tokens (1 to 200) [default: {TrainRecipe().prompt.tokens}]" in out
    assert f"[choices: fixed, gradient, ema, momentum, mean] [default: {TrainRecipe().centroids.mover}]" in out


def test_help_of_train_is_true_of_align_and_finetune_too(cli: Cli) -> None:
    """An option that two recipes share is one flag; its help names what differs."""
    out = " ".join(cli("train", "--help").out.replace("│", " ").split())
    aligned = {spec.name: spec for part in map(part_of, dataclasses.fields(AlignRecipe)) for spec in fields_of(part)}
    for name, value in flat(AlignRecipe()).items():
        assert aligned[name].metadata["text"] in out
        if name in OPTIONS and OPTIONS[name].default != value and value != flat(FINETUNE)[name]:
            assert f"; align: {value}; finetune: {flat(FINETUNE)[name]}]" in out
        elif name in OPTIONS and OPTIONS[name].default != value:
            assert f"align, finetune: {value}]" in out
    assert "[default: 0.03; align, finetune: 0.0002]" in out
    assert "[default: centroid_ce; align: nca; finetune: linear]" in out
    assert "[default: knn; finetune: head]" in out
    assert f"align takes {', '.join(ALIGN_LOSSES)}" in out
    shown = out.partition("--loss CHOICE")[2].partition("[choices: ")[2].partition("]")[0]
    assert set(shown.split(", ")) == {*LOSSES, *ALIGN_LOSSES}
    assert "[default: 0.0]" in out  # a default of nothing is a default


def fields_of(part: type | None) -> tuple[dataclasses.Field[Any], ...]:
    assert part is not None
    return dataclasses.fields(part)


def flat(recipe: Any) -> dict[str, Any]:
    return {name: value for part in to_dict(recipe).values() for name, value in part.items()}


def test_only_what_was_typed_is_said() -> None:
    assert parse() == {"out": parse()["out"]}
    said = ParsedOptions(parse("--tokens", "5", "--words", "a", "b", "--lr", "1e-3", "--trust-remote-code"))
    assert said.recipe(TrainRecipe()) == replace(
        TrainRecipe(), tokens=5, words=("a", "b"), lr=1e-3, trust_remote_code=True
    )
    assert "tokens" in said
    assert "epochs" not in said


def values(spec: dataclasses.Field[Any]) -> st.SearchStrategy[Any]:
    """Allowed values of a recipe option that has choices or limits."""
    if spec.metadata["choices"]:
        return st.sampled_from(tuple(spec.metadata["choices"]))
    low, high = spec.metadata["low"], spec.metadata["high"]
    if isinstance(spec.default, int):
        return st.integers(int(low), int(1000 if high is None else high))
    return st.floats(low, 1000 if high is None else high)


BOUNDED = {n: s for n, s in OPTIONS.items() if s.metadata["choices"] or s.metadata["low"] is not None}
ALONE = {"init", "readout", "positions"}  # these are checked against each other


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_what_is_typed_is_what_the_recipe_holds(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(BOUNDED.keys() - ALONE)), max_size=6, unique=True))
    wanted = {name: data.draw(values(BOUNDED[name])) for name in names}
    words = [word for name, value in wanted.items() for word in (flag(name), str(value))]
    assert ParsedOptions(parse(*words)).recipe(TrainRecipe()) == replace(TrainRecipe(), **wanted)


@pytest.mark.parametrize("name", [name for name, spec in OPTIONS.items() if spec.metadata["low"] is not None])
def test_limits_hold_on_the_command_line(name: str) -> None:
    below = OPTIONS[name].metadata["low"] - 1
    with pytest.raises(OptionError, match=f"{flag(name)} is out of range"):
        ParsedOptions(parse(flag(name), str(below))).recipe(TrainRecipe())


def test_options_of_the_data_have_the_defaults_of_load_splits() -> None:
    own = inspect.signature(load_splits).parameters
    for cls in (opts.ColumnOptions, opts.SplitOptions):
        for spec in dataclasses.fields(cls):
            assert spec.name in own
            assert spec.name == "by" or spec.default == own[spec.name].default


def test_methods_are_those_that_can_be_trained() -> None:
    from separatrix.training.methods import METHODS

    (spec,) = (spec for spec in dataclasses.fields(opts.TrainOptions) if spec.name == "method")
    assert list(spec.metadata["choices"]) == list(METHODS)


def test_version(cli: Cli) -> None:
    from importlib.metadata import version

    assert cli("--version").out == version("separatrix") + "\n"
