"""Modules as ONNX graphs: exported for batches of any shape, quantised to 8 bits, run by ONNX Runtime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from separatrix.errors import MissingExtra, ModelError, raise_interrupt
from separatrix.models.backbone import Backbone, token_positions

TRACED = (2, 5)  # rows and tokens of the batch that an export is traced with
_OPSET = 17


def check_installed(what: str) -> None:
    """Raise `MissingExtra` unless onnx and onnxruntime can be imported; `what` needs them."""
    try:
        import onnx  # noqa: F401
        import onnxruntime.quantization  # noqa: F401
    except ImportError as error:
        raise MissingExtra(f"{what} needs onnx and onnxruntime", hint='type: pip install "separatrix[onnx]"') from error


def export_graph(
    module: torch.nn.Module, inputs: dict[str, Tensor], outputs: Sequence[str], path: Path, *, by_token: bool = False
) -> None:
    """Write a module as an ONNX file that takes any number of rows and tokens.

    Args:
        module: takes the inputs in their order. Attention must be written out ("eager"): every exporter knows that.
        inputs: by name, each (rows, tokens).
        outputs: names of what it gives; the first axis of each is the rows.
        by_token: the second axis of each is the tokens.

    Raises:
        ModelError: it cannot be exported.
    """
    by_row = {0: "rows"}
    axes = dict.fromkeys(inputs, by_row | {1: "tokens"})
    axes |= dict.fromkeys(outputs, axes[next(iter(inputs))] if by_token else by_row)
    try:
        with quietly():
            torch.onnx.export(
                module.eval(),
                tuple(inputs.values()),
                str(path),
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_axes=axes,
                dynamo=False,
                opset_version=_OPSET,
            )
    except (RuntimeError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
        raise_interrupt(error)
        raise ModelError(f"the model cannot be written as ONNX ({str(error)[:100]})") from error


def quantise_graph(whole: Path, small: Path, *, keep: str = "") -> None:
    """Write the graph with the weights of its matrix products in 8 bits, by output channel.

    Linear layers of the submodule `keep` stay as they are: a head is small, and where columns hardly differ between
    texts a standardisation has left weights in it that take the whole range of 8 bits.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    nodes = onnx.load(whole, load_external_data=False).graph.node
    linear = [node.name for node in nodes if node.op_type == "Gemm" and keep and node.name.startswith(f"/{keep}/")]
    split = [f"{name}_MatMul" for name in linear]  # as the quantiser calls its product
    with quietly():
        quantize_dynamic(whole, small, weight_type=QuantType.QInt8, per_channel=True, nodes_to_exclude=split)


def open_session(path: Path) -> Any:
    """The graph in ONNX Runtime on the processor, with as many threads as PyTorch has."""
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave their core
    return InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run_session(session: Any, batch: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """What the graph gives for a batch. What it does not read is no input of it, and is passed over."""
    names = {entry.name for entry in session.get_inputs()}
    given = {name: tensor.contiguous().numpy() for name, tensor in batch.items() if name in names}
    return tuple(torch.from_numpy(output) for output in session.run(None, given))


def drawn_batch(backbone: Backbone, shape: tuple[int, int]) -> dict[str, Tensor]:
    """Token ids drawn by a fixed seed, the last row half as long as the others: `ids`, `mask` and `positions`."""
    _, tokens = shape
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(len(backbone.embedding), shape, generator=generator)
    mask = torch.ones_like(ids)
    mask[-1, (tokens + 1) // 2 :] = 0
    return {"ids": ids, "mask": mask, "positions": token_positions(ids).contiguous()}


@contextmanager
def quietly() -> Iterator[None]:
    """Tracing and quantising warn of what the comparison with the model looks at."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
