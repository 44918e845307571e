"""The children: which differ from what they should be, which must go, which pods are to be told. Pure."""

from typing import Final

from anomaly_api.assignment import Assignment, Revision, Runtime
from anomaly_api.meta import ANNOTATION_RUNTIME
from anomaly_api.schema import digest
from anomaly_operator.core.actions import Action, Apply, Delete, FillSlot, RefreshMounts
from anomaly_operator.core.desired_state import DesiredState
from anomaly_operator.core.memo import ByIdentity
from anomaly_operator.core.models import history
from anomaly_operator.core.resources import manifests
from anomaly_operator.core.resources.diff import differs
from anomaly_operator.core.resources.manifests import Installation
from anomaly_operator.core.resources.names import (
    ANNOTATION_MANIFEST,
    CONTROLLER_REVISIONS,
    JOBS,
    ROLE_BINDINGS,
    SERVICE_ACCOUNTS,
    Kind,
    kind_of,
    trainer_child,
)
from anomaly_operator.core.snapshot import Detector, Manifest, Snapshot
from anomaly_operator.core.status import health
from anomaly_operator.core.training.outcome import ended, stale_jobs


def actions(snapshot: Snapshot, installation: Installation, desired: DesiredState) -> list[Action]:
    """What is to be done to the children, in this order."""
    detector = snapshot.detector
    found: list[Action] = [_delete(kind, live) for kind, live in _unwanted(snapshot, installation, desired)]
    found += [
        FillSlot(manifests.slot(detector, copy.slot, copy.digest), copy.source, copy.digest)
        for copy in desired.rollout.slots.copies
    ]
    replicas = 0 if desired.blocked else desired.scale.replicas
    wanted = [
        *_besides(detector, installation, desired.training_order is not None),
        *(_recorded(detector, each, number) for each, number in history.numbered(snapshot, desired.rollout.kept)),
        _settings(detector, desired.runtime, desired.rollout.assignment),
        _deployment(detector, installation, desired.runtime, replicas),
    ]
    found += [Apply(manifest) for manifest in wanted if _needs_apply(snapshot, manifest)]
    if desired.starts is not None:
        found.append(Apply(with_manifest_hash(manifests.job(detector, installation, desired.starts))))
    return [*found, *_refreshes(snapshot, desired)]


def _refreshes(snapshot: Snapshot, desired: DesiredState) -> list[Action]:
    told, evidence = desired.rollout.assignment.digest, snapshot.evidence_by_pod
    pods = [pod for pod in health.scoring_pods(snapshot) if pod.name in evidence]
    return [RefreshMounts(pod.name, told) for pod in pods if told not in (evidence[pod.name].assignment, pod.assignment)]


def with_manifest_hash(manifest: Manifest) -> Manifest:
    """With the digest of what it says, so that what we no longer say is noticed too."""
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), ANNOTATION_MANIFEST: digest(manifest)[:16]}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def _all(detector: Detector, installation: Installation, training: bool) -> list[Manifest]:  # noqa: FBT001 - by place
    made = manifests.always(detector) + (manifests.for_training(detector, installation) if training else [])
    return [*map(with_manifest_hash, made)]


def _record(detector: Detector, revision: Revision, number: int) -> Manifest:
    return with_manifest_hash(manifests.record(detector, revision, number))


def _config(detector: Detector, runtime: Runtime, assignment: Assignment) -> Manifest:
    return with_manifest_hash(manifests.settings(detector, runtime, assignment))


def _pods(detector: Detector, installation: Installation, runtime: Runtime, replicas: int | None) -> Manifest:
    return with_manifest_hash(manifests.deployment(detector, installation, runtime, replicas))


_besides: Final = ByIdentity(lambda detector, installation, training: detector.uid, _all)
_recorded: Final = ByIdentity(lambda detector, revision, number: (detector.uid, revision.name), _record)
_settings: Final = ByIdentity(lambda detector, runtime, assignment: detector.uid, _config)
_deployment: Final = ByIdentity(lambda detector, installation, runtime, replicas: detector.uid, _pods)
_differs: Final = ByIdentity(lambda wanted, live: (wanted["kind"], *_place(wanted)), differs)


def _place(manifest: Manifest) -> tuple[str, str]:
    return manifest["metadata"]["namespace"], manifest["metadata"]["name"]


def _needs_apply(snapshot: Snapshot, manifest: Manifest) -> bool:
    live = snapshot.children.get((kind_of(manifest), manifest["metadata"]["name"]))
    if live is None:
        return True
    return "deletionTimestamp" not in live["metadata"] and _differs(manifest, live)


def _unwanted(snapshot: Snapshot, installation: Installation, desired: DesiredState) -> list[tuple[Kind, Manifest]]:
    """Children that must go: Jobs of other orders, trainings that must not run, bindings that cannot be changed."""
    found = [(JOBS, live) for live in stale_jobs(snapshot, desired.training_order)]
    job = snapshot.children.get((JOBS, desired.training_order.job)) if desired.training_order else None
    if job is not None and (
        (desired.training_outcome and desired.training_outcome.again)
        or (desired.blocked and not _finished(job))
        or _outdated(job, desired)
    ):
        found.append((JOBS, job))
    name = trainer_child(snapshot.detector.name)
    binding = snapshot.children.get((ROLE_BINDINGS, name))
    if binding is not None and (desired.training_order is None or binding["roleRef"].get("name") != installation.trainer_role):
        found.append((ROLE_BINDINGS, binding))
    account = snapshot.children.get((SERVICE_ACCOUNTS, name))
    if account is not None and desired.training_order is None:
        found.append((SERVICE_ACCOUNTS, account))
    found += [(CONTROLLER_REVISIONS, live) for live in history.outdated(snapshot, desired.rollout.kept)]
    return [(kind, live) for kind, live in found if "deletionTimestamp" not in live["metadata"]]


def _outdated(job: Manifest, desired: DesiredState) -> bool:
    """Whether a training that has not succeeded reaches Kafka otherwise than the spec says now: by other Secrets, for example.

    It is the same training all the same, and one that has succeeded is not repeated for it.
    """
    told = job["metadata"].get("annotations", {}).get(ANNOTATION_RUNTIME)
    if desired.training_order is None or told in (None, digest(desired.training_order.kafka.essentials())):
        return False
    return not ended(job, "Complete")


def _delete(kind: Kind, live: Manifest) -> Delete:
    return Delete(kind, live["metadata"]["name"], live["metadata"]["uid"])


def _finished(job: Manifest) -> bool:
    return ended(job)
