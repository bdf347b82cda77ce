"""Which methods are raced over which rows."""

from __future__ import annotations

import doctest

import pytest

from separatrix.recipe.auto import CANDIDATES, AutoRecipe
from separatrix.training.race import candidates, story
from separatrix.training.race.candidates import ENTRIES


@pytest.mark.parametrize(
    ("rows", "classes", "sets", "out"),
    [
        (6 * 16, 6, False, {"align", "align_many"}),  # hardly a row tells `align` from `align_few` there
        (6 * 500, 6, False, {"align_few", "align_many"}),
        (6 * 16, 6, True, {"align_few", "align_many"}),
        (77 * 10, 77, False, {"align_few"}),
        (77 * 100, 77, False, {"align_few"}),
        (77 * 10, 77, True, {"align_few", "align_many"}),  # both decide otherwise than the votes for a single label
    ],
)
def test_a_method_is_raced_where_it_suits_the_rows(rows, classes, sets, out):
    raced = {name for name, entry in ENTRIES.items() if entry.suits(rows, classes, sets=sets)}
    assert raced == {*CANDIDATES} - out


def test_what_is_named_alone_is_raced_as_it_is():
    """Another method takes its place only where that is a candidate too."""
    assert ENTRIES["align"].suits(96, 6, sets=False, beside=("probe", "align"))
    assert not ENTRIES["align"].suits(96, 6, sets=False, beside=("align", "align_few"))


def test_many_classes_are_aligned_with_a_head_beside_the_votes():
    recipe = ENTRIES["align_many"].recipe(AutoRecipe(), 770)
    assert (recipe.head_at_means, recipe.answers.decision, recipe.objective.loss) == (True, "both", "nca")


@pytest.mark.parametrize(("rows", "classes", "expected"), [(16 * 6, 6, True), (65 * 6, 6, False), (8 * 77, 77, False)])
def test_of_few_rows_of_few_classes_more_is_expected_of_some_methods(rows, classes, expected):
    """With 77 classes eight rows of each are 616 that judge, and a probe is level with encoders there."""
    ahead = {name: entry.expected(rows, classes) for name, entry in ENTRIES.items()}
    assert ahead["probe"] == 0
    assert (ahead["align_few"] > 0) == expected
    assert any(ahead.values()) == expected


@pytest.mark.parametrize("module", [candidates, story])
def test_examples(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
