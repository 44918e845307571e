"""How late readings come, as a histogram: by the `time.lateness` that would keep them.

    time.lateness   1 ms  2 ms  5 ms  10 ms  ...  1 s  2 s  5 s  ...
    readings         0     0     3     12          0    270   4          out of order by at most so much

A bucket for 1, 2 and 5 times each power of ten: it stays small however late readings are.
"""

from collections import Counter
from typing import Final

import numpy as np

from anomaly_detector.core.columns import MICROSECONDS, Int64

LATENESSES: Final = tuple(step * 10**power / 1000 for power in range(12) for step in (1, 2, 5))
"""Seconds, from 1 ms to 16,000 years."""
_BOUNDS: Final = np.array([round(bound * MICROSECONDS) for bound in LATENESSES], np.int64)


def by_lateness(delays: Int64) -> dict[int, int]:
    """How many of these delays, microseconds, are no longer than each of LATENESSES and longer than the one before it.

    >>> by_lateness(np.array([1_500_000, 1_500_000, 400]))
    {0: 1, 10: 2}
    """
    places = np.minimum(np.searchsorted(_BOUNDS, delays), len(_BOUNDS) - 1)
    return dict(sorted(Counter(places.tolist()).items()))
