"""Status of an AnomalyDetector: what is in force, what is under way, how the stream is doing."""

from typing import Annotated, Literal

from pydantic import Field

from anomaly_api.calibration import ThresholdSource
from anomaly_api.schema import Contract, list_map


class Condition(Contract):
    """A Kubernetes condition; Ready, Reconciling and Stalled mean what kstatus says."""

    type: Annotated[str, Field(max_length=316)]
    """Name of the condition."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: Annotated[str, Field(max_length=1024)]
    """One word in CamelCase, for programs."""
    message: Annotated[str, Field(max_length=32768)]
    """A sentence for people: what, where, what to do."""
    observed_generation: int
    """Generation of the spec that it speaks of."""
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """When `status` changed last."""


class StableStatus(Contract):
    """The revision that decides."""

    revision: str
    """Name of the revision: the first 8 characters of its digest."""
    model: str | None = None
    """AnomalyModel that scores. Unset: the fallback scorer decides."""
    since: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """Since when it is stable."""


class CandidateStatus(Contract):
    """The revision under analysis."""

    revision: str
    """Name of the revision."""
    model: str | None = None
    """Its AnomalyModel."""
    since: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """Since when it is a candidate."""
    reason: str
    """Why it is not stable yet."""


class ThresholdStatus(Contract):
    """A threshold in force."""

    window: str
    """Name of the window."""
    value: float
    """Score, as the model computes it, that is shown as 1.0."""
    source: ThresholdSource
    """How it came about."""
    asked: str
    """What was asked for."""
    expected_episodes: float | None = None
    """False episodes an entity that are to be expected in the budget's period. More than were asked for while the held-out part
    is too short to know what is rarer. Unset where no budget was asked for."""
    exposure_seconds: float | None = None
    """Event time that was held out, added up over entities: what the estimate stands on."""


class TrainingStatus(Contract):
    """The training that is under way, or the last one."""

    state: Literal["Pending", "Waiting", "Reading", "Training", "Storing", "Retrying", "Failed", "Complete"]
    """Waiting: for enough data. Retrying: failed, will be tried again."""
    job: str
    """Name of the Job."""
    progress: int | None = None
    """Percent."""
    readings: int | None = None
    """Readings found so far."""
    windows: int | None = None
    """Windows found so far."""
    needed: int | None = None
    """Windows needed."""
    attempts: int | None = None
    """Attempts that failed."""
    message: str | None = None
    """What went wrong, or what it waits for."""


class SourceStatus(Contract):
    """The stream, as the pods see it."""

    partitions: int
    """Partitions that are being read."""
    lag: int
    """Messages not read yet, over all partitions."""
    lag_seconds: int | None = None
    """Age of the oldest of them, in whole seconds."""
    last_scored: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """When a window was scored last."""
    last_alert: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """When an alert was sent last."""
    last_score: float | None = None
    """The highest score of the last batch; 1.0 is the threshold."""
    dead_letters: int | None = None
    """Messages that could not be read, since the pods started."""


class MemoryStatus(Contract):
    """What the pods remember of entities."""

    entities: int
    """Entities known, over all pods."""
    capacity: int
    """Entities that the memory budget has room for, if the topic's partitions have equally many."""
    evicted: int | None = None
    """Entities forgotten because of the budget, since the pods started."""
    expired: int | None = None
    """Entities forgotten because they sent nothing for entity.expireAfter, since the pods started."""


class ScalingStatus(Contract):
    """What the operator decided about the number of pods, where spec.scaling leaves it room."""

    replicas: int
    """Pods that are wanted."""
    reason: Literal["Begun", "Bounds", "Lag", "Idle"]
    """Why so many. Bounds: the spec's bounds changed. Lag: the stream was too far behind. Idle: fewer do."""
    since: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """Since when."""


Conditions = Annotated[list[Condition], Field(max_length=16, json_schema_extra=list_map("type"))]


class DetectorStatus(Contract):
    """Everything the operator knows about a detector."""

    observed_generation: int | None = None
    """Generation of the spec that this status speaks of."""
    conditions: Conditions | None = None
    """Ready, Reconciling, Stalled, SourceReachable, ModelAvailable, Scoring, Alerting, ReadingsArriving, ReadingsUsed."""
    stable: StableStatus | None = None
    """The revision that decides."""
    candidate: CandidateStatus | None = None
    """The revision under analysis."""
    thresholds: Annotated[list[ThresholdStatus], Field(max_length=8, json_schema_extra=list_map("window"))] | None = None
    """Thresholds of the stable revision."""
    training: TrainingStatus | None = None
    """The training that is under way, or the last one."""
    source: SourceStatus | None = None
    """The stream, as the pods see it."""
    memory: MemoryStatus | None = None
    """What the pods remember of entities."""
    scaling: ScalingStatus | None = None
    """What the operator decided about the number of pods. Unset: the spec, or somebody else, says how many."""
    replicas: int | None = None
    """Scoring pods that are ready."""
    selector: str | None = None
    """Labels of the scoring pods, for autoscalers."""
