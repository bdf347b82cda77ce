"""A trained classifier as one module: token ids and mask in, logits out, whose softmax are its probabilities.

Everything that decides is in it: transformer, pooling, and the head, the class means or the stored training rows. So
it can be exported whole (`models.graph`); its answers are those of `Predictor.answer`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from separatrix.errors import ModelError
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

Pool = Callable[[Sequence[Tensor], Tensor], Tensor]


class ClassifierGraph(nn.Module):
    """Transformer, pooling and head of a trained model."""

    def __init__(self, backbone: Backbone, pool: Pool, head: nn.Module) -> None:
        super().__init__()
        self.transformer, self.head = backbone.model, head
        self.backbone, self.pool = backbone, pool

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits (rows, classes), of a regression numbers (rows, 1), of token ids and their mask (rows, tokens)."""
        states = self.backbone.run(ids=input_ids, mask=attention_mask)
        return self.head(self.pool(states, attention_mask).float())


class LinearHead(nn.Module):
    """logits = ((x - mean) / scale @ weight.T + bias) / temperature."""

    weight: Tensor  # (classes, width)
    bias: Tensor  # (classes,)

    def __init__(
        self, weight: np.ndarray, bias: np.ndarray, temperature: float, mean: np.ndarray | float = 0.0,
        scale: np.ndarray | float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__()
        factors = np.asarray(weight, np.float64) / scale / temperature  # (outputs, width)
        shift = (
            np.asarray(bias, np.float64) - (np.asarray(weight, np.float64) / scale) @ _row(mean, weight)
        ) / temperature
        self.register_buffer("weight", _tensor(factors))
        self.register_buffer("bias", _tensor(shift))

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits of vectors (rows, width)."""
        return nn.functional.linear(vectors, self.weight, self.bias)


class MeanHead(nn.Module):
    """Cosines with the mean direction of each class, over a temperature."""

    means: Tensor  # (classes, width)

    def __init__(self, means: np.ndarray, temperature: float) -> None:
        super().__init__()
        self.register_buffer("means", _tensor(means / temperature))

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits of vectors (rows, width)."""
        return nn.functional.normalize(vectors, dim=1) @ self.means.T


class NeighborHead(nn.Module):
    """The vote of the nearest training rows, as `AlignModel.scores` counts it."""

    rows: Tensor  # (rows, width) of length 1
    own: Tensor  # (rows, classes): 1 at the class of each

    def __init__(self, rows: np.ndarray, labels: np.ndarray, classes: int, vote: Vote, temperature: float) -> None:
        super().__init__()
        self.register_buffer("rows", _tensor(rows))
        self.register_buffer("own", nn.functional.one_hot(torch.from_numpy(labels.copy()), classes).float())
        self.vote, self.temperature = vote, temperature

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits of vectors (rows, width)."""
        near, index = (nn.functional.normalize(vectors, dim=1) @ self.rows.T).topk(self.vote.k, dim=1)
        voters = self.own[index]  # (rows, k, classes)
        shares = self._shares(voters, self._weights(1 - near))
        k, classes = self.vote.k, self.own.shape[1]
        return torch.log((k * shares + 1 / classes) / (k + 1)) / self.temperature

    def _weights(self, distance: Tensor) -> Tensor:
        """Weight of each vote (rows, k), as `geometry.neighbors.vote` weighs it."""
        if self.vote.weights == "uniform":
            return torch.ones_like(distance)
        if self.vote.weights == "softmax":
            return torch.exp((distance[:, :1] - distance) / self.vote.temperature)
        same = distance <= 0
        alone = same.any(dim=1, keepdim=True)
        return torch.where(alone, same.float(), 1 / torch.where(same, torch.ones_like(distance), distance))

    @staticmethod
    def _shares(voters: Tensor, weights: Tensor) -> Tensor:
        """Vote shares (rows, classes); on a tie the nearest voter of the tied classes decides by a millionth."""
        totals = (voters * weights[..., None]).sum(dim=1)
        shares = totals / totals.sum(dim=1, keepdim=True)
        level = (shares >= shares.amax(dim=1, keepdim=True) * (1 - TIE)).float()  # (rows, classes)
        first = (voters * level[:, None]).sum(dim=2).argmax(dim=1)  # the nearest voter of a level class
        chosen = voters.gather(1, first[:, None, None].expand(-1, 1, voters.shape[2]))[:, 0]
        tied = (level.sum(dim=1, keepdim=True) > 1).float()
        return shares * (1 - TIE * tied) + TIE * tied * chosen


def classifier_graph(model: Predictor) -> ClassifierGraph:
    """The graph of a probe, or of an aligned or fine-tuned encoder. Its transformer is set to written-out attention.

    Raises:
        ModelError: another kind of model.
    """
    if isinstance(model, ProbeModel):
        plan, probe = named_pooling(model.pool, layer_count(model.backbone.model.config)), model.probe
        head: nn.Module = LinearHead(probe.weight, probe.bias, model.temperature, probe.mean, probe.scale)
        pool: Pool = lambda states, mask: pooled((plan,), states, mask)[plan.name]  # noqa: E731
    elif isinstance(model, AlignModel):
        head, pool = _decider(model), model.encoder.pooled
    else:
        what = "a prompt is no part of the text that a graph reads" if hasattr(model, "prompt") else "it has no graph"
        raise ModelError(
            f"a {type(model).__name__} cannot be written as ONNX: {what}",
            expected="a run of --method probe, align or finetune",
        )
    model.backbone.model.set_attn_implementation("eager")
    return ClassifierGraph(model.backbone, pool, head)


def _decider(model: AlignModel) -> nn.Module:
    """What decides: the linear head, the class means, or the votes of the training rows."""
    if model.decision == "head":
        assert model.head is not None
        return LinearHead(*model.head, model.temperature)
    if model.decision == "mean":
        return MeanHead(model.class_means(), model.recipe.objective.temperature * model.temperature)
    index = model.index
    return NeighborHead(index.vectors, index.labels, len(model.classes), model.vote, model.temperature)


def _row(value: np.ndarray | float, weight: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.asarray(value, np.float64), (weight.shape[1],))


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
