"""What a detector's status says, in a few words each. Pure: documents in, words out."""

from dataclasses import dataclass
from typing import Any, Final

from kubectl_anomaly.exits import Exit

Document = dict[str, Any]
PAUSED: Final = "Paused"
"""As somebody asked (spec.paused): neither well nor unwell."""


def at(document: Any, *path: str) -> Any:
    """The value at a path of a document; None where there is none."""
    for part in path:
        document = document.get(part) if isinstance(document, dict) else None
    return document


@dataclass(frozen=True)
class Condition:
    """A condition of a resource; `status` is Unknown where it has none."""

    status: str
    reason: str
    message: str
    current: bool
    """Whether it speaks of the spec as it is now."""


def condition(document: Document, name: str) -> Condition:
    """The condition of this name."""
    generation = at(document, "metadata", "generation")
    for each in at(document, "status", "conditions") or []:
        if each["type"] == name:
            current = each.get("observedGeneration") in (None, generation)
            return Condition(each["status"], each.get("reason", ""), each.get("message", ""), current)
    return Condition("Unknown", "", "", current=False)


@dataclass(frozen=True)
class Health:
    """How a detector is, in a word, with why."""

    word: str
    reason: str
    message: str
    status: Exit
    """What `status` ends with."""

    @property
    def colour(self) -> str:
        """Of `printing.COLOURS`."""
        return "dim" if self.word == PAUSED else {Exit.DONE: "good", Exit.NOT_SO: "bad"}.get(self.status, "wait")

    @property
    def mark(self) -> str:
        """One character for the tree."""
        return "•" if self.word == PAUSED else {Exit.DONE: "✔", Exit.NOT_SO: "✖"}.get(self.status, "◌")


def health(detector: Document) -> Health:
    """As kstatus reads the conditions: of an older generation nothing is believed."""
    ready, stalled = condition(detector, "Ready"), condition(detector, "Stalled")
    if not ready.current:
        return Health("Waiting", "NotObserved", "the operator has not looked at this spec yet", Exit.UNDER_WAY)
    if stalled.status == "True":
        return Health("Stalled", stalled.reason, stalled.message, Exit.NOT_SO)
    moving = condition(detector, "Reconciling")
    if ready.status == "True" and moving.status == "True":
        return Health("RollingOut", moving.reason, moving.message, Exit.UNDER_WAY)
    if ready.status == "True":
        return Health("Ready", ready.reason, ready.message, Exit.DONE)
    if ready.reason == PAUSED:
        return Health(PAUSED, ready.reason, ready.message, Exit.DONE)
    return Health("NotReady", ready.reason, ready.message, Exit.UNDER_WAY)


def number(value: float | None) -> str:
    """Three digits of it, without an exponent where it can be read without one."""
    return "-" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
