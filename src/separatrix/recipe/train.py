"""Recipes of a training: model, text cache, prompt, objective, centroids, loop."""

from __future__ import annotations

from dataclasses import field, replace
from typing import Any

from separatrix.errors import OptionError
from separatrix.recipe.core import option, recipe_class
from separatrix.recipe.registry import Choices, DeviceNames

AUTO = "auto"  # number format: what the machine and the texts allow
DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
LOSSES = Choices(
    "centroid_ce", "centroid", "attract_repel", "cosine", "distance", "token", "linear", "mse", "binary_ce"
)
DEVICES = DeviceNames("auto", "cpu", "cuda", "cuda:0")
STARTS, PUSHES = Choices("random", "first", "mean"), Choices("away", "origin")
MOVERS = Choices("fixed", "gradient", "ema", "momentum", "mean")
POSITIONS = Choices("last", "mean", "all")
INITS = Choices("vocabulary", "text", "classes", "descriptions", "mixture", "normal")


@recipe_class
class ModelRecipe:
    """Model."""

    model: str = option(
        DEFAULT_MODEL, "model: a local folder, a GGUF file, a hub name, or the embedded default", names_path=True
    )
    revision: str | None = option(None, "hub revision (branch, tag or commit)")
    depth: int | None = option(
        None,
        "first layers of the model that are used, its last norm behind them (default: all layers)",
        low=1,
        later=True,
    )
    max_length: int = option(256, "tokens kept of each text; longer texts are cut and counted", low=1, high=131072)
    dtype: str = option(
        "float32",
        "number format of the model; auto: bfloat16 where the processor has it and a sample of the texts keeps its "
        "vectors and neighbors, else float32",
        choices=("float32", "bfloat16", AUTO),
    )
    device: str = option("auto", "where to compute; cuda:1 is the second GPU", choices=DEVICES)
    trust_remote_code: bool = option(False, "run code that the model's repository brings (off unless asked for)")
    special_tokens: str = option(
        "keep",
        "control tokens that a text holds, such as [SEP]: they act as such, or are read as text",
        choices=("keep", "escape"),
        later=True,
    )

    def at(self, model: str | None, device: str) -> ModelRecipe:
        """The same on a device, from another place if one is given; a revision belongs to the first place.

        >>> ModelRecipe(model="owner/name", revision="v2").at("copy", "cpu").revision is None
        True
        """
        here = replace(self, device=device)
        return here if model is None else replace(here, model=model, revision=None)


def as_in_model(name: str, recipe: Any = ModelRecipe, *, later: bool = False) -> Any:
    """A field with the default and the text that it has in `ModelRecipe`, or another recipe; `later` as in `option`."""
    spec = recipe.__dataclass_fields__[name]
    return field(default=spec.default, metadata={**spec.metadata, "later": later or spec.metadata["later"]})


@recipe_class
class CacheRecipe:
    """Text cache (keys and values of the frozen text)."""

    cache: str = option("auto", "text cache", choices=("auto", "memory", "disk", "off"))
    cache_dtype: str = option("float16", "number format of the cache", choices=("float16", "bfloat16", "float32"))
    memory_gib: float = option(4.0, "budget of the cache in memory, GiB; above it `auto` goes to disk", low=0)
    disk_gib: float = option(20.0, "budget of the cache on disk, GiB; above it the text is run at every step", low=0)


@recipe_class
class PromptRecipe:
    """Prompt."""

    tokens: int = option(8, "number of prompt tokens", low=1, high=200)
    init: str = option("vocabulary", "start of the prompt", choices=INITS)
    init_text: str | None = option(None, "the text whose tokens start the prompt (with --init text)")
    descriptions: tuple[str, ...] | None = option(
        None, "a sentence for each class, class=sentence, or a JSON file of them (with --init descriptions)", later=True
    )
    residual: int = option(
        0, "hidden width of a residual network through which the vectors are trained; 0: they are trained themselves",
        low=0, high=4096, later=True,
    )  # fmt: skip
    instance: int = option(
        0, "rank of a learnt map from the text's own mean vector to its prompt; 0: one prompt for all texts",
        low=0, high=256, later=True,
    )  # fmt: skip
    layer: int = option(
        0, "layer that the prompt enters at; above 0 the cache holds the layers from there on", low=0, later=True
    )
    prompt_layers: str = option(
        "all", "learnt vectors at the input only or at every layer", choices=("input", "all"), earlier_name="layers"
    )
    readout: str = option("hidden", "what is read at the prompt", choices=("hidden", "logits"))
    text_dropout: float = option(0.0, "share of the text's tokens that training steps leave out", low=0, high=0.9)
    positions: str = option("all", "prompt positions that are read (logits: always the last)", choices=POSITIONS)

    def __post_init__(self) -> None:
        if self.init == "text" and not self.init_text:
            raise OptionError("--init text needs a text", hint='add --init-text "The kind of question is"')
        if self.init == "descriptions" and not self.descriptions:
            hint = 'add --descriptions "CLASS=what its texts say" ...'
            raise OptionError("--init descriptions needs a sentence for each class", hint=hint)
        if self.init == "mixture" and self.layer:
            what = "vectors at a layer are no mixture of words"
            raise OptionError(what, got=f"--init mixture --layer {self.layer}", hint="leave one of them away")


