"""Explains an episode: `python -m anomaly_detector.cli.explain EPISODE`, in a scoring pod, with its credentials.

Prints one JSON document: the episode's records, and the entity's readings around it as the detector sees them: window by window
the score, and of each feature what was read and what the scorer finds normal. The readings are read from the source topic again
and scored by the revision that decides now, so scores are those of the alert where the revision has not changed since; `note`
says where they are not. Exit status 1 when there is no such episode, or it cannot be read.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import numpy as np
from confluent_kafka import Message

from anomaly_api.assignment import Assignment, Runtime
from anomaly_api.schema import seconds
from anomaly_detector.adapters import assignment_files
from anomaly_detector.adapters.assignment_files import AssignmentError
from anomaly_detector.adapters.assignment_watcher import load
from anomaly_detector.adapters.kafka.consume import topic_reader
from anomaly_detector.adapters.kafka.consume.topic_reader import TopicError
from anomaly_detector.adapters.kafka.security.access import AccessError
from anomaly_detector.cli import pod_memory
from anomaly_detector.cli.pod_memory import NoRoomError
from anomaly_detector.core.alerts.builder import ScoredWindows
from anomaly_detector.core.columns import MICROSECONDS, Messages, select
from anomaly_detector.core.decode.json import Decoded
from anomaly_detector.core.episodes.processor import Processed
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.preprocess.preprocessor import Preprocessed
from anomaly_detector.settings import Settings

_MEGABYTES: Final = 112
_LEAD_WINDOWS: Final = 3
_MOST_MESSAGES: Final = 2_000_000
_AT_ONCE: Final = 5_000
_SLACK: Final = 60.0
"""Seconds by which timestamps of messages may differ from event times."""


class EpisodeError(Exception):
    """There is no such episode; the message says where it was looked for."""


def main(arguments: list[str] | None = None) -> int:
    """The exit status."""
    asked = _asked(arguments)
    try:
        pod_memory.need(_MEGABYTES)
        folder = Settings.from_environment().config_folder
        runtime, assignment = assignment_files.runtime(folder), assignment_files.assignment(folder)
        records = _records(runtime, asked.episode, asked.since)
        print(json.dumps({"records": [event for event, _ in records], **_readings(runtime, assignment, records)}))
    except (AssignmentError, TopicError, AccessError, NoRoomError, EpisodeError, ValueError) as error:
        print(f"explain: {error}", file=sys.stderr)
        return 1
    return 0


def _records(runtime: Runtime, episode: str, since: str) -> list[tuple[dict[str, Any], int]]:
    """The episode's events in their order, and when each was written (Unix milliseconds). Raises EpisodeError."""
    found: dict[str, list[tuple[dict[str, Any], int]]] = {}
    asked = episode.encode()
    for message in topic_reader.read(runtime, runtime.alerts_topic, round((time.time() - seconds(since)) * 1000)):
        value = message.value() if message else None
        if message is not None and isinstance(value, bytes) and asked in value:
            event = json.loads(value)
            known = str(event.get("data", {}).get("episode", ""))
            if known.startswith(episode):
                found.setdefault(known, []).append((event, message.timestamp()[1]))
    if len(found) != 1:
        what = f"{len(found)} episodes begin with {episode}" if found else f"there is no episode {episode}"
        raise EpisodeError(f"{what} in topic {runtime.alerts_topic} of the last {since}")
    return next(iter(found.values()))


