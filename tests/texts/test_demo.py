"""The shipped questions: enough of them, balanced, distinct, and their topics spread over the kinds."""

from collections import defaultdict

import numpy as np

from separatrix.texts import check_labels, duplicates, load_demo, overlap

KINDS = {"abbreviation", "description", "entity", "human", "location", "number"}


def test_the_shipped_questions():
    demo = load_demo()
    tables = list(demo.parts.values())
    assert list(demo.parts) == ["train", "validation", "test"]
    labels = np.concatenate([table.label for table in tables])
    assert len(labels) >= 600
    assert set(labels) == KINDS
    for kind in KINDS:
        assert 0.12 <= (labels == kind).mean() <= 0.21, kind
    for table in tables:
        assert set(table.label) == KINDS
        assert check_labels(table) == ()
        assert duplicates(table).normalised == 0
    for first, second in [(0, 1), (0, 2), (1, 2)]:
        assert overlap(tables[first], tables[second]).normalised == 0
    assert demo.test.source == "questions/test.csv"


def test_every_topic_has_two_kinds_or_more():
    kinds = defaultdict(set)
    for table in load_demo().parts.values():
        for topic, kind in zip(table.group, table.label, strict=True):
            kinds[topic].add(kind)
    assert len(kinds) >= 2
    assert min(map(len, kinds.values())) >= 2
