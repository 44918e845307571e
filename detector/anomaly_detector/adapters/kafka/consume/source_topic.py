"""Asks the broker about the source topic: its id, the leaders of its partitions, and where they begin and end."""

from collections.abc import Mapping
from typing import Final

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from msgspec import Struct

_NONE: Final = "AAAAAAAAAAAAAAAAAAAAAA"
"""The id that brokers give which know no ids (before 2.8)."""


class SourceTopic(Struct, frozen=True):
    """As of one look."""

    identity: str
    """Of the topic: another one, if it was deleted and made anew. Empty: the broker tells none."""
    partitions: int
    leaderless: tuple[int, ...] = ()
    """Partitions that nobody can read now."""
    ends: Mapping[int, int] = {}
    """By partition, the first offset that is not there yet for those who read committed records; of those that answered."""
    begins: Mapping[int, int] = {}
    """By partition, the first offset that is still there; of those that answered."""

    @property
    def stored(self) -> int | None:
        """Offsets that the topic holds, over all partitions that answered: about as many messages. None: not known yet."""
        if not self.begins:
            return None
        return sum(max(0, self.ends[number] - begin) for number, begin in self.begins.items() if number in self.ends)


def described(admin: AdminClient, topic: str, seconds: float) -> SourceTopic:
    """Which topic it is. Raises KafkaException."""
    [future] = admin.describe_topics(TopicCollection([topic]), request_timeout=seconds).values()
    found = future.result(2 * seconds)
    identity = str(found.topic_id)
    leaderless = tuple(sorted(each.id for each in found.partitions if each.leader is None or each.leader.id < 0))
    return SourceTopic("" if identity == _NONE else identity, len(found.partitions), leaderless)


def ends(admin: AdminClient, topic: str, of: SourceTopic, seconds: float) -> Mapping[int, int]:
    """Where the partitions end that somebody leads; what is not told is left out. Raises KafkaException."""
    return _offsets(admin, topic, of, OffsetSpec.latest(), seconds)


def begins(admin: AdminClient, topic: str, of: SourceTopic, seconds: float) -> Mapping[int, int]:
    """Where the partitions begin that somebody leads; what is not told is left out. Raises KafkaException."""
    return _offsets(admin, topic, of, OffsetSpec.earliest(), seconds)


def _offsets(admin: AdminClient, topic: str, of: SourceTopic, which: OffsetSpec, seconds: float) -> Mapping[int, int]:
    places = [TopicPartition(topic, number) for number in range(of.partitions) if number not in of.leaderless]
    if not places:
        return {}
    asked = admin.list_offsets(
        dict.fromkeys(places, which), isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=seconds
    )
    told: dict[int, int] = {}
    for place, future in asked.items():
        try:
            offset = int(future.result(2 * seconds).offset)  # type: ignore[attr-defined]
        except KafkaException as failure:
            if not _passing(failure.args[0]):
                raise
        else:
            if offset >= 0:  # an answer that got lost on a breaking connection comes as a negative one
                told[place.partition] = offset
    return told


def _passing(error: object) -> bool:
    """Whether it says only that a partition, or its broker, is away for now."""
    return isinstance(error, KafkaError) and (error.retriable() or error.code() in (KafkaError._TIMED_OUT, KafkaError._TRANSPORT))
