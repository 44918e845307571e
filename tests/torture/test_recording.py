"""The stream of the schedules is one in which entities are forgotten, for either reason, with episodes open."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np

from anomaly_api.policy import Delivery
from anomaly_api.schema import seconds
from anomaly_detector.core.bounds import Allowance
from anomaly_detector.core.columns import Messages
from anomaly_detector.core.revisions import LoadedRevision
from anomaly_detector.core.stream import Stream
from dev.torture import orders, recording


def test_entities_are_forgotten_and_come_back() -> None:
    runtime = orders.runtime("kafka:9092", "readings", Delivery.EXACTLY_ONCE)
    assert runtime.memory_budget is not None
    allowance = Allowance(runtime.memory_budget, recording.PARTITIONS, seconds(runtime.expire_after))
    stream = Stream(orders.SOURCE, LoadedRevision(orders.first_revision()), allowance)
    messages = list(recording.recording(1))
    outcome = stream.process(
        Messages(
            [message.value for message in messages],
            [message.key for message in messages],
            np.full(len(messages), -1, np.int64),
            np.array([message.partition for message in messages], np.int64),
        )
    )
    reasons = Counter(left.reason.value for left in outcome.left)
    assert reasons["Budget"] > 20
    assert reasons["Idle"] >= 2
    gone = {(left.name, left.row) for left in outcome.left}
    ends = [json.loads(alert.value)["type"] for alert in outcome.alerts if (alert.entity, alert.row) in gone]
    assert ends.count("dev.anomaly-operator.episode.closed") >= 2
