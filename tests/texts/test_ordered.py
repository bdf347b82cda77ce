"""The order of classes as it is typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from separatrix.errors import DataError, OptionError
from separatrix.texts.ordered import class_ranks

NAMES = ("bad", "good", "so-so")


@given(st.permutations([str(number) for number in range(6)]))
def test_ranks_lead_back_to_the_order(order: list[str]) -> None:
    names = sorted(order)
    ranks = class_ranks(names, order)
    assert [order[rank] for rank in ranks] == names


@pytest.mark.parametrize(
    ("order", "error", "match"),
    [
        (
            ("bad", "so-so", "godd"),
            DataError,
            r"q.csv: --order names .*got 'godd', expected all of bad, good, so-so;",
        ),
        (("bad", "so-so", "godd"), DataError, "did you mean 'good'"),
        (("bad", "so-so", "good", "42"), DataError, "'42'.*leave it away"),
        (("bad", "good"), DataError, "leaves out 1 of 3 classes: got nothing of so-so; name every class"),
        (("bad", "so-so", "good", "bad"), OptionError, "names a class twice: got 'bad'"),
        ((), DataError, "leaves out 3 of 3"),
    ],
)
def test_an_order_that_does_not_fit_is_refused(order: tuple[str, ...], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        class_ranks(NAMES, order, "q.csv")


def test_an_order_names_classes_in_any_spelling_that_looks_alike() -> None:
    assert class_ranks(["caf\u00e9", "tea"], ["te\u200ba", "cafe\u0301"]) == (1, 0)
