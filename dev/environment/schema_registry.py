"""A real schema registry (Apicurio, with Confluent's API) from its Maven artifact, and a guard that stands before it.

The registry keeps schemas in memory. Where it is to be reached by TLS and a password only, a guard of a few lines is before it:
the registry itself knows passwords by an OpenID provider alone.
"""

from __future__ import annotations

import base64
import http.server
import ssl
import subprocess
import tarfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dev.environment import cache, ports
from dev.environment.kafka.jars import need_java
from dev.environment.supervision import group
from dev.environment.supervision.plan import Component, Plan, State
from dev.progress import Tell, silent, telling

NAME: Final = "schema-registry"
START_SECONDS: Final = 180.0
_VERSION: Final = "3.0.9"
_COPY: Final = "org.apache.maven.plugins:maven-dependency-plugin:2.10:copy"  # later ones ask for a parent that is not published
_ARTIFACT: Final = f"io.apicurio:apicurio-registry-app:{_VERSION}:tar.gz:all"
_API: Final = "/apis/ccompat/v7"
_MACHINE: Final = ("-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto")


@dataclass(frozen=True)
class SchemaRegistry:
    """A running registry."""

    state: State
    url: str
    """Where Confluent's API is."""

    def kill(self) -> None:
        import signal

        group.send_signal(self.state, NAME, signal.SIGKILL, final=True)
        group.wait_until(self.state, NAME, "Stopped", START_SECONDS)

    def pause(self) -> None:
        """Stops the process without ending it: it answers nobody, and forgets nothing."""
        import signal

        group.send_signal(self.state, NAME, signal.SIGSTOP, final=False)

    def resume(self) -> None:
        import signal

        group.send_signal(self.state, NAME, signal.SIGCONT, final=False)


def fetched(tell: Tell) -> Path:
    """The folder of the registry: half a minute the first time, then nothing."""
    return cache.made("schema-registry", cache.digest(_ARTIFACT), lambda into: _fetch(into, tell))


def _fetch(into: Path, tell: Tell) -> None:
    need_java(tell)
    with telling(tell, "fetching a schema registry from Maven Central (once)"):
        command = ("mvn", "--quiet", "--batch-mode", _COPY, f"-Dartifact={_ARTIFACT}", f"-DoutputDirectory={into}")
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=into)
        if done.returncode != 0:
            raise RuntimeError(f"mvn failed:\n{(done.stdout + done.stderr)[-3000:]}")
        [archive] = into.glob("*.tar.gz")
        with tarfile.open(archive) as found:
            found.extractall(into, filter="data")
        archive.unlink()


@contextmanager
def running(name: str, tell: Tell = silent) -> Iterator[SchemaRegistry]:
    """A registry for as long as the context and this process live."""
    folder = fetched(tell)
    state = State.of(name)
    [port] = ports.free(1)

    def plan() -> Plan:
        settings = (f"-Dquarkus.http.port={port}", "-Dquarkus.http.host=127.0.0.1")
        jar = str(folder / f"apicurio-registry-app-{_VERSION}-runner.jar")
        return Plan(
            (Component(NAME, ("java", *_MACHINE, *settings, "-jar", jar), ready=f"http://127.0.0.1:{port}{_API}/subjects"),)
        )

    try:
        group.start(state, plan, leashed=True)
        group.wait_ready(state, tell)
        yield SchemaRegistry(state, f"http://127.0.0.1:{port}{_API}")
    finally:
        group.down(state)


@contextmanager
def guarded(url: str, certificate: Path, key: Path, username: str, password: str) -> Iterator[str]:
    """The URL of a guard before the registry at `url`: TLS, and a name and password with every request."""
    wanted = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()

    class Guard(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") != wanted:
                self._answer(401, b'{"error_code": 401, "message": "who are you?"}')
                return
            try:
                with urllib.request.urlopen(url + self.path, timeout=30) as found:
                    self._answer(found.status, found.read())
            except urllib.error.HTTPError as error:
                self._answer(error.code, error.read())

        def _answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Guard)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
