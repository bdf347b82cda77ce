"""Flags come from the recipes: each option once, with the recipe's default, text and limits, and nothing beside it."""

from __future__ import annotations

import dataclasses
import inspect
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command_line import Cli
from separatrix.cli import options as opts
from separatrix.cli.app import COMMANDS, build, find
from separatrix.cli.commands import EARLIER, GROUPS, RESUMABLE, spelled
from separatrix.cli.flags import ParsedOptions
from separatrix.cli.mistakes import STOPPED, _sentence
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
    keywords = [item for item in parameters if item.kind is inspect.Parameter.KEYWORD_ONLY]
    return {item.annotation.__metadata__[0].name[0]: item for item in keywords}


def parse(*words: str) -> dict[str, Any]:
    """The options typed, as a command receives them."""
    return dict(build(["train"]).parse_args(["train", "d", "--out", "r", *words], exit_on_error=False)[1].kwargs)


def test_train_has_every_option_of_the_recipe_with_its_default() -> None:
    found = flags_of("train")
    flags = {name: flag(name) for name in option_names(TrainRecipe())}
    assert set(found) >= {*flags.values(), *CONTRACT} - {"--layers"}
    for name, spec in OPTIONS.items():
        assert found[flags[name]].default == spec.default


@pytest.mark.parametrize(
    ("command", "old", "value"),
    [("train", "--layers", "input"), ("train", "--weights", "softmax"), ("train", "--draw", "one"),
     ("extract", "--weights", "0.5"), ("associate", "--within", "id"), ("heads", "--draw", "random"),
     ("heads", "--feature", "grid")],
)  # fmt: skip
def test_the_flag_that_an_option_once_had_is_understood(cli: Cli, command: str, old: str, value: str) -> None:
    new = EARLIER[command][old]
    words = [command, "data", "--out", "r"]
    typed = [
        build([command]).parse_args(spelled([*words, *some]), exit_on_error=False)[1].kwargs
        for some in ([old, value], [f"{old}={value}"], [new, value])
    ]
    assert typed[0] == typed[1] == typed[2]
    out = cli(command, "--help-all").out
    assert f"{new} " in out
    assert f" {old} " not in out
    assert new in cli(*words, new).err  # as messages name it
    assert "--prompt-layers" in cli("train", "d", "--out", "r", "--layers", "inputs").err


@pytest.mark.parametrize("method", [None, "auto", "prompt", "align", "finetune", "probe", "peft"])
def test_the_short_help_of_a_training_shows_what_matters_for_the_method(cli: Cli, method: str | None) -> None:
    words = ["train", "--help", *([] if method is None else ["--method", method])]
    out = cli(*words).out
    shown = set(re.findall(r"(?<=[│ ] )--[a-z-]+", out))
    assert 10 <= len(shown - {"--help-all", "--method"}) <= 15
    assert {"--out", "--label", "--method", "--model", "--seed"} <= shown
    assert ("--tokens" in shown) == (method in (None, "prompt", "peft"))
    assert ("--budget" in shown) == (method in (None, "auto"))
    assert ("--decision" in shown) == (method == "align")
    assert "--help-all" in out
    if method is not None:
        every = cli("train", "--help-all", f"--method={method}").out
        assert ("--mover " in every) == (method == "prompt")
        assert ("--pairs " in every) == (method in ("align", "finetune"))


def test_a_method_with_data_of_its_own_is_no_choice_of_train(cli: Cli) -> None:
    assert "answers" not in cli("train", "--help").out
    typed = cli("train", "d", "--out", "r", "--method", "answers").err
    assert "type separatrix heads-qa" in typed
    assert "answers" not in cli("train", "d", "--out", "r", "--method", "promt").err
    assert re.search(r"--with .*\(required\)", " ".join(cli("associate", "--help").out.split()))


def test_what_can_be_gone_on_with_says_so_where_it_is_stopped():
    assert {name for name in COMMANDS if "resume" in inspect.signature(find(name)).parameters} == {*RESUMABLE}
    for name in RESUMABLE:
        assert "with --resume goes on" in _sentence(KeyboardInterrupt(), [name])[0]
    assert _sentence(KeyboardInterrupt(), ["cluster"]) == ("stopped", STOPPED)


