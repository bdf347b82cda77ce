"""Which reader serves a request, and what trained prompts leave behind: their outputs as vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from separatrix import recipe as recipes
from separatrix.errors import ModelError, OptionError, public_name
from separatrix.extraction.windows import token_rows
from separatrix.learn.trained.loading import load_model
from separatrix.learn.trained.prompt import PromptModel
from separatrix.learn.trained.saved import check_input_kind
from separatrix.models import extract
from separatrix.models.backbone import Backbone, Tokens
from separatrix.models.batches import groups, token_batches, token_budget
from separatrix.models.config import layer_count, read_config, text_config
from separatrix.models.extract import Engine, RowsDone
from separatrix.models.load import drop_weights, load_backbone
from separatrix.models.pool import LAYER_POOLS, plan_layers, plan_poolings
from separatrix.models.quantised import quantise
from separatrix.models.source import Source, resolve
from separatrix.models.tokens import ESCAPE, TokenPart
from separatrix.recipe import ModelRecipe
from separatrix.recipe.vectors import ExtractRecipe, VectorsRecipe

REMARKS = "remarks"  # of the origin of points: what is to be known of the model's weights
# A frame of texts, their tokens, the blocks, and how many rows stand before -> the row table of the blocks.
Table = Callable[[pd.DataFrame, Any, dict[str, np.ndarray], int], pd.DataFrame]


class VectorReader(Protocol):
    """Turns texts into named matrices: `models.extract.Reader`, or a trained prompt."""

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Token ids, cut to what the model can hold."""
        ...

    def read(self, tokens: Tokens, names: Sequence[str], progress: RowsDone | None = None) -> dict[str, np.ndarray]:
        """The blocks named, each (rows, width) float32, in the order of the texts."""
        ...

    def parts(self, tokens: Any) -> Iterator[TokenPart]:
        """The tokens in parts that give the same numbers when each is read alone, by another process perhaps."""
        ...


def _unchanged(frame: pd.DataFrame, _: Tokens, __: dict[str, np.ndarray], ___: int) -> pd.DataFrame:
    return frame


@dataclass(frozen=True)
class ReaderRequest:
    """How another process gets a reader."""

    recipe: ExtractRecipe  # its model is a name, or the path of a folder
    run: str | None = None  # folder of a trained prompt, which is read in the place of the model
    verify: bool = True


@dataclass(frozen=True)
class VectorSource:
    """What an extraction draws from: named blocks, made by a reader that is loaded when it is first needed."""

    vectors: VectorsRecipe
    names: tuple[str, ...]  # of the blocks asked for
    width: int  # numbers that a text gives to one block, to plan how many texts are held at a time
    how: dict[str, dict[str, Any]]  # block -> how it is made
    identity: dict[str, Any]  # what the numbers depend on, the choice of blocks left out
    origin: dict[str, Any]  # where the numbers come from, in words that may change without changing them
    reader: Callable[[], VectorReader]  # loaded at the first call
    table: Table = _unchanged  # row table of what was read; columns that are no vectors are taken out of the blocks
    clock: dict[str, float] = field(default_factory=dict)  # seconds that this reading took, in no artefact
    request: ReaderRequest | None = None  # None: a loaded model, which only this process has
    # The same with what the workers settled, for tokens and table alone; None: the model is loaded.
    planner: Callable[[ExtractRecipe], VectorSource] | None = None


def frozen_model(model: str | Backbone, recipe: ExtractRecipe) -> VectorSource:
    """Find a model by its name, or take a loaded one; its weights are not read yet.

    Raises:
        ModelError: no such model.
        OptionError: options of loading beside a loaded model, or options that the model cannot serve.
    """
    if isinstance(model, Backbone):
        if recipe.backbone != ModelRecipe():
            raise OptionError("a loaded model cannot be loaded otherwise", hint="give these options to load_backbone")
        return _frozen_source(model.recipe, recipe.vectors, model.source, model.model.config, model)
    wanted: ModelRecipe = replace(recipe.backbone, model=str(model))
    source = resolve(wanted)
    config = read_config(source, wanted)

    def planner(settled: ExtractRecipe) -> VectorSource:
        return _frozen_source(settled.backbone, settled.vectors, source, config, None, weights=False)

    request = ReaderRequest(replace(recipe, backbone=wanted))
    plain = _frozen_source(wanted, recipe.vectors, source, config, None)
    return replace(plain, request=request, planner=planner)


def _frozen_source(
    recipe: ModelRecipe, vectors: VectorsRecipe, source: Source, config: Any, loaded: Backbone | None, *,
    weights: bool = True,
) -> VectorSource:  # fmt: skip
    what, layers = vectors.what, layer_count(config)
    plans = plan_poolings(vectors, layers) if what == "hidden" else ()
    chosen = plan_layers(vectors, layers) if what == "tokens" else None

    @cache
    def backbone() -> Backbone:
        frozen = loaded or _load(recipe if weights else replace(recipe, device="cpu"), logits=what == "logits")
        return frozen if weights else drop_weights(frozen)

    @cache
    def reader() -> VectorReader:
        run = quantise(backbone()).run if weights and vectors.engine == "onnx-int8" else None
        engine = Engine(backbone(), vectors.batch_tokens, run)
        if what == "logits":
            return extract.logits_reader(engine, vectors.top)
        return extract.token_reader(engine, chosen) if what == "tokens" else extract.hidden_reader(engine, plans)

    def rows_of_tokens(frame: pd.DataFrame, tokens: Tokens, _: dict[str, np.ndarray], __: int) -> pd.DataFrame:
        return token_rows(frame, tokens.ids, backbone().tokenizer)

    names, width = tuple(plan.name for plan in plans), int(text_config(config).hidden_size)
    if what == "tokens":
        names, width = extract.token_names(chosen), width * recipe.max_length
    elif what == "logits":
        words = int(text_config(config).vocab_size)
        names = extract.LOGITS if vectors.top is None else extract.TOP_LOGITS
        width = min(words, vectors.top or words)
    how = {
        plan.name: {"pool": plan.pool}
        | ({"layer": plan.layer} if plan.weights is None else {"weights": list(plan.weights)})
        | LAYER_POOLS.own_code(plan.pool)
        for plan in plans
    }
    identity = _identity(recipe, vectors, source)
    table = rows_of_tokens if what == "tokens" else _unchanged
    return VectorSource(vectors, names, width, how, identity, source_origin(source), reader, table)


