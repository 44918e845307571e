"""The decision where a partition goes on: a fold over the records of its state topic, and the group's position. No broker.

state topic   changes, episodes, limit, checkpoint
group         committed offset                       >   from which offset on to read, and with what: `Recovered`
source        first and next offset, identity
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from pydantic import ValidationError

from anomaly_detector.core.configuration import Configuration
from anomaly_detector.core.state.changelog import (
    CHANGES,
    EPISODES,
    HEADER,
    LABELS,
    LIMIT,
    PIECE,
    REFUSED,
    SLOTS,
    SOURCE,
    Change,
    CheckpointHeader,
    SourceIdentity,
    decode_refused,
    piece_key,
)
from anomaly_detector.core.state.checkpoint import CheckpointError, unpack

_Value = TypeVar("_Value")


class Recovered(Struct, frozen=True):
    """What a pod needs to go on with a partition."""

    start: int
    """Offset from which on to read."""
    until: int
    """The first offset that has not been decided; up to it is replayed."""
    configuration: Configuration | None
    """Under which the replay begins; None: nothing is known of the partition."""
    changes: tuple[Change, ...] = ()
    """That come later."""
    refused: frozenset[int] = frozenset()
    """Offsets of messages that a clock refused: they stay refused."""
    written_refused: tuple[bytes, ...] = ()
    """Keys of the records that say so."""
    state: Mapping[str, Any] = {}
    episodes: Mapping[str, bytes] = {}
    limit: bytes | None = None
    labels: bytes | None = None
    last: Configuration | None = None
    """The last one that is known, whether it still counts or not."""
    written_changes: tuple[int, ...] = ()
    """Numbers of the changes in the topic."""
    number: int = 0
    """The last one that was used."""
    slot: str = SLOTS[1]
    """Of the newest checkpoint; the next one goes into the other."""
    skipped: int = 0
    """Readings that were gone before they were decided."""
    note: str = ""
    """What is to be said about it."""
    source: SourceIdentity | None = None
    """To be written down; None: it stands there."""


class Changelog:
    """What the records of one partition add up to. Feed them in the order of their offsets."""

    def __init__(self) -> None:
        self._changes: dict[bytes, Change] = {}
        self._number = 0
        self._episodes: dict[str, bytes] = {}
        self._limit: bytes | None = None
        self._labels: bytes | None = None
        self._refused: dict[bytes, list[int]] = {}
        self._pieces: dict[bytes, bytes] = {}
        self._header: CheckpointHeader | None = None
        self.source: SourceIdentity | None = None
        self._flaws = 0

    def add(self, key: bytes | None, value: bytes | None) -> None:
        """A record; None: what stood there is deleted."""
        key = key or b""
        try:
            if key.startswith(CHANGES):
                self._change(key, Change.model_validate_json(value) if value else None)
            elif key.startswith(EPISODES):
                _put(self._episodes, key[len(EPISODES) :].decode(), value)
            elif key == LIMIT:
                self._limit = value
            elif key == LABELS:
                self._labels = value
            elif key.startswith(REFUSED):
                _put(self._refused, key, decode_refused(value) if value else None)
            elif key.startswith(PIECE):
                _put(self._pieces, key, value)
            elif key == HEADER:
                self._header = CheckpointHeader.model_validate_json(value) if value else None
                self._discard_older()
                self._number = max(self._number, self._header.number if self._header else 0)
            elif key == SOURCE:
                self.source = SourceIdentity.model_validate_json(value) if value else None
        except (ValidationError, UnicodeDecodeError, msgspec.MsgspecError):
            self._flaws += 1

    def recover(
        self,
        committed: int | None,
        low: int,
        high: int,
        *,
        latest: bool,
        source: SourceIdentity | None = None,
        added: bool = False,
    ) -> Recovered:
        """Where to begin: `committed` is the group's position, `low` and `high` what the topic holds, `source` which one it is.

        `added`: the partition came after the others had begun.
        """
        known = self.source
        another = known is not None and source is not None and known.topic != source.topic and bool(known.topic and source.topic)
        if another:
            note = "the topic was deleted and made anew: what is known of the old one is dropped, the new one is read whole"
            found = self._anew(low, note)
        else:
            found = self._found(committed, low, high, latest=latest and not added)
        if self._flaws:
            found = replace(found, note="; ".join(filter(None, (found.note, _unreadable(self._flaws)))))
        begins = found.configuration is None
        return replace(found, source=source) if source is not None and (begins or known is None) else found

    def _found(self, committed: int | None, low: int, high: int, *, latest: bool) -> Recovered:
        """Where to begin in the topic that is known."""
        if committed is None:
            return self._without_position(low, high, latest=latest)
        if committed > high:
            note = f"the group has committed offset {committed}, and the topic ends at {high}: it was made anew and is read whole"
            return self._anew(low, note)
        if committed < low:
            note = f"readings {committed} to {low - 1} were deleted before they were read"
            return self._anew(low, note, low - committed)
        return self._resume(committed, low, high)

    def _without_position(self, low: int, high: int, *, latest: bool) -> Recovered:
        """A new group; or one that has lost its position, as brokers forget it when nobody has read for a week."""
        if not self._number:
            return self._anew(high if latest else low)
        lost = "the group has lost its position: nobody has read for long, or it was deleted"
        if not latest:
            return self._anew(low, f"{lost}; all is read again")
        if self._header is None or self._header.offset > high:
            return self._anew(high, f"{lost}; it begins at the end, and readings before that may be missed")
        since = self._header.offset
        note = f"{lost}; it goes on at offset {since}, the last checkpoint, and decides again what came after it"
        return self._anew(max(low, since), note, max(0, low - since))

    def _resume(self, committed: int, low: int, high: int) -> Recovered:
        header, state, note = self._checkpoint(high)
        covered = header.number if header else 0
        changes = [change for change in self._changes.values() if change.number > covered]
        if header is not None and committed < header.offset:
            note = (
                f"the group's position, {committed}, was moved back before the last checkpoint, {header.offset}: what was "
                "decided is not decided again, and it goes on there; to have it read again, delete the state topic as well"
            )
            committed = header.offset
        begin = next((change for change in self._changes.values() if change.begin), None)
        if header is not None:
            start, configuration = header.offset, header.configuration
        elif begin is not None:
            start, configuration = begin.offset, begin.configuration
        elif changes:
            start, configuration = changes[0].offset, changes[0].configuration
        else:
            note = note or "nothing is known of the time before: windows begin empty"
            return self._anew(committed, note)
        if start < low:
            note = f"the readings since the last checkpoint (offset {start}) are gone up to {low - 1}: windows begin empty there"
            before = [change for change in changes if change.offset <= low]
            start, state, configuration = low, {}, before[-1].configuration if before else configuration
        later = tuple(change for change in changes if start <= change.offset <= committed)
        known = replace(self._anew(committed, note), start=start, configuration=configuration, changes=later, state=state)
        return replace(known, slot=header.slot) if header else known

    def _anew(self, offset: int, note: str = "", skipped: int = 0) -> Recovered:
        """Begins at an offset with nothing; what stands in the topic is named, so that it can be deleted."""
        numbers = tuple(change.number for change in self._changes.values())
        newest = max(self._changes.values(), key=lambda change: change.number, default=self._header)
        last = newest.configuration if newest else None
        known = Recovered(
            offset, offset, None, episodes=dict(self._episodes), limit=self._limit, last=last, written_changes=numbers
        )
        refused = frozenset(each for offsets in self._refused.values() for each in offsets)
        known = replace(known, labels=self._labels, refused=refused, written_refused=tuple(self._refused))
        return replace(known, number=self._number, skipped=skipped, note=note)

    def _change(self, key: bytes, change: Change | None) -> None:
        if change is None:
            self._changes.pop(key, None)
            return
        if change.begin:
            self._changes, self._episodes, self._limit, self._pieces, self._header = {}, {}, None, {}, None
            self._refused = {}
        self._number = max(self._number, change.number)
        self._changes[key] = change

    def _discard_older(self) -> None:
        """The pieces of the checkpoint before a complete one are of no use, and as large as what is remembered."""
        if self._header is not None:
            mine = piece_key(self._header.slot, 0)[:-1]
            self._pieces = {key: piece for key, piece in self._pieces.items() if key.startswith(mine)}

    def _checkpoint(self, high: int) -> tuple[CheckpointHeader | None, dict[str, Any], str]:
        header = self._header
        if header is None or header.offset > high:
            return None, {}, ""
        try:
            keys = (piece_key(header.slot, place) for place in range(header.pieces))
            return header, unpack(map(self._pieces.pop, keys)), ""  # each is given up as it is read: they are large
        except CheckpointError as error:
            return None, {}, f"the checkpoint at offset {header.offset} cannot be used: {error}"


def _unreadable(count: int) -> str:
    return f"{count} records of the state topic make no sense and were left out: does anybody else write to it?"


def _put(into: dict[Any, _Value], key: Any, value: _Value | None) -> None:
    if value is None:
        into.pop(key, None)
    else:
        into[key] = value
