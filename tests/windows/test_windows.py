"""Windows against an oracle that handles one reading at a time, and what a change of the spec leaves in the buffers."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.schema import Empty
from anomaly_api.source import Entity, Feature, Pipeline, Time, Window
from anomaly_detector.core.columns import Batch
from tests.windows.buffers import Buffers

SECOND = 1_000_000
WINDOWS = [Window(name="short", size=3, max_gap="10s"), Window(name="long", size=5, every=2, max_gap="1m")]
Row = tuple[int, str, int, float]
Cut = tuple[str, int, str, int, tuple[float, ...]]


def pipeline(windows: list[Window]) -> Pipeline:
    return Pipeline(entity=Entity(key=Empty()), time=Time(), features=[Feature(name="a"), Feature(name="b")], windows=windows)


def batch(rows: list[Row]) -> Batch:
    return Batch(
        np.arange(len(rows)),
        np.array([row[0] for row in rows], np.int64),
        [row[1] for row in rows],
        np.array([row[2] * SECOND for row in rows], np.int64),
        np.array([[row[3], -row[3]] for row in rows], np.float32).reshape(-1, 2),
    )


def cuts(buffers: Buffers, rows: list[Row]) -> tuple[list[Cut], int]:
    ordered, windows = buffers.push(batch(rows))
    found = []
    for cut in windows:
        for slot, time, values in zip(cut.slots.tolist(), cut.times.tolist(), cut.values, strict=True):
            assert np.array_equal(values[:, 1], -values[:, 0])
            found.append((cut.name, 0, buffers.entities.names[slot], time // SECOND, tuple(values[:, 0].tolist())))
    return sorted(found), ordered.late + ordered.duplicates


@dataclass
class Oracle:
    """The same, one reading at a time."""

    windows: list[Window]
    gaps: dict[str, int] = field(default_factory=lambda: {"short": 10, "long": 60})
    seen: dict[tuple[int, str], list[tuple[int, float]]] = field(default_factory=dict)
    late: int = 0

    def push(self, rows: list[Row]) -> list[Cut]:
        found = []
        for partition, entity, time, value in rows:
            history = self.seen.setdefault((partition, entity), [])
            if history and time <= history[-1][0]:
                self.late += 1
                continue
            history.append((time, value))
            for window in self.windows:
                run = 1
                while run < len(history) and history[-run][0] - history[-run - 1][0] <= self.gaps[window.name]:
                    run += 1
                if run >= window.size and (run - window.size) % window.every == 0:
                    found.append((window.name, 0, entity, time, tuple(v for _, v in history[-window.size :])))
        return sorted(found)


steps = st.lists(st.tuples(st.integers(0, 1), st.sampled_from("abc"), st.integers(-3, 30)), max_size=120)


@given(steps=steps, sizes=st.lists(st.integers(1, 40), max_size=30))
def test_windows_are_those_of_an_oracle_however_the_stream_is_cut_into_batches(
    steps: list[tuple[int, str, int]], sizes: list[int]
) -> None:
    clock: dict[tuple[int, str], int] = {}
    rows: list[Row] = []
    for number, (partition, entity, step) in enumerate(steps):
        clock[partition, entity] = max(0, clock.get((partition, entity), 100) + step)
        rows.append((partition, entity, clock[partition, entity], float(number)))
    windows, oracle, late = Buffers(pipeline(WINDOWS)), Oracle(WINDOWS), 0
    while rows:
        size = sizes.pop() if sizes else 7
        found, left_out = cuts(windows, rows[:size])
        assert found == oracle.push(rows[:size])
        late += left_out
        rows = rows[size:]
    assert late == oracle.late


def test_more_entities_than_there_was_room_for_keep_their_windows() -> None:
    windows = Buffers(pipeline(WINDOWS))
    for time in range(4):
        found, _ = cuts(windows, [(0, f"entity-{number}", time, float(number)) for number in range(1000)])
    assert len(found) == 1000
    assert (found[0][2], found[0][4]) == ("entity-0", (0.0, 0.0, 0.0))


def test_a_partition_that_is_given_up_leaves_nothing_behind() -> None:
    windows = Buffers(pipeline(WINDOWS))
    cuts(windows, [(partition, "a", time, 1.0) for partition in (0, 1) for time in range(9)])
    windows.entities.drop(0)
    assert cuts(windows, [(0, "a", 9, 2.0)]) == ([], 0)
    assert cuts(windows, [(1, "a", 9, 2.0)])[0][-1] == ("short", 0, "a", 9, (1.0, 1.0, 2.0))
    assert len(windows.entities) == 2


def test_what_was_taken_goes_on_where_it_was_when_put_back() -> None:
    first, second = Buffers(pipeline(WINDOWS)), Buffers(pipeline(WINDOWS))
    cuts(first, [(0, name, time, float(time)) for time in range(9) for name in "ab"])
    second.entities.admit(0, ["other"])
    known = first.entities.known(0)
    slots = np.array(list(known.values()))
    admitted = second.entities.admit(0, known)
    second.windows.put(admitted, first.windows.take(slots))
    second.ordering.put(admitted, first.ordering.take(slots))
    more: list[Row] = [(0, name, time, float(time)) for time in range(8, 14) for name in "ab"]
    assert cuts(first, more) == cuts(second, more)


def test_a_longer_window_starts_with_the_readings_that_are_there() -> None:
    windows = Buffers(pipeline([Window(name="short", size=3)]))
    cuts(windows, [(0, "a", time, float(time)) for time in range(3)])
    windows.windows.adapt([Window(name="short", size=4)])
    assert cuts(windows, [(0, "a", 3, 3.0)])[0] == []  # the buffer held two readings before this one
    assert cuts(windows, [(0, "a", 4, 4.0)])[0] == [("short", 0, "a", 4, (1.0, 2.0, 3.0, 4.0))]


def test_a_shorter_window_is_full_at_once() -> None:
    windows = Buffers(pipeline([Window(name="short", size=5)]))
    cuts(windows, [(0, "a", time, float(time)) for time in range(3)])
    windows.windows.adapt([Window(name="short", size=2)])
    assert cuts(windows, [(0, "a", 3, 3.0)])[0] == [("short", 0, "a", 3, (2.0, 3.0))]


def test_an_empty_batch_gives_no_windows() -> None:
    assert cuts(Buffers(pipeline(WINDOWS)), []) == ([], 0)


def test_large_windows_ask_for_smaller_batches() -> None:
    large = Buffers(pipeline([Window(name="large", size=1024)])).windows
    assert large.most_readings * 1024 * 2 * 4 <= 16_000_000
    assert Buffers(pipeline([Window(name="small", size=2)])).windows.most_readings == 1_000_000
