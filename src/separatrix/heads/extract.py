"""Every window through the model, every map through the features, nothing else kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass
class Clock:
    """Seconds by stage, added up over the cores that work side by side."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, begun: float) -> None:
        """Count the time since `begun` to a stage."""
        self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - begun

    def take(self, other: Clock) -> None:
        """Count what another clock has counted."""
        for name, seconds in other.seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds


@dataclass(frozen=True)
class Extracted:
    """The features of one batch of windows."""

    places: NDArray[np.int64]  # (windows,) which windows
    values: Mapping[str, NDArray[np.float32]]  # name -> (windows, layers, heads, width)
    clock: Clock


def extract_features(
    backbone: Backbone,
    windows: Sequence[Window],
    features: Mapping[str, Feature],
    *,
    skip: int = 0,
    clock: Clock | None = None,
) -> Iterator[Extracted]:
    """Run the windows in batches of similar length; the order of the batches is always the same.

    Args:
        backbone: from `load_for_maps`.
        windows: what to read.
        features: what to keep of each map.
        skip: batches that were done before.
        clock: counts the seconds of the model and of each feature.

    Raises:
        ModelError: the model shows no maps, or their rows do not sum to 1.
    """
    batches = islice(window_batches(windows, CELLS[backbone.device.type]), skip, None)

    def work(numbered: tuple[int, NDArray[np.int64]]) -> Extracted:
        number, places = numbered
        # The first batch runs to the model's end, where a layer too many would show; the others stop at the last map.
        return extract_batch(backbone, [windows[place] for place in places], places, features, whole=number == 0)

    for found in each_core(enumerate(batches), work, backbone.device):
        if clock is not None:
            clock.take(found.clock)
        yield found


def extract_batch(
    backbone: Backbone,
    windows: Sequence[Window],
    places: NDArray[np.int64],
    features: Mapping[str, Feature],
    *,
    whole: bool = True,
) -> Extracted:
    """One batch of windows, which stand at these places; `whole` as in `run_maps`."""
    (layers, heads), clock = shape_of(backbone.model), Clock()
    batch = collate(windows, backbone)
    values = {name: torch.empty(len(places), layers, heads, each.width) for name, each in features.items()}

    def keep(layer: int, maps: Tensor) -> None:
        for name, each in features.items():
            begun = perf_counter()
            values[name][:, layer] = each.compute(maps, batch).cpu()  # the copy waits for the device
            clock.add(name, begun)

    begun = perf_counter()
    run_maps(backbone, batch, keep, whole=whole)
    clock.add("model", begun + sum(clock.seconds.values()))
    return Extracted(places.astype(np.int64), {name: table.numpy() for name, table in values.items()}, clock)
