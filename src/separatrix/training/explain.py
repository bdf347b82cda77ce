"""A trained prompt explained: nearest words, what each vector is worth, and its figures on other texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from separatrix.errors import DataError, ModelError, OptionError, choose
from separatrix.geometry.resample import bootstrap_mean, compare_answers, holm
from separatrix.learn.explain import NearestWords, WordNull, nearest_words, scores_without
from separatrix.learn.trained.prompt import PromptModel
from separatrix.learn.trained.saved import one_label_each
from separatrix.progress import Counter, Progress, silent
from separatrix.recipe.core import checked, plain
from separatrix.store.result import Lines, Listing, Printed, digits, p_cell
from separatrix.texts import Texts
from separatrix.training.evaluate import Evaluator

NAMED = 6  # label words that are printed
COST = {True: "accuracy lost", False: "squared error gained"}  # whether classes are predicted


@dataclass(frozen=True, eq=False, repr=False)
class PromptExplanation(Printed):
    """What each vector of a prompt is near to, and what leaving it out costs on some texts.

    Attributes:
        scores: figures of the whole prompt on these texts, as `train` gives them.
        words: of each vector; none of a prompt that enters at a layer.
        null: what cosines mean: those of random vectors.
        costs: of each vector: `cost` (accuracy, or squared error, without it against with it), `interval` (95 %, over
            rows), and for classes `p_drop` (McNemar) and `p_holm`, corrected for the number of vectors.
        rows: texts that this was measured on.
        label_words: class -> the word whose logit decides for it; empty where no words decide.
        chosen: whether the data chose these words.
    """

    scores: dict[str, Any]
    words: list[NearestWords]
    null: WordNull | None
    costs: list[dict[str, Any]]
    rows: int
    label_words: dict[str, str] = field(default_factory=dict)
    chosen: bool = False

    @property
    def table(self) -> pd.DataFrame:
        """A row for each vector."""
        return pd.DataFrame([{"vector": number, **row} for number, row in enumerate(self._rows())])

    def _rows(self) -> list[dict[str, Any]]:
        words = [word.to_dict() for word in self.words] or [{}] * len(self.costs)
        return [word | cost for word, cost in zip(words, self.costs, strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "scores": self.scores,
            "vectors": self._rows(),
            "null": self.null and self.null.to_dict(),
            "rows": self.rows,
            "label_words": self.label_words,
            "chosen": self.chosen,
        }

    def parts(self) -> list[Listing | Lines]:
        """The table of the vectors, then what it is measured against."""
        classes = "accuracy" in self.scores
        near = ["nearest words", "cosine", "p", "cosine with its start"] if self.words else []
        figure = "accuracy" if classes else "rmse"
        shown, rows = digits(figure), []
        for number, row in enumerate(self._rows()):
            low, high = row["interval"]
            cells = [str(number)]
            if self.words:
                cells += [
                    " ".join(row["words"]),
                    f"{row['cosines'][0]:.3f}",
                    p_cell(row["p_value"]),
                    f"{row['start']:.3f}",
                ]
            rows.append([*cells, f"{row['cost']:{shown}} ({low:{shown}} to {high:{shown}})"])
        headings = ["vector", *near, f"{COST[classes]} without it"]
        low, high = self.scores["interval"]
        lines: list[tuple[str, object]] = [
            (figure, f"{self.scores[figure]:{shown}} ({low:{shown}} to {high:{shown}}) on {self.rows} rows"),
        ]
        if classes:
            lines.append(("majority", f"{self.scores['majority']:.3f}"))
        if self.label_words:
            words = ", ".join(f"{word} for {name}" for name, word in [*self.label_words.items()][:NAMED])
            more = ", ..." * (len(self.label_words) > NAMED)
            lines.append(("label words", f"{words}{more} ({'chosen by the data' if self.chosen else 'by hand'})"))
        if (null := self.null) is not None:
            random = f"cosine {null.mean:.3f} with their nearest word, 95 % below {null.highest:.3f}"
            lines.append(("random vectors", random))
        return [Listing(headings, rows), lines]


def with_classes(texts: Texts, classes: Sequence[str], known: Sequence[Any]) -> Texts:
    """Texts of another data set with the labels of a model's classes; rows of classes that it has not are left out.

    Args:
        texts: with labels of their own.
        classes: `THEIRS=OURS` of each label that has another name there.
        known: the model's classes.

    Raises:
        OptionError: an entry of another form, a label that does not occur, or a class that the model has not.
        DataError: no labels, or no row is left.

    >>> there = Texts.of(["a", "b", "c"], ["pos", "neg", "odd"])
    >>> with_classes(there, ["pos=good", "neg=bad"], ["bad", "good"]).label.tolist()
    ['good', 'bad']
    """
    if texts.label is None:
        raise DataError(f"{texts.source} has no labels", hint="name their column with --label")
    given, ours = [str(label) for label in texts.label], {str(one): one for one in known}
    names = {name: name for name in ours}
    for entry in classes:
        theirs, equals, own = entry.partition("=")
        if not equals:
            raise OptionError("--classes maps labels", got=repr(entry), expected="THEIRS=OURS")
        choose(theirs, dict.fromkeys(given), "label of these texts")
        names[theirs] = choose(own, ours, "class of the model")
    rows = [row for row, label in enumerate(given) if label in names]
    if not rows:
        raise DataError(f"{texts.source}: no label is a class of the model", hint="map them with --classes THEIRS=OURS")
    kept = texts.take(rows)
    labels = [ours[names[given[row]]] for row in rows]
    column = np.array(labels, dtype=np.int64 if isinstance(labels[0], int) else object)
    left = len(given) - len(rows)
    out = (f"{left} of {len(given)} rows are left out: their label is no class of the model",) * bool(left)
    return replace(kept, label=column, warnings=(*kept.warnings, *out))


def explain_prompt(
    model: Any, texts: Texts, *, nearest: int = 5, seed: int = 0, progress: Progress | None = None
) -> PromptExplanation:
    """Explain a trained prompt on labelled texts.

    Args:
        model: of a run of method prompt.
        texts: with labels of its classes, or numbers.
        nearest: words of each vector.

    Raises:
        ModelError: no prompt was trained.
        DataError: no labels, or one that is no class of the model.
    """
    if not isinstance(model, PromptModel):
        raise ModelError("only a prompt can be explained", got=type(model).__name__, hint="train with --method prompt")
    one_label_each(model, "an explanation")
    if texts.label is None:
        raise DataError(f"{texts.source} has no labels", hint="name their column with --label")
    if not len(texts):
        raise DataError(f"{texts.source}: no text has an answer that could be explained")
    nearest = min(checked("nearest", nearest, int, low=1), len(model.backbone.embedding))
    seed = checked("seed", seed, int, low=0)
    classes = model.classes
    gold: np.ndarray
    if classes is None:
        gold = np.asarray(texts.label, dtype=np.float64)
    else:
        gold = classes.encode(texts.label, source=texts.source)
    # States at a layer are no words.
    words, null = ([], None) if model.recipe.prompt.layer else nearest_words(model, nearest, seed)
    whole, without = scores_without(model, texts.text, Counter(progress or silent, "explanation", 2 * len(texts)))
    costs = _costs(model, whole, without, gold, seed)
    evaluator = Evaluator(() if classes is None else classes.names, model.scaling.mean, seed)
    chance = None if classes is None else model.probabilities(whole)
    figures = evaluator.full(whole if classes else model.scaling.restored(whole), gold, chance)
    named = {} if classes is None else dict(zip(classes.names, model.label_words or (), strict=False))
    chosen = "bias" in model.objective.deciding()  # the usual level of chosen words is taken off
    return PromptExplanation(figures, words, null, costs, len(texts), named, chosen)


def _costs(
    model: PromptModel, whole: np.ndarray, without: np.ndarray, gold: np.ndarray, seed: int
) -> list[dict[str, Any]]:
    if model.classes is None:
        errors = [(model.labels(scores) - gold) ** 2 for scores in (whole, *without)]
        gains = [error - errors[0] for error in errors[1:]]
        return [{"cost": float(gain.mean()), "interval": plain(bootstrap_mean(gain, seed=seed))} for gain in gains]
    right = whole.argmax(axis=1) == gold
    pairs = [compare_answers(right, scores.argmax(axis=1) == gold, seed=seed) for scores in without]
    corrected = holm([pair.p_value for pair in pairs]).tolist()
    return [
        {"cost": pair.difference, "interval": plain(pair.interval), "p_drop": pair.p_value, "p_holm": p}
        for pair, p in zip(pairs, corrected, strict=True)
    ]
