"""What becomes of a question that the brokers answer too late."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dev.environment.kafka.network import Weather

pytestmark = pytest.mark.integration


def test_a_coordinator_that_answers_too_late_does_not_end_the_process() -> None:
    from dev.environment.kafka import broker, network

    doors = network.listeners(1)
    with broker.running(f"tests-{os.getpid()}-asker", more=doors) as _, network.links(doors) as [link]:
        command = [sys.executable, "-m", "tests.recovery.admin_process", link.address]
        asking = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        with asking:
            assert asking.stdin is not None
            assert asking.stdout is not None

            def told(order: str) -> str:
                print(order, file=asking.stdin, flush=True)
                return str(asking.stdout.readline()).strip()  # type: ignore[union-attr]

            try:
                assert asking.stdout.readline().strip() == "connected"
                link.turn(Weather.STILL)
                assert told("briefly") == "_TIMED_OUT"
                link.clear()
                answers = iter(lambda: told("patiently"), "answered")  # a coordinator that is about to begin says so
                assert "" not in answers, "it has ended"
                print("end", file=asking.stdin, flush=True)
                assert asking.wait(30) == 0
            finally:
                asking.kill()
