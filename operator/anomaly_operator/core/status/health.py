"""The health of the stream and of the scoring, judged from pods and their evidence, in words for people.

Each judgement is the draft of a condition. Its `Progress` is what kstatus tells "in progress" from "stalled" by.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from anomaly_api.alert import LIMITED, UndeliverableReason
from anomaly_api.evidence import DetectorEvidence, RevisionEvidence, RevisionFailure, SourceState
from anomaly_operator.core.resources.names import DETECTOR
from anomaly_operator.core.snapshot import Snapshot
from anomaly_operator.core.status.missing_features import missing_feature
from anomaly_operator.core.status.not_readings import no_readings
from anomaly_operator.core.status.pod_refusal import PODS_REFUSED, refused_scoring_pods
from anomaly_operator.core.status.pods import Pod, PodFailure, age
from anomaly_operator.core.status.warming import never_filling

SILENCE: Final = 45.0
"""Seconds without a scored window after which a detector is said not to score: with the time that asking takes, a minute."""
WARMING_UP: Final = "WarmingUp"
_AWAY: Final = (SourceState.BROKER_UNREACHABLE, SourceState.SCHEMA_REGISTRY_UNREACHABLE)
"""What comes back by itself."""
_ENOUGH_FOR_A_PACE: Final = 10
_GRACE: Final = 60.0
"""Seconds that a pod is given to start, connect and score."""


class Progress(Enum):
    """Whether it goes on by itself."""

    MOVING = "moving"
    STALLED = "stalled"
    RESTING = "resting"
    """Neither under way nor stuck: a topic without readings."""
    WANTED = "wanted"
    """Someone wants it so: paused."""


@dataclass(frozen=True)
class ConditionDraft:
    """A condition without its times."""

    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    progress: Progress = Progress.MOVING


def pod_failure(snapshot: Snapshot) -> ConditionDraft | None:
    """Why scoring pods are not made, else the first one that does not run, worst first."""
    refused = refused_scoring_pods(snapshot)
    if refused:
        return ConditionDraft("False", PODS_REFUSED, refused, Progress.STALLED)
    failures = [pod.failure for pod in scoring_pods(snapshot) if pod.failure]
    worst = max(failures, key=lambda failure: failure.waits_for_people, default=None)
    return _of_pod_failure(worst) if worst else None


def scoring_pods(snapshot: Snapshot) -> list[Pod]:
    """Those that are not on their way out; evicted ones stay behind as failed, and others take their place."""
    return [
        pod
        for pod in snapshot.pods
        if pod.component == DETECTOR and not pod.terminating and pod.phase not in ("Succeeded", "Failed")
    ]


def source(snapshot: Snapshot) -> ConditionDraft:
    """SourceReachable: the worst that a pod says."""
    states = [evidence.source for evidence in snapshot.evidence_by_pod.values()]
    bad = next((each for each in states if each.state not in (SourceState.READING, SourceState.CONNECTING)), None)
    topic = snapshot.detector.spec.source.kafka.topic
    if bad:
        progress = Progress.MOVING if bad.state in _AWAY else Progress.STALLED
        return ConditionDraft("False", bad.state.value, bad.message or f"topic {topic} cannot be read", progress)
    if any(each.state is SourceState.READING for each in states):
        return ConditionDraft("True", SourceState.READING.value, f"topic {topic} is being read")
    if states:
        return ConditionDraft("Unknown", SourceState.CONNECTING.value, "the pods connect to the brokers")
    return ConditionDraft("Unknown", "PodsUnavailable", "no scoring pod has reported yet")


def scoring(snapshot: Snapshot, now: float) -> ConditionDraft:
    """Scoring: whether windows are being scored, by whatever scorer."""
    evidence = list(snapshot.evidence_by_pod.values())
    if not evidence:
        return _without_evidence(snapshot, now)
    reachable = source(snapshot)
    if reachable.status == "False":
        return ConditionDraft("False", reachable.reason, reachable.message, reachable.progress)
    hindered = _hindered(snapshot, evidence, now)
    if hindered:
        return hindered
    if any(_recent(snapshot, each, each.last_scored, each.windows, now) for each in evidence):
        return ConditionDraft("True", "Scoring", "windows are being scored")
    arriving = any(_recent(snapshot, each, each.last_reading, each.readings, now) for each in evidence)
    if arriving and (gaps := never_filling(evidence, snapshot.detector.spec)):
        return ConditionDraft("False", "WindowsDoNotFill", gaps, Progress.STALLED)
    if arriving and any(each.warming for each in evidence):
        return ConditionDraft("False", WARMING_UP, "readings arrive, but no entity has enough of them yet to be scored")
    if max((age(pod, now) for pod in scoring_pods(snapshot)), default=0.0) < _GRACE:
        return ConditionDraft("Unknown", "Starting", "the scoring pods have just started")
    if not arriving:
        return ConditionDraft("True", "Idle", "no readings arrive at the moment; the next ones are scored")
    message = "readings arrive, but none is being scored: see the logs of the scoring pods"
    return ConditionDraft("False", "NotScoring", message, Progress.STALLED)


def alerting(snapshot: Snapshot) -> ConditionDraft:
    """Alerting: whether all that is to be written for people is: every episode, and every message that could not be read."""
    evidence = list(snapshot.evidence_by_pod.values())
    if not evidence:
        return ConditionDraft("Unknown", "PodsUnavailable", "no scoring pod has reported yet")
    reached, dropped = sum(each.limits_reached for each in evidence), sum(sum(each.alerts_dropped.values()) for each in evidence)
    if not reached:
        return _buried(snapshot, evidence) or ConditionDraft("True", "Announcing", "no limit holds an episode back")
    message = (
        f"alerts.limits holds episodes back, {dropped} since the pods started, of {reached} entities and partitions now: records "
        f"of type {LIMITED} on topic {snapshot.detector.spec.alerts_topic} say of which. Something is wrong with very many "
        "entities, or thresholds do not fit; if all of it is to be announced, raise alerts.limits."
    )
    return ConditionDraft("False", "LimitReached", message, Progress.RESTING)


def _buried(snapshot: Snapshot, evidence: list[DetectorEvidence]) -> ConditionDraft | None:
    """Messages that could be neither read nor kept."""
    lost = sum(each.recently_undeliverable for each in evidence)
    if not lost:
        return None
    topic, said = (
        snapshot.detector.spec.dead_letter_topic,
        {reason for each in evidence for reason in each.dead_letters_undeliverable},
    )
    causes = {
        UndeliverableReason.KEY_MISSING: "it is compacted and takes nothing without a key: set its cleanup.policy to delete",
        UndeliverableReason.TOO_LARGE: "not even their beginnings fit into its max.message.bytes: raise it",
    }
    message = (
        f"{lost} messages of the last minute could not be read, and topic {topic} does not take them, so that they are lost: "
        f"{'; '.join(text for reason, text in causes.items() if reason in said)}. The stream is scored as ever."
    )
    return ConditionDraft("False", "DeadLettersLeftOut", message, Progress.RESTING)


def stable_failure(snapshot: Snapshot, revision: str) -> RevisionEvidence | None:
    """What a pod says is wrong with the stable revision."""
    said = [each for evidence in snapshot.evidence_by_pod.values() for each in evidence.revisions]
    return next((each for each in said if each.revision == revision and each.failure is not None), None)


def of_failure(failure: RevisionEvidence, model: str) -> ConditionDraft:
    """ModelAvailable, when a pod cannot run the revision."""
    assert failure.failure is not None, "the caller has looked"
    what = failure.message or f"AnomalyModel {model} cannot be used"
    moving = failure.failure is RevisionFailure.ARTIFACT_MISSING  # it may still be on its way to the pod
    progress = Progress.MOVING if moving else Progress.STALLED
    return ConditionDraft("False", failure.failure.value, f"{what}. Until then another scorer stands in.", progress)


def verified(snapshot: Snapshot, revision: str) -> bool | None:
    """Whether pods have loaded the revision's model with the right digest; None when none has said."""
    if snapshot.apply_error is not None and snapshot.apply_error.reason == "DigestMismatch":
        return False
    said = [each for evidence in snapshot.evidence_by_pod.values() for each in evidence.revisions if each.revision == revision]
    if any(each.failure in (RevisionFailure.DIGEST_MISMATCH, RevisionFailure.ARTIFACT_INVALID) for each in said):
        return False
    return True if any(each.loaded for each in said) else None


