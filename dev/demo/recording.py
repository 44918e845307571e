"""Readings of several machines as columns, and the anomalies that are known to be in them. Knows nothing of Kafka."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
"""[ticks, entities, features], in the features' own units."""


@dataclass(frozen=True)
class Anomaly:
    """Something wrong with one entity, from the tick `start` up to, not including, the tick `end`."""

    kind: str
    entity: str
    start: int
    end: int


@dataclass(frozen=True)
class Recording:
    """All entities are read at the same instants, `step` seconds of event time apart: the ticks."""

    entities: tuple[str, ...]
    features: tuple[str, ...]
    begin: float
    """Event time of tick 0, Unix seconds."""
    step: float
    values: Values
    decimals: tuple[int, ...]
    """How finely each sensor reads."""

    @property
    def ticks(self) -> int:
        return int(self.values.shape[0])

    def time(self, tick: int) -> float:
        """Event time in Unix seconds."""
        return self.begin + tick * self.step

    def tick(self, time: float) -> int:
        """The tick at or next to an event time."""
        return round((time - self.begin) / self.step)

    def changed(self, values: Values) -> Recording:
        """The same instants with other values."""
        return replace(self, values=values)

    def messages(self, tick: int) -> list[tuple[bytes, bytes]]:
        """Key and JSON value of each entity's reading at this tick."""
        moment = datetime.fromtimestamp(self.time(tick), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return [
            (
                entity.encode(),
                json.dumps(
                    {
                        "timestamp": moment,
                        "sensors": {
                            feature: round(value, places)
                            for feature, value, places in zip(self.features, row, self.decimals, strict=True)
                        },
                    }
                ).encode(),
            )
            for entity, row in zip(self.entities, self.values[tick].tolist(), strict=True)
        ]
