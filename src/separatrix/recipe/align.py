"""Recipes of a trained encoder: what of it is trained, on which pairs, with which loss, and what predicts."""

from __future__ import annotations

from separatrix.errors import OptionError
from separatrix.recipe.core import option, recipe_class
from separatrix.recipe.effect import FILM, Rule
from separatrix.recipe.registry import Choices
from separatrix.recipe.train import EvaluationRecipe, LoopRecipe, ModelRecipe

ALIGN_LOSSES = Choices("nca", "centroid_ce", "supcon", "cosine_mse", "linear")
PAIRS = Choices("batch", "memory", "mixed", "datapoint", "bank")
DECISIONS = ("knn", "mean", "head", "both")
INVARIANCES = Choices("none", "ridge", "flipped", "inverse", "reversal", "pairs")
LAYER_MIX = "layer_mix"  # of --pool; `weighted` of an extraction takes its weights from the user
WEIGHTS = ("uniform", "distance", "softmax")
# Padded tokens of one forward with gradient. Memory goes by these: MiniLM keeps 0.17 GiB for every 1,024 of them.
CHUNK_TOKENS = 8192


@recipe_class
class EncoderRecipe:
    """Encoder."""

    pool: str = option(
        "mean",
        "from hidden states to one vector; layer_mix: the mean of all layers, whose shares are learnt",
        choices=("mean", "cls", "layer_mean", LAYER_MIX),
        earlier={"weighted": LAYER_MIX},
    )
    frozen_layers: int = option(0, "layers from the bottom that stay as they are", low=0)
    freeze_embeddings: bool = option(False, "leave the embeddings as they are")
    dropout: float = option(0.0, "dropout in training steps; 0 trains without any", low=0, high=0.9)
    text_dropout: float = option(0.0, "share of the text's tokens that training steps leave out", low=0, high=0.9)
    perturbation: float = option(
        0.0,
        "adversarial training: each batch is learnt again with its tokens' vectors moved up the loss by this share of "
        "their length (0.12 moves them by 12 %); up to twice the time",
        low=0,
        high=1,
    )
    chunk_rows: int = option(
        256,
        f"rows of one forward with gradient, {CHUNK_TOKENS} tokens at most; larger batches go in chunks, with the same "
        "gradient",
        low=2,
    )
    precision: str = option(
        "auto",
        "number format of training steps (auto: bfloat16 on CUDA); vectors are always computed in float32",
        choices=("auto", "float32", "bfloat16"),
    )


@recipe_class
class AimRecipe:
    """Objective."""

    loss: str = option("nca", "objective", choices=ALIGN_LOSSES)
    temperature: float = option(0.07, "divides the cosines of nca, supcon and centroid_ce", low=1e-6)


@recipe_class
class PairRecipe:
    """Pairs of rows (the losses centroid_ce and linear need none)."""

    pairs: str = option(
        "bank",
        "others come from the batch; from one stored vector of each class (memory; mixed: where the batch has none); "
        "from one stored row of each class, run again (datapoint); from the last vectors of all rows (bank)",
        choices=PAIRS,
    )
    pairs_per_row: str = option(
        "all", "one random pair of each kind for a row, or all", choices=("one", "all"), earlier_name="draw"
    )
    sampler: str = option(
        "shuffled",
        "batches of all rows (shuffled), of as many rows of each class (balanced), or of each class and, within it, "
        "of each of its groups, so that the one says nothing of the other (cells)",
        choices=("shuffled", "balanced", "cells"),
    )
    class_rows: int = option(4, "rows of each class (or cell) in a balanced batch", low=2)


@recipe_class
class DecisionRecipe:
    """Prediction of new texts."""

    decision: str = option(
        "knn",
        "nearest training rows, nearest class mean, the linear head, or both head and votes, weighed on validation",
        choices=DECISIONS,
    )
    head_weight: float = option(0.0, "weight of a linear head's cross-entropy beside the objective", low=0)
    head_start: str = option(
        "random",
        "start of the linear head: random, or the class means of the vectors before the training",
        choices=("random", "means"),
        later=True,
    )
    k: int | None = option(None, "neighbors that vote (chosen on validation if absent)", low=1)
    vote: str | None = option(
        None,
        "votes count alike, by 1 / distance, or by exp(cosine / temperature) as in nca (default: by validation)",
        choices=WEIGHTS,
        earlier_name="weights",
    )
    approximate: bool = option(False, "search neighbors with faiss and state its recall (extra `index`)")


