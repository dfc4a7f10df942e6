"""What is set aside for good is still collected once it is left behind."""

from __future__ import annotations

import gc
import weakref

from facility.console.page.heap import TIDY_S, Heap


class Page:
    def __init__(self) -> None:
        self.itself = self


def test_a_page_that_is_built_is_not_looked_through_and_one_that_is_gone_is_collected_in_time() -> None:
    gc.collect()
    heap, page = Heap(0.0), Page()
    gone = weakref.ref(page)
    try:
        heap.built()
        assert not any(found is page for found in gc.get_objects())
        del page
        gc.collect()
        assert gone() is not None
        assert not heap.tidy(2 * TIDY_S)  # nobody left
        heap.left()
        assert not heap.tidy(TIDY_S - 1)
        assert heap.tidy(TIDY_S)
        assert gone() is None
        heap.left()
        assert not heap.tidy(TIDY_S + 1)
    finally:
        gc.unfreeze()