def _identity(recipe: ModelRecipe, vectors: VectorsRecipe, source: Source) -> dict[str, Any]:
    """What decides the numbers. What is usual is not named, so that a further choice changes no key of before."""
    identity: dict[str, Any] = {"weights": source.weights, "max_length": recipe.max_length, "dtype": recipe.dtype}
    identity |= {"what": vectors.what, "top": vectors.top}
    identity |= {} if vectors.engine == "torch" else {"engine": vectors.engine}
    return identity | ({"special_tokens": ESCAPE} if recipe.special_tokens == ESCAPE else {})


def source_origin(source: Source) -> dict[str, Any]:
    """Name and revision of a model, how it was found, and what is to be known of its weights."""
    origin: dict[str, Any] = {"model": public_name(source.name), "revision": source.revision, "found": source.origin}
    return origin | ({REMARKS: source.warnings} if source.remarks else {})


def _load(recipe: ModelRecipe, *, logits: bool) -> Backbone:
    try:
        return load_backbone(recipe, logits=logits)
    except ModelError as error:
        if logits and "language-model head" in str(error):
            what = f"model {recipe.model!r} has no language-model head that can be used"
            raise ModelError(what, hint="type --what hidden") from error
        raise


@dataclass(frozen=True)
class PromptReader:
    """Outputs of a trained prompt under the readout of the recipe, and under its own (`outputs`)."""

    model: PromptModel
    vectors: VectorsRecipe

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Token ids that leave room for the prompt.

        Raises:
            OptionError: single texts for a prompt of pairs, or pairs for another.
        """
        check_input_kind(self.model, texts)
        return self.model.backbone.tokenize(texts, reserve=self.model.recipe.prompt.tokens)

    def read(self, tokens: Tokens, names: Sequence[str], progress: RowsDone | None = None) -> dict[str, np.ndarray]:
        """The block, and what the trained readout gives (`outputs`), each (rows, width) float32."""
        trained = self.model.recipe.prompt
        # A prompt that was trained on logits is read at its last position.
        positions = "last" if trained.readout == "logits" else trained.positions
        readout = replace(trained, readout=self.vectors.what, positions=positions)
        readouts = dict.fromkeys(names, readout) | {"outputs": trained}
        return self.model.read(tokens, readouts, self.vectors.batch_tokens, progress)

    def parts(self, tokens: Tokens) -> Iterator[TokenPart]:
        """The tokens in parts that give the same numbers when each is read alone."""
        budget = token_budget(self.model.backbone.device, self.vectors.batch_tokens)
        for rows in groups(token_batches(np.array([len(ids) for ids in tokens.ids]), budget)):
            yield TokenPart(tokens.take(rows), rows, len(rows))


def _prompt_source(model: PromptModel, vectors: VectorsRecipe) -> VectorSource:
    """The block `prompt` (hidden) or `prompt_logits`, and the column `predicted`."""
    what, trained, backbone = vectors.what, model.recipe, model.backbone

    def with_answers(frame: pd.DataFrame, _: Tokens, blocks: dict[str, np.ndarray], __: int) -> pd.DataFrame:
        return frame.assign(predicted=model.labels(model.scores(blocks.pop("outputs"))))

    name, config = "prompt" if what == "hidden" else "prompt_logits", text_config(backbone.model.config)
    width = int(config.vocab_size) if what == "logits" else int(config.hidden_size) * trained.prompt.tokens
    how = {name: {"recipe": recipes.record(trained), "decides": trained.prompt.readout == what}}
    identity: dict[str, Any] = {"weights": backbone.source.weights, "prompt": _tensor_hash(model)}
    identity |= {"max_length": backbone.recipe.max_length, "dtype": backbone.recipe.dtype, "what": what}
    reader = PromptReader(model, vectors)
    return VectorSource(
        vectors, (name,), width, how, identity, source_origin(backbone.source), lambda: reader, with_answers
    )


def trained_prompt(run: Path, recipe: ExtractRecipe, *, verify: bool = True) -> VectorSource:
    """Load the prompt of a run.

    Raises:
        StoreError: no trained model in the folder.
        OptionError: the run trained no prompt, or an option that a prompt has no use for.
        ModelError: the model has no LM head although logits are asked for.
    """
    vectors = recipe.vectors
    if vectors.what not in ("hidden", "logits") or vectors.top is not None:
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
    return replace(_prompt_source(model, vectors), request=ReaderRequest(recipe, str(run), verify))


def _tensor_hash(model: PromptModel) -> str:
    from hashlib import sha256

    total = sha256()
    for name, tensor in sorted(model.prompt.named().items()):
        total.update(name.encode() + tensor.detach().float().cpu().numpy().tobytes())
    return total.hexdigest()
