"""Names of everything the operator makes for a detector, and the kinds of resources it deals with. No behaviour."""

from dataclasses import dataclass
from typing import Final

from anomaly_api.meta import GROUP, LABEL_COMPONENT, LABEL_DETECTOR, VERSION

FIELD_MANAGER: Final = "anomaly-operator"
ANNOTATION_MANIFEST: Final = f"{GROUP}/manifest"
"""On every child: digest of the manifest that was applied, so that a change of ours is told from a change of others."""
ANNOTATION_CONTENT: Final = f"{GROUP}/assignment"
"""On the ConfigMap of the assignment: the assignment's digest, so that an edited one is never mistaken for ours."""

ANNOTATION_SLOT: Final = f"{GROUP}/detector-model"
"""On the ConfigMap of a slot: digest of the model in it."""

DETECTOR: Final = "detector"
TRAINER: Final = "trainer"
VERIFIER: Final = "verifier"
"""Values of the component label."""


@dataclass(frozen=True)
class Kind:
    """A kind of resource, as the API's paths name it."""

    group: str
    version: str
    kind: str
    plural: str

    @property
    def api_version(self) -> str:
        """For example `apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The path below the server's address; without a namespace all of them."""
        parts = [f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"]
        parts += [f"namespaces/{namespace}"] if namespace else []
        parts += [self.plural, *(part for part in (name, subresource) if part)]
        return "/".join(parts)


DETECTORS: Final = Kind(GROUP, VERSION, "AnomalyDetector", "anomalydetectors")
MODELS: Final = Kind(GROUP, VERSION, "AnomalyModel", "anomalymodels")
CONFIG_MAPS: Final = Kind("", "v1", "ConfigMap", "configmaps")
SERVICE_ACCOUNTS: Final = Kind("", "v1", "ServiceAccount", "serviceaccounts")
SERVICES: Final = Kind("", "v1", "Service", "services")
PODS: Final = Kind("", "v1", "Pod", "pods")
EVENTS: Final = Kind("", "v1", "Event", "events")
DEPLOYMENTS: Final = Kind("apps", "v1", "Deployment", "deployments")
REPLICA_SETS: Final = Kind("apps", "v1", "ReplicaSet", "replicasets")
CONTROLLER_REVISIONS: Final = Kind("apps", "v1", "ControllerRevision", "controllerrevisions")
JOBS: Final = Kind("batch", "v1", "Job", "jobs")
AUTOSCALERS: Final = Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
DISRUPTION_BUDGETS: Final = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
ROLE_BINDINGS: Final = Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
LEASES: Final = Kind("coordination.k8s.io", "v1", "Lease", "leases")

CHILDREN: Final = (
    SERVICE_ACCOUNTS,
    ROLE_BINDINGS,
    CONTROLLER_REVISIONS,
    CONFIG_MAPS,
    SERVICES,
    DISRUPTION_BUDGETS,
    DEPLOYMENTS,
    JOBS,
)
"""What a detector owns, in the order in which it is made: what pods need comes before the pods."""
WATCHED: Final = (DETECTORS, MODELS, *CHILDREN, REPLICA_SETS, PODS, AUTOSCALERS)


def kind_of(manifest: dict[str, object]) -> Kind:
    """The kind of a manifest of ours. Raises KeyError for others."""
    return _BY_KIND[str(manifest["kind"])]


_BY_KIND: Final = {kind.kind: kind for kind in WATCHED}


def detector_child(detector: str) -> str:
    """Deployment, Service, PodDisruptionBudget, ConfigMap and ServiceAccount of the scoring pods."""
    return f"{detector}-detector"


def trainer_child(detector: str) -> str:
    """ServiceAccount and RoleBinding of the training pods."""
    return f"{detector}-trainer"


def revision_child(detector: str, revision: str) -> str:
    """ControllerRevision that has the content of the revision with this name."""
    return f"{detector}-{revision}"


def slot_child(detector: str, slot: str) -> str:
    """ConfigMap that delivers a model to the scoring pods."""
    return f"{detector}-model-{slot}"


def pod_labels(detector: str) -> dict[str, str]:
    """Labels that tell the scoring pods of a detector from all other pods."""
    return {LABEL_DETECTOR: detector, LABEL_COMPONENT: DETECTOR}


def job_name(detector: str, key: str) -> str:
    """Job of the training with this key."""
    return f"{detector}-train-{key}"


def brokers(bootstrap_servers: str) -> frozenset[str]:
    """The broker addresses, comparable: two detectors that share one read the same cluster."""
    return frozenset(part.strip().lower() for part in bootstrap_servers.split(",") if part.strip())
