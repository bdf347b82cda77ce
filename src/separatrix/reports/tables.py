"""Tables of the page: rows of plain mappings become columns, cells and, for scores, a small ruler."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from separatrix.reports.pack import show
from separatrix.store.result import IN_UNIT, Listing, digits, p_cell
from separatrix.view.curves import number

ANSWERED = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)  # shares of rows that the report lists
# Columns of the table of classes, and of labels, in the order that they are read.
PER_CLASS = ("name", "rows", "precision", "recall", "f1", "predicted")
PER_LABEL = ("name", "rows", "threshold", "precision", "recall", "f1", "predicted")
SURE_SHARE = 0.8  # of the rows, whose accuracy is printed
# Figures of classes that have an order, as `result.json` has them under `ordinal`, and as the score table names them.
ORDINAL = {
    "mean_absolute_error": "class_error", "interval": "class_error_interval", "quadratic_kappa": "kappa",
    "kappa_interval": "kappa_interval", "spearman": "spearman", "majority_error": "majority_error",
    "median_error": "median_error",
}  # fmt: skip
P_VALUES = ("p", "p_value", "p_holm", "p_heads")  # keys of figures that are never shown as 0
HEADINGS = {
    "macro_f1": "macro F1", "micro_f1": "micro F1", "subset_accuracy": "whole set right",
    "never_predicted": "never predicted", "pool": "pooling",
    "f1": "F1", "rmse": "RMSE", "baseline_rmse": "RMSE of the mean", "mae": "MAE", "r2": "R2",
}  # fmt: skip


@dataclass(frozen=True)
class ScoreRange:
    """A score on a line from 0 to 1, as percentages of its length; None where there is none."""

    score: float
    low: float | None
    high: float | None
    majority: float | None


def tabulate(
    rows: Sequence[Mapping[str, Any]], strong: Sequence[bool] = (), columns: Mapping[str, str] | None = None
) -> Listing:
    """A table of all keys that appear, in the order of their first appearance; missing values are shown as "-".

    Args:
        rows: one mapping per line.
        strong: (rows,) lines to mark.
        columns: key -> heading of the columns to show, in this order, instead of all; one that no row has is left out.

    >>> table = tabulate([{"method": "prompt", "macro_f1": 0.9}, {"method": "k-NN"}])
    >>> table.headings, table.rows[1], table.numeric
    (['method', 'macro F1'], ['k-NN', '-'], [False, True])
    >>> tabulate([{"p": 0.01, "with": "layer"}], columns={"with": "with", "p": "p"}).headings
    ['with', 'p']
    """
    keys = list(dict.fromkeys(key for row in rows for key in row))
    named = dict(HEADINGS if columns is None else columns)
    if columns is not None:
        keys = [key for key in columns if key in keys]
    numeric = [not any(isinstance(row.get(key), (str, bool)) for row in rows) for key in keys]
    headings = [named.get(key, str(key).replace("_", " ")) for key in keys]
    cells = [[_table_cell(row, key) for key in keys] for row in rows]
    return Listing(headings, cells, tuple(strong) or (False,) * len(cells), numeric)


def _table_cell(row: Mapping[str, Any], key: str) -> str:
    if key in P_VALUES:
        return p_cell(row.get(key))
    of_error = key in IN_UNIT or (key == "interval" and row.get("rmse") is not None)
    return show(row.get(key), digits("rmse") if of_error else None)


def ruler(row: Mapping[str, Any]) -> ScoreRange | None:
    """Where the accuracy of a row, its interval and the majority baseline lie; None without an accuracy.

    >>> ruler({"accuracy": 0.9, "interval": (0.85, 0.94), "majority": 0.25})
    ScoreRange(score=90.0, low=85.0, high=94.0, majority=25.0)
    """
    score = number(row, "accuracy" if "accuracy" in row else "micro_f1")
    if not 0 <= score <= 1:
        return None
    ends = row.get("interval") or (math.nan, math.nan)
    low, high, majority = (_percent(value) for value in (ends[0], ends[1], number(row, "majority")))
    return ScoreRange(round(100 * score, 2), low, high, majority)


def _percent(value: float) -> float | None:
    return round(100 * float(value), 2) if 0 <= value <= 1 else None


def score_rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The score table: the trained method and its baselines, a row for each split."""
    keys = (
        "accuracy", "micro_f1", "interval", "macro_f1", "subset_accuracy", "majority", "rmse", "mae", "r2",
        "baseline_rmse", "rows",
    )  # fmt: skip
    table = []
    for method, splits in {result["method"]: result["scores"], **result["baselines"]}.items():
        pool = result.get("chosen", {}).get(method, {}).get("pool")  # runs of earlier versions do not say it
        for split, figures in splits.items():
            row = {"method": method, "split": split} | ({} if pool is None else {"pool": pool})
            row |= {key: figures[key] for key in keys if key in figures}
            row |= {name: figures["ordinal"][key] for key, name in ORDINAL.items() if "ordinal" in figures}
            table.append(row | _never_predicted(figures.get("per_class", figures.get("per_label", ()))))
    return sorted(table, key=lambda row: row["split"] != "test")


