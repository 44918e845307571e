"""What is learned and from what: the kind of model, its training, and where artifacts are kept."""

from typing import Annotated

from pydantic import Field

from anomaly_api.kinds import (
    Autoencoder,
    Bounds,
    Ensemble,
    IsolationForest,
    LocalOutlierFactor,
    Pca,
    Seasonal,
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


@exactly_one(
    *("autoencoder", "pca", "isolationForest", "localOutlierFactor", "seasonal", "bounds", "ensemble", "statistical", "modelRef")
)
class ModelKind(TrainedKind):
    """What decides."""

    autoencoder: Autoencoder | None = None
    """An autoencoder, trained on the stream."""
    pca: Pca | None = None
    """A principal component analysis of windows, trained on the stream."""
    isolation_forest: IsolationForest | None = None
    """An isolation forest, trained on the stream."""
    local_outlier_factor: LocalOutlierFactor | None = None
    """A local outlier factor, trained on the stream."""
    seasonal: Seasonal | None = None
    """What is usual at each time of the day, trained on the stream."""
    bounds: Bounds | None = None
    """Static bounds of features."""
    ensemble: Ensemble | None = None
    """Several models together, trained on the stream."""
    statistical: Empty | None = None
    """The robust statistical scorer of `fallback` alone; nothing is trained."""
    model_ref: LocalReference | None = None
    """An AnomalyModel of this namespace that exists already; nothing is trained."""

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
    """Readings of the last so much time, by message time."""


@exactly_one("topic", "files")
class TrainingData(Contract):
    """What to learn from."""

    topic: TopicData | None = None
    """The source topic."""
    files: (
        Annotated[
            list[FileUri],
            Field(min_length=1, max_length=256),
        ]
        | None
    ) = None
    """CSV or Parquet files by URI (`s3://`, `https://`, or `file://` below the claim of modelStore). Columns are
    named like the fields of a reading; `key` stands for the message key, `timestamp` for the message's time."""


class TrainingMinimum(Contract):
    """What must be there before training starts."""

    windows: Annotated[int, Field(ge=10, le=10_000_000)] = 1000
    """Windows, over all entities."""


class TrainingMaximum(Contract):
    """What is used at most, so that memory is bounded."""

    windows: Annotated[int, Field(ge=100, le=10_000_000)] = 200_000
    """Windows, over all entities; beyond it they are thinned out evenly over time."""


def _trainer_resources() -> Resources:
    return Resources(requests={"cpu": "500m", "memory": "768Mi"}, limits={"memory": "2Gi"})


def _topic_data() -> TrainingData:
    return TrainingData(topic=TopicData())


@rule(
    "self.minimum.windows <= self.maximum.windows",
    "minimum.windows must not be greater than maximum.windows: training would wait for ever",
)
class Training(Contract):
    """How the model is made."""

    data: TrainingData = Field(default_factory=_topic_data)
    """The readings to learn from. Unset: those of the last seven days in the source topic."""
    minimum: TrainingMinimum = Field(default_factory=TrainingMinimum)
    """What must be there first; until then the Job waits and the status says how much is missing."""
    maximum: TrainingMaximum = Field(default_factory=TrainingMaximum)
    """What is used at most."""
    holdout_percent: Annotated[int, Field(ge=5, le=50)] = 20
    """Newest part of the data, in percent, that is kept from training: thresholds and figures come from it."""
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 50
    """Passes over the data at most; training stops early when the validation loss no longer falls."""
    seed: Annotated[int, Field(ge=0, le=2_147_483_647)] = 1
    """Seed of everything random in training."""
    image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """Image of the trainer. Unset: the one that the operator was installed with."""
    resources: Resources = Field(default_factory=_trainer_resources)
    """CPU and memory of the training pod. More memory lets it keep more windows; more CPU makes it quicker."""
    pod: TrainingPod = Field(default_factory=TrainingPod)
    """Scheduling, identity, environment and volumes of the training pods, where they differ from those of the scoring pods."""
    backoff_limit: Annotated[int, Field(ge=0, le=20)] = 2
    """Retries of a training that failed, with growing pauses."""


@rule("!self.uri.startsWith('file://') || has(self.claimName)", "a file:// URI needs claimName: the volume that holds the models")
class UriStore(Contract):
    """A folder anywhere that fsspec reaches."""

    uri: Uri
    """For example `s3://models/pumps`, or `file:///pumps` for a folder of the claim."""
    secret_ref: LocalReference | None = None
    """Secret whose keys become environment variables of the pods (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3 and so on)."""
    claim_name: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """PersistentVolumeClaim with the models, for file:// URIs."""


@exactly_one("configMap", "uri")
class ModelStore(Contract):
    """Where model artifacts are kept."""

    config_map: Empty | None = None
    """Immutable ConfigMaps; an artifact may have up to 900 KiB."""
    uri: UriStore | None = None
    """A folder by URI, for larger artifacts."""
