"""Whose an object is: owner references decide, a label does not."""

from anomaly_operator.core.resources.names import (
    ANNOTATION_MANIFEST,
    DEPLOYMENTS,
    DETECTORS,
    JOBS,
    PODS,
    REPLICA_SETS,
    SERVICES,
)
from anomaly_operator.kube.informers import Cache
from tests.operator.documents import KEY, child, detector, owned_by, scoring_pod


def test_a_foreign_object_with_our_label_is_not_a_child() -> None:
    cache = Cache()
    cache.put(DETECTORS, detector())
    foreign = child("someone-elses-job", spec={}, status={})
    foreign["metadata"]["ownerReferences"] = []
    cache.put(JOBS, foreign)
    other = child("of-a-namesake")
    other["metadata"]["ownerReferences"] = [owned_by("uid-of-the-one-before")]
    cache.put(SERVICES, other)
    snapshot = cache.snapshot(KEY)
    assert snapshot is not None
    assert snapshot.children == {}


def test_what_the_operator_made_and_nobody_owns_any_more_is_adopted() -> None:
    cache = Cache()
    cache.put(DETECTORS, detector())
    orphan = child()
    orphan["metadata"] |= {"ownerReferences": [], "annotations": {ANNOTATION_MANIFEST: "0123"}}
    cache.put(SERVICES, orphan)
    assert cache.child(KEY, SERVICES, "pumps-detector") is not None


def test_only_pods_that_the_detectors_own_deployment_and_jobs_made_are_its_pods() -> None:
    cache = Cache()
    cache.put(DETECTORS, detector())
    cache.put(PODS, scoring_pod("real", "uid-replicas"))
    cache.put(PODS, scoring_pod("trainer", "uid-job"))
    cache.put(PODS, scoring_pod("pretender", "uid-another-set"))
    cache.put(DEPLOYMENTS, child("pumps-detector", spec={}))
    cache.put(JOBS, child("job", spec={}))
    for name, maker in (("replicas", "uid-pumps-detector"), ("another-set", "uid-another-deployment")):
        made = child(name)
        made["metadata"]["ownerReferences"] = [owned_by(maker)]
        cache.put(REPLICA_SETS, made)
    assert {pod.name for pod in cache.pods(KEY)} == {"real", "trainer"}
