"""What happened to episodes and limits, told as alerts: who decided, why, and in which trace. It decides nothing."""

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct

from anomaly_detector.core.alerts.alert import Alert, Explanation, episode_alert, limit_alert
from anomaly_detector.core.alerts.labels import labels_of
from anomaly_detector.core.alerts.pending_traces import PendingTraces
from anomaly_detector.core.alerts.tracing import Trace, trace_of
from anomaly_detector.core.columns import Int64, Messages
from anomaly_detector.core.episodes.processor import WindowScores
from anomaly_detector.core.episodes.transitions import EpisodeTransition, LimitReached
from anomaly_detector.core.preprocess.windows import WindowBatch
from anomaly_detector.core.scoring.revisions import RunningRevision, Scores
from anomaly_detector.core.scoring.statistical import RunningBaseline

Records = Sequence[EpisodeTransition | LimitReached]


class ScoredWindows(Struct, frozen=True):
    """Windows of one kind, and what the revision that decides makes of them."""

    window: WindowBatch
    scores: Scores

    def kind(self, messages: Int64) -> WindowScores:
        """`messages` [readings]: what each reading came in."""
        window = self.window
        return WindowScores(window.name, messages, window.places, window.slots, window.times, self.scores.values)


class AlertBuilder(Struct, frozen=True):
    """Who tells: the detector, and the revision that decides."""

    source: str
    revision: RunningRevision
    messages: Messages
    traces: PendingTraces | None = None
    """Those of readings that waited; None: none did, and each record's message is its reading's own."""

    def tell(self, records: Records, scored: Mapping[str, ScoredWindows], levels: RunningBaseline | None) -> list[Alert]:
        """In the order of the records; `scored` by the name of the window."""
        reasons = self._reasons(records, scored, levels)
        labels = labels_of(self.revision.revision.pipeline)
        alerts = []
        for place, record in enumerate(records):
            trace = self._trace(record)
            if isinstance(record, EpisodeTransition):
                each = scored.get(record.window)
                # what no window of this batch led to is of the scorer that decides as a rule: batches make no difference
                by_model = not self.revision.wants_levels if each else self.revision.loaded.model is not None
                if each and record.index is not None:
                    by_model = bool(each.scores.by_model[record.index])
                decision = self.revision.decision(record.window, by_model=by_model)
                known = None if labels is None else labels(self.messages.values[record.row]) if each else {}
                alerts.append(episode_alert(decision, record, reasons.get(place), trace, known))
            else:
                alerts.append(limit_alert(self.source, record, trace))
        return alerts

    def _trace(self, record: EpisodeTransition | LimitReached) -> Trace | None:
        if self.traces is None:
            return trace_of(self.messages.headers(record.row))
        return self.traces.of(record.row, int(self.messages.partitions[record.row]), record.entity, record.time)

    def _reasons(
        self, records: Records, scored: Mapping[str, ScoredWindows], levels: RunningBaseline | None
    ) -> dict[int, Explanation]:
        """By place among the records, what the scores of those are made of that a window led to."""
        found: dict[int, Explanation] = {}
        for name, each in scored.items():
            of_kind = {
                place: record.index
                for place, record in enumerate(records)
                if isinstance(record, EpisodeTransition) and record.window == name and record.index is not None
            }
            if of_kind:
                why = self.revision.explain(each.window, np.array(list(of_kind.values())), each.scores, levels)
                found |= dict(zip(of_kind, why, strict=True))
        return found
