"""Dead letters that are listed, corrected and put back, as a user does it in a pod; on a real broker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from anomaly_api.assignment import Assignment
from anomaly_detector.adapters.kafka.consume.dead_letters import Correction, LettersError, Replay
from anomaly_detector.core.decode.dead_letters import Origin
from dev.harness.scoring_pod import ScoringPod
from tests.stream.pods import Topics, pod, revision, runtime

if TYPE_CHECKING:
    from dev.environment.kafka.broker import Broker

pytestmark = pytest.mark.integration
Line = dict[str, Any]


@pytest.fixture
def topics(kafka: Broker) -> Topics:
    found = Topics(kafka.bootstrap)
    found.create(retention_ms="-1")  # readings of 2020: the broker deletes them half a minute after its start otherwise
    return found


def command(running: ScoringPod, *arguments: str, stdin: bytes = b"", status: int = 0) -> tuple[list[Line], str]:
    """As `kubectl exec` runs it: lines of standard output, and what is said beside them."""
    environment = {**os.environ, "ANOMALY_CONFIG_FOLDER": str(running.folder)}
    whole = [sys.executable, "-m", "anomaly_detector.cli.dead_letters", *arguments]
    done = subprocess.run(whole, env=environment, input=stdin, capture_output=True, timeout=120, check=False)
    assert done.returncode == status, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()


def written(lines: list[Line]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def corrected(line: Line) -> Line:
    """As `jq '.value |= (fromjson | .pressure |= tonumber | tojson)'` does it."""
    value = json.loads(line["value"])
    return line | {"value": json.dumps(value | {"pressure": float(value["pressure"])})}


def test_corrected_dead_letters_are_put_back_once_however_often_it_is_asked(topics: Topics, tmp_path: Path) -> None:
    texts = [json.dumps({"at": 1000 + n, "temperature": None, "pressure": f"{3 + n}.5"}).encode() for n in range(4)]
    for number, text in enumerate(texts):
        topics.send(
            text, b"pump-%d" % number, partition=number % 2, headers=[("trace", b"%d" % number)], timestamp=1_600_000_000_000
        )
    topics.send(b"\xff", b"\xfe")
    topics.producer.flush(30)
    with pod(tmp_path / "pod", runtime(topics), Assignment(stable=revision())) as running:
        running.until(lambda found: found.readings == 5 and found.source.lag == 0)
        topics.received(topics.dead_letters, 5)
        every, said = command(running, "list")
        assert "5 dead letters" in said
        lines, _ = command(running, "list", "--reason", "FeatureInvalid")
        assert sorted(line["origin"]["offset"] + 10 * line["origin"]["partition"] for line in lines) == [0, 1, 10, 11]
        assert lines[0]["message"] == "pressure: expected a number, found text (set text or values of the feature to read it)"
        [other] = [line for line in every if line not in lines]
        assert (other["key"], other["value"]) == ({"base64": "/g=="}, {"base64": "/w=="})

        _, said = command(running, "replay", stdin=written([*lines, other]), status=1)
        assert "line 1: FeatureInvalid: pressure: expected a number, found text" in said
        assert "0 put back, 5 still cannot be read" in said
        right = [corrected(line) for line in lines]
        _, said = command(running, "replay", "--dry-run", stdin=written(right))
        assert "dry run: 4 put back" in said
        _, said = command(running, "replay", stdin=written(right[:3]))
        assert "3 put back" in said
        _, said = command(running, "replay", stdin=written([*right, *right]))
        assert "1 put back, 7 put back before" in said

        evidence = running.until(lambda found: found.readings == 9)
        assert sum(evidence.dead_letters.values()) == 5, "what was put back can be read"
        records = [each for each in topics.received(topics.name, 9) if (each.offset() or 0) > 1]
        back = {each.key(): each for each in records if dict(each.headers() or []).get("replay-of")}
        assert sorted(back) == [b"pump-0", b"pump-1", b"pump-2", b"pump-3"]
        for number, text in enumerate(texts):
            record = back[b"pump-%d" % number]
            assert json.loads(record.value() or b"") == json.loads(text) | {"pressure": 3.5 + number}
            assert record.partition() == number % 2, "where it was"
            assert record.timestamp()[1] == 1_600_000_000_000
            offset = number // 2
            assert record.headers() == [("trace", b"%d" % number), ("replay-of", f"{topics.name}/{number % 2}/{offset}".encode())]
        left, _ = command(running, "list")
        assert left == [other]
        everything, _ = command(running, "list", "--all")
        assert len(everything) == 5
        assert command(running, "list", "--since", "2999-01-01T00:00:00Z")[0] == []
        assert len(command(running, "list", "--all", "--limit", "2")[0]) == 2


def test_a_line_that_is_none_is_named_and_the_others_are_put_back(topics: Topics, tmp_path: Path) -> None:
    topics.send(b'{"at": 1, "temperature": 1, "pressure": 1}', None)
    topics.producer.flush(30)
    with pod(tmp_path / "pod", runtime(topics), Assignment(stable=revision())) as running:
        topics.received(topics.dead_letters, 1)
        [line], _ = command(running, "list")
        right = line | {"key": "pump-7", "value": '{"at": 1, "temperature": 1, "pressure": 1}'}
        foreign = line | {"origin": line["origin"] | {"topic": "other"}}
        text = b'not json\n\n{"key": "a"}\n' + written([foreign, right])
        _, said = command(running, "replay", stdin=text, status=1)
        assert "line 1: " in said
        assert "line 3: " in said
        assert f"line 4: it is no dead letter of topic {topics.name}" in said
        assert "1 put back, 3 no dead letters of this topic" in said
        running.until(lambda found: found.readings == 2 and found.entities == 1)


def test_of_two_at_once_the_first_ends(topics: Topics) -> None:
    order = runtime(topics)
    first = Replay(order, "murmur2_random")
    Replay(order, "murmur2_random")
    with pytest.raises(LettersError, match="another replay has begun"):
        first.write([Correction(Origin(topics.name, 0, 0, ""), 0, b"k", b"{}", (), False, -1)])


def test_a_folder_without_orders_and_a_topic_that_is_missing_are_said(topics: Topics, tmp_path: Path) -> None:
    nowhere = ScoringPod(tmp_path)  # nothing is asked of it
    assert "runtime.json" in command(nowhere, "list", status=1)[1]
    order = runtime(topics).model_copy(update={"dead_letter_topic": "missing"})
    (tmp_path / "runtime.json").write_text(order.model_dump_json())
    said = command(nowhere, "list", status=1)[1]
    assert topics.bootstrap in said
    assert "Traceback" not in said
