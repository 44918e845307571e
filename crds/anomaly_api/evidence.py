"""What the pods report at /evidence: facts and counts, never judgements. The operator reads it every few seconds."""

from enum import StrEnum
from typing import Literal

from anomaly_api.comparison import PairedEvidence, WouldBeAlert
from anomaly_api.drift import DriftEvidence
from anomaly_api.exposure import ExposureEvidence
from anomaly_api.feedback import FeedbackEvidence
from anomaly_api.schema import Contract


class SourceState(StrEnum):
    """Whether the pod can read its topic. The value becomes the condition's reason."""

    CONNECTING = "Connecting"
    """Since the start; no answer yet."""
    READING = "Reading"
    """The topic answers and partitions are assigned (or there are more pods than partitions)."""
    BROKER_UNREACHABLE = "BrokerUnreachable"
    TOPIC_NOT_FOUND = "TopicNotFound"
    ALERTS_TOPIC_NOT_FOUND = "AlertsTopicNotFound"
    DEAD_LETTER_TOPIC_NOT_FOUND = "DeadLetterTopicNotFound"
    STATE_TOPIC_UNUSABLE = "StateTopicUnusable"
    """It is missing and could not be made."""
    STATE_TOPIC_FORGETS = "StateTopicForgets"
    """All is scored, but what is remembered does not stay."""
    PARTITION_UNAVAILABLE = "PartitionUnavailable"
    """Some partitions have no leader; the others are read."""
    NOT_AUTHORIZED = "NotAuthorized"
    """Neither side believes the other, or an access list forbids something."""
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason
    """A Secret, or a key of it, that the spec names is not there."""
    SECRET_INVALID = "SecretInvalid"  # noqa: S105 - a reason
    """What it holds is not what it should be."""
    SCHEMA_REGISTRY_UNREACHABLE = "SchemaRegistryUnreachable"
    """Readings wait for a schema."""
    FAILED = "Failed"
    """Anything else; the message says what."""


class PartitionEvidence(Contract):
    """A partition in which messages wait."""

    partition: int
    waiting: float
    """Seconds in which messages have been there and none has been decided."""
    since_score: float
    """Seconds since one of its windows was scored, or since the pod has it."""
    lag: int = 0
    """Messages not read yet, as far as known."""


class SourceEvidence(Contract):
    """The pod's view of Kafka."""

    state: SourceState
    message: str = ""
    """For people: what is wrong, where, what to do."""
    partitions: int = 0
    """Partitions assigned to this pod."""
    lag: int = 0
    """Messages of these partitions not read yet."""
    lag_seconds: float = 0.0
    """Age of the oldest of them: how far behind the partition is that is farthest behind. 0 when there is none."""
    recovering: int = 0
    """Of the partitions, those that do not decide yet: what is known of them is being read."""
    stored: int | None = None
    """Messages that the whole topic holds, as far as its offsets tell, from before the pod's start, too. None: not known."""
    skipped: int = 0
    """Messages that Kafka had deleted before they were read."""
    recently_skipped: int = 0
    """Of those, how many were missed within the last minute."""
    slowest: PartitionEvidence | None = None
    """The partition whose messages have waited longest without one of them being decided. None: nothing waits."""


class RevisionFailure(StrEnum):
    """Why a pod cannot run a revision."""

    ARTIFACT_MISSING = "ArtifactMissing"
    """The store says that there is no such artifact."""
    MODEL_STORE_UNREACHABLE = "ModelStoreUnreachable"
    """The store does not answer, or refuses access."""
    DIGEST_MISMATCH = "DigestMismatch"
    ARTIFACT_INVALID = "ArtifactInvalid"
    INTERFACE_MISMATCH = "InterfaceMismatch"
    SCORING_FAILED = "ScoringFailed"
    INTAKE_DIFFERS = "IntakeDiffers"
    """A candidate that cannot be compared with the stable revision at all."""
    CANDIDATE_TOO_SLOW = "CandidateTooSlow"
    """It took longer for a batch than a candidate may."""
    CANDIDATE_TOO_LARGE = "CandidateTooLarge"
    """It needs more memory than a candidate may."""


