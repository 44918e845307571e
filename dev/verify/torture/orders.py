"""Assignments for the pods: revisions that differ in all that may change in the middle, and the runtime with short timeouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from anomaly_api.alerting import AlertPolicy
from anomaly_api.assignment import Assignment, Identity, Revision, Runtime
from anomaly_api.calibration import Calibration, Quantile, ThresholdSource, WindowThreshold
from anomaly_api.model import Interface, InterfaceWindow
from anomaly_api.policy import Delivery, Fallback
from anomaly_api.schema import Empty
from anomaly_api.source import Entity, Feature, GroupProtocol, KafkaSource, Missing, Pipeline, StartFrom, Time, TimeFormat, Window
from anomaly_detector.core.entities.quota import MemoryQuota
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.artifact import Manifest, artifact_digest, pack
from anomaly_detector.core.scoring.revisions import LoadedRevision
from dev.environment import cache
from dev.environment.backends import ROOT
from dev.verify.torture.recording import FEATURES, PARTITIONS
from dev.verify.torture.schedule import Act

SOURCE = "/namespaces/torture/anomalydetectors/pumps"
_HOLD, _INTERPOLATE, _DROP = Missing.HOLD, Missing.INTERPOLATE, Missing.DROP
_SHORT = Window(name="short", size=4)
_MEDIUM = Window(name="medium", size=8, every=2)
_LONG = Window(name="long", size=16, every=4, max_gap="1m")


def _pipeline(*windows: Window, missing: tuple[Missing, ...] = (_HOLD,) * 3, lateness: str = "0s") -> Pipeline:
    """`missing`: what is done about it, of so many features."""
    return Pipeline(
        entity=Entity(key=Empty()),
        time=Time(field="at", format=TimeFormat.UNIX_SECONDS, lateness=lateness, max_waiting=3),
        features=[Feature(name=name, missing=each) for name, each in zip(FEATURES, missing, strict=False)],
        windows=list(windows),
    )


def _with(pipeline: Pipeline, features: list[dict[str, object]]) -> Pipeline:
    return pipeline.model_copy(update={"features": [Feature.model_validate(each) for each in features]})


_COMPUTED: Final[list[dict[str, object]]] = [
    *(dict[str, object](name=name) for name in FEATURES),
    {"name": "calm", "derived": {"rollingMean": {"of": FEATURES[0], "readings": 5}}},
    {"name": "slope", "derived": {"rateOfChange": {"of": FEATURES[1]}}},
    {"name": "total", "field": FEATURES[2], "kind": "Counter", "missing": "Drop", "role": "Context"},
]
"""Features that are computed from what is read; most of the time a temperature is no counter."""
_MADE_FROM: Final = (
    Path(__file__),
    ROOT / "uv.lock",
    ROOT / "crds/anomaly_api",
    ROOT / "detector/anomaly_detector/core/scoring",
    ROOT / "detector/anomaly_detector/training",
)
"""All that decides what the archive of the model says."""
_SHARES: Final = (30, 0, 60, 100)
"""Weights of candidates; 0 is shadow."""
_POLICY: Final[dict[str, object]] = {
    "update": {"every": "30s", "growth": 1.5},
    "cooldown": "1m",
    "severities": [
        {"name": "warning", "above": 1.0},
        {"name": "lasting", "above": 1.0, "for": "16s"},
        {"name": "bad", "above": 3},
    ],
}
"""A stream lasts for twelve minutes of event time, and begins at midnight."""
_RESERVED: Final[dict[str, object]] = {
    "cooldown": "2m",
    "suppress": [{"name": "works", "schedule": "*/5 0 * * *", "duration": "90s", "entities": "*[0-4]"}],
    "limits": {"perEntity": {"episodes": 3, "per": "4m"}, "total": {"episodes": 30, "per": "2m"}},
}


def _revision(
    pipeline: Pipeline,
    threshold: float,
    model: str | None = None,
    warmup: int = 20,
    closing: int = 2,
    opening: int = 1,
    policy: dict[str, object] | None = None,
) -> Revision:
    kind = ThresholdSource.VALUE if model else ThresholdSource.FALLBACK
    values = {window.name: threshold if window == _SHORT or model else 3 * threshold for window in pipeline.windows}
    thresholds = [WindowThreshold(window=name, value=value, source=kind, asked=f"{value:g}") for name, value in values.items()]
    return Revision(
        model=model,
        model_name=None,
        pipeline=pipeline,
        thresholds=thresholds,
        fallback=Fallback(standard_deviations=6.0, warmup=warmup),
        alerts=AlertPolicy.model_validate(
            _POLICY | {"open": {"windows": opening}, "close": {"below": 0.8, "windows": closing}} | (policy or {})
        ),
    )


def model(pipeline_windows: tuple[str, ...]) -> tuple[str, bytes]:
    """Digest and archive of an autoencoder that nobody has trained: it decides, and its graph is the trainer's own.

    Kept among the cached builds: torch and its exporter take half a minute of CPU in every process that asks.
    """
    kept = cache.made(
        "torture-model",
        cache.digest(*_MADE_FROM, *pipeline_windows),
        lambda folder: _make(folder / "model.tar", pipeline_windows),
    )
    archive = (kept / "model.tar").read_bytes()
    return artifact_digest(archive), archive


def _make(path: Path, pipeline_windows: tuple[str, ...]) -> None:
    import torch  # takes seconds to import

    from anomaly_api.kinds import FeatureErrors
    from anomaly_detector.training.export import OPSET, export
    from anomaly_detector.training.models.dense import Dense, derived_layers
    from anomaly_detector.training.models.reconstruction import WindowScorer
    from anomaly_detector.training.models.scaling import Scaling

    torch.manual_seed(7)
    windows = [window for window in (_SHORT, _MEDIUM, _LONG) if window.name in pipeline_windows]
    width = len(FEATURES)
    scaling = Scaling(np.full(width, 50.0), np.full(width, 20.0), np.zeros(width, bool))
    sample = np.random.default_rng(7).normal(50, 20, (64, max(window.size for window in windows), width)).astype(np.float32)
    graphs = {
        window.name: export(
            WindowScorer(
                window.size, scaling, Dense(window.size * width, derived_layers(window.size, width)), FeatureErrors()
            ).eval(),
            sample[:, : window.size],
        ).content
        for window in windows
    }
    calibration = [_calibration(window) for window in windows]
    shapes = [InterfaceWindow(name=window.name, size=window.size) for window in windows]
    interface = Interface(features=list(FEATURES), windows=shapes, opset=OPSET)
    path.write_bytes(pack(Manifest(interface=interface, calibration=calibration), graphs))


def _calibration(window: Window) -> Calibration:
    quantiles = [Quantile(level=0.0, score=0.0), Quantile(level=1.0, score=2.0)]
    numbers = {"mean": 1.0, "standard_deviation": 0.1, "maximum": 2.0}
    return Calibration(window=window.name, windows=100, entity_seconds=100.0, quantiles=quantiles, peaks=[2.0], **numbers)


def first_revision() -> Revision:
    """In force at the start."""
    return _revision(_pipeline(_SHORT, _MEDIUM), 6.0, closing=1)


def _waiting_revision() -> Revision:
    return _revision(_pipeline(_SHORT, _MEDIUM, missing=(_INTERPOLATE, _DROP, _HOLD), lateness="6s"), 6.0, closing=1)


def assignments(folder: Path) -> list[Assignment]:
    """The first one is in force at the start. They differ in all that may be edited while a stream runs."""
    digest, archive = model(("short", "medium"))
    place = folder / "model.tar"
    place.write_bytes(archive)
    both = _pipeline(_SHORT, _MEDIUM)
    revisions = [
        first_revision(),
        _revision(both, 8.0, warmup=40, policy=_RESERVED),
        _revision(_pipeline(_SHORT, _LONG, missing=(_DROP, _HOLD, _INTERPOLATE)), 6.0, closing=1),
        _revision(both, 2.0, model=digest, closing=3, opening=2),
        _waiting_revision(),
        _revision(_pipeline(_SHORT, lateness="2s"), 5.0, policy=_RESERVED),
        _revision(_pipeline(_SHORT, _MEDIUM, missing=(_DROP, _INTERPOLATE)), 6.0, closing=3, opening=2),
        _revision(_pipeline(_SHORT, _MEDIUM, missing=(_INTERPOLATE,) * 3, lateness="30s"), 2.0, model=digest),
        _revision(_with(both, [{"name": name, "scale": "PerEntity"} for name in FEATURES]), 0.1937, model=digest),
        _revision(_with(both, _COMPUTED), 3.0, closing=1),
    ]
    return [Assignment(stable=revision, artifacts={digest: str(place)}) for revision in [*revisions, *_rivals(digest)]]


def _rivals(digest: str) -> list[Revision]:
    """They share the windows of the first revision: who decides an entity may change in the middle of its episodes."""
    both = _pipeline(_SHORT, _MEDIUM)
    return [
        _revision(both, 4.0, closing=2, policy=_RESERVED),
        _revision(_pipeline(_SHORT, _LONG), 6.0, opening=2),
        _revision(both, 3.0, model=digest, policy=_RESERVED),
        _revision(_pipeline(_MEDIUM), 1.5, model=digest),
    ]


def next_order(order: Assignment, act: Act, which: int, orders: Sequence[Assignment]) -> Assignment:
    """What the operator says next. `which` draws a revision, or the next step of a rollout, or a weight."""
    other = orders[which % len(orders)].stable
    candidate, weight = order.candidate, _SHARES[which // len(orders) % len(_SHARES)]
    match act:
        case Act.WEIGHT if candidate is None or which % 7 == 0:
            rollout = f"pumps-{which % 5}"
            return order.model_copy(update={"candidate": other, "weight": weight, "rollout": rollout})
        case Act.WEIGHT:
            return order.model_copy(update={"weight": weight})
        case Act.PROMOTE if candidate is not None:
            other = candidate
        case Act.ABORT:
            other = order.stable
    return Assignment(stable=other, artifacts=order.artifacts)


def runtime(bootstrap: str, topic: str, delivery: Delivery, protocol: GroupProtocol = GroupProtocol.CLASSIC) -> Runtime:
    """Timeouts are short, so that a zombie is one after a second or two."""
    properties = {"transaction.timeout.ms": "3000"}
    if protocol is GroupProtocol.CLASSIC:
        properties |= {"session.timeout.ms": "1500", "heartbeat.interval.ms": "300"}
    kafka = KafkaSource(
        bootstrap_servers=bootstrap,
        topic=topic,
        group_protocol=protocol,
        start_from=StartFrom.EARLIEST,
        properties=properties,
    )
    return Runtime(
        detector=Identity(namespace="torture", name="pumps", uid="1"),
        kafka=kafka,
        group_id=f"{topic}.group",
        alerts_topic=f"{topic}.alerts",
        dead_letter_topic=f"{topic}.dead-letters",
        state_topic=f"{topic}.state",
        delivery=delivery,
        memory_budget=_budget(),
        expire_after="1m",
    )


def _budget() -> int:
    """Room for six entities in each partition where readings wait, for seven where they do not: eight are too many."""
    ample = MemoryQuota(10**9, PARTITIONS, 60.0)
    bounds = DetectionPipeline(SOURCE, LoadedRevision(_waiting_revision()), ample).configuration.intake.bounds
    assert bounds is not None, "there is an allowance"
    return (PARTITIONS + 1) * 6 * (bounds.entity_bytes + len("pump-00"))
