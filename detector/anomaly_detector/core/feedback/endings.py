"""Episodes that end because of what people said: those that somebody calls normal, and what that held back, with another model.

Which they are is `acceptance`'s; here they are ended, and told. A function of what is remembered of one partition.
"""

from collections.abc import Iterable

from msgspec import Struct

from anomaly_api.alert import EpisodeReason
from anomaly_detector.core.alerts.alert import Alert
from anomaly_detector.core.configuration import Decider
from anomaly_detector.core.entities.table import Entities
from anomaly_detector.core.episodes.closures import closing, closing_alert
from anomaly_detector.core.episodes.episode import Episode
from anomaly_detector.core.episodes.table import Episodes
from anomaly_detector.core.feedback.acceptance import Acceptances


class Endings(Struct, frozen=True):
    """Of the stable revision's episodes."""

    source: str
    """CloudEvents source: the detector."""
    entities: Entities
    episodes: Episodes

    def accepted(self, partition: int, said: Acceptances, decider: Decider) -> list[Alert]:
        """Ends the open episodes of a partition of which somebody said that this is normal now; what is to be told."""
        names, partitions = self.entities.names, self.entities.partitions
        ended = [
            (slot, window, episode)
            for slot, window, episode in self.episodes.open_ones()
            if partitions[slot] == partition and said.concern(self.source, names[slot], window, episode.start, episode.seen)
        ]
        found = self._told(ended, decider)
        for slot, window, _ in ended:
            self.episodes.accept(slot, window)
        return found

    def renounced(self, partition: int, before: Decider) -> list[Alert]:
        """Another model decides than `before`: what people said of its scores counts no longer. What is to be told."""
        return self._told(self.episodes.renounce(set(self.entities.known(partition).values())), before)

    def _told(self, ended: Iterable[tuple[int, str, Episode]], decider: Decider) -> list[Alert]:
        turns = [
            closing(self.entities.names[slot], window, each, EpisodeReason.ACCEPTED)
            for slot, window, each in ended
            if each.recorded and window in decider.thresholds
        ]
        return [closing_alert(self.source, decider, turn) for turn in turns]
