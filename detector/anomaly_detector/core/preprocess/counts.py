"""What is counted of readings on their way into windows."""

from collections import Counter
from collections.abc import Mapping

from msgspec import Struct


class ReadingCounts(Struct, frozen=True):
    """What is counted of readings on their way into windows."""

    late: int = 0
    """Left out, because a newer one of their entity was in the windows."""
    duplicates: int = 0
    """Left out, because there is one of the same entity and time."""
    released_early: int = 0
    """Waited less than they should have, because too many others waited."""
    dropped_pending: int = 0
    """Left out, because they waited when their entity was forgotten."""
    missing: Mapping[str, int] = {}
    """Values that were not there, by feature."""
    imputed: int = 0
    """Values that were filled in."""
    delays: Mapping[int, int] = {}
    """Readings that came after a newer one of their entity, by the place among LATENESSES of what would have kept them."""

    def __add__(self, other: "ReadingCounts") -> "ReadingCounts":
        """Of both together."""
        missing, delays = Counter(self.missing), Counter(self.delays)
        missing.update(other.missing)
        delays.update(other.delays)
        return ReadingCounts(
            self.late + other.late,
            self.duplicates + other.duplicates,
            self.released_early + other.released_early,
            self.dropped_pending + other.dropped_pending,
            dict(missing),
            self.imputed + other.imputed,
            dict(sorted(delays.items())),
        )
