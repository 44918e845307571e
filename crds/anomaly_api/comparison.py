"""What the pods count of a candidate beside the stable revision, on the very same windows. All counts are cumulative and add up.

Scores are counted in bins that are the same for every model, pod and window, so that histograms of pods add up, too:

    bin      -8     -7    ...    -1    |  0     1     ...    8          eight to a doubling; 1.0, where 0 begins, is the threshold
    score   0.5 - 0.545 ...  0.917 - 1 | 1 - 1.09 ...    2 - 2.18
"""

from collections.abc import Mapping
from typing import Final

from anomaly_api.schema import Contract

BINS_A_DOUBLING: Final = 8
LOWEST_BIN: Final = -160
"""With all that is lower: 2^-20 of the threshold, and 0."""
HIGHEST_BIN: Final = 160
"""With all that is higher."""


def bin_begins(number: int) -> float:
    """The lowest score of a bin.

    >>> bin_begins(0), bin_begins(8), bin_begins(-8)
    (1.0, 2.0, 0.5)
    """
    return float(2.0 ** (number / BINS_A_DOUBLING))


def added(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    """The histogram of both together.

    >>> added({0: 1, 3: 2}, {3: 1})
    {0: 1, 3: 3}
    """
    return {number: one.get(number, 0) + other.get(number, 0) for number in sorted({*one, *other})}


class PairedEvidence(Contract):
    """Windows that stable revision and candidate both scored, by which of them was above the score that opens an episode."""

    window: str
    both: int = 0
    only_stable: int = 0
    only_candidate: int = 0
    neither: int = 0
    stable_episodes: int = 0
    """Episodes that the stable revision opened, or would have opened where the candidate decides."""
    candidate_episodes: int = 0
    """Episodes that the candidate opened, or would have opened where the stable revision decides."""
    entity_seconds: float = 0.0
    """Event time of all entities together in which both scored."""
    stable_scores: dict[int, int] = {}
    """How many of these windows' scores by the stable revision are in each bin; those with none are left out."""
    candidate_scores: dict[int, int] = {}
    """The same of the candidate's scores."""


class WouldBeAlert(Contract):
    """An episode of the candidate that nobody was told of, because the stable revision decides."""

    entity: str
    window: str
    time: float
    """Unix seconds: event time of the window that opened it."""
    score: float
    """Of that window; 1.0 is the threshold."""
