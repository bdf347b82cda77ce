"""A trained encoder in use: vectors, labels, probabilities and neighbors of new texts; and its files.

The folder holds

    encoder/                         weights, config and tokenizer, as transformers and sentence-transformers read them
    index/                           points: vectors, ids and labels of the training rows; no texts
    model.safetensors, model.json    head and shares of the layers where there are any; recipe, classes, vote
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import log_softmax
from torch import Tensor

from separatrix import recipe as recipes
from separatrix.errors import DataError, ModelError
from separatrix.geometry.calibrate import ScoreCalibration, fit_calibration
from separatrix.geometry.evidence import NEIGHBORS, VoteEvidence, beside, fit_beside, fit_evidence
from separatrix.geometry.label_sets import share_scores
from separatrix.geometry.neighbors import WEIGHTS, Neighbors, unit_rows
from separatrix.learn.loop import Score
from separatrix.learn.targets import Targets
from separatrix.learn.trainables.encoder import Encoder, start_encoder
from separatrix.learn.trained import card
from separatrix.learn.trained.index import KS, Index, Vote, choose_vote, shares, smooth
from separatrix.learn.trained.saved import (
    CLASSES,
    NOTES,
    Predictions,
    PrintedModel,
    SavedModel,
    not_negative,
    on_strings,
    positive,
)
from separatrix.models.backbone import Backbone
from separatrix.models.load import load_backbone
from separatrix.progress import Progress, rows_done
from separatrix.recipe.align import AlignRecipe, DecisionRecipe
from separatrix.store.files import TensorShape, hash_file
from separatrix.store.points import open_points, write_points
from separatrix.texts import Classes, Texts
from separatrix.texts.label_sets import indicator, set_column

ENCODER, INDEX = "encoder", "index"
SCHEMA = {
    "recipe": dict,
    "classes": CLASSES,
    "vote": {"k": positive, "weights": lambda name: name in WEIGHTS, "temperature": positive},
    "encoder": {"weights": str},
    "evidence?": {"k": positive, "temperature": positive, "votes": not_negative, "means": not_negative},
}
SHOWN = 5  # neighbors named beside an answer


@dataclass(frozen=True, eq=False, repr=False)
class AlignModel(PrintedModel):
    """A trained encoder with an index of its training rows. Made by `train_encoder` or `load_model`."""

    encoder: Encoder
    recipe: AlignRecipe
    classes: Classes
    index: Index
    vote: Vote
    base: dict[str, Any]  # identity of the model that training began with
    calibration: ScoreCalibration = field(default_factory=ScoreCalibration)
    evidence: VoteEvidence | None = None  # how sure votes are, or their weight beside the head; None: their counts
    head: tuple[np.ndarray, np.ndarray] | None = None  # (classes, width) and (classes,)
    note: str = ""  # what predicts
    pairs: bool = False

    @property
    def backbone(self) -> Backbone:
        """The transformer."""
        return self.encoder.backbone

    @property
    def decision(self) -> str:
        """What predicts: "knn", "mean", "head" or "both"."""
        return self.recipe.answers.decision

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> np.ndarray:
        """Vectors of texts, (rows, width) float32."""
        return self.encoder.encode(self.backbone.tokenize(texts), progress)

    @on_strings
    def answer(self, texts: Sequence[str], progress: Progress | None = None) -> Predictions:
        """Labels, probabilities, distances to the class means and nearest training rows of texts."""
        tokens = self.backbone.tokenize(texts)
        vectors = self.encoder.encode(tokens, rows_done(progress, len(texts)))
        neighbors = self.neighbors(vectors) if len(vectors) else None
        scores = self.scores(vectors, neighbors)
        near = None if neighbors is None else self.index.ids[neighbors.index[:, :SHOWN]]
        chance = self.probabilities(scores)
        labels = self.decided(scores)
        far = 1 - self.class_cosines(vectors)
        return Predictions(labels, scores, chance, far, vectors, tokens.cut, near, tokens.unread)

    def neighbors(self, vectors: np.ndarray, k: int | None = None) -> Neighbors:
        """The k training rows nearest to vectors (rows, width), by 1 - cosine; as many as vote without k."""
        most = max(self.vote.k, SHOWN, 0 if self.evidence is None else self.evidence.k)
        return self.index.nearest(vectors, min(most, len(self.index)) if k is None else k)

    def scores(self, vectors: np.ndarray, neighbors: Neighbors | None = None) -> np.ndarray:
        """Scores of vectors (rows, width), one column a class; their argmax decides."""
        if not len(vectors):
            return np.empty((0, len(self.classes)))
        if self.decision == "head":
            return self.head_scores(vectors)
        if self.decision == "mean":
            return self.class_cosines(vectors) / self.recipe.objective.temperature
        neighbors = self.neighbors(vectors) if neighbors is None else neighbors
        if self.decision == "both":
            assert self.evidence is not None
            return beside(log_softmax(self.head_scores(vectors), axis=1), neighbors, self.index.labels, self.evidence)
        votes = shares(neighbors, self.index.labels, len(self.classes), self.vote)
        if self.index.labels.ndim == 2:
            return share_scores(votes, self.vote.k)
        if self.evidence is None:
            return smooth(votes, self.vote.k)
        return self.evidence.scores(neighbors, self.index.labels, self.class_cosines(vectors), votes.argmax(axis=1))

    def head_scores(self, vectors: np.ndarray) -> np.ndarray:
        """What the linear head says of vectors (rows, width), (rows, classes)."""
        assert self.head is not None
        return vectors @ self.head[0].T + self.head[1]

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Calibrated probabilities of scores, (rows, classes)."""
        return self.calibration.probabilities(scores)

    def class_cosines(self, vectors: np.ndarray) -> np.ndarray:
        """Cosine of vectors (rows, width) with the mean direction of each class, (rows, classes)."""
        return unit_rows(vectors) @ self.class_means().T

    def class_means(self) -> np.ndarray:
        """The mean direction of each class's training rows, (classes, width) of length 1."""
        sums = np.zeros((len(self.classes), self.index.vectors.shape[1]))
        vectors, weight = self.index.vectors.astype(np.float64), self.index.weight
        if self.index.labels.ndim == 2:
            return unit_rows(self.index.labels.T @ vectors)
        np.add.at(sums, self.index.labels, vectors if weight is None else vectors * weight[:, None])
        return unit_rows(sums)

    def add(self, texts: Sequence[str], labels: Sequence[Any], ids: Sequence[Any] | None = None) -> AlignModel:
        """The same encoder with more labelled rows in its index; nothing is trained.

        Raises:
            DataError: a label that is no class of the model, an id that the index has already, or a head that decides
                (it does not read the index).
        """
        unheard = self.decision == "both" and self.evidence is not None and not self.evidence.votes
        if self.decision == "head" or unheard:
            raise DataError("the head decides, so new rows would change nothing", hint="train with --decision knn")
        if self.calibration.sets:
            numbers = indicator(set_column(list(labels), "new rows"), self.classes.names, source="new rows")
        else:
            numbers = self.classes.encode(np.asarray(labels, dtype=object), source="new rows")
        own = np.arange(len(texts)) + int(self.index.ids.max(initial=-1)) + 1 if ids is None else np.asarray(ids)
        return replace(self, index=self.index.add(self.encode(texts), numbers, own))

    def write_files(self, folder: Path) -> None:
        """Write the folder, file by file, each whole; model.json last."""
        card.write_encoder(folder / ENCODER, self.encoder, self.recipe, self.base, self.classes.names, len(self.index))
        write_points(folder / INDEX, self.index.points(self.classes), dtype="float32", overwrite=True)
        tensors = {} if self.head is None else dict(zip(("weight", "bias"), self.head, strict=True))
        if self.encoder.mix is not None:
            tensors["mix"] = self.encoder.mix.detach().cpu().numpy()
        notes = self.base_notes(
            "align", base_model=self.base,
            recipe=recipes.record(self.recipe), vote=asdict(self.vote),
            **({} if self.evidence is None else {"evidence": asdict(self.evidence)}),
            encoder={"weights": hash_file(*sorted((folder / ENCODER).glob("*.safetensors")))},
        )  # fmt: skip
        self.write(folder, notes, tensors)


