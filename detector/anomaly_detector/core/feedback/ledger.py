"""Alerts and labels, laid side by side: a fold over the records of the two topics. The same records give the same answers.

    alerts   opened e1 . . closed e1    opened e2 . .            who decided, from when to when
    labels                  e1: FalseAlarm       pump-3, 10:00-10:20: Missed

It is held in memory of a bounded size: beyond `most` episodes or labels the oldest are forgotten. It reads no topic.
"""

import sys
from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from anomaly_api.alert import ACCEPTED, EpisodeEvent
from anomaly_api.feedback import FeedbackEvidence, Label, LabelKind, RevisionFeedback
from anomaly_detector.core.columns import MICROSECONDS

MOST: Final = 100_000
"""Episodes, and labels, that a training remembers: some 300 bytes each."""
MOST_IN_POD: Final = 20_000
"""And a scoring pod."""
_EVENTS: Final = frozenset(event.value for event in EpisodeEvent)
_FALSE: Final = (LabelKind.FALSE_ALARM, LabelKind.NORMAL)


class NotALabelError(ValueError):
    """A record that is no label; the message says what is wrong."""


class Period(Struct, frozen=True):
    """A time of an entity. Event times, microseconds since 1970 UTC."""

    entity: str
    begin: int
    end: int


class KnownEpisode(Struct):
    """An episode, as its alerts tell it."""

    entity: str
    begin: int
    end: int
    """Of its last record, if it is open still."""
    revision: str
    model: str | None
    open: bool = True
    announced: bool = False
    accepted: bool = False
    """Whether it was held back because somebody had called the one before normal."""
    at_ms: int = 0
    """When its last record was written, Unix milliseconds."""

    @property
    def period(self) -> Period:
        """From its first to its last moment."""
        return Period(self.entity, self.begin, self.end)


class GivenLabel(Struct, frozen=True):
    """A label and when it was given."""

    label: Label
    order: tuple[int, bytes]
    """Message time in Unix milliseconds, and the record: of two the greater counts, in whichever order partitions come."""
    begin: int
    end: int
    """Event times, microseconds; of a label by episode 0."""


