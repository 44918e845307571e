"""What the cache keeps of an object: values of ConfigMaps other than settings as hashes, nothing that nobody looks at.

The operator's memory must not depend on what else is in the cluster.
"""

import base64
from typing import Any, Final

from anomaly_operator.core.models.slots import HASHES, content_digest
from anomaly_operator.core.resources.names import CONFIG_MAPS, DEPLOYMENTS, JOBS, REPLICA_SETS, Kind
from anomaly_operator.core.scaling import SCALED_BY
from anomaly_operator.core.snapshot import Manifest

_KUBECTL: Final = "kubectl"


def trimmed(kind: Kind, document: Manifest) -> Manifest:
    """The object without what nobody looks at."""
    metadata = {name: value for name, value in document["metadata"].items() if name != "managedFields"}
    kept: Manifest = {**{name: value for name, value in document.items() if name != "binaryData"}, "metadata": metadata}
    if kind == CONFIG_MAPS:
        if HASHES not in document:
            kept[HASHES] = {
                name: content_digest(base64.b64decode(value)) for name, value in document.get("binaryData", {}).items()
            }
        if "immutable" in document:  # a model's, not ours to compare
            kept.pop("data", None)
    if kind == REPLICA_SETS:
        return {"metadata": {name: metadata.get(name) for name in ("name", "namespace", "uid", "ownerReferences")}}
    if kind == JOBS:
        kept["spec"] = {name: value for name, value in document["spec"].items() if name != "template"}
    if kind == DEPLOYMENTS:
        kept[SCALED_BY] = _scaled_by(document["metadata"].get("managedFields", []))
    return kept


def _scaled_by(managed: list[dict[str, Any]]) -> str:
    """Who sets the replicas through the scale subresource; a person with kubectl is not an autoscaler."""
    for entry in managed:
        owns = "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
        if entry.get("subresource") == "scale" and owns and not entry["manager"].startswith(_KUBECTL):
            return str(entry["manager"])
    return ""
