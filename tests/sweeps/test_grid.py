"""A grid is checked whole: every mistake at once, with its line and the nearest name."""

import math
from collections import Counter

import numpy as np
import pytest

from separatrix.errors import OptionError
from separatrix.sweeps.grid import read_grid
from separatrix.sweeps.search import Distribution, Search, drawn_settings
from separatrix.sweeps.settings import spell_out


def labels(grid):
    read, mistakes = read_grid(grid)
    settings = spell_out(read, mistakes)
    mistakes.check()
    return [one.label for one in settings]


def test_rows_and_axes_are_multiplied_and_baselines_stand_once():
    grid = {
        "data": "x.csv", "train": {"epochs": 2}, "grid": {"tokens": [1, 2], "per_class": [8, 16]},
        "rows": [{"name": "words", "loss": "token"}, {"name": "plain"}],
        "baselines": {"probe": {}, "finetune": {"lr": 0.001}},
    }  # fmt: skip
    own = [
        f"{row}, tokens={tokens}, per_class={rows}"
        for row in ("words", "plain")
        for tokens in (1, 2)
        for rows in (8, 16)
    ]
    assert labels(grid) == [*own, *(f"{row}, per_class={rows}" for row in ("probe", "finetune") for rows in (8, 16))]


def test_label_words_of_a_row_are_one_value_and_no_axis():
    rows = [
        {"name": "chosen", "loss": "token"},
        {"name": "by hand", "loss": "token", "words": ["bad", "good"]},
        {"name": "none"},
    ]
    read, mistakes = read_grid({"data": "x.csv", "train": {"model": "gpt2"}, "rows": rows, "reference": "chosen"})
    settings = spell_out(read, mistakes)
    mistakes.check()
    assert [one.options.get("words") for one in settings] == [None, ["bad", "good"], None]


def test_several_data_sets_are_an_axis_unless_a_row_names_one():
    data = {"one": {"path": "1.csv", "label": "kind"}, "two": "2.csv"}
    assert labels({"data": data, "grid": {"tokens": [1]}}) == ["data=one, tokens=1", "data=two, tokens=1"]
    assert labels({"data": data, "rows": [{"name": "a", "data": "two"}]}) == ["a"]
    with pytest.raises(OptionError, match="unknown data set: got 'tow', expected one of one, two"):
        labels({"data": data, "train": {"data": "tow"}})


def test_all_mistakes_are_named_at_once_with_their_lines(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text(
        'data = "x.csv"\nsedes = [0]\n[train]\nepochs = 0\nseed = 3\n[grid]\ntokns = [1]\nlr = 0.1\n'
        '[[rows]]\nname = "a"\n[[rows]]\nname = "a"\nloss = "cosin"\ntrust_remote_code = true\n'
    )
    with pytest.raises(OptionError, match="has 8 mistakes") as caught:
        labels(path)
    text = str(caught.value)
    for part in (
        "grid.toml has 8 mistakes: (1) line 2, sedes: unknown key", "did you mean 'seeds'?",
        "line 4, [train] epochs: --epochs is out of range: got 0", "line 5, [train] seed: seeds are paired",
        "line 7, [grid] tokns: unknown option", "did you mean 'tokens'?", "line 8, [grid] lr: an axis is a list",
        "line 12, [rows 2] name: each row has a name of its own", "line 13, [rows 2] loss: unknown --loss",
        "line 14, [rows 2] trust_remote_code: a file cannot allow",
    ):  # fmt: skip
        assert part in text


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"data": "x", "train": {"rate": 0.5}}, r"the grid, \[train\] rate: --rate has no effect here"),
        ({"data": "x", "rows": [{"name": "a", "method": "align", "tokens": 3}]}, "tokens: --tokens has no effect with"),
        ({"data": "x", "grid": {"lr": {"low": 1, "high": 2}}}, "a range needs a search with samples"),
        ({"data": "x", "epochs": 3}, "epochs: an option of the training; put it under"),
        ({"data": "x", "train": {"baselines": []}}, "it is no option; write it above"),
        ({"data": "x", "grid": {"lr": [1]}, "rows": [{"name": "a", "lr": 2}]}, "lr is an axis of .grid. already"),
        ({"data": "x", "baselines": ["prob"]}, "unknown baseline: got 'prob'.*did you mean 'probe'"),
        ({"grid": {"lr": [1]}}, "data: it is missing"),
        ({"data": "x", "tune": ["tokens"], "grid": {"lr": [0.1]}}, "unknown axis: got 'tokens'"),
        ({"data": "x", "seeds": [1, 1]}, "each seed stands once"),
        ({"data": "x", "train": {"method": "answers"}}, "unknown method: got 'answers'"),
        ({"data": "x", "grid": {"lr": range(10**9)}}, "lr: an axis has at most 100000 values: got 1000000000"),
        ({"data": "x", "seeds": range(10**9)}, "seeds: the list is too long: got 1000000000"),
        ({"data": "x", "grid": {name: [1, 2, 3] * 100 for name in ("lr", "tokens", "epochs")}}, "it has too many rows"),
        ({"data": "x", "grid": {"lr": [1, 2]}, "search": {"samples": 10**20}}, "--samples is out of range"),
    ],
)
def test_a_single_mistake_is_one_sentence(grid, message):
    with pytest.raises(OptionError, match=message):
        labels(grid)


