"""One look at the brokers: whether all topics are there and can be read, and what the group and the state topic are like.

`BrokerMonitor` looks again and again; an inspection keeps what the latest looks found.
"""

import logging
from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from msgspec.structs import replace

from anomaly_api.assignment import Runtime
from anomaly_api.evidence import SourceState
from anomaly_detector.adapters.kafka import clients
from anomaly_detector.adapters.kafka.consume import source_topic
from anomaly_detector.adapters.kafka.consume.source_topic import SourceTopic
from anomaly_detector.adapters.kafka.diagnose import diagnosis, refusals, rights
from anomaly_detector.adapters.kafka.diagnose.admin import AdminQueries
from anomaly_detector.adapters.kafka.diagnose.diagnosis import Diagnosis
from anomaly_detector.adapters.kafka.diagnose.unassigned import Group, group
from anomaly_detector.adapters.kafka.state.topics import StateSettings, StateTopic, ensure_state_topic, settings

log: Final = logging.getLogger(__name__)
_ASK_SECONDS: Final = 3.0
_UNREACHABLE: Final = (KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE)
_MISSING: Final = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError.TOPIC_EXCEPTION)


class Inspection:
    """Looks at the topics, the group and the settings. An instance belongs to one thread; its results may be read by others."""

    def __init__(self, runtime: Runtime, denied: Callable[[], KafkaError | None], last_error: Callable[[], str]) -> None:
        """`denied` gives a refusal that a client met lately, `last_error` the latest words of any client."""
        self._runtime, self._denied, self._last_error = runtime, denied, last_error
        self.source = SourceTopic("", 0)
        """The source topic as of the latest look that met it."""
        self.state = StateTopic()
        """The state topic as of the latest look that met it."""
        self.state_settings = StateSettings()
        """As of the latest look; as they should be where nobody told."""
        self.group = Group()
        """As of the latest look."""

    def topics(self, looking: AdminQueries, creating: AdminQueries) -> Diagnosis:
        """Returns how the topics are; `creating` asks for those that a broker may create when it is asked for them."""
        source = self._runtime.kafka.topic
        places = [
            (looking, source, SourceState.TOPIC_NOT_FOUND, "spec.source.kafka.topic"),
            (creating, self._runtime.alerts_topic, SourceState.ALERTS_TOPIC_NOT_FOUND, "spec.alerts.topic"),
            (creating, self._runtime.dead_letter_topic, SourceState.DEAD_LETTER_TOPIC_NOT_FOUND, "spec.alerts.deadLetterTopic"),
        ]
        wanted = 0
        for queries, topic, missing, field in places:
            error, partitions = _ask(queries.client, topic)
            if error is not None:
                return self._finding_of(error, topic, missing, field)
            if topic == source:
                wanted = partitions
        error = self._ensure_state(looking.client, wanted)
        if error is not None:
            return self._stateless(error, wanted)
        denied = self._denied()
        if denied is not None and not refusals.passing(denied):
            return diagnosis.refused(self._runtime, denied, source)
        self._look_at_state(looking.client)
        lacking = rights.lacking(looking, self._runtime)
        return Diagnosis(lacking.state, lacking.message) if lacking else self._read_whole(looking.client)

    def _read_whole(self, client: AdminClient) -> Diagnosis:
        """All topics are there: whether every partition of the source can be read."""
        topic = self._runtime.kafka.topic
        try:
            found = source_topic.described(client, topic, _ASK_SECONDS)
            ends = source_topic.ends(client, topic, found, _ASK_SECONDS)
        except KafkaException as failure:
            return self._finding_of(clients.error_of(failure), topic, SourceState.TOPIC_NOT_FOUND, "spec.source.kafka.topic")
        if self.source.identity == found.identity:
            ends = {**self.source.ends, **ends}
            found = replace(found, begins=self.source.begins)
        self.source = replace(found, ends=ends)
        if not found.leaderless:
            return self._ill_suited(found.partitions) or Diagnosis(SourceState.READING, partitions=found.partitions)
        return diagnosis.leaderless(topic, found.leaderless, found.partitions)

    def _ensure_state(self, client: AdminClient, wanted: int) -> KafkaError | None:
        """Sees to it that there is a state topic."""
        error, there = _ask(client, self._runtime.state_topic)
        if error is not None and error.code() not in _MISSING:
            return error
        if there >= wanted:
            return None
        try:
            if ensure_state_topic(client, self._runtime, wanted, there):
                self.state = replace(self.state, made=self.state.made + 1)
        except KafkaException as failure:
            return clients.error_of(failure)
        return None

    def _look_at_state(self, client: AdminClient) -> None:
        try:
            found = source_topic.described(client, self._runtime.state_topic, _ASK_SECONDS)
            self.state = replace(self.state, identity=found.identity or self.state.identity)
        except KafkaException as failure:  # it was there a moment ago: the next look will tell
            log.info("the state topic cannot be described: %s", clients.error_of(failure).str())

    def further(self, looking: AdminQueries, partitions: int) -> None:
        """Looks at the group, the state topic's settings, and where the source topic begins: scoring waits for none of it."""
        try:
            self.group = group(looking, self._runtime, partitions, self.group, _ASK_SECONDS)
        except KafkaException as failure:  # there is none yet, or nobody may look at it
            self.group = Group()
            log.debug("the group cannot be described: %s", clients.error_of(failure).str())
        self.settings(looking)
        try:
            begins = source_topic.begins(looking.client, self._runtime.kafka.topic, self.source, _ASK_SECONDS)
            self.source = replace(self.source, begins=begins)
        except KafkaException as failure:
            log.debug("where the source topic begins cannot be looked at: %s", clients.error_of(failure).str())

    def settings(self, looking: AdminQueries) -> None:
        """Looks at the state topic's settings."""
        try:
            self.state_settings = settings(looking.client, self._runtime.state_topic, _ASK_SECONDS)
        except KafkaException as failure:
            log.debug("the state topic's settings cannot be looked at: %s", clients.error_of(failure).str())

    def _ill_suited(self, partitions: int) -> Diagnosis | None:
        found = self.state_settings
        if found.message_bytes < clients.STATE_MESSAGE_BYTES:
            return diagnosis.narrow(self._runtime, found.message_bytes)
        return None if found.policy == "compact" else diagnosis.forgetful(self._runtime, found.policy, partitions)

    def _stateless(self, error: KafkaError, wanted: int) -> Diagnosis:
        if error.code() in _UNREACHABLE:
            return self._finding_of(error, self._runtime.state_topic, SourceState.FAILED, "spec.stateTopic")
        return diagnosis.stateless(self._runtime, error, wanted)

    def _finding_of(self, error: KafkaError, topic: str, missing: SourceState, field: str) -> Diagnosis:
        runtime = self._runtime
        denied = self._denied()
        if denied is not None or refusals.refusing(error):
            return diagnosis.refused(runtime, denied or error, topic)
        if error.code() in _UNREACHABLE:
            said = refusals.suspicion(runtime.kafka, self._last_error()) or self._last_error() or error.str()
            return diagnosis.unreachable(runtime, said)
        if error.code() in _MISSING:
            return diagnosis.missing(runtime, topic, missing, field)
        return diagnosis.failed(runtime, topic, error)


def _ask(client: AdminClient, topic: str) -> tuple[KafkaError | None, int]:
    """Returns the diagnosis of a topic and its number of partitions."""
    try:
        found = client.list_topics(topic, timeout=_ASK_SECONDS).topics[topic]
    except KafkaException as failure:
        client.poll(0)  # reports why, to `on_error`
        return clients.error_of(failure), 0
    assert not isinstance(found.error, str), "librdkafka's errors are typed"
    return found.error, len(found.partitions)