@recipe_class
class GroupRecipe:
    """Invariance to the group (a publisher, an author)."""

    invariance: str = option(
        "none",
        "ridge: what the best linear probe finds of the group within a class is taken out; flipped: rows of one group "
        "to right angles; inverse: rows of other groups together; reversal: a group head whose gradient is turned "
        "round; pairs: positives from other groups, negatives from the same",
        choices=INVARIANCES,
    )
    group_weight: float = option(1.0, "weight of ridge, flipped, inverse and reversal beside the objective", low=0)


@recipe_class
class AlignRecipe:
    """A whole training of an encoder: model, encoder, aim, pairs, decision, groups, loop."""

    backbone: ModelRecipe = ModelRecipe()
    encoder: EncoderRecipe = EncoderRecipe()
    objective: AimRecipe = AimRecipe()
    pairing: PairRecipe = PairRecipe()
    answers: DecisionRecipe = DecisionRecipe()
    grouping: GroupRecipe = GroupRecipe()
    loop: LoopRecipe = LoopRecipe(epochs=6, lr=2e-4, head_lr=2e-3, checkpoint_seconds=300.0)
    evaluation: EvaluationRecipe = EvaluationRecipe()

    def __post_init__(self) -> None:
        if self.head_decides and not self.has_head:
            raise OptionError(
                f"--decision {self.answers.decision} needs a head", hint="add --head-weight 1, or --loss linear"
            )
        if self.backbone.dtype != "float32":
            hint = "leave --dtype away; --precision bfloat16 runs training steps in 16 bits"
            raise OptionError("an encoder is trained with float32 weights", got=self.backbone.dtype, hint=hint)

    @property
    def needs_groups(self) -> bool:
        """Whether training asks for the group of a row."""
        return self.grouping.invariance != "none" or self.pairing.sampler == "cells"

    @property
    def head_decides(self) -> bool:
        """Whether the linear head decides, alone or (once training is over) beside the votes."""
        return self.answers.decision in ("head", "both")

    @property
    def head_at_means(self) -> bool:
        """Whether there is a head, which starts at the class means."""
        return self.has_head and self.answers.head_start == "means"

    @property
    def has_head(self) -> bool:
        """Whether a linear head is trained."""
        return self.objective.loss == "linear" or self.answers.head_weight > 0


_PAIRED = ("nca", "supcon", "cosine_mse")
_NUISANCES = ("ridge", "flipped", "inverse", "reversal")
# Options that change nothing beside others, as `recipe.effect.RULES`.
ALIGN_RULES = (
    FILM,
    Rule(("pairs", "pairs_per_row"), lambda r: r.objective.loss in _PAIRED, f"--loss {'|'.join(_PAIRED)}"),
    Rule(
        ("temperature",),
        lambda r: r.objective.loss not in ("linear", "cosine_mse") or not r.head_decides,
        "an objective with cosines, or --decision knn|mean",
    ),
    Rule(("head_weight",), lambda r: r.objective.loss != "linear", "another loss than linear"),
    Rule(("head_start",), lambda r: r.has_head, "a head: --head-weight 1, or --loss linear"),
    Rule(("head_lr",), lambda r: r.has_head or r.encoder.pool == LAYER_MIX, f"a head, or --pool {LAYER_MIX}"),
    Rule(("perturbation",), lambda r: not r.encoder.freeze_embeddings, "embeddings that are trained"),
    Rule(("class_rows",), lambda r: r.pairing.sampler != "shuffled", "--sampler balanced|cells"),
    Rule(("k", "vote"), lambda r: r.answers.decision == "knn", "--decision knn"),
    Rule(
        ("invariance",),
        lambda r: r.grouping.invariance != "pairs" or r.objective.loss in _PAIRED,
        f"--loss {'|'.join(_PAIRED)}, or another --invariance than pairs",
    ),
    Rule(("group_weight",), lambda r: r.grouping.invariance in _NUISANCES, f"--invariance {'|'.join(_NUISANCES)}"),
    Rule(("layer_lr", "centroid_lr"), lambda _: False, "--method prompt"),
)
# `--method finetune`: a linear head, nothing else.
FINETUNE = AlignRecipe(objective=AimRecipe(loss="linear"), answers=DecisionRecipe(decision="head"))
