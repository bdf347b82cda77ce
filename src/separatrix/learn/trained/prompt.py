"""A trained prompt in use: new texts in, outputs, scores, probabilities and labels out; and its files.

The folder holds `model.safetensors` (prompt, what the layers learnt, centroids or head) and `model.json` (recipe,
classes, temperature, and the name, revision and weights hash of the model it belongs to).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from separatrix import recipe as recipes
from separatrix.geometry.calibrate import ScoreCalibration
from separatrix.learn.objectives import OBJECTIVES, Objective
from separatrix.learn.objectives.words import WordObjective
from separatrix.learn.targets import Scaling
from separatrix.learn.trained.saved import Predictions, PrintedModel, SavedModel, on_strings, positive
from separatrix.learn.trajectory import narrowed
from separatrix.models.backbone import Backbone, Tokens
from separatrix.models.batches import token_batches, token_budget
from separatrix.models.cache import LAYER_MEAN, AttentionShape, TextBatch, TextCache, attention_shape, build_cache
from separatrix.models.extract import RowBlocks
from separatrix.models.suffix import SoftPrompt, read, run_prompt
from separatrix.models.tokens import UnreadCounts
from separatrix.progress import Progress, rows_done
from separatrix.recipe import CacheRecipe, PromptRecipe, TrainRecipe
from separatrix.recipe.train import POSITIONS
from separatrix.store.files import TensorShape
from separatrix.texts import Classes

# Padded tokens of one forward over new texts.
PREDICT_TOKENS = 4096
# Rows of one such forward where label words are read: each has a logit for every word of the vocabulary.
PREDICT_ROWS = 128
SCHEMA = {"recipe": dict, "scaling": {"mean": float, "scale": positive}}


@dataclass(frozen=True, eq=False)
class Outputs:
    """What texts gave: read at the prompt, and the frozen text's own vectors."""

    outputs: np.ndarray  # (rows, output width) float32; with label words their logits alone, (rows, classes)
    blocks: dict[str, np.ndarray]  # (rows, width) float32 by pooling
    cut: int  # texts that were longer than max_length
    unread: UnreadCounts = UnreadCounts()


