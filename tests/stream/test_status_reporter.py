"""What a scoring pod says of itself while it works: asked at any moment, it tells of whole turns of its loop."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from anomaly_api.alert import UndeliverableReason
from anomaly_api.assignment import Assignment
from anomaly_api.evidence import DetectorEvidence
from anomaly_detector.adapters.assignment_watcher import AssignmentWatcher
from anomaly_detector.adapters.kafka.diagnose.broker_monitor import BrokerMonitor
from anomaly_detector.core.columns import Messages
from anomaly_detector.core.outcome import Outcome
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.revisions import LoadedRevision
from anomaly_detector.core.state.next_commit import Decided
from anomaly_detector.core.state.records import Read
from anomaly_detector.settings import Settings
from anomaly_detector.status_reporter import StatusReporter
from tests.stream.pods import Topics, revision, runtime

TURNS = 2_000


@pytest.fixture
def account(tmp_path: Path) -> StatusReporter:
    """Of a pod that nothing has happened to, and whose broker nobody has asked."""
    order = runtime(Topics("127.0.0.1:1", "readings"))
    stream = DetectionPipeline("/namespaces/plant/anomalydetectors/pumps", LoadedRevision(revision()))
    settings, assignment = Settings("pumps-0", tmp_path, "127.0.0.1", 0), Assignment(stable=revision())
    return StatusReporter(
        settings, order, stream, BrokerMonitor(order, settings.pod), AssignmentWatcher(tmp_path), assignment.digest
    )


def turn(account: StatusReporter) -> None:
    """One of everything that is counted."""
    messages = Messages([b"{}"], [b"pump-1"], np.zeros(1, np.int64), np.zeros(1, np.int64))
    decided = Decided(Read(messages, np.zeros(1, np.int64)), Outcome([], windows=1, suppressed=1), time.monotonic())
    account.follow([decided], sent=1, undeliverable={UndeliverableReason.TOO_LARGE: 1}, skipped=1)


@contextmanager
def threads_in_turns() -> Iterator[None]:
    """Whoever waits for Python's lock has it after a microsecond: what may happen between two lines happens."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def counted(evidence: DetectorEvidence) -> list[int]:
    return [
        evidence.readings,
        evidence.windows,
        evidence.alerts,
        evidence.alerts_suppressed,
        evidence.source.skipped,
        evidence.source.recently_skipped,
        evidence.recently_undeliverable,
        sum(evidence.dead_letters_undeliverable.values()),
    ]


def test_whoever_asks_is_told_of_whole_turns_of_the_loop_and_of_nothing_by_half(account: StatusReporter) -> None:
    with threads_in_turns():
        loop = threading.Thread(target=lambda: [turn(account) for _ in range(TURNS)])
        loop.start()
        told = [counted(account.evidence())]
        while loop.is_alive():
            told.append(counted(account.evidence()))
        loop.join()
    told.append(counted(account.evidence()))
    assert told[-1] == [TURNS] * 8
    assert [each for each in told if len(set(each)) != 1] == []
