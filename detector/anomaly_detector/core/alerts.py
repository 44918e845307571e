"""Episodes to alerts: CloudEvents in structured mode whose ids follow from what happened. It sends nothing."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import numpy as np

from anomaly_api.alert import EpisodeEvent, ScorerKind
from anomaly_api.policy import Severity
from anomaly_detector.core.columns import Float32
from anomaly_detector.core.episodes import EpisodeTurn, Turn

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_CONTRIBUTORS: Final = 5
_EVENTS: Final = {Turn.OPENED: EpisodeEvent.OPENED, Turn.CLOSED: EpisodeEvent.CLOSED}


@dataclass(frozen=True, slots=True)
class Alert:
    """A record for the alerts topic."""

    row: int
    """Index of the message that led to it."""
    entity: str
    """Key of the record."""
    value: bytes
    """The CloudEvent, JSON."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Who decided, and by what."""

    source: str
    """CloudEvents source: the detector."""
    window: str
    threshold: float
    scorer: ScorerKind
    model: str | None
    revision: str
    severities: Sequence[Severity]
    features: Sequence[str]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a score is made of."""

    errors: Float32
    """[features] Each feature's part of the error."""
    actual: Float32
    """[features] Newest values."""
    expected: Float32
    """[features] What would have been normal."""


def cloud_event(decision: Decision, entity: str, time: int, turn: EpisodeTurn, why: Explanation) -> bytes:
    """The alert; `time` is the event time of the window that caused it, microseconds since 1970 UTC."""
    event = _EVENTS[turn.turn]
    moment = rfc3339(time)
    worst = turn.peak if turn.turn is Turn.CLOSED else turn.score
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "type": event.value,
            "source": decision.source,
            "id": identity(decision.source, entity, decision.window, str(turn.start), event.value),
            "subject": entity,
            "time": moment,
            "datacontenttype": "application/json",
            "data": {
                "episode": identity(decision.source, entity, decision.window, str(turn.start)),
                "entity": entity,
                "window": decision.window,
                "start": rfc3339(turn.start),
                "end": moment if turn.turn is Turn.CLOSED else None,
                "score": rounded(turn.score),
                "peak": rounded(turn.peak),
                "threshold": rounded(decision.threshold),
                "severity": severity(decision.severities, worst),
                "scorer": decision.scorer.value,
                "model": decision.model,
                "revision": decision.revision,
                "contributors": contributors(decision.features, why),
            },
        }
    )


def identity(*parts: str) -> str:
    """An id that is the same whenever the parts are, 32 hexadecimal digits.

    The parts are encoded as JSON first, so that no two lists of parts run together.
    """
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]


def severity(severities: Sequence[Severity], score: float) -> str:
    """The highest one that the score reaches; the lowest where it reaches none.

    >>> severity([Severity(name="warning", above=1), Severity(name="critical", above=3)], 2.5)
    'warning'
    """
    rising = sorted(severities, key=lambda each: each.above)
    reached = [each for each in rising if score >= each.above]
    return (reached[-1] if reached else rising[0]).name


def contributors(features: Sequence[str], why: Explanation) -> list[dict[str, Any]]:
    """The features that add most to the score, by falling share."""
    total = float(why.errors.sum(dtype=np.float64))
    order = np.argsort(-why.errors, kind="stable")[:_MOST_CONTRIBUTORS]
    return [
        {
            "feature": features[place],
            "share": rounded(float(why.errors[place]) / total) if total > 0 else 0.0,
            "actual": rounded(float(why.actual[place])),
            "expected": rounded(float(why.expected[place])),
        }
        for place in order.tolist()
    ]


def rfc3339(micros: int) -> str:
    """A time in UTC.

    >>> rfc3339(1_767_261_605_250_000)
    '2026-01-01T10:00:05.250Z'
    """
    at = _EPOCH + timedelta(microseconds=micros)
    precision = "seconds" if not micros % 1_000_000 else "milliseconds" if not micros % 1000 else "microseconds"
    return at.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def rounded(number: float) -> float:
    """To six significant digits: float32 has no more, and they read badly."""
    return float(f"{number:.6g}")
