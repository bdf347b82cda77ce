"""Duplicates and overlap, against a slow loop and against known counts of a public data set."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.texts import Texts, duplicates, load_texts, overlap
from separatrix.texts.characters import normalise

WORDS = st.lists(st.tuples(st.sampled_from(["a b", "A b", "a  B", "c", "C", "d"]), st.sampled_from("xyz")), min_size=1)


def table(rows):
    return Texts.of([text for text, _ in rows], [label for _, label in rows])


@settings(max_examples=80, deadline=None)
@given(WORDS)
def test_duplicates_agree_with_a_slow_loop(rows):
    found = duplicates(table(rows))
    exact = [i for i, (text, _) in enumerate(rows) if any(text == before for before, _ in rows[:i])]
    same = [i for i, (t, _) in enumerate(rows) if any(normalise(t) == normalise(b) for b, _ in rows[:i])]
    forms = {normalise(text) for text, _ in rows}
    conflicts = [form for form in forms if len({label for text, label in rows if normalise(text) == form}) > 1]
    assert found.exact == len(exact)
    assert found.normalised == len(same)
    assert found.rows.tolist() == same
    assert found.conflicting == len(conflicts)
    assert found.total == len(rows)


@settings(max_examples=80, deadline=None)
@given(WORDS, WORDS)
def test_overlap_agrees_with_a_slow_loop(left, right):
    found = overlap(table(left), table(right))
    same = [i for i, (t, _) in enumerate(right) if any(normalise(t) == normalise(b) for b, _ in left)]
    conflicts = [i for i in same if (normalise(right[i][0]), right[i][1]) not in {(normalise(t), y) for t, y in left}]
    assert found.exact == sum(text in [before for before, _ in left] for text, _ in right)
    assert found.rows.tolist() == same
    assert found.normalised == len(same)
    assert found.conflicting == len(conflicts)


def test_without_labels_nothing_conflicts():
    assert duplicates(Texts.of(["a", "a"])).conflicting == 0
    assert overlap(Texts.of(["a"], ["x"]), Texts.of(["a"])).conflicting == 0


def test_the_known_counts_of_trec():
    folder = os.environ.get("SEPARATRIX_DATA")
    if folder is None or not (Path(folder) / "trec").is_dir():
        pytest.skip("SEPARATRIX_DATA names no folder with trec in it")
    train = load_texts(f"{folder}/trec/train.parquet", label="coarse")
    test = load_texts(f"{folder}/trec/test.parquet", label="coarse")
    fine = load_texts(f"{folder}/trec/train.parquet", label="fine")
    assert (duplicates(train).exact, duplicates(train).conflicting, duplicates(fine).conflicting) == (71, 0, 1)
    assert duplicates(test).normalised == 0
    found = overlap(train, test)
    assert (found.exact, found.normalised, found.conflicting) == (10, 11, 1)
