"""Whether the broker answers and the topics are there, asked again and again by a thread of its own. Says what to do if not.

It has clients of its own: calls of one client wait for each other, and those of the loop never pause.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from msgspec.structs import replace

from anomaly_api.assignment import Runtime
from anomaly_api.evidence import SourceState
from anomaly_detector.adapters.kafka import clients
from anomaly_detector.adapters.kafka.consume.source_topic import SourceTopic
from anomaly_detector.adapters.kafka.diagnose import diagnosis, refusals
from anomaly_detector.adapters.kafka.diagnose.admin import AdminQueries
from anomaly_detector.adapters.kafka.diagnose.diagnosis import Diagnosis
from anomaly_detector.adapters.kafka.diagnose.inspection import Inspection
from anomaly_detector.adapters.kafka.diagnose.unassigned import Group
from anomaly_detector.adapters.kafka.security import access
from anomaly_detector.adapters.kafka.state.topics import StateTopic

log: Final = logging.getLogger(__name__)
_AGAIN_SECONDS: Final = 1.0
_AGAIN_WHEN_WELL_SECONDS: Final = 10.0
_REFUSAL_SECONDS: Final = 15.0
_SILENT_SECONDS: Final = 10.0
"""So long no broker may answer before other connections are tried: nobody is told of one whose other end has vanished."""
_SWARM_SECONDS: Final = 0.2
"""Errors come in swarms: one look for all of them."""


class BrokerMonitor:
    """Watches the source topic, which must be there, and the others, which a broker may create when it is asked for them."""

    def __init__(self, runtime: Runtime, pod: str) -> None:
        self._runtime = runtime
        self._pod = pod
        self._finding = Diagnosis(SourceState.CONNECTING, f"asking {runtime.kafka.bootstrap_servers}")
        self._last_error = ""
        self._senseless: KafkaError | None = None
        """What librdkafka says of settings that it makes no client of."""
        self._registry: Diagnosis | None = None
        """Why readings wait for a schema."""
        self._refusal: KafkaError | None = None
        self._refused_at = 0.0
        self._inspection = Inspection(runtime, lambda: self._denied, lambda: self._last_error)
        self._askers: tuple[AdminQueries, AdminQueries] | None = None
        """One that looks, and one for whom a broker may create what it is asked for."""
        self._asked_in_vain: float | None = None
        """Since when no broker answers these clients."""
        self._access = self._seen = ""
        """Fingerprints of the credentials: those that the clients have, those that were looked at last."""
        self._wake = threading.Event()
        self._well = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    @property
    def finding(self) -> Diagnosis:
        """The latest one."""
        return self._finding

    @property
    def source(self) -> SourceTopic:
        """The source topic as of the latest look that met it."""
        return self._inspection.source

    @property
    def state_topic(self) -> StateTopic:
        """As of the latest look that met it."""
        return self._inspection.state

    @property
    def group(self) -> Group:
        """As of the latest look."""
        return self._inspection.group

    def wait_until_well(self, seconds: float) -> bool:
        """Waits for everything to be there, so long at most; whether it is."""
        return self._well.wait(seconds)

    def start(self) -> None:
        """Begins."""
        self._thread = threading.Thread(target=self._watch, name="broker-monitor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def settings_refused(self, error: KafkaError | None) -> None:
        """Settings of one of the loop's clients make no sense to librdkafka, or, None: do now."""
        if error is not None or self._senseless is not None:
            self._senseless = error
            self._wake.set()

    def registry_ails(self, trouble: Diagnosis | None) -> None:
        """Readings wait for a schema, or, None: none do."""
        if trouble != self._registry:
            self._registry = trouble
            self._wake.set()

    def listener(self, credentials: str) -> Callable[[KafkaError], None]:
        """Takes errors of clients with these credentials: what they are refused says nothing of newer ones."""

        def on_error(error: KafkaError) -> None:
            """A reason to look at once."""
            if error.code() != KafkaError._ALL_BROKERS_DOWN:  # says nothing that is not known
                self._last_error = refusals.words(error)
            news = refusals.refusing(error) or (error.code() == KafkaError._FATAL and self._denied is None)
            if news and credentials == self._access:
                self._refusal, self._refused_at = error, time.monotonic()
            self._wake.set()

        return on_error

    def _watch(self) -> None:
        while not self._stopping:
            self._wake.clear()
            found = self._found()
            if found != self._finding:
                log.info("source: %s %s", found.state.value, found.message)
            self._finding = found
            well = found.state is SourceState.READING
            if found.readable:
                self._well.set()
                before = self._inspection.state_settings
                self._inspection.further(self._looking, found.partitions)  # nobody waits for that
                well = well and self._inspection.group.neglected is None and self._inspection.state_settings == before
            else:
                self._well.clear()
                if found.state is SourceState.STATE_TOPIC_UNUSABLE:
                    self._inspection.settings(self._looking)  # they may have been put right
            self._rest(_AGAIN_WHEN_WELL_SECONDS if well else _AGAIN_SECONDS)

    def _rest(self, seconds: float) -> None:
        """Until it is time to look again; an error of a client, and other credentials, are reasons to look at once."""
        until = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < until:
            if self._wake.wait(min(_AGAIN_SECONDS, seconds)):
                threading.Event().wait(_SWARM_SECONDS)
                return
            if access.fingerprint(self._runtime.kafka) != self._seen:
                return

    def _found(self) -> Diagnosis:
        """How things stand, asked with the credentials as they are now."""
        try:
            self._renew()
            if self._senseless is not None:
                return diagnosis.senseless(self._senseless)
            assert self._askers is not None, "they were made just now"
            found = replace(self._inspection.topics(*self._askers), access=self._access)
            self._look_at_silence(found)
            ill = self._registry
            return replace(found, state=ill.state, message=ill.message) if ill is not None and found.readable else found
        except access.AccessError as error:
            return Diagnosis(error.state, str(error))
        except KafkaException as failure:  # a client cannot be made
            return diagnosis.senseless(clients.error_of(failure))
        except Exception as error:  # the outer loop of this thread
            log.exception("looking at the broker failed; it is tried again")
            return Diagnosis(SourceState.FAILED, f"looking at the broker failed: {error}")

    def _renew(self) -> None:
        """Makes clients, and makes them anew when the credentials have changed. Raises AccessError and KafkaException."""
        now = self._seen = access.fingerprint(self._runtime.kafka)
        if self._askers is not None and now == self._access:
            return
        looking, creating = (
            AdminQueries(clients.looking(self._runtime, self._pod, create=create) | {"error_cb": self.listener(now)})
            for create in (False, True)
        )
        if now != self._access:
            self._refusal = None  # it was of others
        self._askers, self._access = (looking, creating), now

    def _look_at_silence(self, found: Diagnosis) -> None:
        """Gives the clients up when they have been asking in vain for long."""
        now = time.monotonic()
        if found.state is not SourceState.BROKER_UNREACHABLE:
            self._asked_in_vain = None
        elif self._asked_in_vain is None:
            self._asked_in_vain = now
        elif now - self._asked_in_vain > _SILENT_SECONDS:
            self._askers = self._asked_in_vain = None

    @property
    def _looking(self) -> AdminQueries:
        assert self._askers is not None, "they have just looked at the topics"
        return self._askers[0]

    @property
    def _denied(self) -> KafkaError | None:
        """A refusal that is still news; it is met again for as long as it lasts."""
        return self._refusal if time.monotonic() - self._refused_at < _REFUSAL_SECONDS else None
