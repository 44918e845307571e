"""What stands between decoded readings and scores, put together as `Preprocessor` does it. No test."""

from __future__ import annotations

from msgspec.structs import replace

from anomaly_api.source import Pipeline
from anomaly_detector.core.columns import Batch
from anomaly_detector.core.entities.table import Columns, Entities
from anomaly_detector.core.preprocess.imputation import Imputation
from anomaly_detector.core.preprocess.reorder import Ordered, ReorderBuffer
from anomaly_detector.core.preprocess.windows import WindowBatch, Windows


class Buffers:
    """Readings in, windows out."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.entities = Entities()
        self.ordering = ReorderBuffer(pipeline.time, len(pipeline.features), self.entities)
        self.windows = Windows(pipeline, self.entities)
        self.filling = Imputation(pipeline, self.entities, self.windows)
        self.stages: list[Columns] = [self.ordering, self.filling, self.windows]

    def push(self, batch: Batch) -> tuple[Ordered, list[WindowBatch]]:
        ordered = self.ordering.order(batch)
        readings = self.filling.fill(ordered.readings)
        return replace(ordered, readings=readings), self.windows.push(readings)
