"""The race of `--method auto` as a table and as a curve of accuracy against rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from separatrix.store.result import Listing


def race_listing(candidates: Sequence[Mapping[str, Any]]) -> Listing:
    """The candidates as they are printed."""
    headings = ["raced", "rows", "accuracy (95 % interval)", "the chosen one's lead", "seconds", "outcome"]
    rows = []
    for line in candidates:
        lead = "-"
        if line["difference"] is not None:
            low, high = line["difference"]["interval"]
            lead = f"{line['difference']['difference']:.3f} ({low:.3f} to {high:.3f})"
        score = "-"
        if line["accuracy"] is not None:
            score = f"{line['accuracy']:.3f} ({line['interval'][0]:.3f} to {line['interval'][1]:.3f})"
        outcome = line["state"] + (f": {line['why']}" if line["why"] else "")
        count = "-" if line["rows"] is None else str(line["rows"])
        rows.append([line["name"], count, score, lead, f"{line['seconds']:.1f}", outcome])
    return Listing(headings, rows, [line["state"] == "chosen" for line in candidates])
