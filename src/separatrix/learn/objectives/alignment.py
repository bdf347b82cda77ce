"""The objective of a trained encoder: rows of one class stand together, measured by the cosine that also predicts.

Every row of a batch is compared with others (of the batch, of a memory, of a bank of all training rows) by a pair loss
of their cosines; the cross-entropy of a linear head and a term against what the vectors tell of groups are added where
they are wanted. Stored vectors, head and group head are its own tensors. With a head alone it is plain fine-tuning.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from separatrix.errors import DataError
from separatrix.geometry.scatter import collapse
from separatrix.learn.objectives import pairs
from separatrix.learn.objectives.bank import Bank, ClassMemory, class_cosines, neighbor_scores
from separatrix.learn.objectives.base import (
    LossBatch,
    LossValue,
    Objective,
    TrainingRows,
    cross_entropy,
    linear_scores,
    mean_head,
    random_head,
)
from separatrix.learn.objectives.contrast import ALIGNED, unit
from separatrix.learn.objectives.groups import NUISANCES, Adversary, ramp, ridge
from separatrix.learn.objectives.pairs import RowVectors
from separatrix.learn.trajectory import subsample
from separatrix.recipe.align import ALIGN_LOSSES, AlignRecipe

EPOCH_ROWS = 1000  # validation rows whose shape is measured
CONTRASTS = ("nca", "supcon")  # losses to which a row without a partner of its own class says nothing
ALONE = "steps_without_positives"  # share of the steps of an epoch, in its metrics


@dataclass(eq=False)
class AlignObjective(Objective):
    """A loss over pairs of rows, a head, group invariance; stored rows or the head predict."""

    recipe: AlignRecipe
    classes: int
    group: Tensor | None = None  # (train rows,) group numbers
    bank: Bank | None = None
    memory: ClassMemory | None = None
    adversary: Adversary | None = None
    weight: Tensor | None = None  # (classes, width) of the head
    bias: Tensor | None = None
    _weight: Tensor | None = field(default=None, init=False)  # (train rows,) of rows in the loss

    @property
    def live(self) -> bool:  # type: ignore[override]
        """Stored rows decide: what a training row would say of itself is not recorded."""
        return self._voters is None

    def start(self, rows: TrainingRows) -> None:
        """Empty memories, the head at its start; the bank is filled where the loss reads it from the first step."""
        recipe, self._y, self._steps, self._weight = self.recipe, rows.labels, rows.steps, rows.weight
        z = rows.outputs(rows.start[:1])
        device, width, count = z.device, z.shape[1], len(rows.labels)
        loss, scheme = recipe.objective.loss, recipe.pairing.pairs
        reads_bank = loss == "centroid_ce" or (loss in ALIGNED and scheme == "bank")
        reads_bank = reads_bank or recipe.grouping.invariance == "ridge"
        if reads_bank or not recipe.head_decides:
            self.bank = Bank.empty(count, width, device)
        begun = rows.outputs(None) if reads_bank or recipe.head_at_means else None
        if reads_bank and self.bank is not None and begun is not None:
            self.bank.write(torch.arange(count, device=device), begun, 0)
        if loss in ALIGNED and scheme in ("memory", "mixed", "datapoint"):
            self.memory = ClassMemory.empty(self.classes, width, device)
        if recipe.grouping.invariance == "reversal" and self.group is not None:
            self.adversary = Adversary.start(int(self.group.max()) + 1, width, device)
        if recipe.has_head:
            self.weight, self.bias = random_head(self.classes, width, recipe.loop.seed, device)
            if recipe.head_at_means and begun is not None:
                self.weight = mean_head(begun, self._y, self.weight, self._weight)

    @property
    def takes_weights(self) -> bool:
        """Where its terms count rows by weight: those against groups take every row alike, a user's loss might."""
        return self.recipe.grouping.invariance == "none" and self.recipe.objective.loss in ALIGN_LOSSES.built_in

    def parameters(self) -> dict[str, dict[str, Tensor]]:
        """The group head and the linear head."""
        groups: dict[str, dict[str, Tensor]] = {}
        if self.adversary is not None:
            groups["adversary"] = self.adversary.named
        if self.weight is not None and self.bias is not None:
            groups["head"] = {"weight": self.weight, "bias": self.bias}
        return groups

    def buffers(self) -> dict[str, Tensor]:
        """Bank and memory."""
        stores = (self.bank, self.memory)
        return {name: tensor for store in stores if store is not None for name, tensor in store.named.items()}

    def companions(self, rows: np.ndarray) -> np.ndarray:
        """Stored rows outside the batch that `--pairs datapoint` runs again."""
        if self.memory is None or self.recipe.pairing.pairs != "datapoint":
            return np.empty(0, dtype=np.int64)
        stored = self.memory.rows.cpu().numpy()
        return np.setdiff1d(stored[stored >= 0], rows)

    def loss(self, outputs: Tensor, batch: LossBatch) -> LossValue:
        """Pair loss, head and group term of a training batch; of other rows the cross-entropy of what decides."""
        if batch.rows is None:
            return LossValue.of({"decision": functional.cross_entropy(self.scores(outputs), batch.labels)})
        ran = self._row_vectors(batch.rows, outputs)
        size = len(outputs) if batch.size is None else batch.size
        group, weight = (None if each is None else each[:size] for each in (ran.group, ran.weight))
        own = RowVectors(ran.vectors[:size], ran.y[:size], ran.rows[:size], group, weight)
        options, parts = self.recipe.objective, dict[str, Tensor]()
        terms: list[Tensor] = []
        if options.loss != "linear":
            value = self._pair_loss(own, ran, batch.step)
            terms, parts = [value.total], dict(value.parts)
        if self.bank is not None:
            parts["staleness"] = self.bank.staleness(own.rows, outputs[:size])
        if self.recipe.has_head:
            head = cross_entropy(linear_scores(outputs[:size], self.weight, self.bias), own.y, own.weight).total
            terms.append(head if options.loss == "linear" else self.recipe.answers.head_weight * head)
            parts["head"] = head.detach()
        if (nuisance := self._group_term(own, batch.step)) is not None:
            terms.append(self.recipe.grouping.group_weight * nuisance)
            parts["group"] = nuisance.detach()
        return LossValue(torch.stack(terms).sum(), parts)

    def scores(self, outputs: Tensor, rows: np.ndarray | None = None) -> Tensor:
        """Scores of what decides: the head, the nearest stored rows, or the class means of these; (rows, classes).

        A training row is left out of its own decision, for the bank holds it: it would be its own nearest neighbor.
        """
        bank = self._voters
        if bank is None:
            return linear_scores(outputs, self.weight, self.bias)
        stored, temperature = bank.stored_rows(self._y, None, self._weight), self.recipe.objective.temperature
        own = None if rows is None else torch.from_numpy(rows).to(outputs.device)
        if self.recipe.answers.decision == "knn":
            return neighbor_scores(outputs, stored, self.classes, temperature, own)
        labels = torch.zeros(len(outputs), dtype=torch.int64, device=outputs.device) if own is None else self._y[own]
        return class_cosines(outputs, labels, own, stored, self.classes) / temperature

    @torch.no_grad()
    def after_step(self, outputs: Tensor, batch: LossBatch) -> None:
        """Remember the vectors of the batch."""
        assert batch.rows is not None
        if self.bank is not None:
            self.bank.write(batch.rows, outputs, batch.step)
        if self.memory is not None:
            self.memory.write(self._row_vectors(batch.rows, outputs))

    def figures(self, outputs: Tensor, labels: Tensor, scores: Tensor) -> dict[str, float]:
        """The shape of the validation vectors; of a sample, since a file is often sorted by class."""
        rows = torch.from_numpy(subsample(len(outputs), EPOCH_ROWS, self.recipe.loop.seed)).to(outputs.device)
        return shape_figures(unit(outputs[rows]), labels[rows], scores[rows])

    @property
    def _voters(self) -> Bank | None:
        """The stored rows, where they decide within training."""
        return None if self.recipe.head_decides else self.bank

    def _pair_loss(self, batch: RowVectors, ran: RowVectors, step: int) -> LossValue:
        options = self.recipe.objective
        if options.loss == "centroid_ce":
            assert self.bank is not None
            stored = self.bank.stored_rows(self._y, None, self._weight)
            near = class_cosines(batch.vectors, batch.y, batch.rows, stored, self.classes) / options.temperature
            return LossValue.of({"centroid_ce": cross_entropy(near, batch.y, batch.weight).total})
        compared = pairs.SCHEMES[self.recipe.pairing.pairs](batch, self._stored(ran))
        if self.recipe.grouping.invariance == "pairs":
            compared = pairs.across_groups(compared, batch)
        if self.recipe.pairing.pairs_per_row == "one":
            generator = torch.Generator().manual_seed(self.recipe.loop.seed * 1_000_003 + step)
            drawn = pairs.draw_one(compared.pairs, generator, compared.others.weight)
            compared = pairs.PairBatch(replace(compared.others, weight=None), drawn)  # it was the chance
        contrast = options.loss in CONTRASTS
        # Later steps may have what the first one lacks, and a head learns of every row: there it is counted instead.
        pairs.check_pairs(compared.pairs, step, positives=contrast and step == 0 and not self.recipe.has_head)
        others = compared.others
        weighed = replace(compared.pairs, row_weight=batch.weight, other_weight=others.weight)
        value = ALIGNED[options.loss](batch.vectors @ others.vectors.T, weighed, options.temperature)
        alone = {ALONE: (~compared.pairs.positive.any()).float()} if contrast else {}
        return LossValue(value.total, value.parts | alone)

    def _stored(self, ran: RowVectors) -> RowVectors:
        """What the scheme remembers: nothing, the bank, the class memory, or its rows as they are now."""
        if self.memory is None:
            return ran if self.bank is None else self.bank.stored_rows(self._y, self.group, self._weight)
        stored = self.memory.stored_rows(self.group, self._weight)
        if self.recipe.pairing.pairs != "datapoint":
            return stored
        here = (ran.rows[None, :] == stored.rows[:, None]).long().argmax(dim=1)  # (stored,) places in what was run
        return replace(stored, vectors=ran.vectors[here])

    def _row_vectors(self, rows: Tensor, z: Tensor) -> RowVectors:
        group, weight = (None if each is None else each[rows] for each in (self.group, self._weight))
        return RowVectors(unit(z), self._y[rows], rows, group, weight)

    def _group_term(self, batch: RowVectors, step: int) -> Tensor | None:
        invariance = self.recipe.grouping.invariance
        if invariance in NUISANCES:
            return NUISANCES[invariance](batch)
        if invariance == "ridge" and self.bank is not None:
            return ridge(batch, self.bank.stored_rows(self._y, self.group))
        if self.adversary is not None:
            return self.adversary.loss(batch, ramp(step, self._steps))
        return None


