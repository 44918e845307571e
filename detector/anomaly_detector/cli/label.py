"""Says what an alert was worth: `python -m anomaly_detector.cli.label KIND`, in a scoring pod, with its credentials.

    label FalseAlarm --episode 91ab... --by ann --note "it was being cleaned"
    label Missed --entity pump-07 --from 2026-01-02T04:00:00Z --until 2026-01-02T04:30:00Z --by ann
    label Normal --episode 91ab... --by ann         this is normal now: the episode ends, and a training is asked for

It writes one record to the detector's labels topic (spec.feedback). Exit status 1 when it is no label, or Kafka refused.
"""

import argparse
import json
import sys
import time

from confluent_kafka import KafkaException, Producer

from anomaly_api.assignment import Runtime
from anomaly_api.feedback import LabelKind
from anomaly_detector.adapters import assignment_files
from anomaly_detector.adapters.assignment_files import AssignmentError
from anomaly_detector.adapters.kafka import clients
from anomaly_detector.adapters.kafka.security.access import AccessError
from anomaly_detector.core.feedback.ledger import Ledger, NotALabelError
from anomaly_detector.settings import Settings

_ANSWER_SECONDS = 30.0


class LabelError(Exception):
    """A label that could not be given; the message says why."""


def write(runtime: Runtime, value: bytes, key: str | None) -> None:
    """Writes a record to the labels topic and waits for the broker. Raises LabelError."""
    if not runtime.labels_topic:
        raise LabelError("the detector reads no labels: set spec.feedback")
    refused: list[str] = []
    try:
        producer = Producer(clients.producer(runtime, "label") | {"message.timeout.ms": round(_ANSWER_SECONDS * 1000)})
        producer.produce(
            runtime.labels_topic, value, key, on_delivery=lambda error, _: refused.append(error.str()) if error else None
        )
        left = producer.flush(_ANSWER_SECONDS)
    except (KafkaException, BufferError) as error:
        raise LabelError(f"{runtime.labels_topic}: {error}") from error
    if left or refused:
        raise LabelError(f"{runtime.labels_topic}: {refused[0] if refused else 'no broker has answered'}")


def main(arguments: list[str] | None = None) -> int:
    """The exit status."""
    asked = _asked(arguments)
    label = {name: text for name, text in vars(asked).items() if text}
    value = json.dumps(label, ensure_ascii=False).encode()
    try:
        runtime = assignment_files.runtime(Settings.from_environment().config_folder)
        Ledger(runtime.detector.source).label(value, round(time.time() * 1000))
        write(runtime, value, asked.entity)
    except (NotALabelError, LabelError, AssignmentError, AccessError, ValueError) as error:
        print(f"label: {error}", file=sys.stderr)
        return 1
    print(f"{runtime.labels_topic}: {value.decode()}")
    return 0


def _asked(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="label", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("label", choices=[kind.value for kind in LabelKind], metavar="KIND")
    parser.add_argument("--episode", metavar="ID", help="data.episode of its alerts")
    parser.add_argument("--entity", metavar="NAME", help="with --from and --until, in place of --episode")
    parser.add_argument("--from", metavar="TIME", help="event time, as 2026-01-31T10:00:00Z")
    parser.add_argument("--until", metavar="TIME", help="the same")
    parser.add_argument("--by", required=True, metavar="WHO", help="who says so")
    parser.add_argument("--note", metavar="TEXT", help="why")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
