"""An encoder with 8-bit weights, run by ONNX Runtime: faster on a CPU, and not quite the same vectors.

The model is exported once more from its files (the loaded one stays as it is), every layer's states as an output; the
export is compared with the model on a batch of another shape before its matrix products are quantised (weights to 8
bits by output channel, activations at run time). Activations of a batch share one scale: a vector depends, a little, on
the texts beside it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from separatrix.errors import MissingExtra, ModelError, OptionError
from separatrix.models.backbone import Backbone, token_positions
from separatrix.models.load import load_backbone

INPUTS = ("ids", "mask", "positions")
TRACED, CHECKED = (2, 5), (3, 9)  # rows and tokens of the batches that are exported and compared
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
        return _run(self.session, {"ids": ids, "mask": mask, "positions": token_positions(ids)})


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
    try:
        import onnx  # noqa: F401
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        hint = 'type: pip install "separatrix[onnx]"'
        raise MissingExtra("--engine onnx-int8 needs onnx and onnxruntime", hint=hint) from error
    with TemporaryDirectory() as folder, _quietly():
        whole, small = Path(folder) / "whole.onnx", Path(folder) / "small.onnx"
        _export(backbone, whole)
        quantize_dynamic(whole, small, weight_type=QuantType.QInt8, per_channel=True)
        return QuantisedModel(_session(small))


def _export(backbone: Backbone, path: Path) -> None:
    other = load_backbone(backbone.recipe)
    other.model.set_attn_implementation("eager")  # written out, which every exporter understands
    example = _batch(other, TRACED)
    states = [f"state{index}" for index in range(len(other.run(**example)))]
    axes = {name: {0: "rows", 1: "tokens"} for name in (*INPUTS, *states)}
    try:
        torch.onnx.export(
            _States(other).eval(),
            tuple(example[name] for name in INPUTS),
            str(path),
            input_names=list(INPUTS),
            output_names=states,
            dynamic_axes=axes,
            dynamo=False,
            opset_version=17,
        )
    except (RuntimeError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
        raise ModelError(f"model {backbone.source.name!r} cannot be exported ({str(error)[:100]})") from error
    _check(backbone, path)


def _check(backbone: Backbone, path: Path) -> None:
    """Compare with the model on a batch of another shape: an export may have a length or a mask cast into it."""
    batch = _batch(backbone, CHECKED)
    real = batch["mask"].bool()
    with torch.inference_mode():
        wanted, exported = backbone.run(**batch), _run(_session(path), batch)
    apart = max(float((one[real] - two[real]).abs().max()) for one, two in zip(wanted, exported, strict=True))
    if not apart <= NEAR * max(1.0, float(wanted[-1].abs().max())):
        what = f"the export of model {backbone.source.name!r} gives other states than the model"
        raise ModelError(what, got=f"{apart:.2g} apart", hint="leave --engine away")


def _batch(backbone: Backbone, shape: tuple[int, int]) -> dict[str, Tensor]:
    """Token ids drawn by a fixed seed, the last row half as long as the others."""
    _, tokens = shape
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(len(backbone.embedding), shape, generator=generator)
    mask = torch.ones_like(ids)
    mask[-1, (tokens + 1) // 2 :] = 0
    return {"ids": ids, "mask": mask, "positions": token_positions(ids).contiguous()}


def _session(path: Path) -> Any:
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave their core
    return InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _run(session: Any, batch: dict[str, Tensor]) -> tuple[Tensor, ...]:
    # What the model does not read (positions, where it counts itself) is no input of the export.
    names = {entry.name for entry in session.get_inputs()}
    given = {name: tensor.contiguous().numpy() for name, tensor in batch.items() if name in names}
    return tuple(torch.from_numpy(state) for state in session.run(None, given))


@contextmanager
def _quietly() -> Iterator[None]:
    """Tracing and quantising warn of what `_check` looks at."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