def _without_evidence(snapshot: Snapshot, now: float) -> ConditionDraft:
    stuck = pod_failure(snapshot)
    if stuck:
        return stuck
    pods = scoring_pods(snapshot)
    if not pods or max(age(pod, now) for pod in pods) < _GRACE:
        return ConditionDraft("Unknown", "PodsStarting", "the scoring pods start")
    if any(pod.ready for pod in pods):
        message = "the scoring pods are ready, but the operator cannot reach them on port 8080: does a NetworkPolicy forbid it?"
        return ConditionDraft("Unknown", "EvidenceUnavailable", message, Progress.STALLED)
    names = ", ".join(sorted(pod.name for pod in pods)[:3])
    return ConditionDraft("False", "PodsUnavailable", f"the scoring pods do not become ready ({names}): see their logs")


def _stuck(snapshot: Snapshot, evidence: list[DetectorEvidence]) -> ConditionDraft | None:
    """One partition that stands still among others that flow. One in which nothing waits is none."""
    waiting = [(each.source.slowest, each.pod) for each in evidence if each.source.slowest is not None]
    slowest, pod = max(waiting, key=lambda each: each[0].waiting, default=(None, ""))
    if slowest is None or slowest.waiting < SILENCE:
        return None
    topic = snapshot.detector.spec.source.kafka.topic
    message = (
        f"readings wait in partition {slowest.partition} of topic {topic}, and none of them has been scored for "
        f"{SILENCE:.0f} s: see the log of pod {pod}, and whether the partition has a leader that answers"
    )
    return ConditionDraft("False", "PartitionStuck", message, Progress.STALLED)


