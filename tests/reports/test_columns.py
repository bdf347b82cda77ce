"""Columns go into a page and come back: what the script of the page reads is what was put in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from separatrix.errors import ShapeError
from separatrix.reports.columns import MISSING, STEP, ColumnPacker, in_steps, share_steps, unpack


def round_trip(columns):
    packer = ColumnPacker()
    header = packer.pack(columns)
    page = "".join([*packer.numbers, *packer.texts])
    return {name: unpack(header[name], page) for name in columns}, page


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "f4"])
def test_numbers_come_back(kind):
    values = np.arange(12).reshape(3, 4).astype(kind)
    back, _ = round_trip({"values": values, "empty": values[:0]})
    np.testing.assert_array_equal(back["values"], values)
    assert back["empty"].shape == (0, 4)


@settings(max_examples=40)
@given(st.lists(st.text(), max_size=5))
def test_texts_come_back_and_end_no_element(texts):
    back, page = round_trip({"texts": texts})
    assert back["texts"] == [text.encode(errors="replace").decode() for text in texts]
    assert page.count("<") == 2 * page.count("<script")


def test_texts_of_several_blocks_come_back(evil):
    texts = [f"text {row}" for row in range(STEP + 2)] + [evil, "\u202eright to left", "\u4e2d\u6587", "x" * 100_000]
    packer = ColumnPacker()
    header = packer.pack({"texts": texts})
    assert header["texts"]["blocks"] == [0, 1]
    assert unpack(header["texts"], "".join(packer.texts)) == [text.encode(errors="replace").decode() for text in texts]


def test_blocks_of_all_sections_have_numbers_of_their_own():
    packer = ColumnPacker()
    one, other = (packer.pack({"n": np.full(2, value, np.uint8)}) for value in (1, 2))
    page = "".join(packer.numbers)
    assert [unpack(header["n"], page).tolist() for header in (one, other)] == [[1, 1], [2, 2]]
    with pytest.raises(ShapeError, match="the page has no such block: got 7"):
        unpack({"type": "u1", "shape": [2], "block": 7}, page)


def test_the_same_columns_give_the_same_bytes():
    columns = {"a": np.arange(50, dtype=np.uint16), "b": ["one", "two"]}
    assert round_trip(columns)[1] == round_trip(columns)[1]


def test_other_types_are_refused():
    with pytest.raises(ShapeError, match="column 'a' of a page has another type: got float64"):
        ColumnPacker().pack({"a": np.zeros(3)})


@given(arrays(np.float32, (2, 5, 2), elements=st.floats(-1e5, 1e5, width=32)))
def test_positions_come_back_within_half_a_step(points):
    low, high = points.min(axis=(0, 1)).astype(np.float64) - 1, points.max(axis=(0, 1)).astype(np.float64) + 1
    back = low + in_steps(points, low, high) / 65535 * (high - low)
    assert (np.abs(back - points) <= (high - low) / 65535 * 0.51 + 1e-9).all()


def test_shares_come_back_and_missing_ones_are_told_apart():
    steps = share_steps(np.array([0, 0.25, 1, np.nan]))
    np.testing.assert_allclose(steps[:3] / 65534, [0, 0.25, 1], atol=1e-5)
    assert steps[3] == MISSING
