"""The training that a spec asks for. What became of it is `outcome`; the training itself is the trainer's."""

from typing import Final

from anomaly_api.assignment import Identity, StableModel, TrainingOrder
from anomaly_api.source import Pipeline
from anomaly_operator.core.memo import ByIdentity
from anomaly_operator.core.resources.names import job_name
from anomaly_operator.core.snapshot import Detector, Model


def training_order(detector: Detector, request: str = "") -> TrainingOrder | None:
    """The order; None where the spec has nothing trained. The Job's name is part of it, so it is made in two steps."""
    order = _unasked(detector)
    return requested(order, request) if order is not None else None


def _order(detector: Detector) -> TrainingOrder | None:
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
        threshold=spec.threshold,
        schema_registry=spec.source.schema_registry,
    )
    return requested(order, "")


_unasked: Final = ByIdentity(lambda detector: detector.uid, _order)


def requested(order: TrainingOrder, request: str) -> TrainingOrder:
    """The order as `request` asks for it: another training of the same, under another key and with a Job of its own."""
    if order.job and order.request == request:
        return order
    asked = order.model_copy(update={"request": request})
    return asked.model_copy(update={"job": job_name(order.detector.name, asked.key)})


def made_by(order: TrainingOrder, model: Model) -> bool:
    """Whether the model is of this training, whatever asked for it: of the same spec, and perhaps of older data."""
    return model.training == requested(order, model.request).key


def compared_with(order: TrainingOrder | None, pipeline: Pipeline, stable: Model | None) -> TrainingOrder | None:
    """The order, with the model in use, which reads windows by `pipeline`, as what the gate compares with. Its key is the same.

    A model of other features or windows cannot be compared.
    """
    if order is None or stable is None or pipeline.learned != order.pipeline.learned:
        return order
    compared = StableModel(name=stable.name, digest=stable.spec.digest, artifact=stable.spec.artifact)
    return order.model_copy(update={"stable": compared})
