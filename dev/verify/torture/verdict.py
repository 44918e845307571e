"""Compares the topics afterwards with what they must hold: the stream decided in one process, by the same revisions.

Where revisions changed is read from the state topic; everything else follows from the readings. Nothing is left to tolerance:
the same alerts, byte for byte, in the same order for each entity, and each dead letter once. At least once, what is there
already may come again, as it was: an alert counts where it came first.
"""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import uuid4

import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from anomaly_api.assignment import Assignment, Runtime
from anomaly_api.policy import Delivery
from anomaly_detector.adapters.assignment_watcher import load
from anomaly_detector.core.columns import Header, Messages
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.shadow import Terms
from anomaly_detector.core.state.changelog import CHANGES, Change
from dev.verify.torture.orders import SOURCE

_SECONDS = 60.0


class Record(NamedTuple):
    """An alert as it is written."""

    value: bytes
    headers: tuple[Header, ...]


Alerts = dict[str, list[Record]]
"""By entity, in order."""


@dataclass(frozen=True)
class Found:
    """The records of the topics, read committed."""

    source: dict[int, list[Message]]
    facts: dict[int, list[Change]]
    alerts: Alerts
    dead: Counter[tuple[int, int]]
    """Partition and offset of what could not be read."""


def collect(runtime: Runtime) -> Found:
    """Reads everything."""
    bootstrap = runtime.kafka.bootstrap_servers
    facts: dict[int, list[Change]] = defaultdict(list)
    for partition, messages in read(bootstrap, runtime.state_topic).items():
        for message in messages:
            if _bytes(message.key()).startswith(CHANGES) and message.value() is not None:
                facts[partition].append(Change.model_validate_json(_bytes(message.value())))
    alerts: Alerts = defaultdict(list)
    for messages in read(bootstrap, runtime.alerts_topic).values():
        for message in messages:
            record = Record(_bytes(message.value()), tuple(headers_of(message)))
            alerts[_bytes(message.key()).decode()].append(record)
    dead: Counter[tuple[int, int]] = Counter()
    for messages in read(bootstrap, runtime.dead_letter_topic).values():
        for message in messages:
            headers = {name: value or b"" for name, value in headers_of(message)}
            dead[int(headers["partition"]), int(headers["offset"])] += 1
    return Found(read(bootstrap, runtime.kafka.topic), dict(facts), dict(alerts), dead)


def read(bootstrap: str, topic: str) -> dict[int, list[Message]]:
    """All committed messages of a topic, by partition."""
    settings = {
        "bootstrap.servers": bootstrap,
        "group.id": uuid4().hex,
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "auto.offset.reset": "earliest",
    }
    consumer = Consumer(settings)
    found: dict[int, list[Message]] = {}
    try:
        numbers = consumer.list_topics(topic, timeout=_SECONDS).topics[topic].partitions
        found = {number: [] for number in numbers}
        left = set(numbers)
        consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
        deadline = time.monotonic() + _SECONDS
        while left:
            if time.monotonic() > deadline:
                raise TimeoutError(f"partitions {sorted(left)} of {topic} could not be read to their ends")
            for message in consumer.consume(1000, 0.2):
                error, number = message.error(), message.partition()
                assert number is not None, "it was fetched"
                if error is None:
                    found[number].append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(number)
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()
    return found


