"""`python -m dev.demo.offline [pumps | servers] [--seed N]`: what the demo's detector would say of its stream, without a cluster.

The example's spec is trained on the history and replayed over the judged part, as `backtest` does; the demo's own judge counts.
"""

import argparse
import sys
from collections.abc import Iterable
from typing import Final

import numpy as np

from anomaly_detector.cli import fitting, spec_file
from anomaly_detector.cli.replay import replay
from anomaly_detector.cli.table import Table
from anomaly_detector.core.episodes.episode import Transition
from anomaly_detector.core.episodes.transitions import EpisodeTransition
from dev.demo.judge import Opened, Verdict, judge
from dev.demo.recording import Recording
from dev.demo.scenario import SCENARIOS, pump_scenario

_NOW: Final = 1_800_000_000.0
_BEFORE: Final = 200
"""Ticks before the judged part, with which windows fill."""


def main(arguments: list[str] | None = None) -> int:
    """Prints what was found of each kind, and the false alerts."""
    parser = argparse.ArgumentParser(prog="python -m dev.demo.offline", description=__doc__)
    parser.add_argument("data", nargs="?", choices=SCENARIOS, default="pumps")
    parser.add_argument("--seed", type=int, default=7, help="of the pumps")
    asked = parser.parse_args(arguments)
    verdict = judged(asked.data, asked.seed)
    for kind in verdict.kinds:
        findings = verdict.of(kind)
        print(f"  {kind:20} {sum(each.alert is not None for each in findings):3} of {len(findings)} found")
    print(f"  {len(verdict.false)} false alerts in {verdict.entity_days:.1f} entity-days")
    return 0


def judged(name: str, seed: int) -> Verdict:
    """The example of a scenario, trained, replayed and judged."""
    scenario = pump_scenario(_NOW, seed) if name == "pumps" else SCENARIOS[name](_NOW)
    spec = spec_file.detector(scenario.example).spec
    trained = fitting.train(spec, _table(scenario.recording, 0, scenario.history), "the history")
    part = scenario.judge_from(scenario.waiting_end)
    stream = _table(part.recording, part.stretch.first - _BEFORE, part.stretch.end)
    found = replay(stream, fitting.revision_of(spec, trained), trained.model, reasons=False)
    return judge(part.recording, part.anomalies, _opened(part.recording, found.records), part.stretch)


def _opened(recording: Recording, records: Iterable[EpisodeTransition]) -> list[Opened]:
    """What people were told of."""
    told = [each for each in records if each.turn is Transition.OPENED and each.suppressed_by is None]
    return [Opened(each.entity, round((each.time / 1e6 - recording.begin) / recording.step)) for each in told]


def _table(recording: Recording, first: int, end: int) -> Table:
    """The readings of all entities, tick by tick."""
    values = np.round(recording.values[first:end], max(recording.decimals)).astype(np.float32)
    ticks, entities, width = values.shape
    times = np.rint((recording.begin + recording.step * np.arange(first, end)) * 1e6).astype(np.int64)
    codes = np.tile(np.arange(entities), ticks)
    return Table(list(recording.entities), codes, np.repeat(times, entities), values.reshape(-1, width))


if __name__ == "__main__":
    sys.exit(main())
