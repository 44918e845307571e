"""The detectors and their models, all in one namespace: what looks for something among all of them shows."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

from anomaly_api.meta import API_VERSION, LABEL_TRAINING, MODEL_FILE
from anomaly_operator.core import snapshot
from anomaly_operator.core.resources.names import CONFIG_MAPS, DETECTORS, MODELS, Kind
from anomaly_operator.core.training.order import training_order
from dev.verify.operator_load.api import Admin, Document, at_once

NAMESPACE: Final = "fleet"
_FEATURES: Final = [f"sensor-{number}" for number in range(8)]
_ARCHIVE_BYTES: Final = 20_000
_NAMESPACES: Final = Kind("", "v1", "Namespace", "namespaces")


@dataclass
class Fleet:
    """So many detectors, of so many models each; the newest of which decides."""

    admin: Admin
    detectors: int
    models: int
    uids: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return [f"plant-{number:04}" for number in range(self.detectors)]

    async def make(self) -> None:
        """Detectors, then their models."""
        await at_once(self.names, self._detector)

    async def edit(self, name: str, cooldown: str) -> int:
        """Another alert policy, which is another revision. The generation that has it."""
        patch = {"spec": {"alerts": {"cooldown": cooldown}}}
        changed = await self.admin.api.merge(DETECTORS, NAMESPACE, name, patch)
        return int(changed["metadata"]["generation"])

    async def _detector(self, name: str) -> None:
        spec = {
            "source": {"kafka": {"bootstrapServers": "kafka:9092", "topic": f"{name}-readings"}},
            "features": [{"name": feature} for feature in _FEATURES],
        }
        body = {"apiVersion": API_VERSION, "kind": DETECTORS.kind, "metadata": {"name": name}, "spec": spec}
        made = await self.admin.api.create(DETECTORS, NAMESPACE, body)
        self.uids[name] = made["metadata"]["uid"]
        order = training_order(snapshot.detector(made))
        assert order is not None, "it wants a model"
        for number in range(self.models):
            await self._model(made, f"{name}-{number}", order.key if number == self.models - 1 else f"before{number}")

    async def _model(self, detector: Document, name: str, key: str) -> None:
        archive = hashlib.sha256(name.encode()).digest() * (_ARCHIVE_BYTES // 32)
        owner = {"apiVersion": API_VERSION, "kind": DETECTORS.kind, "name": detector["metadata"]["name"], "controller": True}
        metadata = {
            "name": name,
            "labels": {LABEL_TRAINING: key},
            "ownerReferences": [{**owner, "uid": detector["metadata"]["uid"]}],
        }
        body = {"apiVersion": API_VERSION, "kind": MODELS.kind, "metadata": metadata, "spec": _spec(detector, name, archive)}
        await self.admin.api.create(MODELS, NAMESPACE, body)
        content = {MODEL_FILE: base64.b64encode(archive).decode()}
        config = {"apiVersion": "v1", "kind": CONFIG_MAPS.kind, "metadata": {"name": name}, "binaryData": content}
        await self.admin.api.create(CONFIG_MAPS, NAMESPACE, config)


async def make_namespace(admin: Admin, name: str = NAMESPACE) -> None:
    await admin.api.create(_NAMESPACES, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})  # type: ignore[arg-type]


def _spec(detector: Document, name: str, archive: bytes) -> dict[str, Any]:
    """As a trainer writes it, with calibrations of the size that they have."""
    pipeline = {
        part: detector["spec"].get(part) for part in ("entity", "time", "features", "windows") if detector["spec"].get(part)
    }
    calibration = {
        "window": "short",
        "windows": 20_000,
        "entitySeconds": 604_800,
        "mean": 0.02,
        "standardDeviation": 0.01,
        "maximum": 1.0,
        "quantiles": [{"level": step / 50, "score": step / 50} for step in range(51)],
        "peaks": [1.0 - step / 1000 for step in range(200)],
    }
    trained = {
        "detector": detector["metadata"]["name"],
        "job": "a-job",
        "dataFrom": "2026-01-01T00:00:00Z",
        "dataTo": "2026-01-08T00:00:00Z",
        "readings": 20_000,
        "entities": 20,
        "kind": "Autoencoder",
        "settings": {"layers": [64, 32, 8]},
        "seed": 1,
        "epochs": 20,
        "seconds": 5.0,
        "heldOut": [],
        "versions": {},
        "pipeline": pipeline,
    }
    return {
        "digest": f"sha256:{hashlib.sha256(archive).hexdigest()}",
        "artifact": {"configMapRef": {"name": name}},
        "interface": {"features": _FEATURES, "windows": [{"name": "short", "size": 12}]},
        "calibration": [calibration],
        "trained": trained,
    }
