"""Callbacks that hand the figures of each epoch to the programs that others watch trainings with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from separatrix.errors import MissingExtra
from separatrix.learn.callbacks import Callback


class TensorBoard(Callback):
    """Writes the figures of each epoch for `tensorboard --logdir FOLDER`.

    Raises:
        MissingExtra: tensorboard is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            hint = 'type: pip install "separatrix[tensorboard]"'
            raise MissingExtra("tensorboard is not installed", hint=hint) from error
        self.writer = SummaryWriter(str(folder))

    def on_metrics(self, line: Mapping[str, Any]) -> None:
        """Write an epoch, and make sure that it is on disk."""
        for name, value in figures(line):
            self.writer.add_scalar(name, value, line["epoch"])
        self.writer.flush()


class MLflow(Callback):
    """Logs the figures of each epoch to the active run of MLflow (it begins one where there is none).

    Raises:
        MissingExtra: mlflow is not installed.
    """

    def __init__(self) -> None:
        try:
            import mlflow
        except ImportError as error:
            raise MissingExtra("mlflow is not installed", hint='type: pip install "separatrix[mlflow]"') from error
        self.mlflow = mlflow

    def on_metrics(self, line: Mapping[str, Any]) -> None:
        """Log an epoch."""
        self.mlflow.log_metrics(dict(figures(line)), step=line["epoch"])


def figures(line: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a line of metrics by their paths.

    >>> dict(figures({"epoch": 1, "loss": 0.5, "validation": {"accuracy": 0.9, "note": "x"}}))
    {'epoch': 1.0, 'loss': 0.5, 'validation/accuracy': 0.9}
    """
    for name, value in line.items():
        if isinstance(value, Mapping):
            yield from figures(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield prefix + name, float(value)
