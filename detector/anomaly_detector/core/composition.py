"""The configuration that revisions and a memory quota make: one intake that serves every decider."""

from anomaly_api.alerting import AlertPolicy
from anomaly_api.policy import Fallback
from anomaly_api.source import Pipeline
from anomaly_detector.core.configuration import Configuration, Deciders
from anomaly_detector.core.entities.quota import MemoryQuota
from anomaly_detector.core.episodes.policy import EpisodePolicy
from anomaly_detector.core.episodes.table import Episodes
from anomaly_detector.core.preprocess.intake import Intake
from anomaly_detector.core.preprocess.preprocessor import Preprocessor
from anomaly_detector.core.scoring.revisions import RunningRevision
from anomaly_detector.core.shadow import Shadow


def composed(stable: RunningRevision, shadow: Shadow | None, quota: MemoryQuota | None, *, sparingly: bool) -> Configuration:
    """The intake has the windows of the stable revision, then those that only the candidate has; bounds follow the stable one."""
    pipeline, fallback = stable.revision.pipeline, stable.revision.fallback
    bounds = quota.bounds(_row_bytes(pipeline, fallback), pipeline.windows) if quota else None
    intake = Intake.of(pipeline, fallback, bounds=bounds, sparingly=sparingly)
    candidate = shadow.running if shadow is not None else None
    weight = shadow.weight if shadow is not None else 0
    beside = None
    if shadow is not None and candidate is not None and shadow.apart:
        beside = None if shadow.failed else _beside(candidate, quota)
    elif candidate is not None:
        theirs = [window for window in candidate.revision.pipeline.windows if window not in pipeline.windows]
        intake = intake.model_copy(update={"windows": pipeline.windows + theirs})
    deciders = Deciders(
        stable=stable.decider(),
        candidate=candidate.decider() if candidate is not None else None,
        weight=weight,
        rollout=shadow.terms.rollout if shadow is not None and weight else "",
        partitions=quota.partitions if quota else 1,
    )
    return Configuration(intake=intake, beside=beside, deciders=deciders)


def _beside(candidate: RunningRevision, quota: MemoryQuota | None) -> Intake:
    """As it would be if the candidate decided: with as much memory, beside that of the stable revision."""
    pipeline, fallback = candidate.revision.pipeline, candidate.revision.fallback
    bounds = quota.bounds(_row_bytes(pipeline, fallback), pipeline.windows) if quota else None
    return Intake.of(pipeline, fallback, bounds=bounds, sparingly=not candidate.wants_levels)


def _row_bytes(pipeline: Pipeline, fallback: Fallback) -> int:
    """Bytes of an entity in the columns of all stages: the stages are asked, so that none is forgotten."""
    entities = Preprocessor(Intake.of(pipeline, fallback)).entities
    Episodes(entities, EpisodePolicy(AlertPolicy()), [window.name for window in pipeline.windows])
    return entities.row_bytes
