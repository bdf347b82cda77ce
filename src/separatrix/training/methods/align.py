"""`--method align`: the encoder itself is trained, so that the vectors of a class stand together."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from separatrix.progress import Counter
from separatrix.recipe.align import ALIGN_RULES, AlignRecipe
from separatrix.recipe.effect import idle
from separatrix.store.folder import TRAIN_ROWS, TRAJECTORY
from separatrix.training.methods.base import TrainingMethod
from separatrix.training.request import TrainingRequest

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pandas as pd

    from separatrix.learn.job import TrainedModel
    from separatrix.learn.loop import Score
    from separatrix.learn.targets import Targets
    from separatrix.learn.trained.encoder import AlignModel
    from separatrix.recipe import LoopRecipe
    from separatrix.texts import Texts


def train(request: TrainingRequest, _targets: Targets, score: Score) -> TrainedModel[AlignModel]:
    """Train an encoder; the vectors of all parts before the training come along, for the baselines."""
    from separatrix.learn.align import train_encoder
    from separatrix.store.table import write_table

    frozen = frozen_vectors(request) if request.compare else {}
    trained = train_encoder(request.job(score))
    if request.folder is not None:
        assert isinstance(request.recipe, AlignRecipe)
        write_table(request.folder / TRAIN_ROWS, mapped_rows(request.splits.train, request.recipe.loop, request.folder))
    return replace(trained, vectors=frozen)


def frozen_vectors(request: TrainingRequest) -> dict[str, dict[str, np.ndarray]]:
    """Vectors of the texts of each part in the model as it is: part -> pooling -> (rows, width)."""
    from separatrix.models.candidates import candidates
    from separatrix.models.extract import extract_blocks
    from separatrix.models.load import load_backbone

    backbone, frozen = load_backbone(request.recipe.backbone), {}
    for part, texts in request.splits.parts.items():
        progress = Counter(request.progress, f"texts ({part})", len(texts))
        frozen[part], _ = extract_blocks(backbone, texts.text, candidates(backbone), progress, request.shared_texts)
    return frozen


def mapped_rows(train: Texts, loop: LoopRecipe, folder: Path) -> pd.DataFrame:
    """The training rows of which the trajectory in a run's folder keeps outputs: id, text (of pairs both), label."""
    import pandas as pd

    from separatrix.learn.trajectory import begun_with, subsample
    from separatrix.texts.pairs import columns_of

    some = train.take(subsample(len(train), begun_with(folder / TRAJECTORY, loop.frame_rows), loop.seed))
    return pd.DataFrame({"id": some.id, **columns_of(some.text), "label": some.label})


METHOD = TrainingMethod(AlignRecipe(), train, partial(idle, rules=ALIGN_RULES))