def expected(found: Found, orders: Sequence[Assignment]) -> tuple[Alerts, Counter[tuple[int, int]]]:
    """Returns what one process makes of the stream."""
    revisions = {order.stable.digest: load(order.stable, order.artifacts) for order in orders}
    alerts: Alerts = defaultdict(list)
    dead: Counter[tuple[int, int]] = Counter()
    for partition, messages in found.source.items():
        facts = found.facts.get(partition, [])
        if not facts:
            if messages:
                raise AssertionError(f"partition {partition} was never decided")
            continue
        stream = DetectionPipeline(SOURCE, revisions[facts[0].configuration.deciders.stable.revision])
        ends = [*(fact.offset for fact in facts[1:]), None]
        offsets = [_offset(message) for message in messages]
        for fact, end in zip(facts, ends, strict=True):
            deciders = fact.configuration.deciders
            candidate = revisions[deciders.candidate.revision] if deciders.candidate else None
            terms = Terms(deciders.weight, deciders.rollout)
            for _, ending in stream.adopt(revisions[deciders.stable.revision], candidate, terms):
                alerts[ending.entity].append(Record(ending.value, ending.headers))
            stream.decide_as(fact.configuration)  # with its bounds: who is forgotten follows from them
            mine = [
                message for message, at in zip(messages, offsets, strict=True) if at >= fact.offset and (end is None or at < end)
            ]
            outcome = stream.process(_columns(mine, partition))
            for alert in outcome.alerts:
                alerts[alert.entity].append(Record(alert.value, alert.headers))
            for reject in outcome.rejects:
                dead[partition, _offset(mine[reject.row])] += 1
    return dict(alerts), dead


def judge(found: Found, orders: Sequence[Assignment], delivery: Delivery) -> list[str]:
    """Returns what is wrong, a line each; nothing if all is well."""
    alerts, dead = expected(found, orders)
    there, buried = found.alerts, found.dead
    if delivery is Delivery.AT_LEAST_ONCE:
        there, buried = _without_repeats(there), Counter(set(buried))
    wrong = differences(there, alerts)
    if buried != dead:
        wrong.append(f"dead letters differ: {buried - dead} too many, {dead - buried} missing")
    return wrong


def repeated(alerts: Alerts) -> int:
    """Records whose id had been there before."""
    return sum(len(records) - len({_id(record) for record in records}) for records in alerts.values())


def by_candidates(found: Found) -> int:
    """Alerts by revisions that decided a share of the entities at some time, and were not stable."""
    deciders = [fact.configuration.deciders for facts in found.facts.values() for fact in facts]
    names = {each.candidate.name for each in deciders if each.candidate is not None and each.weight}
    names -= {each.stable.name for each in deciders}
    revisions = [json.loads(record.value)["data"].get("revision") for records in found.alerts.values() for record in records]
    return sum(revision in names for revision in revisions)


def _without_repeats(alerts: Alerts) -> Alerts:
    """Without the records that are equal to an earlier one: another one with the same id stays, and is a difference."""
    return {entity: list(dict.fromkeys(records)) for entity, records in alerts.items()}


def _id(record: Record) -> str:
    return str(json.loads(record.value)["id"])


def differences(there: Alerts, meant: Mapping[str, list[Record]]) -> list[str]:
    """Returns what is wrong, a line each; nothing if all is well."""
    wrong = []
    for entity in sorted(there.keys() | meant.keys()):
        have, want = there.get(entity, []), meant.get(entity, [])
        if have == want:
            continue
        place = next((i for i, (a, b) in enumerate(zip(have, want, strict=False)) if a != b), min(len(have), len(want)))
        wrong.append(
            f"{entity}: {len(have)} alerts instead of {len(want)}; the first difference is at {place}:\n"
            f"    is    {have[place] if place < len(have) else 'missing'}\n"
            f"    ought {want[place] if place < len(want) else 'nothing'}"
        )
    return wrong


def _columns(messages: Sequence[Message], partition: int) -> Messages:
    values = [None if message.value() is None else _bytes(message.value()) for message in messages]
    keys = [None if message.key() is None else _bytes(message.key()) for message in messages]
    stamps = np.array([message.timestamp()[1] for message in messages], np.int64)
    partitions = np.full(len(messages), partition, np.int64)
    return Messages(values, keys, stamps, partitions, lambda row: headers_of(messages[row]))


def headers_of(message: Message) -> list[Header]:
    """In their order."""
    return [(name, _bytes(value)) for name, value in message.headers() or []]


def _bytes(value: bytes | str | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""


def _offset(message: Message) -> int:
    offset = message.offset()
    assert offset is not None, "it was fetched"
    return offset
