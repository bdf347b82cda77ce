"""What a stage was asked to do: frozen dataclasses, the only source of defaults and of option texts.

A recipe is plain data. It is checked when it is made (all mistakes before any work), written beside every result as
canonical JSON, and hashed, so that a second call with the same recipe can load instead of compute. The command line
and the estimators read names, defaults, texts and limits from here; nothing else holds a second copy.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from separatrix.errors import OptionError, choose

R = TypeVar("R")

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
LOSSES = ("centroid_ce", "centroid", "attract_repel", "cosine", "distance", "token", "linear", "mse")


def option(
    default: Any,
    text: str,
    *,
    choices: tuple[str, ...] | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """A recipe field with its help text and its limits (both ends included)."""
    return field(default=default, metadata={"text": text, "choices": choices, "low": low, "high": high})


def flag(name: str) -> str:
    """The spelling of a recipe field on the command line.

    >>> flag("batch_size")
    '--batch-size'
    """
    return "--" + name.replace("_", "-")


def check(recipe: Any) -> None:
    """Raise an `OptionError` for the first field outside its choices or limits."""
    for spec in dataclasses.fields(recipe):
        value, meta = getattr(recipe, spec.name), spec.metadata
        if value is None or not meta:
            continue
        if meta["choices"] is not None:
            choose(value, meta["choices"], flag(spec.name))
        _check_limits(spec.name, value, meta["low"], meta["high"])


def _check_limits(name: str, value: Any, low: float | None, high: float | None) -> None:
    if low is None and high is None:
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # `not (low <= value)` also refuses NaN, which compares false with everything.
    if not number or (low is not None and not value >= low) or (high is not None and not value <= high):
        span = f"{low} to {high}" if high is not None else f"{low} or more"
        raise OptionError(f"{flag(name)} is out of range", got=repr(value), expected=f"a number, {span}")


def to_dict(recipe: Any) -> dict[str, Any]:
    """The recipe as plain nested dictionaries."""
    return dataclasses.asdict(recipe)


def from_dict(cls: type[R], values: Mapping[str, Any]) -> R:
    """Build a recipe from a plain dictionary; an unknown key is refused with the nearest name.

    >>> from_dict(CentroidRecipe, {"mover": "ema"}).mover
    'ema'
    """
    specs = {spec.name: spec for spec in dataclasses.fields(cls)}  # type: ignore[arg-type]
    kept: dict[str, Any] = {}
    for name, value in values.items():
        choose(name, specs, f"option of {cls.__name__}")
        part = PARTS.get(name) if isinstance(value, Mapping) else None
        kept[name] = from_dict(part, value) if part else value
    return cls(**kept)


def canonical(value: Any) -> str:
    """The one JSON text of a recipe or of plain data: sorted keys, no spaces, no NaN."""
    plain = to_dict(value) if dataclasses.is_dataclass(value) else value
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(*values: Any) -> str:
    """Sixteen hexadecimal digits that change when any of the values does.

    >>> digest(CentroidRecipe()) == digest(CentroidRecipe())
    True
    >>> digest(CentroidRecipe(every=2)) == digest(CentroidRecipe())
    False
    """
    text = "\n".join(canonical(value) for value in values)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def replace(recipe: R, **changes: Any) -> R:
    """A copy with the named options changed, wherever in the nested recipe they stand.

    >>> replace(TrainRecipe(), tokens=5, lr=0.1).prompt.tokens
    5
    """
    own = {spec.name for spec in dataclasses.fields(recipe)}  # type: ignore[arg-type]
    here = {name: value for name, value in changes.items() if name in own}
    rest = {name: value for name, value in changes.items() if name not in own}
    for part_name in own & PARTS.keys():
        part = here.get(part_name, getattr(recipe, part_name))
        names = {spec.name for spec in dataclasses.fields(part)}
        inner = {name: rest.pop(name) for name in list(rest) if name in names}
        if inner:
            here[part_name] = dataclasses.replace(part, **inner)
    for name in rest:
        choose(name, option_names(recipe), "option")
    return dataclasses.replace(recipe, **here)  # type: ignore[type-var]


def option_names(recipe: Any) -> list[str]:
    """Every option of a nested recipe by its own name."""
    names: list[str] = []
    for spec in dataclasses.fields(recipe):
        part = getattr(recipe, spec.name)
        names += option_names(part) if dataclasses.is_dataclass(part) else [spec.name]
    return names


@dataclass(frozen=True)
class ModelRecipe:
    """Which transformer, and how its texts are cut."""

    model: str = option(DEFAULT_MODEL, "model: a local folder, a hub name, or the embedded default")
    revision: str | None = option(None, "hub revision (branch, tag or commit)")
    max_length: int = option(256, "tokens kept of each text; longer texts are cut and counted", low=1, high=131072)
    dtype: str = option("float32", "number format of the model", choices=("float32", "bfloat16"))
    device: str = option("auto", "where to compute", choices=("auto", "cpu", "cuda"))
    trust_remote_code: bool = option(False, "run code that the model's repository brings (off unless asked for)")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class CacheRecipe:
    """Where the frozen text's keys and values are kept."""

    cache: str = option("auto", "text cache", choices=("auto", "memory", "disk", "off"))
    cache_dtype: str = option("float16", "number format of the cache", choices=("float16", "bfloat16", "float32"))
    memory_gib: float = option(4.0, "budget of the cache in memory, GiB; above it `auto` goes to disk", low=0)
    disk_gib: float = option(20.0, "budget of the cache on disk, GiB; above it the text is run at every step", low=0)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class PromptRecipe:
    """The trained vectors: how many, where, from what start, and where the result is read."""

    tokens: int = option(8, "number of prompt tokens", low=1, high=200)
    init: str = option("vocabulary", "start of the prompt", choices=("vocabulary", "text", "classes", "normal"))
    init_text: str | None = option(None, "the text whose tokens start the prompt (with --init text)")
    layers: str = option("all", "learnt vectors at the input only or at every layer", choices=("input", "all"))
    readout: str = option("hidden", "what is read at the prompt", choices=("hidden", "logits"))
    text_dropout: float = option(
        0.0, "share of the text's tokens hidden from the prompt in each training step", low=0, high=0.9
    )
    positions: str = option(
        "all", "prompt positions that are read (logits: always the last)", choices=("last", "mean", "all")
    )

    def __post_init__(self) -> None:
        check(self)
        if self.init == "text" and not self.init_text:
            raise OptionError("--init text needs a text", hint='add --init-text "The kind of question is"')


