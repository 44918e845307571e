"""A broker that knows its clients: TLS on every listener but the administrator's, passwords, tokens, and access lists.

| listener | what it asks for |
| --- | --- |
| PLAINTEXT | nothing: the administrator, who may do everything |
| SASL | TLS, and a name: PLAIN, SCRAM or OAUTHBEARER |
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
    UserScramCredentialUpsertion,
)

from dev import ports
from dev.kafka import broker
from dev.kafka.authority import Authority
from dev.kafka.broker import Broker, Listener

_SECONDS = 20.0
_MODULES = "org.apache.kafka.common.security"
_VALIDATOR = f"{_MODULES}.oauthbearer.OAuthBearerValidatorCallbackHandler"
_LISTENERS = {"SASL": "SASL_SSL", "MUTUAL": "SSL"}
_KINDS = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP, "transactional-id": ResourceType["TRANSACTIONAL_ID"]}
AUDIENCE = "kafka"
SESSION_SECONDS = 3.0
"""After so long a client must prove its name again, or is disconnected: credentials that were withdrawn show soon."""


@dataclass(frozen=True)
class Secured:
    """A running one."""

    broker: Broker
    authority: Authority
    sasl: str
    """Address of the listener for names."""
    mutual: str
    """Address of the listener for certificates."""

    @property
    def bootstrap(self) -> str:
        """Where the administrator connects."""
        return self.broker.bootstrap

    @property
    def administrator(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap})

    def scram(self, user: str, password: str, mechanism: str = "SHA_512") -> None:
        """Makes the user, or changes the password."""
        wanted = ScramCredentialInfo(ScramMechanism[f"SCRAM_{mechanism}"], 4096)
        change = UserScramCredentialUpsertion(user, wanted, password.encode())
        administrator = self.administrator  # it must outlive its answer
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
    authority = Authority(folder / "authority")
    published = folder / "keys.json"
    published.write_text(json.dumps(keys or {"keys": []}))
    pair = authority.server("IP:127.0.0.1", "DNS:localhost")
    (folder / "server.pem").write_text(pair.key + pair.certificate)
    (folder / "ca.pem").write_text(authority.certificate)
    java = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={published.as_uri()}"
    overrides = settings(folder, users, published.as_uri())
    addresses = {each: f"127.0.0.1:{port}" for each, port in zip(_LISTENERS, ports.free(len(_LISTENERS)), strict=True)}
    more = [Listener(each, address, address, _LISTENERS[each]) for each, address in addresses.items()]
    with broker.running(name, overrides=overrides, more=more, java=java) as made:
        yield Secured(made, authority, addresses["SASL"], addresses["MUTUAL"])


def settings(folder: Path, users: Mapping[str, str], keys: str, listener: str = "sasl") -> dict[str, str]:
    """What differs from a broker that takes everyone: `folder` has server.pem and ca.pem, `keys` is a URL."""
    known = "".join(f' user_{user}="{password}"' for user, password in users.items())
    own = f"listener.name.{listener}"
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "server.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
        "listener.name.mutual.ssl.client.auth": "required",
        f"{own}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
        f"{own}.plain.sasl.jaas.config": f"{_MODULES}.plain.PlainLoginModule required{known};",
        f"{own}.scram-sha-256.sasl.jaas.config": f"{_MODULES}.scram.ScramLoginModule required;",
        f"{own}.scram-sha-512.sasl.jaas.config": f"{_MODULES}.scram.ScramLoginModule required;",
        f"{own}.oauthbearer.sasl.jaas.config": f"{_MODULES}.oauthbearer.OAuthBearerLoginModule required;",
        f"{own}.oauthbearer.sasl.server.callback.handler.class": _VALIDATOR,
        f"{own}.oauthbearer.sasl.oauthbearer.jwks.endpoint.url": keys,
        f"{own}.oauthbearer.sasl.oauthbearer.expected.audience": AUDIENCE,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",  # the administrator's listener, and the broker's own
        "connection.failed.authentication.delay.ms": "100",
        f"{own}.connections.max.reauth.ms": str(round(1000 * SESSION_SECONDS)),
    }


def _binding(user: str, kind: str, name: str, operation: str) -> AclBinding:
    pattern = ResourcePatternType.PREFIXED if name.endswith("*") else ResourcePatternType.LITERAL
    wanted = AclOperation[operation.strip().upper()]
    return AclBinding(_KINDS[kind], name.rstrip("*"), pattern, f"User:{user}", "*", wanted, AclPermissionType.ALLOW)
