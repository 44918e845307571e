"""The consumer as a member of its group, with the repairs that librdkafka's omissions and delays need.

An assigned partition is paused until its starting offset is known. A static member that only closes keeps its place in the
group, so that a process that returns under its name goes on at once; a member that leaves for good says so.
"""

import logging
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from anomaly_api.assignment import Runtime
from anomaly_detector.adapters.kafka import clients
from anomaly_detector.adapters.kafka.clients import error_of

log: Final = logging.getLogger(__name__)
_LEAVE_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 0.05
_WAKE_SECONDS: Final = 0.05
_NUDGE_SECONDS: Final = 0.005
_DROWSY_SECONDS: Final = 0.05
"""So long somebody may sleep while there are readings of others."""
_Callback = Callable[[Consumer, list[TopicPartition]], None]
_METADATA: Final = b"CGMDv2:"
"""What the epoch follows in the group's metadata (librdkafka, rd_kafka_consumer_group_metadata_write)."""


class Member:
    """One membership of one consumer group. An instance belongs to one thread."""

    def __init__(
        self,
        runtime: Runtime,
        consumer: Consumer,
        arrived: Callable[[list[int]], None],
        leaving: Callable[[list[int], bool], None],
    ) -> None:
        """`arrived` is told which partitions are ours, `leaving` which are no more, and whether they are still ours to commit."""
        self._topic = runtime.kafka.topic
        self._static = clients.static(runtime)
        self._consumer = consumer
        self._arrived = arrived
        self._leaving = leaving
        self._owned: set[int] = set()
        self._early: list[Message] = []
        """What came while nobody asked for it."""
        self._failure: Exception | None = None
        """What went wrong while the client told us something."""
        self._asleep: float | None = None
        """Since when partitions that were paused go on, if the brokers have not been asked for anything since."""
        self.waited = 0.0
        """Seconds in which there was nothing to read."""
        self.joined = False
        """Whether the group has said which partitions are ours, be it none."""

    @property
    def owned(self) -> list[int]:
        """Partitions that are ours."""
        return sorted(self._owned)

    def join(self) -> None:
        """Joins the group."""
        told = {"on_assign": self._assigned, "on_revoke": self._revoked, "on_lost": self._lost}
        self._consumer.subscribe([self._topic], **{name: self._heard(callback) for name, callback in told.items()})

    def begin(self, offsets: Mapping[int, int]) -> list[int]:
        """Reads partitions from here on, all at once; those that are ours still.

        What the client has to tell is heard first: a partition that is assigned while it waits to say that all of them are lost
        makes it forget that, and what another pod decides already would be committed as ours. Where they are lost in the instant
        between, the client's standing in the group has changed.
        """
        standing = self._consumer.consumer_group_metadata()
        while (told := self.one(0)) is not None:
            self._early.append(told)
            if told.error() is None:
                break  # while partitions are lost, there are no readings
        begun = sorted(self._owned & offsets.keys())
        if not begun:
            return []
        places = [TopicPartition(self._topic, partition, offsets[partition]) for partition in begun]
        self._consumer.incremental_unassign(places)
        self._consumer.incremental_assign(places)
        self._early = [each for each in self._early if each.partition() not in offsets]  # it comes again, in its place
        if self._consumer.consumer_group_metadata() != standing:
            self._lose(self.owned)
            return []
        self.resume(begun)
        return begun

    def read(self, most: int, seconds: float) -> list[Message]:
        """Returns the messages that have arrived; if there are none, waits up to so many seconds for the first."""
        found, self._early = [*self._early, *self._there(most)], []
        if self._asleep is not None and (not found or time.monotonic() - self._asleep > _DROWSY_SECONDS):
            self._wake()
        if not found:
            begin = time.monotonic()
            first = self.one(seconds)
            self.waited += time.monotonic() - begin
            if first is None:
                self.joined = self.joined or self._taken_in()
                return []
            found = [first, *self._there(most - 1)] if most > 1 else [first]
        return found

    def one(self, seconds: float) -> Message | None:
        """The next message, if there is one that soon."""
        found = self._consumer.poll(seconds)
        self._raise()
        return found

    def pause(self, partitions: Iterable[int]) -> None:
        """Pauses fetching of these partitions."""
        self._consumer.pause(self._places(partitions))

    def resume(self, partitions: Iterable[int]) -> None:
        """Resumes fetching of these partitions."""
        self._consumer.resume(self._places(partitions))
        self._drowse()

    def positions(self, partitions: Iterable[int]) -> Mapping[int, int]:
        """Behind the last message that was read of each; markers of transactions count."""
        return {place.partition: place.offset for place in self._consumer.position(self._places(partitions))}

    def end(self, partition: int) -> int:
        """Where it ended when it was last fetched."""
        return self._consumer.get_watermark_offsets(self._place(partition), cached=True)[1]

    def close(self) -> None:
        """Gives all partitions up. A static member's place in the group is kept until its session ends."""
        self._consumer.close()
        self._raise()

    def leave(self) -> None:
        """Gives all partitions up, and its place in the group: others have them at once."""
        if self._static:
            try:
                self._say_goodbye()
            except KafkaException as failure:
                log.info("the group was not told: %s", error_of(failure).str())
        self.close()

    def _say_goodbye(self) -> None:
        self._consumer.unsubscribe()  # it waits for a rebalance that is under way
        deadline = time.monotonic() + _LEAVE_SECONDS
        while (self._owned or self._consumer.memberid()) and time.monotonic() < deadline:
            self.one(_LOOK_SECONDS)  # what still comes is for those who read on

    def _there(self, most: int) -> list[Message]:
        """Returns the messages that have arrived, without waiting."""
        found = self._consumer.consume(most, 0)
        self._raise()
        return found

    def _heard(
        self, callback: Callable[[Consumer, list[TopicPartition]], None]
    ) -> Callable[[Consumer, list[TopicPartition]], None]:
        """Raises a callback's exception after the call in which it occurred: of some exceptions the client (2.16, before Python
        3.12) keeps nothing but the text, and raises a SystemError about that.
        """

        def heard(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            try:
                callback(consumer, partitions)
            except Exception as error:  # noqa: BLE001 - it is raised as soon as it can be
                self._failure = error

        return heard

    def _raise(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _place(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)

    def _places(self, partitions: Iterable[int]) -> list[TopicPartition]:
        return [self._place(partition) for partition in partitions]

    def _taken_in(self) -> bool:
        """Whether we are in the group, with no partitions so far: of those, the consumer protocol tells nobody."""
        if self._static:
            return False
        told = self._consumer.consumer_group_metadata()
        return bool(told and told.startswith(_METADATA) and struct.unpack_from("=i", told, len(_METADATA))[0] > 0)

    def _drowse(self) -> None:
        """Notes since when fetch threads may be asleep; `_wake` asks their leaders."""
        if self._asleep is None:
            self._asleep = time.monotonic()

    def _wake(self) -> None:
        """Asks each leader of our partitions for something, so that the client's thread for it looks at them again.

        Every rebalance pauses and resumes all partitions, those that stay, too. A thread that found nothing to fetch meanwhile is
        not told that there is something again, and sleeps on for up to a second (librdkafka 2.16, rd_kafka_toppar_pause_resume).
        One that waits for readings of other partitions is awake, and answers when they come: its answer is of no use, and it is
        not waited for.
        """
        self._asleep = None
        if not self._owned:
            return
        try:
            known = self._consumer.list_topics(self._topic, _WAKE_SECONDS).topics[self._topic].partitions
            leaders = {known[number].leader: number for number in self._owned if number in known}
            for number in leaders.values():
                self._consumer.get_watermark_offsets(self._place(number), _NUDGE_SECONDS)
        except KafkaException as failure:
            log.debug("nobody was woken: %s", error_of(failure).str())

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = sorted(each.partition for each in partitions)
        consumer.incremental_assign([TopicPartition(self._topic, number, 0) for number in numbers])
        if numbers:
            self.pause(numbers)
        self._arrived(numbers)  # before anybody is told that they are ours: who hears of them asks whether they have begun
        self._drowse()
        self.joined = True
        self._owned |= set(numbers)
        log.info("partitions assigned: %s", numbers or "none")

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = sorted(self._owned & {each.partition for each in partitions})
        if not numbers:
            return  # they were told as lost
        self._leaving(numbers, True)
        self._owned -= set(numbers)
        self._drowse()
        log.info("partitions given up: %s", numbers)

    def _lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._lose(sorted(each.partition for each in partitions))

    def _lose(self, numbers: list[int]) -> None:
        self._leaving(numbers, False)
        self._owned -= set(numbers)
        log.warning("partitions lost: %s; whoever has them reads on from the last commit", numbers)
