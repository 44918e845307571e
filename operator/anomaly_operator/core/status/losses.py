"""ReadingsUsed: whether the readings that arrive count, and what helps where they do not. Ready does not hang on it.

A share above `source.maxLossRatio` is told when the last minute or the last ten minutes have it: readings may come in bursts, and
whoever looks afterwards shall be told as well.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from anomaly_api.evidence import LossEvidence
from anomaly_api.schema import seconds
from anomaly_operator.core.snapshot import Snapshot
from anomaly_operator.core.status.health import ConditionDraft, Progress

_ENOUGH: Final = 20
"""Of fewer readings no share is worth a word."""
_KEPT: Final = 0.99


def readings_used(snapshot: Snapshot) -> ConditionDraft:
    """False where too many readings are left out."""
    evidence = list(snapshot.evidence_by_pod.values())
    if not evidence:
        return ConditionDraft("Unknown", "PodsUnavailable", "no scoring pod has reported yet")
    most = snapshot.detector.spec.source.max_loss_ratio
    for period, losses in (
        ("minute", [each.recent_losses for each in evidence]),
        ("ten minutes", [each.lasting_losses for each in evidence]),
    ):
        total = _sum(losses)
        came = total["readings"] + total["skipped"]
        lost = total["late"] + total["duplicates"] + total["dropped_pending"] + total["skipped"]
        if came >= _ENOUGH and lost > most * came:
            message = f"{lost} of the {came} readings of the last {period} ({lost / came:.1%}) did not count: "
            message += "; ".join(_kinds(snapshot, total, _lateness(losses, total["readings"])))
            return ConditionDraft("False", "ReadingsLeftOut", f"{message}.", Progress.RESTING)
    return ConditionDraft("True", "Used", f"no more than {most:.1%} of the readings are left out (source.maxLossRatio)")


def _sum(losses: Iterable[LossEvidence]) -> Counter[str]:
    total = Counter[str]()
    for each in losses:
        total.update(each.model_dump(exclude={"delays"}, by_alias=False))
    return total


def _lateness(losses: Iterable[LossEvidence], readings: int) -> float | None:
    """The least lateness, in seconds, that keeps 99 % of the readings; None: none came out of order."""
    delays = Counter[float]()
    for each in losses:
        delays.update({float(bound): count for bound, count in each.delays.items()})
    out_of_order = sum(delays.values())
    in_order = readings - out_of_order
    for bound in sorted(delays):
        in_order += delays[bound]
        if in_order >= _KEPT * readings:
            return bound
    return None


def _kinds(snapshot: Snapshot, total: Counter[str], lateness: float | None) -> Iterable[str]:
    """What kinds of losses there are, the most frequent one first, and what to do about each."""
    time = snapshot.detector.spec.time
    remedies = {"late": "", "duplicates": "", "dropped_pending": "", "skipped": ""}
    remedies["late"] = "were late, for a newer one of their entity had been used"
    if lateness is not None and lateness > seconds(time.lateness):
        remedies["late"] += f" (time.lateness: {_text(lateness)} would have kept 99 % of all; it is {time.lateness})"
    elif total["released_early"]:
        remedies["late"] += f" (more than time.maxWaiting, {time.max_waiting}, waited at once: raise it)"
    remedies["duplicates"] = (
        "had the entity and the time of another one (if they are no repetitions, the entity or the time does not tell them "
        "apart: see entity and time.field)"
    )
    remedies["dropped_pending"] = "waited when their entity was forgotten (raise memoryBudget)"
    remedies["skipped"] = "were deleted from the topic before they were read (lengthen its retention.ms, or see spec.scaling)"
    for kind, count in sorted(total.items(), key=lambda each: -each[1]):
        if count and kind in remedies:
            yield f"{count} {remedies[kind]}"


def _text(duration: float) -> str:
    """A duration as the spec writes them.

    >>> _text(0.005), _text(2.0), _text(500.0), _text(20_000.0)
    ('5ms', '2s', '9m', '6h')
    """
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0)):
        if duration >= 2 * length or (unit == "s" and duration >= 1):
            return f"{-(-duration // length):.0f}{unit}"
    return f"{duration * 1000:.0f}ms"
