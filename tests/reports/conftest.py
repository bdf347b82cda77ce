import numpy as np
import pytest

from separatrix.recipe import TrainRecipe, to_dict
from separatrix.reports import RunReport
from separatrix.reports.rows import PageRows, RowMap
from separatrix.view import Frames

EVIL = (
    '<img src=x onerror="document.body.dataset.evil=1"> </script><script>document.body.dataset.evil=1</script>'
    " <b>bold</b> &lt; & %{x} \u2028 $x$ \ud800"
)


@pytest.fixture(scope="session")
def evil():
    return EVIL


@pytest.fixture(scope="session")
def make_frames():
    def make(classes=3, rows=30, count=4, names=None, texts=None):
        rng = np.random.default_rng(0)
        labels = np.arange(rows) % classes
        angle = 2 * np.pi * np.arange(classes) / classes
        goal = 9 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        share = np.linspace(0.1, 1, count)[:, None, None]
        points, centroids = share * goal[labels] + 5 * rng.normal(size=(count, rows, 2)), share * goal
        distance = np.linalg.norm(points[:, :, None] - centroids[:, None], axis=-1)
        return Frames(
            points, centroids, labels, distance.argmin(axis=-1), names or tuple(f"class {k}" for k in range(classes)),
            tuple(f"epoch {index}" for index in range(count)), texts or tuple(f"text {row}" for row in range(rows)),
            ("PC 1", "PC 2"), "trustworthiness 0.93",
        )  # fmt: skip

    return make


def rows_of(frames):
    """The page's rows of frames, with probabilities that say how far a row is from each centroid."""
    away = np.linalg.norm(frames.points[-1][:, None] - frames.centroids[-1], axis=-1)
    shares = np.exp(-away) / np.exp(-away).sum(axis=1, keepdims=True)
    rows = len(frames.texts)
    ids, splits = [f"id-{row}" for row in range(rows)], ["validation"] * rows
    wrong = frames.predicted[-1] != frames.labels
    suspect = np.where(wrong, 0.6 + 0.3 * np.arange(rows) / rows, np.nan)
    unknown = (np.arange(rows) % 5 == 0) * 2
    return PageRows(
        frames.texts, frames.names, frames.labels, frames.predicted[-1], ids, splits, shares, suspect, unknown
    )


@pytest.fixture(scope="session")
def make_report(make_frames):
    def make(frames=None, **changes):
        frames = frames or make_frames()
        classes = len(frames.names)
        counts = np.zeros((classes, classes), dtype=int)
        np.add.at(counts, (frames.labels, frames.predicted[-1]), 1)
        own = {"accuracy": 0.9, "interval": (0.85, 0.94), "macro_f1": 0.89, "majority": 0.34, "rows": 30}
        values = {
            "title": "Questions",
            "summary": (("model", "tiny"), ("seconds", 41.3)),
            "scores": [
                {"method": "prompt", "split": "test", **own},
                {"method": "k-NN", "split": "test", "accuracy": 0.8},
                {"method": "majority", "split": "test", "accuracy": 0.34},
            ],
            "per_class": [{"class": name, "rows": 10, "recall": 0.9} for name in frames.names],
            "confusion": counts,
            "names": frames.names,
            "metrics": [{"epoch": 1, "loss": 0.9, "validation": {"accuracy": 0.8, "majority": 0.34}}],
            "confusion_part": "validation",
            "rows": rows_of(frames),
            "maps": [RowMap.of_frames("outputs", frames)],
            "recipe": to_dict(TrainRecipe()),
            "notes": ("3 texts were cut",),
        }
        return RunReport(**{**values, **changes})

    return make
