"""What a scoring pod says of itself: evidence for the operator, metrics, and whether it lives and is ready."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from anomaly_api.alert import LeftOutReason
from anomaly_api.assignment import Runtime
from anomaly_api.evidence import DetectorEvidence, PartitionEvidence, SourceEvidence, SourceState
from anomaly_api.source import Pipeline
from anomaly_detector.adapters.assignment_watcher import Orders
from anomaly_detector.adapters.kafka.diagnose.broker_monitor import Surroundings
from anomaly_detector.core.columns import numbers_in
from anomaly_detector.core.health.lag import Behind
from anomaly_detector.core.health.progress import Pace
from anomaly_detector.core.pipeline import Stream
from anomaly_detector.core.state.tasks import Decided
from anomaly_detector.field_monitor import Presence
from anomaly_detector.group_session import Membership
from anomaly_detector.settings import Settings
from anomaly_detector.state_metrics import Remembrance
from anomaly_detector.telemetry import Telemetry
from anomaly_detector.web import Answer, health

_STUCK_SECONDS: Final = 30.0
_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"


class Account:
    """The loop of the pod tells it what happens; threads of the HTTP server ask."""

    def __init__(
        self, settings: Settings, runtime: Runtime, stream: Stream, surroundings: Surroundings, orders: Orders, assignment: str
    ) -> None:
        """`assignment` is the digest of the one that the stream begins with."""
        self._pod, self._runtime_digest = settings.pod, runtime.digest
        self._stream, self._surroundings, self._orders = stream, surroundings, orders
        self._assignment = assignment
        self.pace = Pace()
        self._telemetry = Telemetry(self.pace)
        self.remembrance = Remembrance(self._telemetry.registry)
        self._presence = Presence(stream.regime.pipeline)
        self._membership: Membership | None = None
        self._turned = self._told = time.monotonic()
        self._waited = 0.0
        """Seconds, of the stay that goes on."""
        self._behind: dict[int, Behind] = {}
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
        if {feature.name: feature.path for feature in pipeline.features} != self._presence.paths:
            self._presence = Presence(pipeline)
        self._assignment = assignment

    def stay(self, member: Membership | None) -> None:
        """A stay in the group begins, or, None: is over."""
        self._membership = member

    def follow(self, decided: Iterable[Decided], *, sent: int, left_out: Mapping[LeftOutReason, int], skipped: int) -> None:
        """What a turn led to: batches decided, alerts written, dead letters taken in no form, messages gone before being read."""
        with self._one_moment:
            self._telemetry.sent(sent)
            self._telemetry.left_out(left_out)
            self._telemetry.skip(skipped)
            for each in decided:
                self._decided(each)

    def tell(self, now: float, topic_partitions: int) -> None:
        """Looks at how things stand."""
        member, seconds = self._membership, now - self._told
        self._told = now
        self.remembrance.tell(self._stream, member.partitions if member else 0, topic_partitions)
        lags = member.lags(self._surroundings.source.ends) if member else {}
        self.pace.look(lags, time.monotonic())
        waited = member.waited if member else 0.0
        self._telemetry.worked(1.0 - (waited - self._waited if waited >= self._waited else waited) / seconds, seconds)
        self._waited = waited
        self._behind = member.behind(lags, time.time()) if member else {}
        self._warming, self._limiting = self._stream.warming, self._stream.limiting
        self._telemetry.state(
            reading=self._surroundings.finding.readable and self._joined,
            partitions=member.partitions if member else 0,
            behind=self._behind,
            entities=self._stream.entities,
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
        pending = self._orders.pending
        return DetectorEvidence(
            pod=self._pod,
            runtime=self._runtime_digest,
            assignment=self._assignment,
            now=time.time(),
            source=self._source(),
            revisions=[self._stream.stable.evidence(), *([pending] if pending else [])],
            readings=telemetry.readings,
            late=telemetry.late,
            duplicates=telemetry.duplicates,
            hurried=telemetry.hurried,
            abandoned=telemetry.abandoned,
            missing=telemetry.missing,
            imputed=telemetry.imputed,
            windows=telemetry.windows,
            warming=self._warming,
            entities=self._stream.entities,
            seen=self.remembrance.seen,
            memory=self.remembrance.evidence,
            presence=self._presence.evidence(time.time()),
            busy=telemetry.busy,
            alerts=telemetry.alerts,
            alerts_suppressed=telemetry.alerts_suppressed,
            alerts_dropped=dict(telemetry.alerts_dropped),
            limits_reached=self._limiting,
            dead_letters=dict(telemetry.dead_letters),
            dead_letters_left_out=telemetry.left_out_letters,
            recently_left_out=telemetry.letters_lost.recently(),
            recent_dead_letter=telemetry.recent_dead_letter,
            recent_readings=recent,
            recent_dead_letters=recent_dead,
            last_reading=telemetry.last_reading,
            last_scored=telemetry.last_scored,
            last_alert=telemetry.last_alert,
            last_score=telemetry.last_score,
        )

    def _source(self) -> SourceEvidence:
        finding, member = self._surroundings.finding, self._membership
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
            skipped=self._telemetry.skipped.count,
            recently_skipped=self._telemetry.skipped.recently(),
            slowest=self._slowest(),
        )

    def _decided(self, each: Decided) -> None:
        read, outcome, now = each.read, each.outcome, time.monotonic()
        self._telemetry.batch(len(read), outcome, now - each.begun)
        self.remembrance.batch(outcome)
        self._presence.look(read.messages.values, time.time())
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
        member = self._membership
        return member is not None and member.joined

    def _healthz(self) -> Answer:
        silent = time.monotonic() - self._turned
        return health(silent < _STUCK_SECONDS, f"the loop has not turned for {silent:.0f} s")

    def _readyz(self) -> Answer:
        finding = self._surroundings.finding
        if finding.state is not SourceState.READING:
            return health(False, f"{finding.state.value}: {finding.message}")
        return health(self._joined, "waiting for the consumer group")
