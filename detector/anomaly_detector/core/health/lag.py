"""How far a pod is behind its partitions: messages not read yet, and the age of the oldest of them. It is told the time.

    read  read  read | unread  unread  unread
                   ^   ^                     ^
       its timestamp   older is none         where the topic ends, as of this look

The oldest unread message was written after the last one that was read, and after the last look at which the topic had ended where
we are now. Its age is the time since the later of the two: too great by the time between two messages or between two looks,
whichever is shorter, and never too small but for a clock that is wrong.
"""

from collections import deque
from typing import Final

from msgspec import Struct, field

_MOST_LOOKS: Final = 64


class Lag(Struct, frozen=True):
    """Of one partition."""

    messages: int
    """Not read yet."""
    seconds: float
    """Age of the oldest of them; 0 if there is none."""


class Sight(Struct, frozen=True):
    """What can be seen of a partition at one look."""

    position: int
    """The next offset to be read."""
    end: int
    """The offset that the next message of the topic will have."""
    stamp: float | None = None
    """Timestamp of the last message that was read, in Unix seconds."""


class _Track(Struct):
    since: float
    """No unread message is older."""
    ends: deque[tuple[float, int]] = field(default_factory=deque)
    """When the topic ended where, as far as we are not there yet."""


class LagTracker:
    """Remembers what it needs of each partition."""

    def __init__(self) -> None:
        self._tracks: dict[int, _Track] = {}

    def look(self, partition: int, sight: Sight, now: float) -> Lag:
        """`now` in Unix seconds; looks about a second apart are meant."""
        track = self._tracks.get(partition)
        if track is None:
            # Unread since when, nobody knows before something was read: the time counts from here.
            track = self._tracks[partition] = _Track(now if sight.stamp is None else float("-inf"))
        while track.ends and track.ends[0][1] <= sight.position:
            track.since = track.ends.popleft()[0]
        if sight.end <= sight.position:
            track.since = now
            return Lag(0, 0.0)
        if track.ends and track.ends[-1][1] == sight.end:
            track.ends.pop()
        track.ends.append((now, sight.end))
        if len(track.ends) > _MOST_LOOKS:
            track.ends = deque(list(track.ends)[::2])  # coarser, the longer it lasts
        if sight.stamp is not None and sight.stamp <= now:
            track.since = max(track.since, sight.stamp)
        return Lag(sight.end - sight.position, max(0.0, now - track.since) if track.since > float("-inf") else 0.0)

    def forget(self, partition: int) -> None:
        """It is another pod's now."""
        self._tracks.pop(partition, None)
