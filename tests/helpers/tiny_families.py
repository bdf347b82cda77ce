"""Tiny random models of every text family that transformers can build, saved as folders with a tokenizer."""

from __future__ import annotations

import inspect
from pathlib import Path

VOCABULARY, POSITIONS, WIDTH, LARGEST = 80, 64, 32, 10_000_000

SIZES = (
    (
        WIDTH,
        "hidden_size d_model n_embd dim emb_dim embedding_size embed_dim rnn_hidden_size attention_hidden_size "
        "word_embed_proj_dim d_embed hidden_size_per_layer_input ple_embed_proj_dim",
    ),
    (
        2,
        "num_hidden_layers n_layer n_layers num_layers encoder_layers decoder_layers num_decoder_layers depth "
        "num_encoder_layers num_experts_per_tok moe_topk moe_k top_k_experts "
        "num_key_value_heads n_head_kv num_kv_heads",
    ),
    (
        4,
        "num_attention_heads n_head n_heads num_heads encoder_attention_heads decoder_attention_heads num_experts "
        "num_encoder_attention_heads num_decoder_attention_heads num_local_experts n_routed_experts moe_num_experts",
    ),
    (
        2 * WIDTH,
        "intermediate_size d_ff ffn_dim encoder_ffn_dim decoder_ffn_dim n_inner d_inner mlp_dim "
        "moe_intermediate_size expert_ffn_hidden_size ffn_hidden_size ffn_hidden_dim hidden_dim dim_ff "
        "shared_expert_intermediate_size moe_hidden_size",
    ),
    (VOCABULARY, "vocab_size src_vocab_size tgt_vocab_size entity_vocab_size vocab_size_per_layer_input"),
    (POSITIONS, "max_position_embeddings n_positions max_seq_len max_source_positions max_target_positions"),
    (
        8,
        "head_dim d_kv qk_nope_head_dim qk_rope_head_dim v_head_dim dim_head sliding_window "
        "local_attention linear_key_head_dim linear_value_head_dim linear_head_dim index_head_dim global_head_dim "
        "image_size patch_size spatial_patch_size",
    ),
    (16, "q_lora_rank kv_lora_rank entity_emb_size"),
    (4, "rotary_dim"),
)
SMALL = {name: size for size, names in SIZES for name in names.split()}
TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
FROM_NONE = ("head_dim", "vocab_size", "num_experts_per_tok")  # sizes that some families leave open
MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8}
MROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]}}
# What the sizes above do not fit by themselves.
MORE: dict[str, dict] = {
    "bamba": MAMBA | {"attn_layer_indices": [1]},
    "bert-generation": {"is_decoder": False},
    "blenderbot": {"encoder_layers": 2},
    "codegen": {"n_ctx": POSITIONS},
    "cpmant": {"position_bias_num_buckets": 32, "position_bias_max_distance": POSITIONS},
    "falcon_h1": MAMBA | {"mamba_d_ssm": 64},
    "funnel": {"block_sizes": [1, 1]},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 8},
    "granitemoehybrid": MAMBA | {"layer_types": ["mamba", "attention"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "mamba_dt_rank": 4},
    "longcat_flash": {"zero_expert_num": 1},
    "longformer": {"attention_window": [8, 8]},
    "mamba2": {"num_heads": 8, "n_groups": 1},
    "reformer": {"axial_pos_embds": False, "attn_layers": ["local", "local"], "attention_head_size": 8},
    "roc_bert": {
        "pronunciation_embed_dim": 8,
        "pronunciation_vocab_size": 80,
        "shape_embed_dim": 8,
        "shape_vocab_size": 80,
    },
    "kimi_linear": {"num_experts": 8},
    "esm": {"pad_token_id": 0, "mask_token_id": 4},
    "zamba": {"layer_types": ["mamba", "hybrid"]},
    "zamba2": MAMBA | {"layer_types": ["mamba", "hybrid"]},
    "bailing_hybrid": {"layer_group_size": 2},
    "dbrx": {"attn_config": {"rope_theta": 1e4, "kv_n_heads": 2, "clip_qkv": 8.0}},
    "esmc": {"num_key_value_heads": 4},
    "gemma3n_text": {"num_kv_shared_layers": 0},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "mistral4": {"head_dim": 16},
    "nemotron": {"num_key_value_heads": 2},
    "recurrent_gemma": {"block_types": ["recurrent", "attention"]},
}
for _name in ("qwen2_vl", "qwen2_5_vl", "glm4v", "glm_image", "glm_ocr", "paddleocr_vl", "qwen2_5_omni_thinker"):
    MORE |= {_name: {"text_config": MROPE}, f"{_name}_text": MROPE}