def shape_figures(vectors: Tensor, y: Tensor, scores: Tensor) -> dict[str, float]:
    """Alignment, uniformity, and NC1, NC2 and NC4 (of `scores`) where two classes have rows and means of their own.

    >>> sorted(shape_figures(torch.eye(2), torch.tensor([0, 1]), torch.eye(2)))
    ['alignment', 'nc1', 'nc2_angle', 'nc2_norm', 'nc4', 'uniformity']
    """
    figures = {"alignment": alignment(vectors, y), "uniformity": uniformity(vectors)}
    with suppress(DataError):  # one class among the rows, or one point for all
        predicted = scores.argmax(1).cpu().numpy()
        shape = collapse(vectors.cpu().numpy(), y.cpu().numpy(), scores.shape[1], predicted=predicted)
        figures |= {name: value for name, value in shape.to_dict().items() if value is not None}
    return figures


def alignment(vectors: Tensor, y: Tensor) -> float:
    """Mean squared distance of pairs of one class, 0 to 4; 0 when each class is a point. No such pair gives 0.

    >>> alignment(torch.eye(2), torch.tensor([0, 0]))
    2.0
    """
    same = (y[:, None] == y[None, :]).triu(1)
    squared = (2 - 2 * vectors @ vectors.T).clamp(min=0)
    return float((squared * same).sum() / same.sum().clamp(min=1))


def uniformity(vectors: Tensor) -> float:
    """Log of the mean of exp(-2 d^2) over all pairs, 0 when all rows are one point; lower is more even, about -4 best.

    >>> round(uniformity(torch.eye(2)), 4)
    -4.0
    """
    if len(vectors) < 2:
        return 0.0
    squared = (2 - 2 * vectors @ vectors.T).clamp(min=0)
    upper = torch.ones_like(squared, dtype=torch.bool).triu(1)
    return float(squared[upper].mul(-2).exp().mean().log())
