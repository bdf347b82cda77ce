"""What a model's config.json says: read in one place, and compared with the weights before anything is built."""

from __future__ import annotations

from textwrap import shorten
from typing import Any

from safetensors import safe_open

from separatrix.errors import ModelError, OptionError, raise_interrupt
from separatrix.models.quiet import quietly
from separatrix.models.source import Source, read_plain
from separatrix.recipe import ModelRecipe

# Every layer has a tensor (models that share one layer have few): more layers than tensors is no real model.
LAYERS = (
    *("num_hidden_layers", "encoder_layers", "decoder_layers", "num_encoder_layers", "num_decoder_layers"),
    "num_hidden_groups",
)
# No width is larger than the largest side of a tensor.
WIDTHS = (
    *("hidden_size", "vocab_size", "intermediate_size", "num_experts", "num_local_experts", "n_routed_experts"),
    *("type_vocab_size", "relative_attention_num_buckets"),
)
LONGEST_LIST = 10_000  # of a config with smaller weights: transformers lists the types of layers, and compares them
POSITIONS = "max_position_embeddings"  # a width where a table of positions is stored


def read_config(source: Source, recipe: ModelRecipe) -> Any:
    """The config of a model folder, checked against its weights.

    Raises:
        ModelError: no readable config.json, an unknown kind of model, code of its own that may not run, or sizes that
            the weights do not have.
        OptionError: more layers are asked for than there are.
    """
    from transformers import AutoConfig

    try:
        shapes = weight_shapes(source)
        _check_lists(source, read_plain(source.folder / "config.json"), max(LONGEST_LIST, len(shapes), _widest(shapes)))
        with quietly():
            config = AutoConfig.from_pretrained(source.folder, trust_remote_code=recipe.trust_remote_code)
    except ModelError:
        raise
    except Exception as error:  # damaged files surface as almost any type
        raise_interrupt(error)
        raise not_loaded(source, error) from error
    text_config(config)
    _check_sizes(source, config, shapes)
    if recipe.depth is not None:
        _keep_layers(source, config, recipe.depth)
    return config


def _keep_layers(source: Source, config: Any, depth: int) -> None:
    """Let a config ask for its first layers alone: the weights of the others are not read."""
    part, layers = text_config(config), layer_count(config)
    if depth > layers:
        raise OptionError(
            "--depth is out of range", got=depth, expected=f"1 to {layers}, the layers of {source.name!r}"
        )
    if getattr(config, "is_encoder_decoder", False):
        what = f"layers of {config.model_type} models cannot be left away"
        raise ModelError(what, hint="leave --depth away, or choose another model")
    for name, value in [*vars(part).items()]:  # what is said of each layer
        if "layer" in name and isinstance(value, list) and len(value) == layers:
            setattr(part, name, value[:depth])
    part.num_hidden_layers = depth


def not_loaded(source: Source, error: Exception) -> ModelError:
    """The one sentence for whatever transformers raises while it loads."""
    code = "contains custom code" in str(error)
    hint = "add --trust-remote-code to run it, if you trust it" if code else None
    return ModelError(f"model {source.name!r} cannot be loaded ({shorten(str(error), 200)})", hint=hint)


def weight_shapes(source: Source) -> dict[str, tuple[int, ...]]:
    """The shape of each stored tensor, from the files' headers alone."""
    shapes: dict[str, tuple[int, ...]] = {}
    for file in sorted(source.folder.glob("*.safetensors")):
        with safe_open(file, framework="numpy") as stored:
            shapes |= {name: tuple(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118
    return shapes


def _widest(shapes: dict[str, tuple[int, ...]]) -> int:
    return max((side for shape in shapes.values() for side in shape), default=0)


def _check_lists(source: Source, part: dict[str, Any], most: int) -> None:
    """Refuse layers beyond all reason, given as a number or as a list, before transformers goes through them."""
    for name, value in part.items():
        size = len(value) if isinstance(value, list | dict) else value
        if isinstance(size, int) and size > most and ("layer" in name or isinstance(value, list)):
            raise _too_large(source, name, size, most)
        if isinstance(value, dict):
            _check_lists(source, value, most)


def _too_large(source: Source, name: str, size: int, most: int) -> ModelError:
    what = f"config.json of model {source.name!r} asks for more than its weights hold ({name})"
    return ModelError(what, got=size, expected=f"at most {most}", hint="give a complete checkpoint")


def _check_sizes(source: Source, config: Any, shapes: dict[str, tuple[int, ...]]) -> None:
    bounds = dict.fromkeys(LAYERS, len(shapes)) | dict.fromkeys(WIDTHS, max(_widest(shapes), len(shapes)))
    # A model of several parts may store a table for its pictures alone.
    if _text_part(config) is config and any("position" in name or "wpe" in name for name in shapes):
        bounds[POSITIONS] = bounds["hidden_size"]
    for part in (config, _text_part(config)):
        for name, most in bounds.items():
            size = getattr(part, name, None)
            if isinstance(size, int) and size > most:
                raise _too_large(source, name, size, most)


def _text_part(config: Any) -> Any:
    if not getattr(config, "is_encoder_decoder", False):
        return config.get_text_config()
    # Newer families nest the encoder's config, and in it that of its layers for texts; the older ones have prefixes.
    encoder = getattr(config, "encoder", None)
    return config.get_text_config(encoder=True) if encoder is None else encoder.get_text_config()


def text_config(config: Any) -> Any:
    """The part of a config that says how texts are read; the encoder's in an encoder-decoder.

    Raises:
        ModelError: a model that has no layers for texts.
    """
    part = _text_part(config)
    sizes = [getattr(part, name, None) for name in ("num_hidden_layers", "hidden_size")]
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        kind = config.model_type
        raise ModelError(f"{kind} models have no layers that read texts", expected="a language model or a text encoder")
    return part


def layer_count(config: Any) -> int:
    """Layers of a model, the embeddings not counted; of the encoder in an encoder-decoder."""
    return int(text_config(config).num_hidden_layers)


def check_entry(config: Any, first: int) -> None:
    """Raise an `OptionError` where a model has no layer of this number for a prompt to enter at."""
    count = layer_count(config)
    if first >= count:
        raise OptionError("--layer names a layer that the model does not have", got=first, expected=f"0 to {count - 1}")


def is_causal(config: Any) -> bool:
    """True for a left-to-right language model, False for an encoder and what holds one."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    if getattr(config, "is_encoder_decoder", False):
        return False
    if config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return bool(getattr(config, "is_decoder", False))
    return config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
