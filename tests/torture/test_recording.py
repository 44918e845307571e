"""The stream of the schedules, without pods and brokers: what is in it, and that batches make no difference to it."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from anomaly_api.policy import Delivery
from anomaly_api.schema import seconds
from anomaly_detector.adapters.assignment_watcher import load
from anomaly_detector.core.columns import Messages
from anomaly_detector.core.entities.quota import MemoryQuota
from anomaly_detector.core.outcome import Outcome
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.preprocess.counts import ReadingCounts
from anomaly_detector.core.scoring.revisions import LoadedRevision
from dev.verify.torture import orders, recording

SIZES = (3, 10, 30, 60)
REVISIONS = 14


@dataclass
class Course:
    """What came of it."""

    alerts: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def tally(self) -> ReadingCounts:
        return sum((outcome.tally for outcome in self.outcomes), ReadingCounts())

    @property
    def events(self) -> Counter[tuple[str, str, str | None]]:
        """How often each kind of record is there: what happened, why, by what it is suppressed."""
        found: Counter[tuple[str, str, str | None]] = Counter()
        for record in (json.loads(value) for values in self.alerts.values() for value in values):
            data = record["data"]
            found[record["type"].split(".")[-1], data.get("reason", ""), data.get("suppressedBy")] += 1
        return found


def messages(part: Sequence[recording.Message]) -> Messages:
    partitions = np.array([message.partition for message in part], np.int64)
    values, keys = [message.value for message in part], [message.key for message in part]
    return Messages(values, keys, np.full(len(part), -1, np.int64), partitions, lambda row: part[row].headers)


def decided(part: Sequence[recording.Message], revision: LoadedRevision, size: Callable[[], int]) -> Course:
    """By one process, in batches of such sizes."""
    runtime = orders.runtime("kafka:9092", "readings", Delivery.EXACTLY_ONCE)
    assert runtime.memory_budget is not None
    allowance = MemoryQuota(runtime.memory_budget, recording.PARTITIONS, seconds(runtime.expire_after))
    stream, found, begin = DetectionPipeline(orders.SOURCE, revision, allowance), Course(), 0
    while begin < len(part):
        end = begin + size()
        found.outcomes.append(stream.process(messages(part[begin:end])))
        for alert in found.outcomes[-1].alerts:
            found.alerts[alert.entity].append(alert.value)
        begin = end
    return found


def whole(revision: LoadedRevision, seed: int = 1) -> Course:
    part = list(recording.recording(seed))
    return decided(part, revision, lambda: len(part))


def test_entities_are_forgotten_and_come_back() -> None:
    course = whole(LoadedRevision(orders.first_revision()))
    reasons = Counter(left.reason.value for outcome in course.outcomes for left in outcome.left)
    assert reasons["Budget"] > 20
    assert reasons["Idle"] >= 2
    assert sum(count for (_, reason, _), count in course.events.items() if reason in ("Evicted", "Idle")) >= 2


def test_entities_flap_within_a_cooldown() -> None:
    events = whole(LoadedRevision(orders.first_revision())).events
    assert events["opened", "Opened", "cooldown"] > 10
    assert events["closed", "Recovered", "cooldown"] > 10


def test_readings_wait_come_late_come_twice_and_lack_values(tmp_path: Path) -> None:
    tallies = [whole(load(order.stable, order.artifacts)).tally for order in orders.assignments(tmp_path)]
    for name in ("late", "duplicates", "released_early", "imputed"):
        assert max(getattr(tally, name) for tally in tallies) > 50, name
    assert set(tallies[0].missing) == set(recording.FEATURES)


def test_some_messages_belong_to_a_trace_and_their_alerts_say_so() -> None:
    records = [json.loads(value) for values in whole(LoadedRevision(orders.first_revision())).alerts.values() for value in values]
    traced = sum("traceparent" in record for record in records)
    assert 20 < traced < len(records) - 20


@pytest.mark.parametrize("which", range(REVISIONS))
def test_whatever_the_batches_the_alerts_are_the_same(which: int, tmp_path: Path) -> None:
    ordered = orders.assignments(tmp_path)
    assert len(ordered) == REVISIONS
    revision, dice = load(ordered[which].stable, ordered[which].artifacts), random.Random(which)
    part = list(recording.recording(which))
    assert decided(part, revision, lambda: dice.choice(SIZES)).alerts == whole(revision, which).alerts
