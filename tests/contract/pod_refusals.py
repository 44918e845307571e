"""What is wrong with scoring pods (`pod`) and training pods (`training.pod`) alike, and the rows of all else. No test."""

from tests.contract import refusals
from tests.contract.documents import changed, example
from tests.contract.refusals import NAME, OWN, Wrong

_VARIABLE = "write the name of an environment variable, such as HTTPS_PROXY"
_OWN_VARIABLE = "POD_NAME and names beginning with ANOMALY_ are the operator's own: choose another name"
_EXACTLY_ONE_VOLUME = "set exactly one of: configMap, secret, emptyDir, persistentVolumeClaim, projected, csi"
_OWN_VOLUME = (
    "config, model-a, model-b, stable, tmp, credentials, store are the names of the operator's own volumes: choose another name"
)
_OWN_FOLDER = (
    "volumeMounts must not be below /etc/anomaly-, /var/lib/anomaly-, /tmp, /var/run/secrets/kubernetes.io: "
    "the operator mounts its own volumes there"
)
_MOUNT_PATH = "write an absolute path without a colon, such as /etc/ssl/company"
_NO_VOLUME = "volumeMounts must name volumes that stand in volumes: add the volume, or correct the name"


def _pod(field: str, sentence: str, **shape: object) -> list[Wrong]:
    """The same flaw of scoring pods and of training pods."""
    places: dict[str, dict[str, object]] = {"pod": {"pod": shape}, "training.pod": {"training": {"pod": shape}}}
    shortest = example("shortest.yaml")
    return [
        Wrong(f"spec.{place}.{field}".rstrip("."), sentence, changed(shortest, {"spec": spec})) for place, spec in places.items()
    ]


def _mount(field: str, sentence: str, path: str, name: str = "ca") -> list[Wrong]:
    volumes, mounts = [{"name": name, "secret": {}}], [{"name": name, "mountPath": path}]
    return _pod(field, sentence, volumes=volumes, volumeMounts=mounts)


ROWS = [
    *refusals.ROWS,
    *_pod("serviceAccountAnnotations", OWN, serviceAccountAnnotations={"app.kubernetes.io/name": "mine"}),
    *_pod("env[0].name", _VARIABLE, env=[{"name": "1ST"}]),
    *_pod("env[0]", _OWN_VARIABLE, env=[{"name": "ANOMALY_TRAINING_ORDER", "value": "{}"}]),
    *_pod("env[0]", "set value or valueFrom, not both", env=[{"name": "A", "value": "b", "valueFrom": {}}]),
    *_pod("volumes[0]", _EXACTLY_ONE_VOLUME, volumes=[{"name": "ca"}]),
    *_pod("volumes[0]", _OWN_VOLUME, volumes=[{"name": "config", "secret": {}}]),
    *_pod("volumes[0].name", NAME, volumes=[{"name": "Config", "secret": {}}]),
    *_mount("volumeMounts", _OWN_FOLDER, "/etc/anomaly-detector/mine"),
    *_mount("volumeMounts[0].mountPath", _MOUNT_PATH, "relative"),
    *_mount("volumeMounts[0].name", NAME, "/ca", "Ca"),
    *_pod("", _NO_VOLUME, volumeMounts=[{"name": "ca", "mountPath": "/ca"}])[:1],
]
