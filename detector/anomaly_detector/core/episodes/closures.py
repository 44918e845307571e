"""What is told of episodes and limits that a change ends: an edit takes their window away, or all that was known begins anew.

    revisions   short, long  | short, medium         features  a, b  | a, b, c
    short       ( open . . . | . . . . . closed)     short     ( open . . closed, Replaced: windows of b alone are no more
    long        ( open . . closed, Replaced

It follows from what stands in the state topic, and from nothing else: so it is the same in a pod that lives through the change,
and in one that finds the change when it takes the partition over. The record's time is that of the last window there was.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from anomaly_api.alert import EpisodeReason, LimitKind
from anomaly_detector.core.alerts.alert import Alert, Decision, episode_alert, limit_alert
from anomaly_detector.core.configuration import Configuration, Decider
from anomaly_detector.core.episodes.episode import Episode, Transition
from anomaly_detector.core.episodes.limits import LimitTransition, restored
from anomaly_detector.core.episodes.table import TALLY, is_window
from anomaly_detector.core.episodes.transitions import EpisodeTransition, LimitReached

NO_MESSAGE = -1


class Closures(Struct, frozen=True):
    """A partition goes over from one configuration to another; `after` None: what was known of it is void in any case.

    Only episodes that people could be told of: what a candidate would have told is evidence.
    """

    source: str
    before: Configuration
    after: Configuration | None

    @property
    def anew(self) -> bool:
        """Whether windows begin anew, and with them all there is to remember."""
        return self.after is None or self.before.intake.readings != self.after.intake.readings

    @property
    def any(self) -> bool:
        """Whether there is anything that ends."""
        if self.anew or self.after is None:
            return True
        kept = [_names(decider) for decider in self.after.deciders.deciding]
        return not all(_names(decider) <= windows for decider in self.before.deciders.deciding for windows in kept)

    def of_entity(self, entity: str, state: Mapping[str, Mapping[str, Any]]) -> list[Alert]:
        """`state` as `Episodes.state` gives it."""
        return [self._alert(turn) for turn in self.turns(entity, state)]

    def of_partition(self, partition: int, state: Mapping[str, Any] | None) -> list[Alert]:
        """`state` as `Episodes.state_of_partition` gives it."""
        reached = _ended(LimitKind.TOTAL, partition, "", state) if state and self.anew else None
        return [limit_alert(self.source, reached)] if reached else []

    def turns(self, entity: str, state: Mapping[str, Mapping[str, Any]]) -> list[EpisodeTransition | LimitReached]:
        """The same as data: window by window, and then the entity's limit."""
        kept = self._kept(entity)
        found: list[EpisodeTransition | LimitReached] = []
        for window, known in state.items():
            if is_window(window) and window not in kept:
                episode = Episode.of(known)
                if episode.open and episode.recorded:
                    found.append(self._closed(entity, window, episode))
        reached = _ended(LimitKind.PER_ENTITY, NO_MESSAGE, entity, state[TALLY]) if TALLY in state and self.anew else None
        return [*found, reached] if reached else found

    def _kept(self, entity: str) -> set[str]:
        """Windows that go on: those of who decides the entity now."""
        return set() if self.anew or self.after is None else _names(self.after.deciders.of(entity))

    def _closed(self, entity: str, window: str, episode: Episode) -> EpisodeTransition:
        return closing(entity, window, episode, EpisodeReason.BEGUN_ANEW if self.after is None else EpisodeReason.REPLACED)

    def _alert(self, turn: EpisodeTransition | LimitReached) -> Alert:
        if isinstance(turn, LimitReached):
            return limit_alert(self.source, turn)
        return closing_alert(self.source, self.before.deciders.of(turn.entity), turn)


def _names(decider: Decider) -> set[str]:
    return {window.name for window in decider.windows}


def closing(entity: str, window: str, episode: Episode, reason: EpisodeReason) -> EpisodeTransition:
    """The end of an open episode at its last window, which no window led to."""
    return EpisodeTransition(
        row=NO_MESSAGE,
        window=window,
        index=None,
        entity=entity,
        time=episode.seen,
        turn=Transition.CLOSED,
        reason=reason,
        start=episode.start,
        windows=episode.windows,
        score=episode.score,
        peak=episode.peak,
        severity=episode.severity,
        suppressed_by=episode.hushed,
    )


def closing_alert(source: str, decider: Decider, turn: EpisodeTransition) -> Alert:
    """The record of such an end; `decider` is who decided until then."""
    decision = Decision(
        source=source,
        window=turn.window,
        threshold=decider.thresholds[turn.window],
        scorer=decider.scorer,
        model=decider.model,
        revision=decider.name,
        features=[],
    )
    return episode_alert(decision, turn, None)


def _ended(kind: LimitKind, where: int, entity: str, state: Mapping[str, Any]) -> LimitReached | None:
    """The end of a limit that holds something back."""
    tally = restored(state)
    turn = LimitTransition(kind, where, tally.count, tally.since, tally.until, tally.dropped, over=True)
    return LimitReached(NO_MESSAGE, tally.at, entity, turn) if tally.dropped else None
