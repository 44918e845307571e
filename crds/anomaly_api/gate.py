"""The gate between a training and its use: what the spec asks for, and what the trainer found. How it judges is the trainer's."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from anomaly_api.schema import Contract, list_map


class GateMode(StrEnum):
    """What the gate's verdict does."""

    ENFORCE = "Enforce"
    AUDIT = "Audit"
    OFF = "Off"


class Gate(Contract):
    """Judgement of a new model, before it may decide, on the newest held-out readings and on faults that are put into them."""

    mode: GateMode = GateMode.ENFORCE
    """Effect of the verdict. Enforce, the default: a model that is worse than the one in use, or than a principal component
    analysis of the same data, is rejected, and what decided before goes on. Audit: it is judged and used all the same. Off: it
    is not judged. Changing it trains nothing again: Audit lets a model in that was rejected."""
    faults: Annotated[int, Field(ge=50, le=10_000)] = 300
    """Number of faults that are put into the newest held-out readings, default 300: spikes, drifts, stuck values, broken
    correlations and level shifts, each at three strengths."""
    margin_percent: Annotated[float, Field(ge=0, le=50)] = 5.0
    """Share of the faults, in percent, that a new model may miss more of than the other without being called worse,
    default 5."""
    significance: Annotated[float, Field(gt=0, le=0.2)] = 0.01
    """Probability with which a model that is as good as the other is rejected by chance, at most, default 0.01. It is divided
    among all tests of a judgement."""


class Verdict(StrEnum):
    """What came out of it."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    NOT_JUDGED = "NotJudged"


class RivalName(StrEnum):
    """Models that a new one is compared with."""

    STABLE = "Stable"
    PCA = "Pca"


class Rival(Contract):
    """A model that the new one was compared with, on the same windows and faults."""

    name: RivalName
    """Which one: Stable, the model in use when the training began; Pca, a principal component analysis of the same data."""
    model: str | None = None
    """AnomalyModel, where it is one. Unset: it was made for the comparison."""
    found: int
    """Number of the put-in faults that it found."""
    only_rival: int
    """Number of faults that it alone found."""
    only_candidate: int
    """Number of faults that the new model alone found."""
    false_episodes: int
    """Number of false episodes that it had in the newest held-out readings."""
    p_value: float
    """Probability of as many faults found by it alone, or more, if both were equally good (exact McNemar test)."""


class GateReport(Contract):
    """What the gate found."""

    verdict: Verdict
    """Accepted, Rejected, or NotJudged where there was nothing to judge by."""
    reason: str
    """Reason in one word, such as NotWorse, MissesFaults or FalseEpisodes."""
    message: str
    """The same in a sentence, with the figures."""
    faults: int = 0
    """Number of faults that were put in, default 0."""
    found: int = 0
    """Number of them that the new model found, default 0."""
    windows: int = 0
    """Number of held-out windows without a put-in fault that it was judged by, default 0."""
    false_episodes: int = 0
    """Number of false episodes that it had in them, default 0."""
    tolerated_episodes: float = 0.0
    """Number of false episodes in them that the threshold is to let through, default 0."""
    rivals: Annotated[list[Rival], Field(max_length=4, json_schema_extra=list_map("name"))] | None = None
    """Models that it was compared with. Unset: none."""
