"""How credentials reach the pods: as files that kubelet mounts and keeps up to date. The operator never reads a Secret.

Everything is optional: a pod whose Secret is missing starts all the same, and says itself which one and which key it lacks;
kubelet alone would leave it waiting, with its reason in an Event.
"""

from typing import Any, Final

from anomaly_api.formats import registry_files
from anomaly_api.meta import SECRET_FOLDER
from anomaly_api.schema import seconds
from anomaly_api.security import TOKEN_FILE, files
from anomaly_api.source import Source

_VOLUME: Final = "credentials"
_MODE: Final = 0o440
"""For the pod's own group, which `fsGroup` makes the owner."""


def mounted(source: Source) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Volumes and mounts; none where brokers and schema registry are neither verified nor told a name."""
    kafka = source.kafka
    sources: list[dict[str, Any]] = [
        {"secret": {"name": file.secret, "items": [{"key": file.key, "path": file.path}], "optional": True}}
        for file in (*files(kafka.tls, kafka.sasl), *registry_files(source.schema_registry))
    ]
    token = kafka.sasl.oauth.service_account_token if kafka.sasl and kafka.sasl.oauth else None
    if token is not None:
        asked = {"audience": token.audience, "expirationSeconds": round(seconds(token.expiration)), "path": TOKEN_FILE}
        sources.append({"serviceAccountToken": asked})
    if not sources:
        return [], []
    volume = {"name": _VOLUME, "projected": {"defaultMode": _MODE, "sources": sources}}
    return [volume], [{"name": _VOLUME, "mountPath": SECRET_FOLDER, "readOnly": True}]
