"""An encoder with 8-bit weights, run by ONNX Runtime: faster on a CPU, and not quite the same vectors.

The model is exported once more from its files (the loaded one stays as it is), every layer's states as an output; the
export is compared with the model on a batch of another shape before its matrix products are quantised (weights to 8
bits by output channel, activations at run time). Activations of a batch share one scale: a vector depends, a little, on
the texts beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from separatrix.errors import ModelError, OptionError
from separatrix.models.backbone import Backbone, token_positions
from separatrix.models.graph import (
    TRACED,
    check_installed,
    drawn_batch,
    export_graph,
    open_session,
    quantise_graph,
    run_session,
)
from separatrix.models.load import load_backbone

CHECKED = (3, 9)  # rows and tokens of the batch that is compared
NEAR = 1e-3


class _States(torch.nn.Module):
    """What is exported: token ids in, the states of every layer out."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.model, self.backbone = backbone.model, backbone

    def forward(self, ids: Tensor, mask: Tensor, positions: Tensor) -> tuple[Tensor, ...]:
        return self.backbone.run(ids=ids, positions=positions, mask=mask)


@dataclass(frozen=True)
class QuantisedModel:
    """The 8-bit model; `run` is `Backbone.run` for token ids."""

    session: Any

    def run(self, *, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """Hidden states of one batch, each (rows, tokens, width): the embeddings, then every layer."""
        if bool((ids < 0).any()):
            raise ModelError("--engine onnx-int8 reads no pairs of texts", hint="leave --engine away")
        return run_session(self.session, {"ids": ids, "mask": mask, "positions": token_positions(ids)})


def quantise(backbone: Backbone) -> QuantisedModel:
    """Export and quantise an encoder; takes some seconds.

    Raises:
        MissingExtra: onnx or onnxruntime is not installed.
        OptionError: a causal model, or one that is not on a CPU.
        ModelError: the model cannot be exported.
    """
    if backbone.causal or backbone.device.type != "cpu":
        got = "a causal model" if backbone.causal else str(backbone.device)
        raise OptionError("--engine onnx-int8 runs encoders on a CPU", got=got, hint="leave --engine away")
    check_installed("--engine onnx-int8")
    with TemporaryDirectory() as folder:
        whole, small = Path(folder) / "whole.onnx", Path(folder) / "small.onnx"
        _export(backbone, whole)
        quantise_graph(whole, small)
        return QuantisedModel(open_session(small))


def _export(backbone: Backbone, path: Path) -> None:
    other = load_backbone(backbone.recipe)
    other.model.set_attn_implementation("eager")
    example = drawn_batch(other, TRACED)
    states = [f"state{index}" for index in range(len(other.run(**example)))]
    export_graph(_States(other), example, states, path, by_token=True)
    _check(backbone, path)


def _check(backbone: Backbone, path: Path) -> None:
    """Compare with the model on a batch of another shape: an export may have a length or a mask cast into it."""
    batch = drawn_batch(backbone, CHECKED)
    real = batch["mask"].bool()
    with torch.inference_mode():
        wanted, exported = backbone.run(**batch), run_session(open_session(path), batch)
    apart = max(float((one[real] - two[real]).abs().max()) for one, two in zip(wanted, exported, strict=True))
    if not apart <= NEAR * max(1.0, float(wanted[-1].abs().max())):
        what = f"the export of model {backbone.source.name!r} gives other states than the model"
        raise ModelError(what, got=f"{apart:.2g} apart", hint="leave --engine away")
