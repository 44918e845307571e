"""The training that a spec asks for. What became of it is `outcome`; the training itself is the trainer's."""

from anomaly_api.assignment import Identity, TrainingOrder
from anomaly_operator.core.resources.names import job_name
from anomaly_operator.core.snapshot import Detector


def training_order(detector: Detector) -> TrainingOrder | None:
    """The order; None where the spec has nothing trained. The Job's name is part of it, so it is made in two steps."""
    spec = detector.spec
    if not spec.model.trained:
        return None
    order = TrainingOrder(
        detector=Identity(namespace=detector.namespace, name=detector.name, uid=detector.uid),
        job="",
        kafka=spec.source.kafka,
        pipeline=spec.pipeline,
        model=spec.model,
        training=spec.training,
        model_store=spec.model_store,
        alerts_topic=spec.alerts_topic,
        labels_topic=spec.labels_topic,
        suppress=list(spec.alerts.suppress or ()),
    )
    return order.model_copy(update={"job": job_name(detector.name, order.key)})
