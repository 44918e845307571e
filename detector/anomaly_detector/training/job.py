"""The course of a training: gather, wait until there is enough, learn, store, register. The parts are elsewhere."""

import gc
import importlib
import logging
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from anomaly_api.alert import ScorerKind
from anomaly_api.assignment import TrainingOrder
from anomaly_api.calibration import Calibration
from anomaly_api.model import HeldOut, Interface, InterfaceWindow, ModelSpec, Report, Trained
from anomaly_api.schema import seconds
from anomaly_detector.adapters.schema_registry import Registry as Asked
from anomaly_detector.core.columns import MICROSECONDS
from anomaly_detector.core.scoring.artifact import Manifest, Provenance, artifact_digest, pack
from anomaly_detector.training.data.files import Files
from anomaly_detector.training.data.known_times import known_times
from anomaly_detector.training.data.memory_limit import memory_limit
from anomaly_detector.training.data.messages import MessageSource
from anomaly_detector.training.data.samples import Gathering, Sample, affordable
from anomaly_detector.training.data.schemas import WithSchemas
from anomaly_detector.training.data.topic import Topic
from anomaly_detector.training.exclusion import Exclusions, remaining
from anomaly_detector.training.failures import TrainingError
from anomaly_detector.training.reference import drift_reference
from anomaly_detector.training.registry import Registry, connect
from anomaly_detector.training.reporting import Progress

if TYPE_CHECKING:
    from anomaly_detector.training.card.figures import CardFigures
    from anomaly_detector.training.gate.judge import Judgement
    from anomaly_detector.training.learning import Learned

_MADE_BY: Final = ("torch", "onnx", "onnxscript", "onnxruntime", "numpy")

log = logging.getLogger(__name__)


