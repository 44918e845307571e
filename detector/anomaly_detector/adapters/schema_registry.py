"""Asks a schema registry for the schemas of messages, before they are read. What is known of an id stays known.

A registry that cannot be reached, or refuses, is waited for: its messages are read once it answers. An id that it does not know
is an answer: messages with such an id are dead letters.
"""

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from anomaly_api.evidence import SourceState
from anomaly_api.formats import (
    REGISTRY_CA_FILE,
    REGISTRY_CERTIFICATE_FILE,
    REGISTRY_KEY_FILE,
    REGISTRY_PASSWORD_FILE,
    REGISTRY_USERNAME_FILE,
    SchemaRegistry,
    registry_files,
)
from anomaly_detector.adapters.kafka.diagnose.diagnosis import Diagnosis
from anomaly_detector.adapters.kafka.security import access
from anomaly_detector.core.decode.formats.schemas import SHARED, Schema, Schemas, unknown

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import Schema as Registered
    from confluent_kafka.schema_registry import SchemaRegistryClient

log: Final = logging.getLogger(__name__)
_ANSWER_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 1.0
_MOST_REFERENCES: Final = 64
_NOT_FOUND: Final = 404
_REFUSALS: Final = (401, 403)


class Registry:
    """The registry of a detector; without one nothing is ever missing. An instance belongs to one thread."""

    def __init__(self, spec: SchemaRegistry | None, schemas: Schemas = SHARED) -> None:
        self._spec, self._schemas = spec, schemas
        self._client: SchemaRegistryClient | None = None
        self._access = ""
        self._again = 0.0
        self.trouble: Diagnosis | None = None
        """Why messages wait; None: they do not."""

    def ready(self, values: Sequence[bytes | None]) -> bool:
        """Whether all schemas of these messages are known; asks for those that are not, at most once a second in vain."""
        if self._spec is None:
            return True
        missing = self._schemas.missing(values)
        if not missing:
            return True
        if time.monotonic() < self._again:
            return False
        for schema_id in sorted(missing):
            self.trouble = self._ask(schema_id)
            if self.trouble is not None:
                self._again = time.monotonic() + _AGAIN_SECONDS
                return False
        return True

    @property
    def waiting(self) -> bool:
        """Whether it is too early to ask again."""
        return time.monotonic() < self._again

    def _ask(self, schema_id: int) -> Diagnosis | None:
        """Notes what the registry says of an id; why it says nothing."""
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        assert self._spec is not None, "without a registry nothing is missing"
        try:
            client = self._connected()
            found = client.get_schema(schema_id)
            schema = Schema(found.schema_type or "AVRO", found.schema_str or "", self._references(client, found))
            self._schemas.add(schema_id, schema)
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                self._schemas.add(schema_id, unknown(schema_id, "the schema registry does not know it"))
                return None
            return self._refused(error.http_status_code, str(error.error_message))
        except access.AccessError as error:
            return Diagnosis(error.state, str(error).replace("spec.source.kafka", "spec.source.format"))
        except Exception as error:  # noqa: BLE001 - the client raises whatever its HTTP library does
            log.info("schema registry: %s: %s", type(error).__name__, error)
            text = (
                f"the schema registry does not answer at {self._spec.url}: check schemaRegistry.url (as the pods reach it) and "
                f"that it runs; readings wait meanwhile, and it is asked again all the time ({type(error).__name__}: {error})"
            )
            return Diagnosis(SourceState.SCHEMA_REGISTRY_UNREACHABLE, text)
        return None

    def _refused(self, status: int, said: str) -> Diagnosis:
        assert self._spec is not None, "somebody has answered"
        if status in _REFUSALS:
            text = f"the schema registry at {self._spec.url} refuses the detector ({status}): see basicAuthSecretRef, and tls"
            return Diagnosis(SourceState.NOT_AUTHORIZED, text)
        text = f"the schema registry at {self._spec.url} answers {status}: {said[:200]}; readings wait, and it is asked again"
        return Diagnosis(SourceState.SCHEMA_REGISTRY_UNREACHABLE, text)

    def _references(self, client: "SchemaRegistryClient", schema: "Registered") -> tuple[tuple[str, str], ...]:
        """All that a schema refers to, those that others need first."""
        found: dict[str, str] = {}

        def add(registered: "Registered") -> None:
            for reference in registered.references or ():
                if reference.name is None or reference.name in found or len(found) >= _MOST_REFERENCES:
                    continue
                referred = client.get_version(reference.subject or "", int(reference.version or 1)).schema
                add(referred)
                found.setdefault(reference.name, referred.schema_str or "")

        add(schema)
        return tuple(found.items())

    def _connected(self) -> "SchemaRegistryClient":
        """The client, made anew when its credentials have changed. Raises AccessError."""
        from confluent_kafka.schema_registry import SchemaRegistryClient  # 20 MB, for those who need it

        files = registry_files(self._spec)
        now = access.fingerprint_of(files)
        if self._client is None or now != self._access:
            self._client, self._access = SchemaRegistryClient(self._settings()), now
        return self._client

    def _settings(self) -> dict[str, Any]:
        assert self._spec is not None, "there is a registry"
        held = access.read(registry_files(self._spec))
        found: dict[str, Any] = {"url": self._spec.url, "timeout": _ANSWER_SECONDS, "max.retries": 0}
        if REGISTRY_CA_FILE in held:
            found["ssl.ca.location"] = str(access.folder() / REGISTRY_CA_FILE)
        if REGISTRY_CERTIFICATE_FILE in held:
            found["ssl.certificate.location"] = str(access.folder() / REGISTRY_CERTIFICATE_FILE)
            found["ssl.key.location"] = str(access.folder() / REGISTRY_KEY_FILE)
        if REGISTRY_PASSWORD_FILE in held:
            name, password = (held[each].rstrip("\r\n") for each in (REGISTRY_USERNAME_FILE, REGISTRY_PASSWORD_FILE))
            found["basic.auth.user.info"] = f"{name}:{password}"
        return found
