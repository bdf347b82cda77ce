"""`FrozenClassifier`: a probe, k-NN or class means on the vectors of a frozen transformer, as a scikit-learn estimator.

The saved estimator is two files: arrays in safetensors, everything else in JSON. The transformer is not copied; the one
found when it is loaded must have the same weights.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from separatrix import recipe as recipes
from separatrix.errors import OptionError
from separatrix.estimators.inputs import TRAINING, VALIDATION, Rows, labelled, on_texts
from separatrix.estimators.mixins import ModelBytes, TextsIn
from separatrix.geometry.neighbours import Neighbours
from separatrix.geometry.score import classification
from separatrix.learn.trained.frozen import FrozenModel, load_frozen
from separatrix.learn.trained.frozen_heads import FITTERS, HeadData
from separatrix.models.backbone import load_backbone
from separatrix.recipe import ModelRecipe
from separatrix.recipe.score import FrozenRecipe
from separatrix.store.artifacts import new_folder
from separatrix.texts import Classes


class FrozenClassifier(
    TextsIn, ModelBytes, ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClassifierMixin, BaseEstimator
):
    """A classifier of texts on the vectors of a frozen transformer; nothing of the transformer is trained.

    Args:
        model: a local folder, a hub name, or the embedded default.
        pool: pooling of the hidden states: cls, mean, max, last, layer_mean, weighted.
        layer: layer that is pooled, 0 = the embeddings, -1 = the last; None = the last (layer_mean reads all).
        head: `probe` (logistic regression), `knn`, or `centroid` (nearest class mean).
        k: neighbours that vote (knn).
        metric: `cosine` or `euclidean` (knn and centroid).
        seed: of the held-out rows and of intervals.
        recipe: longest text, number format, device; its `model` gives way to the argument, unless that is the default.

    Attributes:
        classes_: (classes,) the classes as they stood in y, sorted.
        scores_: accuracy with interval, macro-F1 and majority baseline on rows the head was not fitted to (`on` says
            which: leave-one-out for knn and centroid, held-out rows for the probe); None if there were too few.
        model_: the fitted `FrozenModel`; its `answer` gives everything at once.

    There is no `n_features_in_`: the input is one column of strings.

    >>> from separatrix.texts import load_demo
    >>> train = load_demo().train.take(range(60))
    >>> clf = FrozenClassifier(head="knn", k=3).fit(train.text, train.label)
    >>> clf.predict_proba(["How far is Denver from Aspen?"]).shape, clf.kneighbors(["How far?"]).index.shape
    ((1, 6), (1, 3))
    """

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
    ) -> None:
        self.model = model
        self.pool = pool
        self.layer = layer
        self.head = head
        self.k = k
        self.metric = metric
        self.seed = seed
        self.recipe = recipe

    def fit(self, X: Any, y: Any, *, validation: tuple[Any, Any] | None = None) -> Self:
        """Read the vectors of the texts and fit the head.

        Args:
            X: (rows,) texts: a list, an array, a pandas Series, or a frame or array with one column.
            y: (rows,) labels.
            validation: (X, y) to choose the probe's penalty by; without it a seeded tenth of the rows is held out.

        Raises:
            DataError: texts or labels that cannot be used, one class only, fewer rows than neighbours.
            OptionError: an option is unknown or out of range.
            ModelError: the model cannot be found, loaded or used.
        """
        recipe = self._asked()
        rows = labelled(X, y, TRAINING)
        held = None if validation is None else labelled(*validation, VALIDATION)
        classes = Classes.of(_labels(rows), source=TRAINING)
        targets = classes.encode(_labels(rows), source=TRAINING)
        backbone = load_backbone(self._model_recipe())
        self.classes_ = np.asarray(rows.classes)
        blank = FrozenModel(backbone, recipe, {}, classes, tuple(self.classes_.tolist()))
        pair = None
        if held is not None:
            pair = (blank.encode(held.texts.text).values, classes.encode(_labels(held), source=VALIDATION))
        sample = HeadData(blank.encode(rows.texts.text).values, targets, len(classes), pair, recipe)
        fitted = FITTERS[recipe.head].fit(sample)
        figures = None
        if fitted.held is not None:
            found = classification(*fitted.held, classes.names, seed=recipe.seed)
            figures = found.to_dict() | {"on": fitted.held_is}
        self.model_ = replace(blank, arrays=fitted.arrays, temperature=fitted.temperature, figures=figures)
        return self

    @property
    def scores_(self) -> dict[str, Any] | None:
        """Figures on rows that the head was not fitted to."""
        check_is_fitted(self, "model_")
        return self.model_.figures

    @on_texts
    def transform(self, X: Any) -> np.ndarray:
        """The frozen vectors, (rows, width) float32: features for another estimator."""
        return self._run(X)

    @on_texts
    def decision_function(self, X: Any) -> np.ndarray:
        """Scores of the head: (rows, classes); for two classes (rows,), positive for the second."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    @on_texts
    def predict(self, X: Any) -> np.ndarray:
        """The class of each text, (rows,), in the type that y had."""
        scores = self._scores(X)
        return self.classes_[scores.argmax(axis=1)]

    @on_texts
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities, (rows, classes) in the order of `classes_`: shares of the votes, or calibrated scores."""
        scores = self._scores(X)
        return self.model_.probabilities(scores)

    @on_texts
    def kneighbors(self, X: Any, k: int | None = None) -> Neighbours:
        """The nearest training rows of each text: `index` and `distance`, each (rows, k), nearest first.

        Raises:
            OptionError: the head keeps no vectors, or k is out of range.
        """
        vectors, head = self._run(X), self.model_.recipe.head
        if head != "knn":
            raise OptionError(f"the head {head!r} keeps no neighbours", hint='fit with head="knn"')
        return self.model_.neighbors(vectors, k)

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write `model.safetensors` and `model.json`, which `separatrix predict` reads; the transformer is not copied.

        Raises:
            StoreError: the folder is not empty (with `overwrite`: and holds something else than a saved estimator).
        """
        check_is_fitted(self, "model_")
        with new_folder(folder, "model", self.model_.recipe, overwrite=overwrite) as place:
            self.model_.save(place)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        model: str | Path | None = None,
        device: str = "auto",
        trust_remote_code: bool = False,
        verify: bool = True,
    ) -> Self:
        """Read what `save` wrote; `model` is another place of the same transformer.

        Code that the transformer brings is run only with `trust_remote_code=True`, whatever the folder says.

        Raises:
            StoreError: nothing that this class can read is there.
            ModelError: the transformer found has other weights than the one fitted on.
        """
        elsewhere = None if model is None else str(model)
        trained = load_frozen(
            Path(folder), model=elsewhere, device=device, trust_remote_code=trust_remote_code, verify=verify
        )
        shared = trained.backbone.recipe
        self = cls(model=shared.model, recipe=shared, **recipes.to_dict(trained.recipe))
        self.model_, self.classes_ = trained, np.array(trained.labels)
        return self

    @staticmethod
    def _read_model(folder: Path, **options: Any) -> Any:
        return load_frozen(folder, **options)

    @property
    def _n_features_out(self) -> int:
        """Width of the vectors; scikit-learn names the columns of `transform` by it."""
        return self.model_.backbone.width

    def _asked(self) -> FrozenRecipe:
        """The arguments, checked."""
        named = self.get_params(deep=False)
        return FrozenRecipe(**{name: named[name] for name in recipes.option_names(FrozenRecipe())})

    def _model_recipe(self) -> ModelRecipe:
        if self.recipe is not None and not isinstance(self.recipe, ModelRecipe):
            raise OptionError(
                "recipe is not a recipe", got=type(self.recipe).__name__, expected="a ModelRecipe or None"
            )
        rest = self.recipe or ModelRecipe()
        return rest if self.model == ModelRecipe.model else recipes.replace(rest, model=str(self.model))

    def _run(self, X: Any) -> np.ndarray:
        return self.model_.encode(tuple(X)).values

    def _scores(self, X: Any) -> np.ndarray:
        vectors = self._run(X)
        return self.model_.scores(vectors)


def _labels(rows: Rows) -> np.ndarray:
    """The column of labels, which `labelled` has seen to."""
    return np.empty(0) if rows.texts.label is None else rows.texts.label