@pytest.mark.parametrize("name", ["validation", "test", "by", "label", "group", "label_separator", "drop_unlabelled"])
def test_rows_on_other_held_out_rows_or_labels_are_refused_wherever_they_stand(name):
    """Regression: in [[rows]] they were taken, and paired; `label` as an axis compared two tasks."""
    message = rf"{name}: rows of the table that are judged on other rows or labels cannot.*under \[data\], or give each"
    for grid in (
        {"grid": {name: ["a", "b"]}},
        {"rows": [{"name": "a", name: "a"}, {"name": "b"}]},
        {"baselines": {"finetune": {name: "a"}}},
    ):
        with pytest.raises(OptionError, match=message):
            labels({"data": "x", **grid})
    with pytest.raises(OptionError, match=r"rare: rows of the table .* cannot be compared; put it under \[train\]"):
        labels({"data": "x", "grid": {"rare": ["drop", "merge"]}})
    assert labels({"data": "x", "grid": {"text": ["question", "both"], "per_class": [4, 8]}})


def test_no_toml_is_one_sentence(tmp_path):
    with pytest.raises(OptionError, match=r"nowhere\.toml does not exist"):
        read_grid(tmp_path / "nowhere.toml")
    (tmp_path / "x.toml").write_text("a = = 1")
    for text in ("a = = 1", "a = " + "[" * 100_000, "a = " + "9" * 5000, "a = 1\0"):
        (tmp_path / "x.toml").write_text(text)
        with pytest.raises(OptionError, match=r"x\.toml is no TOML ") as seen:
            read_grid(tmp_path / "x.toml")
        assert len(str(seen.value)) < 400


def test_settings_are_drawn_once_each_and_rounds_end_with_the_whole():
    axes = {"tokens": [1, 2], "lr": [0.1, 0.2]}
    drawn = drawn_settings(axes, 10, 0)
    assert len(drawn) == 4
    assert drawn == drawn_settings(axes, 10, 0)
    assert [one["tokens"] for one in drawn] != [1, 1, 1, 1]
    assert Search(halving="epochs", factor=4).rounds(50) == [3, 12, 50]
    assert Search(halving="epochs").rounds(1) == [1]


@pytest.mark.parametrize("log", [False, True])
def test_whole_numbers_of_a_range_are_drawn_evenly(log):
    """Regression: its two ends were drawn half as often as the numbers between them."""
    generator, ends = np.random.default_rng(0), Distribution(1, 4, log=log)
    counts = Counter(ends.draw(generator) for _ in range(8000))
    widths = [math.log((value + 0.5) / (value - 0.5)) if log else 1.0 for value in (1, 2, 3, 4)]
    expected = [8000 * width / sum(widths) for width in widths]
    assert [counts[value] for value in (1, 2, 3, 4)] == pytest.approx(expected, rel=0.1)
    assert {type(value) for value in counts} == {int}
