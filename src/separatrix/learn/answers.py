"""Train a model with a span head on windows whose answers are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from separatrix.learn import schedule
from separatrix.learn.callbacks import ProgressCallback
from separatrix.learn.loop import FitResult, Loop, Training
from separatrix.learn.objectives.unlabelled import SpanObjective
from separatrix.learn.trainables.spans import SpanTrainable
from separatrix.models.backbone import Backbone
from separatrix.models.quiet import save_pretrained
from separatrix.progress import Progress, silent
from separatrix.recipe import LoopRecipe


def train_spans(
    model: Any, scores: Callable[[np.ndarray], Tensor], sizes: Sequence[int], targets: Sequence[tuple[int, int]],
    recipe: LoopRecipe, progress: Progress = silent, *, checkpoint: Path | None = None, identity: str = "",
) -> FitResult:  # fmt: skip
    """Train a span head and the model under it, in place.

    Args:
        model: of `load_span_model`.
        scores: rows -> scores of each token as start and as end, (rows, tokens, 2).
        sizes: tokens of each row.
        targets: first and last token of the answer of each row.
        recipe: of the loop.
        checkpoint: file of the state; a training that was stopped goes on from it.
        identity: what the state belongs to.

    Raises:
        StoreError: the state in the file belongs to another training.
    """
    trainable = SpanTrainable(model, scores, np.asarray(sizes), recipe.seed)
    right = torch.tensor(targets, device=next(model.parameters()).device)  # (rows, 2)
    order = partial(schedule.batches, trainable.sizes, recipe.batch_size, recipe.seed)
    training = Training(trainable, SpanObjective(), {"train": right}, recipe, order)
    fitted = Loop(training, [ProgressCallback(progress)], path=checkpoint, identity=identity).run()
    model.eval()
    return fitted


def save_span_model(model: Any, backbone: Backbone, folder: Path) -> None:
    """Write the model (safetensors) and the tokenizer, as transformers reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    save_pretrained(folder, model, backbone.tokenizer)
