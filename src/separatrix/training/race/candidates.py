"""The methods that are raced, with their options, and what a trial of each costs beside one pass of the texts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any

from separatrix import recipe as recipes
from separatrix.recipe.auto import CANDIDATES, AutoRecipe
from separatrix.recipe.registry import Registry
from separatrix.recipe.train import DEFAULT_MODEL, TrainRecipe
from separatrix.training.methods import METHODS
from separatrix.training.request import MethodRecipe

FEW = 64  # rows of each class, on average
MANY = 20  # classes
FEW_STEPS, BATCH = 200, 32  # a head that is trained in fewer steps learns little: more epochs for few rows
MOST_EPOCHS = 20
SHORT_TEXT = 16.0  # tokens
FEWEST_STEPS = 100  # of a training that is shortened: one epoch of 3,200 rows (`studies/auto`, SHORTER.md)
STEP_PASSES = 3.0  # passes forward that a training step of an encoder takes: forward, and twice that backward
PROMPT_PASSES = 2.0  # the same of a prompt behind texts that are kept, of its own tokens: its weights alone learn


def few_rows(rows: float, classes: int) -> bool:
    """Whether few rows of each of few classes are there.

    >>> few_rows(16 * 6, 6), few_rows(65 * 6, 6), few_rows(8 * 77, 77)
    (True, False, False)
    """
    return rows / classes <= FEW and classes < MANY


@dataclass(frozen=True)
class RacedMethod:
    """A method with options of its own.

    Attributes:
        method: a key of `METHODS`.
        options: what it changes in the method's recipe.
        passes: passes forward of a row in an epoch, or of the prompt's tokens.
        few: raced over few rows of few classes alone.
        instead: what is raced in its place over these, if it is a candidate too.
        many: classes from which it is raced; None: always.
        longer: with few rows it takes more epochs.
        ahead: with few rows of each of few classes, accuracy that it is expected to be above the probe.
    """

    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    passes: float = STEP_PASSES
    few: bool = False
    instead: str | None = None
    many: int | None = None
    longer: bool = False
    ahead: float = 0.0

    def expected(self, rows: float, classes: int, model: str = DEFAULT_MODEL) -> float:
        """Accuracy above the probe that is expected before any trial.

        0 where rows are enough for them to tell, and of another model, with which nothing was measured.

        >>> align = ENTRIES["align"]
        >>> align.expected(96, 6), align.expected(96, 6, "models/all-MiniLM-L6-v2"), align.expected(96, 6, "gpt2")
        (0.15, 0.15, 0.0)
        """
        measured = Path(model).name == Path(DEFAULT_MODEL).name  # a folder of the same name is a copy
        return self.ahead if measured and few_rows(rows, classes) else 0.0

    def suits(self, rows: float, classes: int, *, sets: bool, beside: Collection[str] = CANDIDATES) -> bool:
        """Whether it is raced over so many rows and classes; rows with several labels take their method's decision.

        Args:
            rows: that are learnt from.
            classes: of them.
            sets: rows have several labels.
            beside: the candidates.
        """
        if sets:
            return "decision" not in self.options
        if self.many is not None and classes < self.many:
            return False
        return self.instead not in beside if few_rows(rows, classes) else not self.few

    def recipe(self, auto: AutoRecipe, rows: int, passes: float = inf, tokens: float = SHORT_TEXT) -> MethodRecipe:
        """The recipe of a training with so many rows.

        Args:
            auto: of the race.
            rows: that are learnt from.
            passes: forward of each row, for which there is time: with fewer than its epochs take it has fewer epochs.
            tokens: of a text, on average.

        >>> align = ENTRIES["align"]
        >>> [align.recipe(AutoRecipe(), 5000, passes).loop.epochs for passes in (100, 12, 1)]
        [6, 3, 1]
        >>> align.recipe(AutoRecipe(), 600, 1).loop.epochs  # so few rows are not learnt in one epoch
        6
        """
        start: MethodRecipe = METHODS[self.method].recipe
        options = {"seed": auto.loop.seed, "class_weight": auto.loop.class_weight, **self.options}
        if self.longer:
            steps = max(1, rows // BATCH)
            options["epochs"] = max(start.loop.epochs, min(MOST_EPOCHS, -(-FEW_STEPS // steps)))
        recipe = recipes.replace(start, **options)
        if self.cost(recipe, tokens) > max(passes, 1.0):
            fewest = -(-FEWEST_STEPS * BATCH // rows)
            affordable = max(fewest, int((passes - 1.0) / self._epoch(recipe, tokens)))
            recipe = recipes.replace(recipe, epochs=min(affordable, recipe.loop.epochs))
        trains = self.method in ("align", "finetune")  # an encoder is trained with float32 weights
        backbone = replace(auto.backbone, dtype="float32") if trains else auto.backbone
        return replace(recipe, backbone=backbone)

    def cost(self, recipe: MethodRecipe, tokens: float = SHORT_TEXT) -> float:
        """Passes forward of each row in a whole training, of texts with so many tokens.

        >>> prompt = ENTRIES["prompt"]
        >>> [prompt.cost(prompt.recipe(AutoRecipe(), 5000), tokens) for tokens in (16, 160)]
        [11.0, 2.0]
        """
        return 1.0 + self._epoch(recipe, tokens) * recipe.loop.epochs

    def _epoch(self, recipe: MethodRecipe, tokens: float) -> float:
        """The same of an epoch."""
        return self.passes * recipe.prompt.tokens / tokens if isinstance(recipe, TrainRecipe) else self.passes


# In the order in which they run; of equal ones the first is chosen. `ahead` is of the screens of `studies/auto`.
ENTRIES: Registry[RacedMethod] = Registry(
    CANDIDATES,
    {
        "probe": RacedMethod("probe", passes=0.0),
        "align": RacedMethod("align", instead="align_few", ahead=0.15),
        # With few rows in the place of `align`: its equal or better in the screens of `studies/auto`, which no few rows
        # could tell from it, so that the race would choose between them by chance.
        "align_few": RacedMethod("align", {"temperature": 0.2, "decision": "mean"}, few=True, ahead=0.15),
        # `studies/many_classes`: a head that starts at the class means, and the votes beside it.
        "align_many": RacedMethod("align", {"head_weight": 0.5, "head_start": "means", "decision": "both"}, many=MANY),
        "prompt": RacedMethod("prompt", passes=PROMPT_PASSES, ahead=0.02),
        "finetune": RacedMethod("finetune", longer=True, ahead=0.05),  # the dearest, for which time may be short
    },
)
