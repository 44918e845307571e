"""The loop of a scoring pod. Readings and commits are the membership's, decisions the stream's, what it says the account's."""

import logging
import time
from typing import Final
from uuid import uuid4

from confluent_kafka import KafkaException

from anomaly_api.assignment import Runtime
from anomaly_api.evidence import SourceState
from anomaly_api.schema import seconds
from anomaly_detector.adapters import allocator
from anomaly_detector.adapters.assignment_watcher import AssignmentWatcher
from anomaly_detector.adapters.executor import ScoringThread
from anomaly_detector.adapters.kafka.clients import error_of
from anomaly_detector.adapters.kafka.consume.feedback import FeedbackReader
from anomaly_detector.adapters.kafka.diagnose.broker_monitor import BrokerMonitor
from anomaly_detector.adapters.kafka.produce.connections import Connections
from anomaly_detector.adapters.kafka.security.access import AccessError, fingerprint
from anomaly_detector.adapters.schema_registry import Registry
from anomaly_detector.core.entities.quota import MemoryQuota
from anomaly_detector.core.health.stall_watchdog import StallWatchdog
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.state.checkpoint_schedule import CheckpointPolicy
from anomaly_detector.core.state.next_commit import Decided, Topics
from anomaly_detector.core.state.tasks import PartitionTasks
from anomaly_detector.group_session import GroupSession
from anomaly_detector.settings import Settings
from anomaly_detector.status_reporter import StatusReporter

log: Final = logging.getLogger(__name__)
_WAIT_SECONDS: Final = 0.1
_AGAIN_SECONDS: Final = 0.5
_SHARE_SECONDS: Final = 30.0
_TIDY_SECONDS: Final = 1.0