def all_kinds() -> list[str]:
    """The model types that `AutoModel` knows."""
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    return sorted(MODEL_MAPPING_NAMES)


def tiny_config(kind: str) -> object:
    """A config of two layers of width 32; its parts (of a picture, of sound) are as small."""
    from transformers import CONFIG_MAPPING

    return _shrunk(CONFIG_MAPPING[kind], MORE.get(kind, {}))


def _shrunk(made: type, more: dict) -> object:
    usual = made()
    said, parts = usual.to_dict(), getattr(made, "sub_configs", {})
    options = {name: size for name, size in SMALL.items() if _is_number(said.get(name))}
    options |= {name: SMALL[name] for name in FROM_NONE if name in said and said[name] is None}
    options |= {
        name: number for name, number in TOKENS.items() if _is_number(said.get(name)) and said[name] >= VOCABULARY
    }
    if {"kv_lora_rank", "num_key_value_heads"} <= set(said):  # every head has keys of its own
        options["num_key_value_heads"] = SMALL["num_attention_heads"]
    if isinstance(kinds := said.get("layer_types"), list) and kinds:
        options["layer_types"] = (list(dict.fromkeys(kinds)) * 2)[:2]
    if isinstance(rope := said.get("rope_parameters"), dict) and "mrope_section" in rope:
        pairs = int(SMALL["head_dim"] * rope.get("partial_rotary_factor", 1)) // 2
        options["rope_parameters"] = rope | {"mrope_section": [pairs - 2 * (pairs // 3), pairs // 3, pairs // 3]}
    for name in parts:
        if (part := getattr(usual, name, None)) is not None:
            options[name] = _shrunk(type(part), more.get(name, {}))
    return made(**options | {name: value for name, value in more.items() if name not in parts})


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def unfit(kind: str) -> str | None:
    """Why a family is not in the matrix, or None."""
    from transformers import CONFIG_MAPPING, MODEL_MAPPING

    try:
        model = MODEL_MAPPING[CONFIG_MAPPING[kind]]
        model = model[0] if isinstance(model, tuple) else model
        inputs = inspect.signature(model.forward).parameters
    except ImportError as error:
        return f"needs a library that is not installed ({str(error).split('requires the ')[-1].split(' ')[0]})"
    except ValueError:
        return "transformers names a class that it does not have"
    if "input_ids" not in inputs:
        return "reads no text"
    return None


def build(kind: str):
    """A random model of the family.

    Raises:
        ValueError: the family cannot be built small.
    """
    import torch
    from transformers import MODEL_MAPPING, AutoModel

    config = tiny_config(kind)
    if isinstance(classes := MODEL_MAPPING[type(config)], tuple):  # the checkpoint says which
        config.architectures = [classes[0].__name__]
    with torch.device("meta"):
        size = sum(tensor.numel() for tensor in AutoModel.from_config(config).parameters())
    if size > LARGEST:
        raise ValueError(f"{size:,} parameters at the smallest")
    torch.manual_seed(0)
    model = AutoModel.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1 and parameter.is_floating_point():
                parameter.normal_(0, 0.1)
    return model


def save_tokenizer(folder: Path) -> None:
    """Save a tokenizer of whole words, as many as the table has rows."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = ["<pad>", "<bos>", "<eos>", "<unk>", "<mask>", *(f"w{number}" for number in range(VOCABULARY - 5))]
    tokenizer = Tokenizer(models.WordLevel({name: place for place, name in enumerate(names)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {f"{name}_token": f"<{name}>" for name in ("pad", "bos", "eos", "unk", "mask")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
