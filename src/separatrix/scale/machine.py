"""What a machine does in a second: measured here (`scale.calibrate`), read from a file, or published figures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from separatrix.errors import StoreError
from separatrix.scale.costs import Stage
from separatrix.store.files import Schema, damaged, read_json, write_json

ANY = "any"  # rate of kernels that have none of their own


def is_rates(path: Path) -> bool:
    """Whether a file holds the rates of a machine."""
    try:
        Machine.load(path)
    except StoreError:
        return False
    return True


def _positive(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < 1e30


def _cost(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(type(one) in (int, float) and 0 <= one < 1e12 for one in value)
    )


SCHEMA: Schema = {
    "name": str, "measured": bool, "workers": lambda count: type(count) is int and count > 0, "memory": _positive,
    "read": _positive, "write": _positive, "flops": {"*": {"*": _positive}}, "bandwidth?": (_positive, None),
    "tables?": {"*": _cost}, "source?": str,
}  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """Rates of a machine. A worker is what computes one task at a time: a core, or a whole GPU."""

    name: str
    measured: bool  # by the very code that is planned; False: published figures
    workers: int
    memory: int  # bytes that the data may stay in between two readings
    read: float  # bytes of the disk a second
    write: float
    flops: Mapping[str, Mapping[str, float]]  # kernel -> width of the rows -> FLOP of a worker a second
    bandwidth: float | None = None  # bytes of a worker's memory a second; None: it is in `flops`
    tables: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # verb -> seconds, seconds a row
    source: str = ""  # where the figures are from

    @classmethod
    def load(cls, path: str | Path) -> Machine:
        """Rates that `save` wrote, or that were written by hand.

        Raises:
            StoreError: no such file, or one that holds something else.
        """
        plain = read_json(Path(path), SCHEMA)
        known = {name: value for name, value in plain.items() if name in cls.__dataclass_fields__}
        for kernel, rates in known["flops"].items():
            if not rates or not all(re.fullmatch("0{,9}[1-9][0-9]{,9}", width) for width in rates):
                raise damaged(Path(path), f"flops.{kernel} has no rate by width", '{"256": 1e10}')
        return cls(**known | {"tables": {verb: tuple(cost) for verb, cost in plain.get("tables", {}).items()}})

    def save(self, path: str | Path) -> None:
        """Write the rates as JSON."""
        write_json(Path(path), asdict(self))

    def rate(self, kernel: str, width: int) -> float:
        """FLOP of a worker a second, for rows of a width between those measured.

        Raises:
            StoreError: no rate for the kernel, and none for any.
        """
        rates = self.flops.get(kernel) or self.flops.get(ANY)
        if not rates:
            got = ", ".join(self.flops) or "none"
            raise StoreError(f"rates of {self.name!r} lack {kernel!r}", got=got, hint="calibrate again, or name `any`")
        widths = sorted(map(int, rates))
        logs = np.log([rates[str(one)] for one in widths])
        return float(np.exp(np.interp(np.log(width), np.log(widths), logs)))

    def seconds(self, stage: Stage, *, held: bool) -> float:
        """How long a stage takes.

        Args:
            stage: what is computed.
            held: its bytes were read before and are still in memory.
        """
        count = 1 if stage.alone else self.workers
        computing = stage.flop / (self.rate(stage.kernel, stage.width) * count) if stage.flop else 0.0
        moving = stage.read / (self.bandwidth * count) if self.bandwidth else 0.0
        disk = (0.0 if held else stage.read / self.read) + stage.written / self.write
        fixed, a_row = self.tables.get(stage.kernel, (0.0, 0.0)) if stage.rows else (0.0, 0.0)
        return max(computing, moving) + disk + fixed + a_row * stage.rows

    def all_seconds(self, stages: list[Stage]) -> list[float]:
        """How long each of these takes, one after the other; data that fit into memory are read from disk once."""
        seconds, seen = [], False
        for stage in stages:
            seconds.append(self.seconds(stage, held=seen and stage.read <= self.memory))
            seen |= stage.read > 0
        return seconds
