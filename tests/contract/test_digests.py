"""Digests decide what is trained, rolled out and replaced: pinned, and the same after fields with defaults have been added.

Where one of the pinned digests changes, every detector that exists trains anew or has its pods replaced at the next upgrade.
"""

from typing import Any

import pytest
from pydantic import create_model

from anomaly_api.assignment import Assignment, Identity, Revision, Runtime, TrainingOrder
from anomaly_api.detector import DetectorSpec
from anomaly_api.kinds import Autoencoder
from anomaly_api.learning import Training
from anomaly_api.revision import runtime, without_model
from anomaly_api.schema import Contract
from anomaly_api.source import Feature, KafkaSource, Pipeline

SHORTEST: dict[str, Any] = {
    "source": {"kafka": {"bootstrapServers": "kafka:9092", "topic": "pump-readings"}},
    "features": [{"name": "temperature"}, {"name": "pressure"}],
}
LONGEST: dict[str, Any] = {
    "source": {
        "kafka": {
            "bootstrapServers": "kafka-0:9092,kafka-1:9092",
            "topic": "pump-readings",
            "groupId": "pumps",
            "startFrom": "Earliest",
            "tls": {"caSecretRef": {"name": "ca"}},
            "sasl": {"mechanism": "ScramSha512", "secretRef": {"name": "pumps"}},
            "properties": {"client.rack": "a"},
        }
    },
    "entity": {"field": "device.id", "expireAfter": "14d"},
    "time": {"field": "time", "format": "UnixMillis", "lateness": "10s"},
    "features": [{"name": "temperature", "field": "sensors.temperature", "missing": "Drop"}, {"name": "pressure"}],
    "windows": [{"name": "short"}, {"name": "long", "size": 120, "every": 12, "maxGap": "1h"}],
    "model": {"autoencoder": {"layers": [64, 8]}},
    "training": {"data": {"topic": {"last": "14d"}}, "epochs": 100, "image": "registry.example.com/trainer:1"},
    "threshold": {"quantile": 0.99},
    "fallback": {"standardDeviations": 10},
    "alerts": {"open": {"windows": 3}, "cooldown": "1h", "severities": [{"name": "warning", "above": 1}]},
    "modelStore": {"uri": {"uri": "s3://models/pumps"}},
    "delivery": "AtLeastOnce",
}
OF = Identity(namespace="plant", name="pumps", uid="0d2f")


def order(spec: DetectorSpec) -> TrainingOrder:
    return TrainingOrder(
        detector=OF,
        job="",
        kafka=spec.source.kafka,
        pipeline=spec.pipeline,
        model=spec.model,
        training=spec.training,
        model_store=spec.model_store,
    )


def digests(spec: DetectorSpec) -> dict[str, str]:
    revision = without_model(spec)
    return {
        "runtime": runtime(spec, OF).digest[:12],
        "revision": revision.digest[:12],
        "assignment": Assignment(stable=revision, artifacts={"sha256:7d41": "/models/a"}).digest[:12],
        "training": order(spec).key,
    }


@pytest.mark.parametrize(
    ("spec", "pinned"),
    [
        (
            SHORTEST,
            {"runtime": "4bb828d12cff", "revision": "bd7076718ba3", "assignment": "345b61452fbc", "training": "8eff4f4ea839"},
        ),
        (
            LONGEST,
            {"runtime": "60df5a8f44ed", "revision": "dcd98cbe94dc", "assignment": "123990b05dc6", "training": "fae368447e0d"},
        ),
    ],
    ids=["shortest", "longest"],
)
def test_digests_are_those_of_the_release_before(spec: dict[str, Any], pinned: dict[str, str]) -> None:
    assert digests(DetectorSpec.model_validate(spec)) == pinned


@pytest.mark.parametrize("spec", [SHORTEST, LONGEST], ids=["shortest", "longest"])
def test_a_default_that_is_written_out_is_no_change(spec: dict[str, Any]) -> None:
    read = DetectorSpec.model_validate(spec)
    assert digests(DetectorSpec.model_validate(read.document())) == digests(read)


def _later(model: type[Contract], **fields: Any) -> Any:
    """The same model in a later version: with fields that have defaults, and with later versions of what it is made of."""
    novelties = {"novelty": (int, 3), "optional": (str | None, None), "nested": (Autoencoder, Autoencoder())}
    return create_model(f"Later{model.__name__}", __base__=model, **novelties, **fields)


def test_fields_that_a_later_version_adds_with_a_default_change_no_digest() -> None:
    pipeline = _later(Pipeline, features=(list[_later(Feature)], ...))  # type: ignore[misc]
    revision = _later(Revision, pipeline=(pipeline, ...))
    later = {
        Revision: revision,
        Assignment: _later(Assignment, stable=(revision, ...)),
        Runtime: _later(Runtime, kafka=(_later(KafkaSource), ...)),
        TrainingOrder: _later(TrainingOrder, pipeline=(pipeline, ...), training=(_later(Training), ...)),
    }
    spec = DetectorSpec.model_validate(LONGEST)
    told: list[Any] = [without_model(spec), Assignment(stable=without_model(spec)), runtime(spec, OF), order(spec)]
    for before in told:
        after = later[type(before)].model_validate(before.document())
        assert after.document() != before.document(), "the later version has nothing new"
        assert getattr(after, "key", None) == getattr(before, "key", None)
        assert getattr(after, "digest", None) == getattr(before, "digest", None)


def test_how_a_training_is_run_is_no_reason_to_train_again() -> None:
    def key(**training: Any) -> str:
        return order(DetectorSpec.model_validate({**SHORTEST, "training": training})).key

    usual = key()
    assert {key(image="other"), key(backoffLimit=7), key(resources={"limits": {"memory": "4Gi"}})} == {usual}
    assert key(epochs=7) != usual
