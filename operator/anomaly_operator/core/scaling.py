"""How many pods score. Pure: it follows from the spec, what the pods say, and what was decided before, which the status keeps.

    lag      above maxLag: twice as many pods, up to maxReplicas, never more than there are partitions
             below half of it, and one pod less would still be idle for two fifths of the time: one less, down to minReplicas
    pace     a minute passes after a change before more pods are asked for, five before fewer: a rebalance causes no other
    silence  while a pod is missing, has not said anything, or reads up what others knew, nothing is changed

Whoever else sets the Deployment's replicas through its scale subresource (a HorizontalPodAutoscaler, KEDA) has the say.
"""

from dataclasses import dataclass
from typing import Final

from anomaly_api.detector import DetectorSpec
from anomaly_api.schema import seconds
from anomaly_api.status import ScalingStatus
from anomaly_operator.core.resources.names import DEPLOYMENTS, detector_child
from anomaly_operator.core.snapshot import Manifest, Snapshot
from anomaly_operator.core.status.health import scoring_pods
from anomaly_operator.core.timestamps import rfc3339, unix

SCALED_BY: Final = "scaledBy"
"""Where the trimmed document of a Deployment names the autoscaler that owns its replicas."""
UP_AFTER: Final = 60.0
DOWN_AFTER: Final = 300.0
"""Seconds since the last change."""
_BY_HORIZONTAL_POD_AUTOSCALER: Final = ("kube-controller-manager", "keda")
"""Field managers that write the replicas of a HorizontalPodAutoscaler: KEDA makes one of each ScaledObject."""
_BUSY_ENOUGH: Final = 0.6
"""Share of the time that a pod may work and still be said to keep up."""


@dataclass(frozen=True)
class Load:
    """What the pods say, all together."""

    lag_seconds: float
    busy: float
    """Sum of the shares of the time that they work: 1.5 is one and a half pods' worth."""
    partitions: int


@dataclass(frozen=True)
class Scale:
    """How many pods are wanted."""

    replicas: int | None
    """None: somebody else says."""
    status: ScalingStatus | None
    """What is to be remembered; None where nothing is decided."""


def scale(snapshot: Snapshot, now: float) -> Scale:
    """What follows now; it is not asked where nothing may run."""
    spec = snapshot.detector.spec
    fewest, most = spec.fewest_pods, spec.most_pods
    live = snapshot.children.get((DEPLOYMENTS, detector_child(snapshot.detector.name)), {})
    running = live.get("spec", {}).get("replicas", 0)
    if _autoscaler_decides(snapshot, live) and running > 0:
        return Scale(None, None)
    if most == fewest:
        return Scale(fewest, None)
    before = snapshot.detector.status.scaling
    if before is None:
        return _decided(min(max(running, fewest), most), "Begun", now)
    bounded = min(max(before.replicas, fewest), most)
    if bounded != before.replicas:
        return _decided(bounded, "Bounds", now)
    load = _load(snapshot, before.replicas)
    reason = _reason(spec, before, load, now) if load else ""
    if load is None or not reason:
        return Scale(before.replicas, before)
    more = min(2 * before.replicas, most, load.partitions)
    return _decided(more if reason == "Lag" else before.replicas - 1, reason, now)


def _autoscaler_decides(snapshot: Snapshot, live: Manifest) -> bool:
    """Whether somebody else sets the replicas. What an autoscaler has written stays after it was deleted, so it must be there."""
    manager = str(live.get(SCALED_BY, ""))
    if manager.startswith(_BY_HORIZONTAL_POD_AUTOSCALER):
        return snapshot.autoscaled
    return bool(manager)


def _reason(spec: DetectorSpec, before: ScalingStatus, load: Load, now: float) -> str:
    """Why there are to be more or fewer; empty: as many."""
    since, count, allowed = now - unix(before.since), before.replicas, seconds(spec.scaling.max_lag)
    if load.lag_seconds > allowed:
        return "Lag" if since >= UP_AFTER and count < min(spec.most_pods, load.partitions) else ""
    idle = load.lag_seconds < allowed / 2 and load.busy < _BUSY_ENOUGH * (count - 1)
    return "Idle" if idle and since >= DOWN_AFTER and count > spec.fewest_pods else ""


def _load(snapshot: Snapshot, wanted: int) -> Load | None:
    """None: not all of them are there and at work, or not all have said so."""
    evidence = list(snapshot.evidence_by_pod.values())
    pods = scoring_pods(snapshot)
    if len(pods) != wanted or len(evidence) != wanted or any(each.source.recovering for each in evidence):
        return None
    return Load(
        lag_seconds=max(each.source.lag_seconds for each in evidence),
        busy=sum(each.busy for each in evidence),
        partitions=sum(each.source.partitions for each in evidence),
    )


def _decided(replicas: int, reason: str, now: float) -> Scale:
    return Scale(replicas, ScalingStatus(replicas=replicas, reason=reason, since=rfc3339(now)))
