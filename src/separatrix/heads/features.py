"""What is kept of a map: a dict of features, each a function on a batch of maps. Nothing else of a window is kept.

    (maps (rows, heads, tokens, tokens), batch) -> (rows, heads, width)

A further feature is one function and one entry in `FEATURES`. All of them give the same numbers whatever stands beside
a window in its batch. `twins` is learnt from the grids afterwards (`learn.twins`), as is the PCA of any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from separatrix.heads import descriptors as numbers
from separatrix.heads.frames import grid
from separatrix.heads.maps import WindowBatch, collate, run_maps, shape_of, window_batches
from separatrix.heads.resnet import load_resnet, resnet_vectors
from separatrix.heads.windows import Window
from separatrix.models.backbone import Backbone
from separatrix.models.batches import each_core
from separatrix.recipe.registry import Registry
from separatrix.recipe.vectors import FEATURE_NAMES

CPU = torch.device("cpu")

Compute = Callable[[Tensor, WindowBatch], Tensor]


@dataclass(frozen=True)
class Feature:
    """A way to turn maps into rows of numbers."""

    columns: tuple[str, ...]
    compute: Compute

    @property
    def width(self) -> int:
        """Numbers a map."""
        return len(self.columns)


@dataclass(frozen=True)
class FeatureSetup:
    """What the features need to know; see `recipe.heads` for the meaning."""

    cells: int = 16
    values: int = 16
    weights: str = "random"
    pixels: int = 384
    frame: str = "pad"
    scaling: str = "map"
    seed: int = 0
    device: torch.device = CPU


def _descriptors(setup: FeatureSetup) -> Feature:  # noqa: ARG001 - every maker takes the setup
    """Fifteen named numbers; sources in `heads.descriptors`."""
    return Feature(numbers.NAMES, numbers.descriptors)


def _grid(setup: FeatureSetup) -> Feature:
    """The map as a small picture (Guan et al. 2020 cluster heat maps; here every map has the same size)."""
    columns = tuple(f"cell_{row}_{column}" for row in range(setup.cells) for column in range(setup.cells))
    return Feature(columns, lambda maps, batch: grid(maps, batch, setup.cells))


def _singular(setup: FeatureSetup) -> Feature:
    """The largest singular values, and the effective rank (Roy and Vetterli 2007) as a share of the length."""
    columns = (*(f"value_{number}" for number in range(setup.values)), "effective_rank")
    return Feature(columns, lambda maps, batch: singular_values(maps, batch, setup.values))


def _resnet(setup: FeatureSetup) -> Feature:
    """2,048 numbers of a ResNet-50, for Barlow Twins weights (Zbontar et al. 2021), say."""
    network = load_resnet(setup.weights, setup.device, seed=setup.seed)
    columns = tuple(f"channel_{number}" for number in range(network.width))

    def compute(maps: Tensor, batch: WindowBatch) -> Tensor:
        return resnet_vectors(network, maps, batch, pixels=setup.pixels, frame=setup.frame, scaling=setup.scaling)

    return Feature(columns, compute)


FEATURES: Registry[Callable[[FeatureSetup], Feature]] = Registry(
    FEATURE_NAMES, {"descriptors": _descriptors, "grid": _grid, "singular": _singular, "resnet": _resnet}
)


def singular_values(maps: Tensor, batch: WindowBatch, values: int) -> Tensor:
    """Largest singular values of each map, falling, and its effective rank over its length.

    Returns:
        (rows, heads, values + 1); maps with fewer values are filled up with zeros.
    """
    singular = torch.linalg.svdvals(maps)  # pads are zero rows and columns: they add zeros only
    shares = singular / singular.sum(dim=-1, keepdim=True).clamp(min=numbers.TINY)
    rank = (-(shares * shares.clamp(min=numbers.TINY).log()).sum(dim=-1)).exp() / batch.lengths[:, None]
    largest = singular[..., :values]
    largest = torch.nn.functional.pad(largest, (0, values - largest.shape[-1]))
    return torch.cat([largest, rank[..., None]], dim=-1)


# Tokens squared of a batch. On a processor small batches win: the maps of one layer stay near its cache, and windows of
# one length need no pads.
CELLS = {"cpu": 1 << 16, "cuda": 1 << 22}


@dataclass(frozen=True)
class WindowFeatures:
    """The features of one batch of windows."""

    numbers: NDArray[np.int64]  # (windows,) which windows
    values: Mapping[str, NDArray[np.float32]]  # name -> (windows, layers, heads, width)
    seconds: Mapping[str, float]  # of the model and of each feature, on the core that did the batch


def extract_features(
    backbone: Backbone, windows: Sequence[Window], features: Mapping[str, Feature]
) -> Iterator[WindowFeatures]:
    """Run the windows in batches of similar length; the order of the batches is always the same.

    Raises:
        ModelError: the model shows no maps, or their rows do not sum to 1.
    """
    layers, heads = shape_of(backbone.model)

    def work(batch: tuple[int, NDArray[np.int64]]) -> WindowFeatures:
        number, numbers = batch
        padded, begun = collate([windows[number] for number in numbers], backbone), perf_counter()
        values = {name: torch.empty(len(numbers), layers, heads, each.width) for name, each in features.items()}
        seconds = dict.fromkeys(features, 0.0)

        def compute(layer: int, maps: Tensor) -> None:
            for name, each in features.items():
                start = perf_counter()
                values[name][:, layer] = each.compute(maps, padded).cpu()  # the copy waits for the device
                seconds[name] += perf_counter() - start

        # The first batch runs to the model's end, where a layer too many would show; the others stop at the last map.
        run_maps(backbone, padded, compute, whole=number == 0)
        seconds["model"] = perf_counter() - begun - sum(seconds.values())
        return WindowFeatures(numbers, {name: table.numpy() for name, table in values.items()}, seconds)

    batches = window_batches(windows, CELLS[backbone.device.type])
    yield from each_core(enumerate(batches), work, backbone.device)
