"""The conditions: four that speak of one thing each, and Ready, Reconciling and Stalled drawn from them, as kstatus wants.

Ready is True when the stream is scored as the spec says. Of several obstacles the first in `_obstacles` is named.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from anomaly_api.status import Condition
from anomaly_operator.core.status.health import Finding, Standing
from anomaly_operator.core.timestamps import rfc3339

READY, RECONCILING, STALLED = "Ready", "Reconciling", "Stalled"
SOURCE, MODEL, SCORING, ALERTING = "SourceReachable", "ModelAvailable", "Scoring", "Alerting"
_LONGEST: Final = 2000
_WORRYING: Final = (Standing.STALLED, Standing.RESTING)
ORDER = (READY, RECONCILING, STALLED, SOURCE, MODEL, SCORING, ALERTING)


@dataclass(frozen=True)
class Facts:
    """What the conditions are drawn from."""

    source: Finding
    model: Finding
    scoring: Finding
    alerting: Finding
    """Nothing else hangs on it: what is held back is held back because someone asked for it."""
    scorer: str
    """What scores, for people."""
    prevented: Finding | None = None
    """Why nothing is to run at all: paused, or the consumer group is taken."""
    refused: Finding | None = None
    """The API server refused a child."""
    troubled: Finding | None = None
    """A scoring pod does not run."""
    behind: Finding | None = None
    """Pods are being replaced, or have not taken over the revision yet."""


@dataclass(frozen=True)
class Transition:
    """A condition that changed its status or reason: worth an Event."""

    condition: Condition
    before: Condition | None
    warning: bool = field(default=False)


def draw(facts: Facts) -> dict[str, Finding]:
    """All findings."""
    if facts.prevented is not None:
        parts = {SOURCE: facts.prevented, MODEL: facts.model, SCORING: facts.prevented, ALERTING: facts.prevented}
    else:
        parts = {SOURCE: facts.source, MODEL: facts.model, SCORING: facts.scoring, ALERTING: facts.alerting}
    obstacle = next(_obstacles(facts), None)
    if obstacle is None:
        message = f"the stream is scored by {facts.scorer}"
        rest = Finding("False", "Ready", message)
        return {READY: Finding("True", "Ready", message), RECONCILING: rest, STALLED: rest, **parts}
    ready = Finding("False", obstacle.reason, obstacle.message)
    moving, stalled = obstacle.standing is Standing.MOVING, obstacle.standing is Standing.STALLED
    return {
        READY: ready,
        RECONCILING: Finding("True" if moving else "False", obstacle.reason, obstacle.message),
        STALLED: Finding("True" if stalled else "False", obstacle.reason, obstacle.message),
        **parts,
    }


def settle(
    findings: Mapping[str, Finding], before: list[Condition], generation: int, now: float, *, refresh: bool
) -> tuple[list[Condition], list[Transition]]:
    """Conditions with their times, and which of them changed.

    Without `refresh`, a condition that says the same about the same generation keeps its message: numbers in it must
    not make a write every few seconds.
    """
    known = {condition.type: condition for condition in before}
    conditions, transitions = [], []
    for name in ORDER:
        finding, old = findings[name], known.get(name)
        same = old is not None and (old.status, old.reason) == (finding.status, finding.reason)
        held = (
            old.message if old and same and old.observed_generation == generation and not refresh else finding.message[:_LONGEST]
        )
        condition = Condition(
            type=name,
            status=finding.status,
            reason=finding.reason,
            message=held,
            observed_generation=generation,
            last_transition_time=old.last_transition_time if old and old.status == finding.status else rfc3339(now),
        )
        conditions.append(condition)
        if not same:
            warning = finding.status == "False" and finding.standing in _WORRYING and name not in (RECONCILING, STALLED)
            transitions.append(Transition(condition, old, warning))
    return conditions, transitions


def _obstacles(facts: Facts) -> Iterator[Finding]:
    """What stands between the detector and Ready, the most telling first."""
    yield from (finding for finding in (facts.prevented, facts.refused, facts.troubled) if finding)
    if facts.source.status == "False":
        yield facts.source
    if facts.model.status != "True":
        yield facts.model
    if facts.behind:
        yield facts.behind
    if facts.scoring.status != "True":
        yield facts.scoring
