"""What the suffix prompt must equal: plain transformers, row by row, no padding, no cache, the mask drawn by hand."""

import numpy as np
import torch

from separatrix.models.backbone import Tokens
from separatrix.models.cache import build_cache
from separatrix.models.suffix import SoftPrompt, run_prompt, start_prompt
from separatrix.recipe import CacheRecipe, PromptRecipe

CAUSAL = ("gpt2", "gpt_neox", "llama", "qwen2", "opt")
EXACT = CacheRecipe(cache="memory", cache_dtype="float32")
NEVER = torch.finfo(torch.float32).min
ATTENTION = "separatrix_oracle"
STEER = {}  # what the oracle's attention adds: the vectors and the number of the layer that is next

# Lengths on both sides of ModernBERT's local window (4 tokens to each side), and a single token.
ROWS = Tokens(((7, 8, 9), (11, 30, 6, 7, 21, 9, 14, 40, 33, 12, 8), (5,), (10, 20, 30, 40, 10, 20, 30)), 0)


def some_prompt(backbone, shape, *, tokens=4, layers="all", seed=0, scale=0.5):
    """A prompt whose vectors at the layers are not zero."""
    prompt = start_prompt(PromptRecipe(tokens=tokens, prompt_layers=layers), backbone, shape, seed=seed)
    if prompt.steer is None:
        return prompt
    noise = torch.randn(prompt.steer.shape, generator=torch.Generator().manual_seed(seed + 1)) * scale
    return SoftPrompt(prompt.tokens, noise.to(prompt.steer.device))


def outputs(backbone, prompt, tokens=ROWS, recipe=EXACT, rows=None, folder=None):
    """Hidden states at the prompt through the text cache, (rows, tokens, width)."""
    cache = build_cache(backbone, tokens, recipe, folder=folder)
    try:
        with torch.no_grad():
            return run_prompt(
                prompt, cache.batch(np.arange(len(tokens)) if rows is None else np.asarray(rows)), backbone
            )
    finally:
        cache.close()


def vanilla(folder, family, *, steer=False):
    """The family's model with its head, straight from transformers."""
    import transformers as hf

    if steer:
        hf.AttentionInterface.register(ATTENTION, slow_attention)
        hf.AttentionMaskInterface.register(ATTENTION, hf.masking_utils.eager_mask)
    kind = hf.AutoModelForCausalLM if family in CAUSAL else hf.AutoModelForMaskedLM
    return kind.from_pretrained(folder, attn_implementation=ATTENTION if steer else "eager").eval()


def hand_mask(model, family, text, prompt):
    """Who sees whom over [text; prompt], (1, 1, all, all), additive; ModernBERT has one mask per kind of layer."""
    place = torch.arange(text + prompt)
    if family in CAUSAL:
        return torch.where(place[None, :] > place[:, None], NEVER, 0.0)[None, None]
    no_prompt_for_text = (place[:, None] < text) & (place[None, :] >= text)
    if family != "modernbert":
        return torch.where(no_prompt_for_text, NEVER, 0.0)[None, None]
    # In its local layers the text sees a window; the prompt, which has no place within the text, sees all of it.
    outside = ((place[:, None] - place[None, :]).abs() > model.config.sliding_window) & (place[:, None] < text)
    masks = {"full_attention": no_prompt_for_text, "sliding_attention": no_prompt_for_text | outside}
    return {kind: torch.where(hidden, NEVER, 0.0)[None, None] for kind, hidden in masks.items()}


@torch.no_grad()
def vanilla_row(model, family, ids, prompt):
    """Hidden states at the prompt, (tokens, width), and logits at its last token, (vocabulary,), of one text."""
    text, count = len(ids), len(prompt.tokens)
    embeds = torch.cat([model.get_input_embeddings()(torch.tensor([ids])), prompt.tokens[None]], dim=1)
    first = model.config.pad_token_id + 1 if family == "roberta" else 0
    found = model(
        inputs_embeds=embeds,
        attention_mask=hand_mask(model, family, text, count),
        position_ids=torch.arange(text + count)[None] + first,
        output_hidden_states=True,
    )
    return found.hidden_states[-1][0, text:], found.logits[0, -1]


def vanilla_row_steered(model, family, ids, prompt):
    """`vanilla_row` with the vectors at every layer."""
    STEER.update(vectors=prompt.steer, layer=0)
    found = vanilla_row(model, family, ids, prompt)
    assert STEER["layer"] == len(prompt.steer)
    return found


def slow_attention(module, query, key, value, attention_mask, scaling=None, **options):
    """Softmax attention written out; at the prompt a vector is added to the query and one to the output."""
    look, add = STEER["vectors"][STEER["layer"]]  # each (tokens, heads * head width)
    STEER["layer"] += 1
    rows, heads, length, width = query.shape
    count = len(look)
    query = query.clone()
    query[:, :, length - count :] += look.reshape(count, heads, width).permute(1, 0, 2)
    out = torch.empty(rows, length, heads, width)
    for head in range(heads):
        shared = head // (heads // key.shape[1])
        scores = query[:, head] @ key[:, shared].transpose(1, 2) * (width**-0.5 if scaling is None else scaling)
        out[:, :, head] = (scores + attention_mask[:, 0]).softmax(dim=-1) @ value[:, shared]
    out[:, length - count :] += add.reshape(count, heads, width)
    return out, None
