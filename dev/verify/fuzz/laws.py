"""Laws that hold for any messages, checked by running them through the detector. An AssertionError says which one was broken.

every message is read or refused, with a reason      what is refused can be written down, corrected and read again
a message is read alone as among others              however the stream is cut, the same alerts and rejects come of it
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

import numpy as np

from anomaly_api.alerting import AlertPolicy
from anomaly_api.assignment import Revision
from anomaly_api.calibration import ThresholdSource, WindowThreshold
from anomaly_api.input import Condition, DecimalMark, Merge, Pairs, TextNumbers, ThousandsMark
from anomaly_api.policy import Fallback
from anomaly_api.schema import Empty
from anomaly_api.source import Entity, Feature, KeyFormat, Pipeline, SameTime, Time, TimeFormat, Window
from anomaly_detector.core.columns import Header, Messages
from anomaly_detector.core.decode import dead_letter_lines
from anomaly_detector.core.decode.dead_letters import dead_letters, shortened, split, weight
from anomaly_detector.core.decode.json import Decoder
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.preprocess.counts import ReadingCounts
from anomaly_detector.core.scoring.revisions import LoadedRevision
from anomaly_detector.core.state.records import Read

_NESTED: Final = [Feature(name="a", field="s.a"), Feature(name="b", field="s.b"), Feature(name="c")]
_WINDOWS: Final = [Window(name="short", size=2)]


def _pipeline(entity: Entity, time: Time, features: list[Feature]) -> Pipeline:
    return Pipeline(entity=entity, time=time, features=features, windows=_WINDOWS)


PIPELINES: Final = (
    _pipeline(Entity(key=Empty()), Time(), [Feature(name="a")]),
    _pipeline(Entity(field="d.id"), Time(field="t"), _NESTED),
    _pipeline(Entity(field="id"), Time(field="t", format=TimeFormat.UNIX_SECONDS), _NESTED[:2]),
    _pipeline(
        Entity(constant="plant"), Time(field="at.t", format=TimeFormat.UNIX_MILLIS), [Feature(name="a"), Feature(name="b")]
    ),
    _pipeline(Entity(field="s.a"), Time(), [Feature(name="x", field="s.a"), Feature(name="y", field="s.a.b")]),
    _pipeline(
        Entity(template="{h}/{i}"),
        Time(field="t", format=TimeFormat.PATTERN, pattern="%d.%m.%Y %H:%M:%S.%f", zone="Europe/Berlin"),
        [
            Feature(name="a", text=TextNumbers(decimal=DecimalMark.COMMA, thousands=ThousandsMark.DOT, unit="°C")),
            Feature(name="b", values={"RUNNING": 1, "true": 2}, missing_values=[-9999]),
            Feature(name="c", missing_values=[-9999]),
        ],
    ).model_copy(update={"filter": [Condition(field="i", none_of=["x"]), Condition(field="q", exists=False)]}),
    _pipeline(
        Entity(key=Empty(), key_format=KeyFormat.JSON),
        Time(field="t", format=TimeFormat.UNIX_NANOS, same_time=SameTime.KEEP),
        [Feature(name="a", text=TextNumbers()), Feature(name="b")],
    ).model_copy(
        update={
            "filter": [Condition(field="type", none_of=["x"]), Condition(field="l", exists=True)],
            "pairs": Pairs(list_="l", name="n", value="v"),
            "merge": Merge(within="5s"),
        }
    ),
)
"""Every way to name an entity and to write a time; nested, flat, doubled, contradictory features; text, states and pairs."""
GOOD: Final = (
    b'{"a":1.5}',
    b'{"d":{"id":"e"},"t":"2026-01-01T00:00:00Z","s":{"a":1,"b":2.5},"c":-3}',
    b'{"id":7,"t":1767225600.25,"s":{"a":1,"b":2.5}}',
    b'{"at":{"t":1767225600250},"a":1,"b":2}',
    b'{"s":{"a":1}}',
    '{"h":"x","i":2,"t":"31.01.2026 10:00:00.5","a":"1.018,5 °C","b":"RUNNING","c":-9999}'.encode(),
    b'{"type":"y","t":1767225600250000000,"l":[{"n":"a","v":"1.5"},{"n":"b","v":2}]}',
)
"""A message for each of them; nothing suits the fifth one."""


class Sent(NamedTuple):
    """A message."""

    value: bytes | None
    key: bytes | None = b"k"
    timestamp_ms: int = 1_767_225_600_000
    headers: tuple[Header, ...] = ()


def check(place: int, sent: Sequence[Sent]) -> None:
    """All laws, for messages to the pipeline at this place."""
    check_decoding(place, sent)
    check_letters(place, sent)
    check_stream(place, sent)


def check_decoding(place: int, sent: Sequence[Sent]) -> None:
    """Decoding: every message once, alone as among others."""
    decoder = _decoder(place)
    columns = messages(sent)
    whole = decoder.decode(columns.values, columns.keys, columns.timestamps_ms)
    rows, refused, skipped = whole.batch.rows.tolist(), {reject.row: reject for reject in whole.rejects}, dict(whole.skips)
    assert sorted([*rows, *refused, *skipped]) == list(range(len(sent))), "every message is read, refused or left alone, once"
    assert rows == sorted(rows), "in their order"
    assert all(whole.batch.entities), "every reading has an entity"
    assert all(reject.message for reject in whole.rejects), "every refusal says why"
    for row, each in enumerate(sent):
        alone = messages([each])
        found = decoder.decode(alone.values, alone.keys, alone.timestamps_ms)
        if row in skipped:
            assert found.skips == [(0, skipped[row])], "left alone, alone as among others"
            continue
        if row in refused:
            assert [reject._replace(row=row) for reject in found.rejects] == [refused[row]], "refused alone as among others"
            continue
        place = rows.index(row)
        assert found.batch.entities == whole.batch.entities[place : place + 1], "of the same entity alone as among others"
        assert found.batch.times.tolist() == whole.batch.times[place : place + 1].tolist(), "at the same time"
        assert found.batch.values.tobytes() == whole.batch.values[place : place + 1].tobytes(), "with the same values"


def check_letters(place: int, sent: Sequence[Sent]) -> None:
    """Dead letters: what was sent comes back out of them."""
    columns = messages(sent)
    read = Read(columns, np.arange(len(sent), dtype=np.int64))
    rejects = _decoder(place).decode(columns.values, columns.keys, columns.timestamps_ms).rejects
    for reject, letter in zip(rejects, dead_letters(read, rejects, "source", "dead"), strict=True):
        was = sent[reject.row]
        assert (letter.key, letter.value) == (was.key, was.value), "a dead letter is the message as it came"
        parts = split(letter.headers)
        assert parts is not None, "our headers are found again"
        assert tuple(parts[0]) == was.headers, "beside its own"
        line = dead_letter_lines.line(0, 0, letter.key, letter.value, letter.headers)
        assert line is not None, "it can be listed"
        again = dead_letter_lines.decode(dead_letter_lines.encode(line))
        content = (dead_letter_lines.content(again.key), dead_letter_lines.content(again.value))
        assert content == (was.key, was.value), "a line is the message as it came"
        assert tuple(dead_letter_lines.headers_of(again)) == was.headers
        cut = shortened(letter)
        assert cut is None or weight(cut) < weight(letter), "a shorter one is shorter"


def check_stream(place: int, sent: Sequence[Sent], streams: tuple[DetectionPipeline, DetectionPipeline] | None = None) -> None:
    """All stages: all at once or one by one; without `streams` those of the statistical scorer."""
    whole, single = streams or _streams(place)
    whole.forget(0)
    single.forget(0)
    outcome = whole.process(messages(sent))
    parts = [single.process(messages([each])) for each in sent]
    assert [row for row, _ in outcome.skips] == [row for row, part in enumerate(parts) for _ in part.skips]
    assert [reject.row for reject in outcome.rejects] == [row for row, part in enumerate(parts) for _ in part.rejects]
    ours = [(alert.row, alert.entity, alert.value) for alert in outcome.alerts]
    theirs = [(row, alert.entity, alert.value) for row, part in enumerate(parts) for alert in part.alerts]
    assert sorted(ours) == sorted(theirs), "however the stream is cut"
    assert outcome.windows == sum(part.windows for part in parts)
    assert outcome.tally == sum((part.tally for part in parts), ReadingCounts()), "what is left out is counted alike"
    assert whole.entities == single.entities


def messages(sent: Sequence[Sent]) -> Messages:
    """As columns, of one partition."""
    stamps = np.array([each.timestamp_ms for each in sent], np.int64)
    return Messages(
        [each.value for each in sent],
        [each.key for each in sent],
        stamps,
        np.zeros(len(sent), np.int64),
        lambda row: sent[row].headers,
    )


@cache
def _decoder(place: int) -> Decoder:
    return Decoder(PIPELINES[place])


@cache
def _streams(place: int) -> tuple[DetectionPipeline, DetectionPipeline]:
    """Making one takes a hundred times as long as what is done with it."""
    return DetectionPipeline("/laws", alarmed(PIPELINES[place])), DetectionPipeline("/laws", alarmed(PIPELINES[place]))


def alarmed(pipeline: Pipeline) -> LoadedRevision:
    """A scorer that decides from the third reading of an entity on, and is easily alarmed."""
    asked = {"value": 1.0, "source": ThresholdSource.FALLBACK, "asked": "1"}
    return LoadedRevision(
        Revision(
            model=None,
            model_name=None,
            pipeline=pipeline,
            thresholds=[WindowThreshold(window=window.name, **asked) for window in pipeline.windows],
            fallback=Fallback(warmup=2, standard_deviations=1.0),
            alerts=AlertPolicy(),
        )
    )
