"""`FrozenClassifier`: a probe, k-NN or class means on the vectors of a frozen transformer, as a scikit-learn estimator.

The saved estimator is two files: arrays in safetensors, everything else in JSON. The transformer is not copied; the one
found when it is loaded must have the same weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from separatrix import recipe as recipes
from separatrix.errors import OptionError, warn
from separatrix.estimators.base import NeighborsClassifier
from separatrix.estimators.inputs import TRAINING, VALIDATION, labelled
from separatrix.estimators.training import check_kind, plain, same, validation_part
from separatrix.geometry.score import classification
from separatrix.learn.trained.frozen import FITTERS, FrozenModel, HeadData, plain_labels
from separatrix.learn.trained.loading import load_model
from separatrix.learn.trained.saved import check_input_kind
from separatrix.models.frozen_blocks import plan_options
from separatrix.models.load import load_backbone
from separatrix.models.precision import settled
from separatrix.recipe import ModelRecipe
from separatrix.recipe.score import FrozenRecipe
from separatrix.texts import Classes
from separatrix.texts.pairs import is_pair
from separatrix.texts.set_checks import one_label_each
from separatrix.texts.weights import weights_of
from separatrix.training.methods import with_classes_named


class FrozenClassifier(NeighborsClassifier):
    """A classifier of texts on the vectors of a frozen transformer; nothing of the transformer is trained.

    Args:
        model: a local folder, a hub name, or the embedded default.
        pool: pooling of the hidden states: cls, mean, max, last, layer_mean, weighted.
        layer: layer that is pooled, 0 = the embeddings, -1 = the last; None = the last (layer_mean reads all).
        head: `probe` (logistic regression), `knn`, or `centroid` (nearest class mean).
        k: neighbors that vote (knn).
        metric: `cosine` or `euclidean` (knn and centroid).
        seed: of the held-out rows and of intervals.
        class_weight: of the probe alone: "balanced", or what rows of a class count, {class: weight}, 1 for the others;
            multiplied with `sample_weight`, as scikit-learn does.
        recipe: longest text, number format, device; its `model` gives way to the argument, unless that is the default.

    Attributes:
        classes_: (classes,) the classes as they stood in y, sorted; of spellings that look alike the first.
        scores_: accuracy with interval, macro-F1 and majority baseline on rows the head was not fitted to (`on` says
            which: leave-one-out for knn and centroid, held-out rows for the probe); None if there were too few.
        model_: the fitted `FrozenModel`; its `answer` gives everything at once.

    There is no `n_features_in_`: the input is one column of strings.

    >>> from separatrix.texts import load_demo
    >>> train = load_demo().train.take(range(60))
    >>> clf = FrozenClassifier(head="knn", k=3).fit(train.text, train.label)
    >>> clf.predict_proba(["How far is Denver from Aspen?"]).shape, clf.kneighbors(["How far?"])[1].shape
    ((1, 6), (1, 3))
    """

    _read_model = staticmethod(partial(load_model, kind="frozen"))

    model_: FrozenModel

    def __init__(
        self,
        model: str = ModelRecipe.model,
        pool: str = FrozenRecipe.pool,
        layer: int | None = FrozenRecipe.layer,
        head: str = FrozenRecipe.head,
        k: int = FrozenRecipe.k,
        metric: str = FrozenRecipe.metric,
        seed: int = FrozenRecipe.seed,
        recipe: ModelRecipe | None = None,
        class_weight: Mapping[Any, float] | Sequence[str] | str | None = None,
    ) -> None:
        self._keep(locals())

    def fit(self, X: Any, y: Any, *, sample_weight: Any = None, validation: tuple[Any, Any] | None = None) -> Self:
        """Read the vectors of the texts and fit the head.

        Args:
            X, y: texts and labels, as for `PromptClassifier.fit`.
            sample_weight: (rows,) as for `PromptClassifier.fit`, of the probe alone.
            validation: (X, y) to choose the probe's penalty by; without it a seeded tenth of the rows is held out.

        Raises:
            DataError: texts or labels that cannot be used, one class only, fewer rows than neighbors.
            OptionError: an option is unknown or out of range, or weights for a head that has no use for them.
            ModelError: the model cannot be found, loaded or used.
        """
        recipe, shared = self._frozen_recipe(), self._model_recipe()
        for name, value in (("sample_weight", sample_weight), ("class_weight", recipe.class_weight)):
            if value is not None and recipe.head != "probe":
                what = f"the head {recipe.head!r} counts every row alike: {name} has no effect"
                raise OptionError(what, hint='leave it away, or fit with head="probe"')
        data = labelled(X, y, TRAINING, weight=sample_weight)
        one_label_each(data.texts, "FrozenClassifier")
        held_out = None if validation is None else validation_part(validation, labelled).texts
        classes = Classes.of(data.labels, source=TRAINING)
        targets = classes.encode(data.labels, source=TRAINING)
        layers = None if recipe.layer is None else (recipe.layer,)
        chosen, _ = settled(shared, data.texts.text, lambda one: plan_options(one, (recipe.pool,), layers))
        backbone = load_backbone(chosen)
        self.classes_ = np.asarray(data.classes)
        blank = FrozenModel(
            backbone, recipe, {}, classes, tuple(self.classes_.tolist()), pairs=is_pair(data.texts.text[0])
        )
        vectors, pair = blank.encode(data.texts.text), None
        vectors.unread.warn(TRAINING)
        if held_out is not None and held_out.label is not None:
            check_input_kind(blank, held_out.text)
            other = blank.encode(held_out.text)
            other.unread.warn(VALIDATION)
            pair = other.values, classes.encode(held_out.label, source=VALIDATION)
        fitted = FITTERS[recipe.head].fit(
            HeadData(vectors.values, targets, len(classes), pair, recipe, weights_of(data.texts, recipe.class_weight))
        )
        figures = None
        if fitted.judged is not None:
            scores = classification(*fitted.judged, classes.names, seed=recipe.seed)
            figures = scores.to_dict() | {"on": fitted.judged_on}
        warn(dict.fromkeys(line for texts in (data.texts, held_out) if texts is not None for line in texts.warnings))
        self.model_ = replace(blank, arrays=fitted.arrays, calibration=fitted.calibration, figures=figures)
        return self

    def _frozen_recipe(self) -> FrozenRecipe:
        options = {name: getattr(self, name) for name in recipes.option_names(FrozenRecipe())}
        if isinstance(given := options["class_weight"], Mapping):  # labels as `Texts` hold them
            options["class_weight"] = dict(zip(plain_labels(list(map(plain, given))), given.values(), strict=True))
        return FrozenRecipe(**with_classes_named(options, "class_weight", float))

    def _model_recipe(self) -> ModelRecipe:
        check_kind(self.recipe, ModelRecipe)
        rest = self.recipe or ModelRecipe()
        return rest if same(self.model, ModelRecipe.model) else recipes.replace(rest, model=self.model)

    def _vectors(self, X: Any) -> np.ndarray:
        vectors = self.model_.encode(X)
        self._warn(vectors.unread, X)
        return vectors.values

    @property
    def _n_features_out(self) -> int:
        return self.model_.backbone.width

    @property
    def scores_(self) -> dict[str, Any] | None:
        """Figures on rows that the head was not fitted to."""
        check_is_fitted(self, "model_")
        return self.model_.figures

    def _neighbors(self, vectors: np.ndarray, count: int | None) -> tuple[np.ndarray, np.ndarray]:
        if self.model_.recipe.head != "knn":
            raise OptionError(f"the head {self.model_.recipe.head!r} keeps no neighbors", hint='fit with head="knn"')
        near = self.model_.neighbors(vectors, count)
        return near.distance, near.index

    @classmethod
    def _with(cls, model: FrozenModel, folder: Path, elsewhere: str | None) -> Self:  # noqa: ARG003 - as in the model
        shared = model.backbone.recipe
        self = cls(model=shared.model, recipe=shared, **recipes.to_dict(model.recipe))
        self.model_, self.classes_ = model, np.array(model.labels)
        return self
