"""A linear probe on frozen vectors as a model of its own: `--method probe`, the baseline that a prompt must beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from separatrix import recipe as recipes
from separatrix.errors import OptionError
from separatrix.geometry.calibrate import ScoreCalibration
from separatrix.geometry.probe import Probe
from separatrix.learn.trained.saved import NOTES, Predictions, PrintedModel, SavedModel, on_strings
from separatrix.models.backbone import Backbone
from separatrix.models.candidates import named_pooling
from separatrix.models.extract import extract_blocks, layer_count
from separatrix.progress import Progress, rows_done
from separatrix.recipe import ModelRecipe
from separatrix.store.files import TensorShape
from separatrix.texts import Classes

ARRAYS = ("weight", "bias", "mean", "scale")
SCHEMA = {"backbone": dict, "pool": str, "penalty": float, "converged": bool}


@dataclass(frozen=True, eq=False, repr=False)
class ProbeModel(PrintedModel):
    """A frozen model with a linear probe behind it."""

    backbone: Backbone
    probe: Probe
    classes: Classes | None  # None: numbers are predicted
    calibration: ScoreCalibration = field(default_factory=ScoreCalibration)
    pool: str = "layer_mean"
    compared: tuple[str, ...] = ()  # poolings that are read beside its own, as long as baselines are chosen
    shared_texts: Path | None = None  # folder of vectors, as long as there are trainings that share it
    pairs: bool = False

    @property
    def recipe(self) -> ModelRecipe:
        """How texts are read; a probe has no options of its own."""
        return self.backbone.recipe

    @on_strings
    def answer(self, texts: Sequence[str], progress: Progress | None = None) -> Predictions:
        """Labels and probabilities of texts."""
        layers = layer_count(self.backbone.model.config)
        plans = {name: named_pooling(name, layers) for name in (*self.compared, self.pool)}
        shared = self.shared_texts if self.shared_texts is not None and self.shared_texts.is_dir() else None
        done = rows_done(progress, len(texts))
        blocks, tokens = extract_blocks(self.backbone, texts, tuple(plans.values()), done, shared)
        vectors = blocks[self.pool]
        scores = self.probe.scores(vectors)
        if self.classes is None:
            return Predictions(
                scores[:, 0], scores, None, None, vectors, tokens.cut, unread=tokens.unread, blocks=blocks
            )
        labels, chance = self.decided(scores), self.calibration.probabilities(scores)
        return Predictions(labels, scores, chance, None, vectors, tokens.cut, unread=tokens.unread, blocks=blocks)

    def write_files(self, folder: Path) -> None:
        """Write the two files, each whole."""
        tensors = {name: np.asarray(getattr(self.probe, name)) for name in ARRAYS}
        notes = self.base_notes(
            "probe",
            backbone=recipes.to_dict(self.backbone.recipe), pool=self.pool, penalty=self.probe.penalty,
            converged=self.probe.converged,
        )  # fmt: skip
        self.write(folder, notes, tensors)


def probe_shapes(outputs: int, width: int) -> dict[str, TensorShape]:
    """The arrays of a probe, as `read_tensors` checks them."""
    return {"weight": (outputs, width), "bias": (outputs,), "mean": (width,), "scale": (width,)}


def read_probe(saved: SavedModel) -> ProbeModel:
    """The probe of a folder, together with its transformer; errors are those of `load_model`."""
    notes, backbone = saved.notes, saved.backbone(saved.recipe(ModelRecipe, "backbone"))
    arrays = saved.tensors(probe_shapes(saved.class_count or 1, backbone.width))
    if not (arrays["scale"] > 0).all():
        raise saved.damaged("scale is not positive")
    probe = Probe(**arrays, penalty=notes["penalty"], converged=notes["converged"])
    try:
        named_pooling(notes["pool"], layer_count(backbone.model.config))
    except OptionError as error:
        raise saved.damaged(f"no pooling is called {notes['pool']!r}", file=NOTES) from error
    return ProbeModel(backbone, probe, saved.classes, saved.calibration, notes["pool"])
