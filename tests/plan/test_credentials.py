"""How credentials reach the pods: references only, as files, and what a change of them does."""

import json
from typing import Any

import pytest

from anomaly_api.meta import SECRET_FOLDER
from anomaly_operator.core.actions import Apply, Delete
from anomaly_operator.core.resources.names import DEPLOYMENTS, JOBS, kind_of
from tests.plan.world import World

SCRAM = {"mechanism": "ScramSha512", "username": "pumps", "secretRef": {"name": "pumps"}}
TLS = {"caSecretRef": {"name": "cluster-ca"}, "clientSecretRef": {"name": "pumps-tls"}}
OAUTH = {
    "mechanism": "OAuthBearer",
    "oauth": {"clientCredentials": {"tokenEndpointUrl": "https://id.example.com/token", "secretRef": {"name": "client"}}},
}
TOKEN = {"mechanism": "OAuthBearer", "oauth": {"serviceAccountToken": {"audience": "kafka"}}}


def secured(**kafka: Any) -> World:
    world = World()
    world.edit({"source": {"kafka": kafka}})
    world.settle()
    return world


def pods(world: World) -> list[dict[str, Any]]:
    return [live["spec"]["template"]["spec"] for (kind, _), live in world.children.items() if kind in (DEPLOYMENTS, JOBS)]


def sources(pod: dict[str, Any]) -> list[dict[str, Any]]:
    [volume] = [volume for volume in pod["volumes"] if "projected" in volume]
    assert {"name": volume["name"], "mountPath": SECRET_FOLDER, "readOnly": True} in pod["containers"][0]["volumeMounts"]
    assert volume["projected"]["defaultMode"] == 0o440
    found: list[dict[str, Any]] = volume["projected"]["sources"]
    return found


@pytest.mark.parametrize(
    ("kafka", "keys"),
    [
        ({"tls": TLS}, [("cluster-ca", "ca.crt"), ("pumps-tls", "tls.crt"), ("pumps-tls", "tls.key")]),
        ({"sasl": SCRAM}, [("pumps", "password")]),
        ({"sasl": {**SCRAM, "username": None}}, [("pumps", "username"), ("pumps", "password")]),
        ({"sasl": OAUTH}, [("client", "client-id"), ("client", "client-secret")]),
    ],
)
def test_scoring_and_training_pods_mount_just_the_keys_they_need(kafka: dict[str, Any], keys: list[tuple[str, str]]) -> None:
    both = pods(secured(**kafka))
    assert len(both) == 2
    for pod in both:
        secrets = [source["secret"] for source in sources(pod)]
        assert [(each["name"], item["key"]) for each in secrets for item in each["items"]] == keys
        assert all(each["optional"] for each in secrets), "a pod that does not start cannot say what it lacks"


def test_a_token_of_the_service_account_is_mounted_for_its_audience_alone() -> None:
    for pod in pods(secured(sasl=TOKEN)):
        [source] = sources(pod)
        assert source["serviceAccountToken"]["audience"] == "kafka"
    assert pods(secured(sasl=TOKEN))[0]["automountServiceAccountToken"] is False


def test_without_credentials_nothing_is_mounted() -> None:
    world = World()
    world.settle()
    assert [volume for pod in pods(world) for volume in pod["volumes"] if "projected" in volume] == []


def test_no_pod_gets_a_secret_by_environment_or_argument() -> None:
    for pod in pods(secured(tls=TLS, sasl=SCRAM)):
        [container] = pod["containers"]
        assert "envFrom" not in container
        assert not container.get("args")
        assert not container.get("command")
        assert not [each for each in container["env"] if "secretKeyRef" in json.dumps(each)]


def test_another_secret_replaces_the_pods() -> None:
    world = secured(sasl=SCRAM)
    world.edit({"source": {"kafka": {"sasl": {"secretRef": {"name": "others"}}}}})
    applied = [kind_of(each.manifest) for each in world.plan.actions if isinstance(each, Apply)]
    assert DEPLOYMENTS in applied


def test_a_training_that_waits_at_a_closed_door_begins_again_with_another_secret() -> None:
    world = secured(sasl=SCRAM)
    before = world.job
    assert before is not None
    world.edit({"source": {"kafka": {"sasl": {"secretRef": {"name": "others"}}}}})
    assert [each.name for each in world.plan.actions if isinstance(each, Delete)] == [before["metadata"]["name"]]
    world.settle()
    assert world.job is not None
    volumes = world.job["spec"]["template"]["spec"]["volumes"]
    assert "others" in json.dumps(volumes)


def test_a_training_that_has_succeeded_is_not_repeated_for_another_secret() -> None:
    world = secured(sasl=SCRAM)
    assert world.job is not None
    world.job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
    world.add_model()
    world.settle()
    key = world.key
    world.edit({"source": {"kafka": {"sasl": {"secretRef": {"name": "others"}}}}})
    assert world.key == key
    assert [each for each in world.plan.actions if isinstance(each, Delete)] == []
    assert JOBS not in [kind_of(each.manifest) for each in world.plan.actions if isinstance(each, Apply)]
