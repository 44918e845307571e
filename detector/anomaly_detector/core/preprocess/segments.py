"""Arrays that stand entity by entity: where each entity's part begins and ends. Arithmetic on places alone."""

import numpy as np

from anomaly_detector.core.columns import Int64, Mask


def first_of(slots: Int64) -> Mask:
    """[n] Where the slot differs from the one before."""
    first = np.ones(len(slots), bool)
    first[1:] = slots[1:] != slots[:-1]
    return first


def place_within(counts: Int64) -> Int64:
    """[sum of counts] The place of each item within its part.

    >>> place_within(np.array([2, 0, 3])).tolist()
    [0, 1, 0, 1, 2]
    """
    return np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
