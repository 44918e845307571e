"""What is wrong with how a model is made, and the sentences that the API server answers. No test."""

from tests.contract.refusals import DURATION, _detector

_QUANTIZATION = "model.quantization is for models with a network or components: autoencoder, pca, or an ensemble of them"
TRAINING_ROWS = [
    _detector("spec.model", _QUANTIZATION, model={"isolationForest": {}, "quantization": "Int8"}),
    _detector("spec.model", _QUANTIZATION, model={"statistical": {}, "quantization": "Int8"}),
    _detector("spec.threshold.baseline.over", DURATION, threshold={"quantile": 0.99, "baseline": {"over": "soon"}}),
]