class Ledger:
    """What is known of alerts and labels of one detector."""

    def __init__(self, source: str, most: int = MOST) -> None:
        """`source` of the detector's alerts: others may write to the same topic."""
        self._source, self._most = source, most
        self._episodes: dict[str, KnownEpisode] = {}
        self._by_episode: dict[str, GivenLabel] = {}
        self._by_time: list[GivenLabel] = []
        self.labels = self.rejected = 0
        self.recent_reject = ""
        self.normal_since: float | None = None

    def alert(self, value: bytes | None, at_ms: int = 0) -> None:
        """A record of the alerts topic, written at `at_ms` (Unix milliseconds); what is none of ours is passed over."""
        event = _event(value)
        if event is None or event.get("source") != self._source or event.get("type") not in _EVENTS:
            return
        try:
            data, closed = event["data"], event["type"] == EpisodeEvent.CLOSED.value
            begin, now = _micros(data["start"]), _micros(event["time"])
            known = self._episodes.get(data["episode"])
            if known is None:
                known = KnownEpisode(data["entity"], begin, now, sys.intern(data["revision"]), _interned(data.get("model")))
                self._episodes[data["episode"]] = known
                if len(self._episodes) > self._most:
                    del self._episodes[next(iter(self._episodes))]
            known.at_ms = max(known.at_ms, at_ms)
            known.end, known.open = max(known.end, now), known.open and not closed
            known.announced = known.announced or not data["suppressed"]
            known.accepted = data.get("suppressedBy") == ACCEPTED and not known.announced
        except (KeyError, TypeError, ValueError):
            return  # not a record of ours, though it says so

    def label(self, value: bytes | None, at_ms: int) -> GivenLabel:
        """A record of the labels topic, written at `at_ms` (Unix milliseconds). Raises NotALabelError."""
        try:
            label = _label(value)
        except NotALabelError as error:
            self.rejected, self.recent_reject = self.rejected + 1, str(error)
            raise
        self.labels += 1
        begin, end = (_micros(label.from_), _micros(label.until)) if label.from_ and label.until else (0, 0)
        given = GivenLabel(label, (at_ms, value or b""), begin, end)
        if label.label is LabelKind.NORMAL:
            self.normal_since = max(self.normal_since or 0.0, at_ms / 1000)
        if label.episode:
            before = self._by_episode.pop(label.episode, given)
            self._by_episode[label.episode] = max(before, given, key=lambda each: each.order)
            if len(self._by_episode) > self._most:
                del self._by_episode[next(iter(self._by_episode))]
        else:
            self._by_time.append(given)
            if len(self._by_time) > self._most:
                del self._by_time[0]
        return given

    def forget_before(self, at_ms: int) -> None:
        """Drops labels and episodes whose last record was written before, in Unix milliseconds."""
        for name in [name for name, known in self._episodes.items() if known.at_ms < at_ms]:
            del self._episodes[name]
        for name in [name for name, given in self._by_episode.items() if given.order[0] < at_ms]:
            del self._by_episode[name]
        self._by_time = [given for given in self._by_time if given.order[0] >= at_ms]

    def wrong(self) -> list[Period]:
        """Times at which something was wrong, as somebody said: true alarms and missed ones."""
        found = [known.period for kind, known in self._judged() if kind is LabelKind.TRUE_ALARM]
        spoken = [each for each in self._by_time if each.label.label in (LabelKind.MISSED, LabelKind.TRUE_ALARM)]
        return [*found, *(Period(each.label.entity or "", each.begin, each.end) for each in spoken)]

    def alerted(self) -> list[Period]:
        """Times of episodes of which nobody said that they were nothing, nor that the one before was normal."""
        return [known.period for kind, known in self._judged() if kind is None and not known.accepted]

    def normal(self) -> list[Period]:
        """Times that somebody called normal, from where they began; how long they last is not said."""
        found = [known.period for kind, known in self._judged() if kind is LabelKind.NORMAL]
        spoken = [each for each in self._by_time if each.label.label is LabelKind.NORMAL]
        return [*found, *(Period(each.label.entity or "", each.begin, each.end) for each in spoken)]

    def evidence(self) -> FeedbackEvidence:
        """What the operator is told."""
        revisions: dict[str, dict[str, int]] = {}
        begins: list[tuple[int, str]] = []
        models: dict[str, str | None] = {}
        for kind, known in self._judged():
            if known.announced or kind is not None:
                counts = revisions.setdefault(
                    known.revision, dict.fromkeys(("episodes", "true_alarms", "false_alarms", "missed"), 0)
                )
                counts["episodes"] += 1
                counts["true_alarms"] += kind is LabelKind.TRUE_ALARM
                counts["false_alarms"] += kind in _FALSE
                models[known.revision] = known.model
                begins.append((known.begin, known.revision))
        begins.sort()
        for each in self._by_time:
            earlier = bisect_right(begins, each.end, key=_begin)
            if each.label.label is LabelKind.MISSED and earlier:
                revisions[begins[earlier - 1][1]]["missed"] += 1
        return FeedbackEvidence(
            labels=self.labels,
            rejected=self.rejected,
            recent_reject=self.recent_reject,
            revisions=[
                RevisionFeedback(revision=name, model=models[name], **counts) for name, counts in sorted(revisions.items())
            ],
            normal_since=self.normal_since,
        )

    def _judged(self) -> Iterator[tuple[LabelKind | None, KnownEpisode]]:
        """Each episode with what was said of it last, by its id or by its entity and time."""
        by_entity: dict[str, list[GivenLabel]] = {}
        for given in self._by_time:
            if given.label.label is not LabelKind.MISSED:
                by_entity.setdefault(given.label.entity or "", []).append(given)
        for name, known in self._episodes.items():
            said = [each for each in by_entity.get(known.entity, ()) if each.begin <= known.end and known.begin <= each.end]
            if name in self._by_episode:
                said.append(self._by_episode[name])
            last = max(said, key=lambda each: each.order, default=None)
            yield last.label.label if last else None, known


def _begin(episode: tuple[int, str]) -> int:
    return episode[0]


def _event(value: bytes | None) -> dict[str, Any] | None:
    try:
        event = msgspec.json.decode(value or b"")
    except msgspec.DecodeError:
        return None
    return event if isinstance(event, dict) else None


def _interned(text: str | None) -> str | None:
    """Many episodes are of few models."""
    return None if text is None else sys.intern(text)


def _label(value: bytes | None) -> Label:
    if not value:
        raise NotALabelError("the record is empty")
    try:
        found = Label.model_validate_json(value)
    except ValueError as error:
        raise NotALabelError(_sentence(error)) from error
    if found.from_ and found.until and _micros(found.from_) > _micros(found.until):
        raise NotALabelError("from is later than until")
    return found


def _sentence(error: ValueError) -> str:
    """The first thing that is wrong, without the content."""
    details = getattr(error, "errors", None)
    if details is None:
        return "the record is not JSON"
    first = details(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def _micros(moment: str) -> int:
    at = datetime.fromisoformat(moment)
    if at.tzinfo is None:
        raise ValueError("a time without its offset")
    return round(at.timestamp() * MICROSECONDS)
