"""Every kind of model by its name in `spec.model`: a new kind is one file and one line here."""

from typing import Any, Final

from anomaly_api.kinds import TrainedKind
from anomaly_detector.training.models.autoencoder import AutoencoderKind
from anomaly_detector.training.models.bounds import BoundsKind
from anomaly_detector.training.models.ensemble import EnsembleKind
from anomaly_detector.training.models.isolation_forest import IsolationForestKind
from anomaly_detector.training.models.kind import Data, Effort, Fitted, Kind
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


def fit_model(asked: TrainedKind, data: Data, effort: Effort) -> Fitted:
    """Fits the kind that is set. Raises FittingError."""
    kind, settings = KINDS[asked.kind], asked.settings
    errors = getattr(settings, "errors", None)
    if errors is None or errors.smoothing == 1:
        return kind.fit(settings, data, effort)
    return smoothed(kind.fit(settings, newest_part(data, errors.smoothing), effort), data.size, errors.smoothing)
