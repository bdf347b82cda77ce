"""The steps of an encoder's training as the loop takes them, and the gradients that they leave."""

from dataclasses import dataclass

import numpy as np
import torch

from separatrix.learn import align
from separatrix.learn.loop import Training
from separatrix.learn.objectives.base import LossBatch, LossValue
from separatrix.learn.targets import encode
from separatrix.learn.trainables.encoder import EncoderTrainable, start_encoder
from separatrix.models.load import load_backbone


@dataclass
class Steps:
    """A started training and its steps, as the loop takes them, but without an optimiser."""

    training: Training

    @property
    def trainable(self):
        return self.training.trainable

    @property
    def objective(self):
        return self.training.objective

    def batches(self, epoch):
        return self.training.batches(epoch)

    def batch(self, rows, step, size=None):
        places = torch.from_numpy(np.asarray(rows))
        return LossBatch(self.training.targets["train"][places], places, step, len(places) if size is None else size)

    def backward(self, rows, step) -> tuple[torch.Tensor, LossValue]:
        batch = self.batch(np.concatenate([rows, self.objective.companions(rows)]), step, len(rows))
        z, value = self.trainable.backward(batch, lambda outputs: self.objective.loss(outputs, batch))
        self.objective.after_step(z[: len(rows)], self.batch(rows, step))
        return z[: len(rows)], value


def steps_of(job, **tensors) -> Steps:
    """Start a training of an encoder; `tensors` replace those of the objective."""
    backbone = load_backbone(job.recipe.backbone)
    tokens = {"train": backbone.tokenize(job.train.text)}
    trainable = EncoderTrainable(start_encoder(backbone, job.recipe.encoder), tokens, job.recipe.loop.seed)
    training, _ = align.start_training(job, trainable, encode({"train": job.train}, "classify"))
    for name, tensor in tensors.items():
        setattr(training.objective, name, tensor)
    return Steps(training)


def gradients(steps):
    named = steps.trainable.encoder.named().values()
    return torch.cat([tensor.grad.flatten() for tensor in named if tensor.grad is not None])
