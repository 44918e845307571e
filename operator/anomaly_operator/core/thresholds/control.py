"""The control loop of an alert budget: from what was realised to a threshold that keeps it. Pure arithmetic on counts.

    episodes, entity-time  >  rate, with an interval that holds at every look  >  certainly too many, too few, or neither
    peaks of the model     >  level that is exceeded as often as is tolerated  >  a step of at most half as much again

What was labelled a true alarm does not count. A detector of little history begins where its history supports it, and is tightened
as exposure grows; then more false episodes than were asked for are allowed for meanwhile.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from anomaly_api.calibration import Calibration, Quantile
from anomaly_api.calibration import WindowThreshold as Threshold
from anomaly_api.excursions import REACH, level_of_peaks, ranked_peaks
from anomaly_api.exposure import WindowExposure
from anomaly_api.policy import Budget, BudgetScope
from anomaly_api.schema import seconds
from anomaly_operator.core.rollout import sequential
from anomaly_operator.core.rollout.sequential import Interval

ALPHA: Final = 0.02
"""Chance that a threshold which keeps its budget is ever moved, however often one looks."""
TOO_MANY: Final = 1.25
TOO_FEW: Final = 0.5
"""Of the budget, beyond which it is missed: between them nothing moves."""
STEP: Final = 1.5
"""Factor that one move changes a threshold by at most."""
_FLOOD: Final = 5.0
_LEAST_STEP: Final = 1.05
_DAY: Final = 86400.0
_HOUR: Final = 3600.0
_GROWN: Final = 4.0
"""Times the entity-time that a threshold stands on, at which it is tightened."""
_FEW: Final = 10
_ROUNDED: Final = 0.001
"""Of a factor."""
_MOST: Final = 4096
"""Peaks that are looked at, the highest ones."""


class MoveReason(StrEnum):
    """Why a threshold moved."""

    TOO_MANY_ALERTS = "TooManyAlerts"
    TOO_FEW_ALERTS = "TooFewAlerts"
    MORE_EXPOSURE = "MoreExposure"


@dataclass(frozen=True)
class Realised:
    """What was realised of a budget, in episodes an entity (or of the fleet) and period."""

    rate: float
    interval: Interval
    counted: int
    """Episodes that count: without those that were called true alarms."""
    entity_seconds: float


@dataclass(frozen=True)
class Move:
    """A new factor on the threshold as it was before any moved it."""

    factor: float
    reason: MoveReason
    exposure: float
    """Entity-time, seconds, that it stands on."""


@dataclass(frozen=True)
class Situation:
    """A threshold in force, and what is known of it."""

    budget: Budget
    threshold: Threshold
    """As it is in force, moved or not."""
    factor: float
    """By which it was moved; 1: it was not."""
    stands_on: float
    """Entity-time, seconds, that it was computed from."""
    calibration: Calibration | None
    now: WindowExposure
    """Counts of the revision in force."""
    earlier: WindowExposure
    """Counts of earlier revisions of the same model."""
    true_alarms: int
    """Episodes of the revision that were labelled as such."""
    true_alarms_of_model: int
    """The same of all revisions of its model."""
    pods: int
    elapsed: float
    """Seconds since the revision decides."""

    @property
    def per_second(self) -> float:
        """Entity-seconds to periods: a budget of the fleet counts the episodes of all its entities."""
        return _per_second(self.budget, self.threshold.entities)

    @property
    def exposure(self) -> float:
        """Entity-time, seconds, that was seen of the model."""
        return self.now.entity_seconds + self.earlier.entity_seconds

    @property
    def allowed(self) -> float:
        """Episodes in a period: the budget, or what so short a history supports."""
        return allowed(self.budget, self.threshold.entities, self.stands_on)


def allowed(budget: Budget, entities: int | None, exposure: float) -> float:
    """Episodes in a period that are allowed for where a threshold stands on so much entity-time, in seconds.

    Example: one a week, and 8 hours: 168 / 80 = 2.1, as in `anomaly_api.thresholds`.
    """
    supported = 1 / (REACH * exposure * _per_second(budget, entities)) if exposure > 0 else float("inf")
    return max(float(budget.episodes), supported)


def _per_second(budget: Budget, entities: int | None) -> float:
    return 1 / seconds(budget.per) / ((entities or 1) if budget.of is BudgetScope.FLEET else 1)


def realised(situation: Situation) -> Realised:
    """The rate of false episodes and its confidence sequence.

    Episodes come in bursts: a fault of the whole plant opens one for each machine. Their hourly counts say by how much the
    variance exceeds a Poisson one (index of dispersion, Cox and Lewis 1966), and so many episodes count as one. Example: 40
    episodes in one hour of 100 and none in the others have an index of 39.6, and count as one.
    """
    events, exposure = _weighed(situation)
    interval = sequential.rate(events, exposure, ALPHA, prior=float(situation.budget.episodes))
    seen = situation.now.entity_seconds
    return Realised(events / exposure if exposure > 0 else 0.0, interval, _false(situation), seen)


def _false(situation: Situation) -> int:
    return max(0, situation.now.episodes - situation.true_alarms)


def _weighed(situation: Situation) -> tuple[float, float]:
    """False episodes and periods, a burst counting as one."""
    burst = dispersion(situation.now, situation.pods)
    return _false(situation) / burst, situation.now.entity_seconds * situation.per_second / burst


def dispersion(counts: WindowExposure, pods: int) -> float:
    """Variance of the hourly number of episodes over its mean, at least 1. What meets one pod may meet all of them alike."""
    if counts.episodes < 2 or not counts.hours:
        return 1.0
    index = counts.squares / counts.episodes - counts.episodes / counts.hours
    return max(1.0, 1 + (index - 1) * max(1, pods)) if index > _expected_index(counts) else 1.0


def _expected_index(counts: WindowExposure) -> float:
    """Beyond which an index of dispersion is no chance: two standard errors of a Poisson process's."""
    return 1 + 2 * math.sqrt(2 / max(counts.hours - 1, 1))


