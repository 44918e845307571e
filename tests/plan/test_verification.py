"""Models that somebody brought: checked once by a Job, and only then given to pods. Those that were trained here are not."""

from dataclasses import replace
from typing import Any

import pytest

from anomaly_operator.core import snapshot as seen
from anomaly_operator.core.models.verification import AGAIN_AFTER, ModelSnapshot, plan
from anomaly_operator.core.resources.names import VERIFIER
from anomaly_operator.core.snapshot import Model
from anomaly_operator.core.status.pods import pod
from tests.plan.situations import referring
from tests.plan.world import START, World, calibration, merged, seen_time

IMAGE = "example/detector:1"


def document(**artifact: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "brought", "namespace": "plant", "uid": "uid-brought", "creationTimestamp": seen_time(START)},
        "spec": {
            "digest": f"sha256:{'1' * 64}",
            "artifact": artifact or {"configMapRef": {"name": "brought"}},
            "interface": {"features": ["temperature", "pressure"], "windows": [{"name": "short", "size": 12}]},
            "calibration": [calibration()],
            "imported": {"origin": "a test"},
        },
    }


def model(**artifact: Any) -> Model:
    return seen.model(document(**artifact))


def started(of: Model) -> ModelSnapshot:
    planned = plan(ModelSnapshot("plant", of), IMAGE, START)
    assert planned.apply is not None
    live = planned.apply | {"metadata": planned.apply["metadata"] | {"uid": "uid-job"}, "status": {}}
    return ModelSnapshot("plant", of, live)


def ended(how: str, words: str = "", exit_code: int = 3) -> ModelSnapshot:
    before = started(model())
    assert before.job is not None
    status = {"conditions": [{"type": how, "status": "True", "lastTransitionTime": seen_time(START), "message": "it failed"}]}
    terminated = {"exitCode": exit_code, "message": words, "finishedAt": seen_time(START)}
    made = {
        "metadata": {"name": "brought-1", "ownerReferences": [{"uid": "uid-job", "controller": True}]},
        "status": {"phase": "Failed", "containerStatuses": [{"name": VERIFIER, "state": {"terminated": terminated}}]},
    }
    return replace(before, job=before.job | {"status": status}, pods=(pod(made),))


def verified(found: ModelSnapshot, now: float = START + 5) -> tuple[str, str, str]:
    planned = plan(found, IMAGE, now)
    assert planned.status is not None
    [condition] = planned.status["conditions"]
    return condition["status"], condition["reason"], condition["message"]


def test_the_check_runs_without_rights_or_anything_to_write_to() -> None:
    job = started(model(uri={"url": "s3://models/a.tar", "secretRef": {"name": "store"}})).job
    assert job is not None
    spec = job["spec"]["template"]["spec"]
    [container] = spec["containers"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["envFrom"] == [{"secretRef": {"name": "store"}}]
    assert job["metadata"]["ownerReferences"][0]["uid"] == "uid-brought"


def test_a_check_that_ends_well_lets_the_model_in() -> None:
    assert verified(ended("Complete"))[:2] == ("True", "Checked")


def test_a_refusal_says_what_is_missing_and_is_final() -> None:
    words = '{"reason": "OpsetNotSupported", "message": "the graph of window short is of opset 99"}'
    found = ended("Failed", words)
    assert verified(found) == ("False", "OpsetNotSupported", "the graph of window short is of opset 99")
    refused = seen.model(merged(document(), {"status": plan(found, IMAGE, START).status}))
    assert plan(replace(found, model=refused), IMAGE, START + 10 * AGAIN_AFTER).delete is None
    assert plan(ModelSnapshot("plant", refused), IMAGE, START).apply is None


@pytest.mark.parametrize(
    "words", ['{"reason": "ModelStoreUnreachable", "message": "the archive cannot be read"}', "exit code 1", '{"reason": "?"}']
)
def test_a_check_that_says_nothing_of_the_model_is_made_again_later(words: str) -> None:
    found = ended("Failed", words, exit_code=4)
    assert verified(found)[0] == "Unknown"
    assert plan(found, IMAGE, START + 10).delete is None
    again = plan(found, IMAGE, START + AGAIN_AFTER + 1)
    assert again.delete is not None
    assert again.delete["metadata"]["uid"] == "uid-job"


def test_what_was_trained_here_is_not_checked_and_what_only_says_so_is() -> None:
    trained_here = replace(model(), owner="uid-1", spec=model().spec.model_copy(update={"imported": None}))
    assert plan(ModelSnapshot("plant", trained_here), IMAGE, START).apply is None
    assert plan(ModelSnapshot("plant", replace(trained_here, owner="")), IMAGE, START).apply is not None


def with_brought(status: str, reason: str) -> World:
    world = referring()
    said = {"type": "Verified", "status": status, "reason": reason, "message": "it is of opset 99"}
    condition = said | {"lastTransitionTime": seen_time(START), "observedGeneration": 1}
    world.models["brought"] = document() | {"status": {"conditions": [condition]}}
    world.settle()
    return world


def test_pods_are_told_of_the_model_only_when_it_has_passed() -> None:
    waiting = with_brought("Unknown", "Checking")
    assert waiting.assignment.stable.model is None
    assert waiting.condition("ModelAvailable") == ("False", "ModelUnverified")
    assert waiting.condition("Reconciling")[0] == "True"
    assert with_brought("True", "Checked").assignment.stable.model == f"sha256:{'1' * 64}"


def test_the_detector_that_refers_to_a_refused_model_says_what_is_missing() -> None:
    world = with_brought("False", "OpsetNotSupported")
    assert world.assignment.stable.model is None
    assert world.condition("Stalled") == ("True", "ModelRefused")
    assert "it is of opset 99" in world.message("ModelAvailable")
