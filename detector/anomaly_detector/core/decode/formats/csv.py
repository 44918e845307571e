"""CSV: each line of a message is a reading, cells are its fields. A cell that is a number becomes one, an empty one is none."""

import csv
import io
from typing import Any

from anomaly_api.formats import Csv
from anomaly_detector.core.decode.flaw import Flaw
from anomaly_detector.core.decode.formats.port import MOST_READINGS, Document, Read, malformed, too_many


def csv_reader(spec: Csv) -> Read:
    """Returns the reader of messages with these columns (RFC 4180: quotes, doubled quotes, line breaks within quotes)."""
    columns, delimiter = list(spec.columns), spec.delimiter

    def read(value: bytes) -> list[Document] | Flaw:
        try:
            rows = [row for row in csv.reader(io.StringIO(value.decode()), delimiter=delimiter, strict=True) if row]
        except UnicodeDecodeError as error:
            return malformed("CSV", f"not UTF-8 text (byte {error.start})")
        except csv.Error as error:
            return malformed("CSV", str(error))
        if not rows:
            return malformed("CSV", "it has no line")
        if len(rows) > MOST_READINGS:
            return too_many(len(rows))
        for number, row in enumerate(rows, 1):
            if len(row) != len(columns):
                return malformed("CSV", f"line {number} has {len(row)} columns, spec.source.format.csv has {len(columns)}")
        return [dict(zip(columns, map(cell, row), strict=True)) for row in rows]

    return read


def cell(text: str) -> Any:
    """Returns the number that a text is, None for an empty one, and else the text itself.

    >>> cell("1.5"), cell(" 7 "), cell(""), cell("pump-1"), cell("1_000"), cell("nan")
    (1.5, 7, None, 'pump-1', '1_000', 'nan')
    """
    stripped = text.strip()
    if not stripped:
        return None
    if stripped[-1].isdigit() or stripped[-1] == ".":  # neither nan nor inf
        try:
            if "_" not in stripped:
                return int(stripped) if len(stripped) < 19 and stripped.lstrip("+-").isdecimal() else float(stripped)
        except ValueError:
            pass
    return stripped
