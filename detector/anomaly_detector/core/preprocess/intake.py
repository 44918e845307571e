"""The intake: how messages become windows. Restoring a partition needs the intake and the readings, and no revision's model."""

from typing import Any

from anomaly_api.policy import Fallback
from anomaly_api.source import Pipeline, Window
from anomaly_detector.core.entities.quota import Bounds


class Intake(Pipeline):
    """Entity, time, features and windows, and how much of them is remembered. Revisions with an equal intake share windows."""

    windows: list[Window]
    """Of every decider: those of the stable revision first, then those that only the candidate has."""
    bounds: Bounds | None = None
    """Of what is remembered of each partition, by the columns of the stable revision alone: a candidate evicts no entity. None:
    nothing does."""
    baseline: Fallback = Fallback()
    """How the running baseline of each entity is kept, by which the statistical scorer decides."""
    sparingly: bool = False
    """Whether the baseline learns from a part of the readings only: where a model decides."""

    @staticmethod
    def of(pipeline: Pipeline, baseline: Fallback, *, bounds: Bounds | None = None, sparingly: bool = False) -> "Intake":
        """The intake of a revision's pipeline."""
        entity, time, features, windows = pipeline.entity, pipeline.time, pipeline.features, pipeline.windows
        return Intake(
            filter=pipeline.filter,
            pairs=pipeline.pairs,
            merge=pipeline.merge,
            silent_after=pipeline.silent_after,
            entity=entity,
            time=time,
            features=features,
            windows=windows,
            format=pipeline.format,
            envelope=pipeline.envelope,
            bounds=bounds,
            baseline=baseline,
            sparingly=sparingly,
        )

    @property
    def readings(self) -> tuple[Any, ...]:
        """Identity of a reading. Lateness, `missing` and windows are no part of it: they may change and buffers stay."""
        features = [
            (each.path, {name: value for name, value in each.reading.items() if name not in ("field", "missing")})
            for each in self.features
        ]
        time = self.time
        when = (time.field, time.format, time.pattern, time.zone, time.same_time)
        return self.entity, when, features, self.pairs, self.merge
