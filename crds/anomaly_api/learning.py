"""What is learned and from what: the kind of model, its training, and where artifacts are kept."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from anomaly_api.alerting import Cron, TimeZone
from anomaly_api.gate import Gate
from anomaly_api.kinds import (
    Autoencoder,
    Bounds,
    Ensemble,
    IsolationForest,
    LocalOutlierFactor,
    Pca,
    Seasonal,
    TimeInputs,
    TrainedKind,
)
from anomaly_api.pods import Resources, TrainingPod
from anomaly_api.policy import LocalReference
from anomaly_api.schema import Contract, Duration, Empty, exactly_one, matching, rule

Uri = Annotated[
    str, Field(max_length=1024), matching("write a URI with its scheme, such as s3://models/pumps", "^[a-z][a-z0-9+.-]*://.+$")
]
FileUri = Annotated[
    str,
    Field(max_length=1024),
    matching(
        "write the URI of a CSV or Parquet file, such as s3://history/pumps.parquet or file:///pumps.csv.gz",
        r"^[a-z][a-z0-9+.-]*://.+\.(csv|parquet)(\.gz|\.xz)?$",
    ),
]


class Quantization(StrEnum):
    """Numbers that a model computes with."""

    INT8 = "Int8"


@rule(
    "!has(self.quantization) || has(self.autoencoder) || has(self.pca) || has(self.ensemble)",
    "model.quantization is for models with a network or components: autoencoder, pca, or an ensemble of them",
)
@rule(
    "!has(self.time) || has(self.autoencoder) || has(self.pca) || has(self.ensemble) && self.ensemble.members.exists(member, "
    "has(member.autoencoder) || has(member.pca))",
    "model.time is for models that reproduce windows: autoencoder, pca, or an ensemble with one of them; seasonal knows the time",
)
@exactly_one(
    *("autoencoder", "pca", "isolationForest", "localOutlierFactor", "seasonal", "bounds", "ensemble", "statistical", "modelRef")
)
class ModelKind(TrainedKind):
    """What decides."""

    autoencoder: Autoencoder | None = None
    """Autoencoder that is trained on past readings and learns to reproduce normal windows; what it reproduces badly is
    unusual."""
    pca: Pca | None = None
    """Principal component analysis of windows, trained on past readings in a moment."""
    isolation_forest: IsolationForest | None = None
    """Isolation forest, trained on past readings: it finds windows that random cuts set apart."""
    local_outlier_factor: LocalOutlierFactor | None = None
    """Local outlier factor, trained on past readings, for normal behaviour that has several separate states."""
    seasonal: Seasonal | None = None
    """Usual value at each time of the day, trained on past readings, for streams with a strong cycle."""
    bounds: Bounds | None = None
    """Fixed bounds of features, which you know already."""
    ensemble: Ensemble | None = None
    """Several models together, trained on past readings; their scores are added up."""
    statistical: Empty | None = None
    """Robust statistical scorer of `fallback` alone. Nothing is trained, and it decides from the first hour on."""
    model_ref: LocalReference | None = None
    """AnomalyModel of this namespace that exists already, such as one that you imported. Nothing is trained."""

    time: TimeInputs | None = None
    """Hour and weekday as inputs of the model, so that it knows what is usual at that time: a level that is sound by day is
    found at night. `{}` is the hour. Unset: the model does not know the time."""
    quantization: Quantization | None = None
    """Numbers that the trained network computes with. Int8: a third of the size where networks are large, at about the same
    speed; scores change by some percent, and thresholds are computed from the changed ones. Unset: 32-bit floating point."""

    @property
    def trained(self) -> bool:
        """Whether a training Job makes it."""
        return self.statistical is None and self.model_ref is None


def default_model() -> ModelKind:
    """What decides where the spec does not say."""
    return ModelKind(autoencoder=Autoencoder())


class TopicData(Contract):
    """The source topic itself."""

    last: Duration = "7d"
    """Length of the past whose readings are used, by message time, default 7d. It should show all that is normal: a week has
    its weekend."""


@exactly_one("topic", "files")
class TrainingData(Contract):
    """What to learn from."""

    topic: TopicData | None = None
    """Readings from the source topic itself, as far back as it keeps them."""
    files: (
        Annotated[
            list[FileUri],
            Field(min_length=1, max_length=256),
        ]
        | None
    ) = None
    """CSV or Parquet files by URI (`s3://`, `https://`, or `file://` below the claim of modelStore), for histories that the
    topic no longer holds. Columns are named like the fields of a reading; `key` stands for the message key, `timestamp` for
    the message's time."""


class TrainingMinimum(Contract):
    """What must be there before training starts."""

    windows: Annotated[int, Field(ge=10, le=10_000_000)] = 1000
    """Number of windows, over all entities, that must be there, default 1000. Less data make thresholds that are too low."""


class TrainingMaximum(Contract):
    """What is used at most, so that memory is bounded."""

    windows: Annotated[int, Field(ge=100, le=10_000_000)] = 200_000
    """Number of windows, over all entities, that are used at most, default 200000; beyond it they are thinned out evenly over
    time. Raise it together with resources."""


