"""Learning curves of frozen encoders: a linear probe on growing numbers of rows, judged on the validation rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from separatrix.geometry.baselines import Part
from separatrix.geometry.classes import KEPT, spread_order
from separatrix.geometry.measures import ACCURACY, RankedTask
from separatrix.geometry.resample import compare_answers

FEWEST = 32  # rows of the first point


def probe_curve(train: Part, judged: Part, task: RankedTask, seed: int) -> dict[str, Any]:
    """Figure of a probe against rows, and for classes what the last doubling gained on the same judged rows.

    Rows are halved from all of them on; each number of rows holds the smaller ones, and the classes keep their shares.
    The probe has a penalty of 1, so that nothing is chosen on the rows that judge.
    """
    classes = task.unit == ACCURACY
    labels = train.targets if classes else np.zeros(len(train.targets), np.int64)
    order = spread_order(labels, [seed, 11])
    sizes = [len(order)]
    while sizes[0] // 2 >= max(FEWEST, 2 * KEPT * (int(labels.max()) + 1)):
        sizes.insert(0, sizes[0] // 2)
    points, answers = [], []
    for rows in sizes:
        some = Part(train.vectors[order[:rows]], train.targets[order[:rows]])
        answers.append(task.read(task.probe(some, None), judged.vectors))
        figure = task.figure(judged.targets, answers[-1])
        points.append({"rows": rows, "value": figure.value, "interval": list(figure.interval or ())})
    gain = None
    if classes and len(sizes) > 1:
        right = [np.asarray(task.per_row(judged.targets, given), dtype=bool) for given in answers[-2:]]
        gain = {"from": sizes[-2], "to": sizes[-1], **compare_answers(right[1], right[0], seed=seed).to_dict()}
    return {"points": points, "gain": gain}