class RevisionEvidence(Contract):
    """One revision in one pod."""

    revision: str
    """Name of the revision."""
    role: Literal["stable", "candidate"]
    loaded: bool
    """Whether it scores as ordered; a stable revision whose model does not load is stood in for by the fallback scorer."""
    failure: RevisionFailure | None = None
    message: str = ""
    windows: int = 0
    """Windows scored."""
    episodes: int = 0
    """Episodes opened."""
    fallback_windows: int = 0
    """Windows that the fallback scorer decided instead of its model."""
    unscored_windows: int = 0
    """Windows that nothing decided: the model failed or its score was no number, while the fallback scorer had
    seen too few readings of their entity."""
    errors: int = 0
    """Batches that it failed to score."""
    seconds: float = 0.0
    """That scoring took: of the thread or process that scores, from its begin to its end."""
    memory: int = 0
    """Bytes that a candidate adds to the pod, as far as known."""
    against: str = ""
    """Of a candidate: name of the stable revision that it is compared with. The counts begin with both of them and `rollout`."""
    rollout: str = ""
    """Of a candidate: name of the rollout, as the assignment has it."""
    weight: int = 0
    """Of a candidate: percent of the entities that it decides now. 0 after it has failed, whatever the assignment says."""
    warming: int = 0
    """Of a candidate with an intake of its own: entities whose windows are not full yet."""
    paired: list[PairedEvidence] = []
    """Of a candidate: its windows beside those of the stable revision."""
    recent: list[WouldBeAlert] = []
    """Of a candidate: the last of its episodes that nobody was told of."""


class MemoryEvidence(Contract):
    """What a pod remembers of entities. Counts are since its start."""

    used: int = 0
    """Bytes."""
    share: int = 0
    """Bytes: the part of the budget that belongs to its partitions."""
    capacity: int = 0
    """Entities that fit into the whole budget, over all partitions of the topic, spread evenly."""
    evicted: dict[str, int] = {}
    """Entities forgotten, by reason: Budget, Idle."""
    recently_cut_off: int = 0
    """Entities that were forgotten within the last minute although their next reading would have belonged to the same window."""


class SeenEntity(Contract):
    """An entity that sent something lately."""

    entity: str
    partition: int
    """In which it came."""


class FeatureEvidence(Contract):
    """A feature that readings lacked lately, as far as a look at some of them tells."""

    name: str
    field: str
    """Where it should be in a reading."""
    lacking: int
    """Readings looked at within the last minute that lacked it."""
    seen: int = 0
    """Readings looked at that had it, since the pod's start."""
    last_seen: float | None = None
    """When one had it last."""
    likely: str = ""
    """A field of similar name that is new, and a number; empty: there is none."""


class PresenceEvidence(Contract):
    """Whether readings have what the spec names. Some are looked at each second."""

    sampled: int = 0
    """Readings looked at within the last minute."""
    features: list[FeatureEvidence] = []
    """Those that were lacking."""


class LossEvidence(Contract):
    """Readings that came and did not count, within some time."""

    readings: int = 0
    """Messages read, good and bad."""
    late: int = 0
    """Left out, because a newer one of their entity was in the windows."""
    duplicates: int = 0
    """Left out, because there is one of the same entity and time."""
    dropped_pending: int = 0
    """Left out, because they waited when their entity was forgotten."""
    released_early: int = 0
    """Used, though they waited less than `time.lateness`, because too many others waited."""
    skipped: int = 0
    """Messages that Kafka had deleted before they were read."""
    delays: dict[str, int] = {}
    """Readings that came after a newer one of their entity, by the least `time.lateness`, in seconds, that keeps them."""


