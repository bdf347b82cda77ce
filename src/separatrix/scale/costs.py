"""What a job costs, before it is begun: stages with their FLOP and bytes, from the shape of the matrix alone.

A multiplication and an addition count as two. Only the work that grows fastest is counted (a pass of k-means is its
product); what goes on beside it is in the rate that is measured for it, or in no rate at all where a rate is published.
How long a stage takes on a machine: `scale.machine`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

RESNET_FLOP, RESNET_PIXELS = 8.2e9, 224  # of a ResNet-50 for one picture of this side (He et al., 2016)
MAP_FLOP = {"descriptors": 40, "grid": 4, "singular": 12}  # of a number of a map, about; singular: times its side
_FEW = 3  # columns of a map


@dataclass(frozen=True)
class Stage:
    """One reading of the data, or one calculation on what was read."""

    name: str
    kernel: str  # what computes it: a rate of a machine
    flop: float
    width: int  # numbers of a row: rates differ with it
    read: int = 0  # bytes of the matrix
    written: int = 0  # bytes
    alone: bool = False  # computed by one worker
    rows: int = 0  # of a stage that is measured by rows: tables and pictures

    def to_dict(self) -> dict[str, object]:
        """Plain values."""
        return dict(vars(self))


@dataclass(frozen=True)
class Shape:
    """A matrix on disk."""

    rows: int
    width: int
    number_bytes: int = 2

    @property
    def bytes(self) -> int:
        """All of it.

        >>> Shape(18_720_000, 2048).bytes
        76677120000
        """
        return self.rows * self.width * self.number_bytes


@dataclass(frozen=True)
class ModelShape:
    """The sizes of a transformer that decide what it computes."""

    layers: int
    hidden: int
    heads: int
    weights: int  # numbers in the matrices of all layers

    def flop(self, texts: int, tokens: float) -> float:
        """One forward of texts of so many tokens each, without the embeddings and an output over words.

        >>> ModelShape(layers=1, hidden=2, heads=1, weights=48).flop(texts=1, tokens=3)
        360.0
        """
        return float(texts * tokens * (2 * self.weights + 4 * tokens * self.hidden * self.layers))


def prepare_stages(shape: Shape, how: str) -> list[Stage]:
    """Checking all rows, and learning how columns are brought to one scale."""
    if how != "whiten":
        return [_moments(shape)]
    axes = Stage("axes", "eigh", 9.0 * shape.width**3, shape.width, alone=True)
    return [
        _products(shape),
        Stage("whitening", "moments", 4.0 * shape.rows * shape.width, shape.width, shape.bytes),
        axes,
    ]


def kmeans_stages(
    shape: Shape, ks: Sequence[int], passes: int, starts: int, sample: int, share: float = 1.0
) -> list[Stage]:
    """k-means in blocks: starts on a sample, passes over all rows, labels in float64.

    A pass after the first computes a `share` of the rows: bounds say that the others stay.
    """
    product = 2.0 * shape.width * sum(ks)
    drawn = min(sample, shape.rows)
    first = [Stage(f"{starts} starts on {drawn} rows", "starts", starts * drawn * product, shape.width, alone=True)]
    if drawn < shape.rows:  # rows of the sample are drawn by how far they lie
        first.insert(0, replace(_moments(shape), name="distances from the middle"))
    one = [
        Stage(f"pass {number + 1}", "lloyd", shape.rows * part * product, shape.width, shape.bytes)
        for number, part in enumerate([1.0, *[share] * passes][:passes])
    ]
    labels = Stage("labels", "assign", shape.rows * product, shape.width, shape.bytes, written=8 * shape.rows)
    return [*first, *one, labels]


def pca_stages(shape: Shape, dimensions: int) -> list[Stage]:
    """The plane of largest variance: all products of columns, its axes, coordinates of all rows."""
    axes = Stage("axes", "eigh", 9.0 * shape.width**3, shape.width, alone=True)
    flop = 2.0 * shape.rows * shape.width * dimensions
    kernel = "place" if dimensions <= _FEW else "lloyd"  # more columns are a product like that of k-means
    placing = Stage("placing", kernel, flop, shape.width, shape.bytes, written=4 * dimensions * shape.rows)
    return [_products(shape), axes, placing]


def linear_stages(shape: Shape, classes: int) -> list[Stage]:
    """Nearest centroid and linear discriminant of all rows: sums, shrinkage, and a reading for the answers of each."""
    answers = 2.0 * shape.rows * shape.width * classes
    each = [Stage(f"answers of {name}", "assign", answers, shape.width, shape.bytes) for name in ("centroid", "lda")]
    axes = Stage("axes", "eigh", 9.0 * shape.width**3, shape.width, alone=True)
    return [replace(_products(shape), name="class sums"), replace(_moments(shape), name="shrinkage"), axes, *each]


def nearest_stage(shape: Shape, others: int, name: str) -> Stage:
    """The nearest of `others` rows of every row."""
    return Stage(name, "distances", 2.0 * shape.rows * others * shape.width, shape.width, shape.bytes)


def dbscan_stage(shape: Shape) -> Stage:
    """All pairs once: what DBSCAN takes where no row has `min_samples` neighbors; at most that elsewhere."""
    flop = float(shape.rows) * shape.rows * shape.width
    return Stage("neighbors", "pairs", flop, shape.width, shape.bytes, written=8 * shape.rows)


def resnet_flop(maps: int, pixels: int) -> float:
    """A ResNet-50 on so many pictures.

    >>> resnet_flop(10, 448) / 8.2e9
    40.0
    """
    return maps * RESNET_FLOP * (pixels / RESNET_PIXELS) ** 2


def map_stages(model: ModelShape, windows: int, tokens: int, features: Sequence[str], pixels: int) -> list[Stage]:
    """Attention maps: the model, then each feature of every map."""
    maps = windows * model.layers * model.heads
    stages = [Stage("model", "forward", model.flop(windows, tokens), model.hidden)]
    for name in features:
        if name == "resnet":
            flop = resnet_flop(maps, pixels)
        else:
            flop = float(maps) * tokens**2 * MAP_FLOP.get(name, 1) * (tokens if name == "singular" else 1)
        stages.append(Stage(f"{name} of {maps} maps", name, flop, tokens))
    return stages


def _moments(shape: Shape) -> Stage:
    return Stage("moments", "moments", 4.0 * shape.rows * shape.width, shape.width, shape.bytes)


def _products(shape: Shape) -> Stage:
    """Of a matrix with itself one half is computed."""
    return Stage("products of columns", "products", float(shape.rows) * shape.width**2, shape.width, shape.bytes)
