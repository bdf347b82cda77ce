"""Sentences: traits by quartiles and levels, what is common, layers as ranges, a line for every cluster."""

import numpy as np
import pytest

from separatrix.heads.descriptors import NAMES
from separatrix.heads.repeats import NAMES as REPEATED
from separatrix.heads.sentences import (
    NO_PATTERN,
    NOT_MEASURED,
    TRAITS,
    cluster_lines,
    describe,
    head_sentences,
    ranges,
)

HEADS = 12


def columns(**changes):
    """Heads without any trait, but for the numbers given."""
    quiet = {trait.column: np.zeros(HEADS) for trait in TRAITS}
    return quiet | {name: np.asarray(values, float) for name, values in changes.items()}


def one_high(name, value=0.95):
    """Columns of which one head has a high number, and the means of that head."""
    every = columns(**{name: [value, *[0.0] * (HEADS - 1)]})
    return {key: float(values[0]) for key, values in every.items()}, every


def test_traits_are_columns_of_the_table_of_heads():
    assert {trait.column for trait in TRAITS} <= {*NAMES, *REPEATED}
    assert len({trait.words for trait in TRAITS}) == len(TRAITS)


@pytest.mark.parametrize("trait", TRAITS, ids=lambda trait: trait.column)
def test_every_trait_is_said_from_its_level_on(trait):
    assert describe(*one_high(trait.column)) == trait.words
    assert describe(*one_high(trait.column, trait.level - 0.01)) == NO_PATTERN


def test_two_traits_at_most_the_strongest_first_and_shapes_last():
    means, every = one_high("previous", 0.6)
    more = {"punctuation": 0.9, "entropy": 0.99, "induction": 0.4}
    means |= more
    every |= {name: np.array([value, *[0.0] * (HEADS - 1)]) for name, value in more.items()}
    assert describe(means, every) == "looks at punctuation and at the previous token"
    means["punctuation"] = means["induction"] = 0.0
    assert describe(means, every) == "looks at the previous token and spreads its attention evenly"


def test_what_most_heads_do_is_no_mark_of_one():
    """A trait of nearly every head (attention on the first token, in causal models) is said to be common."""
    every = columns(first=np.linspace(0.5, 0.9, HEADS))
    means = dict.fromkeys(every, 0.0) | {"first": 0.55}
    assert describe(means, every) == "looks at the first token, as many heads do"
    assert describe(means | {"first": 0.9}, every) == "looks at the first token"


def test_the_first_token_is_not_said_twice():
    every = columns(first=[0.9, *[0.0] * 11], special=[0.95, *[0.0] * 11], confidence=[0.9, *[0.0] * 11])
    means = {name: float(values[0]) for name, values in every.items()}
    assert describe(means, every) == "looks at the first token"
    assert describe(means | {"first": 0.35}, every) == "looks at special tokens"


def test_a_named_neighbor_is_said_instead_of_nearby_tokens():
    every = columns(previous=[0.5, *[0.0] * 11], diagonal=[0.9, 0.9, *[0.0] * 10])
    means = {name: float(values[0]) for name, values in every.items()}
    assert describe(means, every) == "looks at the previous token"
    assert describe(means | {"previous": 0.0}, every) == "looks at tokens nearby"


def test_without_descriptors_nothing_is_claimed():
    assert describe({"induction": 0.9}, {"induction": np.full(HEADS, 0.9)}) == NOT_MEASURED
    only = {name: values for name, values in columns().items() if name not in ("induction", "duplicate")}
    assert describe(dict.fromkeys(only, 0.0), only) == NO_PATTERN


@pytest.mark.parametrize(
    ("numbers", "words"),
    [([3], "layer 3"), ([0, 1], "layers 0 and 1"), ([0, 1, 2], "layers 0 to 2"), ([0, 2, 3], "layers 0, 2 and 3"),
     ([0, 1, 2, 3, 7], "layers 0 to 3 and 7"), ([1, 4, 5, 6, 9, 10, 11], "layers 1, 4 to 6 and 9 to 11")],
)  # fmt: skip
def test_layers_are_ranges(numbers, words):
    assert ranges("layer", numbers) == words


def test_every_cluster_has_a_line_noise_last():
    every = columns(previous=[0.9, 0.8, 0.7, *[0.1] * 9])
    every |= {"layer": np.arange(HEADS) // 4, "cluster": np.array([1, 1, 1, *[0] * 8, -1])}
    labels = np.array([1] * 30 + [0] * 50 + [-1] * 19 + [2])
    lines = cluster_lines(every, labels)
    assert [line["cluster"] for line in lines] == [0, 1, 2, -1]
    assert lines[1] == {
        "cluster": 1, "sentence": "looks at the previous token; layer 0; 3 heads; 30 % of rows", "layers": [0],
        "heads": 3, "share": 0.3,
    }  # fmt: skip
    assert lines[0]["sentence"] == "no clear pattern; layers 0 to 2; 8 heads; 50 % of rows"
    assert lines[2]["sentence"] == "no head is mostly in it; 0 heads; 1 % of rows"
    assert lines[3]["sentence"].endswith("; layer 2; 1 head; 19 % of rows")
    assert head_sentences(every)[:4] == ["looks at the previous token"] * 3 + [NO_PATTERN]
