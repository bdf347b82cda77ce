"""Does it separate? One sentence, taken from the score table, that never gives a number without its baseline.

The trained method is compared with the share of the largest class and with the best other method, never with itself.
Which one that is, validation rows say; then both are judged on the same rows. A difference counts when it lies outside
the interval of the trained method's score. "Yes" asks for more: every class with rows is predicted at least once, and
macro-F1 is `ENOUGH` or more. "No" asks for more too: where the interval holds one constant answer, and its better end
leaves less than `HARDLY` of that answer's errors, the rows cannot tell ("Not known").
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from separatrix.reports.pack import show
from separatrix.store.result import digits
from separatrix.view.curves import number

Record = Mapping[str, Any]

PROBES = ("linear probe", "ridge")
ENOUGH = 0.5  # macro-F1 below which classes separate at most in part
TAIL = 0.025  # of a 95 % interval, on one side
HARDLY = 0.8  # of the errors of one constant answer: who may leave fewer may be better by what matters


@dataclass(frozen=True)
class Verdict:
    """The answer: `tone` is yes, mixed or no; `figures` are the numbers behind it as (label, value)."""

    tone: str
    headline: str
    detail: str
    figures: tuple[tuple[str, str], ...] = ()


def judge(scores: Sequence[Record], method: str = "prompt", interval: str = "interval") -> Verdict:
    """Judge the trained method by its own interval, the majority baseline and the other methods.

    >>> rows = [{"method": "prompt", "split": "test", "accuracy": 0.9, "interval": (0.85, 0.94), "majority": 0.3},
    ...         {"method": "k-NN", "split": "test", "accuracy": 0.8}]
    >>> judge(rows).headline
    'Yes - the classes separate, better than with any baseline.'
    >>> judge(rows, "k-NN").headline
    'The classes separate, but prompt does better.'
    """
    own = [row for row in scores if row.get("method") == method]
    if not own:
        return Verdict("mixed", "No score was recorded.", "There is nothing to judge by.")
    row = next((row for row in own if row.get("split") == "test"), own[-1])
    rivals = [other for other in scores if not _is_itself(other, row)]
    others = [other for other in rivals if other.get("split") == row.get("split")]
    if math.isfinite(number(row, "accuracy")):
        return _classes(row, others, _best(others, rivals, "accuracy", 1), interval)
    if math.isfinite(number(row, "micro_f1")):
        return _sets(row, _best(others, rivals, "macro_f1", 1), interval)
    if math.isfinite(number(row, "rmse")):
        return _values(row, others, _best(others, rivals, "rmse", -1), interval)
    return Verdict("mixed", "No score was recorded.", "There is nothing to judge by.")


def _best(others: Sequence[Record], rivals: Sequence[Record], figure: str, sign: int) -> Record | None:
    """The baseline that is best on validation rows; of equals, the one that is best on the judged rows.

    By the judged rows only where a baseline has no validation figure. `sign` is 1 where a higher figure is better.
    """
    scored = [row for row in others if not _is_majority(row) and math.isfinite(_score(row, figure))]
    by_method = {row.get("method"): _score(row, figure) for row in rivals if row.get("split") == "validation"}
    if not all(math.isfinite(by_method.get(row.get("method"), math.nan)) for row in scored):
        by_method = {row.get("method"): _score(row, figure) for row in scored}
    return max(scored, key=lambda row: (sign * by_method[row.get("method")], sign * _score(row, figure)), default=None)


def _classes(row: Record, others: Sequence[Record], best: Record | None, interval: str) -> Verdict:
    accuracy = number(row, "accuracy")
    low, high = _ends(row, accuracy)
    majority = _first(number(row, "majority"), *(_score(o, "accuracy") for o in others if _is_majority(o)))
    highest = max((_score(o, "accuracy", -1) for o in others if not _is_majority(o)), default=-1.0)
    missed, classes = row.get("never_predicted") or 0, row.get("classes")
    ahead = _ahead(accuracy, high, best, "accuracy")
    against = against_constant(low, _upper_end(row, high, majority), majority)
    if against != "above":
        tone, headline = _not_above(row, against, "always answering the largest class", ahead)
    elif missed or number(row, "macro_f1") < ENOUGH:
        tone, headline = "mixed", _in_part(row, missed, ahead)
    else:
        tone, headline = _compare_classes((low, high), best, highest)
    figures = [("accuracy", show(accuracy)), (interval, show((low, high)) if row.get("interval") else "not given")]
    figures.append(("always the largest class", show(majority)))
    if "macro_f1" in row:
        figures.append(("macro-F1", show(row["macro_f1"])))
    if classes:
        figures.append(("classes never predicted", f"{missed} of {classes}"))
    if best is not None:
        figures.append((f"best baseline: {best.get('method')}", show(best.get("accuracy"))))
    return Verdict(tone, headline, _where(row), tuple(figures))


def against_constant(low: float, high: float, constant: float) -> str:
    """How a share of right answers with its interval stands against one constant answer: above, no, or not known.

    It is "no" where the rows could have told: even the upper end leaves more than `HARDLY` of the constant's errors.

    >>> against_constant(0.6, 0.75, 0.5), against_constant(0.43, 0.57, 0.5), against_constant(0.2, 1.0, 0.2)
    ('above', 'no', 'not known')
    """
    if not low <= constant:
        return "above"
    return "no" if 1 - high > HARDLY * (1 - constant) else "not known"


def _upper_end(row: Record, high: float, majority: float) -> float:
    """Upper end of the accuracy's interval; nearer where all answers are the largest class.

    Then none of the rows tells both apart, and of all rows no more may (Clopper and Pearson, 1934).
    """
    rows, classes = row.get("rows"), row.get("classes") or 0
    constant = classes > 1 and row.get("never_predicted") == classes - 1 and number(row, "accuracy") == majority
    return min(high, majority + 1 - TAIL ** (1 / rows)) if rows and constant else high


def _not_above(row: Record, against: str, constant: str, ahead: str) -> tuple[str, str]:
    """Tone and headline where the interval holds the constant answer or lies below it."""
    if against == "no":
        return "no", f"No - this is not better than {constant}{ahead}."
    rows = row.get("rows")
    those = f"{rows} row{'' if rows == 1 else 's'}" if rows else "these rows"
    unknown = f"Not known - {those} cannot tell this from {constant}{ahead}"
    return "mixed", f"{unknown}; more held-out rows can."


def _ahead(score: float, high: float, best: Record | None, figure: str) -> str:
    """What is said of the best baseline, behind another answer, where its score is the higher one."""
    rival = -1.0 if best is None else _score(best, figure, -1)
    if best is None or rival <= score:
        return ""
    name = best.get("method")
    return f"; {name} does better" if rival > high else f"; {name} with {rival:.3f} is ahead, within the interval"


def _compare_classes(ends: tuple[float, float], best: Record | None, highest: float) -> tuple[str, str]:
    """Tone and headline; `highest` is the accuracy of the best baseline on the judged rows, whichever that is."""
    low, high = ends
    if best is None:
        return "yes", "Yes - the classes separate; no other method was scored."
    rival, name = _score(best, "accuracy", -1), best.get("method")
    if low > rival:
        return "yes", f"Yes - the classes separate, better than with {'any baseline' if low > highest else name}."
    if rival > high:
        return "mixed", f"The classes separate, but {name} does better."
    inside = f"{name} with {rival:.3f} lies within the interval {low:.3f} to {high:.3f}"
    return "yes", f"Yes - the classes separate; {inside}, so these rows do not tell which is better."


def _in_part(row: Record, missed: int, ahead: str) -> str:
    """Why the answer is not "yes"; that another method is ahead stays in the sentence."""
    reasons = [f"macro-F1 is {number(row, 'macro_f1'):.3f}"] if "macro_f1" in row else []
    reasons += (
        [f"{missed} of {row['classes']} classes {'is' if missed == 1 else 'are'} never predicted"] if missed else []
    )
    return f"The classes separate only in part: {', '.join(reasons)}{ahead}."


def _sets(row: Record, best: Record | None, interval: str) -> Verdict:
    """Several labels a row: micro-F1 against always answering one set, macro-F1 against the best baseline."""
    micro, macro = number(row, "micro_f1"), number(row, "macro_f1")
    low, high = _ends(row, micro)
    missed, labels = row.get("never_predicted") or 0, row.get("classes")
    ahead = _ahead(micro, high, best, "micro_f1")
    tone, headline = "yes", "Yes - the labels are recognised; no other method was scored."
    if (against := against_constant(low, high, number(row, "majority"))) != "above":
        tone, headline = _not_above(row, against, "always answering the most frequent set of labels", ahead)
    elif missed or macro < ENOUGH:
        tone, headline = "mixed", f"The labels are recognised only in part: macro-F1 is {macro:.3f}"
        headline += f", {missed} of {labels} labels are never given{ahead}." if missed else f"{ahead}."
    elif best is not None:
        rival, name = _score(best, "micro_f1", -1), best.get("method")
        if low > rival:
            headline = f"Yes - the labels are recognised, better than with {name}."
        elif rival > high:
            tone, headline = "mixed", f"The labels are recognised, but {name} does better."
        else:
            inside = f"{name} with micro-F1 {rival:.3f} lies within the interval {low:.3f} to {high:.3f}"
            headline = f"Yes - the labels are recognised; {inside}, so these rows do not tell which is better."
    figures = [("micro-F1", show(micro)), (interval, show((low, high)) if row.get("interval") else "not given")]
    figures += [("always the most frequent set", show(number(row, "majority"))), ("macro-F1", show(macro))]
    figures.append(("whole set right", show(number(row, "subset_accuracy"))))
    if labels:
        figures.append(("labels never given", f"{missed} of {labels}"))
    if best is not None:
        figures.append((f"best baseline: {best.get('method')}", show(best.get("micro_f1"))))
    return Verdict(tone, headline, _where(row), tuple(figures))


def _values(row: Record, others: Sequence[Record], best: Record | None, interval: str) -> Verdict:
    """Regression: a smaller error is better."""
    error = number(row, "rmse")
    low, high = _ends(row, error)
    shown = digits("rmse")
    constant = _first(number(row, "baseline_rmse"), *(_score(o, "rmse") for o in others if _is_majority(o)))
    rival = math.inf if best is None else _score(best, "rmse", math.inf)
    if math.isfinite(constant) and high >= constant:
        against = "no" if low > HARDLY * constant else "not known"
        ahead = f"; {best.get('method')} does better" if best is not None and rival < low else ""
        if best is not None and low <= rival < error:
            ahead = f"; {best.get('method')} with {rival:{shown}} is ahead, within the interval"
        tone, headline = _not_above(row, against, "always answering the mean", ahead)
    elif rival < low:
        tone, headline = "mixed", f"The values are predicted, but {best and best.get('method')} does better."
    else:
        tone, headline = "yes", "Yes - the values are predicted better than by their mean."
    figures = [("root mean square error", show(error, shown))]
    figures.append((interval, show((low, high), shown) if row.get("interval") else "not given"))
    figures.append(("always the mean", show(constant, shown)))
    if best is not None:
        figures.append((f"best baseline: {best.get('method')}", show(best.get("rmse"), shown)))
    return Verdict(tone, headline, _where(row), tuple(figures))


def _where(row: Record) -> str:
    rows = f"{row['rows']} " if row.get("rows") else ""
    return f"Method: {row.get('method')}, measured on {rows}{row.get('split', 'held-out')} rows."


def _ends(row: Record, score: float) -> tuple[float, float]:
    """The interval of a score; without one, the score itself."""
    ends = row.get("interval") or (score, score)
    return float(ends[0]), float(ends[1])


def _is_itself(other: Record, row: Record) -> bool:
    """A trained probe and the probe among its baselines are one, unless they read another pooling."""
    if other.get("method") == row.get("method"):
        return True
    return row.get("method") == "probe" and other.get("method") in PROBES and other.get("pool") == row.get("pool")


def _is_majority(row: Record) -> bool:
    return str(row.get("method")).lower() in ("majority", "mean", "constant")


def _score(row: Record, key: str, missing: float = math.nan) -> float:
    value = number(row, key)
    return value if math.isfinite(value) else missing


def _first(*values: float) -> float:
    """The first finite value, or NaN."""
    return next((value for value in values if math.isfinite(value)), math.nan)
