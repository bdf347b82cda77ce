"""Teach a transformer to separate your classes, and see - in numbers and pictures - whether it did.

    import separatrix as sx

    train, test = sx.load_texts("questions.csv", text="question", label="kind").split(0.2, seed=0)
    classifier = sx.PromptClassifier(tokens=8, seed=0).fit(train.text, train.label)
    classifier.score(test.text, test.label)

Every name is imported when it is first used (PEP 562), so that `import separatrix` loads neither torch nor
scikit-learn nor pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from separatrix.errors import (
        DataError,
        MissingExtra,
        ModelError,
        OptionError,
        SeparatrixError,
        ShapeError,
        StoreError,
    )
    from separatrix.estimators import PromptClassifier, PromptRegressor
    from separatrix.recipe import (
        CacheRecipe,
        CentroidRecipe,
        LoopRecipe,
        LossRecipe,
        ModelRecipe,
        PromptRecipe,
        TrainRecipe,
    )
    from separatrix.study.predict import load_model, predict_texts
    from separatrix.study.run import Order, train_run
    from separatrix.study.show import show_run
    from separatrix.texts import Classes, Splits, Texts, load_demo, load_splits, load_texts

    __version__: str

# Where each public name lives; the imports above say the same to type checkers.
_HOMES = {
    "separatrix.errors": (
        "DataError",
        "MissingExtra",
        "ModelError",
        "OptionError",
        "SeparatrixError",
        "ShapeError",
        "StoreError",
    ),
    "separatrix.estimators": ("PromptClassifier", "PromptRegressor"),
    "separatrix.recipe": (
        "CacheRecipe",
        "CentroidRecipe",
        "LoopRecipe",
        "LossRecipe",
        "ModelRecipe",
        "PromptRecipe",
        "TrainRecipe",
    ),
    "separatrix.study.predict": ("load_model", "predict_texts"),
    "separatrix.study.run": ("Order", "train_run"),
    "separatrix.study.show": ("show_run",),
    "separatrix.texts": ("Classes", "Splits", "Texts", "load_demo", "load_splits", "load_texts"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # written out for type checkers; a test compares it with `_HOME`
    "CacheRecipe",
    "CentroidRecipe",
    "Classes",
    "DataError",
    "LoopRecipe",
    "LossRecipe",
    "MissingExtra",
    "ModelError",
    "ModelRecipe",
    "OptionError",
    "Order",
    "PromptClassifier",
    "PromptRecipe",
    "PromptRegressor",
    "SeparatrixError",
    "ShapeError",
    "Splits",
    "StoreError",
    "Texts",
    "TrainRecipe",
    "__version__",
    "load_demo",
    "load_model",
    "load_splits",
    "load_texts",
    "predict_texts",
    "show_run",
    "train_run",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("separatrix")
    elif name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted({*globals(), *__all__})