class DetectorEvidence(Contract):
    """A scoring pod. Counts are since its start; times are Unix seconds."""

    pod: str
    instance: str = ""
    """Of the pod's process: all counts begin with it, and another one has another name."""
    runtime: str
    """Digest of the `Runtime` it runs with."""
    assignment: str
    """Digest of the `Assignment` it has taken over: it is in force on all of its partitions."""
    now: float
    """The pod's clock."""
    source: SourceEvidence
    revisions: list[RevisionEvidence] = []
    readings: int = 0
    """Messages read, good and bad, without those of `not_readings`."""
    late: int = 0
    """Readings left out, because their entity was further on."""
    duplicates: int = 0
    """Readings left out, because their entity had one of the same time."""
    released_early: int = 0
    """Readings that waited less than `time.lateness`, because too many others waited."""
    dropped_pending: int = 0
    """Readings left out, because they waited (`time.lateness`, `missing: Interpolate`) when their entity was forgotten."""
    missing: dict[str, int] = {}
    """Values that readings lacked, by feature."""
    imputed: int = 0
    """Values that were filled in for them."""
    windows: int = 0
    """Windows scored by the deciding revision."""
    warming: int = 0
    """Entities seen that could not be scored yet, for lack of readings."""
    entities: int = 0
    """Entities known."""
    seen: list[SeenEntity] = []
    """A few of those that sent something within the last half minute, by all pods chosen alike: one whose readings come in
    several partitions stands out."""
    memory: MemoryEvidence = MemoryEvidence()
    presence: PresenceEvidence = PresenceEvidence()
    busy: float = 1.0
    """Share of the last minute, 0 to 1, in which it worked rather than waited for readings."""
    alerts: int = 0
    """Alerts sent."""
    alerts_suppressed: int = 0
    """Of them, those that are for the record only."""
    alerts_dropped: dict[str, int] = {}
    """Episodes that alerts.limits held back, by limit: PerEntity, Total."""
    limits_reached: int = 0
    """Entities and partitions of which episodes are held back now."""
    not_readings: dict[str, int] = {}
    """Messages that are no readings of this detector and were left alone, by reason: Tombstone, NoFeature, Filtered."""
    dead_letters: dict[str, int] = {}
    """Messages that could not be read, by reason."""
    dead_letters_undeliverable: dict[str, int] = {}
    """Of them, those that the dead-letter topic took in no form, and that are lost, by reason: KeyMissing, TooLarge."""
    recently_undeliverable: int = 0
    """Of those, how many were left out within the last minute."""
    recent_dead_letter: str = ""
    """The last reason and where it happened, for people: partition, offset, field; never the content."""
    recent_readings: int = 0
    """Messages read within the last minute, good and bad."""
    recent_dead_letters: int = 0
    """Of them, those that could not be read."""
    recent_losses: LossEvidence = LossEvidence()
    """Of the last minute."""
    lasting_losses: LossEvidence = LossEvidence()
    """Of the last ten minutes."""
    feedback: FeedbackEvidence | None = None
    """What was read of labels. None: none are read, or not all has been read yet."""
    drift: DriftEvidence | None = None
    """What was counted to tell drift. None: the model that decides, if there is one, has no reference."""
    exposure: ExposureEvidence | None = None
    """How often the deciding revision alerted. None: no model decides, or nothing has been counted yet."""
    last_reading: float | None = None
    last_scored: float | None = None
    last_alert: float | None = None
    last_score: float | None = None
    """The highest score of the last batch that had one."""


class TrainingEvidence(Contract):
    """A training pod."""

    pod: str
    state: Literal["Waiting", "Reading", "Training", "Judging", "Storing", "Complete", "Failed"]
    progress: int = 0
    """Percent of the current state."""
    readings: int = 0
    windows: int = 0
    needed: int = 0
    """Windows needed."""
    rejected: int = 0
    """Messages that could not be read."""
    reason: str = ""
    """CamelCase, when something is wrong: BrokerUnreachable, TopicNotFound, TooLittleData, ..."""
    message: str = ""
    """For people."""
