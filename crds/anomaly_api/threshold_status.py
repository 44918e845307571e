"""Thresholds in the status: what is in force, what was realised, and what has moved it."""

from typing import Annotated, Literal

from pydantic import Field

from anomaly_api.calibration import ThresholdSource
from anomaly_api.schema import Contract


class RealisedStatus(Contract):
    """What was realised of a budget under the revision in force."""

    rate: float
    """Number of false episodes of an entity (of all, where the budget is the fleet's) in the budget's period, or in a week
    where there is no budget."""
    low: float
    """Rate that the true one is not below; it holds at every look, with 98 % together with `high`."""
    high: float | None = None
    """Rate that the true one is not above. Unset: nothing is known yet."""
    episodes: int
    """Number of episodes that count: announced ones, without those that were labelled true alarms."""
    entity_seconds: float
    """Event time that was scored, in seconds, added up over entities."""
    missed: str | None = None
    """Sentence for people: the budget is certainly missed, and the threshold moves no further. Unset: neither is the case."""


class ThresholdMove(Contract):
    """The last move of a threshold by what was realised. A spec that asks for something else, or another model, undoes it."""

    factor: float
    """Factor on the threshold as the held-out data and labels say, all moves together."""
    reason: Literal["TooManyAlerts", "TooFewAlerts", "MoreExposure"]
    """Reason for the last move: the budget was certainly missed, or entity-time has grown beyond what the threshold stood on."""
    message: str
    """Sentence for people: what was realised, and what was asked for."""
    asked: str
    """Budget of the spec that the move is for."""
    model: str
    """Digest of the model that the move is for."""
    exposure_seconds: float
    """Event time that the threshold stands on now, in seconds, added up over entities."""
    moves: int
    """Number of moves so far, for this model."""
    since: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """Time at which the threshold was moved last."""


class ThresholdStatus(Contract):
    """A threshold in force."""

    window: str
    """Name of the window that the threshold is for."""
    value: float
    """Score, as the model computes it, that is shown as 1.0."""
    source: ThresholdSource
    """Kind of threshold: Budget, PeaksOverThreshold, Conformal, Quantile, StandardDeviations and Value are the spec's, Fallback
    is the fallback scorer's."""
    asked: str
    """Number that the spec asks for, such as 1/1w or 0.995."""
    supported: str | None = None
    """Number that the held-out part supports, written as `asked`. Unset: what was asked for."""
    expected_episodes: float | None = None
    """Number of false episodes of an entity (of all, where the budget is the fleet's) that are to be expected in the budget's
    period, or in a week where there is no budget. More than were asked for while the held-out part is too short to know what is
    rarer. Unset: nothing is known of it."""
    entities: int | None = None
    """Number of entities that a budget of the fleet is shared by. Unset: the budget is each entity's."""
    exposure_seconds: float | None = None
    """Event time that was held out, added up over entities: what the estimate stands on."""
    factor: float | None = None
    """Factor by which labels have moved the threshold (see feedback.threshold). Unset: they have not."""
    realised: RealisedStatus | None = None
    """Rate of false episodes under this threshold. Unset: nothing was counted yet, or no model decides."""
    move: ThresholdMove | None = None
    """Move of the threshold by what was realised. Unset: it is where the held-out data and labels say."""
