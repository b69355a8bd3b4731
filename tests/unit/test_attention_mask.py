"""What each position sees, against its definition in words."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from frontdesk.intent.attention_mask import visible

opened = st.lists(st.booleans(), min_size=0, max_size=24)
windows, memories = st.integers(1, 7), st.integers(1, 5)


def defined(is_intent: list[bool], query: int, key: int, window: int, memory: int) -> bool:
    """Say in words what `visible` says in arrays; position 0 is the first token."""
    if key > query:
        return False
    if key == 0:
        return True
    if is_intent[key]:
        return sum(is_intent[key + 1 : query + 1]) < memory
    return query - key < window


@given(opened, windows, memories)
def test_the_mask_is_its_definition(rows: list[bool], window: int, memory: int) -> None:
    is_intent = [False, *rows]
    size = len(is_intent)
    mask = visible(np.arange(size), np.array([is_intent]), window=window, memory=memory)
    expected = [[defined(is_intent, q, k, window, memory) for k in range(size)] for q in range(size)]
    np.testing.assert_array_equal(mask[0], expected)
    as_tensor = visible(torch.arange(size), torch.tensor([is_intent]), window=window, memory=memory)
    np.testing.assert_array_equal(as_tensor.numpy(), mask)


@given(opened, st.integers(0, 24), windows, memories)
def test_what_a_position_saw_does_not_change_when_the_session_grows(
    rows: list[bool], cut: int, window: int, memory: int
) -> None:
    """The window belongs to the query. One window for the whole session, as the first version of the authors had it,
    would hide from early positions what they saw, and a kept key would be a wrong one."""
    is_intent = np.array([[False, *rows]])
    size = min(cut + 1, is_intent.shape[1])
    whole = visible(np.arange(is_intent.shape[1]), is_intent, window=window, memory=memory)
    part = visible(np.arange(size), is_intent[:, :size], window=window, memory=memory)
    np.testing.assert_array_equal(whole[:, :size, :size], part)


@given(opened)
def test_dropping_the_intents_with_the_events_is_not_what_the_window_does(rows: list[bool]) -> None:
    is_intent = np.array([[False, *rows]])
    last = visible(np.arange(is_intent.shape[1]), is_intent)[0, -1]
    assert last[0]
    assert last[is_intent[0]].all()
    events = np.flatnonzero(last & ~is_intent[0])[1:]
    assert all(is_intent.shape[1] - 1 - event < 5 for event in events)


@given(opened)
def test_no_row_of_the_softmax_is_empty(rows: list[bool]) -> None:
    is_intent = np.array([[False, *rows], [False] * (len(rows) + 1)])  # the second is all padding
    assert np.diagonal(visible(np.arange(len(rows) + 1), is_intent), axis1=1, axis2=2).all()
