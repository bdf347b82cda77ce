"""Classes in an order in which neighbors are alike."""

import numpy as np
import pytest

from separatrix.errors import DataError
from separatrix.geometry.order import class_groups


@pytest.mark.parametrize("classes", [28, 77, 150])
def test_classes_of_one_heap_stand_side_by_side_in_one_group(classes):
    """Seven heaps of classes, shuffled: neighbors in the order are of one heap, as a name's order would not have it."""
    rng = np.random.default_rng(0)
    heap = rng.permutation(classes) % 7
    means = 20 * rng.normal(size=(7, 12))[heap] + rng.normal(size=(classes, 12))
    labels = np.repeat(np.arange(classes), 4)
    alike = class_groups(means[labels] + 0.1 * rng.normal(size=(len(labels), 12)), labels, classes, groups=7)
    assert sorted(alike.order) == list(range(classes))
    changes = int((np.diff(heap[alike.order]) != 0).sum())
    assert changes == 6 < int((np.diff(heap) != 0).sum())
    assert all(len({*heap[alike.group == one]}) == 1 for one in range(7))
    assert alike.group[alike.order].tolist() == sorted(alike.group)
    assert alike.group[alike.middle].tolist() == list(range(7))


@pytest.mark.parametrize("classes", [1, 2])
def test_one_or_two_classes_keep_their_order(classes):
    alike = class_groups(np.arange(6.0)[:, None], np.arange(6) % classes, classes)
    assert alike.order.tolist() == alike.group.tolist() == list(range(classes))


def test_a_class_without_rows_and_equal_means_have_a_place():
    alike = class_groups(np.ones((6, 2)), np.arange(6) % 3, 5)
    assert sorted(alike.order) == [0, 1, 2, 3, 4]


def test_a_label_outside_the_classes_is_refused():
    with pytest.raises(DataError, match="label"):
        class_groups(np.ones((3, 2)), [0, 1, 2], 2)
