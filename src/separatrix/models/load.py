"""Loads a model with its tokenizer, frozen and checked: weights, words, vectors, language-model head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from separatrix.errors import ModelError, OptionError, raise_interrupt
from separatrix.models import attention
from separatrix.models.backbone import DTYPES, Backbone, table_rows
from separatrix.models.check import checked, some_ids
from separatrix.models.config import is_causal, not_loaded, read_config
from separatrix.models.device import pick_device
from separatrix.models.norms import fuse_norms
from separatrix.models.quiet import quietly
from separatrix.models.randomness import OwnRandomness
from separatrix.models.source import Source, resolve
from separatrix.paths import text_path
from separatrix.recipe import ModelRecipe
from separatrix.recipe.train import AUTO

TANH_GELU = ("gelu_new", "gelu_fast")  # transformers' spellings of the same formula


def drop_weights(backbone: Backbone) -> Backbone:
    """Leave a backbone, which has been checked, its words and sizes, and no weights: it tokenizes for others."""
    backbone.model.to("meta")
    return backbone


def load_backbone(recipe: ModelRecipe, *, logits: bool = False, verify: bool = True) -> Backbone:
    """Load model and tokenizer, frozen and in evaluation mode; its vectors have been checked.

    Args:
        recipe: which model, from where, in what format.
        logits: load the language-model head as well.
        verify: compare a model that was trained here with the hashes that were written with it.

    Raises:
        StoreError: such a model was altered.
        ModelError: unknown model, damaged or missing files, no usable head although `logits`, no such device, a token
            without an embedding, or vectors that depend on the texts beside a text.
        OptionError: the number format is left open (`models.precision.settled` chooses one for some texts).
    """
    if recipe.dtype == AUTO:
        raise OptionError("--dtype auto needs texts to choose by", hint="name float32 or bfloat16")
    device, source = pick_device(recipe.device), resolve(recipe, verify=verify)
    config = _fused(read_config(source, recipe))
    if logits and getattr(config, "is_encoder_decoder", False):
        what = f"model {source.name!r} is an encoder-decoder, whose encoder has no language-model head"
        raise ModelError(what, hint="use --readout hidden")
    try:
        model, tokenizer, missing = _read(source, recipe, config, logits)
    except ModelError:
        raise
    except Exception as error:  # damaged files surface as almost any type
        raise_interrupt(error)
        raise not_loaded(source, error) from error
    whole, model = model, _reading_part(model)
    absent = [name for name in missing if model is whole or _belongs(name, whole, model)]
    _check_weights(source, absent, logits)
    _check_tokenizer(source, tokenizer, table_rows(model))
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = model.to(device).eval().requires_grad_(False)
    fuse_norms(model)
    backbone = Backbone(model, tokenizer, recipe, source, is_causal(config), device, part=model is not whole)
    backbone = checked(replace(backbone, first_position=_first_position(model)))
    if logits:
        _check_head(backbone)
    return backbone


def _read(source: Source, recipe: ModelRecipe, config: Any, logits: bool) -> tuple[Any, Any, list[str]]:
    """Model, tokenizer, and the names of weights that the checkpoint lacks.

    Raises:
        ModelError: weights of other shapes than config.json says.
    """
    from transformers import AutoTokenizer

    attention.register()
    options: dict[str, Any] = {
        "config": config,
        "dtype": DTYPES[recipe.dtype],
        "use_safetensors": True,
        "ignore_mismatched_sizes": True,
        "trust_remote_code": recipe.trust_remote_code,
        "output_loading_info": True,
    }
    kind = _auto_class(config, logits)
    # What a checkpoint lacks is drawn at random: not from the caller's random state.
    with text_path(source.folder) as folder:
        with quietly(), OwnRandomness(0):
            try:
                model, report = kind.from_pretrained(folder, attn_implementation=attention.NAME, **options)
            except (KeyError, ValueError) as error:
                if attention.NAME not in str(error):
                    raise
                # Older families choose a class by this name, and have none for ours.
                model, report = kind.from_pretrained(folder, attn_implementation=attention.OWN, **options)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=recipe.trust_remote_code)
    if other := sorted(report["mismatched_keys"]):
        name, got, expected = other[0]
        what = f"the weights of model {source.name!r} do not fit its config.json ({name})"
        raise ModelError(what, got=tuple(got), expected=tuple(expected))
    return model, tokenizer, sorted(report["missing_keys"])


def _auto_class(config: Any, logits: bool) -> Any:
    """The class of transformers that opens what is needed of a checkpoint, and saves it so that it opens again."""
    import transformers as hf
    from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES as ENCODERS

    if logits:
        return hf.AutoModelForCausalLM if is_causal(config) else hf.AutoModelForMaskedLM
    if ENCODERS.get(config.model_type, "").endswith("EncoderModel"):  # T5 and its kin
        config.is_encoder_decoder = False
        return hf.AutoModelForTextEncoding
    return hf.AutoModel


def _reading_part(model: Any) -> Any:
    """The encoder of an encoder-decoder, else the model."""
    if not getattr(model.config, "is_encoder_decoder", False):
        return model
    if getattr(encoder := model.get_encoder(), "config", None) is None:  # no model of its own
        kind = model.config.model_type
        raise ModelError(f"the encoder of {kind} models cannot be read alone", hint="choose another model")
    return encoder


def _belongs(name: str, whole: Any, part: Any) -> bool:
    """Whether a weight of the whole model is one of the part's."""
    own = {id(tensor) for tensor in part.parameters()}
    return id(dict(whole.named_parameters(remove_duplicate=False)).get(name)) in own


