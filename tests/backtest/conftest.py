"""Two pumps that hum along, one of which has a fault; as files, and a detector of them as a spec."""

from __future__ import annotations

import gzip
import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

ROWS, FAULT = 400, slice(300, 320)

SPEC = """
apiVersion: anomaly-operator.dev/v1alpha1
kind: AnomalyDetector
metadata: {name: pumps}
spec:
  source: {kafka: {bootstrapServers: "kafka:9092", topic: pumps}}
  entity: {field: pump}
  time: {field: at}
  features: [{name: flow}, {name: pressure}]
  model: MODEL
"""


@dataclass(frozen=True)
class Pumps:
    """Where the files are."""

    folder: Path

    def spec(self, model: str = "{statistical: {}}", **replaced: str) -> Path:
        text = SPEC.replace("MODEL", model)
        for old, new in replaced.items():
            text = text.replace(old, new)
        path = self.folder / "spec.yaml"
        path.write_text(text)
        return path

    def data(self, separator: str = ",", ending: str = ".csv") -> Path:
        random = np.random.default_rng(1)
        lines = [separator.join(("at", "pump", "flow", "pressure", "label"))]
        for tick in range(ROWS):
            for pump in ("a", "b"):
                broken = pump == "b" and FAULT.start <= tick < FAULT.stop
                flow, pressure = random.normal(40, 1), random.normal(3, 0.1)
                at = np.datetime64("2026-01-01T00:00:00") + np.timedelta64(10 * tick, "s")
                lines.append(separator.join((str(at), pump, f"{flow - 30 * broken:.3f}", f"{pressure:.3f}", str(int(broken)))))
        content = ("\n".join(lines) + "\n").encode()
        path = self.folder / f"pumps{ending}"
        path.write_bytes({".gz": gzip.compress, ".xz": lzma.compress}.get(path.suffix, bytes)(content))
        return path


@pytest.fixture
def pumps(tmp_path: Path) -> Pumps:
    return Pumps(tmp_path)
