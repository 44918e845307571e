"""Evidence over real HTTP, liveness of watches, the environment."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from anomaly_operator.core.resources.names import WATCHED
from anomaly_operator.core.snapshot import Evidence as Heard
from anomaly_operator.core.status.pods import Pod
from anomaly_operator.kube.resync import Watches
from anomaly_operator.kube.server_clock import ServerClock
from anomaly_operator.pods.evidence_client import EvidenceReader
from anomaly_operator.settings import SettingsError, read
from tests.operator.running import Evidence

NOW = 1_780_000_000.0
SAID = {"pod": "?", "runtime": "r", "assignment": "a", "source": {"state": "Reading"}, "somethingNew": 1}
TRAINING = {"pod": "?", "state": "Waiting", "windows": 7}
ENVIRONMENT = {"DETECTOR_IMAGE": "d", "TRAINER_IMAGE": "t", "POD_NAMESPACE": "n", "POD_NAME": "p"}


def pod(name: str, address: str, component: str = "detector") -> Pod:
    return Pod(name, component, "", "Running", address, True, False, NOW, NOW, "", None, "", 0.0)


@pytest.fixture
def speaking() -> Iterator[Evidence]:
    evidence = Evidence()
    yield evidence
    evidence.close()


def ask(port: int, pods: list[Pod], before: Heard, now: float = NOW) -> Heard:
    async def asked() -> Heard:
        reader = EvidenceReader(port)
        try:
            return await reader.ask(pods, before, now)
        finally:
            await reader.close()

    return asyncio.run(asked())


def test_pods_are_asked_and_known_by_their_own_names(speaking: Evidence) -> None:
    speaking.answer("127.2.0.1", SAID)
    speaking.answer("127.2.0.2", TRAINING)
    heard = ask(speaking.port, [pod("one", "127.2.0.1"), pod("trainer", "127.2.0.2", "trainer")], Heard())
    assert [said.pod for said in heard.detectors] == ["one"]
    assert heard.trainer is not None
    assert (heard.trainer.pod, heard.trainer.windows) == ("trainer", 7)
    assert heard.asked == {"one": NOW, "trainer": NOW}


def test_one_answer_that_does_not_come_is_no_silence_but_two_minutes_are(speaking: Evidence) -> None:
    speaking.answer("127.2.0.1", SAID)
    pods = [pod("one", "127.2.0.1")]
    before = ask(speaking.port, pods, Heard())
    speaking.answers.clear()
    soon = ask(speaking.port, pods, before, NOW + 10)
    assert [said.pod for said in soon.detectors] == ["one"]
    assert soon.asked == {"one": NOW}
    assert ask(speaking.port, pods, soon, NOW + 120).detectors == ()


def test_what_is_not_evidence_is_not_believed(speaking: Evidence) -> None:
    speaking.answer("127.2.0.1", {"hello": "world"})
    assert ask(speaking.port, [pod("one", "127.2.0.1")], Heard()) == Heard()


def test_pods_that_hang_cost_two_seconds_however_many_they_are(speaking: Evidence) -> None:
    addresses = [f"127.2.1.{number}" for number in range(1, 9)]
    with contextlib.ExitStack() as hanging:
        for address in addresses:  # accepts connections and says nothing
            hanging.enter_context(socket.create_server((address, speaking.port)))
        started = time.monotonic()
        assert ask(speaking.port, [pod(f"pod-{address}", address) for address in addresses], Heard()) == Heard()
        assert time.monotonic() - started < 4


class Speaker:
    """Answers connections with bytes of the test's own, part by part."""

    def __init__(self, address: str, parts: list[bytes]) -> None:
        self._listener = socket.create_server((address, 0))
        self.port = int(self._listener.getsockname()[1])
        self._parts = parts
        threading.Thread(target=self._speak, daemon=True).start()

    def _speak(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    connection.recv(65536)
                    for part in self._parts:
                        connection.sendall(part)
                        time.sleep(0.05)  # so that the parts arrive one by one

    def close(self) -> None:
        self._listener.close()


def test_evidence_that_arrives_in_parts_is_read_to_its_end() -> None:
    body = json.dumps(SAID | {"now": NOW}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
    speaker = Speaker("127.2.2.1", [head + body[:20], body[20:40], body[40:]])
    heard = ask(speaker.port, [pod("one", "127.2.2.1")], Heard())
    speaker.close()
    assert [said.pod for said in heard.detectors] == ["one"]


def test_a_pod_that_sends_the_operator_elsewhere_is_not_followed(speaking: Evidence) -> None:
    speaking.answer("127.2.0.9", SAID)
    redirect = f"HTTP/1.1 302 Found\r\nLocation: http://127.2.0.9:{speaking.port}/evidence\r\nContent-Length: 0\r\n\r\n"
    speaker = Speaker("127.2.2.2", [redirect.encode()])
    heard = ask(speaker.port, [pod("one", "127.2.2.2")], Heard())
    speaker.close()
    assert heard == Heard()


def test_pods_that_do_not_answer_do_not_keep_others_from_being_heard(speaking: Evidence) -> None:
    silent = [f"127.2.3.{number}" for number in range(1, 251)]
    speaking.answer("127.2.0.1", SAID)

    async def story() -> tuple[float, Heard]:
        reader = EvidenceReader(speaking.port)
        with contextlib.ExitStack() as hanging:
            for address in silent:
                hanging.enter_context(socket.create_server((address, speaking.port)))
            pods = [pod(f"pod-{address}", address) for address in silent]
            await reader.ask(pods, Heard(), NOW)
            others = asyncio.ensure_future(reader.ask(pods, Heard(), NOW))
            await asyncio.sleep(0)
            started = time.monotonic()
            heard = await reader.ask([pod("healthy", "127.2.0.1")], Heard(), NOW)
            took = time.monotonic() - started
            others.cancel()
            await asyncio.gather(others, return_exceptions=True)
            await reader.close()
        return took, heard

    took, heard = asyncio.run(story())
    assert [said.pod for said in heard.detectors] == ["healthy"]
    assert took < 1.5


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def all_but(left_out: str, renew: Callable[[str], None]) -> None:
    for kind in WATCHED:
        if kind.plural != left_out:
            renew(f"/prefix{kind.path()}")


def test_one_watch_that_is_not_renewed_is_dead_after_two_periods() -> None:
    clock = Clock()
    watches = Watches([None], 10, clock)
    assert watches.dead() == []
    assert not watches.complete
    all_but("", watches.renewed)
    assert watches.complete
    clock.now = 21.0
    all_but("pods", watches.renewed)
    assert watches.dead() == ["/api/v1/pods"]


def test_a_watch_of_one_namespace_says_nothing_of_another() -> None:
    clock = Clock()
    watches = Watches(["a", "b"], 10, clock)
    for kind in WATCHED:
        watches.renewed(kind.path("a"))
    assert not watches.complete


def test_the_environment_is_read() -> None:
    told = read(ENVIRONMENT | {"WATCH_NAMESPACES": "a, b", "LOG_LEVEL": "debug"})
    assert (told.namespaces, told.watched, told.log_level) == (("a", "b"), ("a", "b"), "DEBUG")
    assert read(ENVIRONMENT).watched == (None,)
    assert read(ENVIRONMENT | {"RECONCILE_WORKERS": "9"}).workers == 9
    assert (read(ENVIRONMENT).trainings, read(ENVIRONMENT | {"MAX_TRAININGS": "4"}).trainings) == (None, 4)


@pytest.mark.parametrize("name", sorted(ENVIRONMENT))
def test_what_is_missing_in_the_environment_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read({key: value for key, value in ENVIRONMENT.items() if key != name})


def test_what_is_not_a_number_is_named() -> None:
    with pytest.raises(SettingsError, match="EVIDENCE_PORT is 'http'"):
        read(ENVIRONMENT | {"EVIDENCE_PORT": "http"})


def test_times_in_objects_are_compared_with_the_clock_of_the_api_server() -> None:
    clock = ServerClock()
    assert clock.now(1000.0) == 1000.0
    clock.heard("Thu, 01 Jan 1970 01:16:40 GMT", 1000.0)
    assert clock.now(1005.0) == 4605.0
    clock.heard("what is this", 1005.0)
    assert clock.now(1005.0) == 4605.0
    clock.heard("Thu, 01 Jan 1970 00:16:41 GMT", 1001.9)
    assert clock.now(1002.0) == 1002.0, "a Date has whole seconds"
