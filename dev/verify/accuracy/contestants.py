"""Who competes on a set: the shipped configuration, the default spec, and kinds that everybody knows with the same thresholds."""

from typing import Any, Final

from anomaly_api.detector import AnomalyDetector

_KINDS: Final[dict[str, dict[str, Any]]] = {
    "PCA": {"pca": {}},
    "iforest": {"isolationForest": {}},
    "tutorial AE": {"autoencoder": {"layers": [64, 32, 8]}},
}
CONTESTANTS: Final = ("shipped", "default", *_KINDS)


def contestants(shipped: AnomalyDetector) -> dict[str, AnomalyDetector]:
    """By name. All but the shipped one have nothing but source, entity, time and features of it, and the kind of model."""
    document = shipped.document()
    bare = {name: document["spec"][name] for name in ("source", "entity", "time", "features") if name in document["spec"]}
    found = {"shipped": shipped}
    for who, kind in {"default": {}, **_KINDS}.items():
        spec = bare | ({"model": kind} if kind else {})
        found[who] = AnomalyDetector.model_validate({**document, "spec": spec})
    return found
