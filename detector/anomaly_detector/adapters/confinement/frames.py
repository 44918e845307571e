"""How the pod and the process that scores talk: small frames through pipes, arrays through shared memory. Both sides use it.

pod                           process
windows, times  -> memory
{"op": "score"} -> pipe    ->  reads the memory, scores
memory  <-  scores
pipe    <-  {"count": 6000}         or {"error": "...", "kind": "ScoringFailed"}
"""

import json
import mmap
import os
import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_LENGTH: Final = struct.Struct("<I")


def encode(frame: dict[str, Any]) -> bytes:
    """A frame with its length."""
    content = json.dumps(frame).encode()
    return _LENGTH.pack(len(content)) + content


def decode(buffer: bytearray) -> dict[str, Any] | None:
    """The frame with which the buffer begins, if it is whole; it is taken out."""
    if len(buffer) < _LENGTH.size:
        return None
    [length] = _LENGTH.unpack_from(buffer)
    end = _LENGTH.size + length
    if len(buffer) < end:
        return None
    found: dict[str, Any] = json.loads(bytes(buffer[_LENGTH.size : end]))
    del buffer[:end]
    return found


class SharedMemory:
    """Memory of a file that has no name: two processes see the same bytes. It grows when it has to."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._map: mmap.mmap | None = None
        self._size = 0

    def room(self, size: int) -> None:
        """Makes room for so many bytes; what was there is of no use any more."""
        if size > self._size:
            self._size = 1 << (size - 1).bit_length()
            os.ftruncate(self.descriptor, self._size)
            self._map = mmap.mmap(self.descriptor, self._size)

    def follow(self) -> None:
        """The other side may have made room."""
        size = os.fstat(self.descriptor).st_size
        if size != self._size:
            self._map, self._size = mmap.mmap(self.descriptor, size), size

    def write(self, offset: int, array: NDArray[Any]) -> int:
        """Copies an array there; returns where it ends."""
        assert self._map is not None, "there is room"
        there = np.ndarray(array.shape, array.dtype, self._map, offset)
        there[...] = array
        return offset + array.nbytes

    def read(self, offset: int, shape: tuple[int, ...], kind: Any) -> NDArray[Any]:
        """A copy of an array that is there."""
        return self.view(offset, shape, kind).copy()

    def view(self, offset: int, shape: tuple[int, ...], kind: Any) -> NDArray[Any]:
        """The array that is there, until something else is."""
        assert self._map is not None, "something was written"
        found: NDArray[Any] = np.ndarray(shape, kind, self._map, offset)
        return found