def check_index(answers: DecisionRecipe, rows: int) -> None:
    """Say before a training, not after it, what an index of so many rows will lack.

    Raises:
        DataError: more neighbors are to vote than there are rows.
        MissingExtra: an approximate index without faiss.
    """
    if answers.k is not None and answers.k > rows:
        raise DataError("--k is larger than the index", got=answers.k, expected=f"at most {rows}, its rows")
    if answers.approximate:
        one = np.ones((1, 1))
        Index.of(one, np.zeros(1), np.zeros(1), approximate=True).nearest(one, 1)  # this asks for faiss


def finish_model(
    encoder: Encoder,
    recipe: AlignRecipe,
    targets: Targets,
    vectors: dict[str, np.ndarray],
    rows: Texts,
    head: tuple[Tensor, Tensor] | None,
    score: Score,
) -> AlignModel:
    """The model of a finished training; vote, evidence and calibration are chosen on validation.

    Args:
        encoder: with its best weights.
        recipe: of the training.
        targets: of "train" and "validation".
        vectors: of "train" and "validation", (rows, width) each.
        rows: the training rows, for their ids and weights.
        head: weight and bias of the linear head, where one was trained.
        score: figures of validation rows; the one that chose the epoch chooses the vote.
    """
    assert targets.classes is not None
    answers, gold = recipe.answers, targets.values["validation"]
    index = Index.of(
        vectors["train"], targets.values["train"], rows.id, approximate=answers.approximate, weight=rows.weight
    )
    ks = [answers.k] if answers.k is not None else [k for k in KS if k <= len(index)]
    ways, temperature = [answers.vote] if answers.vote else list(WEIGHTS), recipe.objective.temperature
    votes = [Vote(k, weights, temperature) for k in ks for weights in ways]
    nearest = index.nearest(vectors["validation"], min(max(ks[-1], NEIGHBORS), len(index)))
    vote = choose_vote(nearest, index.labels, gold, len(targets.classes), votes, score)
    note = _decider(answers.decision, vote, len(votes) > 1)
    if answers.approximate:
        note += f"; the approximate search finds {index.recall(vectors['validation'], vote.k):.1%} of the true ones"
    linear = None if head is None else (head[0].detach().cpu().numpy(), head[1].detach().cpu().numpy())
    base = encoder.backbone.identity
    model = AlignModel(encoder, recipe, targets.classes, index, vote, base, head=linear, note=note)
    model = _with_evidence(model, nearest, vectors["validation"], gold)
    return replace(model, calibration=fit_calibration(model.scores(vectors["validation"]), gold, seed=recipe.loop.seed))


