"""scikit-learn faces: what a pipeline, a grid search or a few lines of Python need.

inputs    lists, arrays, frames and series in; `Texts` out
training  options, training, figures, guards: the verbs written out
face      what the two estimators share: fit, transform, save, load, pickle
prompt    `PromptClassifier` and `PromptRegressor`
"""

from separatrix.estimators.prompt import PromptClassifier, PromptRegressor

__all__ = ["PromptClassifier", "PromptRegressor"]
