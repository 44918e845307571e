"""`python -m dev.verify.bench.decoding`: the cost of reading a message, by what the spec asks for, beside a plain one. No broker.

Each way is measured in turn, several times over, in one process, and the best time of each counts: other work on the machine
makes times longer, never shorter.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any, Final

import numpy as np

from anomaly_api.source import Pipeline
from anomaly_detector.core.decode.json import Decoder

_FEATURES: Final = ("temperature", "pressure", "vibration", "flow", "current", "speed")
_ENTITIES: Final = 100
_BATCH: Final = 2_000


def _plain(number: int) -> dict[str, Any]:
    sensors = {name: round(20 + place + number % 97 / 7, 3) for place, name in enumerate(_FEATURES)}
    return {"id": f"pump-{number % _ENTITIES:03}", "line": "A", "at": 1_767_225_600.25 + number, "type": "reading", "s": sensors}


def _text(number: int) -> dict[str, Any]:
    plain = _plain(number)
    return plain | {"s": {name: f"{value} °C" for name, value in plain["s"].items()}}


def _one_bad(number: int) -> dict[str, Any]:
    plain = _plain(number)
    return plain | {"s": plain["s"] | {"flow": "N/A"}}


def _pairs(number: int) -> dict[str, Any]:
    plain = _plain(number)
    return plain | {"s": [{"name": name, "value": value} for name, value in plain["s"].items()]}


def _other(number: int) -> dict[str, Any]:
    return {"type": "heartbeat", "uptime": number, "host": "gateway-1"}


def _features(**more: Any) -> list[dict[str, Any]]:
    return [{"name": name, "field": f"s.{name}"} | more for name in _FEATURES]


WAYS: Final[dict[str, tuple[Any, dict[str, Any]]]] = {
    "plain": (_plain, {}),
    "sentinels": (_plain, {"features": _features(missingValues=[-9999])}),
    "nanoseconds": (
        lambda n: _plain(n) | {"at": 1_767_225_600_250_000_000 + n},
        {"time": {"field": "at", "format": "UnixNanos"}},
    ),
    "entity of two fields": (_plain, {"entity": {"template": "{line}/{id}"}}),
    "text with a unit": (_text, {"features": _features(text={"unit": "°C"})}),
    "pattern and zone": (
        lambda n: _plain(n) | {"at": f"31.01.2026 10:{n // 60 % 60:02}:{n % 60:02}"},
        {"time": {"field": "at", "format": "Pattern", "pattern": "%d.%m.%Y %H:%M:%S", "zone": "Europe/Berlin"}},
    ),
    "filter": (_plain, {"filter": [{"field": "type", "equals": "reading"}]}),
    "filter, left out": (_other, {"filter": [{"field": "type", "equals": "reading"}]}),
    "no feature": (_other, {}),
    "one bad sensor": (_one_bad, {}),
    "pairs": (_pairs, {"features": [{"name": name} for name in _FEATURES], "pairs": {"list": "s"}}),
}


def _way(name: str) -> tuple[Decoder, list[bytes | None], list[bytes | None], Any]:
    message, changes = WAYS[name]
    document = {
        "entity": {"field": "id"},
        "time": {"field": "at", "format": "UnixSeconds"},
        "features": _features(),
        "windows": [{"name": "short"}],
    }
    values: list[bytes | None] = [json.dumps(message(number), separators=(",", ":")).encode() for number in range(_BATCH)]
    keys: list[bytes | None] = [b"gateway"] * _BATCH
    return Decoder(Pipeline.model_validate(document | changes)), values, keys, np.full(_BATCH, 1_767_225_600_250)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dev.verify.bench.decoding", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="of 2,000 messages each; default: %(default)s")
    parser.add_argument("--only", nargs="*", help="ways by their names; default: all")
    asked = parser.parse_args()
    ways = {name: _way(name) for name in WAYS if not asked.only or name in ("plain", *asked.only)}
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(asked.rounds):
        for name, (decoder, values, keys, stamps) in ways.items():
            begun = time.process_time()
            decoder.decode(values, keys, stamps)
            best[name] = min(best[name], time.process_time() - begun)
    print(f"{'':24} {'us a message':>12} {'of a plain one':>15}")
    for name, seconds in best.items():
        print(f"{name:24} {seconds / _BATCH * 1e6:12.2f} {seconds / best['plain']:14.2f}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
