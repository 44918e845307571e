"""The partitions that a pod has: what each of them has decided since the last commit, and what is to be written with it.

    recover -> replaying -> live -> given up
               (silent)     (decides; what follows is collected until `seal` hands it over)

A batch may be under way while the next one is parsed. Whatever is not the next batch finds it decided: another revision or
allowance, a commit, a partition that comes or goes.

It knows no broker: `seal` says what one commit must hold, and what a pod needs to know to go on is in it.
"""

import logging
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from anomaly_detector.core.alerts.alert import Alert
from anomaly_detector.core.columns import numbers_in
from anomaly_detector.core.decode.dead_letters import dead_letters
from anomaly_detector.core.entities.quota import Allowance
from anomaly_detector.core.episodes.closures import Endings
from anomaly_detector.core.pipeline import Outcome, Stream
from anomaly_detector.core.preprocess.preprocessor import Regime
from anomaly_detector.core.scoring.executor import Aside, when_asked
from anomaly_detector.core.scoring.revisions import LoadedRevision
from anomaly_detector.core.state import changelog
from anomaly_detector.core.state.changelog import Fact, Header, Recovered
from anomaly_detector.core.state.checkpoint import pack
from anomaly_detector.core.state.records import Portion, Portions, Read, Record
from anomaly_detector.core.state.restore import Replay

log: Final = logging.getLogger(__name__)


class Topics(Struct, frozen=True):
    """By name."""

    source: str
    alerts: str
    dead_letters: str
    state: str


class Often(Struct, frozen=True):
    """When what is remembered of a partition is written down."""

    readings: int = 200_000
    """After so many readings: replaying them takes about half a second."""
    seconds: float = 60.0
    """Or after so long, if there was a reading."""
    pieces: int = 2
    """Pieces in one commit, so that no commit is large."""
    leaving: int = 10_000
    """A partition that is given up is written down if so many readings would have to be replayed."""
    leaving_bytes: int = 32_000_000
    """But no more than about so much in one commit: whoever takes the others over replays them."""


class Decided(Struct, frozen=True):
    """A batch without what had been decided before, and what it led to."""

    read: Read
    outcome: Outcome
    begun: float
    """When it was taken in."""


class _Live(Struct):
    """A partition that decides."""

    next: int
    regime: Regime
    slot: str
    written: float
    """When it was written down last."""
    episodes: dict[str, bytes]
    """As they stand in the state topic."""
    facts: list[int]
    """Numbers, in the state topic."""
    number: int
    """Of the last fact."""
    limit: bytes | None = None
    """As it stands in the state topic."""
    records: list[Record] = []
    weight: int = 0
    """Bytes of the dead letters among them."""
    pieces: Iterator[Record] | None = None
    """Of a checkpoint that is being written: what is left of them."""
    since: int = 0
    """Readings since it was written down."""
    changed: bool = False
    """Whether there is anything to commit."""