def _with_evidence(model: AlignModel, nearest: Neighbors, vectors: np.ndarray, gold: np.ndarray) -> AlignModel:
    """The model with what validation rows (rows, width) say of its votes, where these have a part in the answer."""
    labels = model.index.labels
    if labels.ndim == 2:  # several labels a row
        return model
    if model.decision == "knn":
        return replace(model, evidence=fit_evidence(nearest, labels, model.class_cosines(vectors), gold))
    if model.decision != "both":
        return model
    evidence = fit_beside(log_softmax(model.head_scores(vectors), axis=1), nearest, labels, gold)
    note = f"the linear head and {evidence.k} neighbors decide; votes weigh {evidence.votes:g}, chosen on validation"
    note = note if evidence.votes else "the linear head decides: votes beside it gained nothing on validation"
    return replace(model, evidence=evidence, note=note)


def read_align(saved: SavedModel) -> AlignModel:
    """The encoder of a folder with its index; errors are those of `load_model`."""
    notes, recipe, folder = saved.notes, saved.recipe(AlignRecipe), saved.folder
    source = str(folder / ENCODER) if saved.model is None else saved.model
    # The encoder of the folder was compared with its hashes already, unless that was not wanted.
    backbone = load_backbone(recipe.backbone.at(source, saved.device), verify=saved.model is not None)
    if backbone.source.weights != notes["encoder"]["weights"]:
        raise ModelError(f"the encoder in {source} is not the one that was saved in {folder}", hint="train again")
    classes, vote = Classes.from_dict(notes["classes"]), Vote(**notes["vote"])
    encoder = start_encoder(backbone, recipe.encoder)
    shapes: dict[str, TensorShape] = {} if encoder.mix is None else {"mix": tuple(encoder.mix.shape)}
    if recipe.has_head:
        shapes |= {"weight": (len(classes), backbone.width), "bias": (len(classes),)}
    own = saved.tensors(shapes)
    if encoder.mix is not None:
        encoder = replace(encoder, mix=torch.from_numpy(own["mix"].copy()).to(backbone.device))
    backbone.model.requires_grad_(False)
    head = (own["weight"], own["bias"]) if "weight" in shapes else None
    points = open_points(folder / INDEX, verify=saved.verify)
    sets = saved.calibration.sets
    index = Index.read(points, classes, approximate=recipe.answers.approximate, sets=sets)
    if index.vectors.shape[1] != backbone.width:
        raise saved.damaged(f"its vectors have {index.vectors.shape[1]} numbers", backbone.width, file=INDEX)
    evidence = VoteEvidence(**notes["evidence"]) if "evidence" in notes else None
    if evidence is not None and evidence.k > len(index):
        raise saved.damaged("it asks for more neighbors than its index has", len(index), file=NOTES)
    return AlignModel(encoder, recipe, classes, index, vote, notes["base_model"], saved.calibration, evidence, head)


def _decider(decision: str, vote: Vote, chosen: bool) -> str:
    if decision == "head":
        return "the linear head decides"
    if decision == "mean":
        return "the nearest class mean decides"
    return f"{vote.k} neighbors vote ({vote.weights})" + (", chosen on validation" if chosen else "")
