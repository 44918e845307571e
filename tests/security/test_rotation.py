"""Credentials that change while a pod is at work: nothing is lost, nothing comes twice, and what is refused meanwhile is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from anomaly_api.evidence import SourceState
from anomaly_api.security import (
    CA_FILE,
    CERTIFICATE_FILE,
    CLIENT_ID_FILE,
    CLIENT_SECRET_FILE,
    PASSWORD_FILE,
    PRIVATE_KEY_FILE,
    ClientCredentials,
    ClientReference,
    Mechanism,
    OAuth,
    Sasl,
)
from dev.harness.scoring_pod import ScoringPod
from tests.security.conftest import Mounted, Plant, by_password, trusting
from tests.security.issuer import Issuer
from tests.security.test_pods import mutual, running, said
from tests.stream.pods import broken, calm

pytestmark = pytest.mark.integration
RENEWED = "the credentials have changed"


def settled(plant: Plant, member: ScoringPod, readings: int) -> None:
    """Everything has been read and committed, and nothing was decided twice."""
    places = [TopicPartition(plant.topics.name, number) for number in range(2)]
    administrator = Consumer({"bootstrap.servers": plant.topics.bootstrap, "group.id": plant.group})

    def committed() -> int:
        return sum(max(0, place.offset) for place in administrator.committed(places, 10))

    try:
        member.until(lambda found: found.source.state is SourceState.READING and committed() == readings)
        assert member.evidence().readings == readings
    finally:
        administrator.close()


def renewed(member: ScoringPod) -> None:
    """Waits for the next stay in the group, with the new credentials."""
    member.until(lambda _: RENEWED in member.log.read_text())


def alerts(plant: Plant) -> int:
    """How many there are, after time enough for one too many."""
    return len(plant.topics.received(plant.topics.alerts, 2, seconds=3))


@pytest.fixture
def scram(plant: Plant, secrets: Mounted) -> Plant:
    """A user whose password is `one`."""
    plant.secured.scram(plant.user, "one")
    plant.allow()
    secrets.hold({CA_FILE: plant.secured.authority.certificate, PASSWORD_FILE: "one"})
    return plant


def test_a_password_that_is_no_longer_taken_is_said_and_the_new_one_goes_on_where_it_was(
    scram: Plant, secrets: Mounted, tmp_path: Path
) -> None:
    with running(tmp_path, scram.runtime(tls=trusting(), sasl=by_password(scram.user)), secrets) as member:
        scram.topics.readings(range(1000, 1100), calm)
        settled(scram, member, 100)
        scram.secured.scram(scram.user, "two")
        said(member, SourceState.NOT_AUTHORIZED, "correct key password of Secret kafka-user")
        assert member.get("/healthz")[0] == 200
        assert member.get("/readyz")[0] == 503
        scram.topics.readings(range(1100, 1103), broken)
        scram.topics.readings(range(1103, 1120), calm)
        secrets.hold({PASSWORD_FILE: "two"})
        settled(scram, member, 120)
        assert alerts(scram) == 2, "its begin and its end"


def test_a_wrong_password_in_the_secret_is_said_while_the_connections_that_there_are_go_on(
    scram: Plant, secrets: Mounted, tmp_path: Path
) -> None:
    with running(tmp_path, scram.runtime(tls=trusting(), sasl=by_password(scram.user)), secrets) as member:
        scram.topics.readings(range(1000, 1100), calm)
        settled(scram, member, 100)
        secrets.hold({PASSWORD_FILE: "wrong"})
        said(member, SourceState.NOT_AUTHORIZED, "correct key password of Secret kafka-user")
        scram.topics.readings(range(1100, 1103), broken)
        member.until(lambda found: found.readings == 103 and found.source.state is SourceState.NOT_AUTHORIZED)
        assert RENEWED not in member.log.read_text()
        secrets.hold({PASSWORD_FILE: "one"})
        settled(scram, member, 103)
        assert alerts(scram) == 1


def test_a_secret_that_is_made_anew_while_the_pod_is_at_work_is_waited_for(
    scram: Plant, secrets: Mounted, tmp_path: Path
) -> None:
    with running(tmp_path, scram.runtime(tls=trusting(), sasl=by_password(scram.user)), secrets) as member:
        scram.topics.readings(range(1000, 1100), calm)
        settled(scram, member, 100)
        secrets.hold({PASSWORD_FILE: None})
        said(member, SourceState.SECRET_NOT_FOUND, "Secret kafka-user with the key password")
        scram.topics.readings(range(1100, 1103), broken)
        member.until(lambda found: found.readings == 103)
        scram.secured.scram(scram.user, "three")
        secrets.hold({PASSWORD_FILE: "three"})
        renewed(member)
        settled(scram, member, 103)
        assert alerts(scram) == 1


def test_a_renewed_certificate_is_taken_over_in_the_middle_of_an_episode(plant: Plant, secrets: Mounted, tmp_path: Path) -> None:
    order, files = mutual(plant, plant.secured.authority.client(plant.user))
    plant.allow(f"CN={plant.user}")
    secrets.hold(files)
    with running(tmp_path, order, secrets) as member:
        plant.topics.readings(range(1000, 1100), calm)
        plant.topics.readings(range(1100, 1103), broken)
        settled(plant, member, 103)
        pair = plant.secured.authority.client(plant.user)
        secrets.hold({CERTIFICATE_FILE: pair.certificate, PRIVATE_KEY_FILE: pair.key})
        renewed(member)
        plant.topics.readings(range(1103, 1120), calm)
        settled(plant, member, 120)
        assert alerts(plant) == 2, "its begin and its end"


def test_a_token_that_ends_is_followed_by_another_with_the_rotated_client_secret(
    plant: Plant, issuer: Issuer, secrets: Mounted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuer, "seconds", 20)
    issuer.clients[plant.user] = "one"
    plant.allow()
    asked = ClientCredentials(token_endpoint_url=issuer.url, secret_ref=ClientReference(name="pumps-client"))
    sasl = Sasl(mechanism=Mechanism.OAUTH_BEARER, oauth=OAuth(client_credentials=asked))
    secrets.hold({CA_FILE: plant.secured.authority.certificate, CLIENT_ID_FILE: plant.user, CLIENT_SECRET_FILE: "one"})
    with running(tmp_path, plant.runtime(tls=trusting(), sasl=sasl), secrets) as member:
        plant.topics.readings(range(1000, 1100), calm)
        settled(plant, member, 100)
        issuer.clients[plant.user] = "two"
        secrets.hold({CLIENT_SECRET_FILE: "two"})
        before = len(issuer.asked)
        member.until(lambda _: len(issuer.asked) > before + 1)
        plant.topics.readings(range(1100, 1110), calm)
        settled(plant, member, 110)
        assert RENEWED not in member.log.read_text(), "its clients ask for tokens themselves"
