"""How things stand with Kafka, in words for people: what is wrong, where, what to do."""

from collections.abc import Sequence

from confluent_kafka import KafkaError
from msgspec import Struct

from anomaly_api.assignment import Runtime
from anomaly_api.evidence import SourceState
from anomaly_api.source import GroupProtocol
from anomaly_detector.adapters.kafka import clients
from anomaly_detector.adapters.kafka.diagnose import refusals


class Diagnosis(Struct, frozen=True):
    """How things stand."""

    state: SourceState
    """READING: everything is there."""
    message: str = ""
    partitions: int = 0
    """Of the source topic, where it can be read."""
    access: str = ""
    """Fingerprint of the credentials that it was found with."""

    @property
    def readable(self) -> bool:
        """Whether there is anything that can be scored."""
        return self.state in (SourceState.READING, SourceState.PARTITION_UNAVAILABLE, SourceState.STATE_TOPIC_FORGETS)


def senseless(error: KafkaError) -> Diagnosis:
    """Settings of which librdkafka makes no client."""
    return Diagnosis(SourceState.FAILED, f"spec.source.kafka makes no sense: {error.str()}: see its properties")


def unreachable(runtime: Runtime, said: str) -> Diagnosis:
    """Nobody answers; `said` is what a client says of that."""
    text = (
        f"no broker answers at {runtime.kafka.bootstrap_servers}: check spec.source.kafka.bootstrapServers (as the pods reach "
        f"it), that the broker runs and that no NetworkPolicy is in between; it is tried again all the time ({said})"
    )
    return Diagnosis(SourceState.BROKER_UNREACHABLE, text)


def missing(runtime: Runtime, topic: str, state: SourceState, field: str) -> Diagnosis:
    """Diagnosis of a topic that does not exist; `field` of the spec names it."""
    where = runtime.kafka.bootstrap_servers
    text = f"topic {topic} does not exist at {where}: create it or change {field}; it is looked for all the time"
    return Diagnosis(state, text)


def failed(runtime: Runtime, topic: str, error: KafkaError) -> Diagnosis:
    """Anything else that happens to a topic."""
    return Diagnosis(SourceState.FAILED, f"topic {topic} at {runtime.kafka.bootstrap_servers}: {error.str()}")


def leaderless(topic: str, which: Sequence[int], partitions: int) -> Diagnosis:
    """Some partitions cannot be read."""
    text = (
        f"partitions {', '.join(map(str, which))} of topic {topic} have no leader, so nobody can read them: see "
        "to the brokers that hold their replicas; the other partitions are scored, and these as soon as they can be read"
    )
    return Diagnosis(SourceState.PARTITION_UNAVAILABLE, text, partitions=partitions)


def stateless(runtime: Runtime, error: KafkaError, wanted: int) -> Diagnosis:
    """Diagnosis of a state topic that does not exist and cannot be created."""
    text = (
        f"the state topic {runtime.state_topic} cannot be made or read at {runtime.kafka.bootstrap_servers}: {error.str()}; "
        f"create it with {wanted} partitions and cleanup.policy=compact, or let the detector create and alter it; it is tried "
        "again all the time"
    )
    return Diagnosis(SourceState.STATE_TOPIC_UNUSABLE, text)


def narrow(runtime: Runtime, most: int) -> Diagnosis:
    """A state topic that does not take what is remembered."""
    text = (
        f"the state topic {runtime.state_topic} takes no more than {most:,} bytes at once (max.message.bytes), and what is "
        f"remembered comes in records of up to {clients.STATE_MESSAGE_BYTES:,}: raise it, for instance to 1048588; until then "
        "nothing is scored, for nothing could be committed"
    )
    return Diagnosis(SourceState.STATE_TOPIC_UNUSABLE, text)


def forgetful(runtime: Runtime, policy: str, partitions: int) -> Diagnosis:
    """A state topic of which records go that still count."""
    text = (
        f"the state topic {runtime.state_topic} has cleanup.policy={policy}, so that what is remembered goes after a while, and "
        "a pod that starts then begins with empty windows and forgotten episodes: set it to compact; until then all is scored"
    )
    return Diagnosis(SourceState.STATE_TOPIC_FORGETS, text, partitions=partitions)


def refused(runtime: Runtime, error: KafkaError, topic: str) -> Diagnosis:
    """Diagnosis of a refused request; `topic` was asked for last."""
    if error.code() == KafkaError._FATAL:
        return _expelled(runtime, error)
    refusal = refusals.explained(runtime.kafka, error, topic, runtime.group_id)
    return Diagnosis(refusal.state, refusal.message)


def _expelled(runtime: Runtime, error: KafkaError) -> Diagnosis:
    """The group has no place for this pod."""
    kafka = runtime.kafka
    protocol = kafka.group_protocol
    older = " (or set source.kafka.groupProtocol to Classic, which every broker knows)"
    text = (
        f"the group {runtime.group_id} at {kafka.bootstrap_servers} does not take this pod in, with group protocol "
        f"{protocol.value}: {error.str()}; see what the broker allows, and its log"
        f"{older if protocol is GroupProtocol.CONSUMER else ''}; it is tried again all the time"
    )
    return Diagnosis(SourceState.FAILED, text)
