"""`anomaly-detector run`: the pipeline of production in one process, on the lines of files or of standard input. For the edge.

A line is a message, in the spec's format and envelope; alerts are CloudEvents, a line each, on standard output, and messages that
cannot be read are told on standard error. With `--state` what is remembered (windows, baselines, open episodes) is in a file,
which is written every half minute and at the end: a process that starts again goes on from there. What a process that was killed
had read since is not remembered; exactly once is Kafka's.
"""

import argparse
import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import numpy as np

from anomaly_api.detector import AnomalyDetector
from anomaly_detector.cli import spec_file
from anomaly_detector.cli.backtest import MODEL_FILE
from anomaly_detector.cli.errors import CommandError
from anomaly_detector.core.columns import Messages
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.revisions import LoadedRevision
from anomaly_detector.core.state.checkpoint import CheckpointError, pack, unpack

_BATCH: Final = 4_096
_WAIT_SECONDS: Final = 0.2
_READ_BYTES: Final = 1 << 18
_SAVE_SECONDS: Final = 30.0
_MAGIC: Final = b"anomaly-detector state 1\n"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own."""
    parser.add_argument("spec", metavar="SPEC", type=Path, help="YAML file with an AnomalyDetector")
    parser.add_argument("data", metavar="FILE", nargs="*", default=["-"], help="messages, a line each; - is standard input")
    parser.add_argument("--model", metavar="FOLDER", type=Path, help="the model that `fit` made; without one statistics decide")
    parser.add_argument("--key", metavar="SEPARATOR", help="lines begin with the message key, up to this text")
    parser.add_argument("--state", metavar="FILE", type=Path, help="keep in this file what is remembered, and go on from it")


def run(asked: argparse.Namespace) -> int:
    """Raises CommandError."""
    detector = spec_file.detector(asked.spec)
    if asked.key is None and detector.spec.entity.key is not None:
        raise CommandError(
            f"{asked.spec}: the entity is the message key, and lines have none: set entity.field or entity.constant, or use --key"
        )
    edge = _Edge(detector, asked)
    stopped = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.append(1))
    for lines in _lines(asked.data, stopped):
        edge.take(lines)
        if stopped:
            break
    edge.save()
    print(edge.summary(), file=sys.stderr)
    return 0


class _Edge:
    """A detector at work."""

    def __init__(self, detector: AnomalyDetector, asked: argparse.Namespace) -> None:
        name = detector.metadata.get("name", asked.spec.stem)
        source = f"/namespaces/{detector.metadata.get('namespace', 'default')}/anomalydetectors/{name}"
        loaded = _loaded(detector, asked.model)
        self._pipeline = DetectionPipeline(source, loaded)
        self._separator = None if asked.key is None else asked.key.encode()
        self._path: Path | None = asked.state
        self._saved = time.monotonic()
        self._readings = self._alerts = self._rejects = 0
        self._digest = loaded.revision.digest
        self._restore()

    def take(self, lines: list[bytes]) -> None:
        """Decides the messages of some lines."""
        keys, values = self._split(lines)
        now = int(time.time() * 1000)
        stamps, partitions = np.full(len(values), now, np.int64), np.zeros(len(values), np.int64)
        outcome = self._pipeline.process(Messages(values, keys, stamps, partitions, read_ms=now))
        for alert in outcome.alerts:
            sys.stdout.buffer.write(alert.value + b"\n")
        sys.stdout.buffer.flush()
        for reject in outcome.rejects:
            print(json.dumps({"reason": reject.reason.value, "message": reject.message}), file=sys.stderr)
        self._readings += outcome.readings
        self._alerts += len(outcome.alerts)
        self._rejects += len(outcome.rejects)
        if time.monotonic() - self._saved > _SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Writes what is remembered to the file, all or nothing. Raises CommandError."""
        self._saved = time.monotonic()
        if self._path is None:
            return
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            with fresh.open("wb") as file:
                open_episodes = msgspec.msgpack.encode(self._pipeline.episodes.snapshot(0), enc_hook=_plain)
                file.write(_MAGIC + self._digest.encode() + b"\n" + len(open_episodes).to_bytes(8) + open_episodes)
                for piece in pack(self._pipeline.preprocessor.snapshot(0)):
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as error:
            raise CommandError(f"{self._path} cannot be written: {error.strerror}") from error

    def summary(self) -> str:
        """What was done, for people."""
        return f"{self._readings:,} readings, {self._alerts:,} alerts, {self._rejects:,} messages that could not be read"

    def _restore(self) -> None:
        if self._path is None or not self._path.exists():
            return
        content = self._path.read_bytes()
        head, _, rest = content.removeprefix(_MAGIC).partition(b"\n")
        if not content.startswith(_MAGIC):
            raise CommandError(f"{self._path} is no state of `anomaly-detector run`: name another file, or delete it")
        if head.decode(errors="replace") != self._digest:
            print(f"{self._path} is of another spec or model: what was remembered is left behind", file=sys.stderr)
            return
        try:
            end = 8 + int.from_bytes(rest[:8])
            self._pipeline.restore(0, unpack([rest[end:]]) | msgspec.msgpack.decode(rest[8:end]))
        except (CheckpointError, msgspec.MsgspecError) as error:
            raise CommandError(f"{self._path}: {error}: delete it to begin anew") from error

    def _split(self, lines: list[bytes]) -> tuple[list[bytes | None], list[bytes | None]]:
        """Keys and values."""
        if self._separator is None:
            return [None] * len(lines), list(lines)
        parts = [line.partition(self._separator) for line in lines]
        return [key for key, _, _ in parts], [value for _, _, value in parts]


def _plain(array: Any) -> Any:
    """Columns of open episodes are few and short: lists will do."""
    return array.tolist()


def _loaded(detector: AnomalyDetector, folder: Path | None) -> LoadedRevision:
    from anomaly_detector.cli.fitting import load, revision_of  # brings the trainer's code
    from anomaly_detector.core.scoring.onnx import Model

    spec = detector.spec
    trained = None
    if folder is not None:
        path = folder / MODEL_FILE if folder.is_dir() else folder
        try:
            trained = load(path.read_bytes(), spec)
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}; make it with `anomaly-detector fit`") from error
    revision = revision_of(spec, trained).model_copy(update={"pipeline": spec.pipeline})
    return LoadedRevision(revision, Model(trained.artifact, spec.pipeline) if trained else None)


def _lines(paths: list[str], stopped: list[int]) -> Iterator[list[bytes]]:
    """Lines as they come: what is there is handed over at once, and a fifth of a second after it came at the latest.

    Raises CommandError.
    """
    for path in paths:
        if path == "-":
            yield from _of(sys.stdin.buffer, stopped)
            continue
        try:
            with Path(path).open("rb") as file:
                yield from _of(file, stopped)
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}") from error


def _of(file: IO[bytes], stopped: list[int]) -> Iterator[list[bytes]]:
    waiting, descriptor = b"", file.fileno()
    while not stopped:
        if not select.select([descriptor], [], [], _WAIT_SECONDS)[0]:
            continue
        found: Any = os.read(descriptor, _READ_BYTES)
        *lines, waiting = (waiting + found).split(b"\n") if found else [waiting, b""]
        lines = [line for line in lines if line.strip()]
        for start in range(0, len(lines), _BATCH):
            yield lines[start : start + _BATCH]
        if not found:
            return
