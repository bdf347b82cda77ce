"""A batch as large as the loss wants, in the memory of a small one: gradient caching (Gao et al., 2021, RepL4NLP).

A loss over pairs needs all vectors at once, but not all activations. First pass: all vectors, without gradient. The
loss over them gives the gradient of each vector. Second pass: chunk by chunk, each with its part of that gradient.
Forward work doubles, memory is that of a chunk; the gradient is the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from separatrix.learn.objectives.base import LossValue
from separatrix.models.batches import token_batches


def chunked(lengths: np.ndarray, size: int, tokens: int) -> list[np.ndarray]:
    """Places of rows of these lengths in chunks of at most `size` rows and so many padded tokens, a row at least.

    Several chunks are sorted by length, so that little is padded; what fits in one stays in its order.

    >>> [chunk.tolist() for chunk in chunked(np.array([5, 1, 4]), 2, 100)]
    [[1, 2], [0]]
    >>> [chunk.tolist() for chunk in chunked(np.array([5, 1, 4]), 100, 7)]
    [[1], [2], [0]]
    >>> [chunk.tolist() for chunk in chunked(np.array([5, 1, 4]), 3, 15)]
    [[0, 1, 2]]
    """
    if len(lengths) <= size and len(lengths) * int(lengths.max()) <= tokens:
        return [np.arange(len(lengths))]
    return list(token_batches(lengths, tokens, size))


def backward(
    forward: Callable[[np.ndarray, int], Tensor], chunks: list[np.ndarray], loss: Callable[[Tensor], LossValue]
) -> tuple[Tensor, LossValue]:
    """Gradients of a loss over all rows into whatever `forward` and `loss` are made of.

    Args:
        forward: outputs (places, width) of the rows at these places; gets the number of its chunk, so that what is
            random in it can be drawn twice alike.
        chunks: the places of all rows, each in one chunk. One chunk goes through once, as usual. Where `forward` gives
            no gradient (all that it is made of is frozen), there is no second pass.
        loss: of the outputs of all rows in order (rows, width).

    Returns:
        The outputs of all rows, detached, and the value of the loss.
    """
    back = torch.from_numpy(np.argsort(np.concatenate(chunks), kind="stable"))
    if len(chunks) == 1:
        z = _ordered(forward(chunks[0], 0), back)
        value = loss(z)
        value.total.backward()
        return z.detach(), value
    with torch.no_grad():
        parts = [forward(chunk, number) for number, chunk in enumerate(chunks)]
    z = _ordered(torch.cat(parts), back).requires_grad_()
    value = loss(z)
    value.total.backward()
    wanted = z.grad
    assert wanted is not None
    for number, chunk in enumerate(chunks):
        again = forward(chunk, number)
        if not again.requires_grad:
            break
        again.backward(wanted[torch.from_numpy(chunk).to(z.device)])
    return z.detach(), value


def _ordered(z: Tensor, back: Tensor) -> Tensor:
    return z[back.to(z.device)]
