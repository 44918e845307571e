"""A scoring pod on a broker that knows its clients: every way in, and what is said at a closed door."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from anomaly_api.assignment import Assignment, Runtime
from anomaly_api.evidence import DetectorEvidence, SourceState
from anomaly_api.security import (
    CA_FILE,
    CERTIFICATE_FILE,
    CLIENT_ID_FILE,
    CLIENT_SECRET_FILE,
    PASSWORD_FILE,
    PRIVATE_KEY_FILE,
    TOKEN_FILE,
    USERNAME_FILE,
    CertificateReference,
    ClientCredentials,
    ClientReference,
    Mechanism,
    OAuth,
    Sasl,
    ServiceAccountToken,
    Tls,
)
from dev.harness.scoring_pod import ScoringPod
from tests.security.conftest import CA, PLAIN_PASSWORD, PLAIN_USER, Mounted, Plant, by_password, trusting
from tests.security.issuer import Issuer
from tests.stream.pods import broken, calm, pod, revision

if TYPE_CHECKING:
    from dev.environment.kafka.authority import Pair

pytestmark = pytest.mark.integration


def running(tmp_path: Path, order: Runtime, secrets: Mounted) -> AbstractContextManager[ScoringPod]:
    return pod(tmp_path / "pod", order, Assignment(stable=revision()), **secrets.environment)


def works(plant: Plant, member: ScoringPod) -> None:
    """From readings to an alert, in a transaction."""
    plant.topics.readings(range(1000, 1100), calm)
    plant.topics.readings(range(1100, 1103), broken)
    assert len(plant.topics.received(plant.topics.alerts, 1)) == 1
    member.until(lambda found: found.readings == 103 and found.source.state is SourceState.READING)


def said(member: ScoringPod, state: SourceState, *words: str) -> DetectorEvidence:
    """Waits until the pod says so, with these words."""
    return member.until(lambda found: found.source.state is state and all(word in found.source.message for word in words))


@pytest.mark.parametrize("mechanism", [Mechanism.SCRAM_SHA_256, Mechanism.SCRAM_SHA_512])
def test_a_user_with_a_password_is_let_in_by_scram(plant: Plant, secrets: Mounted, tmp_path: Path, mechanism: Mechanism) -> None:
    plant.secured.scram(plant.user, "good", mechanism.name.removeprefix("SCRAM_"))
    plant.allow()
    secrets.hold({CA_FILE: plant.secured.authority.certificate, USERNAME_FILE: f"{plant.user}\n", PASSWORD_FILE: "good\n"})
    with running(tmp_path, plant.runtime(tls=trusting(), sasl=by_password(mechanism=mechanism)), secrets) as member:
        works(plant, member)
        assert member.terminate() == 0


def test_a_user_with_a_password_is_let_in_by_plain(plant: Plant, secrets: Mounted, tmp_path: Path) -> None:
    plant.allow(PLAIN_USER)
    secrets.hold({CA_FILE: plant.secured.authority.certificate, PASSWORD_FILE: PLAIN_PASSWORD})
    order = plant.runtime(tls=trusting(), sasl=by_password(PLAIN_USER, Mechanism.PLAIN))
    with running(tmp_path, order, secrets) as member:
        works(plant, member)


def mutual(plant: Plant, pair: Pair) -> tuple[Runtime, dict[str, str]]:
    tls = Tls(
        ca_secret_ref=trusting().ca_secret_ref,
        client_secret_ref=CertificateReference(name="pumps", certificate_key="user.crt", private_key_key="user.key"),
    )
    files = {CA_FILE: plant.secured.authority.certificate, CERTIFICATE_FILE: pair.certificate, PRIVATE_KEY_FILE: pair.key}
    return plant.runtime(tls=tls, servers=plant.secured.mutual), files


def test_a_client_is_known_by_its_certificate(plant: Plant, secrets: Mounted, tmp_path: Path) -> None:
    order, files = mutual(plant, plant.secured.authority.client(plant.user))
    plant.allow(f"CN={plant.user}")
    secrets.hold(files)
    with running(tmp_path, order, secrets) as member:
        works(plant, member)


def test_a_token_of_an_openid_provider_lets_in_and_a_wrong_client_secret_is_named(
    plant: Plant, issuer: Issuer, secrets: Mounted, tmp_path: Path
) -> None:
    issuer.clients[plant.user] = "its+secret/&="
    plant.allow()
    asked = ClientCredentials(token_endpoint_url=issuer.url, secret_ref=ClientReference(name="pumps-client"), scope="kafka")
    sasl = Sasl(mechanism=Mechanism.OAUTH_BEARER, oauth=OAuth(client_credentials=asked))
    secrets.hold(
        {CA_FILE: plant.secured.authority.certificate, CLIENT_ID_FILE: plant.user, CLIENT_SECRET_FILE: "wrong-marker-51a0"}
    )
    with running(tmp_path, plant.runtime(tls=trusting(), sasl=sasl), secrets) as member:
        said(member, SourceState.NOT_AUTHORIZED, "invalid_client", "key client-secret of Secret pumps-client", issuer.url)
        secrets.hold({CLIENT_SECRET_FILE: "its+secret/&="})
        works(plant, member)
        assert "wrong-marker" not in member.log.read_text()
    assert (plant.user, "kafka") in issuer.asked


def test_the_token_of_the_service_account_lets_in(plant: Plant, issuer: Issuer, secrets: Mounted, tmp_path: Path) -> None:
    plant.allow()
    oauth = OAuth(service_account_token=ServiceAccountToken(audience="kafka"))
    secrets.hold({CA_FILE: plant.secured.authority.certificate, TOKEN_FILE: issuer.token(plant.user)})
    order = plant.runtime(tls=trusting(), sasl=Sasl(mechanism=Mechanism.OAUTH_BEARER, oauth=oauth))
    with running(tmp_path, order, secrets) as member:
        works(plant, member)


def test_a_missing_secret_is_named_with_its_key_and_used_once_it_is_there(plant: Plant, secrets: Mounted, tmp_path: Path) -> None:
    plant.secured.scram(plant.user, "good")
    plant.allow()
    with running(tmp_path, plant.runtime(tls=trusting(), sasl=by_password(plant.user)), secrets) as member:
        said(member, SourceState.SECRET_NOT_FOUND, f"Secret {CA} with the key ca.crt")
        assert member.get("/healthz")[0] == 200
        assert member.get("/readyz")[0] == 503
        secrets.hold({CA_FILE: plant.secured.authority.certificate})
        said(member, SourceState.SECRET_NOT_FOUND, "Secret kafka-user with the key password")
        secrets.hold({PASSWORD_FILE: "good"})
        works(plant, member)


def test_a_wrong_password_is_said_and_the_right_one_is_used_once_it_is_there(
    plant: Plant, secrets: Mounted, tmp_path: Path
) -> None:
    plant.secured.scram(plant.user, "good")
    plant.allow()
    secrets.hold({CA_FILE: plant.secured.authority.certificate, PASSWORD_FILE: "bad-marker-93f2"})
    with running(tmp_path, plant.runtime(tls=trusting(), sasl=by_password(plant.user)), secrets) as member:
        words = (f"refuses the credentials of user {plant.user} (ScramSha512)", "correct key password of Secret kafka-user")
        evidence = said(member, SourceState.NOT_AUTHORIZED, *words)
        assert "bad-marker" not in evidence.model_dump_json()
        secrets.hold({PASSWORD_FILE: "good"})
        works(plant, member)
        assert "bad-marker" not in member.log.read_text()


def test_an_authority_that_did_not_sign_the_brokers_certificate_is_said(plant: Plant, secrets: Mounted, tmp_path: Path) -> None:
    from dev.environment.kafka.authority import Authority

    secrets.hold({CA_FILE: Authority(tmp_path / "other").certificate, PASSWORD_FILE: "any"})
    with running(tmp_path, plant.runtime(tls=trusting(), sasl=by_password(plant.user)), secrets) as member:
        said(member, SourceState.NOT_AUTHORIZED, "is not trusted", f"key ca.crt of Secret {CA} must hold the authority")


def test_a_private_authority_that_nobody_named_is_asked_for(plant: Plant, secrets: Mounted, tmp_path: Path) -> None:
    secrets.hold({PASSWORD_FILE: "any"})
    with running(tmp_path, plant.runtime(tls=Tls(), sasl=by_password(plant.user)), secrets) as member:
        said(member, SourceState.NOT_AUTHORIZED, "is not trusted", "set spec.source.kafka.tls.caSecretRef")


def test_a_broker_under_a_name_that_its_certificate_does_not_have_is_said(plant: Plant, secrets: Mounted, tmp_path: Path) -> None:
    secrets.hold({CA_FILE: plant.secured.authority.certificate, PASSWORD_FILE: "any"})
    elsewhere = plant.secured.sasl.replace("127.0.0.1", "127.1")
    order = plant.runtime(tls=trusting(), sasl=by_password(plant.user), servers=elsewhere)
    with running(tmp_path, order, secrets) as member:
        said(member, SourceState.NOT_AUTHORIZED, "is not trusted", "mismatch", "spec.source.kafka.bootstrapServers")


def test_an_expired_certificate_is_said_with_its_end_and_a_renewed_one_is_used(
    plant: Plant, secrets: Mounted, tmp_path: Path
) -> None:
    order, files = mutual(plant, plant.secured.authority.client(plant.user, expired=True))
    plant.allow(f"CN={plant.user}")
    secrets.hold(files)
    with running(tmp_path, order, secrets) as member:
        said(member, SourceState.NOT_AUTHORIZED, "key user.crt of Secret pumps", "valid until 2020-01-02")
        secrets.hold(mutual(plant, plant.secured.authority.client(plant.user))[1])
        works(plant, member)


def test_a_certificate_of_another_authority_is_refused_and_said(plant: Plant, secrets: Mounted, tmp_path: Path) -> None:
    from dev.environment.kafka.authority import Authority

    order, files = mutual(plant, Authority(tmp_path / "other").client(plant.user))
    secrets.hold(files)
    with running(tmp_path, order, secrets) as member:
        said(member, SourceState.NOT_AUTHORIZED, "refuses the certificate in key user.crt of Secret pumps")


def test_a_broker_that_wants_a_certificate_says_so(plant: Plant, secrets: Mounted, tmp_path: Path) -> None:
    secrets.hold({CA_FILE: plant.secured.authority.certificate})
    with running(tmp_path, plant.runtime(tls=trusting(), servers=plant.secured.mutual), secrets) as member:
        said(member, SourceState.NOT_AUTHORIZED, "wants a certificate", "spec.source.kafka.tls.clientSecretRef")


def test_a_listener_that_asks_for_no_name_says_so(plant: Plant, secrets: Mounted, tmp_path: Path) -> None:
    secrets.hold({PASSWORD_FILE: "any"})
    order = plant.runtime(sasl=by_password(plant.user), servers=plant.secured.bootstrap)
    with running(tmp_path, order, secrets) as member:
        said(member, SourceState.NOT_AUTHORIZED, "asks for no name", "leave out spec.source.kafka.sasl")


def test_a_listener_with_tls_is_told_from_a_broker_that_is_away(plant: Plant, secrets: Mounted, tmp_path: Path) -> None:
    with running(tmp_path, plant.runtime(), secrets) as member:
        said(member, SourceState.BROKER_UNREACHABLE, "speaks TLS: set spec.source.kafka.tls")


def test_a_listener_without_tls_is_told_from_a_broker_that_is_away(plant: Plant, secrets: Mounted, tmp_path: Path) -> None:
    secrets.hold({CA_FILE: plant.secured.authority.certificate, PASSWORD_FILE: "any"})
    order = plant.runtime(tls=trusting(), sasl=by_password(plant.user), servers=plant.secured.bootstrap)
    with running(tmp_path, order, secrets) as member:
        said(member, SourceState.BROKER_UNREACHABLE, "seems to speak no TLS")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({CA_FILE: "not a certificate"}, "key ca.crt of Secret brokers-ca holds no certificate in PEM"),
        ({CA_FILE: "\n"}, "key ca.crt of Secret brokers-ca is empty"),
        ({CERTIFICATE_FILE: "not a certificate"}, "key user.crt of Secret pumps holds no certificate in PEM"),
        ({PRIVATE_KEY_FILE: "not a key"}, "key user.key of Secret pumps holds no private key in PEM"),
    ],
)
def test_a_secret_that_holds_something_else_is_named(
    plant: Plant, secrets: Mounted, tmp_path: Path, files: dict[str, str], words: str
) -> None:
    order, good = mutual(plant, plant.secured.authority.client("anyone"))
    secrets.hold({**good, **files})
    with running(tmp_path, order, secrets) as member:
        said(member, SourceState.SECRET_INVALID, words)


def test_a_key_of_another_certificate_is_named(plant: Plant, secrets: Mounted, tmp_path: Path) -> None:
    order, good = mutual(plant, plant.secured.authority.client("anyone"))
    secrets.hold({**good, PRIVATE_KEY_FILE: plant.secured.authority.client("other").key})
    with running(tmp_path, order, secrets) as member:
        said(member, SourceState.SECRET_INVALID, "key user.key of Secret pumps is not the key of the certificate in user.crt")
