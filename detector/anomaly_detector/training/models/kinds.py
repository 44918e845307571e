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
    return KINDS[asked.kind].fit(asked.settings, data, effort)
