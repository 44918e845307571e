"""Exactly once: what follows from readings, what is remembered of them and the group's offsets, in one transaction.

It takes the `Commit` of one commit, and is asked to `advance` until it says that it is done. It waits for a broker for as long
as it takes, a little each time, so that the loop goes on turning.
"""

import logging
import queue
import threading
import time
from collections import Counter
from enum import Enum, auto
from functools import partial
from itertools import islice
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from anomaly_api.alert import UndeliverableReason
from anomaly_api.assignment import Runtime
from anomaly_detector.adapters.kafka.clients import error_of
from anomaly_detector.adapters.kafka.diagnose import refusals
from anomaly_detector.adapters.kafka.produce.connections import Connections
from anomaly_detector.adapters.kafka.produce.delivery import Progress
from anomaly_detector.adapters.kafka.produce.writer import Terms, produce
from anomaly_detector.adapters.kafka.security.access import AccessError
from anomaly_detector.core.state.records import Commit, Record

log: Final = logging.getLogger(__name__)
_CALL_SECONDS: Final = 5.0
"""What a call of librdkafka's gets: one that is cut short begins again from the start, and on a slow broker never ends."""
_ABORT_SECONDS: Final = 1.0
_TOLD_SECONDS: Final = 0.1
_HUNG_SECONDS: Final = 8.0
_PAUSE_SECONDS: Final = 0.2
_REBALANCED_SECONDS: Final = 0.02
"""Every rebalance makes the transaction that is open void; the group's next generation is known a few milliseconds later."""
_NOT_A_MEMBER: Final = (KafkaError.UNKNOWN_MEMBER_ID, KafkaError.FENCED_INSTANCE_ID)


class _Step(Enum):
    INITIALISE = auto()
    IDLE = auto()
    BEGIN = auto()
    PRODUCE = auto()
    OFFSETS = auto()
    COMMIT = auto()
    ABORT = auto()


