"""Silent entities, told as episodes of their own kind: window `silence`, scorer Silence; score 1 is silentAfter."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import Struct

from anomaly_api.alert import EpisodeReason, ScorerKind
from anomaly_detector.core.alerts.alert import Alert, Decision, episode_alert
from anomaly_detector.core.columns import MICROSECONDS
from anomaly_detector.core.entities.lru import Reason
from anomaly_detector.core.entities.micro_batch import Evicted
from anomaly_detector.core.episodes.episode import Transition
from anomaly_detector.core.episodes.policy import EpisodePolicy
from anomaly_detector.core.episodes.transitions import EpisodeTransition
from anomaly_detector.core.preprocess.intake import Intake
from anomaly_detector.core.preprocess.preprocessor import Preprocessor
from anomaly_detector.core.preprocess.silence import SilenceTurn

SILENCE: Final = "silence"
"""In the place of a window's name."""
_ENDINGS: Final = {Reason.BUDGET: EpisodeReason.EVICTED, Reason.IDLE: EpisodeReason.IDLE}


class SilentEntities(Struct, frozen=True):
    """Who tells: the detector, and the revision that decides."""

    source: str
    revision: str
    policy: EpisodePolicy
    preprocessor: Preprocessor

    def told(self, turns: Sequence[SilenceTurn]) -> list[Alert]:
        """The records of entities that fall silent, or speak again."""
        names = self.preprocessor.entities.names
        return [
            self._alert(names[turn.slot], turn, EpisodeReason.RECOVERED if turn.over else EpisodeReason.OPENED) for turn in turns
        ]

    def left(self, leaving: Sequence[Evicted]) -> list[Alert]:
        """The records of silent entities that are forgotten: nobody waits for them any more."""
        if self.preprocessor.silence is None:
            return []
        gone = {each.slot: each for each in leaving}
        silent = self.preprocessor.silence.silent(np.array(list(gone), np.int64))
        return [
            self._closed(gone[slot].name, gone[slot].partition, since, gone[slot].row, _ENDINGS[gone[slot].reason])
            for slot, since in silent
        ]

    def ended(self, before: Intake, after: Intake) -> list[tuple[int, Alert]]:
        """The records of silences that a change ends, with their partitions."""
        if self.preprocessor.silence is None or (before.readings == after.readings and after.silent_after is not None):
            return []
        entities = self.preprocessor.entities
        found = []
        for partition in sorted(set(entities.partitions)):
            slots = np.array(list(entities.known(partition).values()), np.int64)
            for slot, since in self.preprocessor.silence.silent(slots):
                alert = self._closed(entities.names[slot], partition, since, -1, EpisodeReason.REPLACED)
                found.append((partition, alert))
        return found

    def _closed(self, entity: str, partition: int, since: int, row: int, reason: EpisodeReason) -> Alert:
        assert self.preprocessor.silence is not None, "somebody was silent"
        time = max(self.preprocessor.silence.clock(partition), since)
        return self._alert(entity, SilenceTurn(row, -1, since, time, over=True), reason)

    def _alert(self, entity: str, turn: SilenceTurn, reason: EpisodeReason) -> Alert:
        assert self.preprocessor.silence is not None, "somebody was silent"
        after = self.preprocessor.silence.after
        score = (turn.time - turn.since) / after
        transition = EpisodeTransition(
            row=turn.row,
            window=SILENCE,
            index=None,
            entity=entity,
            time=turn.time,
            turn=Transition.CLOSED if turn.over else Transition.OPENED,
            reason=reason,
            start=turn.since,
            windows=0,
            score=score,
            peak=score,
            severity=self.policy.degrees[0].name,
            suppressed_by=self.policy.suppressed(entity, turn.since + after),
        )
        decision = Decision(self.source, SILENCE, after / MICROSECONDS, ScorerKind.SILENCE, None, self.revision, ())
        return episode_alert(decision, transition, None)
