"""What the benchmark's scoring pods are told: the model that everyone scores with, and a topic to read from its beginning."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from anomaly_api.alerting import AlertPolicy
from anomaly_api.assignment import Assignment, Identity, Revision, Runtime
from anomaly_api.calibration import ThresholdSource, WindowThreshold
from anomaly_api.policy import Delivery, Fallback
from anomaly_api.source import KafkaSource, StartFrom
from anomaly_detector.core.scoring.artifact import artifact_digest, pack, unpack
from dev.environment.backends import compiled_in
from dev.harness import scoring_pod
from dev.harness.scoring_pod import ScoringPod
from dev.verify.bench.readings import PIPELINE

PATIENCE_SECONDS: Final = 120.0
"""For whatever a pod is waited for."""


@dataclass(frozen=True)
class Trained:
    """The model that everyone scores with."""

    folder: Path
    digest: str
    threshold: float

    @property
    def archive(self) -> Path:
        return self.folder / "model.tar"

    @property
    def graph(self) -> Path:
        return self.folder / "score.onnx"


def another(trained: Trained, folder: Path) -> Trained:
    """The same graph as another model: what is known of the one must not be taken for the other's."""
    artifact = unpack(trained.archive.read_bytes(), trained.digest)
    archive = pack(artifact.manifest.model_copy(update={"drift": None}), artifact.graphs)
    folder.mkdir(exist_ok=True)
    (folder / "model.tar").write_bytes(archive)
    return Trained(folder, artifact_digest(archive), trained.threshold)


def revision(trained: Trained, policy: AlertPolicy | None = None) -> Revision:
    [window] = PIPELINE.windows
    value = {"value": trained.threshold, "source": ThresholdSource.VALUE, "asked": f"{trained.threshold:g}"}
    return Revision(
        model=trained.digest,
        model_name="bench",
        pipeline=PIPELINE,
        thresholds=[WindowThreshold(window=window.name, **value)],
        fallback=Fallback(),
        alerts=policy or AlertPolicy(),
    )


@contextmanager
def running(
    folder: Path,
    bootstrap: str,
    topic: str,
    delivery: Delivery,
    order: Revision,
    trained: Trained,
    candidate: Trained | None = None,
) -> Iterator[ScoringPod]:
    """A scoring pod that reads the topic from its beginning as a new group, for as long as the context lives."""
    runtime = Runtime(
        detector=Identity(namespace="bench", name=folder.name, uid="1"),
        kafka=KafkaSource(bootstrap_servers=bootstrap, topic=topic, start_from=StartFrom.EARLIEST),
        group_id=f"{folder.parent.name}-{folder.name}",
        alerts_topic="alerts",
        dead_letter_topic="dead-letters",
        state_topic=f"{folder.parent.name}-{folder.name}.state",
        delivery=delivery,
    )
    models = [trained, candidate] if candidate else [trained]
    artifacts = {each.digest: str(each.archive) for each in models}
    assignment = Assignment(stable=order, candidate=revision(candidate) if candidate else None, artifacts=artifacts)
    pod = ScoringPod(folder, compiled_in(folder.parent / "compiled"))
    with scoring_pod.running(pod, runtime, assignment):
        yield pod
        pod.terminate()
