"""Wire: what arrives is what was sent, arrays are not copied on the way, and nobody waits past a deadline."""

from __future__ import annotations

import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from models.solving import wire

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def passed(ends: Ends, value: Any) -> Any:
    """`value` at the other end."""
    sender = threading.Thread(target=wire.send, args=(ends[0], value))
    sender.start()
    arrived = wire.receive(ends[1], time.monotonic() + 10.0)
    sender.join()
    return arrived


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.arange(6.0).reshape(2, 3).T,
        np.arange(10)[::2],
        np.zeros(0),
        np.zeros((0, 4), np.int8),
        np.array(2.5),
        np.array([np.inf, -np.inf, np.nan]),
    ],
)
def test_an_array_arrives_as_it_was_and_can_be_written_to(ends: Ends, array: Any) -> None:
    arrived = passed(ends, ("it", {"is": array}))[1]["is"]
    np.testing.assert_array_equal(arrived, array)
    assert arrived.dtype == array.dtype
    arrived[...] = 7


def test_a_matrix_and_one_value_after_the_other_arrive_as_they_were(ends: Ends) -> None:
    matrix = sp.random(50, 80, 0.1, "csr", rng=np.random.default_rng(1))
    arrived = [passed(ends, value) for value in (matrix, None, (1, "two"), matrix[:0])]
    assert (arrived[0] != matrix).nnz == 0
    assert arrived[1:3] == [None, (1, "two")]
    assert arrived[3].shape == (0, 80)


def test_a_hundred_megabytes_take_no_memory_but_where_they_arrive(ends: Ends) -> None:
    """A copy at either end besides would show as a second hundred."""
    array = np.ones(12_500_000)
    tracemalloc.start()
    try:
        arrived = passed(ends, array)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert arrived.nbytes == 100_000_000
    assert arrived[-1] == 1
    assert 100_000_000 <= peak < 102_000_000


def test_nobody_waits_past_a_deadline(ends: Ends) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        wire.receive(ends[1], began + 0.1)
    with pytest.raises(TimeoutError):
        wire.send(ends[0], np.zeros(10_000_000), time.monotonic() + 0.1)  # more than a socket takes unread
    assert 0.2 <= time.monotonic() - began < 2.0
    with pytest.raises(TimeoutError):
        wire.receive(ends[0], began)


def test_half_a_message_from_an_end_that_is_gone_is_the_end(ends: Ends) -> None:
    ends[0].sendall(b"\x10\0\0\0\0\0\0\0\0\0\0\0")
    ends[0].close()
    with pytest.raises(EOFError):
        wire.receive(ends[1])
    with pytest.raises(ConnectionError):
        wire.send(ends[1], "anybody?")
