"""Builds what a spec means for scoring pods: the revision with a model or without one, and the runtime. Reads and writes nothing.

The operator builds its orders with it, and so does whoever runs a scoring pod without an operator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anomaly_api.alerting import AlertPolicy
from anomaly_api.assignment import Identity, Revision, Runtime, state_topic
from anomaly_api.calibration import ThresholdSource, WindowThreshold
from anomaly_api.feedback import Feedback
from anomaly_api.quantity import amount
from anomaly_api.thresholds import window_threshold

if TYPE_CHECKING:
    from anomaly_api.detector import DetectorSpec
    from anomaly_api.model import Interface, ModelSpec
    from anomaly_api.source import Pipeline


class NotCalibratedError(ValueError):
    """A model without the held-out scores that a threshold is computed from; the message says what is missing."""


def with_model(spec: DetectorSpec, pipeline: Pipeline, name: str, model: ModelSpec) -> Revision:
    """The revision in which a model decides, under the spec's threshold and alert policy.

    `pipeline` is the one that the model was trained for, which may be older than the spec's; `name` is the AnomalyModel's.
    Raises NotCalibratedError.
    """
    calibrations = {calibration.window: calibration for calibration in model.calibration}
    try:
        thresholds = [window_threshold(spec.threshold, calibrations[window.name]) for window in pipeline.windows]
    except (KeyError, ValueError) as error:
        raise NotCalibratedError(
            f"AnomalyModel {name} has no usable calibration ({error}): train it again, or import it with one"
        ) from error
    return Revision(
        model=model.digest,
        model_name=name,
        pipeline=pipeline,
        thresholds=thresholds,
        fallback=spec.fallback,
        alerts=alert_policy(spec),
    )


def without_model(spec: DetectorSpec) -> Revision:
    """The revision in which the statistical fallback scorer decides."""
    value = spec.fallback.standard_deviations
    thresholds = [
        WindowThreshold(window=window.name, value=value, source=ThresholdSource.FALLBACK, asked=f"{value:g}")
        for window in spec.pipeline.windows
    ]
    return Revision(pipeline=spec.pipeline, thresholds=thresholds, fallback=spec.fallback, alerts=alert_policy(spec))


def with_policies_of(spec: DetectorSpec, revision: Revision) -> Revision:
    """The same model and thresholds under the spec's fallback and alert policy."""
    return revision.model_copy(update={"fallback": spec.fallback, "alerts": alert_policy(spec)})


def alert_policy(spec: DetectorSpec) -> AlertPolicy:
    """The part of `alerts` that belongs to a revision; topics belong to the runtime."""
    return AlertPolicy(**{name: getattr(spec.alerts, name) for name in AlertPolicy.model_fields})


def mismatch(pipeline: Pipeline, interface: Interface) -> str:
    """In what a model's interface differs from the pipeline, for people; empty when it fits."""
    wanted = [feature.name for feature in pipeline.features]
    if interface.features != wanted:
        return f"it was trained on the features {', '.join(interface.features)}, the spec has {', '.join(wanted)}"
    sizes = {window.name: window.size for window in interface.windows}
    for window in pipeline.windows:
        if sizes.get(window.name) != window.size:
            return f"the spec's window {window.name} of {window.size} readings is not among its windows ({sizes})"
    return ""


def runtime(spec: DetectorSpec, detector: Identity) -> Runtime:
    """The settings of the detector's scoring pods that need a new pod when they change."""
    group = spec.group_id(detector.namespace, detector.name)
    return Runtime(
        detector=detector,
        kafka=spec.source.kafka,
        group_id=group,
        alerts_topic=spec.alerts_topic,
        dead_letter_topic=spec.dead_letter_topic,
        state_topic=spec.state_topic or state_topic(spec.source.kafka.topic, group),
        delivery=spec.delivery,
        memory_budget=int(amount(spec.memory_budget)),
        expire_after=spec.entity.expire_after,
        labels_topic=spec.labels_topic,
        feedback_last=(spec.feedback or Feedback()).last,
        drift_over=spec.drift.over,
        schema_registry=spec.source.schema_registry,
    )
