"""One small data set in three parts, and one finished run of each kind that the tests share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from separatrix import recipe as recipes
from separatrix.recipe import TrainRecipe
from separatrix.texts import Splits, Texts
from separatrix.texts.split import hold_out_rows
from separatrix.training.request import TrainingRequest

QUICK = {"epochs": 2, "tokens": 2, "lr": 0.05, "batch_size": 32, "snapshots": 2, "device": "cpu"}


@pytest.fixture(scope="session")
def splits(planted: tuple[list[str], list[str]]) -> Splits:
    """The planted task: 108 training, 36 validation, 36 test rows."""
    train, rest = Texts.of(*planted).split(test=0.4, seed=0)
    return Splits(train, *rest.split(test=0.5, seed=0), ("validation was held out",))


@pytest.fixture(scope="session")
def figures() -> Splits:
    """Numbers to predict: the digit in the text."""
    digits = [place % 9 + 1 for place in range(90)]
    texts = Texts.of(
        [f"the {digit} cat" if digit % 2 else f"red {digit}" for digit in digits], [float(d) for d in digits]
    )
    train, rest = drawn_rows(texts, 0.4)
    return Splits(train, *drawn_rows(rest, 0.5), ())


def drawn_rows(texts: Texts, share: float) -> tuple[Texts, Texts]:
    """Rows with copies of their texts on the other side: a few digits alone are in all of them."""
    held = hold_out_rows(len(texts), share, 0)
    return texts.where(~held), texts.where(held)


@pytest.fixture(scope="session")
def make_order(tiny: Callable[[str], Path], splits: Splits) -> Callable[..., TrainingRequest]:
    """`make_order(folder, splits, method=..., family=..., **options)`."""

    def order(folder=None, data=splits, *, method="prompt", family="bert", progress=None, **options) -> TrainingRequest:
        recipe = recipes.replace(TrainRecipe(), **{"model": str(tiny(family)), **QUICK, **options})
        told = {} if progress is None else {"progress": progress}
        return TrainingRequest(data, recipe, method, folder, **told)

    return order
