"""A tree of lines in columns, as terminals show it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from kubectl_anomaly.printing import coloured

_HEAD: Final = ("NAME", "KIND", "STATUS", "AGE", "INFO")
_MARKS: Final = {"good": "✔", "bad": "✖", "wait": "◌", "dim": "•"}


@dataclass(frozen=True)
class Node:
    """A line of the tree."""

    icon: str
    name: str
    kind: str
    status: str = ""
    mood: str = "dim"
    """Key of `_MARKS` and of `printing.COLOURS`."""
    age: str = ""
    info: str = ""
    children: list["Node"] = field(default_factory=list)


def lines(root: Node, *, colour: bool) -> list[str]:
    """The tree below a node, and the heads of its columns."""
    rows = list(_walk(root, "", ""))
    cells = [(f"{lead}{node.icon} {node.name}", node.kind, _status(node), node.age) for lead, node in rows]
    widths = [max(len(_HEAD[column]), *(len(line[column]) for line in cells)) for column in range(4)]
    head = "   ".join(name.ljust(width) for name, width in zip(_HEAD, [*widths, 0], strict=True)).rstrip()
    drawn = [coloured(head, "bold", on=colour)]
    for (_, node), line in zip(rows, cells, strict=True):
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        whole = "   ".join((*padded, node.info)).rstrip()
        before = len("   ".join(padded[:2])) + 3
        shown = coloured(line[2], node.mood, on=colour and bool(line[2]))
        drawn.append(whole[:before] + shown + whole[before + len(line[2]) :])
    return drawn


def _status(node: Node) -> str:
    return f"{_MARKS[node.mood]} {node.status}" if node.status else ""


def _walk(node: Node, lead: str, below: str) -> Iterator[tuple[str, Node]]:
    yield lead, node
    for place, child in enumerate(node.children):
        last = place == len(node.children) - 1
        yield from _walk(child, f"{below}{'└─ ' if last else '├─ '}", f"{below}{'   ' if last else '│  '}")
