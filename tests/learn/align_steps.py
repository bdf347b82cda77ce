"""A lesson of an encoder as `train_encoder` makes it, without the loop, and the gradients that it leaves."""

from dataclasses import replace

import torch

from separatrix.learn import align
from separatrix.learn.encoder import EncoderLearner, start_encoder
from separatrix.learn.targets import encode
from separatrix.models.backbone import load_backbone


def lesson_of(job, **changes):
    backbone = load_backbone(job.recipe.backbone)
    tokens = {"train": backbone.tokenize(job.train.text)}
    learner = EncoderLearner(start_encoder(backbone, job.recipe.encoder), tokens, job.recipe.loop.seed)
    lesson, _ = align._lesson(job, learner, encode({"train": job.train}, "classify"))
    return replace(lesson, **changes)


def gradients(lesson):
    found = [tensor.grad for tensor in lesson.learner.encoder.named().values() if tensor.grad is not None]
    return torch.cat([grad.flatten() for grad in found])
