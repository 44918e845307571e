"""Status of an AnomalyDetector: what is in force, what is under way, how the stream is doing."""

from typing import Annotated, Literal

from pydantic import Field

from anomaly_api.exposure import ExposureLedger
from anomaly_api.rollout_status import AbortedStatus, CandidateStatus, HandledCommand, HistoryStatus, RolloutCommand
from anomaly_api.schema import Contract, list_map
from anomaly_api.threshold_status import ThresholdStatus


class Condition(Contract):
    """A Kubernetes condition; Ready, Reconciling and Stalled mean what kstatus says."""

    type: Annotated[str, Field(max_length=316)]
    """Name of the condition, such as Ready."""
    status: Literal["True", "False", "Unknown"]
    """True, False, or Unknown: whether the condition holds."""
    reason: Annotated[str, Field(max_length=1024)]
    """Reason for the status in one word in CamelCase, for programs."""
    message: Annotated[str, Field(max_length=32768)]
    """Sentence for people: what is the case, where, and what to do about it."""
    observed_generation: int
    """Generation of the spec that the condition speaks of."""
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """Time at which the condition's status changed last."""


class StableStatus(Contract):
    """The revision that decides."""

    revision: str
    """Name of the revision: the first 8 characters of its digest."""
    model: str | None = None
    """AnomalyModel that scores. Unset: the fallback scorer decides."""
    since: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """Time at which the revision became stable."""


class RevisionFeedbackStatus(Contract):
    """What people said of the alerts of one revision."""

    revision: str
    """Name of the revision that decided: the first 8 characters of its digest."""
    model: str | None = None
    """Digest of its model. Unset: the fallback scorer decided."""
    episodes: int
    """Number of episodes that were announced or labelled."""
    true_alarms: int
    """Number of them that were called true alarms."""
    false_alarms: int
    """Number of them that were called false alarms, or normal now."""
    missed: int
    """Number of times at which there should have been an alert, since the revision's first one."""
    precision: float | None = None
    """Share of the labelled ones that were true. Unset: none is labelled."""


class FeedbackStatus(Contract):
    """What was read of labels."""

    labels: int
    """Number of labels of the time that feedback.last says."""
    rejected: int | None = None
    """Number of records that are no labels. Unset: none."""
    normal_since: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """Time at which somebody said last that something is normal now. Unset: nobody did."""
    revisions: Annotated[list[RevisionFeedbackStatus], Field(max_length=8, json_schema_extra=list_map("revision"))]
    """Revisions with most labels, at most eight."""
    message: str | None = None
    """Sentence for people: why labels cannot be read, or what is wrong with a record. Unset: nothing is."""


TrainingReason = Literal["Spec", "Schedule", "Request", "Drift", "Feedback"]


class TrainingStatus(Contract):
    """The training that is under way, or the last one."""

    state: Literal[
        "Pending",
        "Queued",
        "WaitingForData",
        "Waiting",
        "Reading",
        "Training",
        "Judging",
        "Storing",
        "Retrying",
        "Failed",
        "Complete",
        "Rejected",
    ]
    """Progress of the training. Queued: as many trainings run as may. WaitingForData: the topic has too few readings for a Job.
    Waiting: the Job waits for enough data. Judging: beside the model in use. Retrying: it failed and will be
    tried again. Failed: somebody has to act. Rejected: it made a model that is worse than what decides."""
    job: str
    """Name of the Job that trains, or has trained."""
    progress: int | None = None
    """Percent of the current state that is done."""
    readings: int | None = None
    """Number of readings found so far."""
    windows: int | None = None
    """Number of windows found so far."""
    needed: int | None = None
    """Number of windows that are needed before training starts."""
    attempts: int | None = None
    """Number of attempts that failed."""
    message: str | None = None
    """Sentence for people: what went wrong, or what the training waits for."""
    place: int | None = None
    """Place in the queue of trainings, from 1. Unset: it is not queued."""
    reason: TrainingReason | None = None
    """Reason for the training. Spec: the spec asks for a model that was not there. Schedule: training.schedule. Request: the
    annotation anomaly-operator.dev/train. Drift: drift.action is Retrain. Feedback: somebody gave a label Normal."""
    request: str | None = None
    """Cause of the training by name: a time of the schedule, a word of the annotation, the time since when there is drift, or at
    which a label was given. Unset: nothing but the spec."""
    last: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """Time at which the training was asked for."""
    next: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """Time at which training.schedule is due next. Unset: there is no schedule."""
    held_until: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """Time until which drift or a label waits with another training, for training.minInterval. Unset: none waits."""
    token: str | None = None
    """Word of the annotation anomaly-operator.dev/train that was heeded last. Unset: there was none."""


