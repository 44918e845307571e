"""Free ports of this machine's loopback."""

from __future__ import annotations

import random
import socket

# Below the range from which the kernel takes the ports of outgoing connections, so that none of them lands on a port
# between its being chosen here and its being listened on; and outside the NodePorts.
FIRST, LAST = 20000, 29999
_dice = random.SystemRandom()  # a test that seeds `random` must not decide the ports


def free(count: int = 1) -> list[int]:
    """Ports that nothing listens on, for programs that must be told a number."""
    chosen: set[int] = set()
    while len(chosen) < count:
        port = _dice.randint(FIRST, LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        chosen.add(port)
    return list(chosen)


def listening() -> socket.socket:
    """A socket that already listens on a free port, for programs that can be handed one."""
    return socket.create_server(("127.0.0.1", free()[0]), backlog=128)
