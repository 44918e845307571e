"""How the pods run: resources, scheduling, identity, environment and volumes of scoring and training pods."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from anomaly_api.policy import LocalReference, Opaque
from anomaly_api.quantity import Quantity
from anomaly_api.schema import Contract, exactly_one, list_map, matching, rule
from anomaly_api.source import Name

_QUANTITIES: Final = {
    "rule": "self.all(name, isQuantity(string(self[name])))",
    "message": "write Kubernetes quantities, such as cpu: 500m or memory: 256Mi",
}
Quantities = Annotated[dict[str, Quantity], Field(max_length=16, json_schema_extra={"x-kubernetes-validations": [_QUANTITIES]})]


@rule(
    "!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits) "
    "|| !isQuantity(string(self.requests[name])) || !isQuantity(string(self.limits[name])) "
    "|| quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)",
    "requests must not be greater than limits: no node would take the pod",
)
class Resources(Contract):
    """Compute resources of a container."""

    requests: Quantities | None = None
    """CPU, memory and the like that the scheduler reserves for the container on a node."""
    limits: Quantities | None = None
    """CPU, memory and the like that the container may not exceed: beyond the CPU it is slowed down, beyond the memory killed."""


_OWN_PREFIXES: Final = {
    "rule": "self.all(name, !name.startsWith('anomaly-operator.dev/') && !name.startsWith('app.kubernetes.io/'))",
    "message": "names beginning with anomaly-operator.dev/ or app.kubernetes.io/ are the operator's own: choose others",
}
PodTexts = Annotated[
    dict[str, Annotated[str, Field(max_length=4096)]],
    Field(max_length=64, json_schema_extra={"x-kubernetes-validations": [_OWN_PREFIXES]}),
]
VariableName = Annotated[
    str,
    Field(max_length=256),
    matching("write the name of an environment variable, such as HTTPS_PROXY", "^[-._a-zA-Z][-._a-zA-Z0-9]*$"),
]
OWN_VOLUMES: Final = ("config", "model-a", "model-b", "stable", "tmp", "credentials", "store")
"""Names of volumes that the operator gives its pods."""
_OWN_VOLUME_LIST: Final = ", ".join(f"'{name}'" for name in OWN_VOLUMES)
_OWN_FOLDERS: Final = ("/etc/anomaly-", "/var/lib/anomaly-", "/tmp", "/var/run/secrets/kubernetes.io")  # noqa: S108 - refused


class PullPolicy(StrEnum):
    """When a node pulls an image, as in Kubernetes."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class UserId(StrEnum):
    """Who chooses the user that the containers run as."""

    FIXED = "Fixed"
    PLATFORM = "Platform"


@rule(
    "self.name != 'POD_NAME' && !self.name.startsWith('ANOMALY_')",
    "POD_NAME and names beginning with ANOMALY_ are the operator's own: choose another name",
)
@rule("!has(self.value) || !has(self.valueFrom)", "set value or valueFrom, not both")
class Variable(Contract):
    """An environment variable of the container."""

    name: VariableName
    """Name of the environment variable, such as HTTPS_PROXY."""
    value: Annotated[str, Field(max_length=4096)] | None = None
    """Value of the environment variable, readable by everyone who can read this resource. Unset: the empty text, or valueFrom."""
    value_from: Opaque | None = None
    """Source of the value, as in a pod: secretKeyRef, configMapKeyRef, fieldRef or resourceFieldRef."""


@rule(
    f"!(self.name in [{_OWN_VOLUME_LIST}])",
    f"{', '.join(OWN_VOLUMES)} are the names of the operator's own volumes: choose another name",
)
@exactly_one("configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected", "csi")
class Volume(Contract):
    """A volume of the pod. hostPath and the like are not offered: the operator makes the pods with its own rights."""

    name: Name
    """Name by which volumeMounts refers to the volume."""
    config_map: Opaque | None = None
    """ConfigMap whose keys are the files, as in a pod: name, items, optional, defaultMode."""
    secret: Opaque | None = None
    """Secret whose keys are the files, as in a pod: secretName, items, optional, defaultMode."""
    empty_dir: Opaque | None = None
    """Empty folder that lives as long as the pod, as in a pod: sizeLimit, medium."""
    persistent_volume_claim: Opaque | None = None
    """Volume that a PersistentVolumeClaim stands for, as in a pod: claimName, readOnly."""
    projected: Opaque | None = None
    """Several sources in one folder, as in a pod: Secrets, ConfigMaps, tokens of the service account, fields of the pod."""
    csi: Opaque | None = None
    """Volume of a CSI driver, such as the Secrets Store's, as in a pod: driver, volumeAttributes, readOnly."""


class VolumeMount(Contract):
    """A place in the container where a volume is found."""

    name: Name
    """Name of the volume in volumes."""
    mount_path: Annotated[
        str,
        Field(max_length=512),
        matching("write an absolute path without a colon, such as /etc/ssl/company", "^/[^:]*$"),
    ]
    """Absolute path in the container where the volume is found."""
    sub_path: Annotated[str, Field(max_length=512)] | None = None
    """File or folder within the volume that is mounted. Unset: all of it."""
    read_only: bool | None = None
    """Whether the container may only read the volume. Unset: it may write, too, where the volume allows it."""


