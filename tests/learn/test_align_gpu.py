"""An encoder on CUDA: bfloat16 by itself, chunks, dropout, every scheme."""

import numpy as np
import pytest
import torch

from separatrix import recipe as recipes
from separatrix.learn.align import train_encoder
from separatrix.learn.job import Job
from separatrix.recipe.align import AlignRecipe
from separatrix.texts import Texts
from separatrix.training.evaluate import Evaluator

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.mark.parametrize("pairs", ["batch", "memory", "mixed", "datapoint", "bank"])
@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_training_on_cuda(pairs, precision, tiny, planted):
    train, validation = Texts.of(*planted).split(test=0.25, seed=0)
    changes = {
        "pairs": pairs,
        "pairs_per_row": "one",
        "precision": precision,
        "dropout": 0.1,
        "chunk_rows": 8,
        "lr": 3e-3,
    }
    recipe = recipes.replace(
        AlignRecipe(), model=str(tiny("bert")), device="cuda", epochs=3, head_weight=0.5, **changes
    )
    found = train_encoder(Job(train, validation, recipe, Evaluator(("bird", "cat", "dog")).quick))
    answer = found.model.answer(validation.text)
    assert np.isfinite(answer.vectors).all()
    assert (answer.labels == validation.label).mean() > 0.5