class Service:
    """A scoring pod at work."""

    def __init__(
        self,
        settings: Settings,
        runtime: Runtime,
        broker_monitor: BrokerMonitor,
        assignments: AssignmentWatcher,
        connections: Connections | None,
    ) -> None:
        """`broker_monitor` are being looked at already; `connections` are for the first stay, if they could be made."""
        self._settings, self._runtime, self._assignments = settings, runtime, assignments
        self._connections = connections
        taken = assignments.start()
        self._pipeline = DetectionPipeline(runtime.detector.source, taken.loaded, clock=time.perf_counter)
        self._pipeline.adopt(taken.loaded, taken.candidate, taken.terms)
        topics = Topics(runtime.kafka.topic, runtime.alerts_topic, runtime.dead_letter_topic, runtime.state_topic)
        self._scoring = ScoringThread("scoring")
        self._tasks = PartitionTasks(
            self._pipeline, topics, CheckpointPolicy(readings=settings.checkpoint_readings), self._scoring
        )
        self.reporter = StatusReporter(settings, runtime, self._pipeline, broker_monitor, assignments, taken.digest)
        self._feedback = FeedbackReader(runtime, settings.pod) if runtime.labels_topic else None
        if self._feedback is not None:
            self.reporter.labels(self._feedback)
        self._registry = Registry(runtime.schema_registry)
        self._topic_partitions = 0
        self._broker_monitor = broker_monitor
        self._name = settings.pod
        """By which the group and the coordinator of transactions know the pod."""
        self._session: GroupSession | None = None
        self._access = ""
        """Fingerprint of the credentials that the membership has."""
        self._topic = ""
        """Id of the topic that we read."""
        self._state_topic = broker_monitor.state_topic
        """The one that we write to."""
        self._shared_anew = -_SHARE_SECONDS
        """When we last made the group share the partitions anew."""
        self._watchdog = StallWatchdog()
        self._tidied = time.monotonic()
        """When memory was given back last."""
        self._stopping = False

    def stop(self) -> None:
        """Ends after the present batch; may be called from a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Until `stop`."""
        if self._feedback is not None:
            self._feedback.start()
        try:
            while not self._stopping:
                self._turn()
            if self._session is not None:
                self._settle(self._session, self._session.end(for_good=True))
        finally:
            self._scoring.stop()
            if self._feedback is not None:
                self._feedback.stop()
            self._assignments.stop()
            self._broker_monitor.stop()

    def _turn(self) -> None:
        """Once around the loop."""
        now = time.monotonic()
        due = self.reporter.turn(now)
        taken = self._assignments.take()
        if taken is not None:
            self._tasks.adopt(taken.loaded, taken.candidate, taken.terms)
            self.reporter.adopt(taken.digest, self._pipeline.stable.revision.pipeline)
            log.info("revision %s decides now (%s)", self._pipeline.stable.name, self._pipeline.stable.message or "complete")
        if self._feedback is not None:
            self._heed(self._feedback, due=due)
        if self._session is None:
            self._session = self._new()
            self.reporter.stay(self._session)
        if self._session is not None:
            (self._step if self._session.begun else self._join)(self._session)
        self._broker_monitor.registry_ails(self._registry.trouble)
        if due:
            self._share()
            self._look_at_state()
            self.reporter.tell(now, self._topic_partitions)
            self._tidy(now)

    def _heed(self, feedback: FeedbackReader, *, due: bool) -> None:
        """Does what people have said since the last turn."""
        accepted, rejected = feedback.take_accepted(), feedback.take_rejected()
        if accepted:
            self._tasks.accept(accepted)
        if rejected or due:
            self._tasks.reject(rejected, self._runtime.labels_topic)

    def _tidy(self, now: float) -> None:
        """Gives back memory that nobody needs."""
        if now - self._tidied > _TIDY_SECONDS:
            allocator.give_back()
            self._tidied = now

    def _new(self) -> GroupSession | None:
        """A stay with the credentials as they are now; None where they do not do: what is wrong with them is said elsewhere."""
        made, self._connections = self._connections, None
        if made is not None and made.access != fingerprint(self._runtime.kafka):
            made.close()
            made = None
        try:
            connections = made or Connections(self._runtime, self._name, self._broker_monitor.listener)
        except AccessError:
            self._broker_monitor.wait_until_well(_AGAIN_SECONDS)
            return None
        except KafkaException as failure:
            self._broker_monitor.settings_refused(error_of(failure))
            time.sleep(_AGAIN_SECONDS)
            return None
        self._broker_monitor.settings_refused(None)
        self._access = connections.access
        return GroupSession(self._runtime, self._name, connections, self._tasks, self._registry, self._settings.batch_messages)

    def _join(self, member: GroupSession) -> None:
        """Reading begins when all it needs is there: that alerts have no topic is to be found out before the first alert."""
        if not self._broker_monitor.wait_until_well(_WAIT_SECONDS):
            return
        if self._renewed:
            self._leave(member)
        elif self._share():
            self._topic, self._state_topic = self._broker_monitor.source.identity, self._broker_monitor.state_topic
            self._watchdog.begin(time.monotonic())
            member.join()

    def _step(self, member: GroupSession) -> None:
        self._settle(member, member.step())
        if self._renewed:
            log.info("the credentials have changed, and the brokers take the new ones: the next stay has them")
        elif self._another_topic():
            log.warning("topic %s was deleted and made anew: all is read again", self._runtime.kafka.topic)
        elif not (member.lost or self._doubtful(member)):
            if self._neglecting():
                self._leave(member, for_good=True)
            return
        self._leave(member)

    def _neglecting(self) -> bool:
        """Whether partitions have no owner, and it is ours to see to it: who leaves and comes back makes the group share anew."""
        found = self._broker_monitor.group.neglected
        now = time.monotonic()
        if found is None or found.by != self._name or not found.lasting(now) or now < self._shared_anew + _SHARE_SECONDS:
            return False
        self._shared_anew = now
        log.warning("nobody has partitions %s: this pod leaves the group and joins it again", sorted(found.partitions))
        return True

    def _doubtful(self, member: GroupSession) -> bool:
        """Whether the stay's clients may be dead, for all that they say: others may do better."""
        now, finding = time.monotonic(), self._broker_monitor.finding
        missing = self._broker_monitor.group.lacks(self._name)
        if self._watchdog.unheard(now, joined=member.joined, missing=missing, answered=finding.readable):
            why = "does not know this pod" if missing else "does not say which partitions are ours"
            log.warning("the group %s: it is asked anew", why)
            return True
        waiting = max(member.seeking, min(member.silent, self.reporter.pace.standstill(now)))
        if self._watchdog.stands_still(now, waiting, answered=finding.state is SourceState.READING):
            log.warning(
                "nothing has come for %.0f s though there is something, and brokers answer: other clients are tried", waiting
            )
            return True
        return False

    def _leave(self, member: GroupSession, *, for_good: bool = False) -> None:
        """The stay is over; the next one begins with what Kafka says."""
        self._session = None
        self.reporter.stay(None)
        self._settle(member, member.end(for_good=for_good or member.replaced))
        if member.replaced:
            self._name = f"{self._settings.pod}-{uuid4().hex[:8]}"
            log.warning("another pod is in the group as %s; this one goes on as %s", self._settings.pod, self._name)
        time.sleep(_AGAIN_SECONDS)

    def _another_topic(self) -> bool:
        """Whether the topic that we read is no more, and there is another one of its name: its offsets are others."""
        now = self._broker_monitor.source.identity
        return bool(now and self._topic) and now != self._topic

    @property
    def _renewed(self) -> bool:
        """Whether there are other credentials, and they are good: until then the connections that there are go on."""
        finding = self._broker_monitor.finding
        return finding.readable and finding.access != self._access

    def _settle(self, member: GroupSession, decided: list[Decided]) -> None:
        if decided:
            self._watchdog.decided()
        self.reporter.follow(decided, sent=member.sent(), undeliverable=member.undeliverable(), skipped=member.skipped())

    def _share(self) -> bool:
        """Each partition of the topic has its share of the memory; a topic may get more. Whether their number is known."""
        partitions = self._broker_monitor.finding.partitions
        if partitions and partitions != self._topic_partitions:
            self._topic_partitions = partitions
            budget = self._runtime.memory_budget
            if budget is not None:
                self._tasks.allow(MemoryQuota(budget, partitions, seconds(self._runtime.expire_after)))
        return self._topic_partitions > 0

    def _look_at_state(self) -> None:
        """Looks whether the state topic still exists: someone may delete it."""
        if self._session is None or not self._session.begun:
            return
        found = self._broker_monitor.state_topic
        if found.another(self._state_topic):
            log.warning("topic %s was deleted and made anew: what is remembered is written again", self._runtime.state_topic)
            self._tasks.write_again()
        self._state_topic = found
