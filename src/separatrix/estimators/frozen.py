"""`FrozenClassifier`: a probe, k-NN or class means on the vectors of a frozen transformer, as a scikit-learn estimator.

The saved estimator is two files: arrays in safetensors, everything else in JSON. The transformer is not copied; the one
found when it is loaded must have the same weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from separatrix import recipe as recipes
from separatrix.errors import OptionError
from separatrix.estimators.files import check_free
from separatrix.estimators.frozen_heads import FITTERS, Sample
from separatrix.estimators.inputs import TRAINING, VALIDATION, Rows, labelled, on_texts
from separatrix.estimators.mixins import TextsIn
from separatrix.geometry.calibrate import probabilities
from separatrix.geometry.neighbours import Neighbours, neighbours
from separatrix.geometry.score import classification
from separatrix.learn.saved import CLASSES, FORMAT, NOTES, TENSORS, check_same, describe, positive, read_notes
from separatrix.models.backbone import Backbone, load_backbone
from separatrix.models.frozen_blocks import frozen_blocks
from separatrix.recipe import ModelRecipe
from separatrix.recipe.score import FrozenRecipe
from separatrix.store.files import damaged, read_recipe, read_tensors, write_json, write_tensors
from separatrix.texts import Classes

KIND = "frozen"
SCHEMA = {"backbone": dict, "asked": dict, "classes": CLASSES, "temperature": positive, "scores": (dict, None)}


class FrozenClassifier(TextsIn, ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClassifierMixin, BaseEstimator):
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
        arrays_: what the head learnt.

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
        self.asked_ = self._asked()
        rows = labelled(X, y, TRAINING)
        held = None if validation is None else labelled(*validation, VALIDATION)
        classes = Classes.of(_labels(rows), source=TRAINING)
        targets = classes.encode(_labels(rows), source=TRAINING)
        self.backbone_ = load_backbone(self._model_recipe())
        pair = None
        if held is not None:
            pair = (self._vectors(held.texts.text), classes.encode(_labels(held), source=VALIDATION))
        sample = Sample(self._vectors(rows.texts.text), targets, len(classes), pair, self.asked_)
        fitted = FITTERS[self.asked_.head].fit(sample)
        self.arrays_, self.temperature_ = fitted.arrays, fitted.temperature
        self.classes_ = np.asarray(rows.classes)
        self.scores_ = None
        if fitted.held is not None:
            found = classification(*fitted.held, classes.names, seed=self.asked_.seed)
            self.scores_ = found.to_dict() | {"on": fitted.held_is}
        return self

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
        return scores if self.asked_.head == "knn" else probabilities(scores, self.temperature_)

    @on_texts
    def kneighbors(self, X: Any, k: int | None = None) -> Neighbours:
        """The nearest training rows of each text: `index` and `distance`, each (rows, k), nearest first.

        Raises:
            OptionError: the head keeps no vectors.
        """
        vectors = self._run(X)
        if self.asked_.head != "knn":
            raise OptionError(f"the head {self.asked_.head!r} keeps no neighbours", hint='fit with head="knn"')
        return neighbours(vectors, self.arrays_["vectors"], k or self.asked_.k, metric=self.asked_.metric)

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write `model.safetensors` and `model.json`; the transformer is not copied.

        Raises:
            StoreError: the folder is not empty, or a file is in its place.
        """
        check_is_fitted(self, "arrays_")
        place = check_free(Path(folder), overwrite)
        write_tensors(place / TENSORS, self.arrays_)
        notes = {
            "format": FORMAT,
            "kind": KIND,
            "classes": {"classes": self.classes_.tolist()},
            "base_model": describe(self.backbone_),
            "backbone": recipes.to_dict(self.backbone_.recipe),
            "asked": recipes.to_dict(self.asked_),
            "temperature": self.temperature_,
            "scores": self.scores_,
        }
        write_json(place / NOTES, notes)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        model: str | Path | None = None,
        device: str = "auto",
        trust_remote_code: bool = False,
    ) -> Self:
        """Read what `save` wrote; `model` is another place of the same transformer.

        Code that the transformer brings is run only with `trust_remote_code=True`, whatever the folder says.

        Raises:
            StoreError: nothing that this class can read is there.
            ModelError: the transformer found has other weights than the one fitted on.
        """
        place = Path(folder)
        notes = read_notes(place, KIND, SCHEMA)
        asked = read_recipe(FrozenRecipe, notes["asked"], place / NOTES)
        saved = read_recipe(ModelRecipe, notes["backbone"], place / NOTES, trust_remote_code=trust_remote_code)
        shared = saved.at(None if model is None else str(model), device)
        self = cls(model=shared.model, recipe=shared, **recipes.to_dict(asked))
        self.backbone_ = load_backbone(shared)
        check_same(self.backbone_, notes["base_model"], place)
        classes = len(notes["classes"]["classes"])
        arrays, _ = read_tensors(place / TENSORS, FITTERS[asked.head].shapes(classes, self.backbone_.width))
        if "targets" in arrays and not np.isin(arrays["targets"], np.arange(classes)).all():
            raise damaged(place / TENSORS, "targets are no class numbers")
        self.arrays_, self.asked_, self.temperature_ = arrays, asked, float(notes["temperature"])
        self.classes_, self.scores_ = np.array(notes["classes"]["classes"]), notes["scores"]
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the transformer."""
        state = dict(super().__getstate__())
        backbone: Backbone | None = state.pop("backbone_", None)
        if backbone is not None:
            state["_base"] = {"recipe": backbone.recipe, "model": describe(backbone)}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Find the transformer again, and refuse one with other weights."""
        base = state.pop("_base", None)
        super().__setstate__(state)
        if base is not None:
            self.backbone_ = load_backbone(base["recipe"])
            check_same(self.backbone_, base["model"], Path("the pickle"))

    @property
    def _n_features_out(self) -> int:
        """Width of the vectors; scikit-learn names the columns of `transform` by it."""
        return self.backbone_.width

    def _asked(self) -> FrozenRecipe:
        """The arguments, checked."""
        named = {name: value for name, value in self.get_params(deep=False).items() if name not in ("model", "recipe")}
        plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in named.items()}
        return FrozenRecipe(**plain)

    def _model_recipe(self) -> ModelRecipe:
        if self.recipe is not None and not isinstance(self.recipe, ModelRecipe):
            raise OptionError(
                "recipe is not a recipe", got=type(self.recipe).__name__, expected="a ModelRecipe or None"
            )
        rest = self.recipe or ModelRecipe()
        return rest if self.model == ModelRecipe.model else recipes.replace(rest, model=str(self.model))

    def _vectors(self, texts: tuple[str, ...]) -> np.ndarray:
        """Frozen vectors, (rows, width) float32."""
        layers = None if self.asked_.layer is None else (self.asked_.layer,)
        return frozen_blocks(self.backbone_, texts, (self.asked_.pool,), layers).points.values

    def _run(self, X: Any) -> np.ndarray:
        return self._vectors(tuple(X))

    def _scores(self, X: Any) -> np.ndarray:
        vectors = self._run(X)
        return FITTERS[self.asked_.head].scores(self.arrays_, vectors, self.asked_)


def _labels(rows: Rows) -> np.ndarray:
    """The column of labels, which `labelled` has seen to."""
    return np.empty(0) if rows.texts.label is None else rows.texts.label
