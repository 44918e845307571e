"""A partition's remembered state as bytes, in pieces that fit into messages. It knows no topic."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

PIECE_BYTES: Final = 400_000
"""Of a piece, about; brokers take messages of a megabyte unless told otherwise."""
_NAMES: Final = "names"


class Pieces:
    """A state in pieces, each of which is made when it is asked for: all at once would be another copy of the state."""

    def __init__(self, state: Mapping[str, Any], most: int) -> None:
        self._state = state
        self._names = len(state[_NAMES])
        self._rows = max(1, most * self._names // max(1, _weight(state)))

    def __len__(self) -> int:
        return -(-max(self._names, 1) // self._rows)  # an empty state is one piece, too

    def __iter__(self) -> Iterator[bytes]:
        for place in range(len(self)):
            yield msgspec.msgpack.encode(_cut(self._state, place * self._rows, (place + 1) * self._rows))


class CheckpointError(Exception):
    """A piece that was written by something else."""


def pack(state: Mapping[str, Any], most: int = PIECE_BYTES) -> Pieces:
    """Pieces of a state: names, and arrays with a row for each. The state is not copied, and must not change meanwhile."""
    return Pieces(state, most)


def unpack(pieces: Iterable[bytes]) -> dict[str, Any]:
    """The state. Raises CheckpointError."""
    try:
        found = [_plain(msgspec.msgpack.decode(piece)) for piece in pieces]
        return _joined(found)
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"a checkpoint cannot be read: {error}") from error


def _weight(state: Mapping[str, Any]) -> int:
    return sum(int(array.nbytes) for array in _arrays(state)) + sum(len(name.encode()) + 3 for name in state[_NAMES])


def _arrays(state: Mapping[str, Any]) -> Iterator[Any]:
    for value in state.values():
        if isinstance(value, Mapping):
            yield from _arrays(value)
        elif isinstance(value, np.ndarray):
            yield value


def _cut(state: Mapping[str, Any], start: int, end: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, Mapping):
            found[name] = _cut(value, start, end)
        elif isinstance(value, np.ndarray):
            part = value[start:end]
            found[name] = [part.dtype.str, list(part.shape), part.tobytes()]
        else:
            found[name] = value[start:end]
    return found


def _plain(piece: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in piece.items():
        if name == _NAMES:
            found[name] = value
        elif isinstance(value, dict):
            found[name] = _plain(value)
        else:
            kind, shape, content = value
            found[name] = np.frombuffer(content, np.dtype(kind)).reshape(shape)
    return found


def _joined(pieces: Sequence[dict[str, Any]]) -> dict[str, Any]:
    first = pieces[0]
    found: dict[str, Any] = {}
    for name, value in first.items():
        parts = [piece[name] for piece in pieces]
        if name == _NAMES:
            found[name] = [entity for part in parts for entity in part]
        elif isinstance(value, dict):
            found[name] = _joined(parts)
        else:
            found[name] = np.concatenate(parts)
    return found
