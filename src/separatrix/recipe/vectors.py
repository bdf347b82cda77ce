"""Recipe of an extraction: which vectors of a text are kept, and in what format."""

from __future__ import annotations

from dataclasses import fields

from separatrix.errors import OptionError, choose
from separatrix.recipe.core import flag, option, recipe_class
from separatrix.recipe.registry import Choices
from separatrix.recipe.train import AUTO, ModelRecipe

POOLS = Choices("cls", "mean", "max", "last", "layer_mean", "weighted")
WHAT = ("hidden", "logits", "tokens", "attention")
FEATURE_NAMES = Choices("descriptors", "grid", "singular", "resnet", "twins")
ENGINES = ("torch", "onnx-int8")
STORE_DTYPES = ("float16", "float32", "int8")
ALL_LAYERS = "all"
_WITHOUT_EFFECT = {  # options by --what
    "hidden": (), "logits": ("pool", "layers", "engine"), "tokens": ("pool",),
    "attention": ("pool", "layers", "engine", "batch_tokens"),
}  # fmt: skip


@recipe_class
class VectorsRecipe:
    """Vectors."""

    what: str = option(
        "hidden",
        "hidden states, LM logits at the last position, states per token, or attention maps per head",
        choices=WHAT,
    )
    pool: tuple[str, ...] = option(("layer_mean",), f"poolings of hidden states: {', '.join(POOLS)}")
    layers: tuple[int | str, ...] | None = option(
        None, "layers to pool, 0 = embeddings, -1 = the last, or all (default: the last; layer_mean reads all)"
    )
    layer_weights: tuple[float, ...] | None = option(
        None,
        "weights of `weighted`: one for the embeddings and one for each layer (default: equal)",
        low=0,
        earlier_name="weights",
    )
    top: int | None = option(None, "logits: keep the highest so many and their tokens (default: all)", low=1)
    store_dtype: str = option("float16", "number format on disk", choices=STORE_DTYPES)
    batch_tokens: int | None = option(
        None, "padded tokens of one forward (default: 1024 on a CPU, 32768 on CUDA)", low=1
    )
    engine: str = option(
        "torch", "what runs the model; onnx-int8: encoders on a CPU in 8 bits, faster, other vectors", choices=ENGINES
    )

    def __post_init__(self) -> None:
        for name in self.pool:
            choose(name, POOLS, "--pool")
        if not self.pool:
            raise OptionError("--pool needs a pooling", expected=", ".join(POOLS))
        for layer in self.layers or ():
            if isinstance(layer, str):
                choose(layer, (ALL_LAYERS,), "--layers")
        for name in _WITHOUT_EFFECT[self.what]:
            if getattr(self, name) != VectorsRecipe.__dataclass_fields__[name].default:
                raise OptionError(f"--{name} has no effect with --what {self.what}", hint=f"leave --{name} away")
        if self.top is not None and self.what != "logits":
            raise OptionError(f"--top has no effect with --what {self.what}", hint="leave --top away")
        if self.layer_weights is not None and "weighted" not in self.pool:
            raise OptionError("--layer-weights has no effect without --pool weighted", hint="add --pool weighted")
        if self.layer_weights is not None and not any(self.layer_weights):
            raise OptionError(
                "--layer-weights are out of range", got=self.layer_weights, expected="0 or more, not all 0"
            )


@recipe_class
class AttentionRecipe:
    """Attention maps."""

    features: tuple[str, ...] = option(("descriptors", "grid"), "features: " + ", ".join(FEATURE_NAMES))
    stride: int = option(128, "tokens between the beginnings of two windows of one context", low=1)
    max_query_length: int = option(64, "tokens kept of the question", low=1)
    cells: int = option(16, "cells of each side of the grid", low=2, high=128)
    values: int = option(16, "singular values", low=1, high=512)
    resnet_weights: str = option(
        "random", "weights of the ResNet-50: a safetensors file, a hub name, or random", names_path=True
    )
    pixels: int = option(384, "side of the picture that the ResNet-50 sees", low=32, high=4096)
    frame: str = option("pad", "small maps in the picture: padded, or fitted to its size", choices=("pad", "fit"))
    scaling: str = option("map", "0 to 255 by whole map or by column", choices=("map", "column", "none"))

    def __post_init__(self) -> None:
        wrong = [name for name in self.features if name not in FEATURE_NAMES]
        if wrong or not self.features:
            raise OptionError("unknown feature", got=repr(wrong[0] if wrong else ""), expected=", ".join(FEATURE_NAMES))


@recipe_class
class ExtractRecipe:
    """A whole extraction: model and vectors."""

    backbone: ModelRecipe = ModelRecipe()
    vectors: VectorsRecipe = VectorsRecipe()
    attention: AttentionRecipe = AttentionRecipe()

    def __post_init__(self) -> None:
        what = self.vectors.what
        changed = [spec.name for spec in fields(AttentionRecipe) if getattr(self.attention, spec.name) != spec.default]
        if what != "attention" and changed:
            raise OptionError(f"{flag(changed[0])} has no effect with --what {what}", hint="add --what attention")
        if self.backbone.dtype == AUTO and (what == "attention" or self.vectors.engine != ENGINES[0]):
            other = "--what attention" if what == "attention" else f"--engine {self.vectors.engine}"
            raise OptionError(f"--dtype auto has no effect with {other}", hint="name float32 or bfloat16")
        if what == "attention" and "twins" in self.attention.features:
            raise OptionError("the feature `twins` is learnt from all grids", hint="extract grid, or type heads")
