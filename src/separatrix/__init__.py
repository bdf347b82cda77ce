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
    from separatrix.analysis.associate import Associations, associate
    from separatrix.analysis.cluster import Clusters, cluster, open_clusters
    from separatrix.analysis.compare import compare
    from separatrix.analysis.heads import HeadAtlas, head_atlas, open_atlas
    from separatrix.analysis.project import Projection, blend, project
    from separatrix.analysis.rank import Ranking, rank
    from separatrix.analysis.score import Separation, score
    from separatrix.analysis.suspects import Suspects, suspects
    from separatrix.errors import (
        DataError,
        MissingExtra,
        ModelError,
        OptionError,
        SeparatrixError,
        SeparatrixWarning,
        ShapeError,
        StoreError,
    )
    from separatrix.estimators import PromptClassifier, PromptRegressor
    from separatrix.estimators.align import AlignClassifier
    from separatrix.estimators.frozen import FrozenClassifier
    from separatrix.extraction.extract import extract
    from separatrix.learn.trained.loading import load_model
    from separatrix.points import Points
    from separatrix.recipe import (
        AlignRecipe,
        AssociateRecipe,
        BlendRecipe,
        CacheRecipe,
        CentroidRecipe,
        ClusterRecipe,
        ExtractRecipe,
        HeadsRecipe,
        LoopRecipe,
        LossRecipe,
        ModelRecipe,
        ProjectRecipe,
        PromptRecipe,
        ScoreRecipe,
        SuspectsRecipe,
        TrainRecipe,
    )
    from separatrix.report.collect import show_folders
    from separatrix.store.points import check_points, open_points, write_points
    from separatrix.texts import Classes, Splits, Texts, load_demo, load_splits, load_texts
    from separatrix.threads import set_threads
    from separatrix.training.predict import predict_texts
    from separatrix.training.run import Order, train_run
    from separatrix.training.show import show_run

    __version__: str

# Where each public name lives; the imports above say the same to type checkers.
_HOMES = {
    "separatrix.errors": (
        "DataError",
        "MissingExtra",
        "ModelError",
        "OptionError",
        "SeparatrixError",
        "SeparatrixWarning",
        "ShapeError",
        "StoreError",
    ),
    "separatrix.estimators": ("PromptClassifier", "PromptRegressor"),
    "separatrix.estimators.align": ("AlignClassifier",),
    "separatrix.estimators.frozen": ("FrozenClassifier",),
    "separatrix.points": ("Points",),
    "separatrix.recipe": (
        "AlignRecipe",
        "AssociateRecipe",
        "BlendRecipe",
        "CacheRecipe",
        "CentroidRecipe",
        "ClusterRecipe",
        "ExtractRecipe",
        "HeadsRecipe",
        "LoopRecipe",
        "LossRecipe",
        "ModelRecipe",
        "ProjectRecipe",
        "PromptRecipe",
        "ScoreRecipe",
        "SuspectsRecipe",
        "TrainRecipe",
    ),
    "separatrix.store.points": ("check_points", "open_points", "write_points"),
    "separatrix.analysis.associate": ("Associations", "associate"),
    "separatrix.analysis.cluster": ("Clusters", "cluster", "open_clusters"),
    "separatrix.report.collect": ("show_folders",),
    "separatrix.analysis.compare": ("compare",),
    "separatrix.extraction.extract": ("extract",),
    "separatrix.analysis.heads": ("HeadAtlas", "head_atlas", "open_atlas"),
    "separatrix.learn.trained.loading": ("load_model",),
    "separatrix.training.predict": ("predict_texts",),
    "separatrix.analysis.project": ("Projection", "blend", "project"),
    "separatrix.analysis.rank": ("Ranking", "rank"),
    "separatrix.training.run": ("Order", "train_run"),
    "separatrix.analysis.score": ("Separation", "score"),
    "separatrix.training.show": ("show_run",),
    "separatrix.analysis.suspects": ("Suspects", "suspects"),
    "separatrix.texts": ("Classes", "Splits", "Texts", "load_demo", "load_splits", "load_texts"),
    "separatrix.threads": ("set_threads",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # written out for type checkers; a test compares it with `_HOMES`
    "AlignClassifier",
    "AlignRecipe",
    "AssociateRecipe",
    "Associations",
    "BlendRecipe",
    "CacheRecipe",
    "CentroidRecipe",
    "Classes",
    "ClusterRecipe",
    "Clusters",
    "DataError",
    "ExtractRecipe",
    "FrozenClassifier",
    "HeadAtlas",
    "HeadsRecipe",
    "LoopRecipe",
    "LossRecipe",
    "MissingExtra",
    "ModelError",
    "ModelRecipe",
    "OptionError",
    "Order",
    "Points",
    "ProjectRecipe",
    "Projection",
    "PromptClassifier",
    "PromptRecipe",
    "PromptRegressor",
    "Ranking",
    "ScoreRecipe",
    "Separation",
    "SeparatrixError",
    "SeparatrixWarning",
    "ShapeError",
    "Splits",
    "StoreError",
    "Suspects",
    "SuspectsRecipe",
    "Texts",
    "TrainRecipe",
    "__version__",
    "associate",
    "blend",
    "check_points",
    "cluster",
    "compare",
    "extract",
    "head_atlas",
    "load_demo",
    "load_model",
    "load_splits",
    "load_texts",
    "open_atlas",
    "open_clusters",
    "open_points",
    "predict_texts",
    "project",
    "rank",
    "score",
    "set_threads",
    "show_folders",
    "show_run",
    "suspects",
    "train_run",
    "write_points",
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
    """The public names, imported or not, and the modules that are imported; nothing that this file itself uses."""
    own = [name for name, value in globals().items() if getattr(value, "__name__", "").startswith(f"{__name__}.")]
    return sorted({*own, *__all__})
