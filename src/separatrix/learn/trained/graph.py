"""A trained classifier as one module: token ids and mask in, logits out, whose softmax are its probabilities.

Everything that decides is in it: transformer, pooling, and the head, the class means or the stored training rows. So
it can be exported whole (`models.graph`); its answers are those of `Predictor.answer`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from separatrix.errors import ModelError
from separatrix.geometry.calibrate import OVERTAKE, STEP, ScoreCalibration
from separatrix.geometry.evidence import VoteEvidence
from separatrix.geometry.neighbors import TIE
from separatrix.learn.trained.encoder import AlignModel
from separatrix.learn.trained.index import Vote
from separatrix.learn.trained.probe import ProbeModel
from separatrix.learn.trained.saved import Predictor
from separatrix.models.backbone import Backbone
from separatrix.models.candidates import named_pooling
from separatrix.models.config import layer_count
from separatrix.models.pool import pooled

INPUTS, OUTPUT = ("input_ids", "attention_mask"), "logits"  # as models of transformers call them

_TINY = float(np.finfo(np.float64).tiny)

Pool = Callable[[Sequence[Tensor], Tensor], Tensor]


class ClassifierGraph(nn.Module):
    """Transformer, pooling and head of a trained model."""

    def __init__(self, backbone: Backbone, pool: Pool, head: nn.Module) -> None:
        super().__init__()
        self.transformer, self.head = backbone.model, head
        self.backbone, self.pool = backbone, pool

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits (rows, classes), or numbers (rows, 1) in float64, of token ids and their mask (rows, tokens)."""
        states = self.backbone.run(ids=input_ids, mask=attention_mask)
        return self.head(self.pool(states, attention_mask).float())


class LinearHead(nn.Module):
    """scores = (x - mean) / scale @ weight.T + bias, in float32; of numbers in their own unit in float64."""

    weight: Tensor  # (outputs, width)
    bias: Tensor  # (outputs,)

    def __init__(
        self, weight: np.ndarray, bias: np.ndarray, mean: np.ndarray | float = 0.0, scale: np.ndarray | float = 1.0,
        *, dtype: type[np.floating[Any]] = np.float32,
    ) -> None:  # fmt: skip
        super().__init__()
        factors = np.asarray(weight, np.float64) / scale
        shift = np.broadcast_to(np.asarray(mean, np.float64), factors.shape[1:])
        self.register_buffer("weight", _tensor(factors, dtype))
        self.register_buffer("bias", _tensor(np.asarray(bias, np.float64) - factors @ shift, dtype))

    def forward(self, vectors: Tensor) -> Tensor:
        """Scores of vectors (rows, width)."""
        return nn.functional.linear(vectors.to(self.weight.dtype), self.weight, self.bias)


