"""What a person reads in the conditions when something outside is wrong: what, where, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.conftest import Kubectl, detector, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.environment.prerequisites import Surroundings

pytestmark = pytest.mark.e2e

# Each with the condition that tells, its reason, and what its message must name.
WRONG: dict[str, tuple[dict[str, Any], str, str, list[str]]] = {
    "no-broker": (
        {"source": {"kafka": {"bootstrapServers": "nowhere.kafka.svc:9092", "topic": "any"}}},
        "SourceReachable",
        "BrokerUnreachable",
        ["nowhere.kafka.svc:9092"],
    ),
    "no-topic": ({}, "SourceReachable", "TopicNotFound", ["no-topic-readings", "kafka.kafka.svc:9092"]),
    "no-secret": (
        {
            "source": {
                "kafka": {
                    "bootstrapServers": "kafka.kafka.svc:9092",
                    "topic": "no-secret-readings",
                    "tls": {"caSecretRef": {"name": "kafka-ca"}},
                    "sasl": {"mechanism": "Plain", "secretRef": {"name": "kafka-user"}},
                }
            }
        },
        "SourceReachable",
        "SecretNotFound",
        ["Secret kafka-ca with the key ca.crt"],
    ),
    "no-image": ({"pod": {"image": "localhost:1/anomaly/none:1"}}, "Ready", "ImagePullFailed", ["localhost:1/anomaly/none:1"]),
}


@pytest.fixture(scope="module")
def wrong(around: Surroundings, kubectl: Kubectl) -> Iterator[None]:
    """All of them at once: each takes a while to be sure."""
    for name, (spec, *_) in WRONG.items():
        kubectl.apply(detector(name, around, topic=f"{name}-readings", **spec))
    yield
    kubectl("delete", "anomalydetector", *WRONG)


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.usefixtures("wrong")
def test_a_condition_says_within_two_minutes_what_is_wrong_and_where(kubectl: Kubectl, name: str) -> None:
    _, kind, reason, named = WRONG[name]

    def told() -> dict[str, Any]:
        condition = kubectl.condition(name, kind)
        return condition if condition.get("reason") == reason else {}

    condition = wait_until(f"{kind} {reason}", told, 120)

    assert condition["status"] == "False"
    assert all(text in condition["message"] for text in named), condition["message"]
    assert kubectl.condition(name, "Ready")["status"] == "False"
