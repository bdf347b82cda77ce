"""Where is computed: what `--device` means, for models and for blocks of rows alike."""

from __future__ import annotations

import torch

from separatrix.errors import ModelError


def cuda_count() -> int:
    """How many CUDA devices this process may use."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def pick_device(name: str) -> torch.device:
    """`auto` takes CUDA where there is one; `cuda:1` is the second device.

    Raises:
        ModelError: no such device.

    >>> pick_device("cpu")
    device(type='cpu')
    """
    count = cuda_count()
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not count:
        raise ModelError("no CUDA device on this machine", hint="use --device cpu")
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ModelError("no such CUDA device", got=name, expected=f"cuda:0 to cuda:{count - 1}")
    return device
