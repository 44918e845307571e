"""Envelopes: what stands around a reading. What is inside comes out as the document; what the envelope says is beside it.

CloudEvents in structured mode: `data` is the document, the event's attributes are in `cloudevent`. A message without
`specversion` is its own data, as in binary mode. Debezium: the row after the change is the document, the operation and times are
in `change`; of a deleted row there is no reading. With or without the schema that Kafka Connect's JSON converter writes beside.
"""

import base64
from typing import Any, Final

import msgspec

from anomaly_api.alert import DeadLetterReason
from anomaly_api.formats import Envelope
from anomaly_detector.core.decode.flaw import Flaw
from anomaly_detector.core.decode.formats.port import Document, Read, malformed

CLOUD_EVENT: Final = "cloudevent"
CHANGE: Final = "change"
_DELETED: Final = ("d", "t")


def opened(envelope: Envelope, read: Read) -> Read:
    """Returns the reader of what is inside."""
    unpack = _cloud_event if envelope is Envelope.CLOUD_EVENTS else _change

    def inside(value: bytes) -> list[Document] | Flaw:
        found = read(value)
        if isinstance(found, Flaw):
            return found
        readings: list[Document] = []
        for document in found:
            reading = unpack(document)
            if isinstance(reading, Flaw):
                return reading
            if reading is not None:
                readings.append(reading)
        return readings

    return inside


def _cloud_event(document: Document) -> Document | Flaw:
    if "specversion" not in document:
        return document
    data = document.get("data")
    if data is None and isinstance(document.get("data_base64"), str):
        try:
            data = msgspec.json.decode(base64.b64decode(document["data_base64"], validate=True))
        except (ValueError, msgspec.MsgspecError, RecursionError) as error:
            return malformed("a CloudEvent with JSON in data_base64", type(error).__name__)
    if not isinstance(data, dict):
        return Flaw(DeadLetterReason.NOT_AN_OBJECT, "the CloudEvent's data is no JSON object")
    attributes = {name: value for name, value in document.items() if name not in ("data", "data_base64")}
    return {**data, CLOUD_EVENT: attributes}


def _change(document: Document) -> Document | Flaw | None:
    payload: Any = document.get("payload") if "payload" in document and "schema" in document else document
    if not isinstance(payload, dict) or "op" not in payload:
        return malformed("a Debezium change event", "it has no op")
    if payload["op"] in _DELETED:
        return None
    after = payload.get("after")
    if not isinstance(after, dict):
        return malformed("a Debezium change event", "it has no row in after")
    about = {name: value for name, value in payload.items() if name not in ("before", "after")}
    return {**after, CHANGE: about}
