"""The kinds of model that can be trained, and their settings. How they are fitted is the trainer's `training/models`."""

from enum import StrEnum
from typing import Annotated, Any, cast

from pydantic import Field
from pydantic.alias_generators import to_snake

from anomaly_api.alerting import TimeZone
from anomaly_api.preparation import FeatureName
from anomaly_api.schema import Contract, Duration, exactly_one, list_map, rule


class Architecture(StrEnum):
    """Shape of an autoencoder."""

    DENSE = "Dense"
    DENOISING = "Denoising"
    SPARSE = "Sparse"
    VARIATIONAL = "Variational"
    CONVOLUTIONAL = "Convolutional"
    LSTM = "Lstm"
    TCN = "Tcn"
    TRANSFORMER = "Transformer"


class Combination(StrEnum):
    """How the errors of features are added up to a score."""

    SQUARE_ROOT = "SquareRoot"
    LOGARITHM = "Logarithm"
    MEAN = "Mean"


class FeatureErrors(Contract):
    """From the errors of features to the score of a window. Each error is divided by its own 99 % quantile in training first."""

    combine: Combination = Combination.SQUARE_ROOT
    """Way in which the errors of features become one. SquareRoot, the default: the mean of the roots, so that several
    features that deviate a little count beside one that deviates much. Logarithm: the mean of log(1 + error), where one
    feature alone counts even less. Mean: the mean, where it counts most."""
    floor: Annotated[float, Field(gt=0, le=100)] = 0.1
    """Least number that an error is divided by, in squared standard deviations of the feature, default 0.1. Raise it, say to
    1, when features that hardly ever deviate give alerts that nobody needs. Lower it, say to 0.001, where features are nearly
    determined by the others, and a small deviation from what belongs together matters."""
    saturation: Annotated[float, Field(gt=0, le=1_000_000)] = 1.0
    """Number of usual errors beyond which the error of a feature counts by its logarithm only, default 1: a feature that drifts
    away, or a sensor that is broken for weeks, then cannot hold an alarm by itself for ever. Raise it, up to 1000000 for none of
    it, where one feature alone must be heard however many there are."""
    smoothing: Annotated[int, Field(ge=1, le=256)] = 1
    """Number of scores that the score is the mean of, default 1. The window is cut into so many parts, each one reading on, that
    are scored by themselves: with a window of 53 and smoothing 30, parts have 24 readings. Raise it, and widen the window, when
    single odd readings give alerts that nobody needs: a deviation must then last to count."""


@rule("!has(self.hour) || self.hour || has(self.weekday) && self.weekday", "set hour or weekday, or leave time out")
class TimeInputs(Contract):
    """Hour and weekday, as cyclic inputs of the model: what is usual by day is unusual at night. Computed from event time."""

    hour: bool = True
    """Whether the model sees the hour of the day, default true. It needs a history of two days."""
    weekday: bool = False
    """Whether the model sees the day of the week, default false. It needs a history of two weeks: set training.data.topic.last to
    14d or more."""
    time_zone: TimeZone | None = None
    """Time zone in which hours and days are counted, with its summer time, such as Europe/Berlin. Unset: UTC."""


class Autoencoder(Contract):
    """A network that learns to reproduce normal windows; what it reproduces badly is unusual."""

    architecture: Architecture = Architecture.DENSE
    """Kind of network. Dense, the default: fully connected layers over the flat window. Denoising, Sparse, Variational: the
    same, learned with values left out, with a penalty on the code, or with a code that is a distribution. Convolutional,
    Lstm, Tcn, Transformer: know that a window is a sequence; slower, for long windows whose shape matters. Tcn foretells each
    reading from those before it."""
    layers: Annotated[list[Annotated[int, Field(ge=1, le=4096)]], Field(min_length=1, max_length=8)] | None = None
    """Widths of the layers from the first hidden one to the bottleneck; the decoder mirrors them. Unset: derived from the
    window (a window of 12 readings of 6 features gets 64, 32, 8). Set them to make models smaller, or for data with much
    structure."""
    errors: FeatureErrors = Field(default_factory=FeatureErrors)
    """Way from the errors of features to the score of a window. The default suits most data."""


