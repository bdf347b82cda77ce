"""Flat pictures of points: made once, with a place for points that come later, and with what they hide.

    methods   PCA, t-SNE, UMAP, LDA: where rows go
    maps      a finished map of any of them: which rows are fitted, which are held out
    faithful  whether neighbors stay neighbors and labels stay apart

>>> sorted(METHODS), sorted(PREPARES)
(['lda', 'pca', 'tsne', 'umap'], ['none', 'standardise', 'unit', 'whiten'])
"""

from separatrix.geometry.plane import Plane, fit_plane, variance_shares
from separatrix.geometry.prepare import PREPARES
from separatrix.geometry.project.faithful import Faithfulness, MappedRows, VoteAccuracy, faithfulness, vote_accuracy
from separatrix.geometry.project.maps import FittedMap, Map, draw_held_out, is_guided, make_map
from separatrix.geometry.project.methods import METHODS, pca_layout

__all__ = [
    "METHODS",
    "PREPARES",
    "Faithfulness",
    "FittedMap",
    "Map",
    "MappedRows",
    "Plane",
    "VoteAccuracy",
    "draw_held_out",
    "faithfulness",
    "fit_plane",
    "is_guided",
    "make_map",
    "pca_layout",
    "variance_shares",
    "vote_accuracy",
]
