"""Credentials as librdkafka takes them, from the files that kubelet mounts and keeps up to date. It asks no broker.

Nothing here or in what it raises ever says what a Secret holds, only which one it is and what is wrong with it.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from anomaly_api.evidence import SourceState
from anomaly_api.meta import SECRET_FOLDER
from anomaly_api.security import (
    CA_FILE,
    CERTIFICATE_FILE,
    PASSWORD_FILE,
    PRIVATE_KEY_FILE,
    USERNAME_FILE,
    Mechanism,
    OAuth,
    SecretFile,
    files,
)
from anomaly_api.source import KafkaSource

if TYPE_CHECKING:
    import ssl

SECRET_ENV: Final = "ANOMALY_SECRET_FOLDER"  # noqa: S105 - a name
"""Overrides where Secrets are mounted, for tests."""
_NAMES: Final = {
    Mechanism.PLAIN: "PLAIN",
    Mechanism.SCRAM_SHA_256: "SCRAM-SHA-256",
    Mechanism.SCRAM_SHA_512: "SCRAM-SHA-512",
    Mechanism.OAUTH_BEARER: "OAUTHBEARER",
}


class AccessError(Exception):
    """Credentials that are missing or make no sense. The message says which Secret, which key, and what to do."""

    def __init__(self, state: SourceState, message: str) -> None:
        super().__init__(message)
        self.state = state


def settings(kafka: KafkaSource) -> dict[str, Any]:
    """Settings of librdkafka for TLS and SASL, from the files as they are now. Raises AccessError."""
    if kafka.tls is None and kafka.sasl is None:
        return {}
    held = read(files(kafka.tls, kafka.sasl))
    protocol = "_".join([*(["SASL"] if kafka.sasl else []), "SSL" if kafka.tls else "PLAINTEXT"])
    return {"security.protocol": protocol.lower(), **_tls(kafka), **_sasl(kafka, held)}


def fingerprint(kafka: KafkaSource) -> str:
    """Changes when the credentials do, so that clients must be made anew. For tokens they need not: they ask for new ones."""
    return fingerprint_of(files(kafka.tls, None if kafka.sasl and kafka.sasl.oauth else kafka.sasl))


def fingerprint_of(mounted: Sequence[SecretFile]) -> str:
    """Changes when the content of one of these files does, or one comes or goes."""
    found = hashlib.sha256()
    for file in mounted:
        try:
            content = (folder() / file.path).read_bytes()
        except OSError:
            content = b""
        found.update(hashlib.sha256(content).digest())
    return found.hexdigest()


def folder() -> Path:
    """Where Secrets are mounted."""
    return Path(os.environ.get(SECRET_ENV, SECRET_FOLDER))


def described(kafka: KafkaSource, *paths: str) -> str:
    """Which keys of which Secrets these files are, for people; empty when the spec names none of them."""
    found: dict[str, list[str]] = {}
    for file in files(kafka.tls, kafka.sasl):
        if file.path in paths:
            found.setdefault(file.secret, []).append(file.key)
    return ", ".join(f"key {' and '.join(keys)} of Secret {secret}" for secret, keys in found.items())


def read(mounted: Sequence[SecretFile]) -> dict[str, str]:
    """Every file that must be there, as text. Raises AccessError."""
    held: dict[str, str] = {}
    for file in mounted:
        try:
            held[file.path] = (folder() / file.path).read_text()
        except FileNotFoundError:
            raise AccessError(SourceState.SECRET_NOT_FOUND, _missing(file)) from None
        except (OSError, UnicodeDecodeError) as error:
            raise _invalid(file, f"cannot be read as text ({type(error).__name__})") from None
        if not held[file.path].strip():
            raise _invalid(file, "is empty")
    return held


def _missing(file: SecretFile) -> str:
    return (
        f"Secret {file.secret} with the key {file.key} is not there: create it in the namespace of the detector, or correct the "
        "reference in spec.source.kafka; it is noticed within two minutes"
    )


def _invalid(file: SecretFile, what: str) -> AccessError:
    return AccessError(SourceState.SECRET_INVALID, f"key {file.key} of Secret {file.secret} {what}: correct it")


def _tls(kafka: KafkaSource) -> dict[str, str]:
    """Files rather than their content: librdkafka takes intermediate certificates from files only."""
    if kafka.tls is None:
        return {}
    import ssl  # here and below: what most pods do not need is not in the way of their start

    found: dict[str, str] = {}
    named = {file.path: file for file in files(kafka.tls, None)}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if CA_FILE in named:
        try:
            context.load_verify_locations(folder() / CA_FILE)
        except (ssl.SSLError, OSError):
            raise _invalid(named[CA_FILE], "holds no certificate in PEM") from None
        found["ssl.ca.location"] = str(folder() / CA_FILE)
    if CERTIFICATE_FILE in named:
        _check_pair(context, named[CERTIFICATE_FILE], named[PRIVATE_KEY_FILE])
        found["ssl.certificate.location"] = str(folder() / CERTIFICATE_FILE)
        found["ssl.key.location"] = str(folder() / PRIVATE_KEY_FILE)
    return found


def _check_pair(context: "ssl.SSLContext", certificate: SecretFile, key: SecretFile) -> None:
    import ssl

    paths = folder() / certificate.path, folder() / key.path
    try:
        context.load_cert_chain(*paths, password=lambda: "")  # else an encrypted key would be asked about at the terminal
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise _invalid(key, f"is not the key of the certificate in {certificate.key}") from None
        held = (folder() / certificate.path).read_text(errors="replace")
        if "-----BEGIN CERTIFICATE-----" not in held:
            raise _invalid(certificate, "holds no certificate in PEM") from None
        raise _invalid(key, "holds no private key in PEM that is not encrypted") from None
    except OSError:
        raise AccessError(SourceState.SECRET_NOT_FOUND, _missing(key)) from None


def _sasl(kafka: KafkaSource, held: dict[str, str]) -> dict[str, Any]:
    sasl = kafka.sasl
    if sasl is None:
        return {}
    mechanism = {"sasl.mechanism": _NAMES[sasl.mechanism]}
    if sasl.oauth is not None:
        return {**mechanism, "oauth_cb": _tokens(sasl.oauth)}
    # What `kubectl create secret --from-file` and editors leave at the end is no part of a password.
    name = sasl.username or held[USERNAME_FILE].rstrip("\r\n")
    return {**mechanism, "sasl.username": name, "sasl.password": held[PASSWORD_FILE].rstrip("\r\n")}


def _tokens(oauth: OAuth) -> Callable[[str], object]:
    """Has a token already: a client that gets none at its start cannot be made, and does not say why."""
    from anomaly_detector.adapters.kafka.security.tokens import TokenError, tokens

    shared = tokens(oauth, folder())
    try:
        shared()
    except TokenError as error:
        raise AccessError(SourceState.NOT_AUTHORIZED, str(error)) from None
    return shared
