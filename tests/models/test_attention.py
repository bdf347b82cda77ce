"""Attention that is learnt through in 16 bits on a processor runs in float32 inside; else its format stays."""

import pytest
import torch
from torch import nn

from separatrix.models.attention import attend


def heads(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(3, 2, 5, 4, generator=generator) for _ in range(3)]


def learnt(parts):
    leaves = [part.clone().requires_grad_() for part in parts]
    out, _ = attend(nn.Module(), *leaves, None, is_causal=False)
    out.float().square().sum().backward()
    return out.detach(), [leaf.grad for leaf in leaves]


def written_out(query, key, value):
    """Softmax attention, head by head and row by row; heads third."""
    rows, count, tokens, width = query.shape
    out = torch.empty(rows, tokens, count, width)
    for row in range(rows):
        for head in range(count):
            scores = query[row, head] @ key[row, head].T / width**0.5
            out[row, :, head] = scores.softmax(-1) @ value[row, head]
    return out


def test_sixteen_bits_keep_their_format_and_the_gradients_of_float32():
    parts = [part.bfloat16() for part in heads()]
    with torch.autocast("cpu", torch.bfloat16):
        out, slopes = learnt(parts)
    assert out.dtype == torch.bfloat16
    leaves = [part.float().requires_grad_() for part in parts]
    wanted = written_out(*leaves)
    wanted.bfloat16().float().square().sum().backward()
    torch.testing.assert_close(out.float(), wanted.detach(), rtol=0.01, atol=0.01)
    for slope, leaf in zip(slopes, leaves, strict=True):
        torch.testing.assert_close(slope.float(), leaf.grad, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("learns", [True, False])
def test_the_kernel_sees_float32_only_where_gradients_flow(monkeypatch, learns):
    seen = []
    plain = torch.nn.functional.scaled_dot_product_attention

    def watch(query, *rest, **options):
        seen.append(query.dtype)
        return plain(query, *rest, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watch)
    parts = [part.bfloat16().requires_grad_(learns) for part in heads()]
    attend(nn.Module(), *parts, None, is_causal=False)
    assert seen == [torch.float32 if learns else torch.bfloat16]
