"""What happened to episodes and limits, as CloudEvents in structured mode, with ids that follow from it. It sends nothing."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Struct

from anomaly_api.alert import LIMITED, EpisodeEvent, LimitKind, ScorerKind
from anomaly_detector.core.alerts.tracing import Trace
from anomaly_detector.core.columns import MICROSECONDS, Float32, Header, Mask
from anomaly_detector.core.episodes.episode import Transition
from anomaly_detector.core.episodes.transitions import EpisodeTransition, LimitReached

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_CONTRIBUTORS: Final = 5
_EVENTS: Final = {
    Transition.OPENED: EpisodeEvent.OPENED,
    Transition.UPDATED: EpisodeEvent.UPDATED,
    Transition.CLOSED: EpisodeEvent.CLOSED,
}
_CONTENT: Final = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
"""How CloudEvents' binding for Kafka tells a whole event from a bare one."""


class Alert(Struct, frozen=True):
    """A record for the alerts topic."""

    row: int
    """Index of the message that led to it; -1: none did."""
    entity: str
    """Key of the record; of a limit in all, which concerns no single one, the name of the partition."""
    value: bytes
    """The CloudEvent, JSON."""
    headers: tuple[Header, ...] = _CONTENT


class Decision(Struct, frozen=True):
    """Who decided, and by what."""

    source: str
    """CloudEvents source: the detector."""
    window: str
    threshold: float
    scorer: ScorerKind
    model: str | None
    revision: str
    features: Sequence[str]


class Explanation(Struct, frozen=True):
    """What a score is made of."""

    errors: Float32
    """[features] Each feature's part of the error."""
    actual: Float32
    """[features] Newest values."""
    expected: Float32
    """[features] What would have been normal; not a number where the scorer has no such value."""
    filled: Mask | None = None
    """[features] Whether the newest values were filled in, as they were missing; None: none of them."""
    imputed: int = 0
    """How many values of the window were."""


def episode_alert(
    decision: Decision,
    turn: EpisodeTransition,
    why: Explanation | None,
    trace: Trace | None = None,
    labels: Mapping[str, str] | None = None,
) -> Alert:
    """The record of an episode; without `why`, no window led to it; without `labels` the detector has none."""
    kind = _EVENTS[turn.turn].value
    moment, start, entity = rfc3339(turn.time), rfc3339(turn.start), turn.entity
    place = (decision.source, entity, decision.window, str(turn.start))
    data: dict[str, Any] = {
        "episode": identity(*place),
        "entity": entity,
        "window": decision.window,
        "reason": turn.reason.value,
        "suppressed": turn.suppressed_by is not None,
        "suppressedBy": turn.suppressed_by,
        "start": start,
        "end": moment if turn.turn is Transition.CLOSED else None,
        "durationSeconds": (turn.time - turn.start) / MICROSECONDS,
        "windows": turn.windows,
        "score": rounded(turn.score),
        "peak": rounded(turn.peak),
        "severity": turn.severity,
        "threshold": rounded(decision.threshold),
        "scorer": decision.scorer.value,
        "model": decision.model,
        "revision": decision.revision,
        "contributors": contributors(decision.features, why) if why else [],
        "imputed": why.imputed if why else 0,
    }
    if labels is not None:
        data["labels"] = labels
    envelope = _envelope(decision.source, kind, identity(*place, kind, str(turn.time)), entity, moment, trace)
    return Alert(turn.row, entity, msgspec.json.encode(envelope | {"data": data}), _headers(trace))


def limit_alert(source: str, reached: LimitReached, trace: Trace | None = None) -> Alert:
    """The record of a limit that begins to hold episodes back, or is over."""
    turn, moment = reached.turn, rfc3339(reached.time)
    of_entity = turn.kind is LimitKind.PER_ENTITY
    subject = reached.entity if of_entity else f"partition-{turn.where}"
    data = {
        "limit": turn.kind.value,
        "entity": reached.entity if of_entity else None,
        "partition": None if of_entity else turn.where,
        "episodes": turn.most,
        "start": rfc3339(turn.since),
        "until": rfc3339(turn.until),
        "end": moment if turn.over else None,
        "dropped": turn.dropped,
    }
    name = identity(source, LIMITED, turn.kind.value, subject, str(turn.since), str(turn.over))
    envelope = _envelope(source, LIMITED, name, subject, moment, trace)
    return Alert(reached.row, subject, msgspec.json.encode(envelope | {"data": data}), _headers(trace))


def _envelope(source: str, kind: str, name: str, subject: str, time: str, trace: Trace | None) -> dict[str, Any]:
    """CloudEvents' attributes, and those of its extension for distributed tracing."""
    attributes = {
        "specversion": "1.0",
        "type": kind,
        "source": source,
        "id": name,
        "subject": subject,
        "time": time,
        "datacontenttype": "application/json",
    }
    if trace is not None:
        attributes["traceparent"] = trace.parent
        if trace.state is not None:
            attributes["tracestate"] = trace.state
    return attributes


def _headers(trace: Trace | None) -> tuple[Header, ...]:
    if trace is None:
        return _CONTENT
    state = (("tracestate", trace.state.encode()),) if trace.state is not None else ()
    return (*_CONTENT, ("traceparent", trace.parent.encode()), *state)


def identity(*parts: str) -> str:
    """An id that is the same whenever the parts are, 32 hexadecimal digits.

    The parts are encoded as JSON first, so that no two lists of parts run together.
    """
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]


def contributors(features: Sequence[str], why: Explanation) -> list[dict[str, Any]]:
    """The features that add most to the score, by falling share."""
    total = float(why.errors.sum(dtype=np.float64))
    order = np.argsort(-why.errors, kind="stable")[:_MOST_CONTRIBUTORS]
    return [
        {
            "feature": features[place],
            "share": rounded(float(why.errors[place]) / total) if total > 0 else 0.0,
            "actual": rounded(float(why.actual[place])),
            "expected": rounded(float(why.expected[place])) if math.isfinite(why.expected[place]) else None,
            "imputed": why.filled is not None and bool(why.filled[place]),
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
