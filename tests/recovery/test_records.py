"""Which of the messages that a client hands over are read."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anomaly_detector.core.state.records import wanted

gaps = st.lists(st.integers(1, 3), max_size=6)
"""From one offset to the next: markers of transactions, and what compaction took, leave holes."""


@given(st.integers(0, 30), gaps, st.integers(0, 30), gaps, st.integers(0, 3))
def test_messages_that_were_on_their_way_are_left_out_and_no_other(
    stale: int, before: list[int], begin: int, after: list[int], hole: int
) -> None:
    on_their_way = stale + np.cumsum(before, dtype=np.int64)
    mine = begin + hole + np.cumsum([0, *after], dtype=np.int64)
    offsets = np.concatenate([on_their_way, mine])
    places = 7 + np.arange(len(offsets)) * 2  # others' messages stand between them
    every = np.zeros(7 + len(offsets) * 2, np.int64)
    every[places] = offsets
    assert wanted(places, every, begin).tolist() == places[offsets >= begin].tolist()


def test_of_messages_that_follow_one_another_only_the_ends_are_asked() -> None:
    class Asked:
        def __getitem__(self, place: int) -> int:
            assert place in (2, 9), "the others' offsets are of no interest"
            return 100 + place

    assert wanted(np.arange(2, 10), Asked(), 102).tolist() == list(range(2, 10))
