"""Every kind of model by its name in `spec.model`: a new kind is one file and one line here."""

from typing import Any, Final

from anomaly_api.kinds import TrainedKind
from anomaly_detector.training.models.autoencoder import AutoencoderKind
from anomaly_detector.training.models.bounds import BoundsKind
from anomaly_detector.training.models.ensemble import EnsembleKind
from anomaly_detector.training.models.isolation_forest import IsolationForestKind
from anomaly_detector.training.models.kind import Data, Effort, Fitted, FittingError, Kind
from anomaly_detector.training.models.local_outlier_factor import LocalOutlierFactorKind
from anomaly_detector.training.models.pca import PcaKind
from anomaly_detector.training.models.seasonal import SeasonalKind
from anomaly_detector.training.models.smoothing import newest_part, smoothed

KINDS: Final[dict[str, Kind[Any]]] = {
    "autoencoder": AutoencoderKind(),
    "pca": PcaKind(),
    "isolationForest": IsolationForestKind(),
    "localOutlierFactor": LocalOutlierFactorKind(),
    "seasonal": SeasonalKind(),
    "bounds": BoundsKind(),
    "ensemble": EnsembleKind(),
}

_WITHOUT_EXPECTED: Final = ("isolationForest", "localOutlierFactor")
"""Kinds whose score is no sum over features, each beside what was expected of it."""


def fit_model(asked: TrainedKind, data: Data, effort: Effort) -> Fitted:
    """Fits the kind that is set. Raises FittingError."""
    kind, settings = KINDS[asked.kind], asked.settings
    if asked.kind in _WITHOUT_EXPECTED and any(each.judged_by_deviation for each in data.asked):
        raise FittingError(
            f"role Context and leastDeviation need a model that says what it expected, and {asked.kind} does not: choose "
            "autoencoder, pca or seasonal, or leave them out"
        )
    errors = getattr(settings, "errors", None)
    if errors is None or errors.smoothing == 1:
        return kind.fit(settings, data, effort)
    return smoothed(kind.fit(settings, newest_part(data, errors.smoothing), effort), data.size, errors.smoothing)
