"""What breaks, and what goes on: pods, the operator, the detector itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from dev.up import OPERATOR_NAMESPACE, RELEASE
from tests.e2e.conftest import TOPIC, WATCHED, Kubectl, Watched, detector, wait_until

if TYPE_CHECKING:
    from dev.environment.prerequisites import Surroundings

pytestmark = pytest.mark.e2e
OPERATOR = f"deployment/{RELEASE}"


def scale_operator(around: Surroundings, replicas: int) -> None:
    kubectl = Kubectl(around, OPERATOR_NAMESPACE)
    kubectl("scale", OPERATOR, f"--replicas={replicas}")
    selector = "--selector=app.kubernetes.io/name=anomaly-operator"
    if replicas:
        kubectl("rollout", "status", OPERATOR, "--timeout=90s")
    else:
        wait_until("no operator", lambda: not kubectl.json("get", "pods", selector)["items"], 60)


def produce_a_jump(around: Surroundings, entity: str) -> None:
    """A hundred steady readings, then ten that no scorer can take for the same machine."""
    from confluent_kafka import Producer

    from dev.demo.pumps import FEATURES

    begin = datetime(2026, 1, 1, tzinfo=UTC)
    producer = Producer({"bootstrap.servers": around.bootstrap, "enable.idempotence": True})
    for number in range(110):
        value = 10 + number % 5 * 0.1 if number < 100 else 1000.0
        moment = (begin + timedelta(seconds=10 * number)).isoformat()
        reading = {"timestamp": moment, "sensors": dict.fromkeys(FEATURES, value)}
        producer.produce(TOPIC, json.dumps(reading).encode(), entity.encode())
    assert producer.flush(20) == 0


def test_a_killed_detector_pod_is_replaced_and_scoring_resumes(kubectl: Kubectl, watched: Watched) -> None:
    (before,) = kubectl.pods(WATCHED)
    name = before["metadata"]["name"]

    kubectl("delete", "pod", name, "--grace-period=0", "--force")

    wait_until(
        "another pod scores",
        lambda: any(pod.pod != name and pod.windows > 0 for pod in watched.watcher.seen.evidence),
        within=90,
    )
    wait_until("Ready", lambda: kubectl.condition(WATCHED, "Ready").get("status") == "True", 60)


def test_detection_and_alerting_go_on_while_the_operator_is_down(
    around: Surroundings, kubectl: Kubectl, watched: Watched
) -> None:
    scale_operator(around, 0)
    try:
        before = watched.watcher.seen.windows
        wait_until("windows are scored", lambda: watched.watcher.seen.windows > before, 30)
        produce_a_jump(around, "spare")
        wait_until(
            "an alert about the jump",
            lambda: any(arrival.alert.subject == "spare" for arrival in watched.alerts.arrivals),
            within=60,
        )
    finally:
        scale_operator(around, 1)
    wait_until("Ready", lambda: kubectl.condition(WATCHED, "Ready").get("status") == "True", 60)


def test_scoring_pods_pass_the_restricted_level_and_carry_no_api_token(kubectl: Kubectl, watched: Watched) -> None:
    # The namespace enforces the level: that there is a pod is the proof.
    (pod,) = kubectl.pods(WATCHED)

    assert kubectl.json("get", "namespace", "e2e")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert not [volume for volume in pod["spec"]["volumes"] if "projected" in volume]
    inside = ("exec", pod["metadata"]["name"], "--", "python", "-c")
    looked = kubectl(*inside, "import os; print(os.path.exists('/var/run/secrets/kubernetes.io'), os.getuid())")
    assert looked.split() == ["False", "65532"]


def test_scoring_pods_find_our_source_compiled(kubectl: Kubectl, watched: Watched) -> None:
    (pod,) = kubectl.pods(WATCHED)

    look = (
        "import anomaly_detector, pathlib; folder = pathlib.Path(anomaly_detector.__file__).parent; "
        "print(*(sum(1 for _ in folder.rglob(kind)) for kind in ('*.py', '*.pyc')))"
    )
    sources, compiled = kubectl("exec", pod["metadata"]["name"], "--", "python", "-c", look).split()
    assert int(sources) == int(compiled) > 50


def test_deleting_a_detector_takes_its_children_with_it_even_while_the_operator_is_down(
    around: Surroundings, kubectl: Kubectl, watched: Watched
) -> None:
    name = "short-lived"
    kubectl.apply(detector(name, around))
    kinds = "deployments,configmaps,services,serviceaccounts,poddisruptionbudgets,pods,rolebindings"
    labelled = ("get", kinds, f"--selector=anomaly-operator.dev/detector={name}")
    wait_until("it has a pod", lambda: kubectl.pods(name), 60)
    scale_operator(around, 0)
    try:
        kubectl("delete", "anomalydetector", name, "--timeout=10s")
        wait_until("nothing is left", lambda: not kubectl.json(*labelled)["items"], 90)
    finally:
        scale_operator(around, 1)


def test_every_reading_that_cannot_be_read_becomes_a_dead_letter_and_the_rest_is_scored(
    around: Surroundings, kubectl: Kubectl, watched: Watched
) -> None:
    from confluent_kafka import Consumer, Producer, TopicPartition

    topic = "watched-readings"
    whole = dict.fromkeys(("temperature", "pressure", "vibration", "flow", "current", "speed"), 1.0)
    bad = {
        "NotJson": b"{",
        "FeatureMissing": json.dumps({"timestamp": "2026-01-01T00:00:00Z", "sensors": dict.fromkeys(whole)}).encode(),
        "FeatureInvalid": json.dumps({"timestamp": "2026-01-01T00:00:00Z", "sensors": dict.fromkeys(whole, "full")}).encode(),
        "TimeInvalid": json.dumps({"timestamp": "yesterday", "sensors": whole}).encode(),
    }
    producer = Producer({"bootstrap.servers": around.bootstrap, "enable.idempotence": True})
    for value in bad.values():
        producer.produce(topic, value, b"pump-01")
    assert producer.flush(20) == 0

    consumer = Consumer({"bootstrap.servers": around.bootstrap, "group.id": "e2e-dead", "enable.auto.commit": False})
    partitions = consumer.list_topics(f"{topic}.dead-letters", timeout=10).topics[f"{topic}.dead-letters"].partitions
    consumer.assign([TopicPartition(f"{topic}.dead-letters", number, 0) for number in partitions])
    found: list[bytes] = []

    def arrived() -> bool:
        found.extend(message.value() or b"" for message in consumer.consume(10, 0.2) if not message.error())
        return len(found) >= len(bad)

    try:
        wait_until("four dead letters", arrived, 30)
    finally:
        consumer.close()
    assert sorted(found) == sorted(bad.values())
    before = watched.watcher.seen.windows
    wait_until("scoring goes on", lambda: watched.watcher.seen.windows > before, 30)
