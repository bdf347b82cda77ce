"""Results in, pictures out. Nothing here fits anything: a picture shows numbers that were computed elsewhere.

A training is given as `Frames` (the same rows in one fixed plane, frame by frame), as the rows of `metrics.jsonl`, as a
confusion matrix, or as `Numbers`. Every function returns a matplotlib `Figure` made without pyplot, so nothing global
changes; `save` writes it with the same bytes each time, and `write_data` puts the numbers of the picture beside it as
CSV.
"""

from separatrix.view.animation import animate
from separatrix.view.canvas import save
from separatrix.view.cells import confusion, row_shares
from separatrix.view.curves import Line, Panel, curves, panels
from separatrix.view.data import write_data
from separatrix.view.frames import Box, Frames
from separatrix.view.number_plot import Numbers, against
from separatrix.view.scatter_plot import scatter

__all__ = [
    "Box",
    "Frames",
    "Line",
    "Numbers",
    "Panel",
    "against",
    "animate",
    "confusion",
    "curves",
    "panels",
    "row_shares",
    "save",
    "scatter",
    "write_data",
]
