"""One whole cluster with the operator installed by its chart, and a stream with a detector on it for tests that break things."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dev.demo.producer import Producer
    from dev.demo.topics import AlertReader
    from dev.demo.watching import Watcher
    from dev.environment.prerequisites import Surroundings

NAMESPACE = "e2e"
WATCHED = "watched"
TOPIC = "watched-readings"


def wait_until(what: str, holds: Callable[[], Any], within: float = 60.0) -> Any:
    """What `holds` returns, as soon as it is true."""
    give_up = time.monotonic() + within
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < give_up, f"not within {within:.0f} s: {what}"
        time.sleep(0.1)


@dataclass(frozen=True)
class Kubectl:
    """kubectl in one namespace."""

    around: Surroundings
    namespace: str

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        return self.around.cluster.kubectl("--namespace", self.namespace, *arguments, stdin=stdin)

    def apply(self, document: dict[str, Any]) -> None:
        self("apply", "--filename=-", stdin=json.dumps(document))

    def json(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self(*arguments, "--output=json"))
        return found

    def pods(self, name: str, component: str = "detector") -> list[dict[str, Any]]:
        """Pods of a detector that are not on their way out."""
        labels = f"anomaly-operator.dev/detector={name},anomaly-operator.dev/component={component}"
        pods: list[dict[str, Any]] = self.json("get", "pods", f"--selector={labels}")["items"]
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def condition(self, name: str, kind: str) -> dict[str, Any]:
        """A condition of a detector; empty when there is none yet."""
        status = self.json("get", "anomalydetector", name).get("status", {})
        return next((found for found in status.get("conditions", []) if found["type"] == kind), {})


def detector(name: str, around: Surroundings, topic: str = TOPIC, **spec: Any) -> dict[str, Any]:
    """A detector that needs no training, for readings of the demo's pumps."""
    from dev.demo.pumps import FEATURES

    return {
        "apiVersion": "anomaly-operator.dev/v1alpha1",
        "kind": "AnomalyDetector",
        "metadata": {"name": name},
        "spec": {
            "source": {"kafka": {"bootstrapServers": around.bootstrap_in_cluster, "topic": topic}},
            "time": {"field": "timestamp"},
            "features": [{"name": feature, "field": f"sensors.{feature}"} for feature in FEATURES],
            "model": {"statistical": {}},
            **spec,
        },
    }


@pytest.fixture(scope="session")
def around(cluster: Surroundings) -> Surroundings:
    """The cluster with the operator in it."""
    from dev.progress import plain
    from dev.up import install_operator

    install_operator(cluster, plain)
    return cluster


@pytest.fixture(scope="session")
def kubectl(around: Surroundings) -> Kubectl:
    """In a namespace that admits only pods of the restricted level."""
    around.cluster.kubectl("create", "namespace", NAMESPACE)
    around.cluster.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    return Kubectl(around, NAMESPACE)


@dataclass(frozen=True)
class Watched:
    """A detector whose stream goes on until the end of the module."""

    watcher: Watcher
    producer: Producer
    alerts: AlertReader


@pytest.fixture(scope="module")
def watched(around: Surroundings, kubectl: Kubectl) -> Iterator[Watched]:
    """Twenty healthy pumps at a leisurely pace, scored without a model."""
    from dev.demo import topics
    from dev.demo.producer import Producer
    from dev.demo.scenario import pump_scenario
    from dev.demo.topics import AlertReader
    from dev.demo.watching import Watcher
    from dev.up import OPERATOR_NAMESPACE

    scenario = replace(pump_scenario(time.time(), each=2), topic=TOPIC, history=100, waiting_rate=10.0)
    topics.make_anew(around.bootstrap, [TOPIC, f"{TOPIC}.alerts", f"{TOPIC}.dead-letters"])
    with Producer(around.bootstrap, scenario) as producer, AlertReader(around.bootstrap, f"{TOPIC}.alerts") as alerts:
        producer.write_history()
        producer.play()
        kubectl.apply(detector(WATCHED, around))
        with Watcher(around.cluster.kubeconfig, NAMESPACE, WATCHED, OPERATOR_NAMESPACE) as watcher:
            wait_until("the first scored window", lambda: watcher.seen.windows > 0, 90)
            wait_until("Ready", lambda: kubectl.condition(WATCHED, "Ready").get("status") == "True", 60)
            yield Watched(watcher, producer, alerts)
