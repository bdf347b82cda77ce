"""Maps of different lengths brought to one size: as a grid of means, or as a picture for a vision network.

`grid` and `picture` take the real square of each map and no pad: with pads as part of the
picture, the length of a text could pass for the behaviour of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from separatrix.heads.maps import WindowBatch

LARGEST = 255.0  # of a scaled map, as of a grey picture


def area_weights(lengths: Tensor, tokens: int, cells: int) -> Tensor:
    """Weights that average `length` tokens into cells of equal width; pads weigh nothing.

    Returns:
        (rows, cells, tokens); each row of cells sums to 1.

    >>> area_weights(torch.tensor([3]), 4, 2)[0].tolist()
    [[0.6666666865348816, 0.3333333432674408, 0.0, 0.0], [0.0, 0.3333333432674408, 0.6666666865348816, 0.0]]
    """
    width = lengths.float()[:, None, None] / cells
    start = torch.arange(cells, device=lengths.device)[None, :, None] * width
    left = torch.arange(tokens, device=lengths.device)[None, None, :].float()
    overlap = torch.minimum(left + 1, start + width) - torch.maximum(left, start)
    return overlap.clamp(min=0) * (left < lengths[:, None, None]) / width


def grid(maps: Tensor, batch: WindowBatch, cells: int) -> Tensor:
    """The map (rows, heads, tokens, tokens; zero at pads) as cells x cells means, times its length.

    1 is even attention, whatever the length.

    Returns:
        (rows, heads, cells * cells).
    """
    weights = batch.once(f"area {cells}", lambda batch: area_weights(batch.lengths, batch.mask.shape[1], cells))
    means = weights[:, None] @ (maps @ weights[:, None].transpose(2, 3))  # (rows, heads, cells, cells)
    return (means * batch.lengths[:, None, None, None]).flatten(2)


def _scaled(maps: Tensor, batch: WindowBatch, *, dims: tuple[int, ...]) -> Tensor:
    """The largest weight over `dims` to 255, the smallest to 0."""
    real = (batch.mask[:, :, None] & batch.mask[:, None, :])[:, None]  # (rows, 1, tokens, tokens)
    low = maps.masked_fill(~real, torch.inf).amin(dim=dims, keepdim=True)
    high = maps.masked_fill(~real, -torch.inf).amax(dim=dims, keepdim=True)
    reach = high - low
    # A constant map or column becomes 0, and so do the pads.
    usable = real & (reach > 0) & reach.isfinite()
    return torch.where(usable, (maps - low) / torch.where(usable, reach, 1.0) * LARGEST, 0.0)


SCALINGS: dict[str, Callable[[Tensor, WindowBatch], Tensor]] = {
    "map": partial(_scaled, dims=(-2, -1)),
    "column": partial(_scaled, dims=(-2,)),  # each column (key) by itself: as scikit-learn's MinMaxScaler does
    "none": lambda maps, _batch: maps,
}


def pad_frame(maps: Tensor, batch: WindowBatch, pixels: int) -> Tensor:  # noqa: ARG001 - every frame takes the batch
    """The map in the upper left corner of an empty picture; (rows, heads, pixels, pixels)."""
    fill = pixels - maps.shape[-1]
    # A negative fill cuts pads away: no window is longer than the picture (`resnet` checks it).
    return torch.nn.functional.pad(maps, (0, fill, 0, fill))


def fit_frame(maps: Tensor, batch: WindowBatch, pixels: int) -> Tensor:
    """The map stretched or shrunk to the picture by areas, so that length leaves no trace in its size."""
    weights = batch.once(f"area {pixels}", lambda batch: area_weights(batch.lengths, batch.mask.shape[1], pixels))
    return weights[:, None] @ (maps @ weights[:, None].transpose(2, 3))


FRAMES = {"pad": pad_frame, "fit": fit_frame}
