"""Carries connections from listening sockets that were made in one network namespace to addresses in another.

A socket belongs to the namespace that it was made in, so this needs no tunnel: `python -m dev.environment.supervision.forward
<descriptor>=<host>:<port> ...` accepts outside and connects inside.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import sys

CHUNK = 1 << 18


async def main(arguments: list[str]) -> None:
    servers = []
    for argument in arguments:
        descriptor, _, address = argument.partition("=")
        host, _, port = address.rpartition(":")
        carry = functools.partial(_carry, host, int(port))
        listening = socket.socket(fileno=int(descriptor))
        servers.append(await asyncio.start_server(carry, sock=listening, limit=CHUNK))
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def _carry(host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        inside_reader, inside_writer = await asyncio.open_connection(host, port, limit=CHUNK)
    except OSError:
        writer.close()  # nobody listens there (yet): the caller sees the connection close
        return
    await asyncio.gather(_copy(reader, inside_writer), _copy(inside_reader, writer))
    for end in (writer, inside_writer):
        end.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one side ends; then the other is told that no more will come."""
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
