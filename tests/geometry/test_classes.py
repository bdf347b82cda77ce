"""Orders and folds in which each class has its share."""

import numpy as np

from separatrix.geometry.classes import spread_order


def test_every_prefix_has_two_rows_of_a_rare_class():
    classes = np.array([0] * 500 + [1] * 500 + [2] * 2)
    order = spread_order(classes, [0])
    assert sorted(order.tolist()) == list(range(len(classes)))
    counts = np.bincount(classes[order[:100]], minlength=3)
    assert counts[2] == 2
    assert abs(int(counts[0]) - int(counts[1])) <= 1
