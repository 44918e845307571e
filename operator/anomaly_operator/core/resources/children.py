"""The children: which differ from what they should be, which must go, which pods are to be told. Pure."""

from anomaly_api.meta import ANNOTATION_RUNTIME
from anomaly_api.schema import digest
from anomaly_operator.core.actions import Action, Apply, Delete, FillSlot, Nudge
from anomaly_operator.core.desired_state import Course
from anomaly_operator.core.resources import manifests
from anomaly_operator.core.resources.diff import differs
from anomaly_operator.core.resources.manifests import Installation
from anomaly_operator.core.resources.names import (
    ANNOTATION_MANIFEST,
    JOBS,
    ROLE_BINDINGS,
    SERVICE_ACCOUNTS,
    Kind,
    kind_of,
    trainer_child,
)
from anomaly_operator.core.snapshot import Manifest, Observed
from anomaly_operator.core.status import health
from anomaly_operator.core.training import order as training_order


def actions(observed: Observed, installation: Installation, course: Course) -> list[Action]:
    """What is to be done to the children, in this order."""
    detector = observed.detector
    found: list[Action] = [_delete(kind, live) for kind, live in _unwanted(observed, installation, course)]
    found += [
        FillSlot(manifests.slot(detector, copy.slot, copy.digest), copy.source, copy.digest) for copy in course.delivery.copies
    ]
    wanted = manifests.always(detector)
    if course.asked:
        wanted += manifests.for_training(detector, installation)
    wanted.append(manifests.settings(detector, course.runtime, course.assignment))
    wanted.append(manifests.deployment(detector, installation, course.runtime, 0 if course.prevented else course.scale.replicas))
    found += [Apply(manifest) for manifest in map(stamped, wanted) if _drifted(observed, manifest)]
    if course.asked and course.choice.awaited and not course.prevented and (JOBS, course.asked.job) not in observed.children:
        found.append(Apply(stamped(manifests.job(detector, installation, course.asked))))
    return [*found, *_nudges(observed, course)]


def _nudges(observed: Observed, course: Course) -> list[Action]:
    told, evidence = course.assignment.digest, observed.evidence_by_pod
    pods = [pod for pod in health.scoring_pods(observed) if pod.name in evidence]
    return [Nudge(pod.name, told) for pod in pods if told not in (evidence[pod.name].assignment, pod.assignment)]


def stamped(manifest: Manifest) -> Manifest:
    """With the digest of what it says, so that what we no longer say is noticed too."""
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), ANNOTATION_MANIFEST: digest(manifest)[:16]}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def _drifted(observed: Observed, manifest: Manifest) -> bool:
    live = observed.children.get((kind_of(manifest), manifest["metadata"]["name"]))
    if live is None:
        return True
    return "deletionTimestamp" not in live["metadata"] and differs(manifest, live)


def _unwanted(observed: Observed, installation: Installation, course: Course) -> list[tuple[Kind, Manifest]]:
    """Children that must go: Jobs of other orders, trainings that must not run, bindings that cannot be changed."""
    found = [(JOBS, live) for live in training_order.leftovers(observed, course.asked)]
    job = observed.children.get((JOBS, course.asked.job)) if course.asked else None
    if job is not None and (
        (course.fate and course.fate.again) or (course.prevented and not _finished(job)) or _strayed(job, course)
    ):
        found.append((JOBS, job))
    name = trainer_child(observed.detector.name)
    binding = observed.children.get((ROLE_BINDINGS, name))
    if binding is not None and (course.asked is None or binding["roleRef"].get("name") != installation.trainer_role):
        found.append((ROLE_BINDINGS, binding))
    account = observed.children.get((SERVICE_ACCOUNTS, name))
    if account is not None and course.asked is None:
        found.append((SERVICE_ACCOUNTS, account))
    return [(kind, live) for kind, live in found if "deletionTimestamp" not in live["metadata"]]


def _strayed(job: Manifest, course: Course) -> bool:
    """Whether a training that has not succeeded reaches Kafka otherwise than the spec says now: by other Secrets, for example.

    It is the same training all the same, and one that has succeeded is not repeated for it.
    """
    told = job["metadata"].get("annotations", {}).get(ANNOTATION_RUNTIME)
    if course.asked is None or told in (None, digest(course.asked.kafka.document())):
        return False
    return not _ended(job, "Complete")


def _delete(kind: Kind, live: Manifest) -> Delete:
    return Delete(kind, live["metadata"]["name"], live["metadata"]["uid"])


def _finished(job: Manifest) -> bool:
    return _ended(job, "Complete", "Failed")


def _ended(job: Manifest, *ways: str) -> bool:
    return any(each["type"] in ways and each["status"] == "True" for each in job.get("status", {}).get("conditions", []))
