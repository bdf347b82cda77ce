"""`AlignClassifier`: an encoder trained so that the vectors of a class stand together, and k-NN over them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from separatrix import recipe as recipes
from separatrix.estimators import training
from separatrix.estimators.base import NeighborsClassifier, TrainedEstimator
from separatrix.estimators.inputs import labelled
from separatrix.learn.trained.encoder import AlignModel
from separatrix.learn.trained.loading import load_model
from separatrix.recipe import LoopRecipe, ModelRecipe
from separatrix.recipe.align import AimRecipe, AlignRecipe, DecisionRecipe, PairRecipe

DEFAULTS: LoopRecipe = AlignRecipe.loop


class AlignClassifier(NeighborsClassifier, TrainedEstimator):
    """A classifier of texts: the transformer itself is trained; training and prediction measure by the same cosine.

    The defaults of all arguments stand in `separatrix.recipe.align`; every other option (pooling, frozen layers, head,
    decision, schedule, device, ...) comes in `recipe`. A named argument with another value than its default wins over
    `recipe` (a warning says where the two disagree); one at its default gives way to it (`notes_` says so).

    `loss="linear"` is plain fine-tuning: the linear head decides, as with `recipe=separatrix.recipe.align.FINETUNE`. A
    `recipe` whose own loss is `linear`, or that sets what predicts (`decision`, `k`, `vote`, `approximate`), counts
    instead.

    Args:
        model: a local folder, a hub name, or the embedded default.
        loss: the objective; one of `separatrix.recipe.align.ALIGN_LOSSES`.
        pairs: the rows that a row is compared with: `batch`, `memory`, `mixed`, `datapoint` or `bank`.
        epochs: passes over the training rows.
        lr: learning rate of the encoder.
        batch_size: rows a step.
        seed: seed of every random choice.
        recipe: every other option: `FINETUNE`, or made with `separatrix.recipe.replace(AlignRecipe(), ...)`.

    Attributes:
        classes_: (classes,) the classes as they stood in y, sorted; of spellings that look alike the first.
        model_: the trained `AlignModel`; its `encode` and `answer` take texts.
        history_: a dictionary of metrics for each epoch.
        validation_scores_: accuracy with interval, macro-F1, majority baseline and more, on the validation rows.
        groups_: what vectors and answers of the validation rows owe to the group, as `groups` in a run's result (see
            `separatrix.training.groups.group_report`); None where training or validation rows have no groups.
        warnings_: what the guards found, one sentence each; also issued as `SeparatrixWarning`.
        notes_: what else is worth knowing, such as how many neighbors vote.

    >>> from separatrix.texts import load_demo
    >>> train = load_demo().train.take(range(40))
    >>> recipe = recipes.replace(AlignRecipe(), frozen_layers=6, freeze_embeddings=True, pool="layer_mix")
    >>> clf = AlignClassifier(epochs=1, recipe=recipe).fit(train.text, train.label)
    >>> clf.kneighbors(["How far is Denver from Aspen?"], 3)[1].shape
    (1, 3)
    """

    _method, _kind, _file = "align", AlignRecipe, "align_estimator.json"
    _read_model = staticmethod(partial(load_model, kind="align"))

    model_: AlignModel

    def __init__(
        self,
        model: str = ModelRecipe.model,
        loss: str = AimRecipe.loss,
        pairs: str = PairRecipe.pairs,
        epochs: int = DEFAULTS.epochs,
        lr: float = DEFAULTS.lr,
        batch_size: int = DEFAULTS.batch_size,
        seed: int = DEFAULTS.seed,
        recipe: AlignRecipe | None = None,
    ) -> None:
        self._keep(locals())

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        validation: tuple[Any, ...] | None = None,
        group: Any = None,
    ) -> Self:
        """Train the encoder.

        Args:
            X, y: texts and labels, as for `PromptClassifier.fit`.
            sample_weight: (rows,) as for `PromptClassifier.fit`; not with group invariance. Votes count rows.
            validation: (X, y) or (X, y, group) to choose the best epoch, k and the temperature by; without it, a
                seeded tenth of the rows is held out: whole groups where there are five or more, else stratified by
                class (`notes_` says which).
            group: (rows,) groups, for the options of group invariance and for `groups_`.

        Raises:
            DataError: texts, labels or groups that cannot be used, too few rows to hold a tenth out.
            OptionError: an option is unknown or out of range.
            ModelError: the model cannot be found, loaded or used.
        """
        recipe, warnings = _recipe(self._named(), self.recipe)
        inputs = training.FitInputs(validation, group, with_groups=True, warnings=warnings, weight=sample_weight)
        return training.fit(self, recipe, X, y, inputs)

    def _vectors(self, X: Any) -> np.ndarray:
        tokens = self.model_.backbone.tokenize(X)
        self._warn(tokens.unread, X)
        return self.model_.encoder.encode(tokens)

    @property
    def _n_features_out(self) -> int:
        return self.model_.backbone.width

    def _neighbors(self, vectors: np.ndarray, count: int | None) -> tuple[np.ndarray, np.ndarray]:
        neighbors = self.model_.neighbors(vectors, self.model_.vote.k if count is None else count)
        return neighbors.distance, self.model_.index.ids[neighbors.index]

    def add(self, X: Any, y: Any, ids: Any = None) -> Self:
        """Store more labelled rows; nothing is trained. Their ids go on from the largest one unless given.

        Raises:
            DataError: a label that is no class of the training rows, or a head that decides.
        """
        check_is_fitted(self, "model_")
        rows = labelled(X, y, "new rows").texts
        assert rows.label is not None
        self.model_.backbone.tokenize(rows.text).unread.warn("new rows")
        self.model_ = self.model_.add(rows.text, list(rows.label), ids)
        return self


def _recipe(named: Mapping[str, Any], rest: AlignRecipe | None) -> tuple[AlignRecipe, tuple[str, ...]]:
    """The whole recipe, and where arguments and `recipe` disagree; `loss="linear"` by itself makes the head predict."""
    recipe, warnings = training.whole_recipe(named, rest, AlignRecipe)
    base = AlignRecipe() if rest is None else rest
    # A head's weight and start do not say what predicts; every other option of the decision does.
    plain = DecisionRecipe()
    undecided = recipes.replace(base.answers, head_weight=plain.head_weight, head_start=plain.head_start) == plain
    if recipe.objective.loss == "linear" != base.objective.loss and undecided:
        recipe = recipes.replace(recipe, decision="head")
    return recipe, warnings