SET_LOSS = "binary_ce"  # of a prompt whose rows have several labels, where no other is named


@recipe_class
class LossRecipe:
    """Objective."""

    loss: str = option("centroid_ce", "objective", choices=LOSSES)
    temperature: float = option(1.0, "divides the distances of centroid_ce", low=1e-6)
    attraction: float = option(1.0, "factor of the attraction to the own centroid", low=0)
    repulsion: float = option(1.0, "factor of the repulsion", low=0)
    words: tuple[str, ...] | None = option(
        None,
        "label words for `token`, one per class in the order of the sorted class names; if absent, the data choose",
    )


@recipe_class
class CentroidRecipe:
    """Centroids."""

    start: str = option("mean", "start of the centroids", choices=STARTS)
    mover: str = option("gradient", "rule that moves the centroids", choices=MOVERS)
    every: int = option(1, "steps between two moves", low=1)
    rate: float = option(0.1, "step of `ema` and `momentum` towards the class mean", low=0, high=1)
    friction: float = option(0.9, "share of the velocity that `momentum` keeps", low=0, high=1)
    push: float = option(0.0, "length of the push away from the other centroids at each move", low=0)
    push_rule: str = option(
        "away", "direction of the push (`origin`, from the origin, is for comparison only)", choices=PUSHES
    )


@recipe_class
class LoopRecipe:
    """Training: length and speed."""

    epochs: int = option(10, "passes over the training rows", low=1)
    batch_size: int = option(32, "rows per step", low=1)
    lr: float = option(3e-2, "learning rate of the prompt, or of the encoder", low=0)
    layer_lr: float | None = option(
        None, "learning rate of the vectors at the layers (default: that of the prompt)", low=0
    )
    centroid_lr: float | None = option(None, "learning rate of the centroids (default: that of the prompt)", low=0)
    head_lr: float | None = option(None, "learning rate of the head (default: --lr)", low=0)
    weight_decay: float = option(0.0, "decay of what is trained", low=0)
    class_weight: tuple[str, ...] | None = option(
        None,
        "weight of each class in the loss: balanced (all classes weigh alike), class=weight for some (1 for the "
        "others), or a JSON file of them",
        later=True,
    )
    warmup: float = option(0.1, "share of all steps in which the rate rises", low=0, high=1)
    clip: float = option(1.0, "largest gradient norm; 0 switches clipping off", low=0)
    patience: int = option(0, "epochs without a better validation score before stopping; 0 never stops", low=0)
    refit: bool = option(
        False, "train once more on training and validation rows together, for the epochs that validation chose"
    )
    seed: int = option(0, "seed of every random choice", low=0)
    snapshots: int = option(3, "pictures of the outputs per epoch kept for the animation", low=0, high=100)
    frame_rows: int = option(
        300, "validation rows (and training rows of an encoder) that the animation shows", low=10, high=20_000,
        affects_result=False, later=True,
    )  # fmt: skip
    checkpoint_seconds: float = option(
        60.0, "seconds between two saved states within an epoch", low=0, affects_result=False
    )


@recipe_class
class EvaluationRecipe:
    """Evaluation."""

    order: tuple[str, ...] | None = option(
        None,
        "all classes from low to high, where they have an order: errors are then counted in classes too; training and "
        "answers stay as they are",
        later=True,
    )


# Of so many training texts and more, a probe chooses its pooling on some of them and is then fitted on all.
MANY_TEXTS, POOL_TEXTS = 20_000, 3_000
BEST, OWN = "best", "own"


@recipe_class
class ProbeRecipe:
    """Linear probe."""

    pool: str = option(
        BEST,
        "best is chosen on validation, own is what the encoder's modules.json says",
        choices=(BEST, OWN, "cls", "mean", "max", "last", "layer_mean"),
    )


@recipe_class
class ProbingRecipe:
    """A whole probe: model, vectors, whether numbers are predicted (the loss mse), the seed (of the loop)."""

    backbone: ModelRecipe = ModelRecipe()
    probe: ProbeRecipe = ProbeRecipe()
    objective: LossRecipe = LossRecipe()
    loop: LoopRecipe = LoopRecipe()
    evaluation: EvaluationRecipe = EvaluationRecipe()


@recipe_class
class TrainRecipe:
    """A whole training: model, cache, prompt, objective, centroids, loop."""

    backbone: ModelRecipe = ModelRecipe()
    text_cache: CacheRecipe = CacheRecipe()
    prompt: PromptRecipe = PromptRecipe()
    objective: LossRecipe = LossRecipe()
    centroids: CentroidRecipe = CentroidRecipe()
    loop: LoopRecipe = LoopRecipe()
    evaluation: EvaluationRecipe = EvaluationRecipe()
