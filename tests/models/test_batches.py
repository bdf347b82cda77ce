"""Batches: every row once, within the budget; on every core at once, in order, and the threads put back."""

import threading
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.models import batches
from separatrix.models.backbone import Backbone
from separatrix.models.batches import ahead, each_core, on_cores, token_batches
from separatrix.models.extract import extract

CPU = torch.device("cpu")
TEXTS = ["the cat", "a", "the dog and the cat and the bird", "dog dog", "bird", "a cat and a dog"]


@pytest.fixture
def cores(monkeypatch):
    """As if torch had so many threads."""
    set_threads, asked = torch.set_num_threads, []
    monkeypatch.setattr(torch, "set_num_threads", lambda number: (asked.append(number), set_threads(number)))
    before = torch.get_num_threads()
    set_threads(3)
    yield asked
    set_threads(before)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(lengths=st.lists(st.integers(1, 50), max_size=30), budget=st.integers(1, 200))
def test_batches_of_similar_length(lengths, budget):
    lengths = np.array(lengths, dtype=int)
    batches = list(token_batches(lengths, budget))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * lengths[batch].max() <= budget for batch in batches)
    for one, two in pairwise(batches):
        assert lengths[one].max() <= lengths[two].min()
        assert (len(one) + 1) * lengths[two[0]] > budget  # the next row would not have fitted


def test_work_ahead_keeps_the_order_and_passes_mistakes_on():
    seen = []

    def work(item):
        seen.append(item)
        return 1 / item

    results = ahead(iter([2, 4, 0]), work)
    assert next(results) == 0.5
    assert next(results) == 0.25
    with pytest.raises(ZeroDivisionError, match="division"):
        next(results)
    assert seen == [2, 4, 0]
    assert list(ahead([], work)) == []


def test_every_core_works_alone_and_in_order(cores):
    seen = []

    def work(item):
        seen.append((threading.get_ident(), torch.get_num_threads()))
        return item * 10

    assert list(each_core(range(20), work, CPU)) == [item * 10 for item in range(20)]
    assert {threads for _, threads in seen} == {1}
    assert threading.get_ident() not in {thread for thread, _ in seen}
    assert torch.get_num_threads() == 3
    assert cores[-1] == 3


def test_a_mistake_on_a_core_is_passed_on_and_the_threads_are_put_back(cores):
    results = each_core([2, 0, 4], lambda item: 1 / item, CPU)
    assert next(results) == 0.5
    with pytest.raises(ZeroDivisionError, match="division"):
        next(results)
    assert torch.get_num_threads() == cores[-1] == 3


def test_only_a_few_items_are_begun_before_they_are_asked_for(cores):
    begun = []
    results = each_core(iter(range(100)), begun.append, CPU)
    next(results)
    results.close()
    assert len(begun) <= 3 + 1
    assert cores[-1] == 3


def test_one_thread_or_another_device_works_in_place(cores):
    here = threading.get_ident()
    assert set(each_core([1, 2], lambda _: threading.get_ident(), torch.device("meta"))) == {here}
    torch.set_num_threads(1)
    assert set(each_core([1, 2], lambda _: threading.get_ident(), CPU)) == {here}


def test_vectors_do_not_depend_on_the_number_of_threads(loaded, monkeypatch, cores):
    monkeypatch.setattr("separatrix.models.batches.CPU_TOKENS", 8)
    backbone: Backbone = loaded("bert")
    several = extract(backbone, TEXTS).values
    torch.set_num_threads(1)
    assert np.array_equal(several, extract(backbone, TEXTS).values)


def test_rows_copied_on_every_core_lie_in_their_order(cores, monkeypatch):
    monkeypatch.setattr(batches, "ALONE_BYTES", 0)
    threads, table = set(), np.arange(60.0).reshape(20, 3)
    rows, out = np.array([7, 3, 3, 19, 0]), np.full((5, 3), np.nan)

    def copy(part, numbers):
        threads.add(threading.get_ident())
        part[...] = table[numbers]

    on_cores(copy, out, rows)
    assert np.array_equal(out, table[rows])
    assert threading.get_ident() not in threads


def test_an_error_of_one_core_is_not_lost(cores, monkeypatch):
    monkeypatch.setattr(batches, "ALONE_BYTES", 0)

    def copy(_part, numbers):
        if 2 in numbers:
            raise ValueError("row 2")

    with pytest.raises(ValueError, match="row 2"):
        on_cores(copy, np.zeros((3, 1)), np.arange(3))