@dataclass(frozen=True, repr=False)
class PromptModel(PrintedModel):
    """A frozen model with a trained prompt. Made by `train_prompt` or `load_model`."""

    backbone: Backbone
    shape: AttentionShape
    recipe: TrainRecipe
    prompt: SoftPrompt
    objective: Objective  # it was trained with it, and decides by it
    classes: Classes | None  # None: numbers are predicted
    scaling: Scaling = field(default_factory=Scaling)
    calibration: ScoreCalibration = field(default_factory=ScoreCalibration)
    shared_texts: Path | None = None  # folder of text caches, as long as there are trainings that share it
    pairs: bool = False

    @property
    def words(self) -> Tensor | None:
        """Ids of the label words, (classes,), where they decide."""
        return self.objective.words if isinstance(self.objective, WordObjective) else None

    @property
    def label_words(self) -> tuple[str, ...] | None:
        """The label words as they read, in the order of the classes, where they decide."""
        if self.words is None:
            return None
        return tuple(str(self.backbone.tokenizer.decode([int(word)])).strip() for word in self.words)

    @property
    def output_width(self) -> int:
        """Numbers of an output."""
        if self.words is not None:
            return len(self.words)
        return next(iter(self.objective.deciding().values())).shape[1]

    def _forward(
        self, tokens: Tokens, limit: int, most: int | None, progress: Callable[[int], None] | None
    ) -> Iterator[tuple[np.ndarray, TextBatch, Tensor]]:
        """Rows, texts and states at the prompt (rows, tokens, width), batch by batch; nothing is kept of the texts."""
        ran = 0  # texts that were run and kept, which takes longer than all that follows

        def keeping(rows: int) -> None:
            nonlocal ran
            ran += rows
            if progress is not None:
                progress(rows)

        cache = self._texts(tokens, keeping)
        for rows in token_batches(cache.lengths, limit, most):
            batch = cache.batch(rows)
            if cache.vectors is not None:
                batch.vectors = {name: torch.from_numpy(block[rows]) for name, block in cache.vectors.items()}
            yield rows, batch, run_prompt(self.prompt, batch, self.backbone)
            if progress is not None and not ran:
                progress(len(rows))

    def _texts(self, tokens: Tokens, progress: Callable[[int], None] | None = None) -> TextCache:
        """The texts as they are run, batch by batch, or as another training has left them."""
        recipe = self.recipe.text_cache
        if self.shared_texts is not None and self.shared_texts.is_dir() and recipe.cache != "off":
            first, folder = self.shape.first, self.shared_texts
            return build_cache(
                self.backbone, tokens, recipe, first=first, folder=folder, progress=progress, shared=folder
            )
        return TextCache(self.backbone, tokens, self.shape, CacheRecipe(cache_dtype=self.cache_dtype), "off")

    @torch.no_grad()
    def run(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Outputs:
        """Run texts in batches and read behind each."""
        tokens, words = self.backbone.tokenize(texts, reserve=self.recipe.prompt.tokens), self.words
        if not len(tokens):
            none = np.empty((0, self.backbone.width))
            plans = TextCache(self.backbone, tokens, self.shape, CacheRecipe(), "off").plans
            return Outputs(np.empty((0, 0), np.float32), {plan.name: none for plan in plans}, 0, tokens.unread)
        outputs, blocks = RowBlocks(len(tokens), {}), RowBlocks(len(tokens), {})
        most = None if words is None else PREDICT_ROWS
        for rows, batch, hidden in self._forward(tokens, PREDICT_TOKENS, most, progress):
            z = read(hidden, self.recipe.prompt, self.backbone)
            outputs.put(rows, {"z": z if words is None else z[:, words]})
            if batch.vectors is not None:
                blocks.put(rows, batch.vectors)
        return Outputs(outputs.blocks["z"], blocks.blocks, tokens.cut, tokens.unread)

    @torch.no_grad()
    def read(
        self, tokens: Tokens, readouts: Mapping[str, PromptRecipe], batch_tokens: int | None,
        progress: Callable[[int], None] | None = None,
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """Outputs of tokenized texts under several readouts, each (rows, width) float32."""
        outputs = RowBlocks(len(tokens), {})
        for rows, _, hidden in self._forward(tokens, token_budget(self.backbone.device, batch_tokens), None, progress):
            outputs.put(rows, {name: read(hidden, readout, self.backbone) for name, readout in readouts.items()})
        return outputs.blocks

    @on_strings
    def answer(self, texts: Sequence[str], progress: Progress | None = None) -> Predictions:
        """Labels, probabilities and distances of texts."""
        run = self.run(texts, rows_done(progress, len(texts)))
        scores = self.scores(run.outputs)
        chance = None if self.classes is None else self.probabilities(scores)
        far = self.distances(run.outputs)
        vectors, read = run.blocks[LAYER_MEAN], narrowed(run.outputs, self.recipe.loop.seed)
        return Predictions(
            self.labels(scores), scores, chance, far, vectors, run.cut, unread=run.unread, blocks=run.blocks,
            outputs=read,
        )  # fmt: skip

    @property
    def cache_dtype(self) -> str:
        """Number format that the text was rounded to in training; used again, so that nothing shifts."""
        return self.recipe.text_cache.cache_dtype

    @torch.no_grad()
    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Scores of outputs (rows, width): one column a class, or (rows, 1) standardised numbers.

        Where label words decide, the outputs are their logits as `run` gives them, or the logits of all words.
        """
        return self.objective.scores(torch.from_numpy(outputs).to(self.backbone.device)).cpu().numpy()

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Calibrated probabilities of scores, (rows, classes)."""
        return self.calibration.probabilities(scores)

    def labels(self, scores: np.ndarray) -> np.ndarray:
        """The labels, or numbers, that the scores decide for, (rows,)."""
        if self.classes is None:
            return self.scaling.restored(scores[:, 0])
        return self.decided(scores)

    def distances(self, outputs: np.ndarray) -> np.ndarray | None:
        """Euclidean distance of outputs (rows, width) to each centroid, (rows, classes); None without centroids."""
        if self.objective.centroids is None:
            return None
        centroids = self.objective.centroids.float().cpu()
        return torch.cdist(torch.from_numpy(outputs), centroids, compute_mode="donot_use_mm_for_euclid_dist").numpy()

    def tensors(self) -> dict[str, Tensor]:
        """What was trained, by the names that files have for it."""
        return {f"prompt.{name}": tensor for name, tensor in self.prompt.named().items()} | self.objective.deciding()

    def notes(self) -> dict[str, Any]:
        """What files say of it beside the tensors; its transformer stands there by name and hash."""
        return self.base_notes(
            "prompt", prompt_position="suffix",
            recipe=recipes.to_dict(self.recipe), scaling=asdict(self.scaling),
        )  # fmt: skip

    def write_files(self, folder: Path) -> None:
        """Write the two files, each whole."""
        self.write(folder, self.notes(), {name: one.detach().cpu().numpy() for name, one in self.tensors().items()})


def read_prompt(saved: SavedModel) -> PromptModel:
    """The prompt of a folder, together with its transformer; errors are those of `load_model`."""
    recipe = saved.recipe(TrainRecipe)
    entry = OBJECTIVES[recipe.objective.loss]
    if (saved.classes is None) != (entry.task == "regress"):
        raise saved.damaged(f"the loss {recipe.objective.loss} does not fit the classes", file=saved.file)
    backbone = saved.backbone(recipe.backbone, logits="logits" in (recipe.prompt.readout, entry.readout))
    shape, objective = attention_shape(backbone, recipe.prompt.layer), entry.build(recipe, saved.class_count)
    shapes = _shapes(recipe, backbone, shape, objective)
    arrays = saved.tensors(shapes)
    if "words" in shapes and not np.isin(arrays["words"], np.arange(len(backbone.embedding))).all():
        raise saved.damaged("words are no words of the model")
    tensors = {name: torch.from_numpy(array).to(backbone.device) for name, array in arrays.items()}
    objective.load(tensors)
    own = {name.removeprefix("prompt."): tensor for name, tensor in tensors.items() if name.startswith("prompt.")}
    prompt = SoftPrompt(own["tokens"], None, layer=recipe.prompt.layer).having(own)
    recipe = replace(recipe, backbone=recipe.backbone.at(saved.model, saved.device))
    scaling = Scaling(**saved.notes["scaling"])
    return PromptModel(backbone, shape, recipe, prompt, objective, saved.classes, scaling, saved.calibration)


def _shapes(
    recipe: TrainRecipe, backbone: Backbone, shape: AttentionShape, objective: Objective
) -> dict[str, TensorShape]:
    """What a trained prompt of this recipe consists of."""
    prompt, vocabulary = recipe.prompt, len(backbone.embedding)
    width: int | str = backbone.width * (prompt.tokens if prompt.positions == "all" else 1)
    if prompt.readout == "logits":
        width = vocabulary
    elif prompt.positions not in POSITIONS.built_in:
        width = "output width"  # only the user's own function knows it
    own = backbone.width if prompt.layer else backbone.embedding.shape[1]
    shapes: dict[str, TensorShape] = {"prompt.tokens": (prompt.tokens, own)}
    if prompt.instance:
        shapes["prompt.up"] = ("rank", prompt.tokens * own)
        shapes |= {"prompt.down": (backbone.width, "rank"), "prompt.center": (backbone.width,)}
    if prompt.prompt_layers == "all":
        shapes["prompt.steer"] = (shape.layers, 2, prompt.tokens, shape.query_width)
    return shapes | objective.shapes(width)
