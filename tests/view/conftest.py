import numpy as np
import pytest

from separatrix.view import Frames


@pytest.fixture
def make_frames():
    """Frames in which the rows walk from one heap to their own corner, so that later frames are better."""

    def make(classes=3, rows=30, count=4, seed=0, **changes):
        rng = np.random.default_rng(seed)
        labels = np.arange(rows) % classes
        angle = 2 * np.pi * np.arange(classes) / classes
        goal = 9 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        share = np.linspace(0.1, 1, count)[:, None, None]
        points = share * goal[labels] + rng.normal(size=(count, rows, 2))
        centroids = share * goal
        distance = np.linalg.norm(points[:, :, None] - centroids[:, None], axis=-1)
        values = {
            "points": points,
            "centroids": centroids,
            "labels": labels,
            "predicted": distance.argmin(axis=-1),
            "names": tuple(f"class {k}" for k in range(classes)),
            "titles": tuple(f"epoch {index}" for index in range(count)),
            "texts": tuple(f"text {row}" for row in range(rows)),
            "axes": ("PC 1 (41.2 % of variance)", "PC 2 (18.0 %)"),
            "note": "trustworthiness 0.93, k-NN overlap 0.41 (k = 10, 30 rows, seed 0)",
        }
        return Frames(**{**values, **changes})

    return make
