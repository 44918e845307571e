"""The format of the state topic, byte for byte: `golden.jsonl` holds what a partition with a candidate in shadow writes.

A change of the format is a change of this file: `python -m tests.state.test_format` writes it anew.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np

from anomaly_api.alert import ScorerKind
from anomaly_api.alerting import AlertPolicy
from anomaly_api.policy import Fallback
from anomaly_api.source import Window
from anomaly_detector.core.columns import Messages
from anomaly_detector.core.configuration import Configuration, Decider, Deciders
from anomaly_detector.core.entities.quota import Bounds
from anomaly_detector.core.episodes.by_revision import Comparison, RevisionEpisodes
from anomaly_detector.core.episodes.policy import EpisodePolicy
from anomaly_detector.core.episodes.processor import WindowScores
from anomaly_detector.core.preprocess.intake import Intake
from anomaly_detector.core.preprocess.preprocessor import Preprocessor
from anomaly_detector.core.state.changelog import SourceIdentity, decode_episodes, decode_labels, decode_limit
from anomaly_detector.core.state.changelog_writer import ChangelogWriter
from anomaly_detector.core.state.records import Record
from anomaly_detector.core.state.recovery import Changelog, Recovered
from tests.stream.pods import PIPELINE

GOLDEN = Path(__file__).parent / "golden.jsonl"
IDENTITY = SourceIdentity(topic="0123456789abcdefghijkl", partitions=2)
POLICY = EpisodePolicy(
    AlertPolicy.model_validate(
        {"open": {"windows": 1}, "limits": {"perEntity": {"episodes": 1, "per": "1h"}, "total": {"episodes": 1, "per": "1h"}}}
    )
)
SMALL, LARGE = Window(name="short", size=4, max_gap="20s"), Window(name="short", size=8, max_gap="20s")


def decider(letter: str, window: Window) -> Decider:
    digest, model = letter * 64, f"sha256:{letter * 64}"
    return Decider(revision=digest, windows=[window], scorer=ScorerKind.AUTOENCODER, model=model, thresholds={"short": 0.25})


STABLE, CANDIDATE = decider("a", SMALL), decider("b", LARGE)
INTAKE = Intake.of(PIPELINE, Fallback(), bounds=Bounds(bytes=1_000_000, entity_bytes=500, idle=3_600_000_000)).model_copy(
    update={"windows": [SMALL, LARGE]}
)
ALONE = Configuration(intake=INTAKE.model_copy(update={"windows": [SMALL]}), deciders=Deciders(stable=STABLE))
SHADOWED = Configuration(intake=INTAKE, deciders=Deciders(stable=STABLE, candidate=CANDIDATE))
BESIDE = Intake.of(PIPELINE.model_copy(update={"features": PIPELINE.features[1:]}), Fallback())
APART = Configuration(intake=INTAKE, beside=BESIDE, deciders=Deciders(stable=STABLE, candidate=CANDIDATE))
SHARED = Configuration(intake=INTAKE, deciders=Deciders(stable=STABLE, candidate=CANDIDATE, weight=10, rollout="pumps-2"))


def readings(count: int) -> Messages:
    """Two pumps by turns; the first is off from 15 on, the second from 25 on."""
    values = [
        json.dumps({"at": 1000 + at, "temperature": 20.0, "pressure": 0.5 + 4.0 * (at > 15 + 10 * (at % 2))}).encode()
        for at in range(count)
    ]
    zeros = np.zeros(count, np.int64)
    return Messages(values, [b"pump-%d" % (at % 2) for at in range(count)], zeros, zeros)


def written() -> list[Record]:
    """All that goes into the state topic: a beginning, a candidate, episodes, limits, a checkpoint."""
    writer = ChangelogWriter("state", 0, Recovered(0, 0, None), ALONE)
    writer.change(ALONE, 0, begin=True)
    writer.source(IDENTITY)
    writer.change(SHADOWED, 0, begin=False)
    writer.change(APART, 0, begin=False)
    writer.change(SHARED, 0, begin=False)
    preprocessor, messages = Preprocessor(INTAKE), readings(50)
    episodes = RevisionEpisodes(preprocessor.entities, STABLE.name, POLICY, ["short"])
    episodes.adopt(STABLE.name, POLICY, ["short"], Comparison(CANDIDATE.name, POLICY, ["short"]))
    assert episodes.candidate is not None
    [batch] = preprocessor.micro_batches(preprocessor.decode(messages).batch)
    found = preprocessor.process(batch)
    for table, window in zip((episodes.told, episodes.candidate), found.windows, strict=True):
        places, slots, times = window.places, window.slots, window.times
        scores = window.values[:, :, 1].mean(axis=1, dtype=np.float32)
        table.observe([WindowScores("short", found.readings.rows, places, slots, times, scores)], messages.partitions)
    for partition, entity in episodes.dirty():
        writer.note_episodes(entity, episodes.of(partition, entity))
    writer.note_limit(episodes.limit_of(0))
    slot, window, _ = episodes.told.open_ones()[-1]
    episodes.told.accept(slot, window)
    for partition, entity in episodes.dirty():
        writer.note_episodes(entity, episodes.of(partition, entity))
    writer.note_labels(0, 7)
    writer.refuse([40, 41])
    beside = Preprocessor(BESIDE)
    for portion in beside.micro_batches(beside.decode(messages).batch):
        beside.process(portion)
    writer.begin_checkpoint(preprocessor.snapshot(0) | {"beside": beside.snapshot(0)}, 50)
    writer.pieces(None)
    return list(writer.drain())


def lines(records: list[Record]) -> list[str]:
    return [
        json.dumps({"key": (record.key or b"").decode(), "value": base64.b64encode(record.value or b"").decode()})
        for record in records
    ]


def golden() -> list[tuple[bytes, bytes | None]]:
    found = map(json.loads, GOLDEN.read_text().splitlines())
    return [(each["key"].encode(), base64.b64decode(each["value"]) or None) for each in found]


def test_the_state_topic_holds_the_bytes_of_the_golden_file() -> None:
    assert lines(written()) == GOLDEN.read_text().splitlines()


def test_what_the_golden_file_holds_is_understood() -> None:
    changelog = Changelog()
    for key, value in golden():
        changelog.add(key, value)
    found = changelog.recover(50, 0, 50, latest=False, source=IDENTITY)
    assert (found.start, found.until, found.note, found.source) == (50, 50, "", None)
    assert found.configuration is not None
    deciders = found.configuration.deciders
    assert (deciders.stable.revision, deciders.weight) == (STABLE.revision, 10)
    assert deciders.candidate is not None
    assert deciders.candidate.revision == CANDIDATE.revision
    assert sorted(found.state["names"]) == sorted(found.state["beside"]["names"]) == ["pump-0", "pump-1"]


def test_what_people_said_is_in_the_golden_file() -> None:
    changelog = Changelog()
    for key, value in golden():
        changelog.add(key, value)
    found = changelog.recover(50, 0, 50, latest=False, source=IDENTITY)
    assert decode_episodes(found.episodes["pump-1"])[STABLE.name]["short"]["accepted"] > 1
    assert found.labels is not None
    assert decode_labels(found.labels) == {0: 8}


def test_windows_of_one_name_of_two_revisions_are_kept_apart() -> None:
    changelog = Changelog()
    for key, value in golden():
        changelog.add(key, value)
    found = changelog.recover(50, 0, 50, latest=False, source=IDENTITY)
    names = {STABLE.name, CANDIDATE.name}
    episodes = decode_episodes(found.episodes["pump-0"])
    assert set(episodes) == names
    starts = [episodes[name]["short"]["start"] for name in (STABLE.name, CANDIDATE.name)]
    assert starts[0] < starts[1], "the larger window is above the threshold later"
    assert found.limit is not None
    assert set(decode_limit(found.limit)) == names


if __name__ == "__main__":
    GOLDEN.write_text("\n".join(lines(written())) + "\n")
