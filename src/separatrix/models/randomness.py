"""Random numbers of a training's own: PyTorch's dropout and first weights draw from the state of the whole process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_LOCK = Lock()  # held while an operation that takes no generator draws from the process's state, set to ours


class OwnRandomness(TorchDispatchMode):
    """Inside the block, in this thread alone, every random operation of PyTorch draws from a generator of its own.

    The numbers are those that `torch.manual_seed(seed)` would give, so other threads neither change them nor notice
    them, and the state of the process stays as it is. The block may be entered again, and goes on where it left off.

    >>> before, own = torch.get_rng_state(), OwnRandomness(3)
    >>> with own:
    ...     first = torch.rand(2)
    >>> with own:
    ...     second = torch.rand(2)
    >>> with torch.random.fork_rng(devices=[]):
    ...     seeded = torch.manual_seed(3)
    ...     same = torch.equal(torch.cat([first, second]), torch.cat([torch.rand(2), torch.rand(2)]))
    >>> same, torch.equal(before, torch.get_rng_state())
    (True, True)
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Called by PyTorch for every operation of the block."""
        kwargs = dict(kwargs or {})
        if torch.Tag.nondeterministic_seeded not in func.tags or kwargs.get("generator") is not None:
            return func(*args, **kwargs)
        device = _device(args, kwargs)
        if device.type not in ("cpu", "cuda"):  # a shape without numbers
            return func(*args, **kwargs)
        own = self._generator(device)
        if any(argument.name == "generator" for argument in func._schema.arguments):
            return func(*args, **kwargs | {"generator": own})
        return _lent(own, device, lambda: func(*args, **kwargs))

    def _generator(self, device: torch.device) -> torch.Generator:
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self._seed)
        return self._generators[device]


def _device(args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.device:
    """Where an operation draws: where its first tensor lies, else where its result will."""
    tensor = next((value for value in args if isinstance(value, torch.Tensor)), None)
    device = torch.device(kwargs.get("device") or "cpu") if tensor is None else tensor.device
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    return device


def _lent(own: torch.Generator, device: torch.device, draw: Callable[[], Any]) -> Any:
    """Draw from the process's state, set to that of a generator for as long as the operation is begun."""
    index = device.index or 0
    process = torch.cuda.default_generators[index] if device.type == "cuda" else torch.default_generator
    with _LOCK:
        before = process.get_state()
        process.set_state(own.get_state())
        try:
            return draw()
        finally:
            own.set_state(process.get_state())
            process.set_state(before)