class Pca(Contract):
    """Principal component analysis of the window: what its first components cannot reproduce is unusual. Fitted in a moment."""

    variance_percent: Annotated[float, Field(gt=0, lt=100)] = 95.0
    """Share of the variance, in percent, that the kept components carry, default 95."""
    errors: FeatureErrors = Field(default_factory=FeatureErrors)
    """Way from the errors of features to the score of a window. The default suits most data."""


class IsolationForest(Contract):
    """Random trees over level, spread and newest value of each feature; what they set apart with few cuts is unusual.

    It has no expected values, and notices neither when features no longer belong together, nor a change in a feature that never
    changed in training.
    """

    trees: Annotated[int, Field(ge=10, le=500)] = 100
    """Number of random trees, default 100. More make scores steadier, and scoring slower."""
    samples: Annotated[int, Field(ge=16, le=1024)] = 256
    """Number of windows that each tree is made of, default 256."""


class LocalOutlierFactor(Contract):
    """How much sparser the training windows are around a window than around its nearest ones among them.

    For normal behaviour that has several separate states.
    """

    neighbours: Annotated[int, Field(ge=2, le=200)] = 20
    """Number of nearest windows that are looked at, default 20. Fewer see smaller groups of windows as normal."""
    references: Annotated[int, Field(ge=100, le=5000)] = 1000
    """Number of training windows that are kept in the model, evenly chosen, default 1000. More make it larger and slower."""


class Seasonal(Contract):
    """Distance of the newest reading from what is usual at this time of the day, in robust standard deviations.

    The same for all entities, in UTC. For streams with a strong cycle and features that are judged one by one.
    """

    period: Duration = "1d"
    """Length of the cycle, default 1d; take 7d where weekends differ. The history needs at least two of them."""
    bins: Annotated[int, Field(ge=2, le=1008)] = 48
    """Number of parts that the cycle is divided into, default 48."""


@rule("has(self.min) || has(self.max)", "set min or max, or both")
@rule("!has(self.min) || !has(self.max) || self.min < self.max", "min must be less than max")
class Bound(Contract):
    """What a feature must not leave."""

    name: FeatureName
    """Name of the feature that is bounded."""
    min: float | None = None
    """Smallest normal value. Unset: there is no lower bound."""
    max: float | None = None
    """Largest normal value. Unset: there is no upper bound."""


class Bounds(Contract):
    """Static bounds: a reading on a bound scores 1 in the model's own unit, so set `threshold: {value: 1}` with them.

    Training only checks the names.
    """

    features: Annotated[list[Bound], Field(min_length=1, max_length=128, json_schema_extra=list_map("name"))]
    """Bounds by feature; features without one are not looked at."""


class TrainedKind(Contract):
    """A union of kinds, of which one is set."""

    @property
    def kind(self) -> str:
        """Name of the arm that is set, as users write it."""
        return next(
            field.alias or name
            for name, field in type(self).model_fields.items()
            if name in _KINDS and getattr(self, name) is not None
        )

    @property
    def settings(self) -> Any:
        """Settings of the arm that is set."""
        return cast(Contract, getattr(self, to_snake(self.kind)))


_MEMBERS = ("autoencoder", "pca", "isolationForest", "localOutlierFactor")
_KINDS = {to_snake(name) for name in (*_MEMBERS, "seasonal", "bounds", "ensemble")}


@exactly_one(*_MEMBERS)
class EnsembleMember(TrainedKind):
    """A model of an ensemble."""

    autoencoder: Autoencoder | None = None
    """Autoencoder that is trained on past readings."""
    pca: Pca | None = None
    """Principal component analysis of windows."""
    isolation_forest: IsolationForest | None = None
    """Isolation forest over level, spread and newest value of each feature."""
    local_outlier_factor: LocalOutlierFactor | None = None
    """Local outlier factor, for normal behaviour with several separate states."""
    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Weight of its score beside those of the others, default 1."""


class Ensemble(Contract):
    """Several models, whose scores are added up, each in units of its own mean in training."""

    members: Annotated[
        list[EnsembleMember], Field(min_length=2, max_length=8, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ]
    """Models whose scores are added up, two at least."""
