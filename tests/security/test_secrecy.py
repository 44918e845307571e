"""What a Secret holds is nowhere to be found: not in logs, even with everything logged, nor over HTTP, nor beside the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from anomaly_api.assignment import Runtime
from anomaly_api.evidence import SourceState
from anomaly_api.security import (
    CA_FILE,
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
from tests.security.conftest import PLAIN_PASSWORD, PLAIN_USER, Mounted, Plant, by_password, trusting
from tests.security.issuer import Issuer
from tests.security.test_pods import mutual, running, said
from tests.stream.pods import broken, calm
from tests.training.conftest import Trainer, order, start

pytestmark = pytest.mark.integration
__all__ = ["start"]  # the fixture
MARKERS = ("marker-good-4b1d", "marker-bad-92aa", PLAIN_PASSWORD)
WAYS = ("scram", "plain", "oauth", "mutual")


def talkative(order: Runtime) -> Runtime:
    """With everything logged that librdkafka has to say."""
    kafka = order.kafka.model_copy(update={"properties": {"debug": "all", "log_level": "7"}})
    return order.model_copy(update={"kafka": kafka})


def way(plant: Plant, issuer: Issuer, secrets: Mounted, name: str) -> Runtime:
    """The runtime, with good credentials in the Secrets."""
    secrets.hold({CA_FILE: plant.secured.authority.certificate, PASSWORD_FILE: MARKERS[0]})
    if name == "mutual":
        plant.allow(f"CN={plant.user}")
        found, files = mutual(plant, plant.secured.authority.client(plant.user))
        secrets.hold(files)
        return found
    if name == "plain":
        plant.allow(PLAIN_USER)
        secrets.hold({PASSWORD_FILE: PLAIN_PASSWORD})
        return plant.runtime(tls=trusting(), sasl=by_password(PLAIN_USER, Mechanism.PLAIN))
    plant.allow()
    if name == "scram":
        plant.secured.scram(plant.user, MARKERS[0])
        return plant.runtime(tls=trusting(), sasl=by_password(plant.user))
    issuer.clients[plant.user] = MARKERS[0]
    secrets.hold({CLIENT_ID_FILE: plant.user, CLIENT_SECRET_FILE: MARKERS[0]})
    asked = ClientCredentials(token_endpoint_url=issuer.url, secret_ref=ClientReference(name="client"))
    return plant.runtime(tls=trusting(), sasl=Sasl(mechanism=Mechanism.OAUTH_BEARER, oauth=OAuth(client_credentials=asked)))


def spoil(secrets: Mounted, plant: Plant, name: str) -> None:
    """Wrong ones in their place."""
    wrong = {PASSWORD_FILE: MARKERS[1], CLIENT_SECRET_FILE: MARKERS[1]}
    if name == "mutual":
        wrong = {PRIVATE_KEY_FILE: plant.secured.authority.client("other").key}
    secrets.hold(wrong)


def beside(process: int) -> Iterator[str]:
    """What others on the machine may see of a process."""
    for name in ("cmdline", "environ"):
        yield Path(f"/proc/{process}/{name}").read_text(errors="replace")


def told(member: ScoringPod) -> Iterator[str]:
    for path in ("/evidence", "/metrics", "/readyz", "/healthz"):
        yield member.get(path)[1]
    yield from beside(member.process.pid)


def written(plant: Plant) -> Iterator[str]:
    """All records."""
    for topic in (plant.topics.alerts, plant.topics.dead_letters, f"{plant.topics.name}.state"):
        for record in plant.topics.everything(topic):
            yield f"{record.key()!r} {record.value()!r} {record.headers()!r}"


def clean(held: dict[str, str], texts: list[str], issuer: Issuer) -> None:
    """None of the secrets is in any of the texts, nor what authorizes at the brokers."""
    lines = [line for line in held.get(PRIVATE_KEY_FILE, "").splitlines() if line and not line.startswith("-----")]
    found = [secret for secret in (*MARKERS, *lines, *issuer.signatures) if any(secret in text for text in texts)]
    assert found == []


@pytest.mark.parametrize("name", WAYS)
def test_a_scoring_pod_keeps_its_secrets(plant: Plant, issuer: Issuer, secrets: Mounted, tmp_path: Path, name: str) -> None:
    asked = talkative(way(plant, issuer, secrets, name))
    good = dict(secrets.held)
    with running(tmp_path, asked, secrets) as member:
        plant.topics.send(b"not json")
        plant.topics.readings(range(1000, 1100), calm)
        plant.topics.readings(range(1100, 1103), broken)
        member.until(lambda found: found.alerts == 1)
        texts = list(told(member))
        spoil(secrets, plant, name)
        if name != "oauth":  # a token lasts
            state = SourceState.SECRET_INVALID if name == "mutual" else SourceState.NOT_AUTHORIZED
            said(member, state, "Secret")
        texts += [*told(member), *written(plant)]
        log = member.log.read_text()
    assert "librdkafka v" in log, "nothing is proven by a client that says nothing"
    clean(good, [*texts, log], issuer)


@pytest.mark.parametrize("name", WAYS)
def test_a_training_pod_keeps_its_secrets(
    plant: Plant, issuer: Issuer, secrets: Mounted, start: Callable[..., Trainer], name: str
) -> None:
    asked = order(kafka=talkative(way(plant, issuer, secrets, name)).kafka)
    good = dict(secrets.held)
    spoil(secrets, plant, name)
    trainer = start(asked, **secrets.environment)
    refused = trainer.until(lambda found: found.reason in ("NotAuthorized", "SecretInvalid"))
    texts = [refused.model_dump_json(), *beside(trainer.process.pid)]
    secrets.hold(good)
    waiting = trainer.until(lambda found: found.reason == "NoReadings")
    trainer.process.terminate()
    _, log, last = trainer.end()
    clean(good, [*texts, waiting.model_dump_json(), log, last], issuer)
