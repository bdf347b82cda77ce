"""Recipe of an extraction: which vectors of a text are kept, and in what format."""

from __future__ import annotations

from separatrix.errors import OptionError, choose
from separatrix.recipe.core import option, recipe_class
from separatrix.recipe.registry import Choices
from separatrix.recipe.train import ModelRecipe

POOLS = Choices("cls", "mean", "max", "last", "layer_mean", "weighted")
WHAT = ("hidden", "logits", "tokens")
ENGINES = ("torch", "onnx-int8")
STORE_DTYPES = ("float16", "float32", "int8")
ALL_LAYERS = "all"


@recipe_class
class VectorsRecipe:
    """Vectors."""

    what: str = option("hidden", "hidden states, LM logits at the last position, or states per token", choices=WHAT)
    pool: tuple[str, ...] = option(("layer_mean",), f"poolings of hidden states: {', '.join(POOLS)}")
    layers: tuple[int | str, ...] | None = option(
        None, "layers to pool, 0 = embeddings, -1 = the last, or all (default: the last; layer_mean reads all)"
    )
    weights: tuple[float, ...] | None = option(
        None, "weights of `weighted`: one for the embeddings and one for each layer (default: equal)", low=0
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
        for name in ("pool", "layers") if self.what == "logits" else ("pool",) if self.what == "tokens" else ():
            if getattr(self, name) != VectorsRecipe.__dataclass_fields__[name].default:
                raise OptionError(f"--{name} has no effect with --what {self.what}", hint=f"leave --{name} away")
        if self.top is not None and self.what != "logits":
            raise OptionError(f"--top has no effect with --what {self.what}", hint="leave --top away")
        if self.what == "logits" and self.engine != "torch":
            raise OptionError("--engine has no effect with --what logits", hint="leave --engine away")
        if self.weights is not None and "weighted" not in self.pool:
            raise OptionError("--weights has no effect without --pool weighted", hint="add --pool weighted")
        if self.weights is not None and not any(self.weights):
            raise OptionError("--weights are out of range", got=self.weights, expected="0 or more, not all 0")


@recipe_class
class ExtractRecipe:
    """A whole extraction: model and vectors."""

    backbone: ModelRecipe = ModelRecipe()
    vectors: VectorsRecipe = VectorsRecipe()
