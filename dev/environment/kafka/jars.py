"""Fetches Kafka from Maven Central, once, and formats an empty store that every new broker copies."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dev.environment import cache, debian
from dev.progress import Tell, telling

HERE = Path(__file__).parent
NODE_ID = 1
BRIEF: Final = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""The virtual machine of a broker that lives for a test: little memory, one collector thread, no second compiler."""
LASTING: Final = ("-Xms2G", "-Xmx2G", "-XX:+UseSerialGC", "-XX:+AlwaysPreTouch")
"""That of one which others are measured against: both compilers, and a heap as brokers at work have. The collector of Kafka's own
script (G1) wants cores of its own: on two threads of one core it doubles the 99th percentile of what clients wait for.
"""


@dataclass(frozen=True)
class Jars:
    """The folder of the libraries and of the formatted store."""

    folder: Path

    def java(self, main: str, *arguments: str, machine: Sequence[str] = BRIEF) -> tuple[str, ...]:
        logging = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}"
        return ("java", *machine, logging, "-cp", f"{self.folder}/libs/*", main, *arguments)

    def copy_store(self, into: Path) -> None:
        shutil.copytree(self.folder / "store", into)


def fetched(tell: Tell) -> Jars:
    """Seconds the first time, then nothing."""
    need_java(tell)
    return Jars(
        cache.made(
            "kafka", cache.digest(HERE / "pom.xml", HERE / "log4j2.properties", HERE / "jars.py"), lambda into: _fetch(into, tell)
        )
    )


def need_java(tell: Tell) -> None:
    wanted = {"java": "default-jre-headless", "mvn": "maven"}
    debian.need([package for program, package in wanted.items() if shutil.which(program) is None], tell)


def _fetch(into: Path, tell: Tell) -> None:
    shutil.copy(HERE / "log4j2.properties", into)
    with telling(tell, "fetching Apache Kafka from Maven Central (once)"):
        _checked(
            "mvn",
            "--quiet",
            "--batch-mode",
            "--file",
            str(HERE / "pom.xml"),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={into / 'libs'}",
            "-DincludeScope=runtime",
        )
    with telling(tell, "formatting Kafka's store (once)"):
        properties = into / "format.properties"
        properties.write_text(text({**quorum(9093), "log.dirs": str(into / "store")}))
        identity = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        _checked(*Jars(into).java("kafka.tools.StorageTool", "format", "-t", identity, "-c", str(properties)))
        properties.unlink()


def quorum(controller_port: int) -> dict[str, str]:
    """One process that is broker and controller."""
    return {
        "process.roles": "broker,controller",
        "node.id": str(NODE_ID),
        "controller.quorum.voters": f"{NODE_ID}@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{controller_port - 1},CONTROLLER://127.0.0.1:{controller_port}",
    }


def text(settings: Mapping[str, str]) -> str:
    """As a .properties file."""
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def _checked(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed:\n{(done.stdout + done.stderr)[-3000:]}")
