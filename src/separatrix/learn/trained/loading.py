"""What a run trained, loaded again whatever its method."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from separatrix.errors import StoreError
from separatrix.learn.trained.encoder import load_align
from separatrix.learn.trained.frozen import load_frozen
from separatrix.learn.trained.probe import load_probe
from separatrix.learn.trained.prompt import load_prompt
from separatrix.learn.trained.saved import Predictor, read_notes

LOADERS: dict[str, Callable[..., Predictor]] = {
    "prompt": load_prompt,
    "align": load_align,
    "probe": load_probe,
    "frozen": load_frozen,
}


def load_model(
    folder: Path,
    *,
    model: str | None = None,
    device: str = "auto",
    trust_remote_code: bool = False,
    verify: bool = True,
) -> Predictor:
    """Load what a run trained or an estimator saved, whatever its method.

    Args:
        folder: of the run.
        model: another place of the model under it.
        device: where to compute.
        trust_remote_code: run code that the model brings; what the folder says of it counts for nothing.
        verify: compare the files with their hashes.

    Raises:
        StoreError: no trained model in the folder, or one of an unknown kind.
        ModelError: the base model has other weights now.
    """
    kind = read_notes(folder, verify=False)["kind"]
    if kind not in LOADERS:
        raise StoreError(f"{folder} holds a model of an unknown kind", got=repr(kind), expected=", ".join(LOADERS))
    return LOADERS[kind](folder, model=model, device=device, trust_remote_code=trust_remote_code, verify=verify)
