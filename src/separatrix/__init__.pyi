"""The public names and where each lives; `__init__.py` imports a name from there when it is first used."""

from separatrix import errors as errors
from separatrix import recipe as recipe
from separatrix import results as results
from separatrix.analysis.associate import associate as associate
from separatrix.analysis.cluster import cluster as cluster
from separatrix.analysis.compare import compare as compare
from separatrix.analysis.compress import compress as compress
from separatrix.analysis.heads import head_atlas as head_atlas
from separatrix.analysis.plan import plan as plan
from separatrix.analysis.project import blend as blend
from separatrix.analysis.project import project as project
from separatrix.analysis.rank import rank as rank
from separatrix.analysis.score import score as score
from separatrix.analysis.selection import select as select
from separatrix.analysis.suspects import suspects as suspects
from separatrix.analysis.transfer import export_vectors as export_vectors
from separatrix.analysis.transfer import import_vectors as import_vectors
from separatrix.estimators import PromptClassifier as PromptClassifier
from separatrix.estimators import PromptRegressor as PromptRegressor
from separatrix.estimators.align import AlignClassifier as AlignClassifier
from separatrix.estimators.auto import AutoClassifier as AutoClassifier
from separatrix.estimators.frozen import FrozenClassifier as FrozenClassifier
from separatrix.extraction.extract import extract as extract
from separatrix.folders import load as load
from separatrix.folders import report as report
from separatrix.learn.trained.loading import load_model as load_model
from separatrix.points import Points as Points
from separatrix.sweeps.verb import sweep as sweep
from separatrix.texts import Classes as Classes
from separatrix.texts import Splits as Splits
from separatrix.texts import Texts as Texts
from separatrix.texts import load_demo as load_demo
from separatrix.texts import load_splits as load_splits
from separatrix.texts import load_texts as load_texts
from separatrix.threads import set_threads as set_threads
from separatrix.training.export import export_classifier as export_classifier
from separatrix.training.predict import predict as predict
from separatrix.training.predict import predict_texts as predict_texts
from separatrix.training.verb import train as train

__version__: str
