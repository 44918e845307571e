"""Files are read as if their rows were messages of the topic, whatever they are packed in."""

from __future__ import annotations

import gzip
import lzma
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from pyarrow import parquet

from anomaly_api.input import Condition, TextNumbers
from anomaly_api.source import Entity, Feature, Time, TimeFormat
from anomaly_detector.training.data.files import Files
from anomaly_detector.training.data.samples import Gathering
from anomaly_detector.training.failures import TrainingError
from anomaly_detector.training.store import CLAIM_ENV
from tests.training.conftest import pipeline

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
WANTED = pipeline(
    entity=Entity(field="machine"),
    time=Time(field="at", format=TimeFormat.ISO8601),
    features=[Feature(name="flow", field="sensors.flow"), Feature(name="speed")],
)
ROWS = [
    {"machine": f"pump-{row % 2}", "at": BEGIN + timedelta(seconds=10 * (row // 2)), "sensors.flow": 1.5 * row, "speed": 1450}
    for row in range(60)
]


@pytest.fixture(autouse=True)
def claim(tmp_path, monkeypatch):
    monkeypatch.setenv(CLAIM_ENV, str(tmp_path))
    return tmp_path


def text(rows=ROWS) -> bytes:
    lines = ["at,machine,speed,sensors.flow,unused"]
    lines += [f"{row['at'].isoformat()},{row['machine']},{row['speed']},{row['sensors.flow']},x" for row in rows]
    return "\n".join(lines).encode()


def take(wanted, *uris: str) -> Gathering:
    found = Gathering(wanted, 1000, seed=1)
    for messages in Files(list(uris), wanted).read():
        assert messages is not None
        found.take(messages)
    return found


@pytest.mark.parametrize(("name", "packed"), [("a.csv", bytes), ("a.csv.gz", gzip.compress), ("a.csv.xz", lzma.compress)])
def test_csv_is_read_packed_or_not(claim, name, packed):
    (claim / name).write_bytes(packed(text()))
    found = take(WANTED, f"file:///{name}")
    assert (found.readings, found.rejected, found.entities, found.windows) == (60, 0, 2, 46)
    assert found.first_time == BEGIN.timestamp() * 1e6


def test_parquet_with_times_of_its_own_is_read(claim):
    parquet.write_table(pa.Table.from_pylist(ROWS), claim / "a.parquet")
    found = take(WANTED, "file:///a.parquet")
    assert (found.readings, found.rejected, found.windows) == (60, 0, 46)


def test_parquet_decimals_are_numbers(claim):
    """A database's export has them; as entity a whole one is written without its point."""
    columns = {
        "machine": pa.array([Decimal(row % 2) for row in range(60)], pa.decimal128(10, 2)),
        "at": pa.array([row["at"] for row in ROWS]),
        "sensors.flow": pa.array([Decimal(row) / 4 for row in range(60)], pa.decimal128(18, 6)),
        "speed": pa.array([Decimal("1450.5")] * 60, pa.decimal256(40, 3)),
    }
    parquet.write_table(pa.table(columns), claim / "a.parquet")
    found = take(WANTED, "file:///a.parquet")
    assert (found.readings, found.rejected, found.entities, found.windows) == (60, 0, 2, 46)
    assert found.samples()["short"].values[0, -1].tolist() == [14 / 4, 1450.5]


def test_a_column_of_a_type_that_no_reading_has_is_named(claim):
    rows = [row | {"speed": timedelta(seconds=1)} for row in ROWS]
    parquet.write_table(pa.Table.from_pylist(rows), claim / "a.parquet")
    with pytest.raises(TrainingError, match=r"a column is of a type that no reading has .*speed duration"):
        take(WANTED, "file:///a.parquet")


def test_several_files_follow_one_another(claim):
    (claim / "1.csv").write_bytes(text(ROWS[:30]))
    (claim / "2.csv").write_bytes(text(ROWS[30:]))
    assert take(WANTED, "file:///1.csv", "file:///2.csv").windows == 46


def test_key_and_timestamp_columns_stand_for_those_of_a_message(claim):
    by_key = pipeline(time=Time(), features=[Feature(name="speed")])
    lines = ["key,timestamp,speed", "a,2026-01-01T00:00:00Z,1", "a,2026-01-01T00:00:10Z,2", "a,,3", ",2026-01-01T00:00:10Z,3"]
    (claim / "a.csv").write_text("\n".join(lines))
    found = take(by_key, "file:///a.csv")
    assert (found.readings, found.rejected) == (2, 2)


def test_a_row_may_lack_a_value_but_not_all_of_them_like_a_message(claim):
    rows = ["2026-01-01T00:00:00Z,a,1450,", "2026-01-01T00:00:10Z,a,1450,1", "2026-01-01T00:00:20Z,a,,"]
    (claim / "a.csv").write_text("\n".join(["at,machine,speed,sensors.flow", *rows, ""]))
    found = take(WANTED, "file:///a.csv")
    assert (found.readings, found.rejected) == (2, 0), "a row with nothing is no reading"


def test_a_column_that_is_not_there_is_named_with_those_that_are(claim):
    (claim / "a.csv").write_text("at,machine,speed\n2026-01-01T00:00:00Z,a,1450\n")
    with pytest.raises(TrainingError, match=r"has no column 'sensors.flow' \(it has at, machine, speed\)"):
        take(WANTED, "file:///a.csv")


def test_a_file_that_is_not_there_is_named(claim):
    with pytest.raises(TrainingError, match=r"file:///none.csv cannot be read: .*check spec.training.data.files"):
        take(WANTED, "file:///none.csv")


def test_a_file_outside_the_claim_is_refused(claim):
    with pytest.raises(TrainingError, match="leads out of the volume"):
        take(WANTED, "file:///../etc/passwd.csv")


def test_names_of_several_columns_times_by_a_pattern_and_numbers_as_text_are_read_as_in_messages(claim):
    lines = ["at,line,oven,kind,temperature"]
    lines += [f'{1 + row // 60:02}.01.2026 10:{row % 60:02}:00,A,{row % 2},reading,"1.018,{row % 10} °C"' for row in range(60)]
    lines.append("01.02.2026 10:00:00,A,0,test,1")
    (claim / "ovens.csv").write_text("\n".join(lines))
    wanted = pipeline(
        entity=Entity(template="{line}/{oven}"),
        time=Time(field="at", format=TimeFormat.PATTERN, pattern="%d.%m.%Y %H:%M:%S", zone="Europe/Berlin"),
        features=[Feature(name="temperature", text=TextNumbers(decimal="Comma", thousands="Dot", unit="°C"))],
    ).model_copy(update={"filter": [Condition(field="kind", equals="reading")]})
    found = take(wanted, "file:///ovens.csv")
    assert (found.readings, found.rejected, found.entities) == (60, 0, 2)
    assert found.first_time == datetime(2026, 1, 1, 9, tzinfo=UTC).timestamp() * 1e6
