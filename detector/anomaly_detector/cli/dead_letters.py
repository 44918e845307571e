"""Dead letters for people: `python -m anomaly_detector.cli.dead_letters list|replay`, in a scoring pod, with its credentials.

    list                         prints those that have not been put back, a line of JSON each
    replay < corrected lines     puts them back into the topic, each once, however often it is run

Between the two is whatever corrects a line: an editor, jq, a script. It changes `value`, or `key`. A line that still cannot be
read as the detector's spec asks is left out. Exit status 1 when a line was left out or Kafka refused.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Final

import numpy as np

from anomaly_api.alert import DeadLetterReason
from anomaly_api.assignment import Runtime
from anomaly_detector.adapters import assignment_files
from anomaly_detector.adapters.assignment_files import AssignmentError
from anomaly_detector.adapters.kafka.consume import dead_letters
from anomaly_detector.adapters.kafka.consume.dead_letters import Correction, LettersError, Replay
from anomaly_detector.adapters.kafka.security.access import AccessError
from anomaly_detector.core.decode import dead_letter_lines
from anomaly_detector.core.decode.dead_letter_lines import LineError
from anomaly_detector.core.decode.dead_letters import Origin
from anomaly_detector.core.decode.formats.decoder import DocumentDecoder, decoder_of
from anomaly_detector.core.decode.json import Decoder
from anomaly_detector.settings import Settings

_AT_ONCE: Final = 500
"""Messages in a transaction."""
WRITTEN, ALREADY, UNREADABLE, NO_LINE = "put back", "put back before", "still cannot be read", "no dead letters of this topic"


class Replaying:
    """Lines of standard input, until there are no more."""

    def __init__(self, runtime: Runtime, decoder: Decoder | DocumentDecoder | None, replay: Replay | None) -> None:
        """`decoder`: None puts messages back unread. `replay`: None puts nothing back. Raises LettersError."""
        self._runtime, self._decoder, self._replay = runtime, decoder, replay
        self._done: set[Origin] = dead_letters.already(runtime)
        self.counts: Counter[str] = Counter({WRITTEN: 0})

    def run(self, texts: Iterable[bytes]) -> None:
        """Raises LettersError; what was counted is done all the same."""
        numbered = ((number, text) for number, text in enumerate(texts, 1) if text.strip())
        while chunk := list(islice(numbered, _AT_ONCE)):
            corrections = self._readable(list(self._parsed(chunk)))
            if self._replay is not None and corrections:
                self._replay.write(corrections)
            self.counts[WRITTEN] += len(corrections)

    def _parsed(self, chunk: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, Correction]]:
        """Those that are to be put back, with the numbers of their lines."""
        for number, text in chunk:
            try:
                correction = _correction(text, self._runtime.kafka.topic)
            except LineError as error:
                self._give_up_on(number, NO_LINE, str(error))
                continue
            if correction.source in self._done:
                self.counts[ALREADY] += 1
                continue
            self._done.add(correction.source)
            yield number, correction

    def _readable(self, asked: list[tuple[int, Correction]]) -> list[Correction]:
        """Those that would not come back as dead letters at once."""
        if self._decoder is None or not asked:
            return [correction for _, correction in asked]
        values, keys = [each.value for _, each in asked], [each.key for _, each in asked]
        stamps = np.array([each.timestamp_ms for _, each in asked], np.int64)
        refused = {reject.row: reject for reject in self._decoder.decode(values, keys, stamps).rejects}
        for row, reject in refused.items():
            self._give_up_on(asked[row][0], UNREADABLE, f"{reject.reason}: {reject.message}")
            self._done.discard(asked[row][1].source)
        return [correction for row, (_, correction) in enumerate(asked) if row not in refused]

    def _give_up_on(self, number: int, why: str, message: str) -> None:
        self.counts[why] += 1
        print(f"line {number}: {message}", file=sys.stderr)


def show(runtime: Runtime, reasons: list[str] | None, since_ms: int | None, most: int | None, *, everything: bool) -> int:
    """Prints dead letters, each once; how many."""
    seen: set[Origin] = set() if everything else dead_letters.already(runtime)
    count = 0
    for found in dead_letters.read(runtime, since_ms):
        if found.put_back or found.source in seen or (reasons and found.reason not in reasons):
            continue
        if most is not None and count >= most:
            break
        seen.add(found.source)  # at least once may have written it twice
        sys.stdout.buffer.write(dead_letter_lines.encode(found) + b"\n")
        count += 1
    sys.stdout.buffer.flush()
    return count


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    asked = _asked(arguments)
    try:
        folder = Settings.from_environment().config_folder
        runtime = assignment_files.runtime(folder)
        if asked.what == "list":
            count = show(runtime, asked.reason, asked.since, asked.limit, everything=asked.all)
            print(f"{count} dead letters of topic {runtime.kafka.topic}", file=sys.stderr)
            return 0
        decoder = None if asked.unread else decoder_of(assignment_files.assignment(folder).stable.pipeline)
        replaying = Replaying(runtime, decoder, None if asked.dry_run else Replay(runtime, asked.partitioner))
        try:
            replaying.run(sys.stdin.buffer)
        finally:
            said = ", ".join(f"{count} {what}" for what, count in replaying.counts.items())
            print(f"{'dry run: ' if asked.dry_run else ''}{said}", file=sys.stderr)
    except (AssignmentError, LettersError, AccessError, ValueError) as error:
        print(f"dead_letters: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `list | head`
        sys.stderr.close()
        return 0
    return int(bool(replaying.counts[UNREADABLE] or replaying.counts[NO_LINE]))


def _correction(text: bytes, topic: str) -> Correction:
    """Raises LineError."""
    line = dead_letter_lines.decode(text)
    if line.put_back or line.origin.topic != topic:
        raise LineError(f"it is no dead letter of topic {topic}: take the lines that `list` prints")
    key = dead_letter_lines.content(line.key)
    return Correction(
        source=line.source,
        letter=line.letter.partition,
        key=key,
        value=dead_letter_lines.content(line.value),
        headers=dead_letter_lines.headers_of(line),
        moved=dead_letter_lines.crc32(key) != line.letter.key_crc32,
        timestamp_ms=_millis(line.origin.time) if line.origin.time else -1,
    )


def _millis(text: str) -> int:
    """Of an RFC 3339 time. Raises LineError."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise LineError(f"the time {text!r} is none: write it as 2026-01-31T10:00:00Z") from error
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _since(text: str) -> int:
    try:
        return _millis(text)
    except LineError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _asked(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dead_letters", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_subparsers(dest="what", required=True)
    listing = what.add_parser("list", help="print dead letters that have not been put back")
    known = [reason.value for reason in DeadLetterReason]
    listing.add_argument("--reason", action="append", choices=known, metavar="REASON", help=f"only these: {', '.join(known)}")
    listing.add_argument("--since", type=_since, metavar="TIME", help="only what was refused since, as 2026-01-31T10:00:00Z")
    listing.add_argument("--limit", type=int, metavar="N", help="at most so many")
    listing.add_argument("--all", action="store_true", help="those that have been put back as well")
    putting = what.add_parser("replay", help="put lines of standard input back into the topic")
    putting.add_argument("--dry-run", action="store_true", help="say what would be done")
    putting.add_argument(
        "--partitioner",
        default="murmur2_random",
        choices=["murmur2_random", "consistent_random", "fnv1a_random"],
        help="how producers choose the partition of a key, for messages whose key was corrected (default: as Java's do)",
    )
    putting.add_argument("--unread", action="store_true", help="put back even what the detector cannot read")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
