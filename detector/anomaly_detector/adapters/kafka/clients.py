"""How librdkafka is set up. Each setting that differs from its default says why.

Credentials are those of the moment: every function here raises access.AccessError when they are missing or make no sense.
"""

from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException

from anomaly_api.assignment import Runtime
from anomaly_api.source import GroupProtocol, KafkaSource
from anomaly_detector.adapters.kafka.security import access

_BOTH: Final[dict[str, Any]] = {
    # 100 by default; half of it passes between two connections of a client, too, and each makes at least two.
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 2_000,  # 10 s by default: a broker that is back should be noticed at once
    "socket.timeout.ms": 20_000,  # 60 s by default: so long a connection whose other end has vanished would be waited for
    "socket.keepalive.enable": True,  # connections through a cluster's address translation die in silence otherwise
    "log_level": 2,  # what goes wrong comes as errors, and is said once
}
_TIMING: Final[dict[GroupProtocol, dict[str, Any]]] = {
    GroupProtocol.CLASSIC: {
        # 45 s by default: so long the partitions of a node that died are silent. No broker takes less than 6 s unless it is told
        # (group.min.session.timeout.ms). A pod that stands still for longer loses its partitions to the others, and joins again:
        # what it has not committed is decided there, once. Heartbeats come from a thread of the client's own, so neither a large
        # batch nor a slow model keeps them from coming, and twelve of them must be lost.
        "session.timeout.ms": 6_000,
        "heartbeat.interval.ms": 500,  # 3 s by default: a member hears with its next heartbeat that partitions are to move
    },
    GroupProtocol.CONSUMER: {},  # the broker decides
}
STATE_MESSAGE_BYTES: Final = 524_288
"""The least `max.message.bytes` that the state topic may have: what is remembered comes in records of 400 kB."""


def error_of(failure: KafkaException) -> KafkaError:
    """Returns the KafkaError that an exception of librdkafka carries."""
    error = failure.args[0]
    return error if isinstance(error, KafkaError) else KafkaError(KafkaError._FAIL, str(error))


def _asked(kafka: KafkaSource, name: str) -> int:
    """Returns the user's value of a numeric property; 0 where none is set."""
    try:
        return int((kafka.properties or {}).get(name, 0))
    except ValueError:  # librdkafka says what is wrong with it
        return 0


def consumer(runtime: Runtime, pod: str) -> dict[str, Any]:
    """Settings of a consumer that knows the group."""
    kafka = runtime.kafka
    return {
        **_BOTH,
        "fetch.queue.backoff.ms": 1,  # 1 s by default: starves a consumer that keeps up
        "fetch.wait.max.ms": 100,  # 500 by default: so long a partition that begins waits when there is nothing new of others
        "queued.max.messages.kbytes": 4_096,  # 64 MiB by default, and as much again for its bookkeeping
        "queued.min.messages": 10_000,  # of each partition, 100,000 by default
        # A fetch may come on top of what is queued; librdkafka takes no less than a message.
        "fetch.max.bytes": max(2_097_152, _asked(kafka, "message.max.bytes")),
        # 5 min by default: so long a rebalance waits for members that the coordinator does not know to be dead. The loop asks
        # for readings every few seconds; librdkafka takes no less than a session.
        "max.poll.interval.ms": max(45_000, _asked(kafka, "session.timeout.ms")),
        "topic.metadata.refresh.interval.ms": 10_000,  # 5 min by default: a topic or partition that appears waits as long
        **_TIMING[kafka.group_protocol],
        **(kafka.properties or {}),
        **access.settings(kafka),
        "bootstrap.servers": kafka.bootstrap_servers,
        "group.id": runtime.group_id,
        "group.protocol": kafka.group_protocol.value.lower(),
        "client.id": pod,
        "enable.auto.commit": False,  # offsets are committed when what follows from them has been written
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",  # where to begin is decided with what is known of the partition
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,  # a topic that is misspelt must be missing, not made
    }


