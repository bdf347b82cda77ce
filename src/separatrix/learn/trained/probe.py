"""A linear probe on frozen vectors as a model of its own: `--method probe`, the baseline that a prompt must beat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from separatrix import recipe as recipes
from separatrix.errors import OptionError
from separatrix.geometry.calibrate import probabilities
from separatrix.geometry.probe import Probe
from separatrix.learn.trained.saved import (
    FORMAT,
    NOTES,
    TENSORS,
    Predictions,
    describe,
    load_base,
    positive,
    read_notes,
)
from separatrix.models.backbone import Backbone
from separatrix.models.candidates import candidates, named_pooling
from separatrix.models.extract import extract_blocks, layer_count
from separatrix.recipe import ModelRecipe
from separatrix.store.files import Shape, damaged, read_recipe, read_tensors, write_json, write_tensors
from separatrix.texts import Classes

ARRAYS = ("weight", "bias", "mean", "scale")
SCHEMA = {"backbone": dict, "temperature": positive, "pool": str, "penalty": float, "converged": bool}


@dataclass(frozen=True, eq=False)
class ProbeModel:
    """A frozen model with a linear probe behind it."""

    backbone: Backbone
    probe: Probe
    classes: Classes | None  # None: numbers are predicted
    temperature: float = 1.0
    pool: str = "layer_mean"

    def answer(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Predictions:
        """Labels and probabilities of texts."""
        plans = {plan.name: plan for plan in candidates(self.backbone)}
        plans[self.pool] = named_pooling(self.pool, layer_count(self.backbone.model.config))
        blocks, tokens = extract_blocks(self.backbone, texts, tuple(plans.values()), progress)
        vectors = blocks[self.pool]
        scores = self.probe.scores(vectors)
        if self.classes is None:
            return Predictions(
                scores[:, 0], scores, None, None, vectors, tokens.cut, unread=tokens.unread, blocks=blocks
            )
        labels, chance = self.classes.decode(scores.argmax(axis=1)), probabilities(scores, self.temperature)
        return Predictions(labels, scores, chance, None, vectors, tokens.cut, unread=tokens.unread, blocks=blocks)

    def save(self, folder: Path) -> None:
        """Write the two files, each whole."""
        write_tensors(folder / TENSORS, {name: np.asarray(getattr(self.probe, name)) for name in ARRAYS})
        notes = {
            "format": FORMAT,
            "kind": "probe",
            "backbone": recipes.to_dict(self.backbone.recipe),
            "classes": None if self.classes is None else self.classes.to_dict(),
            "temperature": self.temperature,
            "pool": self.pool,
            "penalty": self.probe.penalty,
            "converged": self.probe.converged,
            "base_model": describe(self.backbone),
        }
        write_json(folder / NOTES, notes)


def probe_shapes(outputs: int, width: int) -> dict[str, Shape]:
    """The arrays of a probe, as `read_tensors` checks them."""
    return {"weight": (outputs, width), "bias": (outputs,), "mean": (width,), "scale": (width,)}


def load_probe(
    folder: Path,
    *,
    model: str | None = None,
    device: str = "auto",
    trust_remote_code: bool = False,
    verify: bool = True,
) -> ProbeModel:
    """Load a saved probe together with its model; arguments and errors are those of `load_prompt`."""
    notes = read_notes(folder, "probe", SCHEMA, verify=verify)
    recipe = read_recipe(ModelRecipe, notes["backbone"], folder / NOTES, trust_remote_code=trust_remote_code)
    backbone = load_base(folder, recipe.at(model, device), notes["base_model"])
    classes = None if notes["classes"] is None else Classes.from_dict(notes["classes"])
    arrays, _ = read_tensors(folder / TENSORS, probe_shapes(1 if classes is None else len(classes), backbone.width))
    weight, bias, mean, scale = (arrays[name] for name in ARRAYS)
    if not (scale > 0).all():
        raise damaged(folder / TENSORS, "scale is not positive")
    probe = Probe(weight, bias, mean, scale, penalty=notes["penalty"], converged=notes["converged"])
    try:
        named_pooling(notes["pool"], layer_count(backbone.model.config))
    except OptionError as error:
        raise damaged(folder / NOTES, f"no pooling is called {notes['pool']!r}") from error
    return ProbeModel(backbone, probe, classes, notes["temperature"], notes["pool"])