def _first_position(model: Any) -> int:
    """RoBERTa and its kin count from the pad id + 1: their table of positions has a row for pads."""
    for name, module in model.named_modules():
        if "position" in name and (pad := getattr(module, "padding_idx", None)) is not None:
            return int(pad) + 1
    return 0


def _fused(config: Any) -> Any:
    """GELU by its tanh formula in one kernel instead of eight: a fifth of a GPT-2's time, the same to rounding."""
    for name in ("activation_function", "hidden_act"):
        if getattr(config, name, None) in TANH_GELU:
            setattr(config, name, "gelu_pytorch_tanh")
    return config


def _check_weights(source: Source, missing: Sequence[str], logits: bool) -> None:
    if absent := [name for name in missing if "pooler" not in name]:  # a pooler is never used here
        what = "language-model head" if logits else "weights"
        raise ModelError(
            f"model {source.name!r} has no trained {what} ({absent[0]} is missing)",
            hint="use --readout hidden" if logits else "give a complete checkpoint",
        )


def _check_tokenizer(source: Source, tokenizer: Any, rows: int | None) -> None:
    # Without its files transformers makes up an empty one, to which every word is unknown.
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise ModelError(f"model {source.name!r} has no tokenizer", expected="tokenizer.json or a vocabulary beside it")
    if rows is None:
        return
    beyond = {number: token for token, number in tokenizer.get_vocab().items() if number >= rows}
    beyond.pop(tokenizer.pad_token_id, None)  # pads are masked: any row does for them
    if beyond:
        number = min(beyond)
        what = f"token {beyond[number]!r} of model {source.name!r} has no embedding"
        hint = "resize the table with model.resize_token_embeddings(len(tokenizer)), and save the model"
        raise ModelError(what, got=f"id {number}", expected=f"at most {rows - 1}", hint=hint)


@torch.no_grad()
def _check_head(backbone: Backbone) -> None:
    """Run one token and compare: heads that scale or cap their logits, or have other layers, are refused."""
    ids = torch.tensor([some_ids(backbone, 1)], device=backbone.device)
    hidden = backbone.run(ids=ids, positions=torch.zeros_like(ids), mask=torch.ones_like(ids))[-1]
    wanted = backbone.model(input_ids=ids).logits
    try:
        near = torch.allclose(backbone.logits(hidden), wanted, rtol=1e-2, atol=1e-2 * float(wanted.abs().max()))
    except (RuntimeError, TypeError, AttributeError) as error:  # widths that do not fit, a head of another kind
        raise_interrupt(error)
        near = False
    if not near:
        what = f"the language-model head of {backbone.kind} models is not supported"
        raise ModelError(what, hint="use --readout hidden")