def move(situation: Situation) -> Move | None:
    """The move that is due; None: the threshold stays."""
    reason = due(situation)
    return _moved(situation, reason) if reason is not None and not bound(situation, reason) else None


def due(situation: Situation) -> MoveReason | None:
    """Why the threshold is to move, whether it may or not; None: it is not."""
    asked, weighed = float(situation.budget.episodes), _weighed(situation)
    usual = min(seconds(situation.budget.per), _DAY)
    if situation.elapsed < min(usual, _HOUR):
        return None
    much = TOO_MANY if situation.elapsed >= usual else _FLOOD
    if sequential.side(*weighed, ALPHA, asked, much * situation.allowed) > 0:
        return MoveReason.TOO_MANY_ALERTS
    if situation.elapsed >= usual and sequential.side(*weighed, ALPHA, asked, TOO_FEW * asked) < 0:
        return MoveReason.TOO_FEW_ALERTS
    young = situation.allowed > asked * 1.1
    if young and situation.exposure >= _GROWN * situation.stands_on and situation.elapsed >= _HOUR:
        return MoveReason.MORE_EXPOSURE
    return None


def bound(situation: Situation, reason: MoveReason) -> bool:
    """Whether `budget.maxFactor` allows for no such move any more."""
    factor, most = situation.factor, situation.budget.max_factor
    up, down = factor >= most * (1 - _ROUNDED), factor <= (1 + _ROUNDED) / most
    return {MoveReason.TOO_MANY_ALERTS: up, MoveReason.TOO_FEW_ALERTS: down, MoveReason.MORE_EXPOSURE: up and down}[reason]


def _moved(situation: Situation, reason: MoveReason) -> Move:
    value, most = situation.threshold.value, situation.budget.max_factor
    level, _ = target(situation, held_out=reason is MoveReason.MORE_EXPOSURE)
    unseen = 1 / STEP if reason is MoveReason.TOO_FEW_ALERTS else 1.0
    step = min(max(level / value, 1 / STEP), STEP) if level else unseen
    if reason is MoveReason.TOO_MANY_ALERTS:
        step = max(step, _LEAST_STEP)
    elif reason is MoveReason.TOO_FEW_ALERTS:
        step = min(step, 1 / _LEAST_STEP)
    factor = float(f"{min(max(situation.factor * step, 1 / most), most):.4g}")
    lasting = situation.stands_on if reason is MoveReason.TOO_FEW_ALERTS else 0.0
    return Move(factor, reason, max(situation.exposure, lasting))


def target(situation: Situation, *, held_out: bool) -> tuple[float, Calibration | None]:
    """The level that live excursions exceed as often as the budget tolerates, as far as they tell; 0: nothing is known.

    Not every excursion becomes an episode: `alerts.open.windows` may want two windows, a cooldown may hold it back. The share
    that did, of those above the threshold in force, is taken to be the same at another level.
    """
    live = live_peaks(situation, held_out=held_out)
    if live is None:
        return 0.0, None
    over = situation.now.peaks.above(situation.threshold.value)
    share = min(1.0, situation.now.episodes / over) if over >= _FEW and situation.now.episodes else 1.0
    tolerated = situation.budget.episodes * live.entity_seconds * situation.per_second / max(share, 0.05)
    return level_of_peaks(live, max(tolerated, 1 / REACH)), live


def live_peaks(situation: Situation, *, held_out: bool) -> Calibration | None:
    """Live peaks in the form of held-out ones, and with those on demand, but for as many of the highest as were true alarms."""
    counts = situation.now.peaks + situation.earlier.peaks
    exposure = situation.exposure
    heights = counts.heights(_MOST + situation.true_alarms_of_model)[situation.true_alarms_of_model :]
    before = situation.calibration
    if held_out and before is not None:
        heights, exposure = sorted([*heights, *before.peaks], reverse=True), exposure + before.entity_seconds
    if len(heights) < 2:
        return None
    peaks, further = ranked_peaks(heights)
    ends = [Quantile(level=0.0, score=heights[-1]), Quantile(level=1.0, score=heights[0])]
    return Calibration(
        window=situation.threshold.window,
        windows=max(len(heights), 1),
        entity_seconds=exposure,
        mean=0.0,
        standard_deviation=0.0,
        maximum=heights[0],
        quantiles=ends,
        peaks=peaks,
        further_peaks=further,
    )
