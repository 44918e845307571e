"""The pod's HTTP server: it answers on every address that a pod may have."""

import urllib.request
from collections.abc import Iterator

import pytest

from anomaly_detector.web import health, serve


@pytest.fixture
def port() -> Iterator[int]:
    server = serve("", 0, {"/healthz": lambda: health(sound=True)})
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_pod_answers_on_ipv4_and_on_ipv6(port: int, host: str) -> None:
    with urllib.request.urlopen(f"http://{host}:{port}/healthz", timeout=5) as answer:
        assert answer.read() == b"ok\n"