def test_every_command_stands_in_one_panel_of_the_list_of_commands():
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_short_help_is_short(cli: Cli, name: str) -> None:
    """At most some fifteen options, each of them one that the command has; the rest is with --help-all."""
    main = find(name).flags.main
    flags = find(name).flags.parameters()
    assert set(main) <= {item.name for item in flags}
    assert len(main or flags) <= 15
    out = cli(name, "--help").out
    sentences = out[: out.index("For example:")].strip().splitlines()[1:]
    for line, after in pairwise(sentences):  # a line ends where the terminal does, or a paragraph
        assert not line or not after or len(f"{line} {after.split()[0]}") > 80
    assert ("more options: separatrix" in out) == bool(main)
    for words in ({"recipe"}, {"who", "decides"}, {"doubted"}):
        titles = re.findall(r"╭─ (.*?) ─", out)
        assert not any(words <= set(title.lower().split()) for title in titles)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_flag_stands_twice(name: str) -> None:
    """`inspect.Signature` refuses a name twice, but a recipe option could hide behind another spelling."""
    parameters = inspect.signature(find(name)).parameters.values()
    assert len(flags_of(name)) == sum(item.kind is inspect.Parameter.KEYWORD_ONLY for item in parameters)
    assert {"--json", "--quiet"} <= set(flags_of(name))
    assert {flag.partition("=")[0] for flag in EARLIER.get(name, {}).values()} <= set(flags_of(name))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_examples_texts_and_defaults(cli: Cli, name: str) -> None:
    ran = cli(name, "--help-all")
    assert (ran.code, ran.err) == (0, "")
    assert COMMANDS[name][1] in " ".join(ran.out.split())  # long summaries are wrapped
    assert f"separatrix {name}" in ran.out.partition("For example:")[2]
    assert all(spelling in ran.out for spelling in flags_of(name))


def test_help_of_train_reads_as_the_recipe_does(cli: Cli) -> None:
    out = " ".join(cli("train", "--help-all").out.replace("│", " ").split())
    for spec in OPTIONS.values():
        assert spec.metadata["text"] in out
    assert f"number of prompt tokens (1 to 200) [default: {TrainRecipe().prompt.tokens}]" in out
    assert f"[choices: fixed, gradient, ema, momentum, mean] [default: {TrainRecipe().centroids.mover}]" in out


def test_help_of_train_is_true_of_align_and_finetune_too(cli: Cli) -> None:
    """An option that two recipes share is one flag; its help names what differs."""
    out = " ".join(cli("train", "--help-all").out.replace("│", " ").split())
    aligned = {spec.name: spec for part in map(part_of, dataclasses.fields(AlignRecipe)) for spec in fields_of(part)}
    for name, value in flat(AlignRecipe()).items():
        assert aligned[name].metadata["text"] in out
        if name in OPTIONS and OPTIONS[name].default != value and value != flat(FINETUNE)[name]:
            assert re.search(f"; align: {value}; finetune(, peft)?: {flat(FINETUNE)[name]}]", out)
        elif name in OPTIONS and OPTIONS[name].default != value:
            assert re.search(f"align, finetune: {value}(; peft: .*)?]", out)
    assert "[default: 0.03; align, finetune: 0.0002; peft: 0.01]" in out
    assert "[default: centroid_ce; align: nca; finetune, peft: linear]" in out
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
    if "int" in str(spec.type):
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
    for cls in (opts.DataColumns, opts.Splitting):
        for spec in dataclasses.fields(cls):
            assert spec.name in own
            one = spec.default[0] if isinstance(spec.default, tuple) else spec.default  # of options that take several
            assert spec.name == "by" or one == own[spec.name].default


def test_methods_are_those_that_can_be_trained() -> None:
    from separatrix.training.methods import METHODS

    (spec,) = (spec for spec in dataclasses.fields(opts.TrainingMethodOptions) if spec.name == "method")
    assert list(spec.metadata["choices"]) == list(METHODS)


def test_version(cli: Cli) -> None:
    from importlib.metadata import version

    assert cli("--version").out == version("separatrix") + "\n"


@pytest.mark.parametrize("last", ["--help", "--help-all"])
def test_the_help_of_a_method_that_is_not_there(cli: Cli, last: str) -> None:
    """Regression: it showed another help, and was a success."""
    done = cli("train", "--method", "prompd", last)
    assert (done.code, done.out) == (2, "")
    assert "unknown --method: got 'prompd', expected one of auto, prompt, align" in done.err
    assert "did you mean 'prompt'?" in done.err
