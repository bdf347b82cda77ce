"""What a run trained, loaded again whatever its method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from separatrix.errors import StoreError
from separatrix.learn.trained import encoder, frozen, peft, probe, prompt
from separatrix.learn.trained.saved import NOTES, Predictor, SavedModel, check_notes, of_pairs, read_notes
from separatrix.recipe.arguments import checks_arguments
from separatrix.store.files import Schema

# Kind -> what its notes hold, and what makes the model of them.
KINDS: dict[str, tuple[Mapping[str, Schema], Callable[[SavedModel], Predictor]]] = {
    "prompt": (prompt.SCHEMA, prompt.read_prompt),
    "align": (encoder.SCHEMA, encoder.read_align),
    "probe": (probe.SCHEMA, probe.read_probe),
    "peft": (peft.SCHEMA, peft.read_peft),
    "frozen": (frozen.SCHEMA, frozen.read_frozen),
}


@checks_arguments
def load_model(
    folder: str | Path,
    *,
    kind: str | None = None,
    model: str | Path | None = None,
    device: str = "auto",
    trust_remote_code: bool = False,
    verify: bool = True,
) -> Predictor:
    """Load what a run trained or an estimator saved, whatever its method.

    Args:
        folder: of the run.
        kind: that it must be of ("prompt", "align", "probe", "peft", "frozen"); any if absent.
        model: another place of the model under it (a folder, say).
        device: where to compute.
        trust_remote_code: run code that the model brings; what the folder says of it is ignored.
        verify: compare the files with their hashes.

    Raises:
        StoreError: no trained model in the folder, one of another or an unknown kind, damaged, or written by a newer
            version.
        ModelError: the base model has other weights now.
    """
    folder, elsewhere = Path(folder), None if model is None else str(model)
    notes = read_notes(folder, verify=verify)
    if notes["kind"] not in KINDS:
        expected = ", ".join(KINDS)
        raise StoreError(f"{folder} holds a model of an unknown kind", got=repr(notes["kind"]), expected=expected)
    if kind not in (None, notes["kind"]):
        raise StoreError(f"{folder} holds a model of another kind", got=notes["kind"], expected=kind)
    schema, read = KINDS[notes["kind"]]
    check_notes(folder / NOTES, notes, schema)
    trained = read(SavedModel(folder, notes, elsewhere, device, trust_remote_code, verify))
    return of_pairs(trained, notes.get("pairs", False))
