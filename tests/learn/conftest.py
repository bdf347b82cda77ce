"""A task that tiny random transformers learn in a second or two, and one call that trains on it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from separatrix import recipe as recipes
from separatrix.errors import SeparatrixError
from separatrix.learn import job
from separatrix.learn.job import Job, TrainedModel
from separatrix.learn.loop import Loop
from separatrix.learn.objectives import OBJECTIVES
from separatrix.learn.prompt import train_prompt
from separatrix.learn.targets import encode
from separatrix.recipe import TrainRecipe
from separatrix.recipe.align import AlignRecipe
from separatrix.texts import Texts
from separatrix.texts.split import hold_out_stratified
from separatrix.training.evaluate import Evaluator

ANIMALS = ("cat", "dog", "bird")
FILLER = "the a fish tree house river red blue green old new big small who what where when why how many is was"
NAMES = ("bird", "cat", "dog")
FAST = {"epochs": 3, "lr": 3e-3, "batch_size": 16, "device": "cpu", "checkpoint_seconds": 0.0}
QUICK = {"epochs": 6, "tokens": 4, "lr": 0.1, "batch_size": 32, "positions": "last", "device": "cpu"}
Parts = tuple[Texts, Texts]


def sentences(keys: list[str], longest: int, seed: int = 0) -> list[str]:
    """Each key word at a random place among one to `longest` others."""
    generator = np.random.default_rng(seed)
    texts = []
    for key in keys:
        words = list(generator.choice(FILLER.split(), size=int(generator.integers(1, longest + 1))))
        words.insert(int(generator.integers(0, len(words) + 1)), key)
        texts.append(" ".join(words))
    return texts


@pytest.fixture(scope="session")
def animals() -> Parts:
    """270 training and 90 validation texts; the animal named is the class."""
    labels = list(ANIMALS) * 120
    texts = Texts.of(sentences(labels, 3), labels)
    held = hold_out_stratified(
        texts.label, 0.25, 0
    )  # rows by which bounds were recorded: a short text is on both sides
    return texts.where(~held), texts.where(held)


@pytest.fixture(scope="session")
def few() -> Parts:
    """54 training and 18 validation texts of the same kind: a training of them takes a blink."""
    labels = list(ANIMALS) * 24
    return Texts.of(sentences(labels, 5, seed=3), labels).split(test=0.25, seed=0)


@pytest.fixture(scope="session")
def numbers() -> Parts:
    """270 training and 90 validation texts; the target is ten times the digit named."""
    digits = [place % 9 + 1 for place in range(360)]
    texts = sentences([str(digit) for digit in digits], 2, seed=1)
    return Texts.of(texts, [10.0 * digit for digit in digits]).split(test=0.25, seed=0)


@pytest.fixture(scope="session")
def make_job(tiny: Callable[[str], Path]) -> Callable[..., Job]:
    """`make_job(parts, "gpt2", folder=..., progress=..., **options)` is an order for a training."""

    def build(parts: Parts, family: str = "gpt2", *, folder=None, progress=None, **options) -> Job:
        recipe = recipes.replace(TrainRecipe(), **{"model": str(tiny(family)), **QUICK, **options})
        evaluator = Evaluator(("a", "b"))
        try:
            targets = encode({"train": parts[0]}, OBJECTIVES[recipe.objective.loss].task)
            evaluator = Evaluator.of(targets.values["train"], targets.names, recipe.loop.seed)
        except SeparatrixError:  # the training itself has to say so
            pass
        told = {} if progress is None else {"progress": progress}
        return Job(*parts, recipe, evaluator.quick, folder, **told)

    return build


@pytest.fixture(scope="session")
def train(make_job: Callable[..., Job]) -> Callable[..., TrainedModel]:
    """Train at once; arguments as `make_job`."""

    def run(*args, **options) -> TrainedModel:
        return train_prompt(make_job(*args, **options))

    return run


@pytest.fixture(scope="session")
def few_animals(planted) -> Parts:
    """90 training and 30 validation texts whose class is planted."""
    texts, labels = planted
    return Texts.of(texts[:120], labels[:120]).split(test=0.25, seed=0)


@pytest.fixture(scope="session")
def order(tiny: Callable[[str], Path], few_animals: Parts) -> Callable[..., Job]:
    """`order(folder=None, parts=..., **options)` is an order for a training of an encoder, of a blink."""

    def make(folder=None, parts=None, family="bert", **options) -> Job:
        recipe = recipes.replace(AlignRecipe(), **{"model": str(tiny(family)), **FAST, **options})
        train, validation = few_animals if parts is None else parts
        names = NAMES if parts is None else tuple(sorted(set(train.label)))
        return Job(train, validation, recipe, Evaluator(names).quick, folder)

    return make


@pytest.fixture
def loops(monkeypatch):
    """Every loop that is made, so that its optimiser can be looked at."""
    made = []

    class KeptLoop(Loop):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            made.append(self)

    monkeypatch.setattr(job, "Loop", KeptLoop)
    return made
