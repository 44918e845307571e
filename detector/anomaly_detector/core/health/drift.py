"""Counts readings and scores in the bins of a model's reference, over the last of event time, in memory of a fixed size.

    event time   |....|####|####| . . |####|####|    buckets of `over` / 24, an hour at most; old ones are dropped
    reference     h 3  h 4  h 5        h 14 h 15     what the same hours of the training would have given, added up

Of a large batch some hundred readings are counted, evenly over entities: the cost of a batch has a bound. It says what was
counted; whether that is drift is the operator's to say.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from anomaly_api.drift import HOURS, BinnedEvidence, DriftEvidence, DriftReference, ReferenceBins
from anomaly_detector.core.columns import MICROSECONDS, Float32, Int64, Mask

MOST_AT_ONCE: Final = 256
"""Readings of a batch that are counted, about."""
_WIDTHS: Final = (60, 120, 300, 600, 900, 1200, 1800, 3600)
"""Seconds of a bucket: parts of an hour, so that each belongs to one hour of the day."""
_HOUR: Final = 3600
_ByHour = dict[int, tuple[Int64, int]]
"""By hour of the day, the counts of all bins, and the number of buckets that they come from."""


class DriftCounter:
    """Counts for one model. Written by one thread."""

    def __init__(self, model: str, reference: DriftReference, over: float, features: Sequence[str]) -> None:
        """`over`: the length of event time that counts, in seconds; `features`: of the readings' columns."""
        self.model = model
        known = [bins for bins in reference.features if bins.name in features]
        self._features = [_Bins(bins) for bins in known]
        self._columns = np.array([list(features).index(bins.name) for bins in known], np.int64)
        self._scores = {bins.name: _Bins(bins) for bins in reference.scores}
        every = [*self._features, *self._scores.values()]
        self._starts = dict(zip(map(id, every), np.cumsum([0, *(bins.count for bins in every)]).tolist(), strict=False))
        self._total = sum(bins.count for bins in every)
        self._width = max((width for width in _WIDTHS if width * HOURS <= over), default=_WIDTHS[0])
        self._kept = max(1, round(over / self._width))
        self._buckets: dict[int, Int64] = {}
        """Counts of all bins, by bucket of event time."""
        self._newest = -(2**62)
        self._turn = 0

    def readings(self, times: Int64, values: Float32) -> None:
        """Counts `values` [n, features] at `times` [n], microseconds since 1970 UTC; what is not a number is left out."""
        rows = self._drawn(len(times))
        picked, drawn = times[rows], values[rows][:, self._columns]
        codes = np.empty(drawn.shape, np.int64)
        for place, bins in enumerate(self._features):
            codes[:, place] = bins.of(drawn[:, place]) + self._starts[id(bins)]
        self._add(picked, codes, np.isfinite(drawn))

    def scores(self, window: str, times: Int64, values: Float32) -> None:
        """Counts the scores [n] of a window, as the model computes them."""
        bins = self._scores.get(window)
        if bins is not None and len(times):
            rows = self._drawn(len(times))
            drawn = values[rows]
            self._add(times[rows], (bins.of(drawn) + self._starts[id(bins)])[:, None], np.isfinite(drawn)[:, None])

    def evidence(self) -> DriftEvidence:
        """What was counted of the last of event time."""
        by_hour = self._by_hour()
        features = [self._compared(bins, by_hour) for bins in self._features]
        scores = [self._compared(bins, by_hour) for bins in self._scores.values()]
        unknown = max((self._unknown(bins, by_hour) for bins in self._features), default=0)
        return DriftEvidence(model=self.model, unknown=unknown, features=features, scores=scores)

    def _drawn(self, count: int) -> slice:
        """Every so many-th, beginning elsewhere each time, so that of readings in order of entities none is always left out."""
        step = max(1, count // MOST_AT_ONCE)
        self._turn += 1
        return slice(self._turn % step, None, step)

    def _add(self, times: Int64, codes: Int64, known: Mask) -> None:
        """`codes` [n, columns]: the bin of each value among all bins."""
        buckets = times // (self._width * MICROSECONDS)
        if not len(buckets):
            return
        self._newest = max(self._newest, int(buckets.max()))
        for old in [bucket for bucket in self._buckets if bucket <= self._newest - self._kept]:
            del self._buckets[old]
        for bucket in np.unique(buckets[buckets > self._newest - self._kept]).tolist():
            here = buckets == bucket
            found = np.bincount(codes[here][known[here]], minlength=self._total)
            if bucket in self._buckets:
                self._buckets[bucket] += found
            else:
                self._buckets[bucket] = found

    def _compared(self, bins: "_Bins", by_hour: "_ByHour") -> BinnedEvidence:
        """What was counted at hours that the reference knows, beside what it would have given."""
        observed, expected = np.zeros(bins.count, np.int64), np.zeros(bins.count)
        covered = hours = 0
        for hour, (counts, buckets) in by_hour.items():
            here, share = self._of(bins, counts), bins.hours[hour]
            if share is not None and here.any():
                observed += here
                expected += share * here.sum()
                covered, hours = covered + buckets * self._width, hours + 1
        psi_noise, ks_noise = bins.reference.noise_over(covered, hours)
        return BinnedEvidence(
            name=bins.reference.name,
            observed=observed.tolist(),
            expected=[round(each, 2) for each in expected.tolist()],
            covered=covered,
            psi_noise=round(psi_noise, 5),
            ks_noise=round(ks_noise, 5),
        )

    def _unknown(self, bins: "_Bins", by_hour: "_ByHour") -> int:
        """Values at hours that the reference does not know."""
        return sum(int(self._of(bins, counts).sum()) for hour, (counts, _) in by_hour.items() if bins.hours[hour] is None)

    def _of(self, bins: "_Bins", counts: Int64) -> Int64:
        start = self._starts[id(bins)]
        return counts[start : start + bins.count]

    def _by_hour(self) -> "_ByHour":
        found: _ByHour = {}
        for bucket, counts in self._buckets.items():
            hour = bucket * self._width // _HOUR % HOURS
            before, many = found.get(hour, (np.zeros(self._total, np.int64), 0))
            found[hour] = before + counts, many + 1
        return found


class _Bins:
    """The bins of one feature or score, ready to count."""

    def __init__(self, reference: ReferenceBins) -> None:
        self.reference = reference
        self._edges = np.array(reference.edges, np.float32)
        self.count = len(reference.edges) + 1
        self.hours = [np.array(shares, np.float64) / max(1, sum(shares)) if shares else None for shares in reference.hours]

    def of(self, values: Float32) -> Int64:
        """[n] The bin of each."""
        found: Int64 = np.searchsorted(self._edges, values)
        return found
