"""One partition's changelog as far as it is written: which records bring the state topic up to what is remembered.

It compares with what stands in the topic, so that nothing is written twice, and hands records over; it sends none.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from anomaly_detector.core.configuration import Configuration
from anomaly_detector.core.state import changelog
from anomaly_detector.core.state.changelog import Change, CheckpointHeader, EpisodesState, LimitState, SourceIdentity
from anomaly_detector.core.state.checkpoint import pack
from anomaly_detector.core.state.records import Record
from anomaly_detector.core.state.recovery import Recovered


class ChangelogWriter:
    """The records of one partition that wait for the next commit, and what stands in the topic after it."""

    def __init__(self, topic: str, partition: int, found: Recovered, configuration: Configuration) -> None:
        """`found`: what stands in the topic; `configuration`: the last one that is written there, or is to be."""
        self._topic, self._partition = topic, partition
        self.configuration = configuration
        self.episodes = dict(found.episodes)
        """[entity] Values as they stand in the topic."""
        self._limit = found.limit
        self._labels = changelog.decode_labels(found.labels) if found.labels else {}
        self._changes, self._number, self._slot = list(found.written_changes), found.number, found.slot
        self._refused = list(found.written_refused)
        """Keys of what was refused since the last checkpoint."""
        self._pieces: Iterator[Record] | None = None
        """Of a checkpoint that is being written: what is left of it."""
        self.records: list[Record] = []

    @property
    def checkpointing(self) -> bool:
        """Whether a checkpoint is begun and not complete."""
        return self._pieces is not None

    def change(self, configuration: Configuration, offset: int, *, begin: bool) -> None:
        """From this offset on another configuration decides."""
        self.configuration = configuration
        self._number += 1
        change = Change(number=self._number, offset=offset, begin=begin, configuration=configuration)
        self._add(changelog.change_key(self._number), changelog.encode(change))
        self._changes.append(self._number)

    def source(self, source: SourceIdentity) -> None:
        """Writes down in which topic the partition was begun."""
        self._add(changelog.source_key(), changelog.encode(source))

    def note_episodes(self, entity: str, episodes: EpisodesState) -> None:
        """Writes an entity's episodes, if they differ from what stands in the topic."""
        state = changelog.encode_episodes(episodes)
        if state == self.episodes.get(entity):
            return
        if state is None:
            del self.episodes[entity]
        else:
            self.episodes[entity] = state
        self._add(changelog.episodes_key(entity), state)

    def note_limit(self, limit: LimitState) -> None:
        """Writes the partition's limit, if it differs from what stands in the topic."""
        state = changelog.encode_limit(limit)
        if state != self._limit:
            self._limit = state
            self._add(changelog.limit_key(), state)

    def refuse(self, offsets: Sequence[int]) -> None:
        """Writes down which messages of a batch were refused by a clock, so that no later one believes them."""
        key = changelog.refused_key(offsets[0])
        self._add(key, changelog.encode_refused(offsets))
        self._refused.append(key)

    def note_labels(self, partition: int, offset: int) -> bool:
        """A record of the labels topic is told of with the next commit; False: it has been told of before."""
        if offset < self._labels.get(partition, 0):
            return False
        self._labels[partition] = offset + 1
        self._add(changelog.labels_key(), changelog.encode_labels(self._labels))
        return True

    def begin_checkpoint(self, state: Mapping[str, Any], offset: int) -> None:
        """A checkpoint of what is remembered at this offset; `pieces` hands it over. The changes so far are of no use then."""
        self._slot = changelog.other(self._slot)
        obsolete = [*map(changelog.change_key, self._changes), *self._refused]
        self._pieces = self._checkpoint(self._slot, offset, self._number, self.configuration, state, obsolete)
        self._changes, self._refused = [], []

    def pieces(self, most: int | None) -> None:
        """Adds the next pieces of the checkpoint that is being written, if one is; None: all that are left."""
        if self._pieces is None:
            return
        records = list(islice(self._pieces, most))
        self.records += records
        if most is None or len(records) < most:
            self._pieces = None

    def write_again(self) -> None:
        """The topic is empty: writes episodes and the limit anew. Configuration and windows come with the next checkpoint."""
        for entity, state in self.episodes.items():
            self._add(changelog.episodes_key(entity), state)
        if self._limit is not None:
            self._add(changelog.limit_key(), self._limit)
        if self._labels:
            self._add(changelog.labels_key(), changelog.encode_labels(self._labels))
        self._pieces, self._changes, self._refused = None, [], []

    def drain(self) -> tuple[Record, ...]:
        """The records that wait, once."""
        records, self.records = tuple(self.records), []
        return records

    def _checkpoint(
        self,
        slot: str,
        offset: int,
        number: int,
        configuration: Configuration,
        state: Mapping[str, Any],
        obsolete: Sequence[bytes],
    ) -> Iterator[Record]:
        """The pieces, then the header that makes them count, then the deletion of the records that they cover."""
        pieces = 0
        for pieces, piece in enumerate(pack(state), 1):
            yield self._record(changelog.piece_key(slot, pieces - 1), piece)
        header = CheckpointHeader(offset=offset, slot=slot, pieces=pieces, number=number, configuration=configuration)
        yield self._record(changelog.header_key(), changelog.encode(header))
        for key in obsolete:
            yield self._record(key, None)

    def _add(self, key: bytes, value: bytes | None) -> None:
        self.records.append(self._record(key, value))

    def _record(self, key: bytes, value: bytes | None) -> Record:
        return Record(self._topic, key, value, partition=self._partition)
