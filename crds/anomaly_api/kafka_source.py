"""A Kafka topic as a source: where the brokers are, who the pods are to them, how partitions are shared."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from anomaly_api.schema import Contract, matching, rule
from anomaly_api.security import Sasl, Tls

OWNED_PROPERTIES: Final = (
    "bootstrap.servers",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "client.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "transactional.id",
    "isolation.level",
    "partition.assignment.strategy",
    "security.protocol",
    "enable.ssl.certificate.verification",
)
"""librdkafka properties that the operator sets itself."""

_HOST_PORT: Final = r"([^\s,:/]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}"
_OWNED_LIST: Final = ", ".join(f"'{name}'" for name in OWNED_PROPERTIES)
_SECRET_WORDS: Final = ("password", "secret", "sasl.oauthbearer", "ssl.key", "jaas")
_SECRETIVE: Final = " || ".join(f"name.contains('{word}')" for word in _SECRET_WORDS)
_OF_TLS: Final = ("ssl.ca.", "ssl.certificate.", "ssl.key", "ssl.keystore.", "https.", "sasl.")
_SECURES: Final = " || ".join(f"name.startsWith('{beginning}')" for beginning in _OF_TLS)

TopicName = Annotated[
    str,
    Field(max_length=249),
    matching(
        "write the name of a Kafka topic: letters, digits, dots, underscores and dashes",
        "^[a-zA-Z0-9._-]+$",
        r"^\.?\.?[^.]|\.\.\.",  # . and .. are no topics
    ),
]
BootstrapServers = Annotated[
    str,
    Field(max_length=1024),
    matching(
        "write host:port, several joined by commas, such as kafka-0.kafka:9092,kafka-1.kafka:9092",
        rf"^{_HOST_PORT}( *, *{_HOST_PORT})*$",
    ),
]


class StartFrom(StrEnum):
    """Where a consumer group without committed offsets begins."""

    LATEST = "Latest"
    EARLIEST = "Earliest"


class GroupProtocol(StrEnum):
    """How the pods agree on who reads which partition."""

    CLASSIC = "Classic"
    CONSUMER = "Consumer"


@rule(
    f"!has(self.properties) || !self.properties.exists(name, name in [{_OWNED_LIST}] || (({_SECURES}) && !({_SECRETIVE})))",
    "properties must not set what the operator owns (bootstrap.servers, group.id, offsets, commits, transactions, TLS, SASL): "
    "use the fields of source.kafka",
)
@rule(
    f"!has(self.properties) || !self.properties.exists(name, {_SECRETIVE})",
    "properties must not hold credentials: they would be readable by everyone who can read this resource",
)
@rule(
    "!has(self.groupProtocol) || self.groupProtocol == 'Classic' || !has(self.properties) "
    "|| !self.properties.exists(name, name in ['session.timeout.ms', 'heartbeat.interval.ms', 'group.protocol.type'])",
    "properties must not set session.timeout.ms, heartbeat.interval.ms or group.protocol.type with groupProtocol Consumer: "
    "the broker decides them, for example by its group.consumer.session.timeout.ms",
)
class KafkaSource(Contract):
    """A Kafka topic, read by a consumer group."""

    bootstrap_servers: BootstrapServers
    """Addresses of some brokers, `host:port` joined by commas, as the pods reach them. The others are found through these."""
    topic: TopicName
    """Topic with the readings. It must exist already."""
    group_id: Annotated[str, Field(min_length=1, max_length=249)] | None = None
    """Consumer group that keeps the place in the topic. Unset: `anomaly-operator.<namespace>.<name>`. Set it where your
    brokers allow certain names only. Two detectors must not share one."""
    group_protocol: GroupProtocol = GroupProtocol.CLASSIC
    """Protocol by which the pods share the partitions. Classic, the default, works with every broker; a pod whose container
    is killed has its partitions back at once. Consumer (KIP-848, Kafka 4.0 and later) leaves the assignment to the broker,
    and how long a killed pod is waited for: 45 s, unless its group.consumer.session.timeout.ms says otherwise. A change
    replaces the pods one by one, and the group is converted."""
    start_from: StartFrom = StartFrom.LATEST
    """Place in the topic where a group without committed offsets begins. Latest, the default: with what comes from now on.
    Earliest: with all that the topic still holds."""
    tls: Tls | None = None
    """Encryption of the connection. `{}` trusts the authorities that the image comes with, as for public services. Unset:
    none."""
    sasl: Sasl | None = None
    """Login of the detector at the brokers by name and proof. Unset: none, or the certificate of tls."""
    properties: Annotated[dict[str, Annotated[str, Field(max_length=1024)]], Field(max_length=64)] | None = None
    """Further librdkafka properties by their own names, such as client.rack. Those that the operator sets itself are refused.
    Unset: none."""
