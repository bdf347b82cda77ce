"""Which number format a model computes in where `--dtype auto` leaves it open.

Processors with instructions for bfloat16 multiply in it several times as fast as in float32, and round each product to
8 bits. So bfloat16 is taken only where a sample of the very texts, read in both formats, shows that it does no harm:
every vector points where it did (`LEAST_COSINE`), and the nearest neighbors of the texts stay the same (`LEAST_KEPT`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from separatrix.errors import ModelError
from separatrix.models.backbone import Backbone
from separatrix.models.candidates import candidates
from separatrix.models.device import pick_device
from separatrix.models.extract import extract_blocks
from separatrix.models.load import load_backbone
from separatrix.models.pool import Pooling
from separatrix.recipe import ModelRecipe
from separatrix.recipe.train import AUTO

EXACT, FAST = "float32", "bfloat16"
SLOW = "number format bfloat16: the processor has no instructions for it, so that float32 is faster (--dtype float32)"
SAMPLE, SEED = 64, 0  # texts that are read in both formats
LEAST_COSINE = 0.9995  # between the two vectors of each text, in every block
NEAREST, LEAST_KEPT = 5, 0.95  # neighbors of each text, and the share of them that is the same in both, in every block

VectorsByName = Mapping[str, NDArray[np.float32]]  # name -> (rows, width)


@dataclass(frozen=True)
class NumberFormat:
    """A number format, and why it is this one."""

    dtype: str
    reason: str

    def __str__(self) -> str:
        return f"{self.dtype}: {self.reason}"


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions that multiply matrices in bfloat16 (on x86: AMX, or AVX-512 BF16)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def number_format(device: str, texts: Sequence[str], read: Callable[[str, list[str]], VectorsByName]) -> NumberFormat:
    """bfloat16 where the device has it and a sample of the texts gives the same vectors, else float32.

    Args:
        device: as in `ModelRecipe`.
        read: vectors of some texts in a number format, (texts or their tokens, width) each.

    Raises:
        ModelError: the model cannot be used in float32 either.
    """
    if not computes_bfloat16(pick_device(device)):
        return NumberFormat(EXACT, "the processor has no instructions for bfloat16")
    sample = sample_texts(texts)
    exact = read(EXACT, sample)
    try:
        fast = read(FAST, sample)
    except ModelError as error:
        return NumberFormat(EXACT, f"the model cannot be read in bfloat16 ({error})")
    cosine = float(np.min([_cosine(exact[name], fast[name]) for name in exact]))
    kept = min(_kept(exact[name], fast[name]) for name in exact)
    same = cosine >= LEAST_COSINE and kept >= LEAST_KEPT  # NaN is not
    figures = (
        f"of {len(sample)} texts read in both formats the lowest cosine is {cosine:.5f} (at least {LEAST_COSINE}) "
        f"and {kept:.1%} of {NEAREST} neighbors stay (at least {LEAST_KEPT:.0%})"
    )
    return NumberFormat(FAST if same else EXACT, figures)


def sample_texts(texts: Sequence[str]) -> list[str]:
    """At most `SAMPLE` different texts: one of each of as many bands of length, drawn by a fixed seed, and the longest.

    >>> len(sample_texts(["a " * length for length in range(1, 1000)])), sample_texts(["b", "a", "b"])
    (64, ['a', 'b'])
    """
    ordered = sorted(set(texts), key=lambda text: (len(text), text))
    generator = np.random.default_rng(SEED)
    bands = np.array_split(np.arange(len(ordered)), min(SAMPLE, len(ordered)) or 1)
    return [ordered[int(generator.choice(band))] for band in bands[:-1]] + ordered[-1:]


def settled(
    recipe: ModelRecipe, texts: Sequence[str], plans: Callable[[Backbone], tuple[Pooling, ...]] = candidates
) -> tuple[ModelRecipe, list[str]]:
    """The recipe with a number format in the place of `auto`, and a note that says why; a named format stays.

    Of bfloat16 where the processor has no instructions for it, the note says that it is slower than float32 there.

    Raises:
        ModelError: the model cannot be used.
    """
    if recipe.dtype != AUTO:
        slow = recipe.dtype == FAST and not computes_bfloat16(pick_device(recipe.device))
        return recipe, [SLOW] * slow

    def read(dtype: str, sample: list[str]) -> VectorsByName:
        backbone = load_backbone(replace(recipe, dtype=dtype))
        return extract_blocks(backbone, sample, plans(backbone))[0]

    chosen = number_format(recipe.device, texts, read)
    return replace(recipe, dtype=chosen.dtype), [f"number format {chosen}"]


def _cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The lowest between two vectors of one row; NaN where one is no number."""
    return float((_unit(one) * _unit(other)).sum(axis=1).min(initial=1.0))


def _kept(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Share of the nearest neighbors of each row, by cosine, that are neighbors in both."""
    most = min(NEAREST, len(one) - 1)
    if most < 1:
        return 1.0
    near, there = (_nearest(_unit(vectors), most) for vectors in (one, other))
    return float((near[:, :, None] == there[:, None, :]).any(axis=2).mean())


def _nearest(unit: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    similar = unit @ unit.T
    np.fill_diagonal(similar, -np.inf)
    return np.argsort(-similar, axis=1, kind="stable")[:, :count]


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    values = vectors.astype(np.float64)
    return values / np.linalg.norm(values, axis=1, keepdims=True).clip(min=1e-30)