def run(order: TrainingOrder, progress: Progress) -> str:
    """Does what is ordered and returns the AnomalyModel's name. Raises TrainingError."""
    source = _source(order, progress)
    gathered = Gathering(order.pipeline, order.training.maximum.windows, order.training.seed, affordable(memory_limit()))
    _gather(source, gathered, order, progress)
    outcome = learn_model(source, gathered, order, progress, known_times(order, (gathered.first_time or 0) // 1000))
    judgement = judged(outcome, order, progress)
    progress.update(state="Storing", progress=0, message="storing the model")
    from anomaly_detector.training.card.page import compressed  # brings torch

    registry = Registry(connect(), order)
    card = compressed(card_figures(outcome, order, judgement, f"Model of {order.detector.namespace}/{order.detector.name}"))
    archive, manifest = outcome.archive, outcome.manifest
    digest = artifact_digest(archive)
    artifact = registry.place(digest, archive)
    trained = manifest.trained
    assert trained is not None, "it was just trained"
    spec = ModelSpec(
        digest=digest,
        artifact=artifact,
        interface=manifest.interface.model_copy(update={"size_bytes": len(archive)}),
        calibration=manifest.calibration,
        trained=Trained(
            detector=order.detector.name,
            job=order.job,
            seconds=round(outcome.seconds, 3),
            pipeline=order.pipeline.document(),
            gate=judgement.report if judgement else None,
            **trained.model_dump(by_alias=False),
        ),
        report=Report(config_map_ref=registry.card(digest)),
    )
    name = registry.register(spec, archive, card)
    progress.update(state="Complete", progress=100, reason="", message=f"AnomalyModel {name} is registered")
    return name


def _source(order: TrainingOrder, progress: Progress) -> MessageSource:
    data = order.training.data
    if data.files is not None:
        return Files(data.files, order.pipeline)
    assert data.topic is not None, "the API server admits exactly one"
    since = time.time() - seconds(data.topic.last)

    def report(reason: str, message: str) -> None:
        if message and progress.evidence.message != message:
            log.warning("%s", message)
        progress.update(reason=reason, message=message)

    topic = Topic(order.kafka, round(since * 1000), report)
    return topic if order.schema_registry is None else WithSchemas(topic, Asked(order.schema_registry), report)


def _gather(source: MessageSource, gathered: Gathering, order: TrainingOrder, progress: Progress) -> None:
    """Reads until everything that was there has been read and there are enough windows."""
    needed = order.training.minimum.windows
    progress.update(state="Waiting", needed=needed, message=f"waiting for {source.name}")
    announced = ""
    for messages in source.read():
        found = {"readings": gathered.readings, "windows": gathered.windows, "rejected": gathered.rejected}
        if messages is not None:
            gathered.take(messages)
            if source.share_read < 1.0:
                progress.update(state="Reading", progress=round(source.share_read * 100), reason="", message="", **found)
            continue
        if gathered.windows >= needed:
            break
        reason, message = shortage(gathered, order, source.name)
        if message != announced:
            log.info("%s", message)
            announced = message
        progress.update(
            state="Waiting", progress=min(99, 100 * gathered.windows // needed), reason=reason, message=message, **found
        )
    if gathered.windows < needed:
        raise TrainingError(shortage(gathered, order, source.name)[1])
    progress.update(readings=gathered.readings, windows=gathered.windows, rejected=gathered.rejected, reason="", message="")
    log.info(
        "%d readings of %d entities in %s: %d windows, %d messages rejected, %d readings late, %d there twice",
        *(gathered.readings, gathered.entities, source.name, gathered.windows),
        *(gathered.rejected, gathered.late, gathered.duplicates),
    )


def shortage(gathered: Gathering, order: TrainingOrder, where: str) -> tuple[str, str]:
    """Reason and message for why training cannot begin yet: what is there, what is needed, and the likeliest cause."""
    needed = order.training.minimum.windows
    if gathered.rejected and not gathered.readings:
        return "UnreadableReadings", (
            f"none of the {gathered.rejected:,} messages of {where} can be read. The last one: {gathered.last_reject}. "
            "Correct the producer, or spec.entity, spec.time and spec.features"
        )
    if not gathered.readings:
        return "NoReadings", f"{where} has no readings yet; {needed:,} windows are needed"
    counted = (
        f"{gathered.readings:,} readings of {gathered.entities:,} entities in {where}, {gathered.windows:,} of {needed:,} windows"
        + (f" ({gathered.late:,} readings came out of order and are left out)" if gathered.late else "")
        + (f" ({gathered.duplicates:,} were there twice)" if gathered.duplicates else "")
    )
    narrowest = min(order.pipeline.windows, key=lambda window: seconds(window.max_gap))
    if gathered.interval > seconds(narrowest.max_gap):
        return "GapsTooLong", (
            f"{counted}: readings of an entity are usually {gathered.interval:g} s apart and windows break after "
            f"{narrowest.max_gap}: raise maxGap of window {narrowest.name}"
        )
    if gathered.late * 2 > gathered.readings:
        return "OutOfOrder", (
            f"{counted}: {gathered.late:,} readings are not newer than the one before of their entity and are left out; "
            "key the messages by entity, set time.lateness, and check spec.entity and spec.time"
        )
    return "TooLittleData", counted


@dataclass(frozen=True)
class Outcome:
    """What was learned."""

    archive: bytes
    manifest: Manifest
    seconds: float
    """That fitting took."""
    learned: "list[Learned]"
    """By window, in the order of the pipeline."""
    samples: dict[str, Sample]
    """Windows that were learned from and judged by."""
    entities: list[str]
    """Names of the samples' slots."""


def judged(outcome: Outcome, order: TrainingOrder, progress: Progress) -> "Judgement | None":
    """The gate's judgement; None where the spec wants none."""
    from anomaly_detector.training.gate.judge import judge  # brings torch

    progress.update(state="Judging", progress=0, message="")
    tell = lambda share: progress.update(progress=min(99, round(100 * share)))  # noqa: E731
    return judge(order, outcome.learned, outcome.samples, tell)


def card_figures(outcome: Outcome, order: TrainingOrder, judgement: "Judgement | None", title: str) -> "CardFigures":
    """What the model card shows."""
    from anomaly_detector.training.card import figures  # brings torch

    seen = (outcome.learned, outcome.samples, outcome.entities)
    return figures.card_figures(title, outcome.manifest, *seen, order.threshold, judgement)


def learn_model(
    source: MessageSource,
    gathered: Gathering,
    order: TrainingOrder,
    progress: Progress,
    exclusions: Exclusions | None = None,
) -> Outcome:
    """Fits, exports and calibrates. Raises TrainingError."""
    progress.update(state="Training", progress=0, message="")
    from anomaly_detector.training import learning  # brings torch, 165 MB that waiting does not need

    kept = remaining(gathered, order, exclusions or Exclusions())
    samples = kept.samples
    windows, learned = order.pipeline.windows, list[learning.Learned]()
    for place, window in enumerate(windows):

        def tell(share: float, place: int = place) -> None:
            progress.update(progress=min(99, round(100 * (place + share) / len(windows))))

        settings = (order.model, order.training)
        learned.append(
            learning.learn(window, samples[window.name], order.pipeline, settings, gathered.interval, tell, kept.sooner)
        )
        log.info(
            "window %s: %s %s, %d epochs in %.1f s",
            *(window.name, order.model.kind, learned[-1].settings, learned[-1].epochs, learned[-1].seconds),
        )
        gc.collect()
    scores = learning.held_out_scores(learned, samples, order.pipeline, source.again, kept.left_out, kept.names)
    found = learning.calibrations(learned, scores)
    names = [feature.name for feature in order.pipeline.features]
    newest = samples[windows[0].name]
    drift = drift_reference(newest.times, newest.values[:, -1], names, learning.in_time(scores))
    manifest = Manifest(
        interface=Interface(
            features=names,
            windows=[InterfaceWindow(name=window.name, size=window.size) for window in windows],
            opset=learned[0].graph.opset,
        ),
        calibration=found,
        trained=_provenance(order, gathered, learned, found).model_copy(update={"excluded": kept.excluded}),
        drift=drift,
    )
    archive = pack(manifest, {model.window.name: model.deciding.content for model in learned})
    return Outcome(archive, manifest, sum(model.seconds for model in learned), learned, samples, gathered.slot_names)


def _provenance(order: TrainingOrder, gathered: Gathering, learned: "Iterable[Learned]", found: list[Calibration]) -> Provenance:
    models = list(learned)
    levels = [{point.level: point.score for point in calibration.quantiles} for calibration in found]
    assert gathered.first_time is not None and gathered.last_time is not None, "there were readings"  # noqa: PT018
    return Provenance(
        data_from=_moment(gathered.first_time),
        data_to=_moment(gathered.last_time),
        readings=gathered.readings,
        entities=gathered.entities,
        rejected=gathered.rejected,
        kind=ScorerKind(order.model.kind[0].upper() + order.model.kind[1:]),
        settings=order.model.settings.document()
        | models[0].settings
        | ({"quantization": order.model.quantization.value} if order.model.quantization else {}),
        seed=order.training.seed,
        epochs=max(model.epochs for model in models),
        constant_features=models[0].constant or None,
        held_out=[
            HeldOut(window=calibration.window, windows=calibration.windows, loss=calibration.mean, p99=points[0.99])
            for calibration, points in zip(found, levels, strict=True)
        ],
        versions={"python": platform.python_version(), **{name: importlib.import_module(name).__version__ for name in _MADE_BY}},
    )


def _moment(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / MICROSECONDS, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
