"""Which reader serves a request, and what trained prompts leave behind: their outputs as vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from separatrix import recipe as recipes
from separatrix.errors import ModelError, OptionError, public_name
from separatrix.extraction.windows import token_rows
from separatrix.learn.trained.loading import load_model
from separatrix.learn.trained.prompt import PromptModel
from separatrix.models.backbone import Backbone, Tokens
from separatrix.models.config import layer_count, read_config, text_config
from separatrix.models.extract import (
    Engine,
    HiddenReader,
    LogitsReader,
    Progress,
    Reader,
    TokenReader,
)
from separatrix.models.load import load_backbone
from separatrix.models.pool import plan_layers, plan_poolings
from separatrix.models.quantised import quantise
from separatrix.models.source import Source, resolve
from separatrix.models.tokens import ESCAPE
from separatrix.recipe import ModelRecipe, PromptRecipe
from separatrix.recipe.vectors import ExtractRecipe, VectorsRecipe


class VectorSource(Protocol):
    """What an extraction draws from: named blocks, made by a reader that is loaded when it is first needed."""

    @property
    def vectors(self) -> VectorsRecipe:
        """What is asked for."""
        ...

    @property
    def width(self) -> int:
        """Numbers that a text gives to one block, to plan how many texts are held at a time."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Blocks that the request asks for."""
        ...

    @property
    def how(self) -> dict[str, dict[str, Any]]:
        """How each block is made."""
        ...

    @property
    def identity(self) -> dict[str, Any]:
        """What the numbers depend on, the choice of blocks left out."""
        ...

    @property
    def origin(self) -> dict[str, Any]:
        """Where the numbers come from, in words that may change without changing them."""
        ...

    def reader(self) -> Reader:
        """The reader, loaded at the first call."""
        ...

    def table(self, frame: pd.DataFrame, tokens: Tokens, found: dict[str, np.ndarray]) -> pd.DataFrame:
        """The row table of what was read; columns that are no vectors are taken out of `found`."""
        ...


@dataclass
class FrozenSource:
    """A frozen model: hidden states, logits or tokens."""

    recipe: ExtractRecipe
    source: Source
    config: Any
    backbone: Backbone | None = None
    engine: Engine | None = None

    @property
    def vectors(self) -> VectorsRecipe:
        """What is asked for."""
        return self.recipe.vectors

    @property
    def names(self) -> tuple[str, ...]:
        """Blocks that the request asks for; options that the model cannot serve are refused here."""
        vectors, layers = self.vectors, layer_count(self.config)
        if vectors.what == "hidden":
            return tuple(plan.name for plan in plan_poolings(vectors, layers))
        if vectors.what == "tokens":
            chosen = plan_layers(vectors, layers)
            return ("token",) if chosen is None else tuple(f"token@{layer}" for layer in chosen)
        return ("logits",) if vectors.top is None else ("logits_top", "logits_top_ids")

    @property
    def how(self) -> dict[str, dict[str, Any]]:
        """Pooling and layer of each block of hidden states; layers of tokens stand in the names."""
        if self.vectors.what != "hidden":
            return {}
        plans = plan_poolings(self.vectors, layer_count(self.config))
        return {
            plan.name: {"pool": plan.pool}
            | ({"layer": plan.layer} if plan.weights is None else {"weights": list(plan.weights)})
            for plan in plans
        }

    @property
    def identity(self) -> dict[str, Any]:
        """Weights, how texts are cut, the format of the numbers, and what is read."""
        backbone, vectors = self.recipe.backbone, self.vectors
        asked = {"max_length": backbone.max_length, "dtype": backbone.dtype, "what": vectors.what, "top": vectors.top}
        # The usual engine is not named, so that a further one changes no key that was given before.
        engine = {} if vectors.engine == "torch" else {"engine": vectors.engine}
        escape = {"special_tokens": ESCAPE} if backbone.special_tokens == ESCAPE else {}
        return {"weights": self.source.weights, **asked, **engine, **escape}

    @property
    def origin(self) -> dict[str, Any]:
        """Name and revision of the model, and how it was found."""
        return {"model": public_name(self.source.name), "revision": self.source.revision, "found": self.source.origin}

    @property
    def width(self) -> int:
        """Numbers that a text gives to one block."""
        vectors, config = self.vectors, text_config(self.config)
        if vectors.what == "logits":
            return min(int(config.vocab_size), vectors.top or int(config.vocab_size))
        room = self.recipe.backbone.max_length if vectors.what == "tokens" else 1
        return int(config.hidden_size) * room

    def reader(self) -> Reader:
        """The reader, loaded at the first call."""
        vectors = self.vectors
        if self.backbone is None:
            self.backbone = _load(self.recipe.backbone, logits=vectors.what == "logits")
        if self.engine is None:
            run = quantise(self.backbone).run if vectors.engine == "onnx-int8" else None
            self.engine = Engine(self.backbone, vectors.batch_tokens, run)
        layers = layer_count(self.config)
        if vectors.what == "logits":
            return LogitsReader(self.engine, vectors.top)
        if vectors.what == "tokens":
            return TokenReader(self.engine, plan_layers(vectors, layers))
        return HiddenReader(self.engine, plan_poolings(vectors, layers))

    def table(self, frame: pd.DataFrame, tokens: Tokens, found: dict[str, np.ndarray]) -> pd.DataFrame:  # noqa: ARG002
        """The frame itself, or a row for each token."""
        if self.vectors.what != "tokens" or self.backbone is None:
            return frame
        return token_rows(frame, tokens.ids, self.backbone.tokenizer)


