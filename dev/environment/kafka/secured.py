"""A broker that knows its clients: TLS on every listener but the administrator's, passwords, tokens, and access lists.

| listener | what it asks for |
| --- | --- |
| PLAINTEXT | nothing: the administrator, who may do everything |
| SASL | TLS, and a name: PLAIN, SCRAM or OAUTHBEARER |
| HASTY | as SASL, and to prove it again all the time, more often than a broker takes |
| MUTUAL | TLS, and a certificate of a client |
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from dev.environment import ports
from dev.environment.kafka import broker, jars
from dev.environment.kafka.authority import Authority
from dev.environment.kafka.broker import Listener

_SECONDS = 20.0
_MODULES = "org.apache.kafka.common.security"
_VALIDATOR = f"{_MODULES}.oauthbearer.OAuthBearerValidatorCallbackHandler"
_LISTENERS = {"SASL": "SASL_SSL", "HASTY": "SASL_SSL", "MUTUAL": "SSL"}
_KINDS = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP, "transactional-id": ResourceType["TRANSACTIONAL_ID"]}
FILES = _SERVER, _TRUSTED, _KEYS = "server.pem", "ca.pem", "keys.json"
AUDIENCE = "kafka"
SESSION_SECONDS = 3.0
"""After so long a client must prove its name again, or is disconnected: credentials that were withdrawn show soon."""
HASTY_SECONDS = 1.0
"""librdkafka proves it again after nine tenths of that; brokers take no second proof within a second of the last."""


@dataclass(frozen=True)
class Secured:
    """A running one."""

    bootstrap: str
    """Where the administrator connects."""
    authority: Authority
    sasl: str
    """Address of the listener for names."""
    hasty: str = ""
    """Address of the one whose sessions are too short, where there is one."""
    mutual: str = ""
    """Address of the listener for certificates, where there is one."""

    @property
    def administrator(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap})

    def scram(self, user: str, password: str, mechanism: str = "SHA_512") -> None:
        """Makes the user, or changes the password."""
        wanted = ScramCredentialInfo(ScramMechanism[f"SCRAM_{mechanism}"], 4096)
        change = UserScramCredentialUpsertion(user, wanted, password.encode())
        administrator = self.administrator  # it must outlive its answer
        administrator.alter_user_scram_credentials([change])[user].result(_SECONDS)

    def drop(self, user: str, mechanism: str = "SHA_512") -> None:
        """Takes the user's password away: nobody is let in by that name."""
        change = UserScramCredentialDeletion(user, ScramMechanism[f"SCRAM_{mechanism}"])
        administrator = self.administrator
        administrator.alter_user_scram_credentials([change])[user].result(_SECONDS)

    def allow(self, user: str, *rights: tuple[str, str, str]) -> None:
        """Each right: a kind (topic, group, transactional-id), a name (with * at its end: a prefix), and operations by comma."""
        bindings = [_binding(user, kind, name, each) for kind, name, operations in rights for each in operations.split(",")]
        administrator = self.administrator
        for made in administrator.create_acls(bindings).values():
            made.result(_SECONDS)


@contextmanager
def running(name: str, folder: Path, users: Mapping[str, str], keys: dict[str, object] | None = None) -> Iterator[Secured]:
    """`users` are those of PLAIN, which are fixed; `keys` is the JSON Web Key Set of whoever issues tokens."""
    authority = prepared(folder, keys or {"keys": []}, "IP:127.0.0.1", "DNS:localhost")
    overrides = settings(folder, users, {"sasl": SESSION_SECONDS, "hasty": HASTY_SECONDS})
    addresses = {each: f"127.0.0.1:{port}" for each, port in zip(_LISTENERS, ports.free(len(_LISTENERS)), strict=True)}
    more = [Listener(each, address, address, _LISTENERS[each]) for each, address in addresses.items()]
    with broker.running(name, overrides=overrides, more=more, machine=machine(folder)) as made:
        yield Secured(made.bootstrap, authority, addresses["SASL"], addresses["HASTY"], addresses["MUTUAL"])


def prepared(folder: Path, keys: Mapping[str, object], *alternatives: str) -> Authority:
    """Writes what the broker reads: FILES, with a certificate for these names, by an authority of its own."""
    authority = Authority(folder / "authority")
    pair = authority.server(*alternatives)
    held = (pair.key + pair.certificate, authority.certificate, json.dumps(keys))
    for name, text in zip(FILES, held, strict=True):
        (folder / name).write_text(text)
    return authority


def machine(folder: Path) -> tuple[str, ...]:
    """A broker's virtual machine that may read the keys of whoever issues tokens."""
    return (*jars.BRIEF, may_read_keys(folder))


def may_read_keys(folder: Path) -> str:
    """The option of the virtual machine for that."""
    return f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={(folder / _KEYS).as_uri()}"


def settings(folder: Path, users: Mapping[str, str], sessions: Mapping[str, float]) -> dict[str, str]:
    """Returns the settings of a broker that asks for names. `folder` has the FILES; `sessions`: seconds by listener."""
    found: dict[str, str] = {}
    for listener, seconds in sessions.items():
        found |= _names(listener, users, (folder / _KEYS).as_uri(), seconds)
    return found | {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / _SERVER),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / _TRUSTED),
        "listener.name.mutual.ssl.client.auth": "required",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",  # the administrator's listener, and the broker's own
        "connection.failed.authentication.delay.ms": "100",
    }


def _names(listener: str, users: Mapping[str, str], keys: str, session: float) -> dict[str, str]:
    """A listener that wants a name, and wants it proven again after so many seconds."""
    known = "".join(f' user_{user}="{password}"' for user, password in users.items())
    own = f"listener.name.{listener}"
    return {
        f"{own}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
        f"{own}.plain.sasl.jaas.config": f"{_MODULES}.plain.PlainLoginModule required{known};",
        f"{own}.scram-sha-256.sasl.jaas.config": f"{_MODULES}.scram.ScramLoginModule required;",
        f"{own}.scram-sha-512.sasl.jaas.config": f"{_MODULES}.scram.ScramLoginModule required;",
        f"{own}.oauthbearer.sasl.jaas.config": f"{_MODULES}.oauthbearer.OAuthBearerLoginModule required;",
        f"{own}.oauthbearer.sasl.server.callback.handler.class": _VALIDATOR,
        f"{own}.oauthbearer.sasl.oauthbearer.jwks.endpoint.url": keys,
        f"{own}.oauthbearer.sasl.oauthbearer.expected.audience": AUDIENCE,
        f"{own}.connections.max.reauth.ms": str(round(1000 * session)),
    }


def _binding(user: str, kind: str, name: str, operation: str) -> AclBinding:
    pattern = ResourcePatternType.PREFIXED if name.endswith("*") else ResourcePatternType.LITERAL
    wanted = AclOperation[operation.strip().upper()]
    return AclBinding(_KINDS[kind], name.rstrip("*"), pattern, f"User:{user}", "*", wanted, AclPermissionType.ALLOW)
