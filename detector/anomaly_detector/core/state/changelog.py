"""The state topic's format: what stands in it for a partition of the source, as keys and values. It decides nothing.

    changes/<number>        from some offset on another configuration decides; `begin`: and all that was remembered is void
    episodes/<entity>       by revision and window, an entity's episodes, open or beginning, as of that transaction
    limit                   by revision, how many episodes of the partition were announced lately, and how many held back
    checkpoint/<a|b>/<i>    a piece of what was remembered at some offset
    refused/<offset>        offsets of messages that were refused as from the future: a later clock would believe some of them
    labels                  how far records of the labels topic that are no labels have been told; of partition 0 alone
    source                  which topic it is, and how many partitions it had when the partition was begun
    checkpoint              names the slot whose pieces are complete, their offset and their configuration

The topic is compacted, and has the partitions of the source. All that a transaction decided is in the same transaction. State
that belongs to a revision stands under the revision's name, so that windows of the same name of two revisions are kept apart.
`tests/state` holds golden files: a format that changes fails there.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from anomaly_api.schema import Contract
from anomaly_detector.core.configuration import Configuration

FORMAT: Final[Literal[1]] = 1
"""Written with every record. Records of another format are told of and left aside: none has ever been released."""
CHANGES: Final = b"changes/"
EPISODES: Final = b"episodes/"
LIMIT: Final = b"limit"
PIECE: Final = b"checkpoint/"
HEADER: Final = b"checkpoint"
SOURCE: Final = b"source"
LABELS: Final = b"labels"
REFUSED: Final = b"refused/"
SLOTS: Final = ("a", "b")


class Change(Contract):
    """Which configuration decides from an offset on."""

    format: Literal[1] = FORMAT
    number: int
    """Rising; never used again, so that what a checkpoint covers is told apart from what came later at the same offset."""
    offset: int
    begin: bool
    """Whether nothing from before counts."""
    configuration: Configuration


class CheckpointHeader(Contract):
    """A complete checkpoint."""

    format: Literal[1] = FORMAT
    offset: int
    """The first message that is not in it."""
    slot: str
    pieces: int
    number: int
    """Of the last change that is in it."""
    configuration: Configuration


class SourceIdentity(Contract):
    """The topic that a partition was begun in."""

    format: Literal[1] = FORMAT
    topic: str
    """Its id: a topic that is deleted and made anew has another one. Empty: the broker told none."""
    partitions: int
    """So many it had then: one that is added later is read from its first message."""


def change_key(number: int) -> bytes:
    """Key of a change of the configuration."""
    return CHANGES + str(number).encode()


def episodes_key(entity: str) -> bytes:
    """Key of an entity's episodes."""
    return EPISODES + entity.encode()


def limit_key() -> bytes:
    """Key of the partition's limit."""
    return LIMIT


def piece_key(slot: str, place: int) -> bytes:
    """Key of a piece of a checkpoint."""
    return PIECE + f"{slot}/{place}".encode()


def header_key() -> bytes:
    """Key of the newest complete checkpoint."""
    return HEADER


def source_key() -> bytes:
    """Key of the source's identity."""
    return SOURCE


def labels_key() -> bytes:
    """Key of how far the labels topic has been told."""
    return LABELS


def refused_key(offset: int) -> bytes:
    """Key of what was refused with a batch, by the first offset of it."""
    return REFUSED + str(offset).encode()


def encode_refused(offsets: Sequence[int]) -> bytes:
    """Offsets of messages that were refused."""
    return msgspec.msgpack.encode(list(offsets))


def decode_refused(value: bytes) -> list[int]:
    """What `encode_refused` wrote."""
    return msgspec.msgpack.decode(value, type=list[int])


def encode_labels(told: Mapping[int, int]) -> bytes:
    """By partition of the labels topic, the first offset that was not told."""
    return msgspec.msgpack.encode(dict(told))


def decode_labels(value: bytes) -> dict[int, int]:
    """What `encode_labels` wrote."""
    return msgspec.msgpack.decode(value, type=dict[int, int])


def other(slot: str) -> str:
    """The slot that the newest checkpoint is not in."""
    return SLOTS[1 - SLOTS.index(slot)]


def encode(record: Change | CheckpointHeader | SourceIdentity) -> bytes:
    """The value of a record: JSON, with what differs from the defaults only, so that a field more changes no record."""
    return msgspec.json.encode({"format": FORMAT} | record.model_dump(mode="json", exclude_none=True, exclude_defaults=True))


EpisodesState = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Episodes of an entity, by revision and window: plain values."""
LimitState = Mapping[str, Mapping[str, Any]]
"""The limit of a partition, by revision: plain values."""


def encode_episodes(state: EpisodesState) -> bytes | None:
    """The value of an entity's record. None: there is nothing to remember."""
    return msgspec.msgpack.encode(state) if state else None


def decode_episodes(value: bytes) -> dict[str, dict[str, dict[str, Any]]]:
    """What `encode_episodes` wrote."""
    return msgspec.msgpack.decode(value, type=dict[str, dict[str, dict[str, Any]]])


def encode_limit(state: LimitState) -> bytes | None:
    """The value of the partition's record. None: there is nothing to remember."""
    return msgspec.msgpack.encode(state) if state else None


def decode_limit(value: bytes) -> dict[str, dict[str, Any]]:
    """What `encode_limit` wrote."""
    return msgspec.msgpack.decode(value, type=dict[str, dict[str, Any]])
