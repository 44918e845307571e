"""The verdict on drift, from what the pods have counted. Pure; a restart of the operator changes nothing.

    pods' counts of the last `drift.over`  >  shares, by the entities of each pod  >  measure, beside what chance makes of it

A pod that is replaced takes its counts with it: until half of `drift.over` has been seen again, the verdict stays as it was.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from anomaly_api.drift import BinnedEvidence, Drift, DriftAction, DriftEvidence, DriftMeasure, kolmogorov_smirnov, psi
from anomaly_api.evidence import DetectorEvidence
from anomaly_api.status import DriftFigure, DriftStatus
from anomaly_operator.core.models.selection import current_revision
from anomaly_operator.core.snapshot import Snapshot
from anomaly_operator.core.timestamps import unix

CONDITION: Final = "DriftDetected"
_BEYOND_CHANCE: Final = {DriftMeasure.PSI: 3.5, DriftMeasure.KOLMOGOROV_SMIRNOV: 2.5}
"""So many times what is to be expected without drift comes by chance less than once in a thousand: chi-square of nine degrees of
freedom over nine, and Kolmogorov's distribution over its mean."""
_SEEN: Final = 0.5
"""Share of `drift.over`, and of the entities, that must have been seen."""
_STAYS: Final = 0.8
"""Drift is over when the measure has fallen below this part of the limit: it does not flap."""
_TOLD: Final = 8
_NAMED: Final = 3


@dataclass(frozen=True)
class DriftVerdict:
    """Whether what arrives is still what the model was trained on."""

    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    figures: DriftStatus | None = None
    retrain_since: float | None = None
    """Since when a training is asked for, Unix seconds: since drift was told first, if the spec says Retrain. None: none is."""


def drift_verdict(snapshot: Snapshot, now: float) -> DriftVerdict:
    """The verdict on the model that decides, at `now` (Unix seconds)."""
    revision = current_revision(snapshot)
    if revision is None or revision.model is None:
        return DriftVerdict("Unknown", "NoReference", "no trained model decides: there is nothing to compare with")
    evidence = list(snapshot.evidence_by_pod.values())
    counted = [each for each in evidence if each.drift is not None and each.drift.model == revision.model]
    if evidence and not counted and _before(snapshot, revision.model) is None:  # else it has only not been told yet
        said = "the model that decides has no record of its training data (it was imported, or trained by an older version)"
        return DriftVerdict("Unknown", "NoReference", said)
    asked = snapshot.detector.spec.drift
    enough = [each for each in counted if _covered(_drift(each)) >= _SEEN * asked.seconds]
    if not enough or _entities(enough) < _SEEN * _entities(counted):
        return _held(snapshot, revision.model, max((_covered(_drift(each)) for each in counted), default=0.0))
    return _judged(snapshot, revision.model, enough, now)


def _judged(snapshot: Snapshot, model: str, evidence: Sequence[DetectorEvidence], now: float) -> DriftVerdict:
    asked, before = snapshot.detector.spec.drift, _before(snapshot, model)
    figures = sorted(_figures(evidence, asked), key=lambda each: (-each.value, each.of, each.name))
    factor = _STAYS if before is not None and before.status == "True" else 1.0
    over = [each for each in figures if each.value > factor * limit(each.noise, asked.above, asked.measure)]
    hours = max(_covered(_drift(each)) for each in evidence) / 3600
    told = DriftStatus(model=model, measure=asked.measure, hours=round(hours, 1), figures=figures[:_TOLD])
    if not over:
        most = f"; the most is {_text(figures[0])}" if figures else ""
        message = f"{hours:.0f} h of readings are as in the training data: {asked.measure} at most {asked.above:g}{most}"
        return DriftVerdict("False", "NoDrift", message, told)
    named = ", ".join(_text(each) for each in over[:_NAMED]) + (f" and {len(over) - _NAMED} more" if len(over) > _NAMED else "")
    message = (
        f"{hours:.0f} h of readings are not what the model was trained on: {asked.measure} of {named}, above {asked.above:g}. "
        "Find out what has changed; if it is to stay, train again (drift.action: Retrain does so by itself)."
    )
    begun = before.retrain_since if before is not None else None
    retrain = (begun or now) if asked.action is DriftAction.RETRAIN else None
    reason = "FeatureDrifted" if any(each.of == "Feature" for each in over) else "ScoreDrifted"
    return DriftVerdict("True", reason, message, told, retrain)


