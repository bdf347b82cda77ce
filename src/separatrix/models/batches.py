"""Rows in batches that hardly hold a pad, and batches on the cores of the machine."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from separatrix.models.backbone import Backbone

# Padded tokens of one forward without gradient. On a CPU the values between the layers have to stay in a core's cache,
# and sorted texts leave hardly a pad in small batches either; CUDA wants large ones.
CPU_TOKENS, CUDA_TOKENS = 1024, 32768
GROUP = 16  # batches: seconds of a core with a small model, and most of a window on CUDA
ALONE_BYTES = 4 << 20  # that one core copies sooner than threads are begun
A = TypeVar("A")
B = TypeVar("B")


def pad_tokens(ids: list[tuple[int, ...]], backbone: Backbone) -> tuple[Tensor, Tensor]:
    """Right-padded token ids and their mask, each (rows, longest)."""
    longest = max(map(len, ids))
    pad = backbone.pad
    table = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in ids], device=backbone.device)
    lengths = torch.tensor([len(row) for row in ids], device=backbone.device)
    return table, (torch.arange(longest, device=backbone.device)[None, :] < lengths[:, None]).long()


def token_batches(lengths: np.ndarray, budget: int, most: int | None = None) -> Iterator[np.ndarray]:
    """Row numbers in batches of similar length whose padded size stays within the budget (at least one row each).

    With `most`, a batch has no more rows than that.

    >>> [batch.tolist() for batch in token_batches(np.array([5, 1, 4, 2]), budget=8)]
    [[1, 3], [2], [0]]
    """
    order = np.argsort(lengths, kind="stable")
    start = 0
    for stop in range(1, len(order) + 1):
        full = stop < len(order) and int(lengths[order[stop]]) * (stop + 1 - start) > budget
        if full or stop - start == most or stop == len(order):
            yield order[start:stop]
            start = stop


def groups(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Row numbers of as many batches as another process reads at a time; batched again, they give the same batches.

    >>> [rows.tolist() for rows in groups(token_batches(np.array([1, 9, 1]), budget=2))]
    [[0, 2, 1]]
    """
    left = iter(batches)
    while some := list(islice(left, GROUP)):
        yield np.concatenate(some)


def token_budget(device: torch.device, wanted: int | None = None) -> int:
    """Padded tokens of one forward without gradient: as wanted, else what suits the device."""
    if wanted is not None:
        return wanted
    return CUDA_TOKENS if device.type == "cuda" else CPU_TOKENS


def each_core(items: Iterable[A], work: Callable[[A], B], device: torch.device) -> Iterator[B]:
    """`map(work, items)`, on a CPU with an item on every core at a time, in a single thread each; results in order.

    A small model's operations are too short to be shared: cores that split each of them wait for each other a tenth of
    the time. And what a batch gives does not depend on how many cores there are.

    >>> list(each_core([1, 2, 3], lambda number: number * 10, torch.device("cpu")))
    [10, 20, 30]
    """
    cores = torch.get_num_threads()
    if device.type != "cpu" or cores == 1:
        yield from map(work, items)
        return

    def alone(item: A) -> B:
        torch.set_num_threads(1)  # of this thread, and of those begun after it
        return work(item)

    try:
        with ThreadPoolExecutor(cores) as pool:
            yield from _in_order(pool, items, alone, cores)
    finally:
        torch.set_num_threads(cores)


def on_cores(copy: Callable[[np.ndarray, np.ndarray], None], out: np.ndarray, rows: np.ndarray) -> None:
    """`copy(out, rows)`, a share of the rows (first axis of both) on each core where there is much to copy.

    One core cannot fill the memory's bandwidth.

    >>> on_cores(lambda out, rows: np.copyto(out, rows), out := np.zeros(3, int), np.arange(3)); out.tolist()
    [0, 1, 2]
    """
    cores = min(torch.get_num_threads(), len(rows))
    if cores < 2 or out.nbytes < ALONE_BYTES:
        copy(out, rows)
        return
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(copy, np.array_split(out, cores), np.array_split(rows, cores)))


def ahead(items: Iterable[A], work: Callable[[A], B]) -> Iterator[B]:
    """`map(work, items)` with the next item already in work in a thread of its own, while this one is used.

    >>> list(ahead([1, 2, 3], lambda number: number * 10))
    [10, 20, 30]
    """
    with ThreadPoolExecutor(1) as pool:
        yield from _in_order(pool, items, work, 1)


def _in_order(pool: ThreadPoolExecutor, items: Iterable[A], work: Callable[[A], B], waiting: int) -> Iterator[B]:
    """Results in the order of the items, with so many more in work or done: memory stays bounded."""
    begun: deque[Future[B]] = deque()
    for item in items:
        begun.append(pool.submit(work, item))
        if len(begun) > waiting:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()
