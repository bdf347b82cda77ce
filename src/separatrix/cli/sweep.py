"""The command `sweep`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from separatrix.cli import options as opts
from separatrix.cli.flags import ParsedOptions, verb
from separatrix.cli.progress import TerminalProgress
from separatrix.recipe.sweep import SweepRecipe
from separatrix.store.result import Printed

GridArgument = Annotated[str, Parameter(name="GRID.toml", help="the grid: data, options, axes, rows, seeds")]


@verb(opts.Folder, SweepRecipe, opts.Extracting)
def sweep(parsed: ParsedOptions, progress: TerminalProgress, grid: GridArgument, /) -> Printed:
    """The grid is checked whole before anything runs. Each run is a folder under the hash of its recipe; the same
    command again skips what is done and goes on with what was stopped. Several processes may work on one study.

    For example:
        separatrix sweep grid.toml --out studies/lengths
        separatrix sweep grid.toml --out studies/lengths --budget 30min
        separatrix sweep grid.toml --out studies/lengths --executor processes:2 --reference probe
    """
    from separatrix.sweeps.verb import sweep as run

    return run(grid, progress=progress, **parsed.keywords())
