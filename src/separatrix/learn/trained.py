"""What a run trained, loaded again whatever its method."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from separatrix.learn.aligned import load_align
from separatrix.learn.probed import load_probe
from separatrix.learn.prompted import load_prompt
from separatrix.learn.saved import Predictor, read_notes

LOADERS: dict[str, Callable[..., Predictor]] = {"prompt": load_prompt, "align": load_align, "probe": load_probe}


def load_model(folder: Path, *, model: str | None = None, device: str = "auto") -> Predictor:
    """Load what a run trained, whatever its method.

    Raises:
        StoreError: no trained model in the folder.
        ModelError: the base model has other weights now.
    """
    return LOADERS[read_notes(folder)["kind"]](folder, model=model, device=device)