def ordinal_listing(rows: Sequence[Mapping[str, Any]], method: str) -> Listing | None:
    """What there is of classes that have an order, a line for each of `score_rows`; None where they have none."""
    shown = [row for row in rows if row.get("class_error") is not None]
    headings = ["ordered classes", "split", "error in classes (95 % interval)", "majority", "median",
                "quadratic kappa (95 % interval)", "Spearman"]  # fmt: skip
    cells = [
        [str(row["method"]), str(row["split"]), _ranged(row, "class_error"), _short(row["majority_error"]),
         _short(row["median_error"]), _ranged(row, "kappa"), _short(row["spearman"])]
        for row in shown
    ]  # fmt: skip
    return Listing(headings, cells, [row["method"] == method for row in shown]) if shown else None


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _ranged(row: Mapping[str, Any], key: str) -> str:
    ends = row[f"{key}_interval"]
    return _short(row[key]) + (f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else "")


def answered_listing(coverage: Sequence[Mapping[str, Any]]) -> Listing:
    """Accuracy of the rows that are answered, at some shares of them, as a table."""
    shown = {share: next((one for one in coverage if one["coverage"] <= share + 1e-9), None) for share in ANSWERED}
    lines = dict.fromkeys((one["coverage"], one["min_probability"], one["accuracy"]) for one in shown.values() if one)
    rows = [[f"{share:.0%}", f"{least:.3f}", f"{right:.3f}"] for share, least, right in lines]
    return Listing(["answered", "least probability", "accuracy"], rows, (False,) * len(rows), [False, True, True])


def reliability_lines(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is printed of the probabilities of the test part, or of validation where there is none.

    Runs of earlier versions say nothing of them.
    """
    part = "test" if "test" in scores else "validation"
    figures = scores.get(part, {}).get("reliability")
    if not figures:
        return []
    line = f"{part}: {calibration_text(figures)}"
    some = next((one for one in figures["coverage"] if one["coverage"] <= SURE_SHARE), None)
    if some is not None:
        line += f"; the surest {some['coverage']:.0%} are right in {some['accuracy']:.1%}"
    return [("trust", line)]


def calibration_text(figures: Mapping[str, Any]) -> str:
    """The calibration error beside its interval and what perfect probabilities would have, and its direction.

    Args:
        figures: of `scores.PART.reliability`. The direction is said where the interval is above `error_if_perfect`.

    >>> print(calibration_text({
    ...     "expected_calibration_error": 0.36, "interval": (0.31, 0.41), "error_if_perfect": 0.08, "accuracy": 1.0,
    ...     "curve": [{"rows": 20, "confidence": 0.5}, {"rows": 30, "confidence": 0.73}]}))
    calibration error 0.360 (0.310 to 0.410; perfect probabilities of as many rows: 0.080), probabilities are 0.36 \
too low on average
    """
    error, (low, high) = figures["expected_calibration_error"], figures["interval"]
    text = f"calibration error {error:.3f} ({low:.3f} to {high:.3f}; perfect probabilities of as many rows: "
    text += f"{figures['error_if_perfect']:.3f})"
    if low <= figures["error_if_perfect"]:
        return text
    rows = sum(line["rows"] for line in figures["curve"])
    gap = sum(line["rows"] * line["confidence"] for line in figures["curve"]) / rows - figures["accuracy"]
    if abs(gap) < error / 2:
        return f"{text}, probabilities are too low for some answers and too high for others"
    return f"{text}, probabilities are {abs(gap):.2f} too {'low' if gap < 0 else 'high'} on average"


def _never_predicted(per_class: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many classes have rows, and how many of these are never the answer."""
    present = [line for line in per_class if line["rows"]]
    missed = sum(not line["predicted"] for line in present)
    return {"never_predicted": missed, "classes": len(present)} if present else {}
