"""A linear probe on frozen vectors as a model of its own: `--method probe`, the baseline that a prompt must beat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from separatrix import recipe as recipes
from separatrix.geometry.calibrate import probabilities
from separatrix.geometry.probe import Probe
from separatrix.learn.saved import FORMAT, NOTES, TENSORS, Answer, check_has, check_same, describe, read_notes
from separatrix.models.backbone import Backbone, load_backbone
from separatrix.models.extract import extract
from separatrix.recipe import ModelRecipe
from separatrix.store.files import read_tensors, write_json, write_tensors
from separatrix.texts import Classes

ARRAYS = ("weight", "bias", "mean", "scale")


@dataclass(frozen=True, eq=False)
class ProbeModel:
    """A frozen model with a linear probe behind it."""

    backbone: Backbone
    probe: Probe
    classes: Classes | None  # None: numbers are predicted
    temperature: float = 1.0
    pool: str = "layer_mean"

    def answer(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Answer:
        """Labels and probabilities of texts."""
        found = extract(self.backbone, texts, pool=self.pool, progress=progress)
        scores = self.probe.scores(found.values)
        if self.classes is None:
            return Answer(scores[:, 0], scores, None, None, found.values, found.cut)
        labels = self.classes.decode(scores.argmax(axis=1))
        return Answer(labels, scores, probabilities(scores, self.temperature), None, found.values, found.cut)

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


def load_probe(folder: Path, *, model: str | None = None, device: str = "auto") -> ProbeModel:
    """Load a saved probe together with its model; raises as `load_prompt`."""
    notes = read_notes(folder, "probe")
    check_has(notes, ("backbone", "temperature", "pool", "penalty", "converged"), folder / NOTES)
    recipe = recipes.from_dict(ModelRecipe, notes["backbone"])
    backbone = load_backbone(recipe.at(model, device))
    check_same(backbone, notes["base_model"], folder)
    arrays, _ = read_tensors(folder / TENSORS)
    check_has(arrays, ARRAYS, folder / TENSORS)
    weight, bias, mean, scale = (arrays[name] for name in ARRAYS)
    probe = Probe(weight, bias, mean, scale, penalty=notes["penalty"], converged=notes["converged"])
    classes = None if notes["classes"] is None else Classes.from_dict(notes["classes"])
    return ProbeModel(backbone, probe, classes, notes["temperature"], notes["pool"])