class DriftFigure(Contract):
    """How far a feature, or the score of a window, is from the training data."""

    name: str
    """Name of the feature, or of the window whose score it is."""
    of: Literal["Feature", "Score"] = "Feature"
    """Kind of the name, default Feature."""
    value: float
    """Measure as the spec's drift.measure says."""
    noise: float
    """Measure that is to be expected of so little data without any drift."""


class DriftStatus(Contract):
    """The comparison with the training data."""

    model: str
    """Digest of the model whose training data it is."""
    measure: str
    """Measure that the figures are of: Psi or KolmogorovSmirnov."""
    hours: float
    """Number of hours of event time that were counted."""
    figures: Annotated[list[DriftFigure], Field(max_length=8)]
    """The features and scores that differ most, at most eight, by falling measure."""


class SourceStatus(Contract):
    """The stream, as the pods see it."""

    partitions: int
    """Number of partitions that are being read."""
    lag: int
    """Number of messages not read yet, over all partitions."""
    lag_seconds: int | None = None
    """Age of the oldest message not read yet, in whole seconds."""
    last_scored: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """Time at which a window was scored last."""
    last_alert: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """Time at which an alert was sent last."""
    last_score: float | None = None
    """Highest score of the last batch; 1.0 is the threshold."""
    dead_letters: int | None = None
    """Number of messages that could not be read, since the pods started."""


class MemoryStatus(Contract):
    """What the pods remember of entities."""

    entities: int
    """Number of entities that are remembered, over all pods."""
    capacity: int
    """Number of entities that the memory budget has room for, if the topic's partitions have equally many."""
    evicted: int | None = None
    """Number of entities forgotten because of the budget, since the pods started. If it grows, raise memoryBudget."""
    expired: int | None = None
    """Number of entities forgotten because they sent nothing for entity.expireAfter, since the pods started."""


class ScalingStatus(Contract):
    """What the operator decided about the number of pods, where spec.scaling leaves it room."""

    replicas: int
    """Number of pods that are wanted."""
    reason: Literal["Begun", "Bounds", "Lag", "Idle"]
    """Reason for the number. Begun: the operator has begun to scale. Bounds: the spec's bounds changed. Lag: the stream was
    too far behind. Idle: fewer pods keep up."""
    since: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """Time at which the number was decided."""


Conditions = Annotated[list[Condition], Field(max_length=16, json_schema_extra=list_map("type"))]


class DetectorStatus(Contract):
    """Everything the operator knows about a detector."""

    observed_generation: int | None = None
    """Generation of the spec that this status speaks of."""
    conditions: Conditions | None = None
    """Conditions of the detector: Ready, Reconciling and Stalled as kstatus defines them, and what they are made of:
    SourceReachable, ModelAvailable, Scoring, Alerting, ReadingsArriving, ReadingsUsed, DriftDetected; and Progressing, which
    speaks of rollouts."""
    stable: StableStatus | None = None
    """Revision (model, pipeline, thresholds and alert policy) that decides."""
    candidate: CandidateStatus | None = None
    """Revision that is under analysis before it may decide. Unset: none."""
    aborted: AbortedStatus | None = None
    """Revision that the spec asks for and that was taken away. It is not tried again until the spec or the model changes, or
    someone retries. Unset: none."""
    command: RolloutCommand | None = None
    """Last thing that somebody asked of the rollout: the one field that others than the operator write. Unset: nothing."""
    command_handled: HandledCommand | None = None
    """Answer of the operator to the last command. Unset: there was none."""
    history: Annotated[list[HistoryStatus], Field(max_length=50)] | None = None
    """Last rollouts, the newest first, as many as rollout.history says."""
    thresholds: Annotated[list[ThresholdStatus], Field(max_length=8, json_schema_extra=list_map("window"))] | None = None
    """Thresholds in force, one for each window of the stable revision."""
    training: TrainingStatus | None = None
    """Training that is under way, or the last one."""
    feedback: FeedbackStatus | None = None
    """Labels that people have given, and how precise alerts are. Unset: none are read."""
    exposure: ExposureLedger | None = None
    """Counts of alerts and entity-time that `thresholds` is kept by, so that no restart loses them. Unset: no model decides."""
    drift: DriftStatus | None = None
    """Figures of the comparison with the training data. Unset: nothing has been compared yet."""
    source: SourceStatus | None = None
    """Figures of the stream, as the pods see it."""
    memory: MemoryStatus | None = None
    """Figures of what the pods remember of entities."""
    scaling: ScalingStatus | None = None
    """Number of pods that the operator has decided on. Unset: the spec, or an autoscaler, says how many."""
    replicas: int | None = None
    """Number of scoring pods that are ready."""
    selector: str | None = None
    """Labels of the scoring pods, for autoscalers."""