def _readings(runtime: Runtime, assignment: Assignment, records: list[tuple[dict[str, Any], int]]) -> dict[str, Any]:
    """What was read of the entity from a few windows before the episode to its last record."""
    first, last = records[0][0], records[-1][0]
    revision = assignment.stable
    window = next((each for each in revision.pipeline.windows if each.name == first["data"]["window"]), None)
    if window is None:
        return {"series": [], "note": f"the window {first['data']['window']} is no longer in the spec"}
    told = last["data"]
    step = told["durationSeconds"] / (told["windows"] - 1) / window.every if told["windows"] > 1 else seconds(window.max_gap) / 2
    lead = max(step, 0.001) * window.size * (_LEAD_WINDOWS + 1)
    start, end = _unix(told["start"]), _unix(last["time"])
    lag = max(records[0][1] / 1000 - _unix(first["time"]), 0.0)
    pipeline = DetectionPipeline("/explain", load(revision, assignment.artifacts))
    series = _Series(pipeline, window.name, start - _LEAD_WINDOWS * step * window.size, end)
    for messages in _messages(runtime, start - lead - _SLACK, end + lag + _SLACK, pipeline.most_messages):
        series.take(messages, told["entity"])
    shown = series.shown
    decided = told["revision"]
    note = (
        "" if decided == revision.name else f"revision {decided} decided; scores and expected values are those of {revision.name}"
    )
    features = [feature.name for feature in revision.pipeline.features]
    return {"features": features, "series": shown, "note": note if shown else "its readings are no longer in the source topic"}


def _messages(runtime: Runtime, since: float, until: float, most: int) -> Iterator[Messages]:
    """The source topic's messages of a while, by their timestamps, each partition's in order."""
    read: list[Message] = []
    found = topic_reader.read(runtime, runtime.kafka.topic, round(since * 1000), round(until * 1000))
    for message in islice(found, _MOST_MESSAGES):
        if message is not None:
            read.append(message)
        if len(read) >= min(_AT_ONCE, most):
            yield _columns(read)
            read = []
    if read:
        yield _columns(read)


def _columns(read: list[Message]) -> Messages:
    return Messages(
        [_bytes(message.value()) for message in read],
        [_bytes(message.key()) for message in read],
        np.array([message.timestamp()[1] for message in read], np.int64),
        np.array([message.partition() for message in read], np.int64),
    )


class _Series:
    """What the pipeline makes of an entity's readings, window by window."""

    def __init__(self, pipeline: DetectionPipeline, window: str, since: float, until: float) -> None:
        self._pipeline, self._window = pipeline, window
        self._since, self._until = since * MICROSECONDS, (until + 1) * MICROSECONDS
        self.shown: list[dict[str, Any]] = []
        pipeline.observers = (self._note,)

    def take(self, messages: Messages, entity: str) -> None:
        """Takes in the entity's readings of some messages."""
        batch = self._pipeline.parse(messages).batch
        mine = np.flatnonzero(np.array([name == entity for name in batch.entities], bool))
        if len(mine):
            self._pipeline.begin(messages, Decoded(select(batch, mine), []))
            self._pipeline.finish()

    def _note(self, taken: Preprocessed, scored: Mapping[str, ScoredWindows], _: Processed) -> None:
        each = scored.get(self._window)
        if each is None:
            return
        places = np.flatnonzero((each.window.times >= self._since) & (each.window.times <= self._until))
        if not len(places):
            return
        why = self._pipeline.stable.explain(each.window, places, each.scores, taken.levels)
        for place, reason in zip(places.tolist(), why, strict=True):
            score = float(each.scores.values[place])
            self.shown.append(
                {
                    "time": _text(int(each.window.times[place])),
                    "score": None if np.isnan(score) else round(score, 4),
                    "actual": _numbers(reason.actual),
                    "expected": _numbers(reason.expected),
                    "errors": _numbers(reason.errors),
                }
            )


def _numbers(values: Any) -> list[float | None]:
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values.tolist()]


def _bytes(content: str | bytes | None) -> bytes | None:
    return content.encode() if isinstance(content, str) else content


def _unix(time_: str) -> float:
    return datetime.fromisoformat(time_).timestamp()


def _text(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / MICROSECONDS, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _asked(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="explain", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("episode", metavar="EPISODE", help="data.episode of its alerts; its first characters are enough")
    parser.add_argument("--since", default="30d", metavar="TIME", help="how far back to look for it, as 12h or 7d (default 30d)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
