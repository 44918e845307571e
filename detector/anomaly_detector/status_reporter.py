"""What a scoring pod says of itself: evidence for the operator, metrics, and whether it lives and is ready."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final
from uuid import uuid4

from anomaly_api.alert import UndeliverableReason
from anomaly_api.assignment import Runtime
from anomaly_api.drift import LONGEST
from anomaly_api.evidence import DetectorEvidence, PartitionEvidence, SourceEvidence, SourceState
from anomaly_api.schema import seconds
from anomaly_api.source import Pipeline
from anomaly_detector.adapters.assignment_watcher import AssignmentWatcher
from anomaly_detector.adapters.kafka.consume.feedback import FeedbackReader
from anomaly_detector.adapters.kafka.diagnose.broker_monitor import BrokerMonitor
from anomaly_detector.core.columns import numbers_in
from anomaly_detector.core.health.lag import Lag
from anomaly_detector.core.health.losses import LASTING_SECONDS, RECENT_SECONDS
from anomaly_detector.core.health.progress import ProgressTracker
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.state.next_commit import Decided
from anomaly_detector.drift_watch import DriftWatch
from anomaly_detector.exposure_watch import ExposureWatch
from anomaly_detector.feedback_metrics import FeedbackMetrics
from anomaly_detector.field_monitor import FieldMonitor
from anomaly_detector.group_session import GroupSession
from anomaly_detector.settings import Settings
from anomaly_detector.state_metrics import StateMetrics
from anomaly_detector.telemetry import Telemetry
from anomaly_detector.web import Answer, health

_STUCK_SECONDS: Final = 30.0
_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"


class StatusReporter:
    """The loop of the pod tells it what happens; threads of the HTTP server ask."""

    def __init__(
        self,
        settings: Settings,
        runtime: Runtime,
        pipeline: DetectionPipeline,
        broker_monitor: BrokerMonitor,
        assignments: AssignmentWatcher,
        assignment: str,
    ) -> None:
        """`assignment` is the digest of the one that the stream begins with."""
        self._pod, self._instance, self._runtime_digest = settings.pod, uuid4().hex, runtime.digest
        self._pipeline, self._broker_monitor, self._assignments = pipeline, broker_monitor, assignments
        self._assignment = assignment
        self.pace = ProgressTracker()
        self._telemetry = Telemetry(self.pace)
        self.state_metrics = StateMetrics(self._telemetry.registry)
        self._field_monitor = FieldMonitor(pipeline.stable.revision.pipeline)
        self._drift = DriftWatch(pipeline, min(LONGEST, seconds(runtime.drift_over)), self._telemetry.registry)
        self._exposure = ExposureWatch(pipeline)
        pipeline.observers = (self._drift.observe, self._exposure.observe)
        self._feedback: tuple[FeedbackReader, FeedbackMetrics] | None = None
        """Who reads labels, if the spec asks for it."""
        self._session: GroupSession | None = None
        self._turned = self._told = time.monotonic()
        self._waited = 0.0
        """Seconds, of the stay that goes on."""
        self._behind: dict[int, Lag] = {}
        self._warming = self._limiting = 0
        self._one_moment = threading.Lock()
        """Held while what a turn of the loop led to is counted: who asks meanwhile is told all of it or nothing."""

    @property
    def routes(self) -> dict[str, Callable[[], Answer]]:
        """What the HTTP server answers."""
        return {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": lambda: Answer(200, _PROMETHEUS, self._telemetry.text()),
            "/evidence": lambda: Answer(200, "application/json", self.evidence().model_dump_json().encode()),
        }

    def turn(self, now: float) -> bool:
        """The loop turns; whether it is time to `tell`."""
        self._turned = now
        return now - self._told >= 1.0

    def adopt(self, assignment: str, pipeline: Pipeline) -> None:
        """Another assignment is in force. What was found of fields stays, unless others are wanted now."""
        if {feature.name: feature.path for feature in pipeline.read} != self._field_monitor.paths:
            self._field_monitor = FieldMonitor(pipeline)
        self._assignment = assignment

    def labels(self, reader: FeedbackReader) -> None:
        """Somebody reads labels."""
        self._feedback = reader, FeedbackMetrics(self._telemetry.registry)

    def stay(self, member: GroupSession | None) -> None:
        """A stay in the group begins, or, None: is over."""
        self._session = member

    def follow(
        self, decided: Iterable[Decided], *, sent: int, undeliverable: Mapping[UndeliverableReason, int], skipped: int
    ) -> None:
        """What a turn led to: batches decided, alerts written, dead letters taken in no form, messages gone before being read."""
        with self._one_moment:
            self._telemetry.sent(sent)
            self._telemetry.undeliverable(undeliverable)
            self._telemetry.skip(skipped)
            for each in decided:
                self._decided(each)

    def tell(self, now: float, topic_partitions: int) -> None:
        """Looks at how things stand."""
        member, since = self._session, now - self._told
        self._told = now
        self.state_metrics.tell(self._pipeline, member.partitions if member else 0, topic_partitions)
        self._drift.tell(now)
        self._exposure.tell(now)
        if self._feedback is not None:
            reader, metrics = self._feedback
            metrics.tell(reader.evidence)
        lags = member.lags(self._broker_monitor.source.ends) if member else {}
        self.pace.look(lags, time.monotonic())
        waited = member.waited if member else 0.0
        self._telemetry.worked(1.0 - (waited - self._waited if waited >= self._waited else waited) / since, since)
        self._waited = waited
        self._behind = member.behind(lags, time.time()) if member else {}
        self._warming, self._limiting = self._pipeline.warming, self._pipeline.limiting
        self._telemetry.state(
            reading=self._broker_monitor.finding.readable and self._joined,
            partitions=member.partitions if member else 0,
            behind=self._behind,
            entities=self._pipeline.entities,
            warming=self._warming,
            limits=self._limiting,
        )

    def evidence(self) -> DetectorEvidence:
        """What the operator is told; its counts are those of one moment, between two turns of the loop."""
        with self._one_moment:
            return self._evidence()

    def _evidence(self) -> DetectorEvidence:
        telemetry = self._telemetry
        recent, recent_dead = telemetry.recent()
        pending = self._assignments.pending
        return DetectorEvidence(
            pod=self._pod,
            instance=self._instance,
            runtime=self._runtime_digest,
            assignment=self._assignment,
            now=time.time(),
            source=self._source(),
            revisions=[*self._pipeline.evidence(), *([pending] if pending else [])],
            readings=telemetry.readings,
            late=telemetry.late,
            duplicates=telemetry.duplicates,
            released_early=telemetry.released_early,
            dropped_pending=telemetry.dropped_pending,
            missing=telemetry.missing,
            imputed=telemetry.imputed,
            windows=telemetry.windows,
            warming=self._warming,
            entities=self._pipeline.entities,
            seen=self.state_metrics.seen,
            memory=self.state_metrics.evidence,
            presence=self._field_monitor.evidence(time.time()),
            busy=telemetry.busy,
            alerts=telemetry.alerts,
            alerts_suppressed=telemetry.alerts_suppressed,
            alerts_dropped=dict(telemetry.alerts_dropped),
            limits_reached=self._limiting,
            dead_letters=dict(telemetry.dead_letters),
            not_readings=telemetry.not_readings,
            dead_letters_undeliverable=telemetry.undeliverable_letters,
            recently_undeliverable=telemetry.letters_lost.recently(),
            recent_dead_letter=telemetry.recent_dead_letter,
            recent_readings=recent,
            recent_dead_letters=recent_dead,
            recent_losses=telemetry.losses.evidence(time.time(), RECENT_SECONDS),
            lasting_losses=telemetry.losses.evidence(time.time(), LASTING_SECONDS),
            feedback=self._feedback[0].evidence if self._feedback else None,
            drift=self._drift.evidence,
            exposure=self._exposure.evidence,
            last_reading=telemetry.last_reading,
            last_scored=telemetry.last_scored,
            last_alert=telemetry.last_alert,
            last_score=telemetry.last_score,
        )

    def _source(self) -> SourceEvidence:
        finding, member = self._broker_monitor.finding, self._session
        state = finding.state
        if state is SourceState.READING and not (member and member.joined):
            state = SourceState.CONNECTING
        return SourceEvidence(
            state=state,
            message=finding.message,
            partitions=member.partitions if member else 0,
            lag=sum(each.messages for each in self._behind.values()),
            lag_seconds=max((each.seconds for each in self._behind.values()), default=0.0),
            recovering=member.recovering if member else 0,
            stored=self._broker_monitor.source.stored,
            skipped=self._telemetry.skipped.count,
            recently_skipped=self._telemetry.skipped.recently(),
            slowest=self._slowest(),
        )

    def _decided(self, each: Decided) -> None:
        read, outcome, now = each.read, each.outcome, time.monotonic()
        self._telemetry.batch(len(read), outcome, now - each.begun)
        self.state_metrics.batch(outcome)
        self._field_monitor.look(read.messages.values, time.time())
        self.pace.decided(set(numbers_in(read.messages.partitions)), now, scored=outcome.windows > 0)
        if outcome.rejects:
            last = outcome.rejects[-1]
            where = f"partition {read.messages.partitions[last.row]}, offset {read.offsets[last.row]}"
            self._telemetry.recent_dead_letter = f"{last.reason.value} at {where}: {last.message}"

    def _slowest(self) -> PartitionEvidence | None:
        found = self.pace.slowest(time.monotonic())
        if found is None:
            return None
        waiting, since_score = round(found.waiting, 1), round(found.since_score, 1)
        return PartitionEvidence(partition=found.partition, waiting=waiting, since_score=since_score, lag=found.lag)

    @property
    def _joined(self) -> bool:
        member = self._session
        return member is not None and member.joined

    def _healthz(self) -> Answer:
        silent = time.monotonic() - self._turned
        return health(silent < _STUCK_SECONDS, f"the loop has not turned for {silent:.0f} s")

    def _readyz(self) -> Answer:
        finding = self._broker_monitor.finding
        if finding.state is not SourceState.READING:
            return health(False, f"{finding.state.value}: {finding.message}")
        return health(self._joined, "waiting for the consumer group")
