"""What somebody said is normal now: which open episodes it is about. It ends none."""

from msgspec import Struct

from anomaly_api.feedback import LabelKind
from anomaly_detector.core.alerts.alert import identity
from anomaly_detector.core.feedback.ledger import GivenLabel


class Acceptance(Struct, frozen=True):
    """A label of kind Normal. It is about an episode that began before it was given, so saying it twice ends nothing more."""

    episode: str
    """Id; empty: it is about an entity and a time."""
    entity: str = ""
    begin: int = 0
    end: int = 0
    """Event times, microseconds."""

    @classmethod
    def of(cls, given: GivenLabel) -> "Acceptance | None":
        """None: the label says something else."""
        label = given.label
        if label.label is not LabelKind.NORMAL:
            return None
        if label.episode:
            return cls(label.episode)
        at = given.order[0] * 1000
        return cls("", label.entity or "", given.begin, min(given.end, at) if at > 0 else given.end)


class Acceptances(Struct, frozen=True):
    """Several, ready to be asked."""

    ids: frozenset[str]
    times: dict[str, list[tuple[int, int]]]
    """By entity."""

    @classmethod
    def of(cls, said: "list[Acceptance]") -> "Acceptances":
        """Of these labels."""
        times: dict[str, list[tuple[int, int]]] = {}
        for each in said:
            if not each.episode:
                times.setdefault(each.entity, []).append((each.begin, each.end))
        return cls(frozenset(each.episode for each in said if each.episode), times)

    def concern(self, source: str, entity: str, window: str, start: int, seen: int) -> bool:
        """Whether an episode that began at `start`, and whose last window was at `seen` (microseconds), is among them."""
        if any(begin <= seen and start <= end for begin, end in self.times.get(entity, ())):
            return True
        return bool(self.ids) and identity(source, entity, window, str(start)) in self.ids
