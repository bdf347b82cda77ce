"""The linear head of an encoder may start at the class means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from separatrix import recipe as recipes
from separatrix.errors import OptionError
from separatrix.learn.objectives import TrainingRows
from separatrix.learn.objectives.alignment import AlignObjective
from separatrix.learn.objectives.base import random_head
from separatrix.learn.objectives.label_sets import LabelSetObjective
from separatrix.recipe.align import FINETUNE, AlignRecipe
from separatrix.training.methods import build_recipe

CLASSES, WIDTH = 3, 6
JOINT = recipes.replace(AlignRecipe(), head_weight=0.5)


def rows_of(z: torch.Tensor, labels: torch.Tensor) -> TrainingRows:
    return TrainingRows(lambda rows: z if rows is None else z[rows], labels, np.arange(len(z)))


def slow_means(z: torch.Tensor, marks: np.ndarray, length: float) -> np.ndarray:
    """Class by class: the mean direction, its way from the mean of all classes, as long as is asked."""
    unit = z.numpy() / np.linalg.norm(z.numpy(), axis=1, keepdims=True)
    means = np.stack([unit[marks[:, one] == 1].sum(axis=0) for one in range(marks.shape[1])])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    ways = means - means.mean(axis=0)
    return length * ways / np.linalg.norm(ways, axis=1, keepdims=True)


@pytest.fixture
def z():
    return torch.randn(20, WIDTH, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("recipe", [FINETUNE, JOINT], ids=["finetune", "beside nca"])
def test_the_head_starts_at_the_class_means(recipe, z):
    y = torch.arange(20) % CLASSES
    objective = AlignObjective(recipes.replace(recipe, head_start="means"), CLASSES)
    objective.start(rows_of(z, y))
    random, _ = random_head(CLASSES, WIDTH, 0, z.device)
    expected = slow_means(z, np.eye(CLASSES)[y.numpy()], float(random.norm(dim=1).mean()))
    np.testing.assert_allclose(objective.weight, expected, rtol=1e-4, atol=1e-6)
    assert not objective.bias.any()
    right = (torch.nn.functional.normalize(z, dim=1) @ objective.weight.T).argmax(dim=1) == y
    assert right.float().mean() > 1 / CLASSES


def test_a_row_of_weight_two_is_the_row_twice(z):
    y = torch.arange(20) % CLASSES
    weight = torch.tensor([0.0, 2.0, 1.0, 1.0] * 5)
    weighed = AlignObjective(recipes.replace(FINETUNE, head_start="means"), CLASSES)
    weighed.start(replace(rows_of(z, y), weight=weight))
    written = torch.repeat_interleave(torch.arange(20), weight.long())
    plain = AlignObjective(recipes.replace(FINETUNE, head_start="means"), CLASSES)
    plain.start(rows_of(z[written], y[written]))
    torch.testing.assert_close(weighed.weight, plain.weight)


def test_so_does_the_head_of_rows_with_several_labels(z):
    y = (torch.rand(20, CLASSES, generator=torch.Generator().manual_seed(2)) < 0.5).long()
    objective = LabelSetObjective(recipes.replace(FINETUNE, head_start="means"), CLASSES)
    objective.start(rows_of(z, y))
    random, _ = random_head(CLASSES, WIDTH, 0, z.device)
    expected = slow_means(z, y.numpy(), float(random.norm(dim=1).mean()))
    np.testing.assert_allclose(objective.weight, expected, rtol=1e-4, atol=1e-6)


def test_it_is_random_otherwise_and_the_rows_are_not_read(z):
    def outputs(rows: np.ndarray | None) -> torch.Tensor:
        assert rows is not None, "all rows were read for nothing"
        return z[rows]

    objective = AlignObjective(FINETUNE, CLASSES)
    objective.start(TrainingRows(outputs, torch.arange(20) % CLASSES, np.arange(20)))
    assert torch.equal(objective.weight, random_head(CLASSES, WIDTH, 0, z.device)[0])


def test_without_a_head_it_is_refused():
    with pytest.raises(OptionError, match="--head-start has no effect here: expected a head"):
        build_recipe("align", {"head_start": "means"})
    assert build_recipe("align", {"head_start": "means", "head_weight": 1.0}).head_at_means
    assert build_recipe("finetune", {"head_start": "means"}).head_at_means


def test_a_recipe_that_does_not_name_it_is_what_it_was():
    assert "head_start" not in str(recipes.decisive(FINETUNE))
    assert "head_start" in str(recipes.decisive(recipes.replace(FINETUNE, head_start="means")))