class Custody:
    """What a pod does with its partitions. `now` is any clock that only rises, in seconds."""

    def __init__(self, stream: Stream, topics: Topics, often: Often | None = None, aside: Aside = when_asked) -> None:
        self.stream = stream
        self._topics = topics
        self._often = often or Often()
        self._aside = aside
        self._begun: tuple[Read, float] | None = None
        """The batch that is under way, and when it was taken in."""
        self._decided: list[Decided] = []
        """That nobody was told of yet."""
        self._live: dict[int, _Live] = {}
        self._replays: dict[int, tuple[Replay, Recovered]] = {}

    @property
    def replaying(self) -> int:
        """Partitions that do not decide yet."""
        return len(self._replays)

    @property
    def under_way(self) -> bool:
        """Whether there is something to settle."""
        return self._begun is not None

    @property
    def waiting(self) -> bool:
        """Whether there is anything to commit."""
        return any(live.changed for live in self._live.values())

    @property
    def buffered(self) -> int:
        """Records that wait for the next commit."""
        return sum(len(live.records) for live in self._live.values())

    @property
    def weight(self) -> int:
        """Bytes of the dead letters that wait for the next commit: they are as large as what was sent."""
        return sum(live.weight for live in self._live.values())

    @property
    def most_messages(self) -> int:
        """Messages that a batch should have at most."""
        return min([self.stream.most_messages, *(replay.most_messages for replay, _ in self._replays.values())])

    def position(self, partition: int) -> int | None:
        """The first offset that was not read."""
        live = self._live.get(partition)
        return live.next if live else None

    def adopt(self, loaded: LoadedRevision) -> None:
        """From the next reading of every partition on, this revision decides."""
        self._finish()
        for partition, alert in self.stream.adopt(loaded):
            self._tell(partition, alert)
        self._note_regime()

    def allow(self, allowance: Allowance) -> None:
        """From the next reading of every partition on, so much may be remembered."""
        self._finish()
        self.stream.allow(allowance)
        self._note_regime()

    def write_again(self) -> None:
        """The state topic was deleted and made anew: all that stood in it is written with the next commits."""
        for partition, live in self._live.items():
            for entity, state in live.episodes.items():
                live.records.append(self._state(partition, changelog.episodes_key(entity), state))
            if live.limit is not None:
                live.records.append(self._state(partition, changelog.limit_key(), live.limit))
            live.pieces, live.facts = None, []
            live.since = max(live.since, self._often.readings)
            live.changed = True

    def recover(self, partition: int, found: Recovered, now: float) -> int:
        """Takes a partition over; returns the offset from which its readings are needed."""
        self._finish()
        if found.note:
            log.warning("partition %d: %s", partition, found.note)
        if found.regime is not None and found.start < found.until:
            self._replays[partition] = (
                Replay(partition, found.until, found.regime, found.changes, found.state),
                replace(found, state={}),
            )
            return found.start
        if found.regime is None:
            self._begin(partition, found, now)
        else:
            replay = Replay(partition, found.until, found.regime, found.changes, found.state)
            self._go_on(replay, found, now)
        return found.start

    def give_up(self, partitions: Iterable[int]) -> None:
        """Drops partitions with all that they have not committed."""
        self._finish()
        for partition in partitions:
            self._live.pop(partition, None)
            self._replays.pop(partition, None)
            self.stream.forget(partition)

    def take_in(self, read: Read, now: float, *, more: bool = False) -> list[Decided]:
        """Decides a batch, but for what had been decided before; all that was decided since it was last told.

        With `more` it may be the one before: there is another one to be read at once, and meanwhile windows are scored.
        """
        if self._replays:
            self._finish()
            read = self._replay(read, now)
        if len(read):
            parsed = self.stream.parse(read.messages)  # while the batch before is being scored
            self._finish()
            self.stream.prepare()
            self._note_regime()
            self.stream.begin(read.messages, parsed, self._aside if more else when_asked)
            self._begun = read, now
        if more:
            return self._told()
        return self.settle()

    def settle(self) -> list[Decided]:
        """Decides what is under way; all that was decided since it was last told."""
        self._finish()
        return self._told()

    def seal(self, now: float, leaving: Iterable[int] = ()) -> Portions:
        """What is to be committed, once; `leaving` are partitions of which it is the last."""
        self._finish()
        for partition, entity in self.stream.stirred():
            self._note_episodes(partition, entity)
        for partition in self.stream.stirred_limits():
            self._note_limit(partition)
        last = set(leaving)
        self._begin_checkpoints(now, last)
        sealed: Portions = {}
        for partition, live in self._live.items():
            self._write_down(live, None if partition in last else self._often.pieces)
            if live.changed or live.records:
                sealed[partition] = Portion(live.next, tuple(live.records))
                live.records, live.weight, live.changed = [], 0, False
        return sealed

    def _finish(self) -> None:
        if self._begun is None:
            return
        (read, begun), self._begun = self._begun, None
        outcome = self.stream.finish()
        self._collect(read, outcome)
        self._decided.append(Decided(read, outcome, begun))

    def _told(self) -> list[Decided]:
        decided, self._decided = self._decided, []
        return decided

    def _replay(self, read: Read, now: float) -> Read:
        """Takes in what was decided before; returns the rest."""
        partitions, offsets = read.messages.partitions, np.asarray(read.offsets[:], np.int64)
        fresh = np.ones(len(read), bool)
        for partition, (replay, found) in list(self._replays.items()):
            mine = partitions == partition
            old = mine & (offsets < replay.until)
            if old.any():
                replay.take_in(read.select(old))
                fresh &= ~old
            if mine.any() and int(offsets[mine][-1]) >= replay.until - 1:
                del self._replays[partition]
                self._go_on(replay, found, now)
        return read.select(fresh)

    def _begin(self, partition: int, found: Recovered, now: float) -> None:
        """A partition of which nothing is known."""
        regime = self.stream.prepare()
        live = self._enliven(partition, found, regime, now)
        self._note_fact(partition, live, begin=True)
        self._note_source(partition, live, found)
        self._end(partition, found, self.stream.endings(found.last or regime, None))
        for entity in found.episodes:
            self._note_episodes(partition, entity)
        self._note_limit(partition)

    def _go_on(self, replay: Replay, found: Recovered, now: float) -> None:
        """A partition that is where the group has committed."""
        before = found.changes[-1].regime if found.changes else found.regime
        assert before is not None, "there was something to replay"
        regime = self.stream.prepare()
        partition = replay.partition
        self.stream.restore(partition, replay.finish(regime))
        live = self._enliven(partition, found, before, now)
        self._note_source(partition, live, found)
        live.since = found.until - found.start
        if live.since >= self._often.leaving:  # a pod that is killed again and again must not have more to replay each time
            live.written = now - self._often.seconds
        endings = self.stream.endings(before, regime)
        self._end(partition, found, endings)
        if not endings.anew:
            for entity, state in found.episodes.items():
                self.stream.restore_episodes(partition, entity, changelog.decode_episodes(state))
            if found.limit is not None:
                self.stream.restore_limit(partition, changelog.decode_limit(found.limit))
        self._note_regime()
        log.info("partition %d goes on at offset %d; %d readings replayed", partition, found.until, live.since)

    def _end(self, partition: int, found: Recovered, endings: Endings) -> None:
        """Tells of what was open and does not go on."""
        if endings.any:
            for entity, state in found.episodes.items():
                for alert in endings.of_entity(entity, changelog.decode_episodes(state)):
                    self._tell(partition, alert)
            for alert in endings.of_partition(partition, changelog.decode_limit(found.limit) if found.limit else None):
                self._tell(partition, alert)

    def _tell(self, partition: int, alert: Alert) -> None:
        live = self._live[partition]
        live.records.append(Record(self._topics.alerts, alert.entity.encode(), alert.value, alert.headers))
        live.changed = True

    def _enliven(self, partition: int, found: Recovered, regime: Regime, now: float) -> _Live:
        episodes, facts = dict(found.episodes), list(found.facts)
        live = _Live(found.until, regime, found.slot, now, episodes, facts, found.number, found.limit)
        self._live[partition] = live
        return live

    def _collect(self, read: Read, outcome: Outcome) -> None:
        partitions = read.messages.partitions
        if outcome.rejects:
            letters = dead_letters(read, outcome.rejects, self._topics.source, self._topics.dead_letters)
            for partition, letter in zip(partitions[[reject.row for reject in outcome.rejects]].tolist(), letters, strict=True):
                live = self._live[partition]
                live.records.append(letter)
                live.weight += len(letter.key or b"") + len(letter.value or b"")
        for alert in outcome.alerts:
            self._tell(int(partitions[alert.row]), alert)
        for left in outcome.left:
            if left.name in self._live[left.partition].episodes:
                self._note_episodes(left.partition, left.name)
        for partition in numbers_in(partitions):
            live = self._live[partition]
            mine = np.flatnonzero(partitions == partition)
            live.next, live.changed = int(read.offsets[int(mine[-1])]) + 1, True
            live.since += len(mine)

    def _note_regime(self) -> None:
        """Writes down which regime decides, where that has changed."""
        regime = self.stream.regime
        for partition, live in self._live.items():
            if live.regime is not regime and live.regime != regime:
                self._note_fact(partition, live, begin=False)
                for entity in list(live.episodes):
                    self._note_episodes(partition, entity)  # those of windows that are no more are gone
                self._note_limit(partition)
            live.regime = regime

    def _note_fact(self, partition: int, live: _Live, *, begin: bool) -> None:
        regime = live.regime = self.stream.regime
        live.number += 1
        fact = Fact(number=live.number, offset=live.next, begin=begin, regime=regime)
        live.records.append(self._state(partition, changelog.fact_key(live.number), fact.model_dump_json().encode()))
        live.facts.append(live.number)
        live.changed = True

    def _note_source(self, partition: int, live: _Live, found: Recovered) -> None:
        if found.source is not None:
            live.records.append(self._state(partition, changelog.source_key(), found.source.model_dump_json().encode()))
            live.changed = True

    def _note_episodes(self, partition: int, entity: str) -> None:
        live = self._live.get(partition)
        if live is None:
            return
        state = changelog.encode_episodes(self.stream.episodes_of(partition, entity))
        if state == live.episodes.get(entity):
            return
        if state is None:
            del live.episodes[entity]
        else:
            live.episodes[entity] = state
        live.records.append(self._state(partition, changelog.episodes_key(entity), state))
        live.changed = True

    def _note_limit(self, partition: int) -> None:
        live = self._live.get(partition)
        state = changelog.encode_limit(self.stream.limit_of(partition))
        if live is not None and state != live.limit:
            live.limit = state
            live.records.append(self._state(partition, changelog.limit_key(), state))
            live.changed = True

    def _begin_checkpoints(self, now: float, leaving: set[int]) -> None:
        """One at a time: a checkpoint takes a copy of what is remembered of its partition. Then those of the last commit."""
        often = self._often
        due = [
            partition
            for partition, live in self._live.items()
            if live.since >= often.readings or (live.since and now - live.written >= often.seconds)
        ]
        if due and all(live.pieces is None for live in self._live.values()):
            self._begin_checkpoint(max(due, key=lambda partition: self._live[partition].since), now)
        left = often.leaving_bytes
        for partition in sorted(leaving & self._live.keys()):
            live = self._live[partition]
            weight = self.stream.memory.entities.weight(partition)
            if (live.pieces is not None or live.since >= often.leaving) and weight <= left:
                left -= weight
                if live.pieces is None:
                    self._begin_checkpoint(partition, now)

    def _write_down(self, live: _Live, most: int | None) -> None:
        """Adds the next pieces of a checkpoint, if there are any; None: all of them."""
        if live.pieces is None:
            return
        records = list(islice(live.pieces, most))
        live.records += records
        live.changed = live.changed or bool(records)
        if most is None or len(records) < most:
            live.pieces = None

    def _begin_checkpoint(self, partition: int, now: float) -> None:
        live = self._live[partition]
        packed = pack(self.stream.memory.snapshot(partition))
        slot = live.slot = changelog.other(live.slot)
        header = Header(offset=live.next, slot=slot, pieces=len(packed), number=live.number, regime=live.regime)
        live.pieces = chain(
            (self._state(partition, changelog.piece_key(slot, place), piece) for place, piece in enumerate(packed)),
            [self._state(partition, changelog.header_key(), header.model_dump_json().encode())],
            [self._state(partition, changelog.fact_key(number), None) for number in live.facts],
        )
        live.facts = []
        live.since, live.written = 0, now

    def _state(self, partition: int, key: bytes, value: bytes | None) -> Record:
        return Record(self._topics.state, key, value, partition=partition)
