"""`kubectl anomaly explain NAME EPISODE`: what was read, what was expected, what stood out, and who decided."""

import argparse
import json
import shutil
from typing import Any, Final

from kubectl_anomaly.commands import alerts
from kubectl_anomaly.detector_view import number
from kubectl_anomaly.exits import Exit
from kubectl_anomaly.kubectl import Kubectl
from kubectl_anomaly.plot import LEGEND, Line, plot, times
from kubectl_anomaly.pod_command import in_pod
from kubectl_anomaly.printing import coloured, in_colour, seconds_of, span, structured

_FEATURES: Final = 3
_WIDTH: Final = 100
_LEAST_SHARE: Final = 0.01
"""Of the error, of a feature that is worth a picture."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own."""
    parser.add_argument("name", metavar="NAME", help="the detector")
    parser.add_argument("episode", metavar="EPISODE", help="as `alerts` shows it; its first characters are enough")
    parser.add_argument("--since", default="30d", metavar="TIME", help="how far back to look for it (default 30d)")
    parser.add_argument(
        "--features",
        type=int,
        default=_FEATURES,
        metavar="N",
        help=f"plots of the N features that stood out most (default {_FEATURES})",
    )


def run(asked: argparse.Namespace, kubectl: Kubectl) -> int:
    """Raises PluginError."""
    found = json.loads(in_pod(kubectl, asked.name, "explain", asked.episode, f"--since={asked.since}"))
    if asked.output == "name":
        print(found["records"][0]["data"]["episode"])
    elif asked.output:
        print(structured(found, asked.output))
    else:
        width = min(shutil.get_terminal_size((_WIDTH, 40)).columns, _WIDTH)
        print(explained(found, width, asked.features, colour=in_colour()))
    return Exit.DONE


def explained(found: dict[str, Any], width: int, features: int, *, colour: bool = False) -> str:
    """Everything for people."""
    records, series = found["records"], found["series"]
    lines = [*_told(records), ""]
    lines += ["Records:", *(f"  {alerts.line(event, colour=colour)}" for event in records)]
    if series:
        lines += ["", *_pictures(found, width, features, colour=colour)]
    if found.get("note"):
        lines += ["", f"Note: {found['note']}"]
    return "\n".join(lines)


def _told(records: list[dict[str, Any]]) -> list[str]:
    first, last = records[0]["data"], records[-1]["data"]
    state = f"ended {last['end']} ({last['reason']})" if last.get("end") else "still open"
    told = {
        "Episode": first["episode"],
        "Entity": first["entity"],
        "Window": first["window"],
        "Time": f"{first['start']}, {state}, {span(last['durationSeconds'])}, {last['windows']} windows",
        "Severity": f"{last['severity']}, score at most {number(last['peak'])} (1.0 is {number(last['threshold'])})",
        "Decided by": f"revision {first['revision']}, {first['scorer']}"
        + (f", model {first['model'][:19]}" if first.get("model") else ""),
        "Suppressed": str(first.get("suppressedBy") or "yes") if first.get("suppressed") else "",
    }
    return [f"{name + ':':13}{text}" for name, text in told.items() if text]


def _pictures(found: dict[str, Any], width: int, features: int, *, colour: bool) -> list[str]:
    series = found["series"]
    start, end = _times(found["records"])
    inside = [start <= (seconds_of(each["time"]) or 0.0) <= end for each in series]
    lines = [coloured("score (1.0 is the threshold)", "bold", on=colour)]
    threshold = Line([1.0] * len(series), "·")
    lines += plot([Line([each["score"] for each in series], "●"), threshold], inside, width, height=6, colour=colour)
    for place, share in _standing_out(series, inside)[:features]:
        if share < _LEAST_SHARE:
            break
        read = [each["actual"][place] for each in series]
        expected = [each["expected"][place] for each in series]
        lines += ["", coloured(f"{found['features'][place]} ({share:.0%} of the error within the episode)", "bold", on=colour)]
        lines += plot([Line(read, "●"), Line(expected, "·")], inside, width, colour=colour)
    shown = len(lines[-1].partition("└")[2])
    margin = len(lines[-1].partition("└")[0]) - 1
    first, last = (series[place]["time"][11:19] for place in (0, -1))
    return [*lines, times(first, last, shown + margin + 3, margin), "", LEGEND]


def _times(records: list[dict[str, Any]]) -> tuple[float, float]:
    data = records[-1]["data"]
    return seconds_of(data["start"]) or 0.0, seconds_of(data.get("end") or records[-1]["time"]) or 0.0


def _standing_out(series: list[dict[str, Any]], inside: list[bool]) -> list[tuple[int, float]]:
    """Features and their shares of the errors within the episode, the greatest first."""
    within = [each["errors"] for each, mine in zip(series, inside, strict=True) if mine] or [each["errors"] for each in series]
    sums = [sum(errors[place] or 0.0 for errors in within) for place in range(len(within[0]))]
    whole = sum(sums) or 1.0
    return sorted(((place, value / whole) for place, value in enumerate(sums)), key=lambda each: -each[1])
