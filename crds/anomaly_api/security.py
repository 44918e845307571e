"""How the pods prove who they are to Kafka, and know the brokers: TLS and SASL. Credentials stay in Secrets: here are references.

Secrets are mounted as files, which `files` lists: the operator mounts them, the pods read them.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from anomaly_api.schema import Contract, exactly_one, matching, rule

SecretName = Annotated[str, Field(min_length=1, max_length=253)]
SecretKey = Annotated[
    str, Field(max_length=253), matching("write the name of a key of the Secret, such as ca.crt", "^[-._a-zA-Z0-9]+$")
]
"""A key of a Secret: letters, digits, dashes, underscores and dots."""
HttpUrl = Annotated[
    str,
    Field(max_length=1024),
    matching(
        "write a URL, such as https://keycloak.example.com/realms/kafka/protocol/openid-connect/token", r"^https?://[^\s]+$"
    ),
]
TokenLifetime = Annotated[
    str,
    Field(max_length=32),
    matching(
        "write minutes from 10m to 1440m, or hours from 1h to 24h: Kubernetes makes no token for less, nor for more",
        "^(([1-9][0-9]|[1-9][0-9]{2}|1[0-3][0-9]{2}|14[0-3][0-9]|1440)m|([1-9]|1[0-9]|2[0-4])h)$",
    ),
]


class AuthorityReference(Contract):
    """A Secret with the certificates of authorities."""

    name: SecretName
    """Name of the Secret with the authorities' certificates, in the namespace of the detector."""
    key: SecretKey = "ca.crt"
    """Key of the Secret with the certificates, PEM, one or more. Default ca.crt, as Strimzi (`<cluster>-cluster-ca-cert`) and
    cert-manager have it."""


class CertificateReference(Contract):
    """A Secret with a certificate and its private key, such as cert-manager makes (type kubernetes.io/tls)."""

    name: SecretName
    """Name of the Secret with the certificate, in the namespace of the detector."""
    certificate_key: SecretKey = "tls.crt"
    """Key of the Secret with the certificate, PEM, with intermediate ones after it. Default tls.crt; Strimzi's users have
    user.crt."""
    private_key_key: SecretKey = "tls.key"
    """Key of the Secret with the private key, PEM, not encrypted. Default tls.key; Strimzi's users have user.key."""


class Tls(Contract):
    """Encryption. The brokers' certificates are always verified, and that they are for the host that is connected to."""

    ca_secret_ref: AuthorityReference | None = None
    """Authorities that sign the brokers' certificates. Unset: those that the image comes with, as for public services."""
    client_secret_ref: CertificateReference | None = None
    """Certificate by which the brokers know the detector (mutual TLS). Unset: none."""


class Mechanism(StrEnum):
    """How a name is proven. Plain sends the password as it is: use it with tls."""

    PLAIN = "Plain"
    SCRAM_SHA_256 = "ScramSha256"
    SCRAM_SHA_512 = "ScramSha512"
    OAUTH_BEARER = "OAuthBearer"


class PasswordReference(Contract):
    """A Secret with a name and a password."""

    name: SecretName
    """Name of the Secret with user name and password, in the namespace of the detector."""
    username_key: SecretKey = "username"
    """Key of the Secret with the user's name, default username; not read where sasl.username is set."""
    password_key: SecretKey = "password"  # noqa: S105 - where it stands
    """Key of the Secret with the password, default password."""


class ClientReference(Contract):
    """A Secret with an OAuth client's id and secret."""

    name: SecretName
    """Name of the Secret with the OAuth client's id and secret, in the namespace of the detector."""
    client_id_key: SecretKey = "client-id"
    """Key of the Secret with the client's id, default client-id; not read where clientId is set."""
    client_secret_key: SecretKey = "client-secret"  # noqa: S105 - where it stands
    """Key of the Secret with the client's secret, default client-secret."""


class ClientCredentials(Contract):
    """A token from an OpenID provider (Keycloak, Entra ID, Okta ...), asked for by client credentials."""

    token_endpoint_url: HttpUrl
    """URL at which tokens are asked for, as the pods reach it."""
    client_id: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Id of the OAuth client. Unset: it stands in the Secret."""
    secret_ref: ClientReference
    """Secret with the OAuth client's id and secret."""
    scope: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """Scopes to ask for, with spaces between them. Unset: those that the provider gives by itself."""
    ca_secret_ref: AuthorityReference | None = None
    """Authorities that sign the certificate of the token endpoint. Unset: those that the image comes with."""