def _load(recipe: ModelRecipe, *, logits: bool) -> Backbone:
    try:
        return load_backbone(recipe, logits=logits)
    except ModelError as error:
        if logits and "language-model head" in str(error):
            what = f"model {recipe.model!r} has no language-model head that can be used"
            raise ModelError(what, hint="type --what hidden") from error
        raise


def frozen_model(model: str | Backbone, recipe: ExtractRecipe) -> FrozenSource:
    """Find a model by its name, or take a loaded one; its weights are not read yet.

    Raises:
        ModelError: no such model.
        OptionError: options of loading beside a loaded model.
    """
    if isinstance(model, Backbone):
        if recipe.backbone != ModelRecipe():
            raise OptionError("a loaded model cannot be loaded otherwise", hint="give these options to load_backbone")
        return FrozenSource(replace(recipe, backbone=model.recipe), model.source, model.model.config, model)
    wanted: ModelRecipe = replace(recipe.backbone, model=str(model))
    source = resolve(wanted)
    return FrozenSource(replace(recipe, backbone=wanted), source, read_config(source, wanted))


@dataclass
class PromptSource:
    """Outputs of a trained prompt: block `prompt` (hidden) or `prompt_logits`, and the column `predicted`."""

    model: PromptModel
    vectors: VectorsRecipe

    @property
    def names(self) -> tuple[str, ...]:
        """The one block."""
        return ("prompt",) if self.vectors.what == "hidden" else ("prompt_logits",)

    @property
    def identity(self) -> dict[str, Any]:
        """The base model and a hash of what was trained."""
        backbone = self.model.backbone
        asked = {"max_length": backbone.recipe.max_length, "dtype": backbone.recipe.dtype, "what": self.vectors.what}
        return {"weights": backbone.source.weights, "prompt": _tensor_hash(self.model), **asked}

    @property
    def how(self) -> dict[str, dict[str, Any]]:
        """The recipe of the training, and whether the block is what the prompt decides by."""
        trained = self.model.recipe
        same = trained.prompt.readout == self.vectors.what
        return {self.names[0]: {"recipe": recipes.to_dict(trained), "decides": same}}

    @property
    def origin(self) -> dict[str, Any]:
        """Name and revision of the model under the prompt, and how it was found."""
        source = self.model.backbone.source
        return {"model": public_name(source.name), "revision": source.revision, "found": source.origin}

    @property
    def width(self) -> int:
        """Numbers that a text gives to the block."""
        config = text_config(self.model.backbone.model.config)
        if self.vectors.what == "logits":
            return int(config.vocab_size)
        return int(config.hidden_size) * self.model.recipe.prompt.tokens

    def reader(self) -> Reader:
        """Itself."""
        return self

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Token ids that leave room for the prompt."""
        return self.model.backbone.tokenize(texts, reserve=self.model.recipe.prompt.tokens)

    def read(self, tokens: Tokens, names: Sequence[str], progress: Progress | None = None) -> dict[str, np.ndarray]:
        """The block, and what the trained readout gives (`outputs`), each (rows, width) float32."""
        readouts = dict.fromkeys(names, self._readout) | {"outputs": self.model.recipe.prompt}
        return self.model.read(tokens, readouts, self.vectors.batch_tokens, progress)

    @property
    def _readout(self) -> PromptRecipe:
        """The space asked for; a prompt that was trained on logits is read at its last position."""
        trained = self.model.recipe.prompt
        positions = "last" if trained.readout == "logits" else trained.positions
        return replace(trained, readout=self.vectors.what, positions=positions)

    def table(self, frame: pd.DataFrame, tokens: Tokens, found: dict[str, np.ndarray]) -> pd.DataFrame:  # noqa: ARG002
        """The frame with the prompt's own decision as `predicted`."""
        return frame.assign(predicted=self.model.labels(self.model.scores(found.pop("outputs"))))


def trained_prompt(run: Path, recipe: ExtractRecipe, *, verify: bool = True) -> PromptSource:
    """Load the prompt of a run.

    Raises:
        StoreError: no trained model in the folder.
        OptionError: the run trained no prompt, or an option that a prompt has no use for.
        ModelError: the model has no LM head although logits are asked for.
    """
    vectors = recipe.vectors
    if vectors.what == "tokens" or vectors.top is not None:
        raise OptionError("--run reads prompts", got=f"--what {vectors.what}", expected="--what hidden or logits")
    if vectors.engine != VectorsRecipe().engine:
        raise OptionError("--engine has no effect with --run", hint="leave it away")
    if vectors.pool != VectorsRecipe().pool or vectors.layers is not None:
        raise OptionError("--pool and --layers have no effect with --run", hint="leave them away")
    backbone = recipe.backbone
    model = load_model(run, device=backbone.device, trust_remote_code=backbone.trust_remote_code, verify=verify)
    if not isinstance(model, PromptModel):
        raise OptionError(f"{run} trained no prompt", hint="extract the frozen model itself with --model")
    if vectors.what == "logits" and model.recipe.prompt.readout != "logits":
        model = replace(model, backbone=_load(model.backbone.recipe, logits=True))
    return PromptSource(model, vectors)


def _tensor_hash(model: PromptModel) -> str:
    from hashlib import sha256

    total = sha256()
    for name, tensor in sorted(model.prompt.named().items()):
        total.update(name.encode() + tensor.detach().float().cpu().numpy().tobytes())
    return total.hexdigest()
