"""Prometheus queries of the analysis: which are to be asked, and what follows from the answers. Pure; the asking is elsewhere.

Counts of answers are in the status with the time of the last one, so that none is lost or counted twice by a restart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from anomaly_api.rollout import PrometheusMeasure
from anomaly_api.rollout_status import QueryStatus
from anomaly_api.schema import seconds
from anomaly_operator.core.snapshot import Answer, Detector, Snapshot
from anomaly_operator.core.text import bounded
from anomaly_operator.core.timestamps import rfc3339, unix


@dataclass(frozen=True)
class Query:
    """A question that is due."""

    name: str
    address: str
    text: str


def due(detector: Detector, now: float) -> list[Query]:
    """The queries that are to be asked at `now` (Unix seconds): none before pods have loaded the candidate."""
    candidate = detector.status.candidate
    if candidate is None or candidate.phase == "Loading" or candidate.held or detector.status.stable is None:
        return []
    known = {row.name: unix(row.measured) for row in candidate.queries or []}
    names = {"candidate": candidate.revision, "stable": detector.status.stable.revision}
    names |= {"detector": detector.name, "namespace": detector.namespace}
    return [
        Query(each.name, each.address, _filled(each.query, names))
        for each in detector.spec.rollout.analysis.prometheus or []
        if not 0 <= now - known.get(each.name, 0.0) < seconds(each.interval)
    ]


def answered(snapshot: Snapshot) -> list[QueryStatus]:
    """The rows of the status, with answers that they do not know yet."""
    candidate = snapshot.detector.status.candidate
    known = {row.name: row for row in candidate.queries or []} if candidate else {}
    rows = []
    for measure in snapshot.detector.spec.rollout.analysis.prometheus or []:
        row, answer = known.get(measure.name), snapshot.evidence.queries.get(measure.name)
        since = unix(row.measured) if row else unix(candidate.since) if candidate else 0.0
        if answer is not None and int(answer.at) > since:
            row = _counted(measure, row, answer)
        if row is not None:
            rows.append(row)
    return rows


def violated(measures: Sequence[PrometheusMeasure], rows: Sequence[QueryStatus]) -> str:
    """Why the candidate is to be taken away, for people; empty where it is not."""
    known = {row.name: row for row in rows}
    return "; ".join(
        known[each.name].message
        for each in measures
        if each.name in known
        and (known[each.name].failures > each.failure_limit or known[each.name].errors > each.consecutive_error_limit)
    )


def waits(measures: Sequence[PrometheusMeasure], rows: Sequence[QueryStatus]) -> bool:
    """Whether no step may end: a query has not been answered yet, or not with a number for too long."""
    known = {row.name: row for row in rows}
    return any(each.name not in known or known[each.name].inconclusive > each.inconclusive_limit for each in measures)


def _filled(query: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        query = query.replace(f"$({name})", value)
    return query


def _counted(measure: PrometheusMeasure, row: QueryStatus | None, answer: Answer) -> QueryStatus:
    before = row or QueryStatus(name=measure.name, measured=rfc3339(answer.at), message="")
    value, outside = answer.value, False
    bounds = [f"{word} {bound:g}" for word, bound in (("at least", measure.min), ("at most", measure.max)) if bound is not None]
    said = f"{measure.name}: {answer.error}" if answer.error else f"{measure.name} has no number to answer with"
    if value is not None:
        outside = (measure.max is not None and value > measure.max) or (measure.min is not None and value < measure.min)
        said = f"{measure.name} is {value:.6g} (asked: {' and '.join(bounds) or 'anything'})"
    return QueryStatus(
        name=measure.name,
        value=value,
        measured=rfc3339(answer.at),
        failures=before.failures + outside,
        inconclusive=before.inconclusive + 1 if value is None and not answer.error else 0,
        errors=before.errors + 1 if answer.error else 0,
        message=bounded(said),
    )
