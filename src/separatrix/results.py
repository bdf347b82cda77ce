"""The classes of what verbs return, for annotations and `isinstance`; each stands beside its verb."""

from separatrix.analysis.associate import Associations
from separatrix.analysis.cluster import Clusters
from separatrix.analysis.compare import Comparison
from separatrix.analysis.compress import Compression
from separatrix.analysis.heads import HeadAtlas
from separatrix.analysis.plan import Plan
from separatrix.analysis.project import Projection
from separatrix.analysis.rank import Ranking
from separatrix.analysis.score import Separation
from separatrix.analysis.suspects import Suspects
from separatrix.learn.trained.exported import OnnxClassifier
from separatrix.sweeps.result import SweepResult
from separatrix.training.methods.answers import AnswerResult
from separatrix.training.result import TrainingResult

__all__ = [
    "AnswerResult",
    "Associations",
    "Clusters",
    "Comparison",
    "Compression",
    "HeadAtlas",
    "OnnxClassifier",
    "Plan",
    "Projection",
    "Ranking",
    "Separation",
    "Suspects",
    "SweepResult",
    "TrainingResult",
]
