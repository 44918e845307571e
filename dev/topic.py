r"""`topic create|write|read`: the little that one needs of Kafka's tools to try a detector, for the broker of `make up`.

topic create readings readings.alerts readings.dead-letters
printf 'pump-1\t{"temperature": 61.2}\\n' | topic write readings
topic read readings.alerts              # from the beginning, then what comes, until Ctrl-C
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from dev.environment.prerequisites import RUN

_SECONDS = 10.0


def create(bootstrap: str, names: Iterable[str], partitions: int) -> None:
    """KafkaException when one exists already."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    wanted = [NewTopic(name, num_partitions=partitions, replication_factor=1) for name in names]
    for name, made in admin.create_topics(wanted).items():
        made.result(_SECONDS)
        print(f"{name}: {partitions} partitions")


def write(bootstrap: str, name: str, lines: Iterable[str]) -> None:
    """A line is a message: key, tab, value; without a tab it has no key."""
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    count = 0
    for line in lines:
        key, tab, value = line.rstrip("\n").partition("\t")
        producer.produce(name, (value if tab else key).encode(), key.encode() if tab else None)
        producer.poll(0)
        count += 1
    left = producer.flush(_SECONDS)
    if left:
        raise TimeoutError(f"{left} of {count} messages were not taken: is there a topic {name}? (`topic create {name}`)")
    print(f"{count} messages written to {name}", file=sys.stderr)


def read(bootstrap: str, name: str, *, follow: bool) -> None:
    """Prints key, tab, value of committed messages; ends at the end of the topic unless it is to `follow`.

    The client itself says where a partition ends: the last record of a transactional topic is a marker, which no message shows.
    """
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "topic-read", "enable.auto.commit": False, "enable.partition.eof": True}
    )
    try:
        partitions = consumer.list_topics(name, timeout=_SECONDS).topics[name].partitions
        if not partitions:
            raise LookupError(f"there is no topic {name}; there are: {', '.join(sorted(consumer.list_topics().topics))}")
        consumer.assign([TopicPartition(name, number, 0) for number in partitions])
        left = set(partitions)
        while follow or left:
            message = consumer.poll(1.0)
            if message is None:
                continue
            error = message.error()
            if error is None:
                print(f"{_text(message.key() or b'')}\t{_text(message.value() or b'')}", flush=True)
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())
    finally:
        consumer.close()


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")


def _bootstrap() -> str:
    told = os.environ.get("KAFKA_BOOTSTRAP")
    if told:
        return told
    env = RUN / "env"
    if env.exists():
        return dict(line.split("=", 1) for line in env.read_text().splitlines())["KAFKA_BOOTSTRAP"]
    raise LookupError("there is no broker: run `make up` first, or set KAFKA_BOOTSTRAP")


def main() -> int:
    """Exit status 1 when Kafka refused or there is no broker."""
    parser = argparse.ArgumentParser(prog="topic", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    creating = what.add_parser("create", help="make topics")
    creating.add_argument("names", nargs="+")
    creating.add_argument("--partitions", type=int, default=4)
    what.add_parser("write", help="lines of standard input become messages: key, tab, value").add_argument("name")
    reading = what.add_parser("read", help="print keys and values")
    reading.add_argument("name")
    reading.add_argument("--no-follow", dest="follow", action="store_false", help="end at the end of the topic")
    asked = parser.parse_args()
    try:
        if asked.what == "create":
            create(_bootstrap(), asked.names, asked.partitions)
        elif asked.what == "write":
            write(_bootstrap(), asked.name, sys.stdin)
        else:
            read(_bootstrap(), asked.name, follow=asked.follow)
    except (KafkaException, LookupError, TimeoutError) as failure:
        print(f"topic: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
