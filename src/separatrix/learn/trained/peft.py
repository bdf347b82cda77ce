"""A prompt that PEFT puts before the text, with a linear head: in use, saved and loaded again."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from separatrix import recipe as recipes
from separatrix.errors import MissingExtra
from separatrix.geometry.calibrate import ScoreCalibration
from separatrix.learn.objectives.heads import HeadObjective, linear
from separatrix.learn.trained.saved import Predictions, PrintedModel, SavedModel, on_strings
from separatrix.models.backbone import Backbone
from separatrix.models.batches import pad_tokens, token_batches, token_budget
from separatrix.models.pool import mean_of
from separatrix.models.randomness import OwnRandomness
from separatrix.progress import Progress, rows_done
from separatrix.recipe.peft import INSTALL, PeftRecipe, PrefixRecipe
from separatrix.store.files import TensorShape
from separatrix.texts import Classes

STARTS = {"vocabulary": "SAMPLE_VOCAB", "normal": "RANDOM"}  # by PEFT's names
SCHEMA = {"recipe": dict}


@dataclass(frozen=True, eq=False)
class PrefixedModel:
    """A frozen transformer with PEFT's prompt around it."""

    backbone: Backbone
    peft: Any
    tokens: int

    @classmethod
    def start(cls, backbone: Backbone, recipe: PrefixRecipe, seed: int) -> PrefixedModel:
        """Put a prompt at its start before the texts of a transformer.

        Raises:
            MissingExtra: PEFT is not installed.
        """
        try:
            from peft import PromptTuningConfig, TaskType, get_peft_model
        except ImportError as error:
            raise MissingExtra("peft is not installed", hint=INSTALL) from error
        config = PromptTuningConfig(
            task_type=TaskType.FEATURE_EXTRACTION, num_virtual_tokens=recipe.tokens,
            prompt_tuning_init=STARTS[recipe.init],
        )  # fmt: skip
        with OwnRandomness(seed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it asks transformers for an attribute under its old name
            model = get_peft_model(backbone.model, config)
        return cls(backbone, model.to(backbone.device).eval(), recipe.tokens)

    @property
    def prompt(self) -> Tensor:
        """The prompt, (tokens, width): the one tensor of it that is trained."""
        return next(tensor for name, tensor in self.peft.named_parameters() if "prompt_encoder" in name)

    def forward(self, ids: Sequence[tuple[int, ...]]) -> Tensor:
        """Vectors (rows, width): the last token of a text in a causal model, in an encoder the mean of its tokens."""
        table, mask = pad_tokens(list(ids), self.backbone)
        states = self.peft(input_ids=table, attention_mask=mask).last_hidden_state[:, self.tokens :]
        if self.backbone.causal:
            return states[torch.arange(len(mask), device=mask.device), mask.sum(dim=1) - 1].float()
        return mean_of(states, mask).float()

    @torch.no_grad()
    def encode(self, ids: Sequence[tuple[int, ...]], progress: Callable[[int], None] | None = None) -> np.ndarray:
        """The same of many texts, in batches of similar length."""
        values = np.empty((len(ids), self.backbone.width), np.float32)
        lengths = np.array([len(one) for one in ids], dtype=np.int64)
        for rows in token_batches(lengths, token_budget(self.backbone.device)) if len(ids) else ():
            values[rows] = self.forward([ids[row] for row in rows]).cpu().numpy()
            if progress is not None:
                progress(len(rows))
        return values


@dataclass(frozen=True, eq=False, repr=False)
class PeftModel(PrintedModel):
    """A transformer with a trained prompt before the text. Made by `train_peft` or `load_model`."""

    prefixed: PrefixedModel
    recipe: PeftRecipe
    objective: HeadObjective
    classes: Classes
    calibration: ScoreCalibration = field(default_factory=ScoreCalibration)

    @property
    def backbone(self) -> Backbone:
        """The frozen transformer."""
        return self.prefixed.backbone

    @torch.no_grad()
    def scores(self, vectors: Tensor) -> np.ndarray:
        """Scores of vectors (rows, width), one column a class; their argmax decides."""
        return self.objective.scores(vectors).cpu().numpy()

    @on_strings
    def answer(self, texts: Sequence[str], progress: Progress | None = None) -> Predictions:
        """Labels and probabilities of texts."""
        tokens = self.backbone.tokenize(texts, reserve=self.prefixed.tokens)
        vectors = self.prefixed.encode(tokens.ids, rows_done(progress, len(texts)))
        scores = self.scores(torch.from_numpy(vectors).to(self.backbone.device))
        labels, chance = self.classes.decode(scores.argmax(axis=1)), self.calibration.probabilities(scores)
        return Predictions(labels, scores, chance, None, vectors, tokens.cut, unread=tokens.unread)

    def write_files(self, folder: Path) -> None:
        """Write the two files, each whole."""
        notes = self.base_notes("peft", prompt_position="prefix", recipe=recipes.to_dict(self.recipe))
        tensors = {"tokens": self.prefixed.prompt} | self.objective.deciding()
        self.write(folder, notes, {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()})


def read_peft(saved: SavedModel) -> PeftModel:
    """The prompt of a folder around its transformer; errors are those of `load_model`, and `MissingExtra`."""
    recipe, classes = saved.recipe(PeftRecipe), saved.classes
    if classes is None:
        raise saved.damaged("it has no classes")
    backbone = saved.backbone(recipe.backbone)
    objective = HeadObjective(len(classes), linear)
    shapes: dict[str, TensorShape] = {"tokens": (recipe.prompt.tokens, backbone.embedding.shape[1])}
    arrays = saved.tensors(shapes | objective.shapes(backbone.width))
    tensors = {name: torch.from_numpy(array).to(backbone.device) for name, array in arrays.items()}
    objective.load(tensors)
    prefixed = PrefixedModel.start(backbone, recipe.prompt, 0)
    with torch.no_grad():
        prefixed.prompt.copy_(tensors["tokens"])
    return PeftModel(prefixed, recipe, objective, classes, saved.calibration)
