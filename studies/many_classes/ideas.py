"""What was tried beyond fine-tuning, idea by idea: changes to the recipe, the rows, the objective or the rates.

What pays becomes an option of the library; the others stay here, so that their rows of the table can be made again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from separatrix.learn import schedule
from separatrix.learn.callbacks import Callback
from separatrix.learn.job import training_rows
from separatrix.learn.loop import Loop, Training
from separatrix.learn.objectives.alignment import AlignObjective
from separatrix.learn.objectives.base import LossBatch, LossValue, TrainingRows, linear_scores, random_head
from separatrix.learn.objectives.contrast import unit
from separatrix.learn.trainables.encoder import Encoder, EncoderTrainable, start_encoder
from separatrix.models.load import load_backbone
from separatrix.recipe.align import AlignRecipe
from separatrix.texts import Texts

LAST = 3  # epochs whose weights are averaged
LAYER_DECAY = 0.8  # each layer below learns so much slower than the one above it
RDROP = 1.0  # weight of the divergence between two passes
FOCUS = 1.0  # exponent of (1 - probability) by which hard rows count more
COARSE = 0.5  # weight of the second task
FOLLOWS = 0.05  # how far the slow encoder goes towards the trained one with each step


@dataclass(frozen=True)
class Idea:
    """One way to train."""

    what: str
    changes: Mapping[str, Any] = field(default_factory=dict)  # to AlignRecipe
    objective: type[AlignObjective] = AlignObjective
    names: bool = False  # class names are training rows too
    averaged: bool = False
    layer_decay: float = 1.0
    fresh_layers: int = 0  # layers at the top that start anew


def name_rows(train: Texts) -> Texts:
    """One row for each class: its name, written as words."""
    assert train.label is not None
    names = sorted(set(map(str, train.label)))
    words = [name.replace("_", " ").replace(":", " ") for name in names]
    own = np.arange(len(names)) + int(np.max(train.id)) + 1
    return Texts(tuple(words), np.array(names, dtype=train.label.dtype), None, own, train.source)


class MeanStart(AlignObjective):
    """The head starts at the class means of the untrained vectors."""

    def start(self, rows: TrainingRows) -> None:
        """Take the means, less the mean of all, as long as a random head's rows."""
        super().start(rows)
        assert self.weight is not None
        z = unit(rows.outputs(None))
        sums = torch.zeros(self.classes, z.shape[1]).index_add_(0, rows.labels, z)
        means = unit(sums) - unit(sums).mean(dim=0)
        with torch.no_grad():
            self.weight.copy_(unit(means) * self.weight.norm(dim=1).mean())


class Focal(AlignObjective):
    """The head's cross-entropy counts rows by how hard they are, beside the soft k-NN."""

    def loss(self, outputs: Tensor, batch: LossBatch) -> LossValue:
        """Replace the head's share of the loss."""
        value = super().loss(outputs, batch)
        if batch.rows is None:
            return value
        single = functional.cross_entropy(
            linear_scores(outputs, self.weight, self.bias), batch.labels, reduction="none"
        )
        hard = (1 - (-single.detach()).exp()) ** FOCUS
        harder = (hard * single).sum() / hard.sum().clamp(min=1e-6)
        weight = self.recipe.answers.head_weight
        return LossValue(value.total + weight * (harder - single.mean()), value.parts)


class TwoPasses(AlignObjective):
    """R-Drop (Liang et al., 2021): every row twice, with other dropout; the two answers are to agree."""

    def companions(self, rows: np.ndarray) -> np.ndarray:
        """The rows again."""
        return rows

    def loss(self, outputs: Tensor, batch: LossBatch) -> LossValue:
        """Cross-entropy of both passes and the symmetric divergence between them."""
        if batch.rows is None or batch.size is None or len(outputs) == batch.size:
            return super().loss(outputs, batch)
        logits = linear_scores(outputs, self.weight, self.bias)
        one, two = (part.log_softmax(dim=1) for part in (logits[: batch.size], logits[batch.size :]))
        apart = functional.kl_div(one, two, log_target=True, reduction="batchmean")
        apart = (apart + functional.kl_div(two, one, log_target=True, reduction="batchmean")) / 2
        return LossValue.of({"head": functional.cross_entropy(logits, batch.labels), "apart": RDROP * apart})


