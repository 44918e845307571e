"""What the operator tells the pods: `Runtime` (replaces the pods), `Assignment` (taken over while running), `TrainingOrder`."""

import re
from functools import cached_property
from typing import Any, Final

from anomaly_api.alerting import AlertPolicy, Suppression
from anomaly_api.calibration import WindowThreshold
from anomaly_api.formats import SchemaRegistry
from anomaly_api.learning import ModelKind, ModelStore, Training
from anomaly_api.model import Artifact
from anomaly_api.policy import Delivery, Fallback, Threshold
from anomaly_api.schema import Contract, Duration, digest
from anomaly_api.source import KafkaSource, Pipeline

_OPERATIONAL: Final = ("image", "resources", "pod", "backoffLimit", "gate", "schedule", "timeZone", "minInterval")
"""Of `training`: what decides how and when a model is made, and not which one."""


class Identity(Contract):
    """Whose pod it is."""

    namespace: str
    name: str
    uid: str

    @property
    def source(self) -> str:
        """The CloudEvents source of its alerts."""
        return f"/namespaces/{self.namespace}/anomalydetectors/{self.name}"


class Runtime(Contract):
    """Settings that a scoring pod cannot change while it runs; a change replaces the pods."""

    detector: Identity
    kafka: KafkaSource
    group_id: str
    alerts_topic: str
    dead_letter_topic: str
    state_topic: str
    delivery: Delivery = Delivery.EXACTLY_ONCE
    memory_budget: int | None = None
    """Bytes of all entities of the topic together; None: nobody is forgotten, nor when idle."""
    expire_after: Duration = "7d"
    labels_topic: str = ""
    """Empty: no labels are read."""
    feedback_last: Duration = "30d"
    """Length of the past whose labels and alerts count."""
    drift_over: Duration = "1d"
    """Length of event time over which drift is counted."""
    schema_registry: SchemaRegistry | None = None
    """Where the schemas of messages are looked up. None: nowhere."""

    @cached_property
    def digest(self) -> str:
        """sha256 of the content without defaults, in hexadecimal."""
        return digest(self.essentials())


def state_topic(source: str, group: str) -> str:
    """Name of the state topic where the spec names none: it belongs to the offsets of one group in one topic.

    >>> state_topic("readings", "anomaly-operator.plant.pumps")
    'readings.anomaly-operator.plant.pumps.state'

    What Kafka does not allow in a topic's name is replaced, and what is too long is cut, and a digest is added.
    """
    whole = f"{source}.{group}"
    name = re.sub(r"[^a-zA-Z0-9._-]", "-", whole)[: 249 - len(".0123456789ab.state")]
    return f"{name}.state" if name == whole else f"{name}.{digest(whole)[:12]}.state"


class Revision(Contract):
    """Model, pipeline, thresholds and alert policy: the unit that is rolled out, named by its digest."""

    model: str | None = None
    """Digest (`sha256:...`) of the model's artifact. None: the fallback scorer decides."""
    model_name: str | None = None
    """The AnomalyModel's name, for people."""
    pipeline: Pipeline
    thresholds: list[WindowThreshold]
    """One for each window of the pipeline. Scores are divided by `value`."""
    fallback: Fallback
    alerts: AlertPolicy

    @cached_property
    def digest(self) -> str:
        """sha256 of the content without defaults, in hexadecimal; its first 8 characters name the revision."""
        return digest(self.essentials())

    @cached_property
    def name(self) -> str:
        """Short name for people, statuses and alerts."""
        return revision_name(self.digest)


def revision_name(digest: str) -> str:
    """Short name of the revision with this digest."""
    return digest[:8]


class Assignment(Contract):
    """Which revisions a scoring pod runs. It is read again whenever its file changes."""

    stable: Revision
    """The revision that decides."""
    candidate: Revision | None = None
    """The revision under analysis."""
    weight: int = 0
    """Percent of the entities that the candidate decides."""
    rollout: str = ""
    """Name of the rollout; entities are drawn by a hash of it and the entity."""
    artifacts: dict[str, str] = {}
    """Where each model digest is found: a path in the pod or a URI."""

    @cached_property
    def digest(self) -> str:
        """sha256 of the content without defaults, in hexadecimal."""
        return digest(self.essentials())


class StableModel(Contract):
    """The model in use when a training is ordered."""

    name: str
    """The AnomalyModel's name."""
    digest: str
    """Digest (`sha256:...`) of its artifact."""
    artifact: Artifact
    """Where it is; a ConfigMap is mounted in the training pod."""


class TrainingOrder(Contract):
    """What a training Job is to do. It holds no secret."""

    detector: Identity
    job: str
    """Name of the Job."""
    kafka: KafkaSource
    pipeline: Pipeline
    model: ModelKind
    training: Training
    model_store: ModelStore
    alerts_topic: str = ""
    """Where the detector's alerts are; empty: nowhere."""
    labels_topic: str = ""
    """Where labels are; empty: nobody gives any."""
    suppress: list[Suppression] = []
    """`alerts.suppress` of the spec."""
    request: str = ""
    """Changes when a new training of the same thing is wanted: what asked for it. Empty: nothing but the spec."""
    threshold: Threshold | None = None
    """What the spec asks for: the gate judges by thresholds of that kind. None: the default of the spec."""
    schema_registry: SchemaRegistry | None = None
    """Where the schemas of messages are looked up. None: nowhere."""
    stable: StableModel | None = None
    """The model in use, which a new one is to be compared with. None: there is none."""

    @cached_property
    def key(self) -> str:
        """Digest of what decides the outcome; 12 characters. Pods' resources and the like do not count, nor does how the outcome
        is judged.
        """
        asked = self.training.essentials()
        for operational in _OPERATIONAL:
            asked.pop(operational, None)
        deciding: dict[str, Any] = {
            "topic": self.kafka.topic,
            "bootstrap": self.kafka.bootstrap_servers,
            "pipeline": self.pipeline.learned,
            "model": self.model.essentials(),
            "training": asked,
            "store": self.model_store.essentials(),
            "request": self.request,
        }
        return digest(deciding)[:12]
