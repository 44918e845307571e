"""The loop of a scoring pod, and what it says of itself. Readings and commits are the membership's, decisions the stream's."""

import logging
import time
from collections.abc import Callable
from typing import Final
from uuid import uuid4

from confluent_kafka import KafkaException

from anomaly_api.assignment import Runtime
from anomaly_api.evidence import DetectorEvidence, PartitionEvidence, SourceEvidence, SourceState
from anomaly_api.source import Pipeline
from anomaly_detector.adapters.beside import Beside
from anomaly_detector.adapters.kafka.access import AccessError, fingerprint
from anomaly_detector.adapters.kafka.clients import error_of
from anomaly_detector.adapters.kafka.connections import Connections
from anomaly_detector.adapters.kafka.surroundings import Surroundings
from anomaly_detector.adapters.orders import Orders
from anomaly_detector.adapters.web import Answer, health
from anomaly_detector.core.backlog import Behind
from anomaly_detector.core.columns import numbers_in
from anomaly_detector.core.custody import Custody, Decided, Often, Topics
from anomaly_detector.core.doubts import Doubts
from anomaly_detector.core.pace import Pace
from anomaly_detector.core.records import Read
from anomaly_detector.core.stream import Outcome, Stream
from anomaly_detector.membership import Membership
from anomaly_detector.presence import Presence
from anomaly_detector.remembrance import Remembrance
from anomaly_detector.settings import Settings
from anomaly_detector.telemetry import Telemetry

log: Final = logging.getLogger(__name__)
_WAIT_SECONDS: Final = 0.1
_AGAIN_SECONDS: Final = 0.5
_STUCK_SECONDS: Final = 30.0
_SHARE_SECONDS: Final = 30.0
_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"