@dataclass(frozen=True)
class LossRecipe:
    """What is asked of the outputs."""

    loss: str = option("centroid_ce", "objective", choices=LOSSES)
    temperature: float = option(1.0, "divides the distances of centroid_ce", low=1e-6)
    attraction: float = option(1.0, "factor of the attraction to the own centroid", low=0)
    repulsion: float = option(1.0, "factor of the repulsion", low=0)
    words: tuple[str, ...] | None = option(
        None, "one label word per class for `token`; chosen on training rows if absent"
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class CentroidRecipe:
    """Where centroids start and how they move."""

    start: str = option("mean", "start of the centroids", choices=("random", "first", "mean"))
    mover: str = option(
        "gradient", "rule that moves the centroids", choices=("fixed", "gradient", "ema", "momentum", "mean")
    )
    every: int = option(1, "steps between two moves", low=1)
    rate: float = option(0.1, "step of `ema` and `momentum` towards the class mean", low=0, high=1)
    friction: float = option(0.9, "share of the velocity that `momentum` keeps", low=0, high=1)
    push: float = option(0.0, "length of the push away from the other centroids at each move", low=0)
    push_rule: str = option(
        "away", "direction of the push (`origin` repeats seed 001's formula)", choices=("away", "origin")
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class LoopRecipe:
    """How long and how fast."""

    epochs: int = option(10, "passes over the training rows", low=1)
    batch_size: int = option(32, "rows per step", low=1)
    lr: float = option(3e-2, "learning rate of the prompt", low=0)
    layer_lr: float | None = option(
        None, "learning rate of the vectors at the layers (default: that of the prompt)", low=0
    )
    centroid_lr: float | None = option(None, "learning rate of the centroids (default: that of the prompt)", low=0)
    head_lr: float | None = option(None, "learning rate of the head (default: that of the prompt)", low=0)
    weight_decay: float = option(0.0, "decay of the trained vectors", low=0)
    warmup: float = option(0.1, "share of all steps in which the rate rises", low=0, high=1)
    clip: float = option(1.0, "largest gradient norm; 0 switches clipping off", low=0)
    patience: int = option(0, "epochs without a better validation score before stopping; 0 never stops", low=0)
    seed: int = option(0, "seed of every random choice", low=0)
    snapshots: int = option(3, "pictures of the outputs per epoch kept for the animation", low=0, high=100)
    checkpoint_seconds: float = option(60.0, "seconds between two saved states within an epoch", low=0)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class TrainRecipe:
    """A whole training: model, cache, prompt, objective, centroids, loop."""

    backbone: ModelRecipe = ModelRecipe()
    text_cache: CacheRecipe = CacheRecipe()
    prompt: PromptRecipe = PromptRecipe()
    objective: LossRecipe = LossRecipe()
    centroids: CentroidRecipe = CentroidRecipe()
    loop: LoopRecipe = LoopRecipe()


PARTS: dict[str, type] = {
    "backbone": ModelRecipe,
    "text_cache": CacheRecipe,
    "prompt": PromptRecipe,
    "objective": LossRecipe,
    "centroids": CentroidRecipe,
    "loop": LoopRecipe,
}
