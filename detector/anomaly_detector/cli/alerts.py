"""Prints the detector's alerts: `python -m anomaly_detector.cli.alerts`, in a scoring pod, with its credentials.

A CloudEvent a line, as it was written, by the time at which it was. `--follow` goes on until standard input ends: then whoever
asked is gone. Exit status 1 when they cannot be read.
"""

import argparse
import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from anomaly_api.schema import seconds
from anomaly_detector.adapters import assignment_files
from anomaly_detector.adapters.assignment_files import AssignmentError
from anomaly_detector.adapters.kafka.consume import topic_reader
from anomaly_detector.adapters.kafka.consume.topic_reader import TopicError
from anomaly_detector.adapters.kafka.security.access import AccessError
from anomaly_detector.cli import pod_memory
from anomaly_detector.cli.pod_memory import NoRoomError
from anomaly_detector.settings import Settings

_MEGABYTES: Final = 48


def main(arguments: list[str] | None = None) -> int:
    """The exit status."""
    asked = _asked(arguments)
    if asked.follow:
        threading.Thread(target=_until_nobody_listens, daemon=True).start()
    try:
        pod_memory.need(_MEGABYTES)
        runtime = assignment_files.runtime(Settings.from_environment().config_folder)
        since = round((time.time() - seconds(asked.since)) * 1000)
        messages = topic_reader.read(runtime, runtime.alerts_topic, since, follow=asked.follow)
        own = f"/namespaces/{runtime.detector.namespace}/anomalydetectors/{runtime.detector.name}"
        for line in _lines(messages, asked, own):
            print(line, flush=asked.follow)
    except (AssignmentError, TopicError, AccessError, NoRoomError, ValueError) as error:
        print(f"alerts: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `alerts | head`
        sys.stderr.close()
    return 0


def _lines(messages: Iterator[Any], asked: argparse.Namespace, own: str) -> Iterator[str]:
    """Of those that were there the last ones, by their times; then each as it comes."""
    there: deque[tuple[int, str]] | None = deque(maxlen=None)
    for message in messages:
        if message is None and there is not None:
            yield from (line for _, line in sorted(there, key=lambda each: each[0])[-asked.limit :])
            there = None
        elif message is not None and (value := message.value()) and _wanted(value, asked, own):
            line = value.decode(errors="replace")
            if there is None:
                yield line
            else:
                there.append((message.timestamp()[1], line))


def _wanted(value: bytes, asked: argparse.Namespace, own: str) -> bool:
    try:
        event = json.loads(value)
        data = event["data"]
    except (ValueError, TypeError, KeyError):
        return False
    if event.get("source") != own or (data.get("suppressed") and not asked.all):
        return False
    of_entity = asked.entity is None or data.get("entity") == asked.entity
    return of_entity and (asked.episode is None or str(data.get("episode", "")).startswith(asked.episode))


def _until_nobody_listens() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def _asked(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="alerts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--since", default="1d", metavar="TIME", help="how far back, as 30m, 12h or 7d (default 1d)")
    parser.add_argument("--follow", action="store_true", help="go on with what comes")
    parser.add_argument("--entity", metavar="NAME", help="of one entity only")
    parser.add_argument("--episode", metavar="ID", help="of one episode only; its first characters are enough")
    parser.add_argument("--all", action="store_true", help="suppressed ones, too")
    parser.add_argument("--limit", type=int, default=1000, metavar="N", help="the last N of those that are there (default 1000)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
