"""The options of every stage: frozen dataclasses, the only source of defaults and of option texts.

A recipe is plain data. It is checked when it is made (all mistakes before any work), written beside every result as
canonical JSON, and hashed, so that a second call with the same recipe can load instead of compute. The command line
and the estimators read names, defaults, texts and limits from here; nothing else holds a second copy.

core     what every recipe can do
train    a training
effect   which options of a training change nothing beside which others
align    a training of the encoder itself
load     how the data are read
vectors, score, project, cluster, heads    one verb, or a few, each
"""

from separatrix.recipe.align import AlignRecipe
from separatrix.recipe.cluster import AssociateRecipe, ClusterRecipe, SuspectsRecipe
from separatrix.recipe.core import (
    canonical,
    check,
    checked,
    decisive,
    digest,
    flag,
    from_dict,
    option,
    option_names,
    part_of,
    record,
    replace,
    to_dict,
    without_later,
)
from separatrix.recipe.heads import HeadsRecipe
from separatrix.recipe.load import LoadRecipe
from separatrix.recipe.project import BlendRecipe, CompareRecipe, ProjectRecipe
from separatrix.recipe.score import RankRecipe, ScoreRecipe
from separatrix.recipe.sweep import SweepRecipe
from separatrix.recipe.train import (
    DEFAULT_MODEL,
    LOSSES,
    CacheRecipe,
    CentroidRecipe,
    LoopRecipe,
    LossRecipe,
    ModelRecipe,
    ProbingRecipe,
    PromptRecipe,
    TrainRecipe,
)
from separatrix.recipe.vectors import ExtractRecipe

__all__ = [
    "DEFAULT_MODEL",
    "LOSSES",
    "AlignRecipe",
    "AssociateRecipe",
    "BlendRecipe",
    "CacheRecipe",
    "CentroidRecipe",
    "ClusterRecipe",
    "CompareRecipe",
    "ExtractRecipe",
    "HeadsRecipe",
    "LoadRecipe",
    "LoopRecipe",
    "LossRecipe",
    "ModelRecipe",
    "ProbingRecipe",
    "ProjectRecipe",
    "PromptRecipe",
    "RankRecipe",
    "ScoreRecipe",
    "SuspectsRecipe",
    "SweepRecipe",
    "TrainRecipe",
    "canonical",
    "check",
    "checked",
    "decisive",
    "digest",
    "flag",
    "from_dict",
    "option",
    "option_names",
    "part_of",
    "record",
    "replace",
    "to_dict",
    "without_later",
]