class TwoPassesFromMeans(TwoPasses, MeanStart):
    """Two passes that agree, by a head that starts at the class means."""


class PriorLoss(AlignObjective):
    """Logit adjustment (Menon et al., 2021): the head is trained with the log of the class shares added."""

    def loss(self, outputs: Tensor, batch: LossBatch) -> LossValue:
        """Cross-entropy of the head's logits and the log shares."""
        if batch.rows is None:
            return super().loss(outputs, batch)
        counts = torch.bincount(self._y, minlength=self.classes).float()
        logits = linear_scores(outputs, self.weight, self.bias) + (counts / counts.sum()).log()
        return LossValue.of({"head": functional.cross_entropy(logits, batch.labels)})


class Smooth(AlignObjective):
    """The head's targets keep a tenth for the other classes."""

    def loss(self, outputs: Tensor, batch: LossBatch) -> LossValue:
        """Smoothed cross-entropy."""
        if batch.rows is None:
            return super().loss(outputs, batch)
        logits = linear_scores(outputs, self.weight, self.bias)
        return LossValue.of({"head": functional.cross_entropy(logits, batch.labels, label_smoothing=0.1)})


@dataclass(eq=False)
class Coarse(AlignObjective):
    """A second head learns what stands before the colon of a class name; classes without one are their own."""

    names: Sequence[str] = ()
    second: dict[str, Tensor] = field(default_factory=dict)

    def start(self, rows: TrainingRows) -> None:
        """A random head for the coarse classes too."""
        super().start(rows)
        assert self.weight is not None
        kinds = [name.split(":")[0] for name in self.names]
        self._kind = torch.tensor([sorted(set(kinds)).index(kind) for kind in kinds])  # (classes,)
        weight, bias = random_head(len(set(kinds)), self.weight.shape[1], self.recipe.loop.seed + 1, self.weight.device)
        self.second = {"second.weight": weight, "second.bias": bias}

    def parameters(self) -> dict[str, dict[str, Tensor]]:
        """Both heads learn at one rate."""
        groups = super().parameters()
        return groups | {"head": groups["head"] | self.second}

    def loss(self, outputs: Tensor, batch: LossBatch) -> LossValue:
        """The loss as it is, and the cross-entropy of the coarse classes."""
        value = super().loss(outputs, batch)
        if batch.rows is None:
            return value
        logits = linear_scores(outputs, *self.second.values())
        term = COARSE * functional.cross_entropy(logits, self._kind[batch.labels])
        return LossValue(value.total + term, value.parts | {"coarse": term.detach()})


@dataclass(eq=False)
class SlowBank(AlignObjective):
    """He et al. (2020): the bank holds vectors of an encoder whose weights follow those of the trained one slowly."""

    trained: EncoderTrainable | None = None
    slow: EncoderTrainable | None = None

    @torch.no_grad()
    def after_step(self, _outputs: Tensor, batch: LossBatch) -> None:
        """Follow, and store what the slow encoder makes of the batch."""
        assert batch.rows is not None
        mine, theirs = (one.encoder.named().values() for one in (self.slow, self.trained) if one is not None)
        torch._foreach_lerp_(list(mine), list(theirs), FOLLOWS)
        super().after_step(self.slow.outputs("train", batch.rows.numpy(), batch.step), batch)


class SlowBankFromMeans(SlowBank, MeanStart):
    """The slow encoder's bank, and a head that starts at the class means."""


