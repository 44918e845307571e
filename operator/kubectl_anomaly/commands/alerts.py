"""`kubectl anomaly alerts NAME`: what the detector announced, as a scoring pod reads it from Kafka."""

import argparse
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from kubectl_anomaly.detector_view import at, number
from kubectl_anomaly.exits import Exit
from kubectl_anomaly.kubectl import Kubectl
from kubectl_anomaly.pod_command import lines_of_pod
from kubectl_anomaly.printing import coloured, in_colour, span, structured

_COLUMNS: Final = (
    ("TIME", 20),
    ("EVENT", 8),
    ("REASON", 12),
    ("SEVERITY", 8),
    ("ENTITY", 20),
    ("SCORE", 6),
    ("EPISODE", 12),
    ("FOR", 5),
)
_COLOUR: Final = {"opened": "bad", "closed": "good", "limited": "wait"}
_SHORT: Final = 12
"""Characters of an episode that are shown; `explain` and `ack` take them all, `-o json` has them."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own."""
    parser.add_argument("name", metavar="NAME", help="the detector")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument("--since", default="1d", metavar="TIME", help="how far back, as 30m, 12h or 7d (default 1d)")
    parser.add_argument("--entity", metavar="ENTITY", help="of one entity only")
    parser.add_argument("--episode", metavar="ID", help="of one episode only; its first characters are enough")
    parser.add_argument("--all", action="store_true", help="those for the record only (suppressed), too")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="the last N of those that are there (default 100)")


def run(asked: argparse.Namespace, kubectl: Kubectl) -> int:
    """Raises PluginError."""
    words = [f"--since={asked.since}", f"--limit={asked.limit}"]
    words += [f"--{name}={value}" for name in ("entity", "episode") if (value := getattr(asked, name))]
    words += [f"--{name}" for name in ("follow", "all") if getattr(asked, name)]
    with lines_of_pod(kubectl, asked.name, "alerts", *words, hold=asked.follow) as lines:
        for text in _texts(map(json.loads, lines), asked.output):
            print(text, flush=True)
    return Exit.DONE


def _texts(events: Iterable[dict[str, Any]], form: str | None) -> Iterator[str]:
    """JSON a line, YAML a document, names of episodes, or a table for people."""
    shown: set[str] = set()
    if form is None:
        yield "   ".join(name.ljust(width) for name, width in _COLUMNS).rstrip()
    for event in events:
        if form == "json":
            yield json.dumps(event, ensure_ascii=False)
        elif form == "yaml":
            yield f"---\n{structured(event, form)}"
        elif form == "name":
            episode = at(event, "data", "episode")
            if episode and episode not in shown:
                shown.add(episode)
                yield episode
        else:
            yield line(event, colour=in_colour())


def line(event: dict[str, Any], *, colour: bool = False) -> str:
    """An event for people."""
    data, kind = event["data"], event["type"].rpartition(".")[2]
    if "episode" not in data:
        what = data.get("entity") or f"partition {data.get('partition')}"
        cells = [event["time"][:19] + "Z", kind, data.get("limit", ""), "", what, "", "", ""]
        rest = f"{data.get('dropped', 0)} episodes held back"
    else:
        score = number(data["score"] if kind != "closed" else data["peak"])
        reason = data["reason"] + ("*" if data.get("suppressed") else "")
        length = span(data["durationSeconds"])
        cells = [
            event["time"][:19] + "Z",
            kind,
            reason,
            data["severity"],
            data["entity"],
            score,
            data["episode"][:_SHORT],
            length,
        ]
        rest = ", ".join(map(contributor, data["contributors"][:3]))
    padded = [cell.ljust(width) for cell, (_, width) in zip(cells, _COLUMNS, strict=True)]
    padded[1] = coloured(padded[1], _COLOUR.get(kind), on=colour)
    return "   ".join([*padded, rest]).rstrip()


def contributor(each: dict[str, Any]) -> str:
    """A feature, what was read, and what was expected."""
    expected = f" for {number(each['expected'])}" if each.get("expected") is not None else ""
    return f"{each['feature']} {number(each['actual'])}{expected} ({each['share']:.0%})"