class ServiceAccountToken(Contract):
    """The token of the pods' own Kubernetes service account, for brokers that trust the cluster as an OpenID provider."""

    audience: Annotated[str, Field(min_length=1, max_length=256)]
    """Audience that the token is made for: the one that the brokers expect."""
    expiration: TokenLifetime = "1h"
    """Length of a token's life, default 1h. Kubernetes replaces it before. Shorten it where the brokers' rules ask for it."""


@exactly_one("clientCredentials", "serviceAccountToken")
class OAuth(Contract):
    """Where the bearer token comes from."""

    client_credentials: ClientCredentials | None = None
    """Token from an OpenID provider (Keycloak, Entra ID, Okta ...), asked for by client credentials."""
    service_account_token: ServiceAccountToken | None = None
    """Token of the pods' own Kubernetes ServiceAccount, for brokers that trust the cluster as an OpenID provider. No Secret
    is needed."""
    extensions: (
        Annotated[dict[str, Annotated[str, Field(min_length=1, max_length=1024)]], Field(min_length=1, max_length=16)] | None
    ) = None
    """SASL extensions that go with the token; Confluent Cloud wants logicalCluster and identityPoolId. Unset: none."""


@rule(
    "self.mechanism == 'OAuthBearer' || has(self.secretRef)",
    "set sasl.secretRef: the Secret with the user's name and password",
)
@rule(
    "(self.mechanism == 'OAuthBearer') == has(self.oauth)",
    "sasl.oauth says where the token of OAuthBearer comes from: set it for this mechanism, and for no other",
)
@rule(
    "self.mechanism != 'OAuthBearer' || (!has(self.secretRef) && !has(self.username))",
    "OAuthBearer takes no user name and no password: what it needs stands in sasl.oauth",
)
class Sasl(Contract):
    """By what name, and what proof of it, the brokers know the detector."""

    mechanism: Mechanism
    """Mechanism that the listener of the brokers asks for. Plain sends the password as it is: use it with tls."""
    username: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Name of the user. Unset: it stands in the Secret. Strimzi's Secrets do not hold it: it is that of the KafkaUser."""
    secret_ref: PasswordReference | None = None
    """Secret with the user's name and password, for all mechanisms but OAuthBearer."""
    oauth: OAuth | None = None
    """Source of the token for OAuthBearer; not set for other mechanisms."""


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A key of a Secret, and the file below the folder of Secrets that it becomes."""

    path: str
    secret: str
    key: str


CA_FILE: Final = "kafka/ca.crt"
CERTIFICATE_FILE: Final = "kafka/tls.crt"
PRIVATE_KEY_FILE: Final = "kafka/tls.key"
USERNAME_FILE: Final = "kafka/username"
PASSWORD_FILE: Final = "kafka/password"  # noqa: S105 - a path
CLIENT_ID_FILE: Final = "kafka/client-id"
CLIENT_SECRET_FILE: Final = "kafka/client-secret"  # noqa: S105 - a path
TOKEN_CA_FILE: Final = "kafka/token-ca.crt"  # noqa: S105 - a path
TOKEN_FILE: Final = "kafka/token"  # noqa: S105 - a path
"""The service account's token, which is no key of a Secret."""


def files(tls: Tls | None, sasl: Sasl | None) -> list[SecretFile]:
    """Every key that the pods need, in a fixed order."""
    found: list[SecretFile] = []
    if tls and tls.ca_secret_ref:
        found.append(SecretFile(CA_FILE, tls.ca_secret_ref.name, tls.ca_secret_ref.key))
    if tls and tls.client_secret_ref:
        client = tls.client_secret_ref
        found.append(SecretFile(CERTIFICATE_FILE, client.name, client.certificate_key))
        found.append(SecretFile(PRIVATE_KEY_FILE, client.name, client.private_key_key))
    if sasl and sasl.secret_ref:
        user = sasl.secret_ref
        found += [] if sasl.username else [SecretFile(USERNAME_FILE, user.name, user.username_key)]
        found.append(SecretFile(PASSWORD_FILE, user.name, user.password_key))
    if sasl and sasl.oauth and sasl.oauth.client_credentials:
        asked = sasl.oauth.client_credentials
        secret = asked.secret_ref
        found += [] if asked.client_id else [SecretFile(CLIENT_ID_FILE, secret.name, secret.client_id_key)]
        found.append(SecretFile(CLIENT_SECRET_FILE, secret.name, secret.client_secret_key))
        if asked.ca_secret_ref:
            found.append(SecretFile(TOKEN_CA_FILE, asked.ca_secret_ref.name, asked.ca_secret_ref.key))
    return found