HEAD = {"loss": "linear", "decision": "head"}
JOINT = {"loss": "nca", "head_weight": 0.5}
IDEAS = {
    "finetune": Idea("a linear head, cross-entropy", HEAD),
    "nca": Idea("soft k-NN over a bank of all rows (`align` as it was)"),
    "joint": Idea("soft k-NN and half a head; head, votes, or both by a weight from validation decide", JOINT),
    "joint_focal": Idea("the same, hard rows count more in the head", JOINT, objective=Focal),
    "supcon_head": Idea("supervised contrast over the bank, and a head", {"loss": "supcon", "head_weight": 1.0}),
    "centroid_head": Idea("cosines to class means, and half a head", {"loss": "centroid_ce", "head_weight": 0.5}),
    "names": Idea("class names are training rows", HEAD, names=True),
    "joint_names": Idea("soft k-NN and half a head, class names are training rows", JOINT, names=True),
    "mean_start": Idea("the head starts at the class means", HEAD, objective=MeanStart),
    "averaged": Idea("mean of the last three epochs' weights", HEAD, averaged=True),
    "joint_averaged": Idea("soft k-NN and half a head, mean of the last three epochs' weights", JOINT, averaged=True),
    "layer_decay": Idea("lower layers learn slower", HEAD, layer_decay=LAYER_DECAY),
    "fresh_top": Idea("the last layer starts anew, eight epochs for five", HEAD | {"epochs": 8}, fresh_layers=1),
    "longer": Idea("eight epochs for five", HEAD | {"epochs": 8}),
    "joint_longer": Idea("soft k-NN and half a head, eight epochs for five", JOINT | {"epochs": 8}),
    "rdrop": Idea("two passes with dropout that are to agree", HEAD | {"dropout": 0.1}, objective=TwoPasses),
    "dropout": Idea("dropout alone, as the two passes have it", HEAD | {"dropout": 0.1}),
    "perturbed": Idea("each batch again with its tokens moved up the loss", HEAD | {"perturbation": 0.12}),
    "joint_perturbed": Idea("soft k-NN and half a head, moved up the loss", JOINT | {"perturbation": 0.12}),
    "coarse": Idea("a second head learns the coarse classes", HEAD, objective=Coarse),
    "slow_bank": Idea("soft k-NN and half a head, the bank by an encoder that follows slowly", JOINT, SlowBank),
    "joint_mean": Idea("soft k-NN and half a head that starts at the class means", JOINT, objective=MeanStart),
    "mean_dropout": Idea("the head starts at the class means; dropout", HEAD | {"dropout": 0.1}, objective=MeanStart),
    "mean_rdrop": Idea(
        "the head starts at the class means; two passes that agree",
        HEAD | {"dropout": 0.1},
        objective=TwoPassesFromMeans,
    ),
    "mean_slow_bank": Idea(
        "soft k-NN and half a head that starts at the class means; dropout, slow bank",
        JOINT | {"dropout": 0.1},
        SlowBankFromMeans,
    ),
    "prior_loss": Idea("the head is trained with the class shares taken out", HEAD, objective=PriorLoss),
    "smooth": Idea("the head's targets are smoothed by a tenth", HEAD, objective=Smooth),
}  # fmt: skip


@dataclass
class LastEpochs(Callback):
    """Sums of the trained tensors after each of the last epochs."""

    epochs: int
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    sums: dict[str, Tensor] = field(default_factory=dict)

    def on_metrics(self, line: Mapping[str, Any]) -> None:
        """Add what stands after an epoch."""
        if line["epoch"] > self.epochs - LAST:
            for name, tensor in self.tensors.items():
                self.sums[name] = self.sums.get(name, 0.0) + tensor.detach() / min(LAST, self.epochs)


@dataclass(frozen=True, eq=False)
class TrainedParts:
    """Vectors of each part and the head after the last epoch."""

    vectors: dict[str, np.ndarray]
    head: tuple[np.ndarray, np.ndarray] | None
    losses: list[float]


class SlowerBelow(EncoderTrainable):
    """The encoder's tensors in a learning-rate group for each layer."""

    def groups(self) -> dict[str, dict[str, Tensor]]:
        """Embeddings, then layer by layer."""
        groups: dict[str, dict[str, Tensor]] = {}
        for name, tensor in self.encoder.named().items():
            depth = name.split(".layer.")[1].split(".")[0] if ".layer." in name else "embeddings"
            groups.setdefault(f"encoder {depth}", {})[name] = tensor
        return groups


def fit(
    idea: Idea, recipe: AlignRecipe, parts: Mapping[str, Texts], labels: np.ndarray, names: Sequence[str]
) -> TrainedParts:
    """Train on `train` to the last epoch and encode all parts; validation chooses no epoch."""
    return encode(*train(idea, recipe, parts, labels, names))


