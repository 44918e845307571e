"""One JSON message, read with care: what the fast decoder refused is read exactly here, or it is said what is wrong with it.

Slow on purpose, for such messages only, and for pipelines that ask for what the fast one does not know.
"""

import json
import math
import re
from typing import Any, Final

import msgspec

from anomaly_api.alert import DeadLetterReason, NotReading
from anomaly_api.source import Pipeline
from anomaly_detector.core.decode.flaw import Flaw
from anomaly_detector.core.decode.formats.schemas import HEADER
from anomaly_detector.core.decode.kinds import KINDS, kind_of
from anomaly_detector.core.decode.numbers import no_number
from anomaly_detector.core.decode.paths import path
from anomaly_detector.core.decode.reading import Exact, ReadingReader, Skip
from anomaly_detector.core.decode.sizes import MAX_BYTES, MAX_DEPTH, too_deep

_BROKEN: Final = ("JSON is malformed", "Input data was truncated")
_SAID: Final = re.compile(r"Expected `[^`]*`, got `(?P<kind>\w+)`(?: - at `\$\.(?P<path>[^`]*)`)?")
_MOST_KNOWN: Final = 1_000
_BOM: Final = b"\xef\xbb\xbf"
_CONSTANTS: Final = re.compile(rb"nan|inf|none|undefined|n/a", re.IGNORECASE)
_LOOSE: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[-+]?\b(?:nan|infinity|inf|none|undefined|n/a)\b', re.IGNORECASE | re.DOTALL)
"""A text, or a word that some producers write in the place of a number."""
_decode: Final = msgspec.json.Decoder().decode


class Explainer:
    """Reads single messages as a pipeline says."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.reader = ReadingReader(pipeline)
        self._time_path = path(pipeline.time.field or "")
        self._places = {each.dotted: each.text for each in self.reader.paths}
        self._known: dict[str, Flaw | None] = {}
        self._lenient = _Lenient()

    def at_once(self, said: str, value: bytes | None) -> Flaw | None:
        """What is wrong, if what msgspec says of a message leaves no doubt: a message is not read a second time then.

        Producers that err tend to err alike, so what was said before is remembered.
        """
        if not said or not value:
            return None
        if said.startswith(_BROKEN):
            return _malformed(said, value)
        if said not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[said] = self._wrongkind_of(said)
        return self._known[said]

    def _wrongkind_of(self, said: str) -> Flaw | None:
        """Of a feature that is no number where there is no other, or of what is no object; None: it has to be looked at."""
        match = _SAID.fullmatch(said)
        kind = KINDS.get(match["kind"]) if match else None
        if match is None or kind is None:
            return None
        place = match["path"]
        if place is None:
            return None if kind == "text" else _no_object(kind)
        if place in self._places and len(self._pipeline.features) == 1:
            return Flaw(DeadLetterReason.FEATURE_INVALID, f"{self._places[place]}: {no_number(kind)}")
        return None

    def read(self, value: bytes | None, key: bytes | None, timestamp_ms: int, said: str = "") -> Exact | Flaw | Skip:
        """The reading in a message, or what is wrong with it. Raises nothing, takes time linear in the message's size.

        `said`: what msgspec said of it, of which `at_once` could make nothing; what it could not parse it is not asked again.
        """
        if value is None:
            return _TOMBSTONE
        document = self.document(value, broken=said.startswith(_BROKEN))
        return document if isinstance(document, Flaw) else self.reader.read(document, key, timestamp_ms)

    def of_document(self, document: dict[str, Any], key: bytes | None, timestamp_ms: int) -> Exact | Flaw | Skip:
        """The reading in a message that has been parsed, or what is wrong with it."""
        return self.reader.read(document, key, timestamp_ms)

    def document(self, value: bytes, *, broken: bool = False) -> dict[str, Any] | Flaw:
        """The object in a message."""
        if not value:
            return EMPTY
        if len(value) > MAX_BYTES:
            text = f"the message has {len(value)} bytes; a reading may have {MAX_BYTES}"
            return Flaw(DeadLetterReason.TOO_LARGE, text)
        if len(value) > MAX_DEPTH and too_deep(value):
            return _TOO_DEEP
        found = self._parsed(value.removeprefix(_BOM), broken=broken and not value.startswith(_BOM))
        if isinstance(found, str) and found.lstrip().startswith("{"):  # JSON in a JSON text
            inner = found.encode(errors="replace")
            found = _TOO_DEEP if too_deep(inner) else self._parsed(inner, broken=False)
        return found if isinstance(found, (dict, Flaw)) else _no_object(kind_of(found))

    def _parsed(self, value: bytes, *, broken: bool) -> Any:
        if broken:
            return self._lenient.read(value)
        try:
            return _decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            # most of what is malformed is plainly so; the rest is for a decoder that is slower and less strict
            plain = _malformed(str(error), value) if type(error) is msgspec.DecodeError else None
            return self._lenient.read(value) if plain is None else plain


_TOMBSTONE: Final = Skip(NotReading.TOMBSTONE)
EMPTY: Final = Flaw(DeadLetterReason.EMPTY, "the message is empty: it has no bytes at all")
_TOO_DEEP: Final = Flaw(DeadLetterReason.NOT_JSON, f"the message is nested too deeply to be read (more than {MAX_DEPTH} levels)")


def _no_object(kind: str) -> Flaw:
    return Flaw(DeadLetterReason.NOT_AN_OBJECT, f"the message is {kind}; a reading is a JSON object")


def _malformed(said: str, value: bytes) -> Flaw | None:
    """Of a message that no decoder can read; None where a lenient one may."""
    if len(value) > HEADER and not value[0]:
        schema = int.from_bytes(value[1:HEADER], "big")
        text = f"the message is not plain JSON: it begins with the frame of a schema registry (a zero, then schema id {schema})"
        return Flaw(DeadLetterReason.NOT_JSON, text)
    if b"\\u" in value or value.startswith(_BOM) or _CONSTANTS.search(value):
        return None
    return Flaw(DeadLetterReason.NOT_JSON, f"the message is not JSON: {said.removeprefix('JSON is malformed: ')}")


class _Lenient:
    """Reads half surrogates, numbers of any length, and constants that JSON does not know, which are no values."""

    def __init__(self) -> None:
        # whole numbers become floats: a number of 100,000 digits is legal JSON, and exact arithmetic with it is slow
        self._decoder = json.JSONDecoder(
            parse_constant=lambda _: math.nan, parse_int=_integer
        )  # to make one costs as much as to read

    def read(self, value: bytes) -> Any:
        """What is in a message, or its flaw."""
        try:
            text = value.decode()
        except UnicodeDecodeError as error:
            return Flaw(DeadLetterReason.NOT_JSON, f"the message is not UTF-8 text (byte {error.start})")
        try:
            return self._decoder.decode(text)
        except json.JSONDecodeError as error:
            flaw = Flaw(DeadLetterReason.NOT_JSON, f"the message is not JSON: {error.msg} at character {error.pos}")
        if not _CONSTANTS.search(value):
            return flaw
        try:
            return self._decoder.decode(_LOOSE.sub(_without_words, text))
        except json.JSONDecodeError:
            return flaw


def _without_words(match: re.Match[str]) -> str:
    return match[0] if match[0].startswith('"') else "NaN"


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= 32 else float(digits)
