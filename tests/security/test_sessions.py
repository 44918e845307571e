"""Brokers that want names proven again and again: what that breaks heals, nothing is lost by it, and nobody is alarmed."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from anomaly_api.evidence import SourceState
from anomaly_detector.adapters.kafka.diagnose import refusals
from tests.security.conftest import Mounted, Plant
from tests.security.issuer import Issuer
from tests.security.test_pods import running
from tests.security.test_secrecy import talkative, way
from tests.stream.pods import broken, calm

OUT_OF_TURN = "Broker: Request not valid in current SASL state"
ENOUGH = 20
PATIENCE = 90.0


@pytest.mark.integration
@pytest.mark.parametrize("name", ["scram", "oauth"])
def test_proofs_that_the_broker_finds_too_early_cost_a_connection_and_nothing_else(
    plant: Plant, issuer: Issuer, secrets: Mounted, tmp_path: Path, name: str
) -> None:
    order = talkative(way(plant, issuer, secrets, name))
    order = order.model_copy(update={"kafka": order.kafka.model_copy(update={"bootstrap_servers": plant.secured.hasty})})
    with running(tmp_path, order, secrets) as member:
        plant.topics.readings(range(1000, 1100), calm)
        plant.topics.readings(range(1100, 1103), broken)
        member.until(lambda _: member.log.read_text().count(OUT_OF_TURN) >= ENOUGH, PATIENCE)
        plant.topics.readings(range(1103, 1120), calm)
        member.until(lambda found: found.source.state is SourceState.READING and found.readings >= 120, PATIENCE)
        assert len(plant.topics.received(plant.topics.alerts, 2, PATIENCE)) == 2
        assert len(plant.topics.received(plant.topics.alerts, 3, seconds=3)) == 2, "its begin and its end"


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ("mechanism handshake failed: Local: Broker transport failure: broker's supported mechanisms: (n/a)", False),
        ("authentication error: SaslAuthenticateRequest failed: Local: Timed out (after 5ms in state AUTH_REQ)", False),
        ("mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported mechanisms: PLAIN", True),
        ("authentication error: Authentication failed during authentication due to invalid credentials", True),
    ],
)
def test_a_connection_that_breaks_while_a_name_is_proven_is_no_refusal(said: str, *, refused: bool) -> None:
    assert refusals.refusing(KafkaError(KafkaError._AUTHENTICATION, f"sasl_ssl://kafka:9093/1: SASL SCRAM {said}")) is refused
