"""Everything a training needs to go on: tensors, optimizer, counters; in one file, so no half of it can be lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from separatrix.errors import StoreError
from separatrix.store.files import read_tensors, reading, write_tensors

ADAM = ("exp_avg", "exp_avg_sq", "step")


@dataclass
class Counters:
    """Where a training stands; plain numbers only."""

    epoch: int = 0  # epochs that are complete
    index: int = 0  # batches of the running epoch that are done
    step: int = 0
    rows: int = 0  # rows seen in the running epoch
    loss: float = 0.0  # summed over these rows
    parts: dict[str, float] = field(default_factory=dict)  # likewise
    norm: dict[str, float] = field(default_factory=dict)  # gradient norm of each group, summed over the epoch's steps
    best_epoch: int = 0
    best: tuple[float, float] = (-float("inf"), -float("inf"))  # (score, minus loss) on validation
    metrics: list[dict[str, Any]] = field(default_factory=list)
    done: bool = False


@dataclass
class State:
    """The trained tensors (by name), the best ones so far, the optimizer and the counters."""

    tensors: dict[str, Tensor]
    optimizer: torch.optim.Optimizer
    progress: Counters = field(default_factory=Counters)
    best: dict[str, Tensor] = field(default_factory=dict)

    def remember(self) -> None:
        """Keep a copy of the tensors as the best so far."""
        self.best = {name: tensor.detach().clone() for name, tensor in self.tensors.items()}

    def save(self, path: Path, recipe_hash: str) -> None:
        """Write the whole state under one name."""
        arrays = {f"now/{name}": tensor for name, tensor in self.tensors.items()}
        arrays |= {f"best/{name}": tensor for name, tensor in self.best.items()}
        for name, tensor in self.tensors.items():
            for key, value in self.optimizer.state.get(tensor, {}).items():
                arrays[f"adam/{key}/{name}"] = value
        progress = asdict(self.progress)
        progress["best"] = [None if np.isinf(value) else value for value in self.progress.best]
        note = {"progress": progress, "recipe": recipe_hash}
        write_tensors(path, {name: tensor.detach().cpu().numpy() for name, tensor in arrays.items()}, note)

    def load(self, path: Path, recipe_hash: str) -> None:
        """Go back to a saved state, in place. Raises `StoreError`: the file belongs to another recipe or other data."""
        arrays, note = read_tensors(path)
        if note.get("recipe") != recipe_hash:
            raise StoreError(
                f"{path} belongs to a training with other options or other data",
                hint="use --overwrite or another --out",
            )
        with reading(path):
            self._take(_by_prefix(arrays), note["progress"])

    def _take(self, groups: Mapping[str, Mapping[str, np.ndarray]], progress: dict[str, Any]) -> None:
        for name, tensor in self.tensors.items():
            tensor.data.copy_(torch.from_numpy(groups["now"][name]))
            moments = {key: groups[f"adam/{key}"][name] for key in ADAM if name in groups.get(f"adam/{key}", {})}
            if moments:
                self.optimizer.state[tensor] = {
                    key: torch.from_numpy(value.copy()).to(tensor.device) for key, value in moments.items()
                }
        device = next(iter(self.tensors.values())).device
        self.best = {name: torch.from_numpy(array).to(device) for name, array in groups.get("best", {}).items()}
        progress["best"] = tuple(-float("inf") if value is None else value for value in progress["best"])
        self.progress = Counters(**progress)


def _by_prefix(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    groups: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        prefix, _, rest = name.rpartition("/")
        groups.setdefault(prefix, {})[rest] = array
    return groups
