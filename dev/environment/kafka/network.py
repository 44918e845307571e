"""A bad network between clients and a broker, on the loopback: it is slow, stands still, loses answers, breaks, or falls silent.

A link carries connections from a port that the broker advertises to the port where it listens:

    client -> 127.0.0.1:<advertised> = Link = 127.0.0.1:<bound> -> broker

What is sent and not answered has been done all the same: that is what a lost response is. It knows nothing of Kafka's protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

from dev.environment import ports
from dev.environment.kafka.broker import Listener

_CHUNK = 1 << 17


class Weather(Enum):
    """A disturbance of a connection's bytes."""

    FAIR = auto()
    SLOW = auto()
    """Answers come late."""
    STILL = auto()
    """Nothing gets through in either direction; all of it does afterwards."""
    LOSSY = auto()
    """Answers are lost, and afterwards the connections that lost some break."""


@dataclass(eq=False)
class _Connection:
    number: int
    outside: asyncio.StreamWriter
    inside: asyncio.StreamWriter
    torn: bool = False
    """Bytes were lost: nothing may follow them."""
    breaks: bool = False
    """At its next answer, in the middle."""
    silent: bool = False
    """It carries nothing any more, and neither end is told: so it is when a host vanishes."""

    def abort(self) -> None:
        for end in (self.outside, self.inside):
            end.transport.abort()


@dataclass(eq=False)
class Link:
    """One way to the broker. Its methods may be called from any thread."""

    listener: Listener
    _loop: asyncio.AbstractEventLoop
    _weather: Weather = Weather.FAIR
    _delay: float = 0.0
    _share: tuple[int, int] = (1, 0)
    _fair: asyncio.Event = field(default_factory=asyncio.Event)
    _connections: set[_Connection] = field(default_factory=set)
    _count: int = 0

    @property
    def address(self) -> str:
        """Returns what clients connect to."""
        return self.listener.advertised

    def turn(self, weather: Weather, delay: float = 0.0, share: tuple[int, int] = (1, 0)) -> None:
        """From now on; `share` (n, k): of the connections, each whose number leaves k when divided by n."""
        self._loop.call_soon_threadsafe(self._turn, weather, delay, share)

    def clear(self) -> None:
        """All is well again."""
        self.turn(Weather.FAIR)

    def cut(self, share: tuple[int, int] = (1, 0)) -> None:
        """Breaks connections in the middle of their next answers."""
        self._loop.call_soon_threadsafe(self._cut, share)

    def silence(self, share: tuple[int, int] = (1, 0)) -> None:
        """The connections that there are carry nothing any more, for good, and nobody is told; new ones are sound."""
        self._loop.call_soon_threadsafe(self._silence, share)

    def _turn(self, weather: Weather, delay: float, share: tuple[int, int]) -> None:
        for connection in [each for each in self._connections if each.torn]:
            connection.abort()
        self._weather, self._delay, self._share = weather, delay, share
        self._fair.set()  # whoever waits looks again
        self._fair = asyncio.Event()

    def _cut(self, share: tuple[int, int]) -> None:
        for connection in self._of(share):
            connection.breaks = True

    def _silence(self, share: tuple[int, int]) -> None:
        for connection in self._of(share):
            connection.silent = True

    def _of(self, share: tuple[int, int]) -> list[_Connection]:
        return [each for each in self._connections if each.number % share[0] == share[1]]

    def _befalls(self, connection: _Connection) -> Weather:
        return self._weather if connection.number % self._share[0] == self._share[1] else Weather.FAIR

    async def serve(self) -> asyncio.Server:
        """Begins to take connections."""
        host, _, port = self.listener.advertised.rpartition(":")
        return await asyncio.start_server(self._carry, host, int(port), limit=_CHUNK)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self.listener.bind.rpartition(":")
        try:
            inside_reader, inside = await asyncio.open_connection(host, int(port), limit=_CHUNK)
        except OSError:
            writer.transport.abort()  # the broker is away
            return
        self._count += 1
        connection = _Connection(self._count, writer, inside)
        self._connections.add(connection)
        try:
            await asyncio.gather(self._ask(connection, reader), self._answer(connection, inside_reader))
        except asyncio.CancelledError:
            pass  # the network ends; asyncio would complain of a task that was cancelled
        finally:
            self._connections.discard(connection)
            connection.abort()

    async def _ask(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._still(connection)
                if connection.silent:
                    continue
                connection.inside.write(data)
                await connection.inside.drain()
        with contextlib.suppress(OSError, RuntimeError):
            connection.inside.write_eof()

    async def _answer(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if connection.silent:
                    continue
                if connection.breaks:
                    connection.outside.write(data[: len(data) // 2])
                    await connection.outside.drain()
                    break
                await self._still(connection)
                if connection.torn or self._befalls(connection) is Weather.LOSSY:
                    connection.torn = True
                    continue
                if self._befalls(connection) is Weather.SLOW:
                    await asyncio.sleep(self._delay)
                connection.outside.write(data)
                await connection.outside.drain()
        if connection.torn:
            await self._fair.wait()  # whoever asked is left waiting
        connection.outside.close()  # after what was written has gone out

    async def _still(self, connection: _Connection) -> None:
        while self._befalls(connection) is Weather.STILL:
            await self._fair.wait()


def listeners(count: int) -> list[Listener]:
    """For the broker: so many that are reached through links, on free ports of the loopback."""
    free = ports.free(2 * count)
    return [
        Listener(f"LINK{number}", f"127.0.0.1:{free[2 * number]}", f"127.0.0.1:{free[2 * number + 1]}") for number in range(count)
    ]


@contextmanager
def links(of: list[Listener]) -> Iterator[list[Link]]:
    """The links to these listeners, carried by a thread of their own for as long as the context lives."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="network", daemon=True)
    thread.start()
    made = [Link(listener, loop) for listener in of]
    servers = [asyncio.run_coroutine_threadsafe(link.serve(), loop).result(10) for link in made]
    try:
        yield made
    finally:
        for server in servers:
            loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(_end(loop), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(loop: asyncio.AbstractEventLoop) -> None:
    """Ends every connection."""
    tasks = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