class Exclusion(Contract):
    """What a model does not learn from: times at which something was wrong, or may have been."""

    alerts: bool = True
    """Whether times of alerts are left out of what is learned from, default true, unless somebody said that the alert was
    nothing. In the held-out part, which thresholds come from, they stay."""
    suppressed: bool = True
    """Whether times are left out during which alerts.suppress holds, such as maintenance. Default true."""
    labels: bool = True
    """Whether times are left out that somebody called a true alarm or missed (see feedback). Default true."""
    most_percent: Annotated[int, Field(ge=0, le=90)] = 50
    """Share of the windows, in percent, that is left out at most, default 50. A kind that would take more is not left out: labels
    come first, alerts last, so that a model that alerts all the time can be trained again."""


def _trainer_resources() -> Resources:
    return Resources(requests={"cpu": "500m", "memory": "768Mi"}, limits={"memory": "2Gi"})


def _topic_data() -> TrainingData:
    return TrainingData(topic=TopicData())


@rule("!has(self.timeZone) || has(self.schedule)", "timeZone says where schedule is read: set schedule as well")
@rule(
    "self.minimum.windows <= self.maximum.windows",
    "minimum.windows must not be greater than maximum.windows: training would wait for ever",
)
class Training(Contract):
    """How the model is made."""

    data: TrainingData = Field(default_factory=_topic_data)
    """The readings to learn from. Unset: those of the last seven days in the source topic."""
    minimum: TrainingMinimum = Field(default_factory=TrainingMinimum)
    """Amount of data without which no training starts; until then the Job waits and the status says how much is missing."""
    maximum: TrainingMaximum = Field(default_factory=TrainingMaximum)
    """Amount of data that is used at most, so that memory and time are bounded."""
    holdout_percent: Annotated[int, Field(ge=5, le=50)] = 20
    """Newest part of the data, in percent, that is kept from training, default 20: thresholds and figures come from it."""
    exclude: Exclusion = Field(default_factory=Exclusion)
    """The times that are left out. Unset: those of alerts, suppressions and labels, at most half of the windows."""
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 50
    """Number of passes over the data at most, default 50; training stops early when the validation loss no longer falls."""
    seed: Annotated[int, Field(ge=0, le=2_147_483_647)] = 1
    """Seed of everything random in training, default 1. Another one makes another model of the same data."""
    image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """Image of the trainer. Unset: the one that the operator was installed with, which an upgrade of the operator
    replaces."""
    resources: Resources = Field(default_factory=_trainer_resources)
    """CPU and memory of the training pod, by default half a CPU and 768Mi up to 2Gi. More memory lets it keep more windows;
    more CPU makes it quicker."""
    pod: TrainingPod = Field(default_factory=TrainingPod)
    """Scheduling, identity, environment and volumes of the training pods, where they differ from those of the scoring pods."""
    backoff_limit: Annotated[int, Field(ge=0, le=20)] = 2
    """Number of retries of a training that failed, with growing pauses, default 2."""
    trim_percent: Annotated[float, Field(ge=0, le=20)] = 1.0
    """Share of the windows, in percent, that are left out of what is learned from at most, default 1: those that a first short
    fit finds far stranger than the others, for a history has anomalies in it. Of clean data none are. 0: none ever."""
    refit: bool = False
    """Whether the model, once thresholds are known, learns again from all windows, the held-out ones too, default false. It then
    knows the newest behaviour; its threshold comes from a model that did not, which may be too low or too high."""
    schedule: Cron | None = None
    """Times at which the model is trained again, from the newest data: cron, minute to day of week, such as 0 3 * * 0. What
    passes while the operator is away, or while another training runs, is made up for once. Unset: none."""
    time_zone: TimeZone | None = None
    """Time zone in which schedule is read, such as Europe/Berlin. Unset: UTC."""
    min_interval: Duration = "1d"
    """Length of time after a training before drift (drift.action: Retrain) or a label Normal start another one, default 1d. The
    schedule, a request and a change of the spec do not wait for it."""
    gate: Gate = Field(default_factory=Gate)
    """Judgement of a new model before it may decide. By default a model that is worse than the one in use is rejected."""


@rule("!self.uri.startsWith('file://') || has(self.claimName)", "a file:// URI needs claimName: the volume that holds the models")
class UriStore(Contract):
    """A folder anywhere that fsspec reaches."""

    uri: Uri
    """Folder by URI, for example `s3://models/pumps`, or `file:///pumps` for a folder of the claim."""
    secret_ref: LocalReference | None = None
    """Secret whose keys become environment variables of the pods (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3 and so on). Unset:
    none; see pod.serviceAccountAnnotations for workload identity."""
    claim_name: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """PersistentVolumeClaim with the models, for file:// URIs; scoring pods mount it read-only. Unset: none."""


@exactly_one("configMap", "uri")
class ModelStore(Contract):
    """Where model artifacts are kept."""

    config_map: Empty | None = None
    """Immutable ConfigMaps in the detector's namespace; a model may have up to 900 KiB. Nothing has to be set up."""
    uri: UriStore | None = None
    """Folder anywhere that fsspec reaches (S3, GCS, Azure, a volume), for larger models."""
