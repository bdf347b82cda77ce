"""scikit-learn faces: what a pipeline, a grid search or a few lines of Python need.

inputs    lists, arrays, frames and series in; `Texts` out
training  options, training, figures, guards: the verbs written out
face      what the estimators of trained models share: fit, transform, save, load, pickle
prompt    `PromptClassifier` and `PromptRegressor`
align     `AlignClassifier`
frozen    `FrozenClassifier`
"""

from separatrix.estimators.align import AlignClassifier
from separatrix.estimators.frozen import FrozenClassifier
from separatrix.estimators.prompt import PromptClassifier, PromptRegressor

__all__ = ["AlignClassifier", "FrozenClassifier", "PromptClassifier", "PromptRegressor"]
