"""Prometheus queries of rollouts: asked of a server over HTTP, guarded, and told as numbers or as what is wrong."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from anomaly_operator.core.rollout.queries import Query
from anomaly_operator.core.snapshot import Answer
from anomaly_operator.pods.query_client import QueryClient

VECTOR = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1.0, "2.5"]}]}}
SCALAR = {"status": "success", "data": {"resultType": "scalar", "result": [1.0, "4"]}}
NOTHING = {"status": "success", "data": {"resultType": "vector", "result": []}}
NAN = {"status": "success", "data": {"resultType": "scalar", "result": [1.0, "NaN"]}}
TWO = {"status": "success", "data": {"resultType": "vector", "result": [VECTOR["data"]["result"][0]] * 2}}
ANSWERS = {"vector": VECTOR, "scalar": SCALAR, "nothing": NOTHING, "nan": NAN, "two": TWO}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server that answers as the documentation of Prometheus' HTTP API says."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query)["query"][0]
            self.send_response(302 if asked == "elsewhere" else 200 if asked in ANSWERS else 400)
            self.send_header("Location", "http://169.254.169.254/latest")
            self.end_headers()
            self.wfile.write(json.dumps(ANSWERS.get(asked, {"status": "error", "error": "a secret"})).encode())

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def asked(address: str, text: str, *hosts: str) -> Answer:
    async def ask() -> Answer:
        client = QueryClient(hosts or ("127.0.0.1",))
        try:
            return (await client.ask([Query("mine", address, text)], 7.0))["mine"]
        finally:
            await client.close()

    return asyncio.run(ask())


@pytest.mark.parametrize(("text", "value"), [("vector", 2.5), ("scalar", 4.0), ("nothing", None), ("nan", None)])
def test_an_answer_is_one_number_or_none(address: str, text: str, value: float | None) -> None:
    assert asked(address, text) == Answer(7.0, value)


@pytest.mark.parametrize("text", ["two", "wrong", "elsewhere"])
def test_what_is_no_number_is_an_error_that_repeats_nothing_of_the_answer(address: str, text: str) -> None:
    answer = asked(address, text)
    assert answer.value is None
    assert "not one number" in answer.error
    assert "secret" not in answer.error


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]"])
def test_addresses_of_the_machine_itself_are_refused_unless_they_are_named(host: str) -> None:
    answer = asked(f"http://{host}:9", "vector", "*")
    assert "prometheusHosts" in answer.error


def test_only_hosts_that_the_installation_allows_are_asked(address: str) -> None:
    assert "may not ask 127.0.0.1" in (asked(address, "vector", "*.svc")).error


def test_a_server_that_is_not_there_is_an_error() -> None:
    assert "does not answer" in (asked("http://127.0.0.1:1", "vector")).error
