"""Why a TLS connection to a broker fails: one is tried, with the credentials there are, and what goes wrong is told exactly.

librdkafka says the same of a certificate by another authority and of one for another host. It is asked when a client has failed
and never in between.
"""

import contextlib
import re
import socket
import ssl
from datetime import UTC, datetime
from typing import Final

from anomaly_api.security import CA_FILE, CERTIFICATE_FILE, PRIVATE_KEY_FILE
from anomaly_api.source import KafkaSource
from anomaly_detector.adapters.kafka.security import access

_SECONDS: Final = 3.0
_ALERT_SECONDS: Final = 0.5
"""With TLS 1.3 a server looks at the client's certificate when the client takes the handshake for done."""
_VALIDITY: Final = re.compile(rb"\x30.((?:\x17\x0d|\x18\x0f)\d{12,14}Z)((?:\x17\x0d|\x18\x0f)\d{12,14}Z)", re.DOTALL)
"""The two times of a certificate, as DER has them: UTCTime or GeneralizedTime (RFC 5280, 4.1.2.5)."""


def diagnosis(kafka: KafkaSource, address: str) -> str:
    """Returns the fault between this pod and the listener at `address` (host:port), and what to do; empty when it is not TLS."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        with socket.create_connection((host, int(port)), _SECONDS) as plain:
            return _spoken(kafka, plain, host, address)
    except (OSError, ValueError):
        return ""  # that it cannot be reached is known


def _spoken(kafka: KafkaSource, plain: socket.socket, host: str, address: str) -> str:
    try:
        with _context(kafka).wrap_socket(plain, server_hostname=host) as secured:
            secured.settimeout(_ALERT_SECONDS)
            with contextlib.suppress(TimeoutError):
                secured.recv(1)
    except ssl.SSLCertVerificationError as error:
        return _untrusted(kafka, address, error.verify_message)
    except ssl.SSLError as error:
        return _failed(kafka, address, error)
    except OSError:
        pass
    if kafka.tls is None:
        return f"the listener at {address} speaks TLS: set spec.source.kafka.tls, or name the address of another listener"
    if kafka.sasl is None:
        return f"TLS with {address} works; if the broker closes the connection then, its listener wants spec.source.kafka.sasl"
    return ""


def _context(kafka: KafkaSource) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if kafka.tls is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent: only whether it is TLS at all
        return context
    if kafka.tls.ca_secret_ref:
        context.load_verify_locations(access.folder() / CA_FILE)
    else:
        context.load_default_certs()
    if kafka.tls.client_secret_ref:
        files = access.folder() / CERTIFICATE_FILE, access.folder() / PRIVATE_KEY_FILE
        context.load_cert_chain(*files, password=lambda: "")
    return context


def _untrusted(kafka: KafkaSource, address: str, why: str) -> str:
    said = f"the certificate of the broker at {address} is not trusted ({why.rstrip('.')})"
    if "mismatch" in why:
        return (
            f"{said}: name the broker in spec.source.kafka.bootstrapServers, and in advertised.listeners, as in its certificate"
        )
    if "expired" in why or "not yet valid" in why:
        return f"{said}: renew it"
    named = access.described(kafka, CA_FILE)
    return (
        f"{said}: {named} must hold the authority that signed it" if named else f"{said}: set spec.source.kafka.tls.caSecretRef"
    )


def _failed(kafka: KafkaSource, address: str, error: ssl.SSLError) -> str:
    why = (error.reason or "").lower().replace("_", " ")
    if "alert" not in why:
        if kafka.tls is None:
            return ""
        return f"the listener at {address} seems to speak no TLS ({why}): leave out source.kafka.tls, or name another listener"
    return client_refused(kafka, address, why)


def client_refused(kafka: KafkaSource, address: str, why: str) -> str:
    """For people: the broker has looked at our certificate, or at its lack."""
    named = access.described(kafka, CERTIFICATE_FILE)
    if not named:
        return f"the broker at {address} wants a certificate of its clients ({why}): set spec.source.kafka.tls.clientSecretRef"
    ended = _ended()
    if ended:
        return f"the broker at {address} refuses the certificate in {named}: it was valid until {ended}; renew it"
    return f"the broker at {address} refuses the certificate in {named} ({why}): is it signed by an authority that it trusts?"


def _ended() -> str:
    """When our certificate ended; empty when it has not."""
    try:
        held = (access.folder() / CERTIFICATE_FILE).read_text()
        first = held[held.index("-----BEGIN CERTIFICATE-----") :].split("-----END CERTIFICATE-----")[0]
        found = _VALIDITY.search(ssl.PEM_cert_to_DER_cert(f"{first}-----END CERTIFICATE-----\n"))
    except (OSError, ValueError):
        return ""
    if found is None:
        return ""
    text = found.group(2)[2:].decode()
    century = "" if len(text) == 15 else ("19" if int(text[:2]) >= 50 else "20")
    end = datetime.strptime(century + text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    return end.isoformat() if end < datetime.now(UTC) else ""
