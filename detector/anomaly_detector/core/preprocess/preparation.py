"""From what readings hold to the features that are watched: counters become rates, and derived features are computed.

    read         bytes (Counter)  errors  requests
    watched      bytes/s          errors  requests  errors/requests  mean of errors over 12 readings

Readings come in the order of their times, before anything is filled in: what cannot be computed is a value that is missing, and
`missing` of the feature says what becomes of it. A function of the entity's readings, however they were cut into batches.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from msgspec.structs import replace

from anomaly_api.preparation import FeatureKind
from anomaly_api.schema import seconds
from anomaly_api.source import Feature, Pipeline
from anomaly_detector.core.columns import MICROSECONDS, Float64, Int64, Readings
from anomaly_detector.core.entities.table import Entities
from anomaly_detector.core.preprocess.changes import Changes
from anomaly_detector.core.preprocess.rolling import RollingMeans


class Preparation:
    """State: the last values of counters and rates of change, and the newest readings of what rolling means are of."""

    def __init__(self, pipeline: Pipeline, entities: Entities) -> None:
        read, features = pipeline.read, pipeline.features
        places = {feature.name: place for place, feature in enumerate(features)}
        self._width = len(features)
        self._from = np.array([places[feature.name] for feature in read])
        """[read] Which feature each column of a reading is."""
        self._counters = np.array([place for place, each in enumerate(read) if each.kind is FeatureKind.COUNTER], np.int64)
        self._differences = _arms(features, places, "difference")
        self._ratios = _arms(features, places, "ratio")
        self._changing = _arms(features, places, "rate_of_change")
        self._rolled = _arms(features, places, "rolling_mean")
        self._stages: dict[str, Changes | RollingMeans] = {}
        if len(self._counters):
            self._stages["counters"] = Changes(np.ones(len(self._counters), bool))
        if len(self._changing):
            self._stages["changes"] = Changes(np.zeros(len(self._changing), bool))
        if len(self._rolled):
            means = [each.derived.rolling_mean for each in features if each.derived]
            self._stages["means"] = RollingMeans(np.array([each.readings for each in means if each], np.int64))
        self.adapt(pipeline)
        entities.attach(self)

    def adapt(self, pipeline: Pipeline) -> None:
        """Goes over to other windows of the same features: the longest maxGap is that of rates and means, too."""
        self._gap = max(round(seconds(window.max_gap) * MICROSECONDS) for window in pipeline.windows)

    def prepare(self, readings: Readings) -> Readings:
        """The readings with `values` [n, features] in place of [n, read]."""
        read = np.asarray(readings.values, np.float64)
        values: Float64 = np.empty((len(read), self._width))
        if len(read):
            if "counters" in self._stages:
                read = read.copy()
                read[:, self._counters] = self._stages["counters"].of(readings, read[:, self._counters], self._gap)
            values[:, self._from] = read
            self._derive(readings, values)
        with np.errstate(over="ignore"):
            found = values.astype(np.float32)
        found[~np.isfinite(found)] = np.nan
        return replace(readings, values=found)

    def _derive(self, readings: Readings, values: Float64) -> None:
        with np.errstate(all="ignore"):
            for place, of, minus in self._differences:
                values[:, place] = values[:, of] - values[:, minus]
            for place, of, to in self._ratios:
                values[:, place] = values[:, of] / values[:, to]  # over 0: infinite, which is missing
        for name, arms in (("changes", self._changing), ("means", self._rolled)):
            if name in self._stages:
                into, of = arms[:, 0], arms[:, 1]
                values[:, into] = self._stages[name].of(readings, values[:, of], self._gap)

    @property
    def row_bytes(self) -> int:
        """Bytes of one entity."""
        return sum(stage.row_bytes for stage in self._stages.values())

    def resize(self, capacity: int) -> None:
        """Room for so many entities."""
        for stage in self._stages.values():
            stage.resize(capacity)

    def clear(self, slots: Int64) -> None:
        """Forgets these entities."""
        for stage in self._stages.values():
            stage.clear(slots)

    def take(self, slots: Int64) -> dict[str, Any]:
        """State of these entities."""
        return {name: stage.take(slots) for name, stage in self._stages.items()}

    def put(self, slots: Int64, rows: Mapping[str, Any]) -> None:
        """Sets the state of these entities to what `take` gave."""
        for name, stage in self._stages.items():
            stage.put(slots, rows[name])


def _arms(features: list[Feature], places: Mapping[str, int], arm: str) -> Int64:
    """[m, 1 + sources] Of features that are derived in this way: their places, and those of what they are derived from."""
    found = [
        [places[each.name], *(places[name] for name in each.derived.sources)]
        for each in features
        if each.derived is not None and getattr(each.derived, arm) is not None
    ]
    return np.array(found, np.int64)
