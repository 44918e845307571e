"""A training pod on a broker that knows its clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from anomaly_api.security import CA_FILE, CERTIFICATE_FILE, PASSWORD_FILE, PRIVATE_KEY_FILE, CertificateReference, Tls
from anomaly_api.source import KafkaSource
from tests.security.conftest import CA, Mounted, Plant, by_password, trusting
from tests.training.conftest import Trainer, order, reading, start

if TYPE_CHECKING:
    from dev.environment.kafka.secured import Secured

pytestmark = pytest.mark.integration
__all__ = ["start"]  # the fixture


def source(plant: Plant, servers: str = "", **access: object) -> KafkaSource:
    return KafkaSource(bootstrap_servers=servers or plant.secured.sasl, topic=plant.topics.name, **access)


def fill(plant: Plant, count: int) -> None:
    for place in range(count):
        key, value = reading(place, 0)
        plant.topics.send(value, key)
    assert plant.topics.producer.flush(30) == 0


def test_it_waits_for_its_secret_and_the_right_password_and_then_reads(
    plant: Plant, secured: Secured, secrets: Mounted, start: Callable[..., Trainer]
) -> None:
    secured.scram(plant.user, "good")
    secured.allow(plant.user, ("topic", plant.topics.name, "read,describe"))
    fill(plant, 50)
    trainer = start(order(kafka=source(plant, tls=trusting(), sasl=by_password(plant.user))), **secrets.environment)
    missing = trainer.until(lambda found: found.reason == "SecretNotFound")
    assert f"Secret {CA} with the key ca.crt" in missing.message
    secrets.hold({CA_FILE: secured.authority.certificate, PASSWORD_FILE: "bad-marker-1f"})
    refused = trainer.until(lambda found: found.reason == "NotAuthorized")
    assert "correct key password of Secret kafka-user" in refused.message
    secrets.hold({PASSWORD_FILE: "good"})
    trainer.until(lambda found: found.readings == 50 and found.reason == "TooLittleData")


def test_it_goes_on_where_it_was_when_its_certificate_is_renewed(
    plant: Plant, secured: Secured, secrets: Mounted, start: Callable[..., Trainer]
) -> None:
    secured.allow(f"CN={plant.user}", ("topic", plant.topics.name, "read,describe"))
    secured.allow(f"CN={plant.user}-2", ("topic", plant.topics.name, "read,describe"))
    tls = Tls(ca_secret_ref=trusting().ca_secret_ref, client_secret_ref=CertificateReference(name="pumps"))
    first, second = secured.authority.client(plant.user), secured.authority.client(f"{plant.user}-2")
    secrets.hold({CA_FILE: secured.authority.certificate, CERTIFICATE_FILE: first.certificate, PRIVATE_KEY_FILE: first.key})
    fill(plant, 50)
    trainer = start(order(kafka=source(plant, secured.mutual, tls=tls)), **secrets.environment)
    trainer.until(lambda found: found.readings == 50)
    secrets.hold({CERTIFICATE_FILE: second.certificate, PRIVATE_KEY_FILE: second.key})
    fill(plant, 10)
    trainer.until(lambda found: found.readings == 60)


def test_a_topic_that_it_may_not_read_is_said(
    plant: Plant, secured: Secured, secrets: Mounted, start: Callable[..., Trainer]
) -> None:
    secured.scram(plant.user, "good")
    secrets.hold({CA_FILE: secured.authority.certificate, PASSWORD_FILE: "good"})
    trainer = start(order(kafka=source(plant, tls=trusting(), sasl=by_password(plant.user))), **secrets.environment)
    refused = trainer.until(lambda found: found.reason == "NotAuthorized")
    assert f"Describe on topic {plant.topics.name}" in refused.message
    secured.allow(plant.user, ("topic", plant.topics.name, "read,describe"))
    fill(plant, 10)
    trainer.until(lambda found: found.readings == 10)
