"""A tiny random Llama in GGUF, with the model that it was written from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
KV_HEADS = 2
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MERGES = ("Ġ Ġ", "t h", "th e", "Ġ the", "Ġ c", "a t", "Ġc at", "Ġ d", "o g", "Ġd og", "Ġ 1", "1 2")
# llama.cpp's names of Llama's weights.
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "model.layers": "blk",
}


def vocabulary() -> list[str]:
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return [*SPECIAL, *bytes_to_unicode().values(), *(merge.replace(" ", "") for merge in MERGES)]


def tiny_llama(seed: int = 0) -> Any:
    """With one table for words in and out, as SmolLM2 has it."""
    import torch
    import transformers as hf

    torch.manual_seed(seed)
    config = hf.LlamaConfig(
        **SIZES, num_key_value_heads=KV_HEADS, vocab_size=len(vocabulary()), tie_word_embeddings=True,
        max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=2,
    )  # fmt: skip
    model = hf.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.25)
    return model


def write_gguf(path: Path, model: Any, *, kind: str = "F32", pre: str = "smollm", **values: Any) -> Path:
    """Write a Llama as llama.cpp's own converter does; `values` replace those of the header, None leaves one out."""
    import gguf

    kinds, tokens = gguf.GGMLQuantizationType, vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    sizes = {
        "context_length": 128, "embedding_length": 64, "block_count": 2, "feed_forward_length": 96,
        "attention.head_count": 4, "attention.head_count_kv": KV_HEADS, "vocab_size": len(tokens),
        "rope.dimension_count": 16,
    }  # fmt: skip
    for name, value in ({f"llama.{name}": value for name, value in sizes.items()} | values).items():
        if value is not None:
            writer.add_uint32(name, value)
    writer.add_float32("llama.rope.freq_base", 10000.0)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL)))
    writer.add_token_merges(list(MERGES))
    for name, number in {"bos": 1, "eos": 2, "unk": 0, "pad": 2}.items():
        getattr(writer, f"add_{name}_token_id")(number)
    writer.add_add_bos_token(False)
    for name, weights in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        array, packed = weights.numpy(), name
        for theirs, own in NAMES.items():
            packed = packed.replace(theirs, own)
        if "attn_q" in packed or "attn_k" in packed:  # the two halves of a head are interleaved
            heads = KV_HEADS if "attn_k" in packed else SIZES["num_attention_heads"]
            array = array.reshape(heads, 2, -1, array.shape[1]).swapaxes(1, 2).reshape(array.shape)
        if kind != "F32" and array.ndim > 1:
            writer.add_tensor(packed, gguf.quantize(array, kinds[kind]), raw_dtype=kinds[kind])
        else:
            writer.add_tensor(packed, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