def _hindered(snapshot: Snapshot, evidence: list[DetectorEvidence], now: float) -> ConditionDraft | None:
    """What keeps readings from being scored as the spec says, though they arrive."""
    gone = missing_feature(evidence, {pod.name: age(pod, now) for pod in snapshot.pods})
    if gone:
        return ConditionDraft("False", "FeatureMissing", f"{gone.sentence}.", Progress.STALLED)
    readings, unreadable = sum(each.recent_readings for each in evidence), sum(each.recent_dead_letters for each in evidence)
    if readings and unreadable * 2 > readings:
        return _unreadable(snapshot, evidence)
    none = no_readings(evidence, snapshot.detector.spec.source.kafka.topic)
    if none:
        return ConditionDraft("False", "NoReadings", none, Progress.STALLED)
    if any(each.memory.recently_cut_off for each in evidence):
        return _crowded(snapshot, evidence)
    return _stuck(snapshot, evidence) or _overtaken(snapshot, evidence) or _scattered(snapshot, evidence)


def _unreadable(snapshot: Snapshot, evidence: list[DetectorEvidence]) -> ConditionDraft:
    example = next((each.recent_dead_letter for each in evidence if each.recent_dead_letter), "no example")
    message = (
        f"most messages of the last minute could not be read, the last one: {example}. "
        f"Correct the producers or the spec; they are kept on topic {snapshot.detector.spec.dead_letter_topic}."
    )
    return ConditionDraft("False", "MostlyUnreadable", message, Progress.STALLED)


def _crowded(snapshot: Snapshot, evidence: list[DetectorEvidence]) -> ConditionDraft:
    known, fit = sum(each.entities for each in evidence), max(each.memory.capacity for each in evidence)
    lost, budget = sum(each.memory.recently_cut_off for each in evidence), snapshot.detector.spec.memory_budget
    message = (
        f"{lost} entities were forgotten within the last minute while they were active: memoryBudget {budget} has room for about "
        f"{fit} entities, if the topic's partitions have equally many, and {known} are known. Windows that do not fill are not "
        "scored. Raise memoryBudget and pod.resources.limits.memory, or send fewer entities to this topic."
    )
    return ConditionDraft("False", "MemoryBudgetExceeded", message, Progress.STALLED)


def _overtaken(snapshot: Snapshot, evidence: list[DetectorEvidence]) -> ConditionDraft | None:
    """Readings that the topic's retention took before a pod came to them."""
    lost = sum(each.source.recently_skipped for each in evidence)
    if not lost:
        return None
    topic = snapshot.detector.spec.source.kafka.topic
    message = (
        f"{lost} messages of topic {topic} were deleted before they were read, within the last minute: nobody will know what was "
        "in them, and windows begin anew behind them. Lengthen the topic's retention.ms, or see to it that the pods keep up "
        "(spec.scaling)."
    )
    return ConditionDraft("False", "ReadingsLost", message, Progress.RESTING)


def _scattered(snapshot: Snapshot, evidence: list[DetectorEvidence]) -> ConditionDraft | None:
    """Entities whose readings come in several partitions."""
    places: dict[str, set[int]] = {}
    for seen in (seen for each in evidence for seen in each.seen):
        places.setdefault(seen.entity, set()).add(seen.partition)
    scattered = [entity for entity, found in places.items() if len(found) > 1]
    if not scattered:
        return None
    partitions, topic = " and ".join(map(str, sorted(places[scattered[0]])[:2])), snapshot.detector.spec.source.kafka.topic
    message = (
        f"readings of entity {scattered[0]} come in partitions {partitions} of topic {topic}, as those of {len(scattered)} of "
        f"{len(places)} entities that were looked at: each partition has windows and alerts of its own, and sees only a part of "
        "what happens. Send readings with their entity as the message's key. After partitions were added it is over in a minute."
    )
    return ConditionDraft("False", "EntitiesScattered", message, Progress.RESTING)


def _recent(snapshot: Snapshot, evidence: DetectorEvidence, moment: float | None, count: int, now: float) -> bool:
    """Whether `moment` of the pod's clock is no silence ago; clocks of two machines are never compared.

    A stream with a reading every five minutes is not silent in between: three of its own mean gaps are none, either.
    `count` is how many there were since the pod's start.
    """
    if moment is None:
        return False
    since = evidence.now - moment + max(0.0, now - snapshot.evidence.asked.get(evidence.pod, now))
    running = next((age(pod, now) for pod in snapshot.pods if pod.name == evidence.pod), 0.0)
    own_pace = 3 * running / count if count >= _ENOUGH_FOR_A_PACE else 0.0
    return since <= max(SILENCE, own_pace)


def _of_pod_failure(failure: PodFailure) -> ConditionDraft:
    return ConditionDraft(
        "False", failure.reason, failure.message, Progress.STALLED if failure.waits_for_people else Progress.MOVING
    )
