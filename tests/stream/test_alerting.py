"""What becomes of alerts on the way through a real broker: limits that survive a pod, the trace of a reading, metrics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anomaly_api.alert import LimitAlert
from anomaly_api.alerting import AlertPolicy
from anomaly_api.assignment import Assignment, Revision
from tests.stream.pods import FEATURES, Topics, broken, calm, pod, revision, runtime

pytestmark = pytest.mark.integration
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def ordered(**policy: object) -> Revision:
    return revision().model_copy(update={"alerts": AlertPolicy.model_validate(policy)})


def test_another_pod_goes_on_with_the_limits_of_the_one_before(topics: Topics, tmp_path: Path) -> None:
    one = {"episodes": 1, "per": "10m"}
    order = Assignment(stable=ordered(cooldown="0s", limits={"perEntity": one, "total": {"episodes": 9, "per": "1h"}}))
    topics.create()
    with pod(tmp_path / "one", runtime(topics), order) as first:
        topics.readings(range(1000, 1100), calm)
        topics.readings(range(1100, 1103), broken)
        topics.readings(range(1103, 1120), calm)
        first.until(lambda found: found.alerts == 2 and found.source.lag == 0)
        assert first.terminate() == 0
    with pod(tmp_path / "two", runtime(topics), order) as second:
        topics.readings(range(1120, 1123), broken)
        topics.readings(range(1123, 1200), calm)
        evidence = second.until(lambda found: found.alerts == 1 and found.limits_reached == 1)
        assert evidence.alerts_dropped == {"PerEntity": 1}
        assert 'anomaly_detector_alerts_dropped_total{reason="PerEntity"} 1.0' in second.get("/metrics")[1]
        topics.readings(range(1200, 1760, 20), calm)
        second.until(lambda found: found.alerts == 2 and found.limits_reached == 0)
    *episode, limited, over = topics.received(topics.alerts, 4)
    assert [json.loads(record.value() or b"")["type"].rpartition(".")[2] for record in episode] == ["opened", "closed"]
    limits = [LimitAlert.model_validate_json(record.value() or b"") for record in (limited, over)]
    assert [(limit.subject, limit.data.dropped, limit.data.end is not None) for limit in limits] == [
        ("pump-1", 1, False),
        ("pump-1", 1, True),
    ]
    assert limits[0].data.start == "1970-01-01T00:18:21Z"
    assert {record.key() for record in (limited, over)} == {b"pump-1"}


def test_the_trace_of_the_reading_that_led_to_an_alert_is_in_its_headers_and_in_the_event(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    with pod(tmp_path / "pod", runtime(topics), Assignment(stable=ordered(open={"windows": 1}))):
        topics.readings(range(1000, 1100), calm)
        reading = dict(zip(FEATURES, broken(1100), strict=True))
        headers = [("traceparent", PARENT), ("tracestate", b"plant=7"), ("baggage", b"user=me")]
        topics.send(json.dumps({"at": 1100, **reading}).encode(), headers=headers)
        topics.readings(range(1101, 1120), calm)
        opened, closed = topics.received(topics.alerts, 2)
    assert dict(opened.headers() or ()) == {
        "content-type": b"application/cloudevents+json; charset=UTF-8",
        "traceparent": PARENT,
        "tracestate": b"plant=7",
    }
    event = json.loads(opened.value() or b"")
    assert (event["traceparent"], event["tracestate"]) == (PARENT.decode(), "plant=7")
    assert "traceparent" not in dict(closed.headers() or ())
