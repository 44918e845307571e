"""A partition's remembered state as bytes, in pieces that fit into messages. It knows no topic.

    entities   e1 e2 e3 | e4 e5 e6 e7 | e8 ...        blocks: rows of so many entities as have about BLOCK_BYTES in all
    stream     length block length block ...          one after the other
    pieces     ......|......|......|...               cut anywhere, of exactly PIECE_BYTES but for the last

So no piece is larger than it may be, however large one entity's row or name is, and no more than a block is in memory at once.
The bytes of numbers are sorted by significance: a producer that compresses (lz4) leaves readings nearly as they are otherwise.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

PIECE_BYTES: Final = 400_000
"""Of a piece; brokers take batches of a megabyte unless told otherwise."""
BLOCK_BYTES: Final = 400_000
_NAMES: Final = "names"
_NAME_BYTES: Final = 5
"""What msgpack puts before a text, at most."""
_LENGTH_BYTES: Final = 8


BESIDE: Final = "beside"
"""Where the state of a candidate's own intake stands."""


class CheckpointError(Exception):
    """Pieces that are not what was written."""


def pack(state: Mapping[str, Any], most: int = PIECE_BYTES) -> Iterator[bytes]:
    """Yields the pieces of a state: names, and arrays with a row for each (or fewer rows, which go into the first blocks).

    A piece is made when it is asked for. The state is not copied, and must not change meanwhile.
    """
    waiting = bytearray()
    for block in _blocks(state):
        waiting += len(block).to_bytes(_LENGTH_BYTES)
        waiting += block
        done = len(waiting) - len(waiting) % most
        for start in range(0, done, most):
            yield bytes(waiting[start : start + most])
        del waiting[:done]
    if waiting:
        yield bytes(waiting)


def unpack(pieces: Iterable[bytes]) -> dict[str, Any]:
    """The state. Raises CheckpointError."""
    try:
        blocks = [_plain(msgspec.msgpack.decode(block)) for block in _whole_blocks(pieces)]
        found, beside = _joined([each for each in blocks if BESIDE not in each]), [each for each in blocks if BESIDE in each]
        return found | {BESIDE: _joined([each[BESIDE] for each in beside])} if beside else found
    except (msgspec.MsgspecError, KeyError, IndexError, TypeError, ValueError) as error:
        raise CheckpointError(f"a checkpoint cannot be read: {error}") from error


def _blocks(state: Mapping[str, Any]) -> Iterator[bytes]:
    """First those of the intake that decides; then, of a candidate's own, blocks that say so."""
    for cut in _cuts({name: value for name, value in state.items() if name != BESIDE}):
        yield msgspec.msgpack.encode(cut)
    for cut in _cuts(state[BESIDE]) if BESIDE in state else ():
        yield msgspec.msgpack.encode({BESIDE: cut})


def _cuts(state: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    names: Sequence[str] = state[_NAMES]
    row = sum(int(array.nbytes) // len(array) for array in _arrays(state) if len(array) == len(names)) if names else 0
    start = weight = 0
    for place, name in enumerate(names):
        more = row + len(name.encode()) + _NAME_BYTES
        if place > start and weight + more > BLOCK_BYTES:
            yield _cut(state, start, place)
            start, weight = place, 0
        weight += more
    yield _cut(state, start, max(len(names), 1))  # an empty state is one block, too


def _whole_blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(waiting[:_LENGTH_BYTES])
            if len(waiting) < end:
                break
            yield bytes(waiting[_LENGTH_BYTES:end])
            del waiting[:end]
    if waiting:
        raise ValueError("its last piece is missing")


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
            found[name] = [part.dtype.str, list(part.shape), _by_significance(part)]
        else:
            found[name] = value[start:end]
    return found


def _by_significance(array: Any) -> bytes:
    """First the first byte of every number, then the second one of every number, and so on."""
    width = array.itemsize
    content: bytes = array.tobytes()
    return np.frombuffer(content, np.uint8).reshape(-1, width).T.tobytes() if width and content else content


def _by_number(content: bytes, kind: Any) -> Any:
    """What `_by_significance` was given, as one row."""
    width = kind.itemsize
    if width and content:
        content = np.frombuffer(content, np.uint8).reshape(width, -1).T.tobytes()
    return np.frombuffer(content, kind)


def _plain(block: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in block.items():
        if name == _NAMES:
            found[name] = value
        elif isinstance(value, dict):
            found[name] = _plain(value)
        else:
            kind, shape, content = value
            found[name] = _by_number(content, np.dtype(kind)).reshape(shape)
    return found


def _joined(blocks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    first = blocks[0]
    found: dict[str, Any] = {}
    for name, value in first.items():
        parts = [block[name] for block in blocks]
        if name == _NAMES:
            found[name] = [entity for part in parts for entity in part]
        elif isinstance(value, dict):
            found[name] = _joined(parts)
        else:
            found[name] = np.concatenate(parts)
    return found
