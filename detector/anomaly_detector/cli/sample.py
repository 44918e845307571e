"""Some messages of a topic or a file, to say what a spec would make of them, or to propose one. It joins no group."""

import json
import lzma
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from gzip import decompress
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomaly_api.source import KafkaSource
from anomaly_detector.cli.errors import CommandError

MOST: Final = 5_000
"""Messages that are looked at."""
_TABLES: Final = (".csv", ".tsv", ".parquet")
_PATIENCE: Final = 15.0
_START_MS: Final = 1_577_836_800_000
"""2020-01-01."""


@dataclass(frozen=True)
class Sample:
    """Messages in the order of their partitions."""

    name: str
    values: list[bytes | None]
    keys: list[bytes | None]
    stamps_ms: NDArray[np.int64]
    """-1 where a message has none."""
    partitions: NDArray[np.int64]
    kafka: KafkaSource | None = None
    """Where they come from; None: from a file."""

    def __len__(self) -> int:
        return len(self.values)

    def timed(self, field: str | None, interval: float) -> "Sample":
        """With messages so many seconds apart, where neither they nor a field have a time, as `backtest` has it."""
        if field is not None or self.kafka is not None or (self.stamps_ms >= 0).any():
            return self
        begin = _START_MS + np.arange(len(self), dtype=np.int64) * round(interval * 1000)
        return replace(self, stamps_ms=begin)


def read(where: str, kafka: KafkaSource | None, most: int = MOST) -> Sample:
    """A file that exists, or a topic: its name, where the brokers are known, else BROKERS/TOPIC. Raises CommandError."""
    if Path(where).exists():
        found = _file(Path(where), most)
    else:
        brokers, _, topic = where.rpartition("/")
        if brokers:
            kafka = KafkaSource(bootstrap_servers=brokers, topic=topic)
        if kafka is None:
            raise CommandError(f"{where} is no file; a topic is written with its brokers: kafka:9092/{where}")
        found = _topic(kafka.model_copy(update={"topic": topic}), most)
    if not len(found):
        raise CommandError(f"{found.name} holds no messages")
    return found


def _file(path: Path, most: int) -> Sample:
    if any(suffix in _TABLES for suffix in path.suffixes):
        return _rows(path, most)
    try:
        content = {".gz": decompress, ".xz": lzma.decompress}.get(path.suffix, bytes)(path.read_bytes())
    except (OSError, lzma.LZMAError, EOFError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error
    found = [_line(line) for line, _ in zip(filter(None, content.splitlines()), range(most), strict=False)]
    return _sample(path.name, found)


def _line(line: bytes) -> tuple[bytes | None, bytes | None, int]:
    """Value, key and timestamp of a line: a message as it is, or one with its key, as `kcat -J` writes them."""
    try:
        document = json.loads(line)
    except ValueError:
        return line, None, -1
    content = next((name for name in ("payload", "value") if isinstance(document, dict) and name in document), None)
    if content is None or not ({"timestamp_ms", "ts"} & document.keys()):
        return line, None, -1
    value, key, stamp = document[content], document.get("key"), document.get("timestamp_ms", document.get("ts"))
    text = value if isinstance(value, str) else json.dumps(value)
    return (
        None if value is None else text.encode(),
        key.encode() if isinstance(key, str) else None,
        stamp if type(stamp) is int else -1,
    )


def _rows(path: Path, most: int) -> Sample:
    """Rows as messages: columns are named like fields, `key` is the key and `timestamp` the message's own time as well."""
    from anomaly_detector.cli.table import KEY_COLUMN, read_arrow

    rows = read_arrow(str(path)).slice(0, most).to_pylist()
    keys = [
        str(row.pop(KEY_COLUMN)).encode() if row.get(KEY_COLUMN) is not None else path.name.split(".")[0].encode() for row in rows
    ]
    values = [
        json.dumps({name: value for name, value in row.items() if value is not None}, default=_written).encode() for row in rows
    ]
    return _sample(path.name, list(zip(values, keys, [-1] * len(rows), strict=True)))


def _written(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _sample(name: str, found: list[tuple[bytes | None, bytes | None, int]]) -> Sample:
    values, keys, stamps = (list(column) for column in zip(*found, strict=True)) if found else ([], [], [])
    return Sample(name, values, keys, np.array(stamps, np.int64), np.zeros(len(values), np.int64))


def _topic(kafka: KafkaSource, most: int) -> Sample:
    """The newest messages of each partition, in equal shares."""
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    from anomaly_detector.adapters.kafka.clients import error_of
    from anomaly_detector.adapters.kafka.security.access import AccessError
    from anomaly_detector.training.data.topic import consumer_settings

    try:
        consumer = Consumer(consumer_settings(kafka))
    except (AccessError, KafkaException) as error:
        raise CommandError(f"topic {kafka.topic} cannot be read: {error}") from error
    try:
        found = consumer.list_topics(kafka.topic, timeout=_PATIENCE).topics[kafka.topic]
        if found.error is not None:
            raise CommandError(f"topic {kafka.topic} at {kafka.bootstrap_servers} cannot be read: {found.error.str()}")
        share = max(1, most // max(1, len(found.partitions)))
        places = []
        for number in sorted(found.partitions):
            low, high = consumer.get_watermark_offsets(TopicPartition(kafka.topic, number), timeout=_PATIENCE)
            if high > low:
                places.append(TopicPartition(kafka.topic, number, max(low, high - share)))
        messages = sorted(_consumed(consumer, places), key=lambda each: (each.partition(), each.offset()))
    except KafkaException as error:
        raise CommandError(f"{kafka.bootstrap_servers} does not answer: {error_of(error).str()}") from error
    finally:
        consumer.close()
    return Sample(
        f"topic {kafka.topic}",
        [message.value() for message in messages],
        [message.key() for message in messages],
        np.array([message.timestamp()[1] for message in messages], np.int64),
        np.array([message.partition() for message in messages], np.int64),
        kafka,
    )


def _consumed(consumer: Any, places: list[Any]) -> Iterator[Any]:
    """What there is from these places to where their partitions end now."""
    from confluent_kafka import KafkaError

    consumer.assign(places)
    unread, heard = {place.partition for place in places}, time.monotonic()
    while unread and time.monotonic() - heard < _PATIENCE:
        for message in consumer.consume(1_000, timeout=0.5):
            heard, error = time.monotonic(), message.error()
            if error is None:
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                unread.discard(message.partition())
            else:
                raise CommandError(f"the topic cannot be read: {error.str()}")
