"""A packed list gives back what was put into it."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detection.data.packed import PackedList


@given(st.lists(st.one_of(st.integers(), st.text(), st.binary(), st.lists(st.floats(allow_nan=False)))))
def test_gives_back_its_items(items: list[object]) -> None:
    packed = pickle.loads(pickle.dumps(PackedList(items)))  # as workers that are started afresh get it
    assert len(packed) == len(items)
    assert [packed[index] for index in range(len(items))] == items


@pytest.mark.parametrize("index", [-1, 2])
def test_has_an_end(index: int) -> None:
    with pytest.raises(IndexError):
        PackedList(["a", "b"])[index]
