"""Every window through the model, every map through the features, nothing else kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from separatrix.heads.features import Feature
from separatrix.heads.maps import collate, run_maps, shape_of, window_batches
from separatrix.heads.windows import Window
from separatrix.models.backbone import Backbone
from separatrix.models.batches import each_core

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
    backbone: Backbone, windows: Sequence[Window], features: Mapping[str, Feature], *, skip: int = 0
) -> Iterator[WindowFeatures]:
    """Run the windows in batches of similar length; the order of the batches is always the same.

    Args:
        backbone: from `load_for_maps`.
        windows: what to read.
        features: what to keep of each map.
        skip: batches that were done before.

    Raises:
        ModelError: the model shows no maps, or their rows do not sum to 1.
    """
    layers, heads = shape_of(backbone.model)

    def work(batch: tuple[int, NDArray[np.int64]]) -> WindowFeatures:
        place, numbers = batch
        padded, begun = collate([windows[number] for number in numbers], backbone), perf_counter()
        values = {name: torch.empty(len(numbers), layers, heads, each.width) for name, each in features.items()}
        seconds = dict.fromkeys(features, 0.0)

        def compute(layer: int, maps: Tensor) -> None:
            for name, each in features.items():
                start = perf_counter()
                values[name][:, layer] = each.compute(maps, padded).cpu()  # the copy waits for the device
                seconds[name] += perf_counter() - start

        # The first batch runs to the model's end, where a layer too many would show; the others stop at the last map.
        run_maps(backbone, padded, compute, whole=place == 0)
        seconds["model"] = perf_counter() - begun - sum(seconds.values())
        return WindowFeatures(numbers, {name: table.numpy() for name, table in values.items()}, seconds)

    batches = islice(window_batches(windows, CELLS[backbone.device.type]), skip, None)
    yield from each_core(enumerate(batches), work, backbone.device)