class Service:
    """A scoring pod at work."""

    def __init__(
        self, settings: Settings, runtime: Runtime, surroundings: Surroundings, orders: Orders, connections: Connections | None
    ) -> None:
        """`surroundings` are being looked at already; `connections` are for the first stay, if they could be made."""
        self._settings, self._runtime, self._orders = settings, runtime, orders
        self._connections = connections
        self._runtime_digest = runtime.digest
        self._pace = Pace()
        self._telemetry = Telemetry(self._pace)
        taken = orders.start()
        self._assignment = taken.digest
        self._stream = Stream(runtime.detector.source, taken.loaded)
        topics = Topics(runtime.kafka.topic, runtime.alerts_topic, runtime.dead_letter_topic, runtime.state_topic)
        self._presence = Presence(self._stream.regime.pipeline)
        self._scoring = Beside("scoring")
        self._custody = Custody(self._stream, topics, Often(readings=settings.checkpoint_readings), self._scoring)
        self._remembrance = Remembrance(runtime, self._telemetry.registry)
        self._topic_partitions = 0
        self._surroundings = surroundings
        self._name = settings.pod
        """By which the group and the coordinator of transactions know the pod."""
        self._membership: Membership | None = None
        self._access = ""
        """Fingerprint of the credentials that the membership has."""
        self._topic = ""
        """Id of the topic that we read."""
        self._state_topic = surroundings.state_topic
        """The one that we write to."""
        self._shared_anew = -_SHARE_SECONDS
        """When we last made the group share the partitions anew."""
        self._doubts = Doubts()
        self._stopping = False
        self._turned = time.monotonic()
        self._told = time.monotonic()
        self._waited = 0.0
        """Seconds, of the stay that goes on."""
        self._behind: dict[int, Behind] = {}
        self._warming = self._limiting = 0

    @property
    def routes(self) -> dict[str, Callable[[], Answer]]:
        """What the HTTP server answers."""
        return {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": lambda: Answer(200, _PROMETHEUS, self._telemetry.text()),
            "/evidence": lambda: Answer(200, "application/json", self.evidence().model_dump_json().encode()),
        }

    def stop(self) -> None:
        """Ends after the present batch; may be called from a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Until `stop`."""
        try:
            while not self._stopping:
                self._turn()
            if self._membership is not None:
                self._account(self._membership.end(for_good=True))
        finally:
            self._scoring.stop()
            self._orders.stop()
            self._surroundings.stop()

    def evidence(self) -> DetectorEvidence:
        """What the operator is told."""
        telemetry = self._telemetry
        recent, recent_dead = telemetry.recent()
        pending = self._orders.pending
        return DetectorEvidence(
            pod=self._settings.pod,
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
            seen=self._remembrance.seen,
            memory=self._remembrance.evidence,
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

    def _turn(self) -> None:
        """Once around the loop."""
        self._turned = now = time.monotonic()
        taken = self._orders.take()
        if taken is not None:
            self._custody.adopt(taken.loaded)
            self._look_for(self._stream.regime.pipeline)
            self._assignment = taken.digest
            log.info("revision %s decides now (%s)", self._stream.stable.name, self._stream.stable.message or "complete")
        if self._membership is None:
            self._membership = self._new()
        if self._membership is not None:
            (self._step if self._membership.begun else self._join)(self._membership)
        if now - self._told >= 1.0:
            self._tell(now - self._told)
            self._told = now

    def _new(self) -> Membership | None:
        """A stay with the credentials as they are now; None where they do not do: what is wrong with them is said elsewhere."""
        made, self._connections = self._connections, None
        if made is not None and made.access != fingerprint(self._runtime.kafka):
            made.close()
            made = None
        try:
            connections = made or Connections(self._runtime, self._name, self._surroundings.listener)
        except AccessError:
            self._surroundings.wait_until_well(_AGAIN_SECONDS)
            return None
        except KafkaException as failure:
            self._surroundings.settings_refused(error_of(failure))
            time.sleep(_AGAIN_SECONDS)
            return None
        self._surroundings.settings_refused(None)
        self._access = connections.access
        return Membership(self._runtime, self._name, connections, self._custody, self._settings.batch_messages)

    def _join(self, member: Membership) -> None:
        """Reading begins when all it needs is there: that alerts have no topic is to be found out before the first alert."""
        if not self._surroundings.wait_until_well(_WAIT_SECONDS):
            return
        if self._renewed:
            self._leave(member)
        elif self._share():
            self._topic, self._state_topic = self._surroundings.source.identity, self._surroundings.state_topic
            self._doubts.begin(time.monotonic())
            member.join()

    def _step(self, member: Membership) -> None:
        self._account(member.step())
        self._telemetry.sent(member.sent())
        self._telemetry.left_out(member.left_out())
        self._telemetry.skip(member.skipped())
        if self._renewed:
            log.info("the credentials have changed, and the brokers take the new ones: the next stay has them")
        elif self._another_topic():
            log.warning("topic %s was deleted and made anew: all is read again", self._runtime.kafka.topic)
        elif not (member.lost or self._doubtful(member)):
            if self._neglecting():
                self._leave(member, for_good=True)
            return
        self._leave(member)

    def _look_for(self, pipeline: Pipeline) -> None:
        """What was found stays, unless other fields are wanted now."""
        if {feature.name: feature.path for feature in pipeline.features} != self._presence.paths:
            self._presence = Presence(pipeline)

    def _neglecting(self) -> bool:
        """Whether partitions have no owner, and it is ours to see to it: who leaves and comes back makes the group share anew."""
        found = self._surroundings.group.neglected
        now = time.monotonic()
        if found is None or found.by != self._name or not found.lasting(now) or now < self._shared_anew + _SHARE_SECONDS:
            return False
        self._shared_anew = now
        log.warning("nobody has partitions %s: this pod leaves the group and joins it again", sorted(found.partitions))
        return True

    def _doubtful(self, member: Membership) -> bool:
        """Whether the stay's clients may be dead, for all that they say: others may do better."""
        now, finding = time.monotonic(), self._surroundings.finding
        taken_in = member.joined and not self._surroundings.group.lacks(self._name)
        if self._doubts.unheard(now, joined=taken_in, answered=finding.readable):
            why = "does not know this pod" if member.joined else "does not say which partitions are ours"
            log.warning("the group %s: it is asked anew", why)
            return True
        waiting = max(member.seeking, min(member.silent, self._pace.standstill(now)))
        if self._doubts.stands_still(now, waiting, answered=finding.state is SourceState.READING):
            log.warning(
                "nothing has come for %.0f s though there is something, and brokers answer: other clients are tried", waiting
            )
            return True
        return False

    def _leave(self, member: Membership, *, for_good: bool = False) -> None:
        """The stay is over; the next one begins with what Kafka says."""
        self._telemetry.skip(member.skipped())
        self._membership = None
        self._account(member.end(for_good=for_good or member.replaced))
        if member.replaced:
            self._name = f"{self._settings.pod}-{uuid4().hex[:8]}"
            log.warning("another pod is in the group as %s; this one goes on as %s", self._settings.pod, self._name)
        time.sleep(_AGAIN_SECONDS)

    def _another_topic(self) -> bool:
        """Whether the topic that we read is no more, and there is another one of its name: its offsets are others."""
        now = self._surroundings.source.identity
        return bool(now and self._topic) and now != self._topic

    @property
    def _renewed(self) -> bool:
        """Whether there are other credentials, and they are good: until then the connections that there are go on."""
        finding = self._surroundings.finding
        return finding.readable and finding.access != self._access

    def _account(self, decided: list[Decided]) -> None:
        for each in decided:
            self._doubts.decided()
            self._telemetry.batch(len(each.read), each.outcome, time.monotonic() - each.begun)
            self._remembrance.batch(each.outcome)
            self._presence.look(each.read.messages.values, time.time())
            self._note(each.read, each.outcome)

    def _note(self, read: Read, outcome: Outcome) -> None:
        self._pace.decided(set(numbers_in(read.messages.partitions)), time.monotonic(), scored=outcome.windows > 0)
        if outcome.rejects:
            last = outcome.rejects[-1]
            where = f"partition {read.messages.partitions[last.row]}, offset {read.offsets[last.row]}"
            self._telemetry.recent_dead_letter = f"{last.reason.value} at {where}: {last.message}"

    def _share(self) -> bool:
        """Each partition of the topic has its share of the memory; a topic may get more. Whether their number is known."""
        partitions = self._surroundings.finding.partitions
        if partitions and partitions != self._topic_partitions:
            self._topic_partitions = partitions
            allowance = self._remembrance.allowance(partitions)
            if allowance is not None:
                self._custody.allow(allowance)
        return self._topic_partitions > 0

    def _tell(self, seconds: float) -> None:
        member = self._membership
        self._share()
        self._look_at_state()
        self._remembrance.tell(self._stream, member.partitions if member else 0, self._topic_partitions)
        lags = member.lags(self._surroundings.source.ends) if member else {}
        self._pace.look(lags, time.monotonic())
        self._limiting = self._stream.limiting
        waited = member.waited if member else 0.0
        self._telemetry.worked(1.0 - (waited - self._waited if waited >= self._waited else waited) / seconds, seconds)
        self._waited = waited
        self._behind, self._warming = member.behind(lags, time.time()) if member else {}, self._stream.warming
        self._telemetry.state(
            reading=self._surroundings.finding.readable and self._joined,
            partitions=member.partitions if member else 0,
            behind=self._behind,
            entities=self._stream.entities,
            warming=self._warming,
            limits=self._limiting,
        )

    def _look_at_state(self) -> None:
        """What is remembered stands in a topic that somebody may delete."""
        if self._membership is None or not self._membership.begun:
            return
        found = self._surroundings.state_topic
        if found.another(self._state_topic):
            log.warning("topic %s was deleted and made anew: what is remembered is written again", self._runtime.state_topic)
            self._custody.write_again()
        self._state_topic = found

    def _slowest(self) -> PartitionEvidence | None:
        found = self._pace.slowest(time.monotonic())
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