def train(
    idea: Idea, recipe: AlignRecipe, parts: Mapping[str, Texts], labels: np.ndarray, names: Sequence[str]
) -> tuple[EncoderTrainable, dict[str, torch.Tensor], list[float]]:
    """What is trained, with the tokens of all parts; its tensors after the last epoch; the losses of the epochs."""
    classes = len(names)
    backbone = load_backbone(recipe.backbone)
    tokens = {part: backbone.tokenize(texts.text) for part, texts in parts.items()}
    encoder = start_encoder(backbone, recipe.encoder)
    _start_anew(encoder, idea.fresh_layers, recipe.loop.seed)
    kind = SlowerBelow if idea.layer_decay < 1 else EncoderTrainable
    trainable = kind(encoder, tokens, recipe.loop.seed)
    y = torch.from_numpy(labels)
    objective = idea.objective(recipe, classes)
    if isinstance(objective, Coarse):
        objective.names = names
    if isinstance(objective, SlowBank):
        again = start_encoder(load_backbone(recipe.backbone), recipe.encoder)
        objective.trained, objective.slow = trainable, EncoderTrainable(again, tokens, recipe.loop.seed)
    loop = recipe.loop

    def order(epoch: int) -> list[np.ndarray]:
        if recipe.pairing.sampler == "balanced":
            return schedule.balanced(labels, loop.batch_size, recipe.pairing.class_rows, loop.seed, epoch)
        return schedule.batches(trainable.lengths("train"), loop.batch_size, loop.seed, epoch)

    objective.start(training_rows(trainable, y, np.arange(len(y)), loop.epochs * len(order(0))))
    average = LastEpochs(loop.epochs)
    training = Training(trainable, objective, {"train": y}, loop, order, classes)
    running = Loop(training, [average] if idea.averaged else [])
    average.tensors = running.state.tensors
    for group in running.state.optimizer.param_groups[: len(trainable.groups())] if idea.layer_decay < 1 else ():
        group["top"] *= idea.layer_decay ** _below(group, trainable)
    result = running.run()
    best = average.sums or result.tensors
    return trainable, best, [line["loss"] for line in result.metrics]


def encode(trainable: EncoderTrainable, tensors: Mapping[str, torch.Tensor], losses: list[float]) -> TrainedParts:
    """The vectors of all parts by the trained tensors."""
    encoder = trainable.encoder.finished(tensors)
    head = (tensors["weight"].numpy(), tensors["bias"].numpy()) if "weight" in tensors else None
    vectors = {part: encoder.encode(rows) for part, rows in trainable.tokens.items()}
    return TrainedParts(vectors, head, losses)


def _below(group: Mapping[str, Any], trainable: EncoderTrainable) -> int:
    """How many layers stand above those of a learning-rate group."""
    names = list(trainable.groups())
    layers = [name for name in names if not name.endswith("embeddings")]
    mine = next(
        name for name, held in trainable.groups().items() if any(group["params"][0] is one for one in held.values())
    )
    return len(layers) if mine not in layers else len(layers) - 1 - layers.index(mine)


def _start_anew(encoder: Encoder, count: int, seed: int) -> None:
    if not count:
        return
    body: Any = encoder.backbone.body
    generator = torch.Generator().manual_seed(seed)
    for layer in body.encoder.layer[-count:]:
        for name, tensor in layer.named_parameters():
            with torch.no_grad():
                if tensor.ndim == 2:
                    tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.02)
                else:
                    tensor.fill_(1.0 if "LayerNorm.weight" in name else 0.0)


def recipe_of(idea: Idea, shared: Mapping[str, Any], seed: int) -> AlignRecipe:
    """The whole recipe of an idea; epochs of its own are counted beside the five that all others have."""
    from separatrix import recipe as recipes

    changes = dict(shared) | dict(idea.changes)
    if "epochs" in idea.changes:
        changes["epochs"] = round(shared["epochs"] * idea.changes["epochs"] / 5)
    return replace(recipes.replace(AlignRecipe(), **changes, seed=seed))
