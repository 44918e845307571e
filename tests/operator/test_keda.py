"""KEDA has the say over the number of pods: KEDA itself, and the lag of a real group. `make keda`, no part of `make test`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from anomaly_api.assignment import Assignment
from tests.contract.documents import example_of_kind
from tests.operator.running import Document, eventually
from tests.operator.test_scaling import edited, replicas
from tests.stream.pods import Topics, calm, pod, revision, runtime

if TYPE_CHECKING:
    from dev.environment.kafka.broker import Broker
    from tests.operator.running import Plant

pytestmark = pytest.mark.keda
EXAMPLE = "scaled-by-keda.yaml"
PARTITIONS = 4


def example(kafka: Broker) -> tuple[Document, Document]:
    """Its two documents, for a broker on this machine, and without waiting for minutes."""
    detector, scaled = (example_of_kind(EXAMPLE, kind) for kind in ("AnomalyDetector", "ScaledObject"))
    detector["spec"]["source"]["kafka"]["bootstrapServers"] = kafka.bootstrap
    scaled["spec"]["triggers"][0]["metadata"]["bootstrapServers"] = kafka.bootstrap
    behavior = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    for way in ("scaleUp", "scaleDown"):
        behavior[way]["stabilizationWindowSeconds"] = 0
    return detector, scaled


def test_the_example_follows_the_lag_of_the_group_that_pods_commit_for(served: Plant, kafka: Broker, tmp_path: Path) -> None:
    from dev.environment.cluster import keda
    from dev.progress import plain

    detector, scaled = example(kafka)
    deployment = scaled["spec"]["scaleTargetRef"]["name"]
    source = detector["spec"]["source"]["kafka"]
    topics = Topics(kafka.bootstrap, source["topic"])
    topics.create(partitions=PARTITIONS)
    order, assignment = runtime(topics, source["groupId"]), Assignment(stable=revision())
    with keda.running(served.cluster, tmp_path, plain):
        served.apply(detector)
        eventually(lambda: replicas(served, deployment) == 1)
        with pod(tmp_path / "pod", order, assignment) as running:
            running.until(lambda found: found.source.partitions == PARTITIONS)
            for partition in range(PARTITIONS):
                send(topics, partition, 10)
            running.until(lambda found: found.readings == 10 * PARTITIONS)
            topics.until_committed(order.group_id, 10)
            assert running.terminate() == 0
        served.apply(scaled)
        eventually(lambda: served.get("hpa", f"keda-hpa-{scaled['metadata']['name']}"), 60)
        for partition in range(PARTITIONS):
            send(topics, partition, 62_500)
        eventually(lambda: replicas(served, deployment) == 3, 120)
        edited(served, detector["metadata"]["name"])
        assert replicas(served, deployment) == 3
        with pod(tmp_path / "again", order, assignment):
            eventually(lambda: replicas(served, deployment) == 1, 120)
        served.kubectl("delete", "scaledobject", scaled["metadata"]["name"], "--timeout=60s")


def send(topics: Topics, partition: int, count: int) -> None:
    for at in range(1000, 1000 + count):
        temperature, pressure = calm(at)
        topics.send(b'{"at":%d,"temperature":%f,"pressure":%f}' % (at, temperature, pressure), b"%d" % partition, partition)
        topics.producer.poll(0)
    assert topics.producer.flush(60) == 0