def member(runtime: Runtime, pod: str) -> dict[str, Any]:
    """Settings of the consumer that is a member of the group.

    A classic member is static: a container that is killed and started again has its pod's name, and with it its partitions,
    at once. The consumer protocol hands a name on only after the broker's session timeout (45 s), or when its holder had said
    that it would be back: there, members are dynamic, and one that is killed is waited for so long.
    """
    classic = {
        "partition.assignment.strategy": "cooperative-sticky",  # a rebalance stops only what moves
        "group.instance.id": pod,
    }
    return consumer(runtime, pod) | (classic if static(runtime) else {})


def static(runtime: Runtime) -> bool:
    """Whether members of the group are."""
    return runtime.kafka.group_protocol is GroupProtocol.CLASSIC


def recovery(runtime: Runtime, pod: str) -> dict[str, Any]:
    """Settings of the consumer that reads the state topic: no member of the group, it only asks where the group stands."""
    return consumer(runtime, pod) | {
        "client.id": f"{pod}-recovery",
        "enable.partition.eof": True,
        "fetch.wait.max.ms": 5,  # 500 by default: that long an end of a partition would take to be noticed
        "retry.backoff.ms": 20,
        "auto.offset.reset": "earliest",
    }


def feedback(runtime: Runtime, pod: str) -> dict[str, Any]:
    """Settings of the consumer that reads labels and alerts from some moment on: no member of any group, and in no hurry."""
    return consumer(runtime, pod) | {
        "client.id": f"{pod}-feedback",
        "enable.partition.eof": True,
        "queued.max.messages.kbytes": 1_024,
        "auto.offset.reset": "earliest",
        "fetch.queue.backoff.ms": 100,
        "fetch.wait.max.ms": 500,
    }


def transactional(runtime: Runtime, pod: str) -> dict[str, Any]:
    """Settings of the producer when alerts and offsets are one transaction."""
    settings = {"transaction.timeout.ms": 10_000} | producer(runtime, pod)  # how long a pod that is gone for ever is in the way
    del settings["max.in.flight.requests.per.connection"]  # an idempotent producer keeps the order by itself
    for bounded in ("message.timeout.ms", "socket.timeout.ms"):  # by the transaction's
        del settings[bounded]
    return settings | {
        "transactional.id": f"{runtime.group_id}.{pod}",  # a container that is started again ends what it left open
        # 100 and 1,000 by default: what a transaction would wait for the last one to complete, twice as long each time.
        "retry.backoff.ms": 5,
        "retry.backoff.max.ms": 20,
        # 5 by default; with none, hundreds of dead letters go in batches of a few, several at a time, and cost twice as much.
        "linger.ms": 1,
    }


def producer(runtime: Runtime, pod: str) -> dict[str, Any]:
    """Settings of the producer of alerts and dead letters."""
    kafka = runtime.kafka
    return {
        **_BOTH,
        "linger.ms": 0,  # 5 by default: an alert is waited for; what comes while the one request is under way is sent together
        "acks": "all",
        "message.timeout.ms": 0,  # 5 min by default, then the record is lost: while the broker is away, it waits
        "max.in.flight.requests.per.connection": 1,  # a retry must not overtake: the order per entity stays
        "message.max.bytes": 10_485_760,  # dead letters are as large as what was sent; the broker decides
        "batch.size": STATE_MESSAGE_BYTES - 24_288,  # a megabyte by default: what the state topic must take at once
        "compression.type": "lz4",  # none by default: what is remembered shrinks by a third, in a thread of the client's own
        "queue.buffering.max.kbytes": 32_768,
        "topic.metadata.propagation.max.ms": 5_000,
        **(kafka.properties or {}),
        **access.settings(kafka),
        "bootstrap.servers": kafka.bootstrap_servers,
        "client.id": pod,
        "delivery.report.only.error": True,  # a call for each record that arrived costs as much as sending it
    }


def looking(runtime: Runtime, pod: str, *, create: bool) -> dict[str, Any]:
    """Settings of a client that asks what there is; with `create`, a broker that makes topics on demand makes them."""
    kafka = runtime.kafka
    return {
        **_BOTH,
        **(kafka.properties or {}),
        **access.settings(kafka),
        "bootstrap.servers": kafka.bootstrap_servers,
        "client.id": pod,
        "allow.auto.create.topics": create,
    }