def limit(noise: float, above: float, measure: DriftMeasure) -> float:
    """The measure from which on something has drifted: what was asked for, or more where chance makes more."""
    return max(above, _BEYOND_CHANCE[measure] * noise)


def _held(snapshot: Snapshot, model: str, covered: float) -> DriftVerdict:
    """As it was, where the pods have counted too little since they started."""
    asked, before = snapshot.detector.spec.drift, _before(snapshot, model)
    if before is not None:
        return before
    message = (
        f"{covered / 3600:.1f} h of readings were counted at hours of the day that the training has seen; "
        f"{_SEEN * asked.seconds / 3600:g} h are needed (half of drift.over)"
    )
    return DriftVerdict("Unknown", "Counting", message)


def _before(snapshot: Snapshot, model: str) -> DriftVerdict | None:
    """The last verdict on the same model, as the status has it."""
    status = snapshot.detector.status
    told = next((each for each in status.conditions or [] if each.type == CONDITION), None)
    if told is None or told.status == "Unknown" or status.drift is None or status.drift.model != model:
        return None
    if status.drift.measure != snapshot.detector.spec.drift.measure:
        return None
    retrain = snapshot.detector.spec.drift.action is DriftAction.RETRAIN and told.status == "True"
    since = unix(told.last_transition_time) if retrain else None
    return DriftVerdict(told.status, told.reason, told.message, status.drift, since)


def _figures(evidence: Iterable[DetectorEvidence], asked: Drift) -> Iterable[DriftFigure]:
    """Of what was seen for long enough: a score is known at the hours of the held-out part only."""
    features, scores = dict[str, list[_Weighed]](), dict[str, list[_Weighed]]()
    for each in evidence:
        for found, into in ((_drift(each).features, features), (_drift(each).scores, scores)):
            for bins in found:
                if sum(bins.observed) and bins.covered >= _SEEN * asked.seconds:
                    into.setdefault(bins.name, []).append(_Weighed(max(1, each.entities), bins))
    for of, named in (("Feature", features), ("Score", scores)):
        for name, parts in named.items():
            value, noise = _compared(parts, asked.measure)
            yield DriftFigure.model_validate({"name": name, "of": of, "value": round(value, 4), "noise": round(noise, 4)})


@dataclass(frozen=True)
class _Weighed:
    entities: int
    bins: BinnedEvidence


def _compared(parts: Sequence[_Weighed], measure: DriftMeasure) -> tuple[float, float]:
    """Measure and noise over pods: each counts for its entities, however long it has counted."""
    width = len(parts[0].bins.observed)
    parts = [each for each in parts if len(each.bins.observed) == width]
    observed, expected = [0.0] * width, [0.0] * width
    for part in parts:
        ours, theirs = sum(part.bins.observed), sum(part.bins.expected)
        for place in range(width):
            observed[place] += part.entities * part.bins.observed[place] / ours
            expected[place] += part.entities * part.bins.expected[place] / theirs if theirs else 0.0
    if measure is DriftMeasure.PSI:
        return psi(observed, expected), max(each.bins.psi_noise for each in parts)
    return kolmogorov_smirnov(observed, expected), max(each.bins.ks_noise for each in parts)


def _covered(drift: DriftEvidence) -> float:
    return max((bins.covered for bins in drift.features), default=0.0)


def _entities(evidence: Iterable[DetectorEvidence]) -> int:
    return sum(each.entities for each in evidence)


def _drift(evidence: DetectorEvidence) -> DriftEvidence:
    assert evidence.drift is not None, "those without were left out"
    return evidence.drift


def _text(figure: DriftFigure) -> str:
    of = "the score of " if figure.of == "Score" else ""
    return f"{of}{figure.name} {figure.value:.2f} (chance makes {figure.noise:.2f})"