class ExactlyOnce:
    """A transaction for each commit: alerts, dead letters, state and offsets appear together or not at all.

    A pod that was taken for dead cannot commit: the offsets go with the group's generation, which the coordinator checks.

    Calls are made in a thread, because `send_offsets_to_transaction` may ignore its timeout and hang for good when the group's
    coordinator was away (librdkafka issues 5456 and 5511, open with 2.16). The client is then left behind; the next one's epoch
    fences it.

    A transaction with records is not aborted by its client, but by the next client's coming. One that aborts takes it that what
    it has not heard of was never written (librdkafka 2.16, rd_kafka_toppar_purge_queues advances epoch_base_msgid). Where it was,
    and only the answer got lost, the next records have the same sequence numbers: the broker takes them for repetitions, says
    that all is well, and drops them. With a new epoch they begin anew.

    Nor does a client begin another transaction when a connection of its has broken. It asks for the commit again on another one;
    what it had asked first may be read later, and would end the next transaction in the midst of it, without its offsets. The
    next client's epoch is a later one. (With KIP-890 each transaction has one of its own, but for that librdkafka is too old.)
    """

    interval = 0.01

    def __init__(self, runtime: Runtime, connections: Connections) -> None:
        self._topic = runtime.kafka.topic
        self._connections = connections
        self._consumer, self._producer, self._on_error = connections.member, connections.transactions, connections.on_error
        self._step = _Step.INITIALISE
        self._records: list[Record] = []
        self._offsets: list[TopicPartition] = []
        self._place = 0
        self._asked = False
        """Whether the client has asked for anything that may be read late."""
        self._terms = Terms()
        self._refused: dict[int, list[Record]] = {}
        """By the broker's reason."""
        self.undeliverable: Counter[UndeliverableReason] = Counter()
        """Dead letters that their topic took in no form, of the transactions that are committed."""
        self._watched = False
        """Whether to be told which records are refused: a call for each costs half as much as sending it, and none is, mostly."""
        self._begin: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._ended.set()
        self._progress = Progress.DONE
        self._member: object = None
        """The consumer's place in its group, as of the last look."""
        self.replaced = False
        self._returned = 0.0
        """When the last call of the client returned."""
        self._closing = False
        threading.Thread(target=self._run, name="transactions", daemon=True).start()

    def offer(self, micro_batches: Commit) -> None:
        """The next commit."""
        self._records = [record for portion in micro_batches.values() for record in portion.records]
        signed = self._connections.pod
        self._offsets = [TopicPartition(self._topic, number, portion.offset, signed) for number, portion in micro_batches.items()]
        if self._step is _Step.IDLE:
            self._step = _Step.BEGIN

    def advance(self, seconds: float) -> Progress:
        """Waits for it about so long."""
        if self._ended.is_set() and self._progress is Progress.LOST:
            return Progress.LOST
        deadline = time.monotonic() + seconds
        while not (self._ended.is_set() and self._step is _Step.IDLE) and time.monotonic() < deadline:
            if self._ended.is_set():
                try:
                    self._member = self._consumer.consumer_group_metadata()  # here: in a rebalance it answers this thread only
                except RuntimeError as failure:  # it closes, and is in no group any more, but tells of partitions all the same
                    log.info("the group cannot be committed for: %s", failure)
                    return Progress.LOST
                self._ended.clear()
                self._returned = time.monotonic()
                self._begin.put(True)
            if self._ended.wait(max(0.0, deadline - time.monotonic())) and self._progress is not Progress.WAITING:
                return self._progress
        if self._step is _Step.IDLE and self._ended.is_set():
            return Progress.DONE
        if not self._ended.is_set() and time.monotonic() - self._returned > _HUNG_SECONDS:
            log.warning("a call of the client has not returned for %.0f s; it is left behind", _HUNG_SECONDS)
            return Progress.LOST
        return Progress.WAITING

    def finish(self, seconds: float) -> Progress:
        """Nothing is left when a commit is done."""
        return self.advance(seconds)

    def close(self) -> None:
        """Gives up what is not done; the coordinator aborts it when another one begins, or after the transaction's time."""
        self._closing = True
        self._begin.put(False)
        if not self._ended.wait(_ABORT_SECONDS):
            return  # the thread ends, and its client with it, if ever the call returns
        if self._step in (_Step.PRODUCE, _Step.OFFSETS, _Step.ABORT):
            try:
                self._producer.abort_transaction(_ABORT_SECONDS)
            except KafkaException as failure:
                log.info("the last transaction was not aborted here: %s", error_of(failure).str())
        self._producer.purge()

    def _run(self) -> None:
        """The thread: one commit after the other."""
        while self._begin.get() and not self._closing:
            self._progress = self._until_done()
            self._ended.set()

    def _until_done(self) -> Progress:
        while self._step is not _Step.IDLE:
            self._returned = time.monotonic()
            if self._closing:
                return Progress.LOST
            step = self._step
            try:
                self._work(_CALL_SECONDS)
            except BufferError:
                self._producer.poll(0.01)
            except AccessError as error:
                log.warning("a transaction cannot go on: %s", error)
                return Progress.LOST
            except KafkaException as failure:
                if self._lost(error_of(failure)):
                    return Progress.LOST
                time.sleep(_REBALANCED_SECONDS if self._step is _Step.ABORT else _PAUSE_SECONDS)
            if step in (_Step.ABORT, _Step.OFFSETS) and self._step is not _Step.COMMIT:
                return Progress.WAITING  # it goes on with the group's newest generation
        return Progress.DONE

    def _work(self, seconds: float) -> None:
        """One step."""
        match self._step:
            case _Step.INITIALISE:
                self._producer.init_transactions(seconds)
                self._step = _Step.BEGIN if self._offsets else _Step.IDLE
            case _Step.BEGIN if self._asked and self._producer.broken:
                self._renew()
            case _Step.BEGIN:
                self._producer.begin_transaction()
                self._terms.undeliverable.clear()  # in one that was aborted
                self._place, self._step = 0, _Step.PRODUCE
            case _Step.PRODUCE:
                self._produce()
                self._step = _Step.OFFSETS
            case _Step.OFFSETS:
                self._asked = True
                self._producer.send_offsets_to_transaction(self._offsets, self._member, seconds)
                self._step = _Step.COMMIT
            case _Step.COMMIT:
                self._producer.commit_transaction(seconds)
                self.undeliverable = self.undeliverable + self._terms.undeliverable  # a new one: another thread reads it
                self._records, self._offsets, self._step, self._watched = [], [], _Step.IDLE, False
            case _Step.ABORT:
                self._abort(seconds)
                for code, records in self._refused.items():
                    self._terms.refused(records, code)
                self._refused, self._watched = {}, True

    def _abort(self, seconds: float) -> None:
        """Sees to it that all of it can be tried again."""
        if not self._place:  # nothing has been handed over
            self._producer.abort_transaction(seconds)
            self._step = _Step.BEGIN
            return
        self._producer.flush(_TOLD_SECONDS)  # which records are refused is told here
        self._renew()

    def _renew(self) -> None:
        """Leaves the client to itself; another one takes over."""
        left, self._producer = self._producer, self._connections.producer()
        threading.Thread(target=left.purge, name="left behind", daemon=True).start()  # it ends there, which takes a while
        self._step, self._asked = _Step.INITIALISE, False

    def _produce(self) -> None:
        """Hands over what is left of the records."""
        producer, terms = self._producer, self._terms
        for record in islice(self._records, self._place, None):
            suiting = terms.suiting(record) if terms.learnt else record
            if suiting is not None:
                try:
                    produce(producer, suiting, partial(self._delivered, suiting) if self._watched else None)
                except KafkaException as failure:
                    self._note_refused(suiting, error_of(failure))
                    raise
            self._place += 1

    def _delivered(self, record: Record, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._note_refused(record, error)

    def _note_refused(self, record: Record, error: KafkaError) -> None:
        if error.code() in Terms.REFUSALS:
            self._refused.setdefault(error.code(), []).append(record)

    def _lost(self, error: KafkaError) -> bool:
        """Decides what an error means: the same step again, all of it again, or that somebody else has taken over."""
        if refusals.refusing(error):
            self._on_error(error)  # who asks what is the matter is told
        if error.fatal() or error.code() in _NOT_A_MEMBER:
            log.warning("this pod has been taken for dead, replaced or refused: %s; what is known is read again", error.str())
            self.replaced = error.code() == KafkaError.FENCED_INSTANCE_ID
            return True
        if self._step in (_Step.OFFSETS, _Step.PRODUCE, _Step.COMMIT) and (error.txn_requires_abort() or not error.retriable()):
            log.info("a transaction is aborted and tried again: %s", error.str())
            self._step = _Step.ABORT
        elif not error.retriable():
            log.warning("a transaction waits (%s): %s", self._step.name.lower(), error.str())
        return False
