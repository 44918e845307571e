"""What was measured beside what is asked."""

from __future__ import annotations

from typing import Any, Final

from rich.console import Console
from rich.table import Table

ASKED: Final = {
    "settleSeconds": 60.0,
    "editP95Seconds": 2.0,
    "unreachable160EditP95Seconds": 2.0,
    "rolloutsEditP95Seconds": 2.0,
    "rssMiB": 300.0,
    "rolloutsRssMiB": 300.0,
    "idleCpuPercent": 5.0,
    "idleWritesPerMinute": None,
    "leaderChangeSeconds": 20.0,
    "planMilliseconds": 1.0,
}


def asked(figures: dict[str, Any], name: str) -> float | None:
    """At most so much; of writes at rest one for each detector in five minutes."""
    return figures["detectors"] / 5 if name == "idleWritesPerMinute" else ASKED.get(name)


def show(console: Console, figures: dict[str, Any]) -> None:
    """A line a figure."""
    table = Table(title=f"{figures['detectors']} detectors of {figures['models']} models")
    for column in ("figure", "measured", "asked", ""):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for name, value in figures.items():
        most = asked(figures, name)
        mark = "" if most is None else ("ok" if value <= most else "missed")
        table.add_row(
            name, f"{value:,.2f}" if isinstance(value, float) else str(value), "" if most is None else f"<= {most:g}", mark
        )
    console.print(table)
