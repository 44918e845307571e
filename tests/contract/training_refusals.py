"""What is wrong with how a model is made, and the sentences that the API server answers. No test."""

from tests.contract.refusals import _CRON, _ZONE, DURATION, _detector

_QUANTIZATION = "model.quantization is for models with a network or components: autoencoder, pca, or an ensemble of them"
_SCHEDULE = "timeZone says where schedule is read: set schedule as well"
_ONE_ADJUSTMENT = "threshold.baseline and threshold.perEntity both change an entity's scores: set one of them"
TRAINING_ROWS = [
    _detector("spec.threshold", _ONE_ADJUSTMENT, threshold={"quantile": 0.99, "baseline": {}, "perEntity": {}}),
    _detector("spec.threshold.perEntity.after", DURATION, threshold={"quantile": 0.99, "perEntity": {"after": "soon"}}),
    _detector("spec.training.schedule", _CRON, training={"schedule": "61 2 * * *"}),
    _detector("spec.training.timeZone", _ZONE, training={"schedule": "0 3 * * 0", "timeZone": "Central European Time"}),
    _detector("spec.training", _SCHEDULE, training={"timeZone": "UTC"}),
    _detector("spec.training.minInterval", DURATION, training={"minInterval": "daily"}),
    _detector(
        "spec.rollout.promote", "write the 8 characters that name a revision, such as 3f2a91c0", rollout={"promote": "latest"}
    ),
    _detector("spec.model", _QUANTIZATION, model={"isolationForest": {}, "quantization": "Int8"}),
    _detector("spec.model", _QUANTIZATION, model={"statistical": {}, "quantization": "Int8"}),
    _detector("spec.threshold.baseline.over", DURATION, threshold={"quantile": 0.99, "baseline": {"over": "soon"}}),
]
