"""The loop of a scoring pod: read a batch, decide, write what follows, commit. At least once: offsets follow what was written."""

import logging
import time
from collections.abc import Callable
from typing import Final

from anomaly_api.assignment import Runtime
from anomaly_api.evidence import DetectorEvidence, SourceEvidence, SourceState
from anomaly_detector.adapters.kafka.reader import Read, Reader
from anomaly_detector.adapters.kafka.surroundings import Surroundings
from anomaly_detector.adapters.kafka.writer import Record, Writer
from anomaly_detector.adapters.orders import Orders
from anomaly_detector.adapters.web import Answer, health
from anomaly_detector.core.alerts import rfc3339
from anomaly_detector.core.decode import Reject
from anomaly_detector.core.stream import Outcome, Stream
from anomaly_detector.settings import Settings
from anomaly_detector.telemetry import Telemetry

log: Final = logging.getLogger(__name__)
_MOST_MESSAGES: Final = 4_000
_WAIT_SECONDS: Final = 0.1
_COMMIT_SECONDS: Final = 1.0
_SETTLE_SECONDS: Final = 5.0
_STUCK_SECONDS: Final = 30.0
_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"


class Service:
    """A scoring pod at work."""

    def __init__(self, settings: Settings, runtime: Runtime, orders: Orders) -> None:
        self._settings, self._runtime, self._orders = settings, runtime, orders
        self._runtime_digest = runtime.digest
        self._telemetry = Telemetry()
        taken = orders.start()
        self._assignment = taken.digest
        self._stream = Stream(runtime.detector.source, taken.loaded)
        self._surroundings = Surroundings(runtime, settings.pod)
        self._writer = Writer(runtime, settings.pod, self._surroundings.on_error)
        self._reader = Reader(runtime, settings.pod, self._surroundings.on_error, self._settle, self._forget)
        self._stopping = False
        self._joined = False
        self._turned = time.monotonic()
        self._committed = self._told = 0.0
        self._lag = self._warming = 0

    @property
    def routes(self) -> dict[str, Callable[[], Answer]]:
        """What the HTTP server answers."""
        return {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": lambda: Answer(200, _PROMETHEUS, self._telemetry.text()),
            "/evidence": lambda: Answer(200, "application/json", self.evidence().model_dump_json().encode()),
        }

    def stop(self) -> None:
        """Ends after the present batch; may be called from a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Until `stop`."""
        self._surroundings.start()
        try:
            while not self._stopping:
                self._turn()
            self._finish()
        finally:
            self._orders.stop()
            self._surroundings.stop()
            self._reader.close()

    def evidence(self) -> DetectorEvidence:
        """What the operator is told."""
        telemetry = self._telemetry
        recent, recent_dead = telemetry.recent()
        pending = self._orders.pending
        finding = self._surroundings.finding
        state = finding.state
        if state is SourceState.READING and not self._reader.joined:
            state = SourceState.CONNECTING
        return DetectorEvidence(
            pod=self._settings.pod,
            runtime=self._runtime_digest,
            assignment=self._assignment,
            now=time.time(),
            source=SourceEvidence(state=state, message=finding.message, partitions=self._reader.partitions, lag=self._lag),
            revisions=[self._stream.stable.evidence(), *([pending] if pending else [])],
            readings=telemetry.readings,
            windows=telemetry.windows,
            warming=self._warming,
            entities=self._stream.entities,
            alerts=telemetry.alerts,
            dead_letters=dict(telemetry.dead_letters),
            recent_dead_letter=telemetry.recent_dead_letter,
            recent_readings=recent,
            recent_dead_letters=recent_dead,
            last_reading=telemetry.last_reading,
            last_scored=telemetry.last_scored,
            last_alert=telemetry.last_alert,
            last_score=telemetry.last_score,
        )

    def _turn(self) -> None:
        """Once around the loop."""
        self._turned = now = time.monotonic()
        taken = self._orders.take()
        if taken is not None:
            self._stream.adopt(taken.loaded)
            self._assignment = taken.digest
            log.info("revision %s decides now (%s)", self._stream.stable.name, self._stream.stable.message or "complete")
        if not self._joined:
            self._join()
        elif now - self._committed >= _COMMIT_SECONDS and not self._commit():
            return  # nothing more is read before what was decided has been written
        else:
            read = self._reader.read(min(_MOST_MESSAGES, self._stream.most_messages), _WAIT_SECONDS)
            if read is not None:
                self._work(read)
        if now - self._told >= 1.0:
            self._tell()
            self._told = now

    def _join(self) -> None:
        """Reading begins when all it needs is there: that alerts have no topic is to be found out before the first alert."""
        if self._surroundings.finding.state is SourceState.READING:
            self._reader.join()
            self._joined = True
        else:
            time.sleep(_WAIT_SECONDS)

    def _work(self, read: Read) -> None:
        begin = time.perf_counter()
        outcome = self._stream.process(read.messages)
        records = [self._dead_letter(read, reject) for reject in outcome.rejects]
        records += [Record(self._runtime.alerts_topic, alert.entity.encode(), alert.value) for alert in outcome.alerts]
        if records:
            self._writer.send(records, self._waiting)  # if it was told to stop, the rest counts as outstanding
        self._telemetry.batch(len(read.messages), outcome, time.perf_counter() - begin)
        self._note(read, outcome)

    def _note(self, read: Read, outcome: Outcome) -> None:
        if outcome.rejects:
            last = outcome.rejects[-1]
            where = f"partition {read.messages.partitions[last.row]}, offset {read.offsets[last.row]}"
            self._telemetry.recent_dead_letter = f"{last.reason.value} at {where}: {last.message}"

    def _dead_letter(self, read: Read, reject: Reject) -> Record:
        """The message as it came, and what is wrong with it."""
        row, messages = reject.row, read.messages
        stamp = int(messages.timestamps_ms[row])
        headers = {
            "reason": reject.reason.value,
            "message": reject.message,
            "topic": self._runtime.kafka.topic,
            "partition": str(messages.partitions[row]),
            "offset": str(read.offsets[row]),
            "time": rfc3339(stamp * 1000) if stamp >= 0 else "",
        }
        encoded = tuple((name, text.encode(errors="replace")) for name, text in headers.items())
        return Record(self._runtime.dead_letter_topic, messages.keys[row], messages.values[row], encoded)

    def _commit(self) -> bool:
        """Commits if everything has arrived; False: not yet."""
        if not self._reader.unfinished():
            self._committed = time.monotonic()
            return True
        if not self._writer.settle(_SETTLE_SECONDS):
            return False
        self._reader.commit(wait=False)
        self._committed = time.monotonic()
        return True

    def _settle(self) -> bool:
        """Before partitions are given up: whether all that was decided has been written, so that offsets may be committed."""
        return self._writer.settle(_SETTLE_SECONDS)

    def _forget(self, partition: int) -> None:
        self._stream.forget(partition)

    def _finish(self) -> None:
        """What SIGTERM leaves time for; the group is left when the reader closes."""
        if self._settle():
            self._reader.commit(wait=True)
        else:
            log.warning("%d records had not arrived at the end; their messages will be read again", self._writer.outstanding)

    def _waiting(self) -> bool:
        """Waiting for the broker is not being stuck."""
        self._turned = time.monotonic()
        return not self._stopping

    def _tell(self) -> None:
        self._lag, self._warming = self._reader.lag(), self._stream.warming
        self._telemetry.state(
            reading=self._surroundings.finding.state is SourceState.READING and self._reader.joined,
            partitions=self._reader.partitions,
            lag=self._lag,
            entities=self._stream.entities,
            warming=self._warming,
        )

    def _healthz(self) -> Answer:
        silent = time.monotonic() - self._turned
        return health(silent < _STUCK_SECONDS, f"the loop has not turned for {silent:.0f} s")

    def _readyz(self) -> Answer:
        finding = self._surroundings.finding
        if finding.state is not SourceState.READING:
            return health(False, f"{finding.state.value}: {finding.message}")
        return health(self._reader.joined, "waiting for the consumer group")
