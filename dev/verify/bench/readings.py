"""The readings that every contestant gets: pumps with six sensors, 197 bytes of JSON each, now and then a broken one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from anomaly_api.schema import Empty
from anomaly_api.source import Entity, Feature, Pipeline, Time, TimeFormat, Window
from dev.demo import pumps

PARTITIONS: Final = 4
SIZE: Final = 12
STEP: Final = 10
WINDOW_BYTES: Final = (SIZE - 1) * len(pumps.FEATURES) * 4
"""Readings that are kept of an entity: with the one that comes they fill a window."""
BEGIN: Final = 1_767_225_600
_DAY: Final = 8_640
_PUMPS: Final = 20
_FAULT_EVERY: Final = 4_999
"""Readings of an entity from one fault to the next; at that rate alerts cost something and decide nothing."""
_BROKEN_FOR: Final = 3
_WRITING: Final = {
    "linger.ms": 50,
    "batch.num.messages": 20_000,
    "batch.size": 1_000_000,
    "queue.buffering.max.messages": 500_000,
    "enable.idempotence": True,  # a retry must not turn the order round
}

PIPELINE: Final = Pipeline(
    entity=Entity(key=Empty()),
    time=Time(field="timestamp", format=TimeFormat.UNIX_SECONDS),
    features=[Feature(name=name, field=f"sensors.{name}") for name in pumps.FEATURES],
    windows=[Window(name="minutes", size=SIZE)],
)


class Readings:
    """An endless stream: all entities tick by tick. The days of twenty pumps, each entity somewhere else in them."""

    def __init__(self, entities: int, fault_every: int = _FAULT_EVERY) -> None:
        self._fault_every = fault_every
        recording = pumps.record(_PUMPS, _DAY, begin=BEGIN, seed=1)
        self._whole = [_texts(recording.values[:, pump].tolist(), 1.0) for pump in range(_PUMPS)]
        self._broken = [_texts(recording.values[:, pump].tolist(), 3.0) for pump in range(_PUMPS)]
        self.keys = [b"pump-%06d" % entity for entity in range(entities)]
        self._pump = [entity % _PUMPS for entity in range(entities)]
        self._phase = [entity // _PUMPS * 37 for entity in range(entities)]

    def value(self, entity: int, tick: int, time: float) -> bytes:
        """The reading of an entity; `time` in Unix seconds."""
        return b'{"timestamp":%.6f,%b' % (time, self._rest(entity, tick))

    def broken(self, entity: int, tick: int) -> bool:
        """Whether the entity has a fault."""
        return (entity * 53 + tick) % self._fault_every < _BROKEN_FOR

    def tick(self, tick: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Entity, key and value of all its readings."""
        head = b'{"timestamp":%d.000,' % (BEGIN + tick * STEP)
        for entity, key in enumerate(self.keys):
            yield entity, key, head + self._rest(entity, tick)

    def _rest(self, entity: int, tick: int) -> bytes:
        texts = (self._broken if self.broken(entity, tick) else self._whole)[self._pump[entity]]
        return texts[(self._phase[entity] + tick) % len(texts)]


def _texts(values: list[list[float]], vibration: float) -> list[bytes]:
    """Returns what follows the time, there and back again, so that the end fits the beginning."""
    texts = [
        (
            f'"sensors":{{"temperature":{row[0]:.2f},"pressure":{row[1]:.3f},"vibration":{row[2] * vibration:.3f},'
            f'"flow":{row[3]:.2f},"current":{row[4]:.3f},"speed":{row[5]:.1f}}},'
            '"site":"north-2","line":"feed","status":"ok","rev":"2.14"}'
        ).encode()
        for row in values
    ]
    return texts + texts[-2:0:-1]


def create(bootstrap: str, *names: str) -> None:
    """Topics. KafkaException when one exists."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for made in admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names]).values():
        made.result(30)


def write(bootstrap: str, topic: str, readings: Readings, ticks: int, partitions: int = PARTITIONS) -> int:
    """Fills a topic; how many readings it has then."""
    producer = Producer({"bootstrap.servers": bootstrap, **_WRITING})
    for tick in range(ticks):
        for entity, key, value in readings.tick(tick):
            while True:
                try:
                    producer.produce(topic, value, key, entity % partitions)
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.poll(0)
    left = producer.flush(120)
    if left:
        raise RuntimeError(f"{left} readings for topic {topic} were not taken by the broker within two minutes")
    return ticks * len(readings.keys)
