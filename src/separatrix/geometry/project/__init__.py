"""Flat pictures of points: made once, with a place for points that come later, and with what they hide.

    plane     the plane of largest variance
    prepare   what is done to columns or rows beforehand
    methods   PCA, t-SNE, UMAP, LDA: where rows go
    rows      which rows are fitted, which are held out
    maps      a finished map of any of them
    faithful  whether neighbours stay neighbours and labels stay apart

>>> sorted(METHODS), sorted(PREPARES)
(['lda', 'pca', 'tsne', 'umap'], ['none', 'standardise', 'unit', 'whiten'])
"""

from separatrix.geometry.plane import Plane, fit_plane, variance_shares
from separatrix.geometry.prepare import PREPARES
from separatrix.geometry.project.faithful import Faithfulness, Rows, Separation, faithfulness, separation
from separatrix.geometry.project.maps import Map, is_guided, make_map
from separatrix.geometry.project.methods import METHODS
from separatrix.geometry.project.rows import draw_held_out

__all__ = [
    "METHODS",
    "PREPARES",
    "Faithfulness",
    "Map",
    "Plane",
    "Rows",
    "Separation",
    "draw_held_out",
    "faithfulness",
    "fit_plane",
    "is_guided",
    "make_map",
    "separation",
    "variance_shares",
]
