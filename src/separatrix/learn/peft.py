"""PEFT's prompt tuning by the loop that trains our own prompts: the same rows, batches, schedule and best epoch.

The prompt stands before the text, so every step runs and differentiates the whole text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from separatrix.errors import OptionError
from separatrix.geometry.calibrate import fit_calibration
from separatrix.learn import schedule
from separatrix.learn.guards import check_frozen
from separatrix.learn.job import Job, TrainedModel, train_and_refit, training_rows
from separatrix.learn.loop import Training
from separatrix.learn.objectives import OBJECTIVES
from separatrix.learn.objectives.heads import HeadObjective
from separatrix.learn.targets import encode
from separatrix.learn.trainables import Trainable, evaluate
from separatrix.learn.trained.peft import PeftModel, PrefixedModel
from separatrix.models.backbone import Tokens
from separatrix.models.load import load_backbone
from separatrix.recipe.peft import PeftRecipe
from separatrix.texts.pairs import is_pair


def train_peft(job: Job[PeftRecipe]) -> TrainedModel[PeftModel]:
    """Train a prompt before the text, and a linear head.

    Raises:
        MissingExtra: PEFT is not installed.
        DataError: labels that cannot be used.
        ModelError: a model that cannot be found, loaded or used; its weights changed.
        StoreError: no room, or a checkpoint of another job in the folder.
    """
    return train_and_refit(job, _train, ("calibration",))


@dataclass
class PrefixTrainable(Trainable):
    """A prompt before tokenized texts, as the loop sees it."""

    prefixed: PrefixedModel
    tokens: dict[str, Tokens]

    def groups(self) -> dict[str, dict[str, Tensor]]:
        """The prompt."""
        return {"prompt": {"tokens": self.prefixed.prompt}}

    def outputs(self, part: str, rows: np.ndarray, _step: int | None = None) -> Tensor:
        """Vectors of these rows, (rows, width); nothing is drawn in a step."""
        return self.prefixed.forward([self.tokens[part].ids[row] for row in rows])

    def lengths(self, part: str) -> np.ndarray:
        """Tokens of each text of a part."""
        return np.array([len(ids) for ids in self.tokens[part].ids])


def _train(job: Job[PeftRecipe]) -> TrainedModel[PeftModel]:
    recipe, parts = job.recipe, {"train": job.train, "validation": job.validation}
    targets, loop = encode(parts, "classify"), recipe.loop
    if any(map(is_pair, job.train.text)):
        raise OptionError("--method peft reads one text a row", got="pairs of texts", hint="type another --method")
    backbone = load_backbone(recipe.backbone)
    before, classes = backbone.fingerprint(), len(targets.names)
    tokens = {part: backbone.tokenize(texts.text, reserve=recipe.prompt.tokens) for part, texts in parts.items()}
    trainable = PrefixTrainable(PrefixedModel.start(backbone, recipe.prompt, loop.seed), tokens)
    objective: Any = OBJECTIVES["linear"].build(recipe, classes)  # type: ignore[arg-type]
    seen = {part: torch.from_numpy(values).to(backbone.device) for part, values in targets.trained.items()}
    order = partial(schedule.batches, trainable.lengths("train"), loop.batch_size, loop.seed)
    weight = job.weight(backbone.device)
    objective.start(training_rows(trainable, seen["train"], np.arange(1), loop.epochs * len(order(0)), weight))
    training = Training(trainable, objective, seen, loop, order, classes, job.score, job.keep, weight)
    fitted = job.loop(training, backbone.source.weights).run()
    check_frozen(backbone, before)
    best = {name: tensor.detach() for name, tensor in fitted.tensors.items()}
    objective.load(best)
    with torch.no_grad():
        trainable.prefixed.prompt.copy_(best["tokens"])
    assert isinstance(objective, HeadObjective)
    assert targets.classes is not None
    model = PeftModel(trainable.prefixed, recipe, objective, targets.classes)
    scores = model.scores(evaluate(trainable, "validation"))
    model = replace(model, calibration=fit_calibration(scores, targets.values["validation"], seed=loop.seed))
    cut = [f"{part}: {rows.cut} of {len(rows)} texts were cut" for part, rows in tokens.items() if rows.cut]
    unread = [f"{part}: {line}" for part, rows in tokens.items() for line in rows.unread.warnings]
    return TrainedModel(model, (*cut, *unread), fitted)