Volumes = Annotated[list[Volume], Field(max_length=16, json_schema_extra=list_map("name"))]
_MOUNTED_THERE: Final = " || ".join(f"mount.mountPath.startsWith('{folder}')" for folder in _OWN_FOLDERS)
_OWN_MOUNTS: Final = {
    "rule": f"self.all(mount, !({_MOUNTED_THERE}))",
    "message": f"volumeMounts must not be below {', '.join(_OWN_FOLDERS)}: the operator mounts its own volumes there",
}
VolumeMounts = Annotated[
    list[VolumeMount],
    Field(max_length=32, json_schema_extra={**list_map("mountPath"), "x-kubernetes-validations": [_OWN_MOUNTS]}),
]


class PodShape(Contract):
    """What scoring and training pods can both be given."""

    node_selector: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=64)] | None = None
    """Labels that a node must have to run the pod. Unset: any node will do."""
    tolerations: Annotated[list[Opaque], Field(max_length=64)] | None = None
    """Taints of nodes that the pod tolerates, as in a pod. Unset: none, so that tainted nodes are avoided."""
    affinity: Opaque | None = None
    """Rules of attraction and repulsion to nodes and other pods, as in a pod. Unset: the scheduler is free."""
    priority_class_name: Annotated[str, Field(max_length=253)] | None = None
    """PriorityClass of the pod, which decides who is scheduled first and who is evicted. Unset: the cluster's default."""
    service_account_name: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """ServiceAccount that exists already and that the pod runs as. Unset: one that the operator makes for this detector, which is
    the better choice: for workload identity it is enough to set serviceAccountAnnotations."""
    service_account_annotations: PodTexts | None = None
    """Annotations on the ServiceAccount that the operator makes, such as eks.amazonaws.com/role-arn or
    iam.gke.io/gcp-service-account, so that the pod reaches object stores and brokers without any Secret. Unset: none."""
    env: Annotated[list[Variable], Field(max_length=64, json_schema_extra=list_map("name"))] | None = None
    """Further environment variables of the container, such as HTTPS_PROXY or AWS_REGION. Unset: none."""
    env_from: Annotated[list[Opaque], Field(max_length=16)] | None = None
    """ConfigMaps and Secrets whose keys become environment variables, as in a pod: configMapRef, secretRef, prefix. Unset: none.
    """
    volumes: Volumes | None = None
    """Further volumes of the pod, such as a company's certificate authorities. Unset: none."""
    volume_mounts: VolumeMounts | None = None
    """Places in the container where the volumes are found. Unset: none."""


def _detector_resources() -> Resources:
    return Resources(requests={"cpu": "100m", "memory": "192Mi"}, limits={"memory": "512Mi"})


@rule(
    "!has(self.volumeMounts) || self.volumeMounts.all(mount, "
    "has(self.volumes) && self.volumes.exists(volume, volume.name == mount.name))",
    "volumeMounts must name volumes that stand in volumes: add the volume, or correct the name",
)
class PodSettings(PodShape):
    """The scoring pods. What makes them pass the restricted Pod Security Standard cannot be weakened here."""

    image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """Image of the detector. Unset: the one that the operator was installed with, which an upgrade of the operator replaces."""
    image_pull_policy: PullPolicy | None = None
    """Moment at which a node pulls the images of scoring and training pods. Unset: as Kubernetes decides, which is Always for
    the tag latest and IfNotPresent for others."""
    image_pull_secrets: Annotated[list[LocalReference], Field(max_length=16)] | None = None
    """Secrets with which the images of scoring and training pods are pulled. Unset: those of the ServiceAccount."""
    resources: Resources = Field(default_factory=_detector_resources)
    """CPU and memory of a scoring pod. The memory limit must have room for memoryBudget. More CPU lets a pod score more
    readings a second."""
    topology_spread_constraints: Annotated[list[Opaque], Field(max_length=16)] | None = None
    """Spreading of the scoring pods over zones and nodes, as in a pod; a constraint without labelSelector is about these
    pods. Unset: the cluster's default."""
    labels: PodTexts | None = None
    """Further labels of scoring and training pods, for network policies, cost reports, or azure.workload.identity/use."""
    annotations: PodTexts | None = None
    """Further annotations of scoring and training pods, for service meshes and log collectors, for example."""
    user_id: UserId = UserId.FIXED
    """Choice of the user that the containers run as, which is never root. Fixed, the default: 65532. Platform: none is asked
    for, so that the platform gives one, as OpenShift's restricted-v2 does. Change it on OpenShift."""


class TrainingPod(PodShape):
    """The training pods, apart from the scoring pods: for a node pool with many cores or GPUs, for example.

    Of a field that is not set that of `pod` counts, but for serviceAccountName; `{}` or `[]` takes it away.
    """
