"""What a pod remembers of readings: what waits, the windows' buffers, the running levels. A function of the stream; no scores.

    messages -> decode -> future guard -> merge -> ties -> reorder -> preparation -> imputation -> windows
                   `> rejects    `> rejects                                                     `> running baseline

What is remembered, and of which entities, depends on the readings of a partition, their order, and the `Intake`s under which they
were taken in. That is why it can be built again by reading them again.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from anomaly_api.schema import seconds
from anomaly_api.source import SameTime
from anomaly_detector.core.alerts.pending_traces import PendingTraces
from anomaly_detector.core.columns import MICROSECONDS, Batch, Headers, Int64, Messages, Readings, no_headers
from anomaly_detector.core.decode.formats.decoder import DocumentDecoder, decoder_of
from anomaly_detector.core.decode.future_guard import FutureGuard
from anomaly_detector.core.decode.json import Decoded, Decoder
from anomaly_detector.core.entities.micro_batch import MicroBatch
from anomaly_detector.core.entities.table import Columns, Entities
from anomaly_detector.core.preprocess.counts import ReadingCounts
from anomaly_detector.core.preprocess.entity_scale import RunningScale, Scales, scaled_columns
from anomaly_detector.core.preprocess.imputation import Imputation
from anomaly_detector.core.preprocess.intake import Intake
from anomaly_detector.core.preprocess.merge import MergeBuffer
from anomaly_detector.core.preprocess.pending import PendingReadings
from anomaly_detector.core.preprocess.preparation import Preparation
from anomaly_detector.core.preprocess.reorder import Ordered, ReorderBuffer
from anomaly_detector.core.preprocess.silence import Silence, SilenceTurn
from anomaly_detector.core.preprocess.ties import Ties
from anomaly_detector.core.preprocess.windows import WindowBatch, Windows
from anomaly_detector.core.scoring.statistical import RunningBaseline, Statistical


class Preprocessed(Struct, frozen=True):
    """What a portion of a batch became."""

    readings: Readings
    """Those that went into windows."""
    windows: list[WindowBatch]
    """One for each window of the pipeline, in its order."""
    levels: RunningBaseline
    tally: ReadingCounts
    silences: Sequence[SilenceTurn] = ()
    """Entities that have fallen silent, and those that speak again."""
    traces: PendingTraces | None = None
    """Those of readings that waited; None: none may wait, and each came in the message that it has."""
    scales: Scales | None = None
    """By what each reading is scaled; None: by nothing."""


class Preprocessor:
    """Turns messages into windows, and keeps the state that this needs."""

    def __init__(self, intake: Intake) -> None:
        self.intake: Intake
        self.entities: Entities
        self.windows: Windows
        self.statistical: Statistical
        self._begin(intake)

    @property
    def most_messages(self) -> int:
        """Messages that a batch should have at most: with what they let go, the windows take a bounded amount of memory."""
        most, waiting = self.windows.most_readings, self._pending
        total, deep = sum(each.total for each in waiting), sum(each.deep for each in waiting)
        return max(1, most - total, most // (1 + deep))

    def change(self, intake: Intake) -> bool:
        """Goes over to another intake. Windows stay when entity, time and features do; False: all is empty now."""
        before, self.intake = self.intake, intake
        self.entities.bounds = intake.bounds
        if before.readings != intake.readings:
            self._begin(intake)
            return False
        self._decoder = _decoder(intake)
        if (before.time, before.features, before.windows) != (intake.time, intake.features, intake.windows):
            self._future_guard.adapt(intake.time)
            self._reorder.adapt(intake.time)
            if self._preparation is not None:
                self._preparation.adapt(intake)
            self._imputation.adapt(intake)
            self.windows.adapt(intake.windows)
        self._adapt_silence(intake.silent_after)
        self.statistical.set(intake.baseline)
        if before.bounds is not None and intake.bounds is not None and before.bounds.partitions < intake.bounds.partitions:
            self.entities.expect(max(round(seconds(window.max_gap) * MICROSECONDS) for window in intake.windows))
        return True

    def decode(self, messages: Messages, refused: Sequence[int] | None = None) -> Decoded:
        """Readings of a batch of messages; rejects are those that cannot be read, and those from the future.

        `refused`: rows of those that were refused as such when the batch was decided; all others were believed.
        """
        return self.believe(self.parse(messages), messages, refused)

    def parse(self, messages: Messages) -> Decoded:
        """Readings of a batch of messages; rejects are those that cannot be read. It knows no state, and can be done ahead."""
        return self._decoder.decode(messages.values, messages.keys, messages.timestamps_ms, messages.partitions)

    def believe(self, decoded: Decoded, messages: Messages, refused: Sequence[int] | None = None) -> Decoded:
        """What `parse` made of the messages, without readings from the future; `refused` as for `decode`."""
        batch, early = self._future_guard.within(decoded.batch, messages.timestamps_ms, messages.read_ms, refused)
        if not early:
            return decoded
        return Decoded(batch, sorted(decoded.rejects + early, key=lambda reject: reject.row), decoded.skips)

    def micro_batches(self, batch: Batch) -> Iterator[MicroBatch]:
        """A batch in portions, nearly always one: what is known of those who leave is there until the portion is taken in.

        Each must have been taken in before the next one is asked for.
        """
        return self.entities.seat(batch)

    def process(self, portion: MicroBatch, headers: Headers = no_headers) -> Preprocessed:
        """Forgets those who leave, and takes in a portion's readings; `headers` are those of their messages."""
        dropped_pending = self._waiting([left.slot for left in portion.leaving]) if portion.leaving else 0
        self.entities.dismiss(portion.leaving)
        silences = () if self.silence is None else self.silence.observe(portion.batch, portion.slots)
        traces = self._traces if self._merge is not None or self._reorder.waits or self._imputation.waits else None
        if traces is not None:
            traces.note(portion.batch, headers)
        batch, slots = (portion.batch, portion.slots) if self._merge is None else self._merge.merge(portion.batch, portion.slots)
        ordered = self._reorder.order(batch if self._ties is None else self._ties.part(batch, slots), slots)
        prepared = ordered.readings if self._preparation is None else self._preparation.prepare(ordered.readings)
        readings = self._imputation.fill(prepared)
        windows = self.windows.push(readings)
        scales = None
        if self._scale is not None:
            scales = self._scale.observe(readings)
            windows = [replace(each, scales=scales) for each in windows]
        levels = self.statistical.observe(readings, sparingly=self.intake.sparingly)
        tally = self._tally(batch, ordered, readings, dropped_pending)
        return Preprocessed(readings, windows, levels, tally, silences, traces, scales)

    def forget(self, partition: int) -> None:
        """Drops what is remembered of a partition."""
        self.entities.drop(partition)
        self._future_guard.drop(partition)
        if self.silence is not None:
            self.silence.drop(partition)
        self._traces.drop(partition)

    def snapshot(self, partition: int) -> dict[str, Any]:
        """What is remembered of a partition: names and plain arrays."""
        known = self.entities.known(partition)
        slots = np.array(list(known.values()), np.int64)
        stages = {name: stage.take(slots) for name, stage in self._stages().items()}
        whole = {"names": list(known), "entities": self.entities.take(slots), "future_guard": self._future_guard.take(partition)}
        whole["traces"] = self._traces.take(partition)
        return whole | stages

    def restore(self, partition: int, state: Mapping[str, Any]) -> Int64:
        """Sets what is remembered of a partition to a snapshot that was made under the same intake; its entities' slots."""
        self.forget(partition)
        slots = self.entities.admit(partition, state["names"], state.get("entities"))
        if "future_guard" in state:
            self._future_guard.put(partition, state["future_guard"])
        if "traces" in state:
            self._traces.put(partition, state["traces"])
        for name, stage in self._stages().items():
            if name in state:
                stage.put(slots, state[name])
        if self.silence is not None:
            self.silence.restored(partition, slots)
        return slots

    def _begin(self, intake: Intake) -> None:
        self.intake = intake
        self.entities = Entities(intake.bounds)
        self._decoder = _decoder(intake)
        self._future_guard = FutureGuard(intake.time)
        self._traces = PendingTraces()
        exact = np.dtype(np.float64 if intake.prepares else np.float32)
        self._merge = MergeBuffer(intake.merge, len(intake.read), self.entities, exact) if intake.merge is not None else None
        """None: each message is a reading."""
        self._ties = Ties(self.entities) if intake.time.same_time is SameTime.KEEP else None
        """None: of readings of the same time the first one counts."""
        self._reorder = ReorderBuffer(intake.time, len(intake.read), self.entities, exact)
        self._preparation = Preparation(intake, self.entities) if intake.prepares else None
        """None: features are what stands in readings."""
        self.silence = Silence(intake.silent_after, self.entities) if intake.silent_after is not None else None
        """None: nobody is told of silent entities."""
        self.windows = Windows(intake, self.entities)
        self._imputation = Imputation(intake, self.entities, self.windows)
        columns = scaled_columns(intake)
        self._scale = RunningScale(columns, self.entities) if len(columns) else None
        """None: no feature has a scale of each entity's own."""
        self.statistical = Statistical(intake.baseline, len(intake.features), self.entities)

    def _adapt_silence(self, after: str | None) -> None:
        if self.silence is not None and after is not None:
            self.silence.adapt(after)
        elif self.silence is not None:
            self.entities.detach(self.silence)
            self.silence = None
        elif after is not None:
            self.silence = Silence(after, self.entities)

    def _waiting(self, slots: list[int]) -> int:
        """Readings of these entities that wait, for older ones or for what they lack."""
        where = np.array(slots, np.int64)
        return sum(int(each.counts(where).sum()) for each in self._pending)

    @property
    def _pending(self) -> list[PendingReadings]:
        merging = [] if self._merge is None else [self._merge.waiting]
        return [*merging, self._reorder.waiting, self._imputation.waiting]

    def _tally(self, batch: Batch, ordered: Ordered, readings: Readings, dropped_pending: int) -> ReadingCounts:
        missing: dict[str, int] = {}
        lacks = np.isnan(batch.values)
        if lacks.any():
            names = (feature.name for feature in self.intake.read)
            counts = np.count_nonzero(lacks, axis=0).tolist()
            missing = {name: count for name, count in zip(names, counts, strict=True) if count}
        imputed = 0 if readings.filled is None else int(np.count_nonzero(readings.filled))
        duplicates = ordered.duplicates + (0 if self._merge is None else self._merge.duplicates)
        return ReadingCounts(ordered.late, duplicates, ordered.released_early, dropped_pending, missing, imputed, ordered.delays)

    def _stages(self) -> dict[str, Columns]:
        found: dict[str, Columns] = {"reorder": self._reorder, "imputation": self._imputation}
        if self._merge is not None:
            found["merge"] = self._merge
        if self._ties is not None:
            found["ties"] = self._ties
        if self.silence is not None:
            found["silence"] = self.silence
        if self._preparation is not None:
            found["preparation"] = self._preparation
        if self._scale is not None:
            found["scale"] = self._scale
        return found | {"windows": self.windows, "baseline": self.statistical}


def _decoder(intake: Intake) -> Decoder | DocumentDecoder:
    as_read = intake if len(intake.read) == len(intake.features) else intake.model_copy(update={"features": intake.read})
    return decoder_of(as_read, exact=intake.prepares)
