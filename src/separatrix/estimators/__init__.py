"""scikit-learn faces: what a pipeline, a grid search or a few lines of Python need.

inputs    lists, arrays, frames and series in; `Texts` out
training  options to a recipe, rows held out, a training, its figures as attributes
base      what the estimators share: transform, save, load, pickle
prompt    `PromptClassifier` and `PromptRegressor`
align     `AlignClassifier`
frozen    `FrozenClassifier`
auto      `AutoClassifier`
"""

from separatrix.estimators.align import AlignClassifier
from separatrix.estimators.auto import AutoClassifier
from separatrix.estimators.frozen import FrozenClassifier
from separatrix.estimators.prompt import PromptClassifier, PromptRegressor

__all__ = ["AlignClassifier", "AutoClassifier", "FrozenClassifier", "PromptClassifier", "PromptRegressor"]
