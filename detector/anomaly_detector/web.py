"""A small HTTP server in threads of its own: paths to functions. What it answers is decided elsewhere."""

import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from msgspec import Struct


class Answer(Struct, frozen=True):
    """The answer to a request."""

    status: int
    kind: str
    body: bytes


Routes = Mapping[str, Callable[[], Answer]]


def health(sound: bool, why: str = "") -> Answer:  # noqa: FBT001 - the word says it
    """200 or 503, and a line for people."""
    return Answer(200, "text/plain", b"ok\n") if sound else Answer(503, "text/plain", f"{why}\n".encode())


def starting() -> dict[str, Callable[[], Answer]]:
    """What a pod answers that lives and is not ready: the model that it begins with may come from far away."""
    not_yet = "the pod starts: it loads its model"
    paths = ("/readyz", "/metrics", "/evidence")
    return {"/healthz": lambda: health(sound=True)} | dict.fromkeys(paths, lambda: health(sound=False, why=not_yet))


class _Server(ThreadingHTTPServer):
    """Listens on IPv6 and IPv4 where no host is given: a pod's address may be of either family."""

    daemon_threads = True

    def __init__(self, host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self._dual = not host and socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if self._dual or ":" in host else socket.AF_INET
        super().__init__((host, port), handler)

    def server_bind(self) -> None:
        if self._dual:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def serve(host: str, port: int, routes: Routes) -> ThreadingHTTPServer:
    """Answers until the process ends, or `shutdown` is called. An empty host is every address of both families."""

    class Handler(BaseHTTPRequestHandler):
        """One request."""

        def do_GET(self) -> None:
            route = routes.get(self.path.split("?", 1)[0])
            answer = route() if route else Answer(404, "text/plain", f"there are {', '.join(routes)}\n".encode())
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Probes come every few seconds: they are not logged."""

    server = _Server(host, port, Handler)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server
