"""A broker with TLS, names and access lists: a detector told of Secrets alone is trained, watches, and outlives their rotation.

Three at once, since kubelet takes its time to bring a changed Secret into a pod: `steady` has good credentials all the time,
`locked-out` has a wrong password at first, and the Secret of `late` comes when its pod is there already.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from dev.up import OPERATOR_NAMESPACE
from tests.e2e.conftest import Kubectl, wait_until
from tests.e2e.plants import CA, KUBELET, Watched, kind_of, watched

if TYPE_CHECKING:
    from dev.environment.kafka.secured import Secured
    from dev.environment.prerequisites import Surroundings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]
RENEWED = "the credentials have changed, and the brokers take the new ones"
FIRST, SECOND, WRONG, RIGHT, LATE = (f"marker-{word}" for word in ("5b0c-a", "c41e-b", "77d2-c", "09af-d", "e8b3-e"))
STEADY, LOCKED_OUT, LATECOMER = "steady", "locked-out", "late"


@pytest.fixture(scope="module")
def secured(around: Surroundings) -> Secured:
    from dev.environment.kafka import secured_in_cluster
    from dev.progress import plain

    return secured_in_cluster.up(around.cluster, around.name, plain)


@pytest.fixture(scope="module")
def plants(kubectl: Kubectl, secured: Secured) -> Iterator[dict[str, Watched]]:
    """All three, just applied, with readings waiting for them."""
    authority = {"ca.crt": secured.authority.certificate}
    kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": CA}, "stringData": authority})
    found = {name: watched(kubectl, secured, name) for name in (STEADY, LOCKED_OUT, LATECOMER)}
    for name, user, password in ((STEADY, "steady-1", FIRST), (LOCKED_OUT, LOCKED_OUT, RIGHT), (LATECOMER, LATECOMER, LATE)):
        secured.scram(user, password)
        found[name].allow(user)
    found[STEADY].hold("steady-1", FIRST)
    found[LOCKED_OUT].hold(LOCKED_OUT, WRONG)
    found[STEADY].feed.write(400)
    found[STEADY].apply(training={"epochs": 10})
    for name in (LOCKED_OUT, LATECOMER):
        found[name].feed.write(30)
        found[name].apply(model={"statistical": {}})
    yield found
    kubectl("delete", "anomalydetector", *found)
    kubectl("delete", "secret", CA, *(each.secret for each in found.values()))


@dataclass(frozen=True)
class Refused:
    """What was said of a detector that could not begin, and the pod that said it."""

    condition: dict[str, Any]
    pod: tuple[str, int]


@pytest.fixture(scope="module")
def refused(plants: dict[str, Watched]) -> dict[str, Refused]:
    """What both say that have not what they need. Then they get it."""
    said = {LOCKED_OUT: "NotAuthorized", LATECOMER: "SecretNotFound"}
    found = {
        name: Refused(plants[name].says("SourceReachable", reason, 120), plants[name].running()) for name, reason in said.items()
    }
    plants[LOCKED_OUT].hold(LOCKED_OUT, RIGHT)
    plants[LATECOMER].hold(LATECOMER, LATE)
    return found


@pytest.fixture(scope="module")
def learned(plants: dict[str, Watched], refused: dict[str, Refused]) -> tuple[str, int]:
    """The pod of `steady`, once its model decides."""
    steady = plants[STEADY]
    with steady.feed.going_on():  # a stream without readings is not Ready
        steady.says("ModelAvailable", "Trained", 200)
        steady.says("Ready", "Ready", 60)
    model = steady.kubectl.json("get", "adet", STEADY)["status"]["stable"].get("model")
    assert model.startswith(f"{STEADY}-")
    return steady.running()


@pytest.fixture(scope="module")
def alerted(plants: dict[str, Watched], learned: tuple[str, int]) -> list[dict[str, Any]]:
    """What came of a pump that broke."""
    feed = plants[STEADY].feed
    feed.write(20)
    feed.write(5, broken="pump-1")
    feed.write(30)
    return plants[STEADY].episodes(1)


@pytest.fixture(scope="module")
def rotated(plants: dict[str, Watched], secured: Secured, alerted: list[dict[str, Any]]) -> None:
    """As people rotate what must not fail: another user beside the old one, the Secret, then the old user goes.

    For a password that is another one at once, with a time in which the old one is refused, see `locked-out`.
    """
    steady = plants[STEADY]
    secured.scram("steady-2", SECOND)
    steady.allow("steady-2")
    with steady.feed.going_on():
        steady.hold("steady-2", SECOND)
        wait_until("the new name is used", lambda: RENEWED in steady.log(), KUBELET)
        secured.drop("steady-1")
        before = steady.evidence().windows
        # Longer than a session lasts: whatever still has the old name is thrown out meanwhile.
        wait_until("scoring goes on", lambda: steady.evidence().windows > before + 100, 60)


def test_a_model_is_trained_behind_tls_and_a_password_and_alerts_come_from_it(alerted: list[dict[str, Any]]) -> None:
    assert {(alert["subject"], alert["data"]["scorer"]) for alert in alerted} == {("pump-1", "Autoencoder")}
    assert [kind_of(alerted[0]), kind_of(alerted[-1])] == ["opened", "closed"]


def test_a_wrong_password_is_said_with_the_secret_to_correct(refused: dict[str, Refused]) -> None:
    said = refused[LOCKED_OUT].condition

    assert said["status"] == "False"
    assert "correct key username and password of Secret kafka-locked-out" in said["message"]


def test_a_secret_that_is_not_there_is_named_with_its_key(refused: dict[str, Refused]) -> None:
    said = refused[LATECOMER].condition

    assert said["status"] == "False"
    assert "Secret kafka-late with the key username is not there: create it" in said["message"]


@pytest.mark.usefixtures("rotated")
def test_a_rotation_loses_nothing_stops_nothing_and_restarts_nothing(
    plants: dict[str, Watched], learned: tuple[str, int]
) -> None:
    steady = plants[STEADY]
    steady.feed.write(5, broken="pump-2")
    steady.feed.write(30)

    alerts = steady.episodes(2)
    assert len({alert["id"] for alert in alerts}) == len(alerts)
    whole = [(alert["subject"], kind_of(alert)) for alert in alerts if kind_of(alert) != "updated"]
    assert whole == [("pump-1", "opened"), ("pump-1", "closed"), ("pump-2", "opened"), ("pump-2", "closed")]
    steady.settled(60)
    assert steady.running() == learned
    assert "source: NotAuthorized" not in steady.log()


@pytest.mark.parametrize("name", [LOCKED_OUT, LATECOMER])
def test_a_secret_that_is_corrected_or_comes_late_reaches_the_pod_that_runs(
    plants: dict[str, Watched], refused: dict[str, Refused], name: str
) -> None:
    plants[name].says("SourceReachable", "Reading", KUBELET)
    plants[name].settled(30)

    assert plants[name].running() == refused[name].pod


@pytest.mark.usefixtures("rotated")
def test_dead_letters_are_listed_and_put_back_inside_the_pod(plants: dict[str, Watched]) -> None:
    steady = plants[STEADY]
    steady.feed.garbage(b'{"at": "soon", "temperature": 1}', "pump-3")
    steady.feed.garbage(b"nonsense", "pump-4")
    steady.settled(60)
    inside = (f"deployment/{STEADY}-detector", "--", "python", "-m", "anomaly_detector.cli.dead_letters")
    listed = wait_until("both are listed", lambda: (found := steady.kubectl("exec", *inside, "list").splitlines())[1:] and found)
    lines = [json.loads(line) for line in listed]
    assert sorted(line["reason"] for line in lines) == ["NotJson", "TimeInvalid"]
    for line in lines:
        line["value"] = json.dumps({"at": 1, "temperature": 20.0, "pressure": 3.0})

    steady.kubectl("exec", "--stdin", *inside, "replay", stdin="".join(f"{json.dumps(line)}\n" for line in lines))

    steady.feed.count += len(lines)
    steady.settled(60)
    assert steady.kubectl("exec", *inside, "list") == ""


@pytest.mark.usefixtures("rotated")
def test_no_secret_is_to_be_seen_in_anything_that_the_api_server_or_a_log_shows(
    around: Surroundings, plants: dict[str, Watched]
) -> None:
    kinds = around.cluster.kubectl("api-resources", "--verbs=list", "--namespaced", "--output=name").split()
    shown = ",".join(kind for kind in kinds if kind != "secrets")
    texts = [around.cluster.kubectl("get", shown, f"--namespace={each}", "-o", "yaml") for each in ("e2e", OPERATOR_NAMESPACE)]
    logs: dict[str, str] = {}
    for namespace in ("e2e", OPERATOR_NAMESPACE):
        there = Kubectl(around, namespace)
        for pod in there.json("get", "pods")["items"]:
            logs[pod["metadata"]["name"]] = there("logs", pod["metadata"]["name"], "--all-containers")
    texts += [plant.get(path) for plant in plants.values() for path in ("/evidence", "/metrics")]

    for name in (*(f"{each}-detector" for each in plants), f"{STEADY}-", "anomaly-operator"):
        assert any(pod.startswith(name) and log for pod, log in logs.items()), f"nothing is proven without the log of {name}"
    assert any("librdkafka" in log or "SASL" in log for log in logs.values()), "nor by clients that say nothing"
    for secret in (FIRST, SECOND, WRONG, RIGHT, LATE):
        for form in (secret, base64.b64encode(secret.encode()).decode()):
            assert not [text[max(0, text.find(form) - 200) :][:400] for text in (*texts, *logs.values()) if form in text]
