"""Explains why a client is refused and what to do about it, in words for people. Shared by scoring and training pods.

The words of a broker are passed on; what a Secret holds never is, only its name and that of the key.
"""

import re
from typing import Final

from confluent_kafka import KafkaError
from msgspec import Struct

from anomaly_api.evidence import SourceState
from anomaly_api.security import CLIENT_ID_FILE, CLIENT_SECRET_FILE, PASSWORD_FILE, USERNAME_FILE
from anomaly_api.source import KafkaSource
from anomaly_detector.adapters.kafka.security import access

AUTHENTICATION: Final = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED)
AUTHORIZATION: Final = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
)
TLS: Final = (KafkaError._SSL,)
REFUSED: Final = (*AUTHENTICATION, *AUTHORIZATION, *TLS)
_CERTIFICATE: Final = re.compile(r"alert ([a-z ]*(?:certificate|unknown ca)[a-z ]*)")
_ADDRESS: Final = re.compile(r"^\w+://([^/\s]+)/")
_HOW_LONG: Final = re.compile(r" \(after \d+ ?ms.*$", re.DOTALL)
_INTERRUPTED: Final = "failed: Local: "
"""librdkafka's own words for what it met itself: a broker that refuses a name is quoted as `Broker: ...`."""
_OUT_OF_TURN: Final = "not valid in current SASL state"


class Refusal(Struct, frozen=True):
    """The part that refused the client: network, TLS, SASL or access list."""

    state: SourceState
    message: str


def refusing(error: KafkaError) -> bool:
    """Whether an error is a refusal, rather than a broker that is away.

    librdkafka calls it a failed authentication, too, when a connection breaks while a name is being proven: sessions that end
    (`connections.max.reauth.ms`, KIP-368) make clients prove it again and again, so that this happens to good credentials.
    """
    if error.code() in AUTHENTICATION and _INTERRUPTED in error.str():
        return False
    return error.code() in REFUSED or _about_certificates(error) is not None


def passing(error: KafkaError) -> bool:
    """Whether it is no refusal as long as others of our connections work: the client connects anew, and is let in.

    A broker takes no second proof within a second of the last (ILLEGAL_SASL_STATE). librdkafka offers one after nine tenths of a
    session, which is that short when sessions are, or when a token is about to end before the next one has come. A listener that
    asks for no names answers the same, but always.
    """
    return error.code() in AUTHENTICATION and _OUT_OF_TURN in error.str()


def explained(kafka: KafkaSource, error: KafkaError, topic: str, group: str) -> Refusal:
    """Returns what was refused and what to do; `topic` was asked for last."""
    if error.code() in TLS or _about_certificates(error) is not None:
        return Refusal(SourceState.NOT_AUTHORIZED, _of_tls(kafka, error))
    if error.code() in AUTHENTICATION:
        return Refusal(SourceState.NOT_AUTHORIZED, _of_name(kafka, error))
    needed = {
        KafkaError.TOPIC_AUTHORIZATION_FAILED: f"Describe on topic {topic}, and what else it needs there",
        KafkaError.GROUP_AUTHORIZATION_FAILED: f"Read on group {group}",
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: f"Write and Describe on transactional ids that begin with {group}.",
        KafkaError.CLUSTER_AUTHORIZATION_FAILED: "IdempotentWrite on the cluster, which old brokers ask for",
    }
    return forbidden(kafka, needed[error.code()])


def forbidden(kafka: KafkaSource, what: str) -> Refusal:
    """The brokers know us, and their access lists do not allow `what`."""
    user = f" {kafka.sasl.username}" if kafka.sasl and kafka.sasl.username else ""
    text = f"{kafka.bootstrap_servers} does not allow the detector's user{user} what it needs: add to the access lists {what}"
    return Refusal(SourceState.NOT_AUTHORIZED, text)


def suspicion(kafka: KafkaSource, said: str) -> str:
    """Whether a broker that does not answer is spoken to in a wrong way; empty when nothing is there, as a client has `said`."""
    if "Connect to" in said or "resolve" in said:
        return ""
    from anomaly_detector.adapters.kafka.diagnose import handshake

    return handshake.diagnosis(kafka, _first(kafka))


def words(error: KafkaError) -> str:
    """Returns a client's message without durations, which differ each time."""
    return _HOW_LONG.sub("", error.str())


def _of_name(kafka: KafkaSource, error: KafkaError) -> str:
    said = words(error)
    place = _ADDRESS.match(said)
    said = said.partition(": ")[2] if place else said
    where = place.group(1) if place else kafka.bootstrap_servers
    if kafka.sasl is None:
        return f"{where} wants a name ({said}): set spec.source.kafka.sasl"
    if passing(error):
        return f"the listener at {where} asks for no name ({said}): leave out spec.source.kafka.sasl, or name another listener"
    held = access.described(kafka, USERNAME_FILE, PASSWORD_FILE, CLIENT_ID_FILE, CLIENT_SECRET_FILE)
    user = f" of user {kafka.sasl.username}" if kafka.sasl.username else ""
    advice = f"correct {held or 'spec.source.kafka.sasl.oauth'}, or spec.source.kafka.sasl"
    return (
        f"{where} refuses the credentials{user} ({kafka.sasl.mechanism.value}): {said}; {advice}; it is tried again all the time"
    )


def _of_tls(kafka: KafkaSource, error: KafkaError) -> str:
    from anomaly_detector.adapters.kafka.diagnose import handshake  # needed here alone, and it takes a while to import

    said = words(error)
    found = _ADDRESS.match(said)
    address = found.group(1) if found else _first(kafka)
    diagnosis = handshake.diagnosis(kafka, address)
    certificate = _about_certificates(error)
    if not diagnosis and certificate is not None:
        diagnosis = handshake.client_refused(kafka, address, certificate)
    return diagnosis or f"TLS with {address} fails: {said}; check spec.source.kafka.tls and the listener of the broker"


def _first(kafka: KafkaSource) -> str:
    return kafka.bootstrap_servers.split(",")[0].strip()


def _about_certificates(error: KafkaError) -> str | None:
    """Explains a TLS alert about the client's certificate, which librdkafka reports as an interrupted connection."""
    if error.code() != KafkaError._TRANSPORT:
        return None
    found = _CERTIFICATE.search(error.str())
    return found.group(1).strip() if found else None