class MeanHead(nn.Module):
    """Cosines with the mean direction of each class, over a temperature."""

    means: Tensor  # (classes, width)

    def __init__(self, means: np.ndarray, temperature: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("means", _tensor(means / temperature))

    def forward(self, vectors: Tensor) -> Tensor:
        """Scores of vectors (rows, width)."""
        return nn.functional.normalize(vectors, dim=1) @ self.means.T


class NeighborHead(nn.Module):
    """The vote of the nearest training rows, and how sure it is, as `AlignModel.scores` has them."""

    rows: Tensor  # (rows, width) of length 1
    own: Tensor  # (rows, classes): 1 at the class, or the labels, of each

    def __init__(
        self, rows: np.ndarray, labels: np.ndarray, means: np.ndarray, vote: Vote, evidence: VoteEvidence | None
    ) -> None:
        super().__init__()
        self.register_buffer("rows", _tensor(rows))
        marks = torch.from_numpy(labels.copy())
        self.several = marks.ndim == 2  # labels a row
        self.register_buffer("own", (marks if self.several else nn.functional.one_hot(marks, len(means))).double())
        self.means = MeanHead(means)
        self.vote, self.evidence = vote, evidence
        self.most = min(max(vote.k, 0 if evidence is None else evidence.k), len(rows))

    def forward(self, vectors: Tensor) -> Tensor:
        """Scores of vectors (rows, width)."""
        voters, distance = self._nearest(vectors)
        k, classes = self.vote.k, self.own.shape[1]
        if self.several:
            weights = self._weights(distance[:, :k])
            part = (voters[:, :k] * weights[..., None]).sum(dim=1) / weights.sum(dim=1, keepdim=True)
            part = (part * k + 0.5) / (k + 1)  # as `share_scores`
            return torch.log(part) - torch.log(1 - part)
        shares = self._shares(voters[:, :k], self._weights(distance[:, :k]))
        if self.evidence is None:
            return torch.log((k * shares + 1 / classes) / (k + 1))
        sure = self.evidence.votes * self._soft_votes(voters, distance, self.evidence)
        return hold(sure + self.evidence.means * self.means(vectors).double(), shares)

    def soft_votes(self, vectors: Tensor) -> Tensor:
        """Weighted votes (rows, classes) of vectors (rows, width) beside a head."""
        assert self.evidence is not None
        return self.evidence.votes * self._soft_votes(*self._nearest(vectors), self.evidence)

    def _nearest(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Classes of the nearest rows, (rows, most, classes), and how far they are, (rows, most)."""
        near, index = (nn.functional.normalize(vectors, dim=1) @ self.rows.T).topk(self.most, dim=1)
        return self.own[index], 1 - near.double()

    def _weights(self, distance: Tensor) -> Tensor:
        """Weight of each vote (rows, k), as `geometry.neighbors.vote` weighs it."""
        if self.vote.weights == "uniform":
            return torch.ones_like(distance)
        if self.vote.weights == "softmax":
            return torch.exp((distance[:, :1] - distance) / self.vote.temperature)
        same = distance <= 0
        alone = same.any(dim=1, keepdim=True)
        return torch.where(alone, same.double(), 1 / torch.where(same, torch.ones_like(distance), distance))

    @staticmethod
    def _shares(voters: Tensor, weights: Tensor) -> Tensor:
        """Vote shares (rows, classes); on a tie the nearest voter of the tied classes decides by a millionth."""
        totals = (voters * weights[..., None]).sum(dim=1)
        shares = totals / totals.sum(dim=1, keepdim=True)
        level = (shares >= shares.amax(dim=1, keepdim=True) * (1 - TIE)).double()  # (rows, classes)
        first = (voters * level[:, None]).sum(dim=2).argmax(dim=1)  # the nearest voter of a level class
        chosen = voters.gather(1, first[:, None, None].expand(-1, 1, voters.shape[2]))[:, 0]
        tied = (level.sum(dim=1, keepdim=True) > 1).double()
        return shares * (1 - TIE * tied) + TIE * tied * chosen

    @staticmethod
    def _soft_votes(voters: Tensor, distance: Tensor, evidence: VoteEvidence) -> Tensor:
        """Logarithm of the weight of each class's neighbors, (rows, classes), as `VoteEvidence` counts it."""
        k = evidence.k
        weight = (distance[:, :1] - distance[:, :k]) / evidence.temperature
        sums = (voters[:, :k] * weight.exp()[..., None]).sum(dim=1)
        return torch.log(sums + weight[:, -1:].exp() / voters.shape[2])  # the last stands for what lies beyond


class VotedHead(nn.Module):
    """A linear head with the votes of the training rows beside it."""

    def __init__(self, head: LinearHead, voters: NeighborHead) -> None:
        super().__init__()
        self.head, self.voters = head, voters

    def forward(self, vectors: Tensor) -> Tensor:
        """Scores of vectors (rows, width)."""
        return self.head(vectors).double().log_softmax(dim=1) + self.voters.soft_votes(vectors)


class Calibrated(nn.Module):
    """Scores to logits; their softmax, or of several labels a row sigmoid, is what a `ScoreCalibration` gives."""

    def __init__(self, head: nn.Module, calibration: ScoreCalibration) -> None:
        super().__init__()
        self.head, self.calibration = head, calibration

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits (rows, classes) of vectors (rows, width), the largest 0; of several labels each by itself."""
        scores, how = self.head(vectors).double(), self.calibration
        if how.sets:
            return (scores / how.temperature).float()
        if how.method == "vector":
            centred = scores - scores.mean(dim=1, keepdim=True)
            weight, bias = (torch.tensor(part, dtype=torch.float64) for part in (how.weight, how.bias))
            logits = hold(centred / how.temperature * weight + bias, scores)
        else:
            logits = scores / how.temperature
            logits = logits if how.method == "temperature" else self._isotonic(logits)
        return (logits - logits.amax(dim=1, keepdim=True)).float()  # equal answers stay apart in float32

    def _isotonic(self, logits: Tensor) -> Tensor:
        """The likeliest class moved along the curve (straight on beyond its ends), the others in proportion."""
        before, after = (torch.tensor(part, dtype=torch.float64) for part in zip(*self.calibration.knots, strict=True))
        chances = logits.softmax(dim=1)
        first = nn.functional.one_hot(logits.argmax(dim=1), logits.shape[1]).bool()
        rest = chances.masked_fill(first, 0.0)
        odds = (logits.amax(dim=1) - logits.masked_fill(first, -torch.inf).logsumexp(dim=1))[:, None]  # (rows, 1)
        within = torch.minimum(torch.maximum(odds, before[0]), before[-1])
        steps = torch.minimum(torch.relu(within - before[:-1]), before.diff())  # (rows, knots - 1)
        own = torch.sigmoid(
            after[0] + (steps * (after.diff() / before.diff())).sum(dim=1, keepdim=True) + odds - within
        )
        share = rest / rest.sum(dim=1, keepdim=True).clamp(min=_TINY)
        second = share.amax(dim=1, keepdim=True)
        own = torch.maximum(own, second / (1 + second) + OVERTAKE * (1 + torch.sigmoid(odds)))
        return torch.where(first, own, share * (1 - own)).clamp(min=_TINY).log()


def hold(scores: Tensor, answers: Tensor) -> Tensor:
    """Scores (rows, classes) in which the class with the highest of the answers (rows, classes) comes first."""
    top = scores.amax(dim=1, keepdim=True)
    answer = nn.functional.one_hot(answers.argmax(dim=1), scores.shape[1]).bool()
    level = (scores >= top).sum(dim=1, keepdim=True) > 1
    return torch.where(answer & ((scores < top) | level), top + STEP, scores)


def with_graph(model: Predictor) -> ProbeModel | AlignModel:
    """The model itself, a probe or an aligned or fine-tuned encoder, or a `ModelError`: no other has a graph."""
    if not isinstance(model, ProbeModel | AlignModel):
        what = "a prompt is no part of the text that a graph reads" if hasattr(model, "prompt") else "it has no graph"
        raise ModelError(
            f"a {type(model).__name__} cannot be written as ONNX: {what}",
            expected="a run of --method probe, align or finetune",
        )
    return model


def classifier_graph(model: ProbeModel | AlignModel) -> ClassifierGraph:
    """The graph of a probe, or of an aligned or fine-tuned encoder. Its transformer is set to written-out attention."""
    if isinstance(model, ProbeModel):
        plan, probe = named_pooling(model.pool, layer_count(model.backbone.model.config)), model.probe
        dtype = np.float64 if model.classes is None else np.float32
        head: nn.Module = LinearHead(probe.weight, probe.bias, probe.mean, probe.scale, dtype=dtype)
        head = head if model.classes is None else Calibrated(head, model.calibration)
        pool: Pool = lambda states, mask: pooled((plan,), states, mask)[plan.name]  # noqa: E731
    else:
        head, pool = Calibrated(_decider(model), model.calibration), model.encoder.pooled
    model.backbone.model.set_attn_implementation("eager")
    return ClassifierGraph(model.backbone, pool, head)


def _decider(model: AlignModel) -> nn.Module:
    """What decides: the linear head, the class means, the votes of the training rows, or head and votes."""
    if model.decision == "head":
        assert model.head is not None
        return LinearHead(*model.head)
    if model.decision == "mean":
        return MeanHead(model.class_means(), model.recipe.objective.temperature)
    index = model.index
    voters = NeighborHead(index.vectors, index.labels, model.class_means(), model.vote, model.evidence)
    if model.decision == "knn":
        return voters
    assert model.head is not None
    return VotedHead(LinearHead(*model.head), voters)


def _tensor(values: np.ndarray, dtype: type[np.floating[Any]] = np.float32) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=dtype))
