"""What a pod remembers of readings: the windows' buffers and the running levels. A function of the stream alone; no scores.

What is remembered depends on the readings of a partition, their order, and the `Regime`s under which they were taken in. That is
why it can be built again by reading them again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from anomaly_api.policy import Fallback
from anomaly_api.schema import Contract
from anomaly_api.source import Pipeline
from anomaly_detector.core.columns import Int64, Messages
from anomaly_detector.core.decode import Decoder, Reject
from anomaly_detector.core.entities import Columns, Entities
from anomaly_detector.core.statistical import Levels, Statistical
from anomaly_detector.core.windows import Pushed, Windows


class Regime(Contract):
    """How readings are taken in, and by what they are decided: all of a revision that a replay needs to know."""

    revision: str
    """Digest."""
    levels: bool
    """Whether running levels are kept: where the fallback scorer is needed."""
    pipeline: Pipeline
    fallback: Fallback

    @property
    def readings(self) -> tuple[Any, ...]:
        """What windows are made of."""
        return self.pipeline.entity, self.pipeline.time, self.pipeline.features


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What a batch became."""

    pushed: Pushed
    levels: Levels | None
    rejects: list[Reject]


class Memory:
    """Buffers and levels of all entities."""

    def __init__(self, regime: Regime) -> None:
        self.regime: Regime
        self.entities: Entities
        self.windows: Windows
        self.statistical: Statistical | None
        self._begin(regime)

    @property
    def most_messages(self) -> int:
        """Messages that a batch should have at most."""
        return self.windows.most_readings

    def change(self, regime: Regime) -> bool:
        """Goes over to another regime. Windows stay when entity, time and features do; False: all is empty now."""
        before, self.regime = self.regime, regime
        if before.readings != regime.readings:
            self._begin(regime)
            return False
        if before.pipeline != regime.pipeline:
            self.windows.adapt(regime.pipeline.windows)
        if not regime.levels:
            if self.statistical is not None:
                self.statistical.detach()
                self.statistical = None
        elif self.statistical is None:
            self.statistical = self._levels()
        else:
            self.statistical.set(regime.fallback)
        return True

    def take_in(self, messages: Messages) -> TakenIn:
        """Takes in a batch."""
        decoded = self._decoder.decode(messages.values, messages.keys, messages.timestamps_ms, messages.partitions)
        pushed = self.windows.push(decoded.batch)
        levels = self.statistical.observe(pushed.readings) if self.statistical else None
        return TakenIn(pushed, levels, decoded.rejects)

    def snapshot(self, partition: int) -> dict[str, Any]:
        """What is remembered of a partition: names and plain arrays."""
        known = self.entities.known(partition)
        slots = np.array(list(known.values()), np.int64)
        return {"names": list(known)} | {name: stage.take(slots) for name, stage in self._stages().items()}

    def restore(self, partition: int, state: Mapping[str, Any]) -> Int64:
        """Sets what is remembered of a partition to a snapshot that was made under the same regime; its entities' slots."""
        self.entities.drop(partition)
        slots = self.entities.admit(partition, state["names"])
        for name, stage in self._stages().items():
            if name in state:
                stage.put(slots, state[name])
        return slots

    def _begin(self, regime: Regime) -> None:
        self.regime = regime
        self.entities = Entities()
        self._decoder = Decoder(regime.pipeline)
        self.windows = Windows(regime.pipeline, self.entities)
        self.statistical = self._levels() if regime.levels else None

    def _levels(self) -> Statistical:
        return Statistical(self.regime.fallback, len(self.regime.pipeline.features), self.entities)

    def _stages(self) -> dict[str, Columns]:
        return {"windows": self.windows} | ({"statistical": self.statistical} if self.statistical else {})
