"""A process that asks for a group: when it is not answered in time, and when it is. It is told, line by line, when to go on."""

from __future__ import annotations

import sys

from confluent_kafka import KafkaException

from anomaly_detector.adapters.kafka.diagnose.admin import AdminQueries


def main(bootstrap: str) -> None:
    asker = AdminQueries({"bootstrap.servers": bootstrap})
    asker.client.list_topics(timeout=30)
    say("connected")
    while (order := sys.stdin.readline().strip()) != "end":
        try:
            asker.group("group", 0.5 if order == "briefly" else 10)
            say("answered")
        except KafkaException as failure:
            say(failure.args[0].name())


def say(what: str) -> None:
    """To who reads the output."""
    print(what, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
