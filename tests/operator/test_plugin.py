"""`kubectl anomaly` on a real API server: what it patches, what it ends with, and whom RBAC lets do what.

No operator runs beside these tests, so that a status is what they wrote; `test_plugin_and_operator` has one.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from kubectl_anomaly.__main__ import main
from kubectl_anomaly.exits import Exit
from tests.operator.running import Plant, eventually

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration
DETECTOR = "anomalydetector"
CANDIDATE = {
    "revision": "22222222",
    "model": "pumps-22222222",
    "since": "2026-01-01T00:00:00Z",
    "phase": "Paused",
    "step": "2/3",
    "weight": 20,
    "reason": "it waits until someone says go",
}
STABLE = {"revision": "11111111", "model": "pumps-11111111", "since": "2026-01-01T00:00:00Z"}


@dataclass
class Person:
    """Somebody with a kubeconfig, who types commands."""

    plant: Plant
    kubeconfig: str
    printed: pytest.CaptureFixture[str]

    def types(self, *words: str, namespace: str = "") -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        status = main(["--kubeconfig", self.kubeconfig, "-n", namespace or self.plant.namespace, *words])
        said = self.printed.readouterr()
        return status, said.out, said.err


@pytest.fixture
def admin(plant: Plant, capsys: pytest.CaptureFixture[str]) -> Person:
    """Where no operator runs: what the status says is what the test wrote."""
    return Person(plant, plant.cluster.kubeconfig, capsys)


def bound(plant: Plant, capsys: pytest.CaptureFixture[str], role: str, folder: Path) -> Person:
    """Somebody with one ClusterRole in the namespace."""
    plant.kubectl("create", "serviceaccount", role)
    account = f"{plant.namespace}:{role}"
    plant.kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--serviceaccount={account}")
    config = json.loads(plant.cluster.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    config["users"][0]["user"] = {"token": plant.kubectl("create", "token", role).strip()}
    path = folder / f"{role}.kubeconfig"
    path.write_text(json.dumps(config))
    return Person(plant, str(path), capsys)


def in_rollout(plant: Plant) -> None:
    plant.detector()
    plant.edit(DETECTOR, "pumps", {"status": {"stable": STABLE, "candidate": CANDIDATE}}, "--subresource=status")


def test_exit_statuses_tell_scripts_what_is_the_matter(admin: Person, tmp_path: Path) -> None:
    assert admin.types("status", "nobody")[0] == Exit.NOT_FOUND
    assert admin.types("model", "show", "nothing")[0] == Exit.NOT_FOUND
    assert admin.types("alerts", "nobody")[0] == Exit.NOT_FOUND
    admin.plant.detector()
    status, _, said = admin.types("ack", "pumps", "FalseAlarm", "0" * 32)
    assert (status, "no scoring pod of pumps is ready" in said) == (Exit.UNREACHABLE, True)
    admin.kubeconfig = str(tmp_path / "none")
    assert admin.types("list")[0] == Exit.UNREACHABLE


def test_a_command_is_a_patch_of_the_status_and_its_answer_is_printed(admin: Person) -> None:
    plant = admin.plant
    in_rollout(plant)
    before = plant.get(DETECTOR, "pumps")

    def answer() -> None:
        command = eventually(lambda: (plant.get(DETECTOR, "pumps") or {})["status"].get("command"))
        handled = {"id": command["id"], "accepted": True, "message": "revision 22222222 goes on", "at": "2026-01-01T00:00:00Z"}
        plant.edit(DETECTOR, "pumps", {"status": {"commandHandled": handled}}, "--subresource=status")

    operator = threading.Thread(target=answer)
    operator.start()
    status, said, error = admin.types("promote", "pumps")
    operator.join()
    assert (status, said) == (Exit.DONE, "pumps: revision 22222222 goes on\n"), error
    after = plant.get(DETECTOR, "pumps")
    assert after is not None
    assert before is not None
    assert after["spec"] == before["spec"]
    assert {name: after["status"]["command"].get(name) for name in ("name", "revision", "to")} == {
        "name": "Promote",
        "revision": "22222222",
        "to": None,
    }
    assert admin.types("undo", "pumps", "--to", "11111111", "--no-wait")[0] == Exit.DONE
    command = (plant.get(DETECTOR, "pumps") or {})["status"]["command"]
    assert (command["name"], command["to"], command.get("revision")) == ("Undo", "11111111", None)


def test_what_makes_no_sense_is_refused(admin: Person) -> None:
    admin.plant.detector()
    status, _, said = admin.types("promote", "pumps")
    assert (status, "there is nothing to promote" in said) == (Exit.REFUSED, True)
    in_rollout(admin.plant)
    assert admin.types("promote", "pumps", "--revision", "33333333")[0] == Exit.REFUSED
    status, _, said = admin.types("abort", "pumps", "--timeout", "1")
    assert (status, "has not answered" in said) == (Exit.TIMEOUT, True), said


def test_an_editor_may_not_promote_and_a_promoter_may_not_edit(
    plant: Plant, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    in_rollout(plant)
    editor = bound(plant, capsys, "edit", tmp_path)
    eventually(lambda: editor.types("train", "pumps")[0] == Exit.DONE)  # the role is aggregated in a while
    assert editor.types("promote", "pumps", "--no-wait")[0] == Exit.FORBIDDEN
    promoter = bound(plant, capsys, "anomaly-operator-promote", tmp_path)
    assert promoter.types("promote", "pumps", "--no-wait")[0] == Exit.DONE
    assert promoter.types("train", "pumps")[0] == Exit.FORBIDDEN
    by = (plant.get(DETECTOR, "pumps") or {})["status"]["command"]["by"]
    assert by == f"system:serviceaccount:{plant.namespace}:anomaly-operator-promote"
    viewer = bound(plant, capsys, "view", tmp_path)
    eventually(lambda: viewer.types("status", "pumps")[0] == Exit.UNDER_WAY)
    assert viewer.types("abort", "pumps", "--no-wait")[0] == Exit.FORBIDDEN
